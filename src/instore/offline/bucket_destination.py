"""A bucket of a store elsewhere as a destination: a result is sent only when all of it is here."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from types import TracebackType
from typing import IO, Self

from instore.errors import AnswerError, InvalidRequestError, NameConflictError
from instore.offline.interfaces import NOT_DELIVERED, CommittedError, Item, Stored
from instore.offline.lookup import Lookup
from instore.offline.remote_bucket import RemoteBucket, configuring
from instore.offline.spool import gathered
from instore.store.names import check_object_name


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

    async def write(self, item: Item, body: AsyncIterator[bytes], _content_type: str) -> int:
        """Store the result of `item`: sent only when all of it is here, so that a part is never committed."""
        async with gathered(body, self.bucket.in_thread) as content:
            return await self._put(item, content)

    async def commit(self, batch: Sequence[tuple[Stored, str]]) -> list[str]:
        """Results are committed when they are stored."""
        return [""] * len(batch)

    async def flush(self) -> None:
        """The store keeps what it has acknowledged."""

    def delivered(self, item: Item) -> int:  # noqa: ARG002
        """There is nowhere to deliver it to."""
        raise AnswerError(NOT_DELIVERED)

    async def _put(self, item: Item, content: bytes | IO[bytes]) -> int:
        stored: list[int] = []
        try:
            await self.bucket.in_thread(lambda: stored.append(self.bucket.put(item.result, content)))
        except asyncio.CancelledError:
            if stored:
                raise CommittedError(stored[0]) from None
            raise
        return stored[0]
