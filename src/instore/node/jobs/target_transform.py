"""Objects of a node through ETLs into objects: what the job engine of `target.job` needs to know of it.

One engine runs beside each target, for the objects that lie there, with the servers beside it. A result is delivered by
the last server itself if that can, else it comes back as the answer and is stored from here. Either way it goes to the
target that its name belongs to.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from instore.errors import JobFailedError, SourceError
from instore.etl.communicator import PIECE, TransformRequest
from instore.etl.pod import Pod
from instore.node.cluster import Cluster, Target
from instore.node.etls.expected_puts import ExpectedPut, ExpectedPuts, size_of
from instore.node.etls.manager import ETL, ETLManager
from instore.node.etls.records import ObjectError
from instore.offline.engine import Engine, ItemResult
from instore.offline.folder_source import Item
from instore.protocol.etl_spec import Stage
from instore.protocol.pipeline import join_pipeline
from instore.store.names import Bucket
from instore.store.store import OpenObject, Upload

Result = TypeVar("Result")

RETRIES = 10
"""How often an object is tried again whose answer broke off, or whose delivery failed in a way that may pass."""


@dataclass(frozen=True, slots=True)
class Transformation:
    """What is to be done with objects.

    Attributes:
        job_id: of the job that it is for.
        etls: through which they go, in order; all of them run.
        source, destination: buckets.
        dry: throw results away.
        etl_args: go with every object.
        continue_on_error: a failed object doesn't stop the others.
        lanes: objects under way beside each target; 0: as many as its servers take.
        by_body: send objects' bytes instead of their files' paths.
    """

    job_id: str
    etls: Sequence[ETL]
    source: Bucket
    destination: Bucket
    dry: bool = False
    etl_args: str = ""
    continue_on_error: bool = False
    slots: int = 0
    by_body: bool = False

    @property
    def delivers(self) -> bool:
        """Whether results are put where they belong by the servers themselves."""
        return not self.dry and all(etl.spec.direct_put for etl in self.etls)


class TransformObserver(Protocol):
    """Who counts, and notes errors."""

    def done(self, target: Target, owner: Target, outcome: ItemResult) -> None:
        """An object has been transformed beside `target`, and its result is kept by `owner`."""

    def failed(self, error: ObjectError) -> None:
        """An object has failed."""


@dataclass
class TargetTransform:
    """A transformation beside one target: the order, the sink, the workers and the observer of its engine.

    Attributes:
        what: the transformation.
        target: where its objects lie.
        etls, deliveries, cluster: the node's.
        observer: who is told.
        workers, retries: see `job.JobOptions`.
        failures: how many objects have failed.
        first_failure: the first of them, and why.
    """

    what: Transformation
    target: Target
    etls: ETLManager
    expected_puts: ExpectedPuts
    cluster: Cluster
    observer: TransformObserver
    workers: int = 1
    retries: int = RETRIES
    failures: int = 0
    first_failure: str = ""
    _expected: dict[str, ExpectedPut] = field(default_factory=dict)
    _kept: dict[str, int] = field(default_factory=dict)

    async def run(self, items: Iterator[Item]) -> bool:
        """Transform all of them.

        Returns:
            Whether everything was gone through.

        Raises:
            WorkerError: a server died or was stopped.
        """
        engine: Engine[Pod, Upload] = Engine(self, items, self, self, self)
        try:
            return await engine.run()
        finally:
            for expected in self._expected.values():
                self.expected_puts.settle(expected)

    # As the engine's order

    @property
    def slots(self) -> int:
        """Objects under way at once."""
        return self.what.slots

    @property
    def continue_on_error(self) -> bool:
        """Whether a failed object doesn't stop the others."""
        return self.what.continue_on_error

    @property
    def timeout(self) -> float | None:
        """Seconds that an object may take, in all ETLs together."""
        return time_limit(self.what.etls)

    def path(self, item: Item) -> str:
        """`<bucket>/<object>`."""
        return f"{self.what.source.name}/{item.name}"

    def ask(self, item: Item) -> TransformRequest:
        """How a server is asked for an object."""
        destination = ""
        if self.what.delivers:
            expected = self._expected.get(item.name)
            if expected is None:
                expected = self._expected[item.name] = self.expected_puts.expect(self.what.destination, item.result)
            expected.size = None
            destination = expected.entry(self.what.job_id)
        return ask_for(self.what, self.etls, self.target, self.cluster, item.name, destination)

    def delivered(self, item: Item) -> int:
        """Bytes of a result that a server says it has delivered."""
        return size_of(self._expected[item.name])

    # As its workers

    async def start(self) -> Pod:
        """The server beside the target; there is one, and none takes its place."""
        return self.etls.pod(self.what.etls[0], self.target)

    async def discard(self, pod: Pod) -> None:
        """The ETL buries it."""

    # As its sink

    async def write(self, item: Item, body: AsyncIterator[bytes]) -> int:
        """Store a result, or throw it away."""
        if self.what.dry:
            return sum([len(piece) async for piece in body])

        def kept(size: int) -> None:
            self._kept[item.name] = size

        return await store_pieces(self.cluster, self.what.destination, item.result, body, kept)

    async def commit(self, batch: Sequence[tuple[Upload, str]]) -> list[str]:
        """Results have their names already."""
        return [""] * len(batch)

    async def flush(self) -> None:
        """What is stored survives the process; more is not promised."""

    # As its observer

    def settled(self, outcome: ItemResult) -> None:
        """An object is done with."""
        item = outcome.item
        expected = self._expected.pop(item.name, None)
        kept = self._kept.pop(item.name, None)
        there = kept if expected is None else self.expected_puts.settle(expected)
        if outcome.error and there is not None:
            outcome = outcome._replace(error="", result_bytes=there)  # it is there, whatever came after
        if outcome.error:
            self.failures += 1
            name, error = self.what.source.object(item.name), self._explained(outcome.error)
            self.first_failure = self.first_failure or f"{name}: {error}"
            self.observer.failed(ObjectError(name, error))
        else:
            self.observer.done(self.target, self._keeper(item, expected), outcome)

    def _keeper(self, item: Item, expected: ExpectedPut | None) -> Target:
        """The target that keeps the result of `item`."""
        if self.what.dry:
            return self.target
        return expected.owner if expected else self.cluster.owner(self.what.destination, item.result)

    def _explained(self, error: str) -> str:
        """An object's error; where an ETL has gone, what that means to an object is the smaller part of the truth."""
        gone = next((etl for etl in self.what.etls if etl.stage is Stage.ABORTED), None)
        return error if gone is None or gone.name in error else f"{gone.aborted()} ({error})"

    def received(self, size: int) -> None:
        """Nobody watches the bytes come."""

    def noted(self, text: str) -> None:
        """The ETL tells of a server's death."""


def ask_for(
    what: Transformation, etls: ETLManager, target: Target, cluster: Cluster, name: str, destination: str = ""
) -> TransformRequest:
    """How the first ETL of a transformation is asked for an object.

    Args:
        what: the transformation.
        etls: the node's.
        target: where the object lies.
        cluster: the node's.
        name: the object.
        destination: the pipeline's last entry, if the result is to be delivered.

    Raises:
        WorkerError: a server is not there any more.
    """
    following = [etls.pod(etl, target).url for etl in what.etls[1:]]
    return TransformRequest(
        path=f"{what.source.name}/{name}",
        fqn=target.store.path(what.source, name),
        etl_args=what.etl_args,
        uname=str(what.source.uname(name)),
        pipeline=join_pipeline(following, destination),
        delivers=bool(destination),
        body=(lambda: ObjectStream(cluster, target, what.source, name)) if what.by_body else None,
    )


class ObjectStream:
    """An object's bytes, as a request's body. What is opened is closed with the stream's last reference."""

    def __init__(self, cluster: Cluster, target: Target, bucket: Bucket, name: str) -> None:
        self.drained = False
        self._cluster = cluster
        self._target = target
        self._object = (bucket, name)
        self._opened: OpenObject | None = None
        self._position = 0

    async def take(self) -> bytes:
        """The next piece; empty at the end."""
        if self.drained:
            return b""
        return await self._cluster.disk(self._read)

    def _read(self) -> bytes:
        if self._opened is None:
            self._opened = self._target.store.open(*self._object)
            weakref.finalize(self, self._opened.close)
        piece = self._opened.read(self._position, PIECE)
        self._position += len(piece)
        self.drained = self._position >= self._opened.entry.size
        if not piece and not self.drained:
            raise SourceError(f"{self._object[0].object(self._object[1])} ended before its length")
        return piece


async def store_pieces(
    cluster: Cluster, bucket: Bucket, name: str, body: AsyncIterator[bytes], kept: Callable[[int], None]
) -> int:
    """Store an object that comes in pieces, a small one in one hop to a thread.

    Args:
        cluster: where to.
        bucket, name: what it is to be.
        body: its bytes.
        kept: is called with their number when it is there, also if the caller has been cancelled just before.

    Returns:
        Their number.
    """
    store = cluster.store(bucket, name)
    first = await anext(body, b"")
    second = await anext(body, b"")

    def keep(upload: Upload, pieces: Sequence[bytes] = ()) -> int:
        with upload:
            for piece in pieces:
                upload.write(piece)
            size = upload.commit().size
        kept(size)
        return size

    if not second:
        return await _to_its_end(cluster.disk(lambda: keep(store.upload(bucket, name), [first])))
    upload = await cluster.disk(store.upload, bucket, name)
    try:
        for piece in (first, second):
            await _to_its_end(cluster.disk(upload.write, piece))
        async for piece in body:
            await _to_its_end(cluster.disk(upload.write, piece))
        return await _to_its_end(cluster.disk(keep, upload))
    finally:
        await asyncio.shield(cluster.disk(upload.abort))


async def _to_its_end(work: Coroutine[None, None, Result]) -> Result:
    """Wait for work of a thread; who is cancelled waits for its end, too, and so knows what it has done."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise


def time_limit(etls: Sequence[ETL]) -> float:
    """Seconds that an object may take in all of a pipeline."""
    return sum(etl.spec.obj_timeout for etl in etls)


def failed_job(beside: Sequence[TargetTransform]) -> str:
    """What a job says of the objects that failed; empty if none did."""
    count = sum(one.failures for one in beside)
    first = next((one.first_failure for one in beside if one.first_failure), "")
    return first + (f" (and {count - 1} more failed)" if count > 1 else "")


async def run_all(beside: Sequence[tuple[TargetTransform, Iterator[Item]]]) -> None:
    """Run a transformation beside all targets; where one can't go on, all stop.

    Raises:
        JobFailedError: an object failed, and the others were not to go on.
        WorkerError: a server died or was stopped.
    """
    runs = [asyncio.create_task(one.run(items)) for one, items in beside]
    try:
        for run in asyncio.as_completed(runs):
            if not await run:
                break
    finally:
        for task in runs:
            task.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
    if any(not run.cancelled() and run.exception() is None and not run.result() for run in runs):
        raise JobFailedError(failed_job([one for one, _ in beside]))
