"""Processes that are pinned to cores, start in a group of their own, and are ended with all of it."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

SERVER_CORE = "0"
LOAD_CORE = 1
BOTH_CORES = "0,1"

_GRACE = 5.0  # seconds that a group gets to end by itself


class BenchError(Exception):
    """What the person at the keyboard has to know; a sentence."""


@contextlib.contextmanager
def started(
    command: Sequence[str], cores: str, log: Path, variables: Mapping[str, str], folder: Path
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run `command` on `cores` until the context ends; its output goes to `log`."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", cores, *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=dict(variables),
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End the whole group, politely first; the group outlives its leader if one of it hangs."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)


def worker_of(pid: int) -> int:
    """The process that serves: the innermost child, where a server has a master."""
    while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        pid = int(children[-1])
    return pid


def memory(pid: int, field: str) -> float:
    """`VmRSS` or `VmHWM` of a process, in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.split()[0]) / 1024
    raise BenchError(f"process {pid} has no {field}; it has ended")


def forget_peak(pid: int) -> None:
    """Set the process's `VmHWM` back to what it holds now."""
    Path(f"/proc/{pid}/clear_refs").write_text("5")
