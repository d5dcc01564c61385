"""The cluster that a node stands for: targets with their stores, buckets over all of them, and who has which object."""

import contextlib
import heapq
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import ParamSpec, TypeVar

from instore.errors import BucketExistsError, InstoreError, InvalidRequestError, NameConflictError
from instore.node.metadata import BucketRecord, NodeFolder
from instore.node.statistics import Statistics
from instore.store.names import Bucket
from instore.store.placement import digest, owner
from instore.store.store import Store
from instore.system.pace import DiskPace
from instore.system.threads import in_thread

logger = logging.getLogger("instore")

Given = ParamSpec("Given")
Result = TypeVar("Result")

_THREADS = 16
_BACKGROUND = 16  # threads of jobs; a job has one for each target


@dataclass(frozen=True, slots=True)
class Target:
    """One target.

    Attributes:
        id: as in the cluster map.
        url: `http://HOST:PORT` of its own port, without a trailing slash.
        store: its objects.
        digest: of its id; what placement reckons with.
    """

    id: str
    url: str
    store: Store
    digest: int

    @property
    def location(self) -> str:
        """It as AIStore says where an object is."""
        return f"t[{self.id}]:mp[{self.store.folder}]"


class Cluster:
    """What the node's modules share.

    Args:
        folder: the node's opened folder.
        urls: each target's, in the order of `folder.targets`.
        proxy_url: `http://HOST:PORT` where clients come in.
        token: what a request must bear; empty: none is asked for.
        strict: answer as AIStore does even where that is a fault.

    Attributes:
        targets: all of them.
        folder, proxy_url, token, strict: as given.
        statistics: how often each target has done what.
        changing: is held while buckets come and go.

    Raises:
        ConfigurationError: a target's folder can't be used.
    """

    def __init__(
        self, folder: NodeFolder, urls: Sequence[str], proxy_url: str, token: str = "", strict: bool = False
    ) -> None:
        self.folder = folder
        self.proxy_url = proxy_url
        self.token = token
        self.strict = strict
        self.targets = [
            Target(name, url, Store(f"{folder.path}/{name}"), digest(name))
            for name, url in zip(folder.targets, urls, strict=True)
        ]
        self.statistics = Statistics(folder.targets)
        self.changing = threading.Lock()
        self._digests = [target.digest for target in self.targets]
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="disk")
        self._pace = DiskPace()
        self._sweeper = ThreadPoolExecutor(1, thread_name_prefix="trash")
        self._closing = threading.Event()
        self._background = ThreadPoolExecutor(_BACKGROUND, thread_name_prefix="job")
        for bucket in folder.buckets():
            for target in self.targets:
                target.store.open_bucket(bucket)

    def close(self) -> None:
        """End the threads and let another node have the folder."""
        self._closing.set()
        self._sweeper.shutdown(wait=True, cancel_futures=True)
        self._background.shutdown(wait=True, cancel_futures=True)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self.folder.close()

    async def disk(self, work: Callable[Given, Result], /, *given: Given.args, **named: Given.kwargs) -> Result:
        """Do something that blocks on the disk, in a thread; it may be what cleans up, so it is done in any case."""
        return await in_thread(self._pool, lambda: work(*given, **named), always=True)

    async def quick(self, work: Callable[Given, Result], /, *given: Given.args, **named: Given.kwargs) -> Result:
        """Do something small with the disk: here and now while the disk is quick, else as `disk`."""
        return self.at_once(work, *given, **named) if self.is_quick else await self.disk(work, *given, **named)

    @property
    def is_quick(self) -> bool:
        """Whether the disk has kept nobody waiting lately."""
        return self._pace.is_quick

    def at_once(self, work: Callable[Given, Result], /, *given: Given.args, **named: Given.kwargs) -> Result:
        """Do something small with the disk here and now, and note how long it took; see `quick`."""
        return self._pace.at_once(work, *given, **named)

    async def background(self, work: Callable[Given, Result], /, *given: Given.args, **named: Given.kwargs) -> Result:
        """As `disk`, in the threads that are for jobs, which may take long."""
        return await in_thread(self._background, lambda: work(*given, **named), always=True)

    def owner(self, bucket: Bucket, name: str) -> Target:
        """The target that has, or would have, an object."""
        return self.placed(bucket, name)[1]

    def placed(self, bucket: Bucket, name: str) -> tuple[str, Target]:
        """An object's uname, and the target that has it, or would have it."""
        uname = str(bucket.uname(name))
        return uname, self.targets[owner(self._digests, uname)]

    def store(self, bucket: Bucket, name: str) -> Store:
        """The store of an object in a bucket that must be there."""
        self.folder.bucket(bucket)
        return self.owner(bucket, name).store

    # Buckets. These block.

    def create_bucket(self, bucket: Bucket, record: BucketRecord) -> None:
        """Make an empty bucket on all targets."""
        with self.changing, self.folder.changing() as buckets:
            self.folder.absent(bucket)
            for target in self.targets:
                target.store.create_bucket(bucket)
            buckets[bucket] = record

    def destroy_bucket(self, bucket: Bucket) -> None:
        """Remove a bucket and all its objects, at once for all who look."""
        with self.changing:
            with self.folder.changing() as buckets:
                self.folder.bucket(bucket)
                del buckets[bucket]
            for target in self.targets:
                target.store.drop_bucket(bucket)
        self.empty_trash()

    def create_if_missing(self, bucket: Bucket, record: BucketRecord) -> None:
        """Make a bucket if it isn't there; raises as `create_bucket` does."""
        with contextlib.suppress(BucketExistsError):
            self.create_bucket(bucket, record)

    def begin_rename(self, source: Bucket, destination: Bucket, record: BucketRecord) -> None:
        """Put the bucket `destination` in the place of `source`, whose objects are to be moved."""
        with self.changing, self.folder.changing() as buckets:
            if self.folder.bucket(source).renamed_from:
                raise BucketExistsError(f"bucket {source} is still being renamed; wait for that job")
            self.folder.absent(destination)
            for target in self.targets:
                target.store.create_bucket(destination)
            del buckets[source]
            buckets[destination] = replace(record, renamed_from=asdict(source))

    def end_rename(self, source: Bucket, destination: Bucket, some_left: bool = False) -> None:
        """Forget the bucket that was renamed; all its objects have been moved."""
        with self.changing:
            with self.folder.changing() as buckets:
                record = buckets[destination]
                buckets[destination] = replace(record, renamed_from={})
                if some_left:
                    buckets[source] = buckets[destination]
            if some_left:
                return
            for target in self.targets:
                target.store.drop_bucket(source)
        self.empty_trash()

    def check_names(self, source: Bucket, destination: Bucket) -> None:
        """Check that the objects of one bucket can have the same names in another.

        An object lies on the target that the hash of its bucket and name says, and there its name is a file's path. So
        `d` and `d/e` can be on two targets under one bucket's name, and on one, where they exclude each other, under
        another's.
        """
        above: list[str] = []  # the names, each the beginning of the next, that the one at hand begins with
        for name, _ in self.walk(source):
            while above and not name.startswith(above[-1]):
                above.pop()
            for other in above:
                if name.startswith(f"{other}/") and self.owner(destination, other) is self.owner(destination, name):
                    raise NameConflictError(
                        f"{source} can't become {destination}: {other!r} and {name!r} would lie on one target there, "
                        "where the one is a file and the other needs a folder of that name; copy them under other names"
                    )
            above.append(name)

    def empty_trash(self) -> None:
        """Begin to free the space of buckets that have been destroyed; what is not freed when the node stops, later."""
        self._sweeper.submit(self._sweep)

    def _sweep(self) -> None:
        for target in self.targets:
            try:
                target.store.empty_trash(self._closing)
            except InstoreError as error:
                logger.warning("%s; that is tried again when the next bucket is destroyed", error)

    def walk(
        self, bucket: Bucket, prefix: str = "", after: str = "", recurse: bool = True, targets: Sequence[Target] = ()
    ) -> Iterator[tuple[str, Target]]:
        """The names of a bucket's objects in lexicographic order with the target each lies on, in bounded memory."""
        self.folder.bucket(bucket)
        walks = [_with(target, target.store.walk(bucket, prefix, after, recurse)) for target in targets or self.targets]
        merged = heapq.merge(*walks, key=lambda one: one[0]) if len(walks) > 1 else iter(walks[0])
        last = None
        for name, target in merged:
            if name != last:  # a folder's summary may come from several targets
                yield name, target
            last = name

    def target(self, target_id: str) -> Target:
        """A target by its id."""
        for target in self.targets:
            if target.id == target_id:
                return target
        raise InvalidRequestError(f"no target {target_id!r}; there are {', '.join(self.folder.targets)}")


def _with(target: Target, names: Iterator[str]) -> Iterator[tuple[str, Target]]:
    for name in names:
        yield name, target
