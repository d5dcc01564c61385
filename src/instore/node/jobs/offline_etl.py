"""The jobs `etl-bck` and `etl-listrange`: many objects, counted in the job, their errors kept with the ETLs."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from instore.errors import InstoreError, InvalidRequestError, ObjectNotFoundError
from instore.node.cluster import Cluster, Target
from instore.node.etls.expected_puts import ExpectedPuts
from instore.node.etls.manager import ETL, ETLManager
from instore.node.etls.records import ObjectError
from instore.node.jobs.copy import selected
from instore.node.jobs.named_results import NamedResults
from instore.node.jobs.registry import Job
from instore.node.jobs.synchronize import check_synchronize, remove_stale
from instore.node.jobs.target_transform import (
    NOT_FOUND,
    TargetTransform,
    Transformation,
    TransformObserver,
    failed_job,
    run_all,
)
from instore.node.request import Node
from instore.offline.interfaces import Item, ItemResult, ItemState
from instore.offline.naming import Naming
from instore.offline.selection import Selection
from instore.store.names import Bucket

logger = logging.getLogger("instore")

_SERIAL = -1  # what AIStore calls no workers


@dataclass(frozen=True, slots=True)
class ETLJobSpec:
    """What a client asks of a job.

    Attributes:
        kind: `etl-bck` or `etl-listrange`.
        names: of the ETLs, in order.
        source, destination: buckets, both there.
        selection: which objects.
        renaming: what their results are called.
        dry: throw results away, and keep the errors.
        continue_on_error: a failed object doesn't stop the job.
        lanes: objects under way at once transforms each target; 0: as many as the servers take.
        latest, synchronize: as the client says; see `docs/node.md`.
    """

    kind: str
    names: tuple[str, ...]
    source: Bucket
    destination: Bucket
    selection: Selection
    naming: Naming
    dry: bool
    continue_on_error: bool
    slots: int
    latest: bool
    synchronize: bool

    @classmethod
    def parse(cls, kind: str, source: Bucket, destination: Bucket, selection: Selection, message: Any) -> "ETLJobSpec":
        """Read a request's message."""
        dry = bool(message.get("dry_run"))
        naming = Naming.from_message(message)
        check_synchronize(source, destination, message)
        if source == destination and not dry:
            raise InvalidRequestError(f"cannot {kind} bucket {source} onto itself; name another bucket for the results")
        return cls(
            kind,
            _names(message),
            source,
            destination,
            selection,
            naming,
            dry,
            bool(message.get("coer")),
            _lanes(message.get("num-workers")),
            bool(message.get("latest-ver")),
            bool(message.get("synchronize")),
        )


class ETLJobObserver(TransformObserver):
    """Counts in the job; keeps errors with the ETLs."""

    def __init__(self, job: Job, etls: ETLManager, used: list[ETL]) -> None:
        self._job = job
        self._etls = etls
        self._used = used

    def done(self, target: Target, owner: Target, result: ItemResult) -> None:
        """Count the object where it lay, and its result where it went."""
        size = result.result_bytes or 0
        self._job.count_result(target.id, size, owner.id)
        for etl in self._used:
            etl.counters.objects += 1
        self._used[0].counters.in_bytes += result.item.size
        self._used[-1].counters.out_bytes += size

    def skipped(self, name: str, reason: str) -> None:
        """Say so: AIStore's clients know of no such thing."""
        logger.info("job %s skipped %s: %s", self._job.id, name, reason)

    def failed(self, error: ObjectError) -> None:
        """Keep the error with each ETL of the pipeline."""
        for etl in self._used:
            self._etls.records.add_error(etl.name, self._job.id, error)


class TransformJobs:
    """Begins jobs."""

    def __init__(self, node: Node, etls: ETLManager, expected_puts: ExpectedPuts) -> None:
        self._node = node
        self._etls = etls
        self._deliveries = expected_puts

    async def start(self, request: ETLJobSpec) -> Job:
        """Begin a job."""
        used = await self._etls.running(request.names)

        async def work(job: Job) -> None:
            await self._work(job, request, used)

        return self._node.jobs.start(
            request.kind, work, request.source, request.destination, workers=request.slots or 1
        )

    async def _work(self, job: Job, request: ETLJobSpec, used: list[ETL]) -> None:
        cluster = self._node.cluster
        named = None
        if len(used) == 1 and not request.synchronize:  # which removes what has no object of its name
            named = NamedResults(cluster, request.source, request.destination, request.naming, request.dry)
        what = Transformation(
            job.id,
            used,
            request.source,
            request.destination,
            request.dry,
            "",
            request.continue_on_error,
            request.slots,
            by_body=request.latest or request.synchronize,
            named=named,
        )
        observer = ETLJobObserver(job, self._etls, used)
        transforms = [
            (
                TargetTransform(what, target, self._etls, self._deliveries, cluster, observer),
                items(cluster, target, request),
            )
            for target in cluster.targets
        ]
        try:
            await run_all(transforms)
        finally:
            if named is not None:
                named.close()
            job.error = failed_job([one for one, _ in transforms])
        if request.synchronize and not request.dry:
            await cluster.background(
                remove_stale, cluster, request.source, request.destination, request.selection, request.naming
            )


def items(cluster: Cluster, target: Target, request: ETLJobSpec) -> Iterator[Item]:
    """The objects of a request that lie on a target. It blocks: it is gone through in threads."""
    store, source = target.store, request.source
    if request.selection.by_prefix:
        for name in selected(target, source, request.selection):
            yield Item(name, ItemState.TODO, result=request.naming(name))
        return
    for name in request.selection.given():
        if cluster.owner(source, name) is not target:
            continue
        try:
            size = store.stat(source, name).size
        except InstoreError as error:
            yield Item(name, ItemState.FAILED, NOT_FOUND if isinstance(error, ObjectNotFoundError) else str(error))
        else:
            yield Item(name, ItemState.TODO, result=request.naming(name), size=size)


def _names(message: Mapping[str, Any]) -> tuple[str, ...]:
    first, following = message.get("id"), message.get("pipeline") or []
    if not isinstance(first, str) or not first:
        raise InvalidRequestError("the message names no etl (id)")
    if not isinstance(following, list) or not all(isinstance(name, str) and name for name in following):
        raise InvalidRequestError("the pipeline is not a list of names of etls")
    return (first, *following)


def _lanes(value: Any) -> int:
    if value is None or value == 0:
        return 0
    if value == _SERIAL:
        return 1
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise InvalidRequestError(f"num-workers is {value!r}; it is a number, 0 for the default, or -1 for one")
    return value
