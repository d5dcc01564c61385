"""The job engine: objects through workers, each once, whatever dies on the way.

Strategy: one queue, filled by a walk that is never far ahead. A lane takes an object, has it transformed and written,
and takes the next. Each worker has as many lanes as it runs transforms at once, and more while objects are quick, so
that it never waits for us: the ways in and out take longer than a small transform. What is written waits for the
committer, which gives names to whole batches.

When a worker dies, every object under way in it is a suspect. A new worker runs the suspects alone, one at a time,
before it takes anything else: an object that kills a worker while alone in it has done it, and is reported; those
that merely were beside it are never blamed.

When a store is away, each object fails, slowly, and none of them is to blame: after `MOST_AWAY` of them in a row, with
none done between them, the job ends, whatever the order says of errors.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from instore.errors import ConfigurationError, IncompleteAnswerError, InstoreError, RemoteStoreError, WorkerError
from instore.etl.communicator import Communicator, TransformRequest, TransformResponse
from instore.offline.folder_source import Item, ItemState, in_batches
from instore.system.backoff import backoff
from instore.system.printable import printable

AnyStored = TypeVar("AnyStored", bound="Stored")
AnyWorker = TypeVar("AnyWorker", bound="Worker")

MOST_AWAY = 10
"""Objects in a row that may fail because a store is away; with the last of them the job ends."""

_AHEAD = 512  # objects in the queue
_SPARE = 15  # objects under way in a worker beyond those that it transforms: on their way in, or out
_QUICK = 0.1  # seconds under way that are mostly way, and not transform
_UNCOMMITTED = 2048  # results that may wait for their names
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Seconds between two tries of one object."""
_GATHER = 0.2  # seconds in which the results of one batch gather


class Stored(Protocol):
    """A result that is written, but has not got its name.

    Attributes:
        size: its bytes.
    """

    @property
    def size(self) -> int: ...


class Destination(Protocol[AnyStored]):
    """Where results go."""

    async def write(self, item: Item, body: AsyncIterator[bytes]) -> AnyStored | int:
        """Take the result of `item`, piece by piece; `OSError` if it can't be kept.

        Returns:
            What is to be committed; its size, if it has got its name already.

        Raises:
            NamedLate: cancelled, but too late: the result has got its name.
        """

    async def commit(self, batch: Sequence[tuple[AnyStored, str]]) -> list[str]:
        """Make results appear under their names; for each, why it could not be done, or an empty text."""

    async def flush(self) -> None:
        """Make what was committed last."""


class CommittedLate(asyncio.CancelledError):  # it is a cancellation
    """A sink was cancelled while a result was getting its name, and it got it: the object is done.

    Args:
        size: the result's bytes.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        super().__init__()


class Worker(Protocol):
    """A process that transforms.

    Attributes:
        communicator: how to talk to it.
        concurrency: how many transforms it runs at once.
        exited: done when it has died.
        pid: its id.
    """

    @property
    def communicator(self) -> Communicator: ...

    @property
    def concurrency(self) -> int: ...

    @property
    def exited(self) -> "asyncio.Future[int]": ...

    @property
    def pid(self) -> int: ...

    async def is_dead(self) -> bool:
        """Whether it is, asked when an exchange with it broke."""

    def how_it_died(self) -> str:
        """`exited with code 3`."""

    def last_lines(self, containing: str = "") -> list[str]:
        """The last lines of its log that contain a text."""


class Workers(Protocol[AnyWorker]):
    """Where workers come from."""

    async def start(self) -> AnyWorker:
        """Another worker, ready to be asked; `ConfigurationError` if there is none to be had."""

    async def discard(self, worker: AnyWorker) -> None:
        """Forget one that died."""


class ItemResult(NamedTuple):
    """What became of an item.

    Attributes:
        item: the object, or what was skipped.
        error: why it failed; empty if it didn't.
        result_bytes: size of the result; None without one.
        seconds: from asking to the result's last byte; None if it was not asked for.
    """

    item: Item
    error: str = ""
    result_bytes: int | None = None
    seconds: float | None = None

    @property
    def status(self) -> str:
        """`done`, `already there`, `skipped` or `failed`."""
        return "failed" if self.error else _STATUSES[self.item.state]


_STATUSES = {ItemState.TODO: "done", ItemState.THERE: "already there", ItemState.SKIPPED: "skipped"}


class Observer(Protocol):
    """Who is told what happens, on the job's event loop."""

    def settled(self, outcome: ItemResult) -> None:
        """An item is done with."""

    def received(self, size: int) -> None:
        """So many bytes of results have come."""

    def noted(self, text: str) -> None:
        """Something a person should know, which is no object's error."""


class JobOptions(Protocol):
    """What is to be done, and how.

    Attributes:
        workers: how many processes.
        lanes: objects under way in each at once; 0: as many as it transforms at once, and more while they are quick.
        continue_on_error: a failed object doesn't stop the job.
        retries: how often an object whose answer broke off is tried again, though its worker lives.
        timeout: seconds that one object may take, once the worker has time for it; None: as long as it takes.
    """

    @property
    def workers(self) -> int: ...

    @property
    def slots(self) -> int: ...

    @property
    def continue_on_error(self) -> bool: ...

    @property
    def retries(self) -> int: ...

    @property
    def timeout(self) -> float | None: ...

    def path(self, item: Item) -> str:
        """What `item` is called on the wire, and so in a worker's log."""

    def ask(self, item: Item) -> TransformRequest:
        """How a worker is asked for `item`; called for each try."""

    def delivered(self, item: Item) -> int:
        """Bytes of the result of `item` that a worker says it has delivered.

        Raises:
            AnswerError: it has not.
        """


class ConcurrencyLimit:
    """The lanes of one worker, which come and go.

    Args:
        transforms: how many the worker runs at once.
        fixed: how many lanes there are to be; 0: at least as many as it runs, and more while objects are quick.
    """

    def __init__(self, transforms: int, fixed: int) -> None:
        self._transforms = transforms
        self._least = fixed or transforms
        self._most = fixed or transforms + _SPARE
        self.slots = self._least

    @property
    def turns(self) -> int:
        """How many turns of the worker it may take until an object that is sent now has had its own."""
        return -(-self.slots // self._transforms)

    def grows(self, seconds: float) -> bool:
        """Whether there is to be one lane more, after an object took so long; it is counted."""
        more = seconds < _QUICK and self.slots < self._most
        self.slots += more
        return more

    def shrinks(self, seconds: float) -> bool:
        """Whether there is to be one lane less; it is counted."""
        less = seconds >= _QUICK and self.slots > self._least
        self.slots -= less
        return less


class Engine(Generic[AnyWorker, AnyStored]):
    """Puts items through workers.

    Args:
        order: what is to be done.
        items: everything the walk finds, objects and others.
        workers: where workers come from.
        sink: where results go.
        observer: who is told.
    """

    def __init__(
        self,
        order: JobOptions,
        items: Iterator[Item],
        workers: Workers[AnyWorker],
        sink: Destination[AnyStored],
        observer: Observer,
    ) -> None:
        self._order = order
        self._items = items
        self._workers = workers
        self._sink = sink
        self._observer = observer
        # None ends both; in the first it stays, so that every lane comes across it.
        self._queue: asyncio.Queue[Item | None] = asyncio.Queue(_AHEAD)
        self._written: asyncio.Queue[tuple[ItemResult, AnyStored] | None] = asyncio.Queue(_UNCOMMITTED)
        self._fed = False
        self._away = 0  # objects in a row
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> bool:
        """Do all of it, or stop at the first failure if the order says so.

        However it ends, what has been written until then gets its name.

        Returns:
            Whether everything was gone through.

        Raises:
            ConfigurationError: a worker could not be started.
            WorkerError: a worker that died could not be replaced.
            RemoteStoreError: a store is away.
            OSError: the results' disk failed at the end.
        """
        committer = asyncio.create_task(self._commit_all())
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work, stop, committer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            work.cancel()
            await asyncio.wait({work})
            self._ended.set()
            end = asyncio.ensure_future(self._written.put(None))
            await asyncio.wait({end, committer}, return_when=asyncio.FIRST_COMPLETED)
            end.cancel()  # if the committer failed: nobody takes it then
            await committer
            await self._sink.flush()
        if self._stop.is_set():
            return False
        _raise_first(work.exception())
        return True

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._feed())
            for _ in range(self._order.workers):
                group.create_task(self._run_worker())

    async def _feed(self) -> None:
        """Walk, a little ahead of the lanes."""
        async for items in in_batches(self._items):
            for item in items:
                if item.state is ItemState.TODO:
                    await self._queue.put(item)
                else:
                    self._settle(ItemResult(item, item.reason if item.state is ItemState.FAILED else ""))
        await self._queue.put(None)
        self._fed = True

    def _is_drained(self) -> bool:
        return self._fed and self._queue.qsize() == 1

    async def _run_worker(self) -> None:
        """Keep one worker alive and at work until there is none left."""
        worker = await self._workers.start()
        suspects = await self._run_slots(worker)
        while worker.exited.done():
            self._tell_of_death(worker, suspects)
            worker = await self._run_suspects(worker, suspects)
            if self._is_drained():
                return
            worker = await self._living(worker)
            suspects = await self._run_slots(worker)

    async def _run_suspects(self, worker: AnyWorker, suspects: Sequence[Item]) -> AnyWorker:
        """Run one after the other, each in a worker of its own if it kills it.

        Returns:
            The worker that is there at the end, dead or alive.
        """
        for number, item in enumerate(suspects):
            died = worker.how_it_died() if worker.exited.done() else ""
            try:
                worker = await self._living(worker)
            except WorkerError:
                for lost in suspects[number:]:
                    self._observer.settled(ItemResult(lost, f"it was under way when the worker {died}"))
                raise
            if not await self._attempt(worker, item):
                self._blame(worker, item)
        return worker

    async def _living(self, worker: AnyWorker) -> AnyWorker:
        """`worker`, or another in its place if it is dead.

        Raises:
            WorkerError: no other could be started.
        """
        if not worker.exited.done():
            return worker
        await self._workers.discard(worker)
        try:
            return await self._workers.start()
        except ConfigurationError as error:
            raise WorkerError(f"a worker that died could not be replaced: {error}") from error

    async def _run_slots(self, worker: AnyWorker) -> list[Item]:
        """Work until nothing is left or the worker is dead.

        Returns:
            What was under way when it died.
        """
        suspects: list[Item] = []
        limit = ConcurrencyLimit(worker.concurrency, self._order.slots)
        async with asyncio.TaskGroup() as slots:
            for _ in range(limit.slots):
                slots.create_task(self._run_slot(worker, suspects, limit, slots))
        return suspects

    async def _run_slot(
        self, worker: AnyWorker, suspects: list[Item], limit: ConcurrencyLimit, slots: asyncio.TaskGroup
    ) -> None:
        while (item := await self._take(worker)) is not None:
            began = time.perf_counter()
            if not await self._attempt(worker, item, limit.turns):
                suspects.append(item)
                return
            seconds = time.perf_counter() - began
            if limit.grows(seconds):
                slots.create_task(self._run_slot(worker, suspects, limit, slots))
            elif limit.shrinks(seconds):
                return

    async def _take(self, worker: AnyWorker) -> Item | None:
        """The next object; None when there is none left, or the worker is dead."""
        if worker.exited.done():
            return None
        if self._queue.empty():
            there = asyncio.ensure_future(self._queue.get())
            either: list[asyncio.Future[Any]] = [there, worker.exited]
            try:
                await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()  # if it has nothing yet; then nothing is lost
            item = there.result() if there.done() else None
        else:
            item = self._queue.get_nowait()
        if item is None and not worker.exited.done():
            self._queue.put_nowait(None)
        return item

    async def _attempt(self, worker: AnyWorker, item: Item, turns: int = 1) -> bool:
        """Have one object transformed and written, in as many tries as the order allows.

        Args:
            turns: of the worker that it may have to wait, its own included.

        Returns:
            False if the worker died under it.

        Raises:
            RemoteStoreError: a store is away.
        """
        started = time.perf_counter()
        limit = None if self._order.timeout is None else self._order.timeout * turns
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(limit):
                    written = await self._transfer(worker, item)
            except IncompleteAnswerError as error:
                if await worker.is_dead():
                    return False
                if attempt < self._order.retries:
                    await asyncio.sleep(backoff(attempt, FIRST_PAUSE, LONGEST_PAUSE))
                    attempt += 1
                    continue
                self._fail(item, f"{error}{_tries(attempt)}{self._log_of(worker, item)}", started)
            except InstoreError as error:
                self._fail(item, str(error), started)
                self._end_if_away(error)
            except CommittedLate as late:
                self._settle(ItemResult(item, "", late.size, time.perf_counter() - started))
                raise
            except TimeoutError:
                self._fail(item, f"it took longer than {limit or 0:g} s, and was given up", started)
            except OSError as error:
                self._fail(item, f"its result could not be written: {error.strerror}", started)
            else:
                await self._take_note(item, written, time.perf_counter() - started)
            return True

    async def _transfer(self, worker: AnyWorker, item: Item) -> AnyStored | int:
        """Have one object transformed, once.

        Returns:
            The result, written; its size, if the worker has delivered it.
        """
        answer = await worker.communicator.send(self._order.ask(item))
        if answer is None:
            return self._order.delivered(item)
        try:
            return await self._sink.write(item, self._counted(answer))
        finally:
            await answer.close()

    def _end_if_away(self, error: InstoreError) -> None:
        """Count an object that failed because a store is away, and raise if it is one too many."""
        self._away = self._away + 1 if isinstance(error, RemoteStoreError) and error.is_away else 0
        if self._away == MOST_AWAY and self._order.continue_on_error:
            raise RemoteStoreError(
                f"{MOST_AWAY} objects in a row failed because of the store, so no other is tried; the last: {error}",
                is_away=True,
            )

    async def _take_note(self, item: Item, written: AnyStored | int, seconds: float) -> None:
        self._away = 0
        if isinstance(written, int):
            self._settle(ItemResult(item, "", written, seconds))
        else:
            await self._written.put((ItemResult(item, "", written.size, seconds), written))

    async def _counted(self, answer: TransformResponse) -> AsyncIterator[bytes]:
        async for piece in answer.pieces():
            self._observer.received(len(piece))
            yield piece

    async def _commit_all(self) -> None:
        """Give names to what is written, batch by batch, until the end is marked."""
        more = True
        while more:
            batch, more = await self._gather_batch()
            errors = await self._sink.commit([(written, outcome.item.result) for outcome, written in batch])
            for (outcome, _), error in zip(batch, errors, strict=True):
                self._settle(outcome if not error else ItemResult(outcome.item, error, None, outcome.seconds))

    async def _gather_batch(self) -> tuple[list[tuple[ItemResult, AnyStored]], bool]:
        """What gets written within `_GATHER` seconds of the first, and whether more may come."""
        waiting = [await self._written.get()]
        if waiting[0] is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ended.wait(), _GATHER)
        while not self._written.empty():
            waiting.append(self._written.get_nowait())
        batch = [one for one in waiting if one is not None]
        return batch, len(batch) == len(waiting)

    def _fail(self, item: Item, error: str, started: float | None = None) -> None:
        self._settle(ItemResult(item, error, None, None if started is None else time.perf_counter() - started))

    def _settle(self, outcome: ItemResult) -> None:
        self._observer.settled(outcome)
        if outcome.error and not self._order.continue_on_error:
            self._stop.set()

    def _tell_of_death(self, worker: AnyWorker, suspects: Sequence[Item]) -> None:
        again = f"; the {len(suspects)} objects under way in it are run again, one by one" if suspects else ""
        self._observer.noted(f"worker {worker.pid} {worker.how_it_died()}, another takes its place{again}")

    def _blame(self, worker: AnyWorker, item: Item) -> None:
        lines = worker.last_lines()
        last = f"its last log line: {printable(lines[-1])}" if lines else "its log is empty"
        self._fail(item, f"the worker {worker.how_it_died()} twice while transforming it; {last}")

    def _log_of(self, worker: AnyWorker, item: Item) -> str:
        """What the worker's log says of an object whose answer broke off."""
        lines = worker.last_lines(containing=f"object={self._order.path(item)!r}")
        return f"; the worker's log says: {printable(lines[-1].rpartition('error=')[2])}" if lines else ""


def _raise_first(error: BaseException | None) -> None:
    """Raise the first of what task groups have bundled: the others followed from it, or say the same."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error


def _tries(attempt: int) -> str:
    return f", {attempt + 1} times" if attempt else ""
