"""How a bucket keeps several results of an object, or none: all are here before one is sent, and a record follows them.

Where one can't be stored, those before it are removed. After a kill some may be there without a record, and the next
job makes them again.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import IO, Any, NamedTuple

from instore.errors import InstoreError, RemoteStoreError, ResultExistsError
from instore.offline.interfaces import CommittedError, Item, Results
from instore.offline.record_objects import RecordObjects, RecordStore
from instore.offline.records import MadeResult, Record, RecordState, ResultRecords
from instore.offline.spool import SpooledResults
from instore.protocol.result_frames import ResultHead
from instore.system.threads import to_its_end

logger = logging.getLogger("instore")


class StoredInBucket(NamedTuple):
    """Results that are stored, or none, of an object whose record is not.

    Attributes:
        record: it.
    """

    record: Record

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(result.size for result in self.record.results)

    @property
    def results(self) -> Sequence[MadeResult]:
        """All of them."""
        return self.record.results


Put = Callable[[str, ResultHead, bytes | IO[bytes], bool], Awaitable[object]]
"""Stores a result under a name; the last argument says whether it may take the place of what has that name."""


class ResultsInBucket:
    """Stores several results.

    Args:
        bucket: where.
        records: what is known of them.
        prepend: what goes before their names.
        check: raises if a name can't be a result's.
        in_thread: runs blocking calls.
    """

    def __init__(
        self,
        bucket: RecordStore,
        records: ResultRecords,
        objects: RecordObjects,
        check: Callable[[str], None],
        in_thread: Callable[..., Awaitable[Any]],
    ) -> None:
        self._bucket = bucket
        self._records = records
        self._objects = objects
        self._check = check
        self._in_thread = in_thread

    async def write(self, item: Item, results: Results, put: Put) -> StoredInBucket:
        """Store all results of an object, or none."""
        try:
            async with SpooledResults(self._in_thread) as spool:
                heads: list[tuple[str, ResultHead]] = []
                async for head, body in results:
                    name = self._records.claim(item.name, head.name)
                    self._check(name)
                    await spool.add(body)
                    heads.append((name, head))
                await spool.begin()
                old = await self.supersede(item)
                await self._put_all(heads, old, spool, put)
        except BaseException:
            self._records.release(item.name)
            raise
        made = [MadeResult(name, head.size) for name, head in heads]
        return StoredInBucket(self._records.record(item.name, RecordState.DONE, made))

    def skip(self, item: Item, reason: str) -> StoredInBucket:
        """What is kept of an object that was skipped."""
        return StoredInBucket(self._records.record(item.name, RecordState.SKIPPED)._replace(reason=reason))

    async def commit(self, batch: Sequence[StoredInBucket]) -> str:
        """Keep records; why that could not be done."""
        if not batch:
            return ""
        try:
            await self._settle([stored.record for stored in batch])
        except (InstoreError, OSError) as error:
            return f"it could not be recorded that it is done: {error}"
        return ""

    async def supersede(self, item: Item) -> Sequence[str]:
        """Note that an object's results, if a record tells of any, are about to be replaced; their names."""
        if self._records.of(item.name) is None:
            return ()
        record = self._records.record(item.name, RecordState.BEGUN)
        await self._objects.append([record])
        self._records.settle(record)
        return record.old

    async def has_one(self, item: Item) -> None:
        """Note that an object which had a record has its one result now."""
        record = self._records.record(item.name, RecordState.PLAIN)
        await self._settle([record._replace(old=[name for name in record.old if name != item.result])])

    async def _settle(self, records: Sequence[Record]) -> None:
        kept = [record._replace(old=()) for record in records]
        await self._objects.append(kept)
        for record, before in zip(kept, records, strict=True):
            self._records.settle(record)
            await self._remove(before.stale)

    async def _put_all(
        self, heads: Sequence[tuple[str, ResultHead]], old: Sequence[str], spool: SpooledResults, put: Put
    ) -> None:
        done: list[str] = []
        try:
            for name, head in heads:
                async with spool.next(head.size) as content:
                    try:
                        await put(name, head, content, name in old)
                    except ResultExistsError:
                        raise
                    except BaseException:
                        done.append(name)  # it may have been stored all the same
                        raise
                    done.append(name)
        except BaseException as error:
            await to_its_end(asyncio.ensure_future(self._remove(done)))
            if isinstance(error, CommittedError):  # one of them was, by then
                raise asyncio.CancelledError from None
            raise

    async def _remove(self, names: Iterable[str]) -> None:
        for name in names:
            try:
                await self._bucket.delete(name)
            except RemoteStoreError as error:
                logger.warning("%s is left in the bucket, and is no result of a whole object: %s", name, error)
