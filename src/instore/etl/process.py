"""One process that we started, from its start to its death, and what it printed.

It is the head of a process group, and ends with everything it has started.
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Self

from instore.etl import shim
from instore.protocol.environment import INSTORE_PARENT_FD

_GRACE = 3.0  # seconds for a process to end by itself
_TAIL = 64 << 10  # bytes of a log that are looked at; a log may be flooded
_LAST_LINES = 10
# Fields of /proc/<pid>/stat, counted from the one after the name.
_GROUP, _USER_TIME, _SYSTEM_TIME, _STARTED, _RESIDENT = 2, 11, 12, 19, 21
_SIGNALS = {int(signal.SIGKILL): "out of memory?"}


class Process:
    """A process. Made by `start` or `start_with_shim`.

    Attributes:
        exited: done when the process is; its result is the return code, negative for a signal.
        log: path of the file with what it prints.
    """

    def __init__(self, process: asyncio.subprocess.Process, log: str, grace: float) -> None:
        self.exited = asyncio.ensure_future(process.wait())
        self.log = log
        self._process = process
        self._grace = grace

    @classmethod
    async def start(cls, command: Sequence[str], environment: Mapping[str, str], log: str, parent: int) -> Self:
        """Start one of our own commands, which watches the pipe `parent` itself."""
        with _new_file(log) as output:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**environment, INSTORE_PARENT_FD: str(parent)},
                pass_fds=(parent,),
                start_new_session=True,  # Ctrl-C is for us: we stop the workers
            )
        return cls(process, log, _GRACE)

    @classmethod
    async def start_with_shim(
        cls,
        command: Sequence[str],
        environment: Mapping[str, str],
        log: str,
        log_limit: int,
        parent: int,
        folder: str,
        descriptors: Sequence[int] = (),
        grace: float = _GRACE,
    ) -> Self:
        """Start any command behind a shim: nothing of it outlives us, and its log is bounded."""
        head = [sys.executable, "-I", "-S", shim.__file__, str(parent), log, str(log_limit), str(grace)]
        process = await asyncio.create_subprocess_exec(
            *head,
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            env=dict(environment),
            cwd=folder,
            pass_fds=(parent, *descriptors),
            start_new_session=True,
        )
        return cls(process, log, grace + _GRACE)

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    def how_it_died(self) -> str:
        """`was killed by signal 9 (out of memory?)` or `exited with code 3`."""
        code = self.exited.result()
        if code >= 0:
            return f"exited with code {code}"
        return f"was killed by signal {-code} ({_SIGNALS.get(-code) or signal.Signals(-code).name})"

    def last_lines(self, containing: str = "") -> list[str]:
        """The last lines of its log that contain a text, blank ones left out; the last of all comes last."""
        text = tail(self.log, _TAIL).decode("utf-8", "surrogateescape")
        return [line.rstrip() for line in text.splitlines() if line.strip() and containing in line][-_LAST_LINES:]

    def terminate(self) -> None:
        """Ask it to end."""
        if not self.exited.done():
            self._process.terminate()

    def kill(self) -> None:
        """End a process behind a shim at once, with all that it has started."""
        if not self.exited.done():
            self._process.send_signal(signal.SIGINT)

    async def end(self, grace: float | None = None) -> None:
        """Wait a little for the process to end, then end it; and with it whatever processes it has started."""
        await asyncio.wait({self.exited}, timeout=self._grace if grace is None else grace)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await asyncio.wait({self.exited})


class ServerProcess:
    """A server in a process of its own: what the engine is told of a worker's process.

    Attributes:
        process: the process itself.
        exited: done when the process is.
    """

    def __init__(self, process: Process) -> None:
        self.process = process
        self.exited = process.exited
        self._given_up = ""

    @property
    def pid(self) -> int:
        """The process's id."""
        return self.process.pid

    def how_it_died(self) -> str:
        """`was killed by signal 9 (out of memory?)` or `exited with code 3`."""
        return self._given_up or self.process.how_it_died()

    async def give_up(self, reason: str) -> None:
        """End it at once, with whatever it has started: it hangs. `reason` is how it died."""
        self._given_up = reason
        await self.process.end(grace=0)

    def last_lines(self, containing: str = "") -> list[str]:
        """The last lines of its log that contain a text, blank ones left out; the last of all comes last."""
        return self.process.last_lines(containing)


def tail(log: str, most: int) -> bytes:
    """The last bytes of a log, the part that a shim has put aside included; empty if there is none."""
    text = b""
    for path in (log, log + ".1"):
        with contextlib.suppress(FileNotFoundError), open(path, "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - (most - len(text))))
            text = file.read(most - len(text)) + text
        if len(text) >= most:
            break
    return text


def _new_file(path: str) -> BinaryIO:
    return open(path, "xb")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and all it has started use.

    Attributes:
        cores: processors, on average since its start.
        memory: resident bytes.
    """

    cores: float
    memory: int


def usage(leader: int) -> Usage:
    """What the process group of `leader` uses; nothing if it is gone. It blocks, and needs /proc."""
    ticks, pages, began = 0, 0, 0
    for entry in os.listdir("/proc"):
        fields = _state(entry)
        if fields and int(fields[_GROUP]) == leader:
            ticks += int(fields[_USER_TIME]) + int(fields[_SYSTEM_TIME])
            pages += int(fields[_RESIDENT])
            began = int(fields[_STARTED]) if int(entry) == leader else began
    with open("/proc/uptime") as file:
        up = float(file.read().split()[0]) * os.sysconf("SC_CLK_TCK")
    return Usage(round(ticks / max(1.0, up - began), 3), pages * os.sysconf("SC_PAGE_SIZE"))


def _state(entry: str) -> list[str]:
    """The fields of a process's state after its name; none if there is no such process."""
    if not entry.isdigit():
        return []
    try:
        with open(f"/proc/{entry}/stat") as file:
            return file.read().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []
