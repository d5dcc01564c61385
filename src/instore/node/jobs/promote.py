"""Promotion: files of the node's machine become objects, copied once, without a client in between."""

import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from instore.errors import BucketNotFoundError, InstoreError, InvalidRequestError, ObjectNotFoundError, SourceError
from instore.node.cluster import Target
from instore.node.jobs.registry import Failures, Job
from instore.node.request import Node
from instore.store.names import Bucket, check_object_name
from instore.store.writing import Upload

_FEW = 16  # files that are promoted before the request is answered, as AIStore does
_FIELDS = {"tid", "src", "obj", "rcr", "ovw", "dls", "notshr"}


@dataclass(frozen=True, slots=True)
class Promotion:
    """What a client asks for.

    Attributes:
        path: of a file or a folder.
        name: of the object, or what all names begin with.
        recurse: take the folders in the folder, too.
        overwrite: replace objects that are there; else they stay.
        delete: each file when its object is there.
        target: that is to read it; empty: any.
    """

    path: str
    name: str
    recurse: bool
    overwrite: bool
    delete: bool
    target: str

    @classmethod
    def parse(cls, path: str, value: Mapping[str, Any]) -> "Promotion":
        """Read a request's message, which names the path once or twice."""
        if unknown := sorted(set(value) - _FIELDS):
            raise InvalidRequestError(f"failed to read promote: unknown field {', '.join(unknown)}")
        said, name = value.get("src") or path, value.get("obj") or ""
        if not isinstance(said, str) or not isinstance(name, str) or (path and path != said):
            raise InvalidRequestError(f"promote names its file or folder as {said!r} and as {path!r}; name one path")
        recurse, overwrite, delete = (bool(value.get(key)) for key in ("rcr", "ovw", "dls"))
        return cls(said.rstrip("/") or said, name, recurse, overwrite, delete, str(value.get("tid") or ""))


async def promote(node: Node, bucket: Bucket, asked: Promotion) -> Job | None:
    """Promote a file or the files of a folder; None: it is done, as it is with few of them, and else by a job."""
    node.cluster.folder.bucket(bucket)
    if asked.target:
        node.cluster.target(asked.target)  # it must be there; which one reads makes no difference on one machine
    scratch = node.cluster.targets[0].store.work_folder(bucket)

    def files() -> Iterator[tuple[str, str]]:
        """Their paths, and their objects' names."""
        if not node.promotable.is_folder(asked.path):
            is_whole = asked.name and not asked.name.endswith("/")
            yield asked.path, asked.name if is_whole else asked.name + os.path.basename(asked.path)
            return
        for name in node.promotable.names(asked.path, scratch, asked.recurse):
            yield f"{asked.path}/{name}", asked.name + name

    def few() -> bool:
        """Promote what there is, if there is not much of it."""
        found = list(itertools.islice(files(), _FEW + 1))
        if not found:
            raise InvalidRequestError(f"{asked.path!r} can't be promoted: there are no files in that folder")
        if len(found) > _FEW:
            return False
        for path, name in found:
            _one(node, bucket, asked, path, name)
        return True

    def many(job: Job) -> None:
        """Promote all of it but what can't be, which the job's error tells of."""
        failures = Failures(job)
        for path, name in files():
            if job.stopping.is_set():
                return
            try:
                promoted = _one(node, bucket, asked, path, name)
            except BucketNotFoundError:
                raise
            except InstoreError as error:
                failures.note(error)
            else:
                if promoted is not None:
                    job.count(*promoted)

    if await node.cluster.background(few):
        return None
    return node.jobs.start("promote", lambda job: node.cluster.background(many, job), None, bucket)


def _one(node: Node, bucket: Bucket, asked: Promotion, path: str, name: str) -> tuple[str, int] | None:
    """Promote one file; the target's id, and the bytes. None: there is an object already, and it stays."""
    check_object_name(name)
    target = node.cluster.owner(bucket, name)
    if not asked.overwrite and _is_there(target, bucket, name):
        return None
    with node.promotable.open(path) as descriptor, target.store.upload(bucket, name) as upload:
        _fill(upload, descriptor, path)
        size = upload.commit().size
    if asked.delete:
        node.promotable.delete(path)
    return target.id, size


def _is_there(target: Target, bucket: Bucket, name: str) -> bool:
    try:
        target.store.head(bucket, name)
    except ObjectNotFoundError:
        return False
    return True


def _fill(upload: Upload, descriptor: int, path: str) -> None:
    """Copy a file, which nobody may have changed meanwhile."""
    before = os.fstat(descriptor)
    try:
        upload.fill(descriptor)
    except OSError as error:
        raise SourceError(f"reading {path} failed: {error.strerror}") from error
    after = os.fstat(descriptor)
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns) or upload.size != after.st_size:
        raise SourceError(f"{path} has changed while it was read; promote it again")
