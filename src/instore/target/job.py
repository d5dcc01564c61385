"""The job engine: objects through workers, each once, whatever dies on the way.

Strategy: one queue, filled by a walk that is never far ahead. Each worker has as many lanes as it runs transforms, and
one more, so that it never waits for us; a lane takes an object, has it transformed and written, and takes the next.
What is written waits for the committer, which gives names to whole batches.

When a worker dies, every object under way in it is a suspect. A new worker runs the suspects alone, one at a time,
before it takes anything else: an object that kills a worker while alone in it has done it, and is reported; those
that merely were beside it are never blamed.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from instore.errors import AnswerError, ConfigurationError, IncompleteAnswerError, WorkerError
from instore.target.communicator import push, push_url
from instore.target.folder import Fate, Item, in_batches
from instore.target.pods import Pod, Pods
from instore.target.printable import printable
from instore.target.results import Written

_AHEAD = 512  # objects in the queue
_UNCOMMITTED = 2048  # results that may wait for their names
_GATHER = 0.2  # seconds in which the results of one batch gather


class Sink(Protocol):
    """Where results go."""

    async def write(self, body: AsyncIterator[bytes]) -> Written:
        """Take a result, piece by piece; `OSError` if it can't be kept."""

    async def commit(self, batch: Sequence[tuple[Written, str]]) -> list[str]:
        """Make results appear under their names; for each, why it could not be done, or an empty text."""

    async def flush(self) -> None:
        """Make what was committed last."""


@dataclass(frozen=True, slots=True)
class Outcome:
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
    def verdict(self) -> str:
        """`done`, `already there`, `skipped` or `failed`."""
        return "failed" if self.error else _VERDICTS[self.item.fate]


_VERDICTS = {Fate.TODO: "done", Fate.THERE: "already there", Fate.SKIPPED: "skipped"}


class Observer(Protocol):
    """Who is told what happens, on the job's event loop."""

    def settled(self, outcome: Outcome) -> None:
        """An item is done with."""

    def received(self, size: int) -> None:
        """So many bytes of results have come."""

    def noted(self, text: str) -> None:
        """Something a person should know, which is no object's error."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be done, and how.

    Attributes:
        bucket: the objects' bucket on the wire.
        etl_args: goes with every object.
        workers: how many processes.
        continue_on_error: a failed object doesn't stop the job.
    """

    bucket: str
    etl_args: str
    workers: int
    continue_on_error: bool


class Job:
    """Puts items through workers.

    Args:
        order: what is to be done.
        items: everything the walk finds, objects and others.
        pods: where workers come from.
        sink: where results go.
        observer: who is told.
    """

    def __init__(self, order: Order, items: Iterator[Item], pods: Pods, sink: Sink, observer: Observer) -> None:
        self._order = order
        self._items = items
        self._pods = pods
        self._sink = sink
        self._observer = observer
        # None ends both; in the first it stays, so that every lane comes across it.
        self._queue: asyncio.Queue[Item | None] = asyncio.Queue(_AHEAD)
        self._written: asyncio.Queue[tuple[Outcome, Written] | None] = asyncio.Queue(_UNCOMMITTED)
        self._fed = False
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
                group.create_task(self._tend())

    async def _feed(self) -> None:
        """Walk, a little ahead of the lanes."""
        async for items in in_batches(self._items):
            for item in items:
                if item.fate is Fate.TODO:
                    await self._queue.put(item)
                else:
                    self._settle(Outcome(item, item.reason if item.fate is Fate.FAILED else ""))
        await self._queue.put(None)
        self._fed = True

    def _is_drained(self) -> bool:
        return self._fed and self._queue.qsize() == 1

    async def _tend(self) -> None:
        """Keep one worker alive and at work until there is none left."""
        pod = await self._pods.start()
        suspects = await self._run_lanes(pod)
        while pod.exited.done():
            self._tell_of_death(pod, suspects)
            for item in suspects:
                pod = await self._living(pod)
                if not await self._attempt(pod, item):
                    self._blame(pod, item)
            if self._is_drained():
                return
            pod = await self._living(pod)
            suspects = await self._run_lanes(pod)

    async def _living(self, pod: Pod) -> Pod:
        """`pod`, or another in its place if it is dead.

        Raises:
            WorkerError: no other could be started.
        """
        if not pod.exited.done():
            return pod
        await self._pods.bury(pod)
        try:
            return await self._pods.start()
        except ConfigurationError as error:
            raise WorkerError(f"a worker that died could not be replaced: {error}") from error

    async def _run_lanes(self, pod: Pod) -> list[Item]:
        """Work until nothing is left or the worker is dead.

        Returns:
            What was under way when it died.
        """
        suspects: list[Item] = []
        async with asyncio.TaskGroup() as lanes:
            for _ in range(pod.concurrency + 1):
                lanes.create_task(self._run_lane(pod, suspects))
        return suspects

    async def _run_lane(self, pod: Pod, suspects: list[Item]) -> None:
        while (item := await self._take(pod)) is not None:
            if not await self._attempt(pod, item):
                suspects.append(item)
                return

    async def _take(self, pod: Pod) -> Item | None:
        """The next object; None when there is none left, or the worker is dead."""
        if pod.exited.done():
            return None
        if self._queue.empty():
            there = asyncio.ensure_future(self._queue.get())
            try:
                await asyncio.wait({there, pod.exited}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                there.cancel()  # if it has nothing yet; then nothing is lost
            item = there.result() if there.done() else None
        else:
            item = self._queue.get_nowait()
        if item is None and not pod.exited.done():
            self._queue.put_nowait(None)
        return item

    async def _attempt(self, pod: Pod, item: Item) -> bool:
        """Have one object transformed and written.

        Returns:
            False if the worker died under it.
        """
        url = push_url(self._order.bucket, item.name, item.path, self._order.etl_args)
        started = time.perf_counter()
        try:
            written = await push(pod.session, url, self._receive)
        except IncompleteAnswerError as error:
            if await pod.is_dead():
                return False
            self._fail(item, f"{error}{self._log_of(pod, item)}", started)
        except AnswerError as error:
            self._fail(item, str(error), started)
        except OSError as error:
            self._fail(item, f"its result could not be written: {error.strerror}", started)
        else:
            seconds = time.perf_counter() - started
            await self._written.put((Outcome(item, "", written.size, seconds), written))
        return True

    async def _receive(self, body: AsyncIterator[bytes]) -> Written:
        return await self._sink.write(self._counted(body))

    async def _counted(self, body: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        async for piece in body:
            self._observer.received(len(piece))
            yield piece

    async def _commit_all(self) -> None:
        """Give names to what is written, batch by batch, until the end is marked."""
        more = True
        while more:
            batch, more = await self._gather_batch()
            errors = await self._sink.commit([(written, outcome.item.result) for outcome, written in batch])
            for (outcome, _), error in zip(batch, errors, strict=True):
                self._settle(outcome if not error else Outcome(outcome.item, error, None, outcome.seconds))

    async def _gather_batch(self) -> tuple[list[tuple[Outcome, Written]], bool]:
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
        self._settle(Outcome(item, error, None, None if started is None else time.perf_counter() - started))

    def _settle(self, outcome: Outcome) -> None:
        self._observer.settled(outcome)
        if outcome.error and not self._order.continue_on_error:
            self._stop.set()

    def _tell_of_death(self, pod: Pod, suspects: Sequence[Item]) -> None:
        again = f"; the {len(suspects)} objects under way in it are run again, one by one" if suspects else ""
        self._observer.noted(f"worker {pod.pid} {pod.how_it_died()}, another takes its place{again}")

    def _blame(self, pod: Pod, item: Item) -> None:
        lines = pod.last_lines()
        last = f"its last log line: {printable(lines[-1])}" if lines else "its log is empty"
        self._fail(item, f"the worker {pod.how_it_died()} twice while transforming it; {last}")

    def _log_of(self, pod: Pod, item: Item) -> str:
        """What the worker's log says of an object whose answer broke off."""
        lines = pod.last_lines(containing=f"object={f'{self._order.bucket}/{item.name}'!r}")
        return f"; the worker's log says: {printable(lines[-1].rpartition('error=')[2])}" if lines else ""


def _raise_first(error: BaseException | None) -> None:
    """Raise the first of what task groups have bundled: the others followed from it, or say the same."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error
