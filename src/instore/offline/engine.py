"""The job engine: objects through workers, each once, whatever dies on the way.

Strategy: one queue, filled by a walk that is never far ahead. A slot takes an object, has it transformed and written,
and takes the next. Each worker has as many slots as it runs transforms at once, and more while objects are quick, so
that it never waits for us: the ways in and out take longer than a small transform. What is written waits for the
committer, which commits whole batches.

When a worker dies, every object under way in it is a suspect. A new worker runs the suspects alone, one at a time,
before it takes anything else: an object that kills a worker while alone in it has done it, and is reported; those
that merely were beside it are never blamed. A worker that takes too long over an object is ended by us, if the options
say so; it is known which of several objects that was only once it is alone, so these are suspects as well.

When a store is away, each object fails, slowly, and none of them is to blame: after `MOST_AWAY` of them in a row, with
none done between them, the job ends, whatever the options say of errors.

A worker elsewhere may be lost with its machine, and no object is to blame. What was under way in it goes back into the
queue, and another is waited for in its place, until the others have done all there is.

However often a job is cancelled, it ends once and whole: its workers, then the committer, then the flush.
"""

import ast
import asyncio
import contextlib
import errno
import itertools
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Generic

from instore.errors import (
    STATUS,
    AnswerError,
    ConfigurationError,
    IncompleteAnswerError,
    InstoreError,
    JobFailedError,
    RemoteStoreError,
    ResultExistsError,
    Skip,
    TransformError,
    WorkerError,
    status_of,
)
from instore.etl.communicator import TransformResponse
from instore.etl.result_stream import ResultStream
from instore.offline.concurrency import ConcurrencyLimit, Turns
from instore.offline.interfaces import (
    AnyStored,
    AnyWorker,
    CommittedError,
    Destination,
    Item,
    ItemResult,
    ItemState,
    JobOptions,
    ObjectSource,
    Observer,
    RemoteWorker,
    Workers,
)
from instore.protocol.headers import RESULTS_TYPE
from instore.protocol.responses import split_frames, with_frames
from instore.system.backoff import backoff
from instore.system.pace import DiskPace
from instore.system.printable import printable
from instore.system.threads import in_thread, to_its_end

MOST_AWAY = 10
"""Objects in a row that may fail because a store is away; with the last of them the job ends."""

SKIPPED_BY_TRANSFORM = "its transform skipped it"
"""Why an object was skipped whose transform gives no reason."""
MOST_LOST = 3
"""Lost workers that an object may have been under way in; with the last of them it fails."""

_AHEAD = 512  # objects in the queue
_BATCH = 256  # items found in one thread hop
_FIRST_BATCH = 16
_UNCOMMITTED = 2048  # results that may wait to be committed
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 2.0  # seconds between tries
TIMED_OUT = 400  # what AIStore answers where an object took too long
_GATHER = 0.2  # seconds in which the results of one batch gather


async def in_batches(items: Iterator[Item], is_local: bool = False) -> AsyncGenerator[list[Item], None]:
    """`items` a batch at a time, each found in a thread, or without one where they are on a disk that is quick.

    The first batches are small, and found in a thread anyhow: behind what a source has at once it reads all the rest.
    """
    pace = DiskPace()
    size = min(_FIRST_BATCH, _BATCH)
    is_begun = False

    def find() -> list[Item]:
        return list(itertools.islice(items, size))

    with ThreadPoolExecutor(1, thread_name_prefix="walk") as pool:
        while batch := pace.at_once(find) if is_local and is_begun and pace.is_quick else await in_thread(pool, find):
            yield batch
            is_begun = size == _BATCH
            size = min(2 * size, _BATCH)


class Engine(Generic[AnyWorker, AnyStored]):
    """Puts items through workers.

    Args:
        is_local: to find `items` takes nothing but a disk of this machine.
    """

    def __init__(
        self,
        options: JobOptions,
        items: Iterator[Item],
        source: ObjectSource,
        workers: Workers[AnyWorker],
        destination: Destination[AnyStored],
        observer: Observer,
        is_local: bool = False,
    ) -> None:
        self._options = options
        self._items = in_batches(items, is_local)
        self._source = source
        self._workers = workers
        self._destination = destination
        self._observer = observer
        # None ends both; in the first it stays, so that every slot comes across it.
        self._queue: asyncio.Queue[Item | None] = asyncio.Queue(_AHEAD)
        self._written: asyncio.Queue[tuple[ItemResult, AnyStored] | None] = asyncio.Queue(_UNCOMMITTED)
        self._lost = Counter[str]()  # workers, by the names of the objects that were under way in them
        self._is_served = False  # a worker has been ready
        self._open = 0  # objects that are in the queue, or were taken from it and are not settled
        self._fed = False
        self._drained = asyncio.Event()  # none is open, and none will come
        self._away = 0  # objects in a row
        self._failures = 0
        self._stop = asyncio.Event()
        self._ended = asyncio.Event()

    async def run(self) -> bool:
        """Do all of it, or stop at the first failure if the options say so.

        However it ends, what has been written until then is committed.
        """
        committer = asyncio.create_task(self._commit_all())
        work = asyncio.create_task(self._work())
        stop = asyncio.create_task(self._stop.wait())
        try:
            await asyncio.wait({work, stop, committer}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stop.cancel()
            work.cancel()
            end = asyncio.create_task(self._finish(work, committer))
            try:
                await to_its_end(end)
            except asyncio.CancelledError:
                end.result()  # raises what went wrong at the end: it matters more
                raise
        if self._stop.is_set():
            return False
        _raise_first(work.exception())
        if not self._drained.is_set():
            raise JobFailedError("objects are left that no worker took: each worker says that it runs none at once")
        return True

    async def _finish(self, work: "asyncio.Task[None]", committer: "asyncio.Task[None]") -> None:
        """Wait for the work, which has been cancelled if it was not over, and commit what it has written."""
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # raised by `run`, unless that is cancelled
        self._ended.set()
        end = asyncio.ensure_future(self._written.put(None))
        await asyncio.wait({end, committer}, return_when=asyncio.FIRST_COMPLETED)
        end.cancel()  # if the committer failed: nobody takes it then
        await committer
        await self._destination.flush()

    async def _work(self) -> None:
        async with asyncio.TaskGroup() as group:
            feed = group.create_task(self._feed())
            async with asyncio.TaskGroup() as workers:
                for _ in range(self._options.workers):
                    workers.create_task(self._run_worker())
            feed.cancel()  # where nobody takes what it has

    async def _feed(self) -> None:
        """Walk, a little ahead of the slots."""
        async for items in self._items:
            for item in items:
                if item.state is ItemState.TODO:
                    self._open += 1
                    await self._queue.put(item)
                else:
                    self._settle(ItemResult(item, item.reason if item.state is ItemState.FAILED else ""))
        self._fed = True
        self._end_if_drained()

    def _close(self) -> None:
        """Note that an object is settled."""
        self._open -= 1
        self._end_if_drained()

    def _end_if_drained(self) -> None:
        if self._fed and not self._open:
            self._drained.set()
            self._queue.put_nowait(None)

    async def _run_worker(self) -> None:
        """Keep one worker alive and at work until there is none left."""
        worker = await self._until_drained(self._workers.start())
        while worker is not None:
            self._is_served = True
            under_way = await self._run_slots(worker)
            if not worker.exited.done():
                return
            self._tell_of_death(worker, under_way)
            if _is_lost(worker):
                worker = await self._replaced(worker, under_way)
                continue
            worker = await self._run_suspects(worker, under_way)
            if self._drained.is_set():
                return
            worker = await self._until_drained(self._living(worker))

    async def _until_drained(self, ready: Coroutine[Any, Any, AnyWorker]) -> AnyWorker | None:
        """A worker once it is ready; None if others have done all that there is before."""
        start = asyncio.ensure_future(ready)
        drained = asyncio.ensure_future(self._drained.wait())
        try:
            await asyncio.wait({start, drained}, return_when=asyncio.FIRST_COMPLETED)
            if start.done() or not self._is_served:
                return await start
            return None
        finally:
            drained.cancel()
            start.cancel()
            await asyncio.wait({start})
            if not start.cancelled():
                start.exception()  # raised above, if it was waited for

    async def _replaced(self, lost: AnyWorker, under_way: Sequence[Item]) -> AnyWorker | None:
        """Another worker in the place of a lost one, once there is room for it; others may do what it had meanwhile."""
        async with asyncio.TaskGroup() as both:
            both.create_task(self._put_back(under_way))
            another = both.create_task(self._until_drained(self._living(lost)))
        return another.result()

    async def _put_back(self, items: Sequence[Item]) -> None:
        for item in items:
            self._lost[item.name] += 1
            if self._lost[item.name] < MOST_LOST:
                await self._queue.put(item)
            else:
                self._fail(item, f"it was under way in {MOST_LOST} workers that were lost, and is not tried again")
                self._close()

    async def _run_suspects(self, worker: AnyWorker, suspects: Sequence[Item]) -> AnyWorker:
        """Run one after the other, each in a worker of its own if it kills it."""
        for number, item in enumerate(suspects):
            died = worker.how_it_died() if worker.exited.done() else ""
            try:
                worker = await self._living(worker)
            except WorkerError:
                for lost in suspects[number:]:
                    self._observer.settled(ItemResult(lost, f"it was under way when the worker {died}"))
                raise
            if await self._attempt(worker, item):
                self._close()
            elif _is_lost(worker):
                await self._put_back([item])
            else:
                self._blame(worker, item)
                self._close()
        return worker

    async def _living(self, worker: AnyWorker) -> AnyWorker:
        """`worker`, or another in its place if it is dead."""
        if not worker.exited.done():
            return worker
        await self._workers.discard(worker)
        try:
            return await self._workers.start()
        except ConfigurationError as error:
            raise WorkerError(f"a worker that died could not be replaced: {error}") from error

    async def _run_slots(self, worker: AnyWorker) -> list[Item]:
        """Work until nothing is left or the worker is dead."""
        suspects: list[Item] = []
        limit = ConcurrencyLimit(worker.concurrency, self._options.slots, self._options.most_slots)
        turns = None
        if self._options.replaces_hung and self._options.timeout is not None:
            turns = Turns(worker.concurrency, self._options.timeout)
        async with asyncio.TaskGroup() as slots:
            for _ in range(limit.slots):
                slots.create_task(self._run_slot(worker, suspects, limit, turns, slots))
        return suspects

    async def _run_slot(
        self,
        worker: AnyWorker,
        suspects: list[Item],
        limit: ConcurrencyLimit,
        turns: Turns | None,
        slots: asyncio.TaskGroup,
    ) -> None:
        while (item := await self._take(worker)) is not None:
            began = time.perf_counter()
            if not await self._attempt(worker, item, limit.turns, turns):
                suspects.append(item)
                return
            self._close()
            seconds = time.perf_counter() - began
            if limit.grows(seconds):
                slots.create_task(self._run_slot(worker, suspects, limit, turns, slots))
            elif limit.shrinks(seconds):
                return

    async def _take(self, worker: AnyWorker) -> Item | None:
        """The next object; None when there is none left, the job is to stop, or the worker is dead."""
        if worker.exited.done() or self._stop.is_set():
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

    async def _attempt(self, worker: AnyWorker, item: Item, wait: int = 1, turns: Turns | None = None) -> bool:
        """Have one object transformed and written, in as many tries as the options allow.

        Args:
            worker: by whom.
            item: the object.
            wait: how many turns of the worker it may take until it has had its own, where `turns` doesn't tell.
            turns: of the worker; None if the object is alone in it, or is not ended when its time is up.

        Returns:
            Whether the object is settled; if not, the worker is dead, and this object or one beside it is why.
        """
        started = time.perf_counter()
        seconds = self._options.timeout
        limit = None if seconds is None or turns is not None else seconds * wait
        attempt = 0
        while True:
            try:
                if seconds is None:
                    result, stored = await self._transferred(worker, item)
                else:
                    async with asyncio.timeout(limit) as timeout:
                        with contextlib.nullcontext() if turns is None else turns.taken(timeout):
                            result, stored = await self._transferred(worker, item)
            except IncompleteAnswerError as error:
                _end_if_out_of_files(error.__cause__)
                if await worker.is_dead():
                    return False
                if attempt < self._options.retries:
                    await asyncio.sleep(backoff(attempt, FIRST_PAUSE, LONGEST_PAUSE))
                    attempt += 1
                    continue
                told = f"{error}{_tries(attempt)}{self._log_of(worker, item)}"
                self._fail(item, told, started, status_of(error))
            except ResultExistsError:
                self._away = 0
                self._settle(ItemResult(item._replace(state=ItemState.THERE), seconds=time.perf_counter() - started))
            except InstoreError as error:
                if _is_the_transforms(error) and attempt < self._options.error_retries:
                    await asyncio.sleep(backoff(attempt, FIRST_PAUSE, LONGEST_PAUSE))
                    attempt += 1
                    continue
                sentence, frames = split_frames(str(error))
                self._fail(item, with_frames(f"{sentence}{_tries(attempt)}", frames), started, status_of(error))
                self._end_if_away(error)
            except (CommittedError, OSError) as error:
                done = error if isinstance(error, CommittedError) else error.__cause__  # where Python 3.13 has it
                if isinstance(done, CommittedError):
                    self._settle(ItemResult(item, "", done.size, time.perf_counter() - started))
                    if _is_cancelled():
                        raise
                elif seconds is not None and timeout.expired():
                    return await self._end_hung(worker, item, turns, limit or seconds or 0.0, started)
                else:
                    _end_if_out_of_files(error)
                    self._fail(item, f"its result could not be written: {_reason(error)}", started)
            else:
                await self._note_written(result._replace(seconds=time.perf_counter() - started), stored)
            return True

    async def _end_hung(self, worker: AnyWorker, item: Item, turns: Turns | None, limit: float, started: float) -> bool:
        """Deal with an object that has taken too long; see `_attempt`."""
        late = f"took longer than {limit:g} s"
        if not self._options.replaces_hung:
            self._fail(item, given_up(limit), started, TIMED_OUT)
            return True
        is_alone = turns is None or turns.end_all()
        await worker.give_up(f"{late} over an object, and was ended")
        if is_alone:
            self._fail(item, f"it {late}, and its worker was ended", started, TIMED_OUT)
        return is_alone

    async def _transferred(self, worker: AnyWorker, item: Item) -> tuple[ItemResult, AnyStored | None]:
        """Have one object transformed, once; what became of it, and what is still to be committed."""
        try:
            done, written = await self.transfer(worker, item)
        except Skip as skip:
            reason = skip.reason or SKIPPED_BY_TRANSFORM
            skipped = item._replace(state=ItemState.SKIPPED, reason=reason, result="")
            return ItemResult(skipped), await self._destination.skip(item, reason)
        if isinstance(written, int):
            return ItemResult(done, "", written), None
        return ItemResult(done, "", written.size, results=written.results), written

    async def transfer(self, worker: AnyWorker, item: Item) -> tuple[Item, AnyStored | int]:
        """Have one object transformed and its result written, once; a worker elsewhere does so there.

        Returns:
            The object, with what its result is called, and what `Destination.write` says of it.

        Raises:
            Skip: the transform has skipped it.
        """
        if isinstance(worker, RemoteWorker):
            return item, await worker.transfer(item, self._observer.received)
        request = self._source.request(item, self._options.etl_args)
        if not self._options.takes_results:
            request = request._replace(takes_results=False)
        if self._options.timeout is not None:  # in a group it couldn't be given up alone
            request = request._replace(is_small=False)
        answer = await worker.communicator.send(request)
        if answer is None:
            return item, self._destination.delivered(item)
        try:
            if request.takes_results and answer.content_type == RESULTS_TYPE:
                results = ResultStream(self._counted(answer)).results()
                return item._replace(result=""), await self._destination.write_results(item, results)
            return item, await self._destination.write(item, self._counted(answer), answer.content_type)
        finally:
            await answer.close()

    def _end_if_away(self, error: InstoreError) -> None:
        """Count an object that failed because a store is away, and raise if it is one too many."""
        self._away = self._away + 1 if isinstance(error, RemoteStoreError) and error.is_away else 0
        if self._away == MOST_AWAY and self._options.continue_on_error:
            raise RemoteStoreError(
                f"{MOST_AWAY} objects in a row failed because of the store, so no other is tried; the last: {error}",
                is_away=True,
            )

    async def _note_written(self, result: ItemResult, stored: AnyStored | None) -> None:
        self._away = 0
        if stored is None:
            self._settle(result)
        else:
            await self._written.put((result, stored))

    async def _counted(self, answer: TransformResponse) -> AsyncIterator[bytes]:
        async for piece in answer.pieces():
            self._observer.received(len(piece))
            yield piece

    async def _commit_all(self) -> None:
        """Commit what is written, batch by batch, until the end is marked."""
        more = True
        while more:
            batch, more = await self._gather_batch()
            errors = await self._destination.commit([(written, result.item.result) for result, written in batch])
            for (result, _), error in zip(batch, errors, strict=True):
                self._settle(result if not error else ItemResult(result.item, error, None, result.seconds))

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

    def _fail(self, item: Item, error: str, started: float | None = None, code: int = 0) -> None:
        seconds = None if started is None else time.perf_counter() - started
        sentence, frames = split_frames(error)
        self._settle(ItemResult(item, sentence, None, seconds, frames, code))

    def _settle(self, result: ItemResult) -> None:
        self._observer.settled(result)
        if not result.error:
            return
        self._failures += 1
        most = self._options.most_failures if self._options.continue_on_error else 0
        if most is not None and self._failures > most:
            self._stop.set()

    def _tell_of_death(self, worker: AnyWorker, suspects: Sequence[Item]) -> None:
        how = "" if _is_lost(worker) else ", one by one"
        again = f"; the {len(suspects)} objects under way in it are run again{how}" if suspects else ""
        self._observer.noted(f"worker {worker.pid} {worker.how_it_died()}, another takes its place{again}")

    def _blame(self, worker: AnyWorker, item: Item) -> None:
        lines = worker.last_lines()
        last = f"its last log line: {printable(lines[-1])}" if lines else "its log is empty"
        self._fail(item, f"the worker {worker.how_it_died()} twice while transforming it; {last}")

    def _log_of(self, worker: AnyWorker, item: Item) -> str:
        """What the worker's log says of an object whose answer broke off."""
        lines = worker.last_lines(containing=f"object={self._source.path(item)!r}")
        if not lines:
            return ""
        said = lines[-1].rpartition("error=")[2]
        with contextlib.suppress(ValueError, SyntaxError):
            sentence, frames = split_frames(ast.literal_eval(said))
            return with_frames(f"; the worker's log says: {sentence!r}", frames)
        return f"; the worker's log says: {printable(said)}"


def _is_lost(worker: object) -> bool:
    return isinstance(worker, RemoteWorker) and worker.is_lost


def given_up(limit: float) -> str:
    """What is said of an object that took too long."""
    return f"timeout: it took longer than {limit:g} s, and was given up"


def _raise_first(error: BaseException | None) -> None:
    """Raise the first of what task groups have bundled: the others followed from it, or say the same."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if error is not None:
        raise error


def _end_if_out_of_files(error: BaseException | None) -> None:
    """Raise what ends the job if no more files can be opened: no object is to blame, and none would fare better."""
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        raise JobFailedError(
            "no more files can be opened; raise the limit with ulimit -n, or give fewer --workers"
        ) from error


def _is_the_transforms(error: InstoreError) -> bool:
    """Whether a worker says that the user's code failed, which another try may do away with."""
    return isinstance(error, AnswerError) and error.status == STATUS[TransformError]


def _is_cancelled() -> bool:
    """Whether the running task is to end, which is more than that its object's time is up."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _reason(error: BaseException) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _tries(attempt: int) -> str:
    return f", {attempt + 1} times" if attempt else ""
