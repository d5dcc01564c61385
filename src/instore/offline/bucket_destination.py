"""A bucket of a store elsewhere as a destination: a result is sent only when all of it is here."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from functools import partial
from types import TracebackType
from typing import IO, Self

from instore.errors import AnswerError
from instore.offline.interfaces import NOT_DELIVERED, ORIGIN, CommittedError, Item, ResultOrigin, Results
from instore.offline.lookup import Lookup
from instore.offline.maker import Maker
from instore.offline.naming import PLAIN_NAMES, Naming
from instore.offline.record_objects import RecordObjects
from instore.offline.records import ResultRecords, check_result
from instore.offline.remote_bucket import RemoteBucket, configuring
from instore.offline.spool import gathered
from instore.offline.stored_in_bucket import ResultsInBucket, StoredInBucket
from instore.protocol.result_frames import ResultHead
from instore.store.names import check_object_name


class BucketDestination:
    """A bucket's objects; a `ListedDestination`. The bucket is made if it is missing.

    Args:
        url: of the bucket.
        naming: what results are called.
        maker: what makes the results, which is kept as a custom property of each; default: that is not kept.

    Attributes:
        remembers: see `RemembersOrigins`.
    """

    folds_names = False
    remembers = True

    def __init__(self, url: str, naming: Naming = PLAIN_NAMES, maker: Maker | None = None) -> None:
        self.bucket = RemoteBucket(url)
        self._maker = maker
        self._origins: dict[str, ResultOrigin] = {}  # of those that are looked at ahead
        self._lookup = Lookup(self.bucket, naming.prepend)
        objects = RecordObjects(self.bucket, naming.prepend)
        self.records = ResultRecords(naming, objects.lines)
        self._several = ResultsInBucket(self.bucket, self.records, objects, _check, self.bucket.in_thread, maker)
        with configuring():
            self.bucket.exists()  # which says what is wrong with the store

    async def __aenter__(self) -> Self:
        with configuring():
            await self.bucket.in_thread(self.bucket.make)
            await self.bucket.in_thread(self.records.read)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is stored is stored; nothing is left half."""
        self.records.close()

    def exists(self, name: str) -> bool:
        """Whether there is a result `name`."""
        _check(name)
        return name in self._lookup

    def has_all(self, names: Sequence[str]) -> bool:  # noqa: ARG002
        """A bucket's records are believed: to look for each result would be a request for each."""
        return True

    def origin(self, name: str) -> ResultOrigin:
        """What the result `name` was made of, by its custom properties."""
        return self._origins.pop(name, None) or self._look(name)

    def look_at(self, names: Sequence[str]) -> None:
        """Look at several results at once."""
        there = [name for name in names if name in self._lookup]
        self._origins = dict(zip(there, self.bucket.in_threads(self._look, there), strict=True))

    async def write(self, item: Item, body: AsyncIterator[bytes], _content_type: str) -> int:
        """Store the result of `item`: sent only when all of it is here, so that a part is never committed."""
        self.records.claim_plain(item.name)
        async with gathered(body, self.bucket.in_thread) as content:
            is_recorded = bool(await self._several.supersede(item))
            size = await self._put(item, content)
            if is_recorded:
                await self._several.has_one(item)
            return size

    async def write_results(self, item: Item, results: Results) -> StoredInBucket:
        """Store several results, or none."""
        return await self._several.write(item, results, partial(self._put_result, item))

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

    async def _put(self, item: Item, content: bytes | IO[bytes]) -> int:
        stored: list[int] = []
        try:
            await self.bucket.in_thread(lambda: stored.append(self.bucket.put(item.result, content, self._kept(item))))
        except asyncio.CancelledError:
            if stored:
                raise CommittedError(stored[0]) from None
            raise
        return stored[0]

    async def _put_result(
        self, item: Item, name: str, head: ResultHead, content: bytes | IO[bytes], _replaces: bool
    ) -> None:
        await self.bucket.in_thread(self.bucket.put, name, content, self._kept(item))
        if head.metadata:
            await self.bucket.in_thread(self.bucket.describe, name, head.metadata)

    def _kept(self, item: Item) -> tuple[str, str] | None:
        """What is kept with a result."""
        if self._maker is None:
            return None
        return ORIGIN, ResultOrigin(*self._maker, item.size, item.modified, item.tag).text

    def _look(self, name: str) -> ResultOrigin:
        return ResultOrigin.of_metadata(*self.bucket.described(name))


_check = partial(check_result, check=check_object_name)
