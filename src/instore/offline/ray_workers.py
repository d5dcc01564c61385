"""`--on ray`: workers on the machines of a Ray cluster, wherever it has room for them.

Each is an actor, a `RayAgent`. They share the engine's queue, so that a slow machine gets less. One that is lost with
its machine dies for the engine, which waits for another in its place. This module alone imports Ray.
"""

import asyncio
import contextlib
import itertools
import os
import signal
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import TracebackType
from typing import Any, Self, TypeVar

from instore.errors import ConfigurationError, IncompleteAnswerError
from instore.offline.interfaces import Item, RemoteWorker
from instore.offline.output import Printed
from instore.offline.ray_agent import AgentNews, AgentOutcome, AgentStart, AgentTask, RayAgent
from instore.offline.settings import RAY
from instore.protocol.environment import INSTORE_MEMBERS_LOG
from instore.system.printable import printable
from instore.system.threads import to_its_end

_TRAVEL = ("INSTORE_", "AIS_")  # how the names of the variables begin that go to the machines
_TRIES = 3  # agents that may be lost while one worker starts
_SAID_AFTER = 10.0  # seconds of waiting for a worker
_GRACE = 10.0  # seconds for an agent to end by itself
_LAST_LINES = 100

Answer = TypeVar("Answer")


class RayCluster:
    """A cluster of Ray's that this process is connected to.

    Args:
        ray: Ray itself.
        cpus, gpus: what each worker takes; may be fractions.
    """

    def __init__(self, ray: Any, cpus: float, gpus: float) -> None:
        self._ray = ray
        self.lost: type[Exception] = ray.exceptions.RayActorError
        self._options = {"num_cpus": cpus, "num_gpus": gpus, "scheduling_strategy": "SPREAD", "max_restarts": 0}
        self._need = {name: amount for name, amount in (("CPU", cpus), ("GPU", gpus)) if amount}

    def room(self) -> int:
        """How many workers all machines have room for, if nothing else runs there."""
        return sum(self._room_of(node["Resources"]) for node in self._ray.nodes() if node["Alive"])

    def _room_of(self, resources: Mapping[str, float]) -> int:
        return min(int(resources.get(name, 0) / amount + 1e-6) for name, amount in self._need.items())

    def make_agent(self, task: Any, name: str) -> Any:
        """An actor; it starts once there is room for it."""
        return self._ray.remote(RayAgent).options(**self._options).remote(task, name)

    def put(self, task: AgentTask) -> Any:
        """Keep a task where all agents find it."""
        return self._ray.put(task)

    def kill(self, agent: Any) -> None:
        """End an actor, whatever it does."""
        self._ray.kill(agent)

    def needs(self) -> str:
        """What a worker takes, for a person."""
        return " and ".join(f"{amount:g} {name}" for name, amount in self._need.items())


@contextmanager
def ray_cluster(on: str, cpus: float, gpus: float, is_full: bool) -> Iterator[RayCluster]:
    """A connection to the cluster that `on` says: `ray`, the one of this machine, or `ray://HOST:PORT`.

    Where this process is connected to a cluster already, as in a notebook, that is used, and stays connected.

    Args:
        on: which cluster.
        cpus, gpus: what each worker takes.
        is_full: there are to be as many workers as there is room for.

    Raises:
        ConfigurationError: there is no Ray, or no cluster; or it has no room for one worker.
    """
    try:
        import ray
    except ImportError as error:
        raise ConfigurationError(f"--on {printable(on)} needs Ray ({error}); pip install 'instore[ray]'") from error
    ours = not ray.is_initialized()
    if ours:
        _connect(ray, on)
    try:
        cluster = RayCluster(ray, cpus, gpus)
        if is_full and not cluster.room():
            raise ConfigurationError(
                f"--on {printable(on)}: no node of the cluster has {cluster.needs()} for a worker; give less --cpus or "
                "--gpus, or say with --workers how many there will be"
            )
        yield cluster
    finally:
        if ours:
            ray.shutdown()


def _connect(ray: Any, on: str) -> None:
    address = "auto" if on == RAY else on
    quiet = {"log_to_driver": False, "configure_logging": False} if on == RAY else {}
    try:
        with _signals_kept():
            ray.init(address=address, **quiet)
    except (ConnectionError, OSError, RuntimeError, ValueError, ImportError) as error:
        reason = str(error).strip().splitlines()
        raise ConfigurationError(
            f"--on {printable(on)}: no Ray cluster can be reached ({printable(reason[0] if reason else repr(error))}); "
            "start one with ray start --head, or give --on ray://HOST:10001"
        ) from error


@contextmanager
def _signals_kept() -> Iterator[None]:
    """Keep what this process does on signals, which Ray would change."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


class RayWorkers:
    """The workers of one job in a cluster; an asynchronous context that leaves no actor behind."""

    def __init__(
        self, cluster: RayCluster, task: AgentTask, environment: Mapping[str, str], printed: Printed | None = None
    ) -> None:
        variables = {name: value for name, value in environment.items() if name.startswith(_TRAVEL)}
        self._cluster = cluster
        self._task = replace(task, environment=variables)
        self._members_log = environment.get(INSTORE_MEMBERS_LOG, "")
        self._printed = printed
        self._numbers = itertools.count(1)
        self._names = itertools.count()
        self._idle: list[Any] = []  # agents whose worker processes have died
        self._living: set[Any] = set()  # agents
        self._working: set[RayWorker] = set()

    async def __aenter__(self) -> Self:
        self._kept = self._cluster.put(self._task)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await to_its_end(asyncio.ensure_future(self._end()))

    async def start(self) -> "RayWorker":
        """A worker, once the cluster has room for it and it is ready.

        Raises:
            ConfigurationError: the class can't be loaded there, or the machine lacks something.
        """
        number = next(self._numbers)
        for _ in range(_TRIES):
            agent = self._idle.pop() if self._idle else self._make_agent()
            try:
                started: AgentStart = await self._said_if_long(agent.start.remote(), number)
            except self._cluster.lost as error:
                self._forget(agent)
                lost = error
            except BaseException:  # also when cancelled
                self._forget(agent)
                raise
            else:
                if started.error:
                    raise ConfigurationError(started.error)
                worker = RayWorker(self._cluster.lost, agent, started, self._members_log)
                worker.watch(lambda line: self._printed(number, line) if self._printed is not None else None)
                self._working.add(worker)
                return worker
        raise ConfigurationError(f"no worker could be started in the cluster: {_why_lost(lost)}") from lost

    async def discard(self, worker: "RayWorker") -> None:
        """Forget a worker that died; its agent, if it isn't lost too, makes the next one."""
        self._working.discard(worker)
        await worker.unwatch()
        if worker.is_lost:
            self._forget(worker.agent)
        else:
            self._idle.append(worker.agent)

    def _make_agent(self) -> Any:
        agent = self._cluster.make_agent(self._kept, f"{os.getpid():x}-{next(self._names):x}")
        self._living.add(agent)
        return agent

    def _forget(self, agent: Any) -> None:
        self._living.discard(agent)
        self._cluster.kill(agent)  # if it only can't be reached

    async def _said_if_long(self, start: Awaitable[AgentStart], number: int) -> AgentStart:
        waiting = asyncio.ensure_future(_awaited(start))
        try:
            await asyncio.wait({waiting}, timeout=_SAID_AFTER)
            if not waiting.done() and self._printed is not None:
                self._printed(number, f"(waits for {self._cluster.needs()} in the cluster, or loads its class)")
            return await waiting
        finally:
            waiting.cancel()

    async def _end(self) -> None:
        for worker in self._working:
            await worker.unwatch()
        await asyncio.gather(*map(self._end_agent, list(self._living)))

    async def _end_agent(self, agent: Any) -> None:
        with contextlib.suppress(self._cluster.lost, TimeoutError):  # it is ended anyway
            await asyncio.wait_for(_awaited(agent.end.remote()), _GRACE)
        self._forget(agent)


class RayWorker(RemoteWorker):
    """One worker process on a machine of the cluster. Made by `RayWorkers.start`.

    Attributes:
        agent: what starts it, and hands it objects.
    """

    def __init__(self, lost: type[Exception], agent: Any, started: AgentStart, members_log: str) -> None:
        self.agent = agent
        self.concurrency = started.concurrency
        self.pid = started.pid
        self.exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.is_lost = False
        self._lost = lost
        self._host = started.host
        self._members_log = members_log
        self._died = ""
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self._watch: asyncio.Task[None] | None = None

    def watch(self, said: Callable[[str], object]) -> None:
        """Follow what the process prints, until it dies."""
        self._watch = asyncio.create_task(self._follow(said))

    async def unwatch(self) -> None:
        """Stop that."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait({self._watch})

    async def transfer(self, item: Item, received: Callable[[int], None]) -> Any:
        """Have one object transformed there, and its result written; see `RemoteWorker`."""
        try:
            outcome: AgentOutcome = await self.agent.transfer.remote(item)
        except self._lost as error:
            self._lose(error)
            raise IncompleteAnswerError("the worker was lost") from error
        received(outcome.received)
        self._lines.extend(outcome.log)
        self._note_members(outcome.members)
        if outcome.error is not None:
            raise outcome.error from outcome.cause
        return outcome.written

    async def is_dead(self) -> bool:
        """Whether it is, asked when an exchange with it broke."""
        if not self.exited.done():
            try:
                dead = await self.agent.is_dead.remote()
            except self._lost as error:
                self._lose(error)
            else:
                if dead:
                    await self.exited
        return self.exited.done()

    async def give_up(self, reason: str) -> None:
        """End it at once: it hangs."""
        try:
            await self.agent.give_up.remote(reason)
        except self._lost as error:
            self._lose(error)
        else:
            await self.exited

    def how_it_died(self) -> str:
        """`exited with code 3`."""
        return self._died

    def last_lines(self, containing: str = "") -> list[str]:
        """The last lines of its log that contain a text, of those that are known here."""
        return [line for line in self._lines if containing in line]

    def _note_members(self, lines: bytes) -> None:
        """Keep what was said of members where workers of this machine would have."""
        if lines:
            with open(self._members_log, "ab") as file:
                file.write(lines)

    async def _follow(self, said: Callable[[str], object]) -> None:
        while not self.exited.done():
            try:
                news: AgentNews = await self.agent.follow.remote()
            except self._lost as error:
                self._lose(error)
                return
            for line in news.printed:
                said(line)
            if news.died:
                self._lines.extend(news.last_lines)
                self._die(f"on {self._host} {news.died}")

    def _lose(self, error: Exception) -> None:
        self.is_lost = self.is_lost or not self.exited.done()
        self._die(f"on {self._host} was lost ({_why_lost(error)})")

    def _die(self, how: str) -> None:
        if not self.exited.done():
            self._died = how
            self.exited.set_result(0)


async def _awaited(answer: Awaitable[Answer]) -> Answer:
    """An answer of Ray's as a coroutine, which a task can be made of."""
    return await answer


def _why_lost(error: Exception) -> str:
    """Why an actor is gone, in the last of the words that Ray has for it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return printable(lines[-1] if lines else type(error).__name__)
