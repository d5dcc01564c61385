"""A bucket of a store elsewhere as a destination: a result is sent only when all of it is here."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import IO, Self

from instore.errors import AnswerError, InvalidRequestError, NameConflictError
from instore.offline.interfaces import NOT_DELIVERED, CommittedError, Item, Stored
from instore.offline.lookup import Lookup
from instore.offline.remote_bucket import RemoteBucket, configuring
from instore.store.names import check_object_name

_AT_ONCE = 4 << 20
"""Bytes up to which a result is held in memory; a larger one gathers in a temporary file before it is sent."""


class BucketDestination:
    """A bucket's objects; a `ListedDestination`. The bucket is made if it is missing."""

    folds_names = False

    def __init__(self, url: str, prefix: str = "") -> None:
        self.bucket = RemoteBucket(url)
        self._lookup = Lookup(self.bucket, prefix)
        with configuring():
            self.bucket.exists()  # which says what is wrong with the store

    async def __aenter__(self) -> Self:
        with configuring():
            await self.bucket.in_thread(self.bucket.make)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is stored is stored; nothing is left half."""

    def exists(self, name: str) -> bool:
        """Whether there is a result `name`."""
        try:
            check_object_name(name)
        except InvalidRequestError as error:
            raise NameConflictError(str(error)) from error
        return name in self._lookup

    async def write(self, item: Item, body: AsyncIterator[bytes]) -> int:
        """Store the result of `item`: sent only when all of it is here, so that a part is never committed."""
        pieces: list[bytes] = []
        size = 0
        async for piece in body:
            pieces.append(piece)
            size += len(piece)
            if size > _AT_ONCE:
                return await self._write_large(item, pieces, body)
        return await self._put(item, b"".join(pieces))

    async def commit(self, batch: Sequence[tuple[Stored, str]]) -> list[str]:
        """Results are committed when they are stored."""
        return [""] * len(batch)

    async def flush(self) -> None:
        """The store keeps what it has acknowledged."""

    def delivered(self, item: Item) -> int:  # noqa: ARG002
        """There is nowhere to deliver it to."""
        raise AnswerError(NOT_DELIVERED)

    async def _write_large(self, item: Item, pieces: list[bytes], body: AsyncIterator[bytes]) -> int:
        with tempfile.TemporaryFile() as file:  # it has no name, so that nothing is left of it however we end
            await self.bucket.in_thread(file.writelines, tuple(pieces))
            pieces.clear()
            async for piece in body:
                await self.bucket.in_thread(file.write, piece)
            return await self._put(item, file)

    async def _put(self, item: Item, content: bytes | IO[bytes]) -> int:
        stored: list[int] = []
        try:
            await self.bucket.in_thread(lambda: stored.append(self.bucket.put(item.result, content)))
        except asyncio.CancelledError:
            if stored:
                raise CommittedError(stored[0]) from None
            raise
        return stored[0]
