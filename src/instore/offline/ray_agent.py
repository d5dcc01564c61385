"""What a job has on a machine of a Ray cluster: a worker process, and its objects' way to it and from it.

The command asks for one object after the other, and commits. The bytes never pass through it: an agent reads an object
and writes its result where it runs. It is an actor of Ray's, which imports nothing of Ray.
"""

import asyncio
import contextlib
import json
import os
import socket
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from instore.errors import ConfigurationError, IncompleteAnswerError, InstoreError
from instore.offline.engine import Engine
from instore.offline.folder_destination import FolderDestination
from instore.offline.interfaces import Item, ItemResult, JobOptions
from instore.offline.plan import Plan
from instore.offline.run import worker_command
from instore.offline.workers import WorkerProcess, WorkerProcesses
from instore.protocol.environment import INSTORE_MEMBERS_LOG
from instore.shipping.class_copy import ClassCopy
from instore.version import __version__

_LONGEST = 20.0  # seconds after which a call that waits for news is answered without


@dataclass(frozen=True, slots=True)
class AgentTask:
    """What an agent is to do, as it travels there.

    Attributes:
        make_plan: makes the job's plan, where it is called.
        transform: the class.
        etl_args: go with every object.
        log_level: of the workers.
        environment: variables of the job's workers.
        version: of instore.
    """

    make_plan: Callable[[], Plan]
    transform: ClassCopy
    etl_args: str
    log_level: str
    environment: Mapping[str, str] = field(default_factory=dict)
    version: str = __version__


class AgentStart(NamedTuple):
    """How a worker process has started.

    Attributes:
        error: why it has not; empty if it has.
        concurrency: how many objects it transforms at once.
        pid: its id.
        host: the machine's name.
    """

    error: str = ""
    concurrency: int = 1
    pid: int = 0
    host: str = ""


class AgentNews(NamedTuple):
    """What a worker process has printed since it was asked last, and how it died.

    Attributes:
        printed: lines.
        died: how; empty if it lives.
        last_lines: of its log, if it has died.
    """

    printed: list[str]
    died: str = ""
    last_lines: tuple[str, ...] = ()


class AgentOutcome(NamedTuple):
    """What became of one object.

    Attributes:
        written: what `Destination.write` has returned, if nothing went wrong.
        error: what it or the worker has raised.
        cause: what that followed from.
        received: bytes of results.
        members: lines about the members of shards.
        log: lines of the worker's log about the object, if its answer broke off.
    """

    written: Any = None
    error: Exception | None = None
    cause: OSError | None = None
    received: int = 0
    members: bytes = b""
    log: tuple[str, ...] = ()


class RayAgent:
    """One worker process at a time, and the way to it.

    Args:
        task: what is to be done.
        name: of this agent: no other of the job has it.
    """

    def __init__(self, task: AgentTask, name: str) -> None:
        self._task = task
        self._name = name
        self._worker: WorkerProcess | None = None
        self._undo = contextlib.AsyncExitStack()
        self._workers: WorkerProcesses | None = None
        self._printed: list[str] = []
        self._is_news = asyncio.Event()
        self._received = 0
        self._folder = ""
        self._members: Any = None

    async def start(self) -> AgentStart:
        """Start the worker process, or another in the place of one that died, and wait until it is ready."""
        try:
            if self._workers is None:
                await self._prepare()
            assert self._workers is not None  # noqa: S101  # it is prepared
            if self._worker is not None:
                await self._workers.discard(self._worker)
            self._worker = await self._workers.start()
        except (InstoreError, OSError) as error:
            return AgentStart(f"on {socket.gethostname()}: {self._as_there(str(error))}")
        return AgentStart("", self._worker.concurrency, self._worker.pid, socket.gethostname())

    async def transfer(self, item: Item) -> AgentOutcome:
        """Have one object transformed, and its result written."""
        written = error = cause = None
        log: tuple[str, ...] = ()
        worker = self._living
        try:
            _, written = await self._engine.transfer(worker, item)
        except (InstoreError, OSError) as failure:
            error = failure
            error.args = tuple(self._as_there(text) if isinstance(text, str) else text for text in error.args)
            if isinstance(failure.__cause__, OSError):
                cause = OSError(failure.__cause__.errno, failure.__cause__.strerror)
            if isinstance(failure, IncompleteAnswerError):
                log = tuple(worker.last_lines(containing=f"object={self._plan.source.path(item)!r}"))
        received, self._received = self._received, 0
        return AgentOutcome(written, error, cause, received, self._member_lines(), log)

    async def follow(self) -> AgentNews:
        """Wait for something to tell of the worker process, for a while."""
        worker = self._living
        told = asyncio.ensure_future(self._is_news.wait())
        await asyncio.wait({told, worker.exited}, timeout=_LONGEST, return_when=asyncio.FIRST_COMPLETED)
        told.cancel()
        self._is_news.clear()
        printed, self._printed = self._printed, []
        if not worker.exited.done():
            return AgentNews(printed)
        return AgentNews(printed, worker.how_it_died(), tuple(worker.last_lines()))

    async def is_dead(self) -> bool:
        """Whether the worker process is, asked when an exchange with it broke."""
        return await self._living.is_dead()

    async def give_up(self, reason: str) -> None:
        """End the worker process at once: it hangs."""
        await self._living.give_up(reason)

    async def end(self) -> None:
        """End the worker process and remove its files; what is on its way is given up."""
        await self._undo.aclose()

    @property
    def _living(self) -> WorkerProcess:
        assert self._worker is not None  # noqa: S101  # nobody is told of an agent before it has one
        return self._worker

    async def _prepare(self) -> None:
        task = self._task
        if task.version != __version__:
            raise ConfigurationError(
                f"it has instore {__version__}, and the command instore {task.version}; install the same on every node"
            )
        transform, environment = self._unpack()
        self._plan = task.make_plan()
        destination = self._plan.destination
        if isinstance(destination, FolderDestination):
            destination.join(self._name)
        workers = WorkerProcesses(worker_command(transform, task.log_level), environment, self._note)
        options = JobOptions(
            etl_args=task.etl_args, takes_results=False
        )  # whose names are free, the command alone knows
        self._engine = Engine[WorkerProcess, Any](options, iter(()), self._plan.source, workers, destination, self)
        self._workers = await self._undo.enter_async_context(workers)

    def _unpack(self) -> tuple[str, dict[str, str]]:
        """Put the class into a folder; TRANSFORM there, and the environment of workers."""
        os.environ.update(self._task.environment)
        folder = self._folder = self._undo.enter_context(tempfile.TemporaryDirectory(prefix="instore-"))
        path = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
        environment = {**os.environ, "PYTHONPATH": path}
        if environment.get(INSTORE_MEMBERS_LOG):
            environment[INSTORE_MEMBERS_LOG] = os.path.join(folder, "members")
            file = open(environment[INSTORE_MEMBERS_LOG], "x+b")  # noqa: SIM115  # open as long as the agent
            self._members = self._undo.enter_context(file)
        return self._task.transform.unpack(folder), environment

    def _as_there(self, text: str) -> str:
        """A text with the class's files called as they are where the command is."""
        return text.replace(f"{self._folder}/", self._task.transform.root) if self._folder else text

    def _note(self, _number: int, line: str) -> None:
        self._printed.append(self._as_there(line))
        self._is_news.set()

    def _member_lines(self) -> bytes:
        """What workers have said of members since the last call: whole lines, each behind its end of line."""
        if self._members is None:
            return b""
        began = self._members.tell()
        lines: bytes = self._members.read()
        last = lines.rfind(b"\n")
        try:
            json.loads(lines[last + 1 :] or "0")
        except ValueError:  # it is being written
            lines = lines[: max(last, 0)]
        self._members.seek(began + len(lines))
        return lines

    def received(self, size: int) -> None:
        """Count bytes of results, for the next outcome."""
        self._received += size

    def settled(self, result: ItemResult) -> None:
        """The command settles objects."""

    def noted(self, text: str) -> None:
        """Say it where the command sees it."""
        self._note(0, text)
