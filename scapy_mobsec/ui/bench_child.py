"""Runs a program and tells what it took: seconds of the processor, and peak memory.

It is run as a file, by a bare interpreter: on Linux the peak of a program is never less than that
of the process which started it (getrusage(2)), so that one must be small.
"""

import json
import os
import sys


def run_and_tell(target: str, command: list[str]) -> int:
    """Run a command, write its exit code, seconds and peak memory (octets) to a file as JSON."""
    child = os.fork()
    if child == 0:
        try:
            os.execvp(command[0], command)
        except OSError:
            os._exit(127)
    _, status, usage = os.wait4(child, 0)
    code = os.waitstatus_to_exitcode(status)
    seconds = usage.ru_utime + usage.ru_stime
    with open(target, "w", encoding="ascii") as file:
        json.dump({"code": code, "seconds": seconds, "peak": usage.ru_maxrss * 1024}, file)
    return code


if __name__ == "__main__":
    sys.exit(run_and_tell(sys.argv[1], sys.argv[2:]) & 0xFF)
