"""Several results of an object, or one with a name or metadata: stored by a node, all of them or none."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from instore.errors import NameConflictError, ObjectNotFoundError
from instore.node.cluster import Cluster
from instore.offline.interfaces import Item, Results
from instore.offline.naming import Naming
from instore.offline.records import MadeResult, ResultRecords, shared
from instore.offline.spool import SpooledResults
from instore.protocol.result_frames import ResultHead
from instore.store.names import Bucket, check_object_name
from instore.store.store import Upload
from instore.system.threads import to_its_end


class KeptResults(NamedTuple):
    """Results that are stored.

    Attributes:
        results: their names and sizes.
    """

    results: Sequence[MadeResult]

    @property
    def size(self) -> int:
        """Bytes of all of them."""
        return sum(result.size for result in self.results)


class NamedResults:
    """The results of one job that have names of their own.

    Args:
        cluster: the node's.
        source, destination: buckets.
        naming: what results are called that have none.
        dry: nothing is stored.
    """

    def __init__(self, cluster: Cluster, source: Bucket, destination: Bucket, naming: Naming, dry: bool) -> None:
        self._cluster = cluster
        self._source = source
        self._destination = destination
        self._naming = naming
        self._dry = dry
        self._names = ResultRecords(naming)

    def close(self) -> None:
        """The job is over."""
        self._names.close()

    async def store(self, item: Item, results: Results) -> KeptResults:
        """Store all results of an object, once the last of them has come."""
        heads: list[tuple[str, ResultHead]] = []
        try:
            async with SpooledResults(self._cluster.disk) as spool:
                async for head, body in results:
                    heads.append((await self._cluster.disk(self._claim, item, head), head))
                    await spool.add(body)
                await spool.begin()
                if not self._dry:
                    await self._store_all(heads, spool)
        except BaseException:
            self._names.release(item.name)
            raise
        return KeptResults([MadeResult(name, head.size) for name, head in heads])

    def _claim(self, item: Item, head: ResultHead) -> str:
        """Take a result's name, if no other object's result has it."""
        name = self._names.claim(item.name, head.name)
        check_object_name(name)
        others = self._naming.origins(name) if head.is_only else ()
        for other in others:
            if other != item.name and self._has(other):
                raise NameConflictError(shared(item.name, other, name))
        return name

    def _has(self, name: str) -> bool:
        try:
            self._cluster.store(self._source, name).stat(self._source, name)
        except ObjectNotFoundError:
            return False
        return True

    async def _store_all(self, heads: Sequence[tuple[str, ResultHead]], spool: SpooledResults) -> None:
        done: list[str] = []
        try:
            for name, head in heads:
                done.append(name)
                upload = await self._cluster.disk(
                    self._cluster.store(self._destination, name).upload, self._destination, name
                )
                await self._store(upload, head, spool)
        except BaseException:
            await to_its_end(asyncio.ensure_future(self._cluster.disk(self._remove, done)))
            raise

    async def _store(self, upload: Upload, head: ResultHead, spool: SpooledResults) -> None:
        try:
            async for piece in spool.pieces(head.size):
                await self._cluster.disk(upload.write, piece)
            await self._cluster.disk(upload.commit, head.metadata)
        finally:
            await self._cluster.disk(upload.abort)

    def _remove(self, names: Sequence[str]) -> None:
        for name in names:
            try:
                self._cluster.store(self._destination, name).delete(self._destination, name)
            except ObjectNotFoundError:
                continue
