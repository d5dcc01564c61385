"""A command of ours in a process of its own, which ends with this one."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import IO

from instore.protocol.environment import INSTORE_PARENT_FD, OS_PACKAGES, PACKAGES


def is_read_by_servers(variable: str) -> bool:
    """Whether an ETL server, or its container, reads a variable."""
    return variable.startswith(("AIS_", "INSTORE_", "ETL_")) or variable in (PACKAGES, OS_PACKAGES)


@contextlib.contextmanager
def started(
    command: Sequence[str],
    variables: Mapping[str, str],
    stdout: int | IO[bytes],
    stderr: IO[bytes],
    seconds_to_stop: float,
    descriptors: Sequence[int] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that gets `variables` and ours, but for those of ours that servers read; told to end afterwards."""
    ours = {name: value for name, value in os.environ.items() if not is_read_by_servers(name)}
    alive, we_live = os.pipe()
    try:
        try:
            process = subprocess.Popen(  # noqa: S603
                command,
                env={**ours, INSTORE_PARENT_FD: str(alive), **variables},
                stdout=stdout,
                stderr=stderr,
                pass_fds=(*descriptors, alive),
            )
        finally:
            os.close(alive)
        try:
            yield process
        finally:
            _stop(process, seconds_to_stop)
            if process.stdout is not None:
                process.stdout.close()
    finally:
        os.close(we_live)


def _stop(process: subprocess.Popen[bytes], seconds: float) -> None:
    process.terminate()
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
