"""Worker processes: an ETL server each, behind a Unix socket that only this user can reach.

A `WorkerProcess` is one process from its start to its death; one that died is not revived, another is started.
`WorkerProcesses` owns what they share: a private folder for sockets and logs, and a pipe whose end tells every
worker that we are gone.
"""

import asyncio
import contextlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self

from instore.etl.communicator import Communicator
from instore.etl.devices import variables_for
from instore.etl.health import why_not_ready
from instore.etl.http_communicator import HTTPCommunicator
from instore.etl.process import Process, ServerProcess
from instore.offline.output import Output, Printed
from instore.protocol.headers import CONCURRENCY
from instore.system.files import temporary
from instore.system.threads import to_its_end

_POLL = 0.05  # seconds between two looks at a worker that is starting
_LONGEST_SOCKET_PATH = 90  # the system's limit is 104 (macOS) or 108 (Linux) bytes


class WorkerProcess(ServerProcess):
    """One worker process. Made by `WorkerProcesses.start`, ready to be asked.

    Attributes:
        communicator: how to talk to it.
        concurrency: how many transforms it runs at once.
    """

    def __init__(self, process: Process, socket: str, output: Output | None = None) -> None:
        super().__init__(process)
        self._output = output
        self._http = HTTPCommunicator("http://worker", socket=socket)  # the host is only a name
        self.communicator: Communicator = self._http
        self.concurrency = 1
        self._socket = socket

    async def is_dead(self) -> bool:
        """Whether the process is gone, asked when an exchange with it broke.

        The connection may break a moment before the process can be seen dead; one that still answers is alive.
        """
        probe = asyncio.ensure_future(self._is_healthy())
        try:
            await asyncio.wait({probe, self.exited}, return_when=asyncio.FIRST_COMPLETED)
            if not self.exited.done() and await probe:
                return False
        finally:
            probe.cancel()
        await self.process.end()
        return True

    async def stop(self) -> None:
        """End the process, whatever it is doing, and close the connections."""
        await self.communicator.close()
        self.process.terminate()
        await self.process.end()
        if self._output is not None:
            await self._output.end()
            self._output = None

    def remove_files(self) -> None:
        """Remove its log and its socket."""
        for path in (self.process.log, self._socket):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)

    async def wait_until_ready(self) -> None:
        """Wait until it answers. There is no limit to that: a model may take minutes to load."""
        while not await self._is_healthy():
            await asyncio.wait({self.exited}, timeout=_POLL)
            if self.exited.done():
                raise why_not_ready(self.process, "a worker")

    async def _is_healthy(self) -> bool:
        headers = await self._http.health()
        if headers is not None:
            self.concurrency = int(headers.get(CONCURRENCY.lower(), "1"))
        return headers is not None


class WorkerProcesses:
    """The workers of one job; an asynchronous context that leaves no process and no file behind."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        printed: Printed | None = None,
        *,
        devices: Sequence[str] = (),
    ) -> None:
        self._command = command
        self._environment = environment
        self._printed = printed
        self._devices = devices
        self._taken: set[int] = set()  # places of workers: the device is by it, and a successor gets it again
        self._places: dict[WorkerProcess, int] = {}
        self._numbers = itertools.count()
        self._living: set[WorkerProcess] = set()

    async def __aenter__(self) -> Self:
        self._folder = private_folder()
        self._parent, self._we_live = os.pipe()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_its_end(asyncio.ensure_future(self._end()))

    async def _end(self) -> None:
        await asyncio.gather(*(worker.stop() for worker in self._living))
        os.close(self._we_live)
        os.close(self._parent)
        shutil.rmtree(self._folder)

    async def start(self) -> WorkerProcess:
        """Start a worker, and wait until it is ready."""
        number = next(self._numbers)
        socket, log = (os.path.join(self._folder, f"{number}.{kind}") for kind in ("sock", "log"))
        place = next(place for place in itertools.count() if place not in self._taken)
        self._taken.add(place)
        environment = {**self._environment, **variables_for(self._devices, place)}
        process = await Process.start([*self._command, socket], environment, log, self._parent)
        output = None if self._printed is None else Output(log, number + 1, self._printed)
        worker = WorkerProcess(process, socket, output)
        self._places[worker] = place
        self._living.add(worker)
        await worker.wait_until_ready()
        return worker

    async def discard(self, worker: WorkerProcess) -> None:
        """Forget a worker that died, and remove its files and its processes."""
        await worker.stop()
        worker.remove_files()
        self._living.discard(worker)
        self._taken.discard(self._places.pop(worker))


def private_folder() -> str:
    """A new folder that only this user can enter, with a path that is short enough for sockets."""
    with temporary("what the workers print"):
        folder = tempfile.mkdtemp(prefix="instore-")
    if len(os.fsencode(folder)) <= _LONGEST_SOCKET_PATH:
        return folder
    os.rmdir(folder)
    return tempfile.mkdtemp(prefix="instore-", dir="/tmp")
