"""Worker processes: an ETL server each, behind a Unix socket that only this user can reach.

A `Pod` is one process from its start to its death; one that died is not revived, another is started. `Pods` owns what
they share: a private folder for sockets and logs, and a pipe whose end tells every worker that we are gone.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import BinaryIO, Self

import aiohttp
from yarl import URL

from instore.errors import ConfigurationError
from instore.protocol.environment import PARENT_FD
from instore.protocol.headers import CONCURRENCY, HEALTH_PATH
from instore.target.communicator import unix_session
from instore.target.printable import printable

_USAGE = 2
_POLL = 0.05  # seconds between two looks at a worker that is starting
_GRACE = 3.0  # seconds for a worker to end by itself
_TAIL = 64 << 10  # bytes of a log that are looked at; a log may be flooded
_LAST_LINES = 10
_LONGEST_SOCKET_PATH = 90  # the system's limit is 104 (macOS) or 108 (Linux) bytes
_HEALTH = URL(f"http://worker{HEALTH_PATH}")


class Pod:
    """One worker process. Made by `Pods.start`, ready to be asked.

    Attributes:
        session: connections to it.
        concurrency: how many transforms it runs at once.
        exited: done when the process is; its result is the return code, negative for a signal.
    """

    def __init__(self, process: asyncio.subprocess.Process, socket: str, log: str) -> None:
        self.session = unix_session(socket)
        self.concurrency = 1
        self.exited = asyncio.ensure_future(process.wait())
        self._process = process
        self._socket = socket
        self._log = log

    @property
    def pid(self) -> int:
        """The process's id."""
        return self._process.pid

    async def is_dead(self) -> bool:
        """Whether the process is gone, asked when an exchange with it broke.

        The connection may break a moment before the process can be seen dead; one that still answers is alive.
        """
        probe = asyncio.ensure_future(self._is_healthy())
        await asyncio.wait({probe, self.exited}, return_when=asyncio.FIRST_COMPLETED)
        if not self.exited.done() and await probe:
            return False
        probe.cancel()
        await self._end()
        return True

    def how_it_died(self) -> str:
        """`was killed by signal 9 (out of memory?)` or `exited with code 3`."""
        code = self.exited.result()
        if code >= 0:
            return f"exited with code {code}"
        return f"was killed by signal {-code} ({_SIGNALS.get(-code) or signal.Signals(-code).name})"

    def last_lines(self, containing: str = "") -> list[str]:
        """The last lines of its log that contain a text, blank ones left out; the last of all comes last."""
        with open(self._log, "rb") as file:
            file.seek(max(0, os.path.getsize(self._log) - _TAIL))
            lines = file.read(_TAIL).decode("utf-8", "surrogateescape").splitlines()
        return [line.rstrip() for line in lines if line.strip() and containing in line][-_LAST_LINES:]

    async def stop(self) -> None:
        """End the process, whatever it is doing, and close the connections."""
        await self.session.close()
        if not self.exited.done():
            self._process.terminate()
        await self._end()

    def remove_files(self) -> None:
        """Remove its log and its socket."""
        for path in (self._log, self._socket):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    async def wait_until_ready(self) -> None:
        """Wait until it answers. There is no limit to that: a model may take minutes to load.

        Raises:
            ConfigurationError: it died instead. If it refused to start, the text is its own.
        """
        while not await self._is_healthy():
            await asyncio.wait({self.exited}, timeout=_POLL)
            if self.exited.done():
                raise self._why_not_ready()

    def _why_not_ready(self) -> ConfigurationError:
        lines = [printable(line) for line in self.last_lines()]
        if self.exited.result() == _USAGE and lines:
            return ConfigurationError(lines[-1].removeprefix("instore: "))  # it is going to be said again
        log = "\n  ".join(["its log ends:", *lines]) if lines else "its log is empty"
        return ConfigurationError(f"a worker {self.how_it_died()} before it was ready; {log}")

    async def _is_healthy(self) -> bool:
        try:
            async with self.session.get(_HEALTH) as answer:
                self.concurrency = int(answer.headers.get(CONCURRENCY, "1"))
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def _end(self) -> None:
        """Wait a little for the process to end, then end it; and with it whatever processes it has started."""
        await asyncio.wait({self.exited}, timeout=_GRACE)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        await asyncio.wait({self.exited})


_SIGNALS = {int(signal.SIGKILL): "out of memory?"}


class Pods:
    """The workers of one job; an asynchronous context that leaves no process and no file behind.

    Args:
        command: the worker's command line; the path of its socket is appended.
        environment: its variables.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        self._command = command
        self._environment = environment
        self._numbers = itertools.count()
        self._living: set[Pod] = set()

    async def __aenter__(self) -> Self:
        self._folder = _private_folder()
        self._parent, self._we_live = os.pipe()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(pod.stop() for pod in self._living))
        os.close(self._we_live)
        os.close(self._parent)
        shutil.rmtree(self._folder)

    async def start(self) -> Pod:
        """Start a worker, and wait until it is ready.

        Raises:
            ConfigurationError: it died instead. If it refused to start, the text is its own.
        """
        number = next(self._numbers)
        socket, log = (os.path.join(self._folder, f"{number}.{kind}") for kind in ("sock", "log"))
        with _new_file(log) as output:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                socket,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**self._environment, PARENT_FD: str(self._parent)},
                pass_fds=(self._parent,),
                start_new_session=True,  # Ctrl-C is for us: we stop the workers
            )
        pod = Pod(process, socket, log)
        self._living.add(pod)
        await pod.wait_until_ready()
        return pod

    async def bury(self, pod: Pod) -> None:
        """Forget a worker that died, and remove its files and its processes."""
        self._living.discard(pod)
        await pod.stop()
        pod.remove_files()


def _new_file(path: str) -> BinaryIO:
    return open(path, "xb")


def _private_folder() -> str:
    """A new folder that only this user can enter, with a path that is short enough for sockets."""
    folder = tempfile.mkdtemp(prefix="instore-")
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_PATH:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="instore-", dir="/tmp")
