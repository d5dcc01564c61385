"""A bucket of a cloud as a destination: a result is sent only when all of it is here."""

import asyncio
import mmap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import IO, Self

from instore.errors import AnswerError, ConfigurationError
from instore.offline.cloud_store import NO_OPTIONS, CloudOptions, CloudStore, check_cloud_name
from instore.offline.interfaces import NOT_DELIVERED, ORIGIN, CommittedError, Item, ResultOrigin, Results
from instore.offline.lookup import Lookup
from instore.offline.maker import Maker
from instore.offline.naming import PLAIN_NAMES, Naming
from instore.offline.record_objects import RecordObjects
from instore.offline.records import ResultRecords, check_result
from instore.offline.remote_bucket import configuring
from instore.offline.spool import gathered
from instore.offline.stored_in_bucket import ResultsInBucket, StoredInBucket
from instore.protocol.result_frames import ResultHead
from instore.system.printable import printable
from instore.system.threads import in_thread, to_its_end

_THREADS = 4  # which write large results into files


class CloudDestination:
    """A bucket's objects; a `ListedDestination`. The bucket must be there.

    Args:
        url: of the bucket.
        naming: what results are called.
        options: see there.
        metadata: gives the user metadata that a result is to have, if it is to have any.
        maker: what makes the results, which is kept in their metadata; default: that is not kept.

    Attributes:
        remembers: see `RemembersOrigins`.

    Raises:
        ConfigurationError: there is no such bucket, or it can't be listed.
    """

    folds_names = False
    remembers = True

    def __init__(
        self,
        url: str,
        naming: Naming = PLAIN_NAMES,
        options: CloudOptions = NO_OPTIONS,
        metadata: Callable[[str], Awaitable[Mapping[str, str]]] | None = None,
        maker: Maker | None = None,
    ) -> None:
        self.bucket = CloudStore(url, options.endpoint)
        self._only_if_free = options.no_clobber
        self._metadata = metadata
        self._maker = maker
        self._origins: dict[str, ResultOrigin] = {}  # of those that are looked at ahead
        self._lookup = Lookup(self.bucket, naming.prepend)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="results")
        objects = RecordObjects(self.bucket, naming.prepend)
        self.records = ResultRecords(naming, objects.lines)
        self._several = ResultsInBucket(self.bucket, self.records, objects, _check, self._in_thread, maker)
        with configuring():
            if not self.bucket.exists():
                raise ConfigurationError(f"DST {printable(url)}: there is no bucket {self.bucket}; make it first")

    async def __aenter__(self) -> Self:
        with configuring():
            await self._in_thread(self.records.read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is stored is stored; nothing is left half."""
        self._pool.shutdown(wait=True)
        self.records.close()

    def exists(self, name: str) -> bool:
        """Whether there is a result `name`."""
        _check(name)
        return name in self._lookup

    def has_all(self, names: Sequence[str]) -> bool:  # noqa: ARG002
        """A bucket's records are believed: to look for each result would be a request for each."""
        return True

    def origin(self, name: str) -> ResultOrigin:
        """What the result `name` was made of, by its metadata."""
        return self._origins.pop(name, None) or self._look(name)

    def look_at(self, names: Sequence[str]) -> None:
        """Look at several results at once."""
        there = [name for name in names if name in self._lookup]
        self._origins = dict(zip(there, self.bucket.in_threads(self._look, there), strict=True))

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> int:
        """Store the result of `item`: sent only when all of it is here, so that a part is never committed."""
        self.records.claim_plain(item.name)
        async with gathered(body, self._in_thread) as content:
            old = await self._several.supersede(item)
            metadata = await self._metadata_of(item)
            attributes = {**metadata, "Content-Type": content_type}
            size = await self._put(item.result, content, attributes, replaces=item.result in old)
            if old:
                await self._several.has_one(item)
            return size

    async def write_results(self, item: Item, results: Results) -> StoredInBucket:
        """Store several results, or none."""
        metadata = await self._metadata_of(item)

        async def put(name: str, head: ResultHead, content: bytes | IO[bytes], replaces: bool) -> None:
            attributes = {**metadata, **head.metadata, "Content-Type": head.content_type}
            await self._put(name, content, attributes, replaces)

        return await self._several.write(item, results, put)

    async def skip(self, item: Item, reason: str) -> StoredInBucket:
        """Note that an object is skipped."""
        return self._several.skip(item, reason)

    async def commit(self, batch: Sequence[tuple[StoredInBucket, str]]) -> list[str]:
        """Results are committed when they are stored, but for the records of several."""
        return [await self._several.commit([stored for stored, _ in batch])] * len(batch)

    async def flush(self) -> None:
        """The store keeps what it has acknowledged."""

    def delivered(self, item: Item) -> int:  # noqa: ARG002
        """There is nowhere to deliver it to."""
        raise AnswerError(NOT_DELIVERED)

    async def _put(self, name: str, content: bytes | IO[bytes], attributes: Mapping[str, str], replaces: bool) -> int:
        data = content if isinstance(content, bytes) else mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
        put = asyncio.ensure_future(
            self.bucket.put(name, data, attributes, only_if_free=self._only_if_free and not replaces)
        )
        try:
            return await to_its_end(put)
        except asyncio.CancelledError:
            if not put.cancelled() and put.exception() is None:
                raise CommittedError(put.result()) from None
            raise

    def _look(self, name: str) -> ResultOrigin:
        return ResultOrigin.of_metadata(*self.bucket.described(name))

    async def _metadata_of(self, item: Item) -> Mapping[str, str]:
        """The user metadata of a result."""
        kept = await self._metadata(item.name) if self._metadata is not None else {}
        others = {key: value for key, value in kept.items() if key != ORIGIN}
        if self._maker is None:
            return others
        return {**others, ORIGIN: ResultOrigin(*self._maker, item.size, item.modified, item.tag).text}

    async def _in_thread(self, function: Callable[..., object], *arguments: object) -> object:
        return await in_thread(self._pool, function, *arguments)


_check = partial(check_result, check=check_cloud_name)
