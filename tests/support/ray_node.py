"""A program that runs one node of a Ray cluster, whose processes leave their parents, and leaves none of them behind.

It starts the command that it is given, adopts whatever that orphans, and ends all of it once its input ends.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36


def descendants(leader: int) -> set[int]:
    """The processes that a process has started, and those that these have, dead ones that nobody has waited for too."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    left = [leader]
    while left:
        of_one = children.get(left.pop(), [])
        found.update(of_one)
        left += of_one
    return found


def _end_all() -> None:
    while processes := descendants(os.getpid()):
        for process in processes:
            os.kill(process, signal.SIGKILL)
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:
            return
        time.sleep(0.02)


def main() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    try:
        subprocess.run(sys.argv[1:], stdin=subprocess.DEVNULL, check=True)
        print("ready", flush=True)
        sys.stdin.read()
    finally:
        _end_all()


if __name__ == "__main__":
    main()
