"""A bucket of a cloud as a destination: a result is sent only when all of it is here."""

import asyncio
import mmap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from instore.errors import AnswerError, ConfigurationError, InvalidRequestError, NameConflictError
from instore.offline.cloud_store import NO_OPTIONS, CloudOptions, CloudStore, check_cloud_name
from instore.offline.interfaces import NOT_DELIVERED, CommittedError, Item, Stored
from instore.offline.lookup import Lookup
from instore.offline.remote_bucket import configuring
from instore.offline.spool import gathered
from instore.system.printable import printable
from instore.system.threads import in_thread, to_its_end

_THREADS = 4  # which write large results into files


class CloudDestination:
    """A bucket's objects; a `ListedDestination`. The bucket must be there.

    Args:
        url: of the bucket.
        prefix: what all results' names start with.
        options: see there.
        metadata: gives the user metadata that a result is to have, if it is to have any.

    Raises:
        ConfigurationError: there is no such bucket, or it can't be listed.
    """

    folds_names = False

    def __init__(
        self,
        url: str,
        prefix: str = "",
        options: CloudOptions = NO_OPTIONS,
        metadata: Callable[[str], Awaitable[Mapping[str, str]]] | None = None,
    ) -> None:
        self.bucket = CloudStore(url, options.endpoint)
        self._only_if_free = options.no_clobber
        self._metadata = metadata
        self._lookup = Lookup(self.bucket, prefix)
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="results")
        with configuring():
            if not self.bucket.exists():
                raise ConfigurationError(f"DST {printable(url)}: there is no bucket {self.bucket}; make it first")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is stored is stored; nothing is left half."""
        self._pool.shutdown(wait=True)

    def exists(self, name: str) -> bool:
        """Whether there is a result `name`."""
        try:
            check_cloud_name(name)
        except InvalidRequestError as error:
            raise NameConflictError(str(error)) from error
        return name in self._lookup

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> int:
        """Store the result of `item`: sent only when all of it is here, so that a part is never committed."""
        async with gathered(body, self._in_thread) as content:
            metadata = await self._metadata(item.name) if self._metadata is not None else {}
            data = content if isinstance(content, bytes) else mmap.mmap(content.fileno(), 0, access=mmap.ACCESS_READ)
            put = asyncio.ensure_future(
                self.bucket.put(
                    item.result, data, {**metadata, "Content-Type": content_type}, only_if_free=self._only_if_free
                )
            )
            try:
                return await to_its_end(put)
            except asyncio.CancelledError:
                if not put.cancelled() and put.exception() is None:
                    raise CommittedError(put.result()) from None
                raise

    async def commit(self, batch: Sequence[tuple[Stored, str]]) -> list[str]:
        """Results are committed when they are stored."""
        return [""] * len(batch)

    async def flush(self) -> None:
        """The store keeps what it has acknowledged."""

    def delivered(self, item: Item) -> int:  # noqa: ARG002
        """There is nowhere to deliver it to."""
        raise AnswerError(NOT_DELIVERED)

    async def _in_thread(self, function: Callable[..., object], *arguments: object) -> object:
        return await in_thread(self._pool, function, *arguments)
