"""Start of the `mobsec` command, also as `python -m scapy_mobsec`."""

import sys


def run() -> None:
    """Run the command line; Ctrl-C ends it cleanly while its modules still load, too."""
    try:
        from scapy_mobsec.ui.cli import main

        main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    run()
