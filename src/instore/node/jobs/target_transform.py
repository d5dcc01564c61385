"""Objects of a node through ETLs into objects: what the engine needs to know of it, in its four roles.

One engine runs beside each target, for the objects that lie there, with the servers beside it. A result is delivered by
the last server itself if that can, else it comes back as the answer and is stored from here. Either way it goes to the
target that its name belongs to.
"""

import asyncio
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from instore.errors import AnswerError, JobFailedError, SourceError
from instore.etl.communicator import PIECE, TransformRequest
from instore.etl.pod import Pod
from instore.node.bodies import writing
from instore.node.cluster import Cluster, Target
from instore.node.etls.expected_puts import ExpectedPut, ExpectedPuts, size_of
from instore.node.etls.manager import ETL, ETLManager
from instore.node.etls.records import ObjectError
from instore.node.jobs.named_results import KeptResults, NamedResults
from instore.node.jobs.registry import with_more
from instore.offline.engine import Engine
from instore.offline.interfaces import Item, ItemResult, ItemState, JobOptions, Results
from instore.protocol.etl_spec import Communication, Stage
from instore.protocol.pipeline import join_pipeline
from instore.store.names import Bucket
from instore.store.store import OpenObject, Upload

NOT_FOUND = "object not found"
"""What AIStore says of an object that a request names and that is not there."""

_NOT_FOUND_CODE = 202  # so does this
_UNKNOWN_CODE = 500  # where no server has answered

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
        named: keeps results that have names of their own; None: objects have one result each.
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
    named: NamedResults | None = None

    @property
    def delivers(self) -> bool:
        """Whether results are put where they belong by the servers themselves."""
        return not self.dry and all(etl.spec.direct_put for etl in self.etls)


class TransformObserver(Protocol):
    """Who counts, and notes errors."""

    def done(self, target: Target, owner: Target, outcome: ItemResult) -> None:
        """An object has been transformed beside `target`, and its result is kept by `owner`."""

    def skipped(self, name: str, reason: str) -> None:
        """The transform has skipped an object."""

    def failed(self, error: ObjectError) -> None:
        """An object has failed."""


@dataclass
class TargetTransform:
    """A transformation beside one target, and what its engine's source, workers, destination and observer share.

    Attributes:
        what: the transformation.
        target: where its objects lie.
        etls, expected_puts, cluster: the node's.
        observer: who counts.
        retries: see `JobOptions`.
        failures: how many objects have failed.
        first_failure, first_code: the first of them, and why; an HTTP status that says so.
        puts: the expected put of each object under way, by its name.
        stored: bytes of what was stored from here, by the object's name.
    """

    what: Transformation
    target: Target
    etls: ETLManager
    expected_puts: ExpectedPuts
    cluster: Cluster
    observer: TransformObserver
    retries: int = RETRIES
    failures: int = 0
    first_failure: str = ""
    first_code: int = 0
    puts: dict[str, ExpectedPut] = field(default_factory=dict)
    stored: dict[str, int] = field(default_factory=dict)

    async def run(self, items: Iterator[Item]) -> bool:
        """Transform all of them."""
        what = self.what
        options = JobOptions(
            etl_args=what.etl_args,
            continue_on_error=what.continue_on_error,
            slots=what.slots,
            retries=self.retries,
            timeout=time_limit(what.etls),
        )
        try:
            return await Engine(
                options, items, _TargetObjects(self), _TargetServer(self), _TargetResults(self), _TargetObserver(self)
            ).run()
        finally:
            for put in self.puts.values():
                self.expected_puts.settle(put)

    def fail(self, name: str, error: str, code: int) -> None:
        """Note a failed object."""
        self.failures += 1
        if self.failures == 1:
            self.first_failure, self.first_code = f"{name}: {error}", code
        self.observer.failed(ObjectError(name, error, code))


class _TargetObjects:
    """The engine's source: a target's objects."""

    def __init__(self, transform: TargetTransform) -> None:
        self._transform = transform

    def path(self, item: Item) -> str:
        """`<bucket>/<object>`."""
        return f"{self._transform.what.source.name}/{item.name}"

    def request(self, item: Item, etl_args: str) -> TransformRequest:  # noqa: ARG002  # the transformation has them
        """The request for an object, and the put of its result, if that is expected."""
        own, destination = self._transform, ""
        if own.what.delivers:
            put = own.puts.get(item.name)
            if put is None:
                put = own.puts[item.name] = own.expected_puts.expect(own.what.destination, item.result)
            put.size = None
            destination = put.entry(own.what.job_id)
        return request_for(own.what, own.etls, own.target, own.cluster, item.name, destination)


class _TargetServer:
    """The engine's workers: the ETL's server beside the target. There is one, and none takes its place."""

    def __init__(self, transform: TargetTransform) -> None:
        self._transform = transform

    async def start(self) -> Pod:
        """The server."""
        return self._transform.etls.pod(self._transform.what.etls[0], self._transform.target)

    async def discard(self, pod: Pod) -> None:
        """The ETL discards it."""


class _TargetResults:
    """The engine's destination: results that the servers put themselves, or that are stored from here."""

    def __init__(self, transform: TargetTransform) -> None:
        self._transform = transform

    async def write(self, item: Item, body: AsyncIterator[bytes], _content_type: str) -> int:
        """Store a result, or throw it away."""
        own = self._transform
        if own.what.dry:
            return sum([len(piece) async for piece in body])

        def stored(size: int) -> None:
            own.stored[item.name] = size

        return await store_pieces(own.cluster, own.what.destination, item.result, body, stored)

    async def write_results(self, item: Item, results: Results) -> KeptResults:
        """Store several results, or throw them away."""
        if self._transform.what.named is None:
            raise AnswerError("the server gave several results where one was expected")
        return await self._transform.what.named.store(item, results)

    async def skip(self, item: Item, reason: str) -> KeptResults:  # noqa: ARG002
        """Nothing is stored."""
        return KeptResults(())

    async def commit(self, batch: Sequence[tuple[KeptResults, str]]) -> list[str]:
        """Results are committed when they are stored."""
        return [""] * len(batch)

    async def flush(self) -> None:
        """What is stored survives the process; more is not promised."""

    def delivered(self, item: Item) -> int:
        """Bytes of a result that a server says it has delivered."""
        return size_of(self._transform.puts[item.name])


class _TargetObserver:
    """The engine's observer."""

    def __init__(self, transform: TargetTransform) -> None:
        self._transform = transform

    def settled(self, result: ItemResult) -> None:
        """An object is done with."""
        own, item = self._transform, result.item
        put = own.puts.pop(item.name, None)
        stored = own.stored.pop(item.name, None)
        there = stored if put is None else own.expected_puts.settle(put)
        if result.error and there is not None:
            result = result._replace(error="", result_bytes=there)  # it is there, whatever came after
        if result.error == NOT_FOUND:
            own.fail(own.what.source.object(item.name), NOT_FOUND, _NOT_FOUND_CODE)
        elif result.error:
            error = etl_error(self._explained(result.error))
            own.fail(own.what.source.object(item.name), error, result.code or _UNKNOWN_CODE)
        elif item.state is ItemState.SKIPPED:
            own.observer.skipped(own.what.source.object(item.name), item.reason)
        else:
            own.observer.done(own.target, self._owner(item, put), result)

    def _owner(self, item: Item, put: ExpectedPut | None) -> Target:
        """The target that has the result of `item`."""
        own = self._transform
        if own.what.dry or not item.result:
            return own.target
        return put.owner if put else own.cluster.owner(own.what.destination, item.result)

    def _explained(self, error: str) -> str:
        """An object's error; where an ETL has gone, what that means to an object is the smaller part of the truth."""
        gone = next((etl for etl in self._transform.what.etls if etl.stage is Stage.ABORTED), None)
        return error if gone is None or gone.name in error else f"{gone.aborted()} ({error})"

    def received(self, size: int) -> None:
        """Nobody watches the bytes come."""

    def noted(self, text: str) -> None:
        """The ETL tells of a server's death."""


def request_for(
    what: Transformation, etls: ETLManager, target: Target, cluster: Cluster, name: str, destination: str = ""
) -> TransformRequest:
    """The request to the first ETL of a transformation for an object."""
    following = [etls.pod(etl, target).url for etl in what.etls[1:]]
    by_websocket = what.etls[0].spec.communication is Communication.WS
    return TransformRequest(
        path=name if by_websocket else f"{what.source.name}/{name}",
        fqn=target.store.path(what.source, name),
        etl_args=what.etl_args,
        uname=str(what.source.uname(name)),
        pipeline=join_pipeline(following, destination),
        delivers=bool(destination),
        body=(lambda: ObjectStream(cluster, target, what.source, name)) if what.by_body else None,
        takes_results=what.named is not None,
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
    cluster: Cluster, bucket: Bucket, name: str, body: AsyncIterator[bytes], stored: Callable[[int], None]
) -> int:
    """Store an object that comes in pieces, a small one in one hop to a thread."""
    store = cluster.store(bucket, name)
    first = await anext(body, b"")
    second = await anext(body, b"")

    def keep(upload: Upload, pieces: Sequence[bytes] = ()) -> int:
        with upload:
            for piece in pieces:
                upload.write(piece)
            size = upload.commit().size
        stored(size)
        return size

    if not second:
        return await cluster.disk(lambda: keep(store.upload(bucket, name), [first]))
    async with writing(cluster, lambda: store.upload(bucket, name)) as upload:
        for piece in (first, second):
            await cluster.disk(upload.write, piece)
        async for piece in body:
            await cluster.disk(upload.write, piece)
        return await cluster.disk(keep, upload)


def etl_error(reason: str) -> str:
    """An object's error as AIStore tells it."""
    return f"ETL error: {reason}"


def time_limit(etls: Sequence[ETL]) -> float:
    """Seconds that an object may take in all of a pipeline."""
    return sum(etl.spec.obj_timeout for etl in etls)


def failed_job(transforms: Sequence[TargetTransform]) -> str:
    """What a job says of the objects that failed; empty if none did."""
    count = sum(one.failures for one in transforms)
    first = next((one.first_failure for one in transforms if one.first_failure), "")
    return with_more(first, count - 1)


async def run_all(transforms: Sequence[tuple[TargetTransform, Iterator[Item]]]) -> None:
    """Run a transformation beside all targets; where one can't go on, all stop."""
    runs = [asyncio.create_task(one.run(items)) for one, items in transforms]
    try:
        for run in asyncio.as_completed(runs):
            if not await run:
                break
    finally:
        for task in runs:
            task.cancel()
        await asyncio.gather(*runs, return_exceptions=True)
    if any(not run.cancelled() and run.exception() is None and not run.result() for run in runs):
        raise JobFailedError(failed_job([one for one, _ in transforms]))
