"""Start of the `mobsec` command, also as `python -m scapy_mobsec`."""

import os
import sys


def run() -> None:
    """Run the command line; Ctrl-C ends it cleanly while its modules still load, too.

    Standard streams that are closed are empty, and take nothing.
    """
    sys.stdin = sys.stdin or open(os.devnull)
    sys.stdout = sys.stdout or open(os.devnull, "w")
    sys.stderr = sys.stderr or open(os.devnull, "w")
    try:
        from scapy_mobsec.ui.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
