"""Jobs over many objects: copies, deletions, the renaming of a bucket. A thread for each target goes over it."""

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from instore.errors import (
    BucketNotFoundError,
    InstoreError,
    InvalidRequestError,
    NameConflictError,
    ObjectNotFoundError,
)
from instore.node.cluster import Cluster, Target
from instore.node.jobs.registry import Failures, Job
from instore.node.jobs.synchronize import check_synchronize, remove_stale
from instore.node.metadata import BucketRecord
from instore.node.request import Node
from instore.offline.naming import Naming
from instore.offline.selection import Selection
from instore.store.names import Bucket

OnObject = Callable[[Job, Target, str], None]


def copy(
    node: Node, kind: str, source: Bucket, destination: Bucket, selection: Selection, message: Mapping[str, Any]
) -> Job:
    """Begin to copy objects."""
    naming = Naming.from_message(message)
    dry = bool(message.get("dry_run"))
    if source == destination and not dry and not naming.prepend and not naming.extensions:
        raise InvalidRequestError(f"{source} can't be copied onto itself; name another bucket, or give a prepend")
    check_synchronize(source, destination, message)

    def one(job: Job, target: Target, name: str) -> None:
        new = naming(name)
        other = node.cluster.owner(destination, new)
        if dry:
            size = target.store.head(source, name).size
        else:
            size = target.store.copy(source, name, other.store, destination, new).size
        job.count(target.id, size, "" if dry else other.id)

    def tidy() -> None:
        remove_stale(node.cluster, source, destination, selection, naming)

    synchronizes = bool(message.get("synchronize")) and not dry
    last = tidy if synchronizes else None
    return start(node, kind, one, source, destination, selection, bool(message.get("coer")), last)


def delete(node: Node, bucket: Bucket, selection: Selection, message: Mapping[str, Any]) -> Job:
    """Begin to delete objects. Those that a list names and that are not there are errors."""
    node.cluster.folder.bucket(bucket)

    def one(job: Job, target: Target, name: str) -> None:
        size = target.store.head(bucket, name).size
        target.store.delete(bucket, name)
        job.count(target.id, size)

    return start(node, "delete-listrange", one, bucket, None, selection, bool(message.get("coer")))


def start(
    node: Node,
    kind: str,
    one: OnObject,
    source: Bucket,
    destination: Bucket | None,
    selection: Selection,
    go_on: bool,
    last: Callable[[], None] | None = None,
) -> Job:
    """Begin a job that does `one` for each object."""
    cluster = node.cluster

    async def work(job: Job) -> None:
        each = _Each(job, one, go_on, selection.must_exist)
        if selection.by_prefix:
            await on_targets(cluster, job, lambda target: each.over(_found(source, target, selection)))
        else:
            await cluster.background(each.over, ((name, cluster.owner(source, name)) for name in selection.given()))
        if last is not None and not job.stopping.is_set():
            await cluster.background(last)

    return node.jobs.start(kind, work, source, destination)


async def on_targets(cluster: Cluster, job: Job, work: Callable[[Target], None]) -> None:
    """Do `work` for each target in a thread of its own, and wait for all of them; one that fails stops the others."""

    def guarded(target: Target) -> None:
        try:
            work(target)
        except BaseException:
            job.stopping.set()
            raise

    ends = await asyncio.gather(
        *(cluster.background(guarded, target) for target in cluster.targets), return_exceptions=True
    )
    for end in ends:
        if end is not None:
            raise end


class _Each:
    """Does something for each object, and keeps account of failures."""

    def __init__(self, job: Job, one: OnObject, go_on: bool, must_exist: bool) -> None:
        self._job = job
        self._one = one
        self._go_on = go_on
        self._must_exist = must_exist
        self._failures = Failures(job)

    def over(self, objects: Iterable[tuple[str, Target]]) -> None:
        """Go over `objects`; several threads may, each over its own."""
        for name, target in objects:
            if self._job.stopping.is_set():
                return
            try:
                self._one(self._job, target, name)
            except BucketNotFoundError:
                raise
            except InstoreError as error:
                if isinstance(error, ObjectNotFoundError) and not self._must_exist:
                    continue  # it has just been deleted, or a template's name was never there
                if not self._go_on:
                    raise
                self._failures.note(error)


def _found(bucket: Bucket, target: Target, selection: Selection) -> Iterator[tuple[str, Target]]:
    return ((name, target) for name in selected(target, bucket, selection))


def selected(target: Target, bucket: Bucket, selection: Selection) -> Iterator[str]:
    """The names of a target's objects that a selection by prefix has; what stands for a folder is none."""
    names = target.store.walk(bucket, selection.prefix, recurse=selection.recurse)
    return names if selection.recurse else (name for name in names if not name.endswith("/"))


async def rename(node: Node, source: Bucket, destination: Bucket) -> Job:
    """Rename a bucket: from now on there is only the new name, and the objects follow.

    Each is moved to where the new name's hash wants it. If the node is stopped meanwhile, it goes on when it starts
    again.
    """
    await node.cluster.disk(node.cluster.check_names, source, destination)
    await node.cluster.disk(node.cluster.begin_rename, source, destination, BucketRecord(time.time_ns()))
    return finish_rename(node, source, destination)


def finish_rename(node: Node, source: Bucket, destination: Bucket, job_id: str = "") -> Job:
    """Move what is left in a bucket that is being renamed.

    An object that can't be moved, since one that was put meanwhile is in its way, stays: then both buckets are there.
    """
    cluster = node.cluster
    left: list[str] = []

    def on(job: Job, target: Target) -> None:
        for name in target.store.walk(source):
            if job.stopping.is_set():
                return
            size = target.store.stat(source, name).size
            try:
                target.store.move(source, name, cluster.owner(destination, name).store, destination)
            except NameConflictError as error:
                left.append(str(error))
            else:
                job.count(target.id, size)

    async def work(job: Job) -> None:
        await on_targets(cluster, job, lambda target: on(job, target))
        if not job.stopping.is_set():
            await cluster.background(cluster.end_rename, source, destination, bool(left))
        if left:
            more = f" (and {len(left) - 1} more)" if len(left) > 1 else ""
            raise NameConflictError(f"what could not be moved is still in {source}: {left[0]}{more}")

    return node.jobs.start("move-bck", work, source, destination, job_id)
