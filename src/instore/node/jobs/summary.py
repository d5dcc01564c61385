"""The job `summary-bck`: how many objects buckets hold, and how large they are."""

from dataclasses import dataclass
from typing import Any

from instore.errors import InvalidRequestError
from instore.node.cluster import Cluster, Target
from instore.node.jobs.copy import on_targets
from instore.node.jobs.registry import Counts, Job
from instore.node.request import Node
from instore.store.names import Bucket
from instore.system.machine import FileSystem

_BATCH = 1000  # objects that are counted in the job at once


@dataclass(slots=True)
class _Extent:
    """What one target has of a bucket.

    Attributes:
        objects, size: their number, and the sum of their bytes.
        smallest, largest: bytes of one object.
        on_disk: bytes that they take there.
    """

    objects: int = 0
    size: int = 0
    smallest: int = 0
    largest: int = 0
    on_disk: int = 0

    def add(self, size: int, on_disk: int) -> None:
        """Count one object."""
        self.smallest = min(self.smallest, size) if self.objects else size
        self.largest = max(self.largest, size)
        self.objects += 1
        self.size += size
        self.on_disk += on_disk


def start(node: Node, bucket: Bucket | None, prefix: str) -> Job:
    """Begin the summary of a bucket, or of all of them."""
    cluster = node.cluster
    if bucket is not None:
        cluster.folder.bucket(bucket)
    buckets = cluster.folder.buckets() if bucket is None else [bucket]

    async def work(job: Job) -> None:
        job.result = [await _summary(cluster, job, one, prefix) for one in buckets]

    return node.jobs.start("summary-bck", work, bucket)


def of(job: Job) -> list[dict[str, Any]]:
    """What a summary that has ended says of each of its buckets."""
    if job.aborted:
        raise InvalidRequestError(f"the summary failed: {job.error}")
    if job.result is None:
        raise InvalidRequestError(f"the node no longer has what the summary {job.id!r} gave; ask for another one")
    result: list[dict[str, Any]] = job.result
    return result


async def _summary(cluster: Cluster, job: Job, bucket: Bucket, prefix: str) -> dict[str, Any]:
    extents: list[_Extent] = []
    await on_targets(cluster, job, lambda target: extents.append(_measured(job, target, bucket, prefix)))
    disks = {disk.id: disk for disk in (FileSystem.of(target.store.folder) for target in cluster.targets)}
    total = sum(disk.total for disk in disks.values())
    there = [one for one in extents if one.objects]
    objects, size, on_disk = (sum(getattr(one, name) for one in there) for name in ("objects", "size", "on_disk"))
    return {
        **bucket.message,
        "ObjCount": {"obj_count_present": str(objects), "obj_count_remote": "0"},
        "ObjSize": {
            "obj_min_size": min((one.smallest for one in there), default=0),
            "obj_avg_size": size // objects if objects else 0,
            "obj_max_size": max((one.largest for one in there), default=0),
        },
        "TotalSize": {
            "size_on_disk": str(on_disk),
            "size_all_present_objs": str(size),
            "size_all_remote_objs": "0",
            "total_disks_size": str(total),
        },
        "used_pct": on_disk * 100 // total if total else 0,
        "is_present": True,
    }


def _measured(job: Job, target: Target, bucket: Bucket, prefix: str) -> _Extent:
    extent = _Extent()
    counted = Counts()
    for size, on_disk in target.store.sizes(bucket, prefix):
        extent.add(size, on_disk)
        if extent.objects - counted.objects == _BATCH:
            counted = _count(job, target, extent, counted)
            if job.stopping.is_set():
                break
    _count(job, target, extent, counted)
    return extent


def _count(job: Job, target: Target, extent: _Extent, counted: Counts) -> Counts:
    """Count in the job what is not counted yet."""
    now = Counts(extent.objects, extent.size)
    job.add(target.id, Counts(now.objects - counted.objects, now.bytes - counted.bytes))
    return now
