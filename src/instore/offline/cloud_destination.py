"""A bucket of a cloud as a destination: a result is sent only when all of it is here."""

import asyncio
import contextlib
import mmap
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from instore.errors import AnswerError, ConfigurationError, InvalidRequestError, NameConflictError
from instore.offline.cloud_store import NO_OPTIONS, CloudOptions, CloudStore, check_cloud_name
from instore.offline.interfaces import NOT_DELIVERED, CommittedError, Item, ResultOrigin, Stored
from instore.offline.lookup import Lookup
from instore.offline.maker import Maker
from instore.offline.remote_bucket import configuring
from instore.offline.spool import gathered
from instore.system.printable import printable
from instore.system.threads import in_thread, to_its_end

_ORIGIN = "instoreorigin"  # of a result, in its metadata: letters alone, as Azure wants it
_THREADS = 4  # which write large results into files


class CloudDestination:
    """A bucket's objects; a `ListedDestination`. The bucket must be there.

    Args:
        url: of the bucket.
        prefix: what all results' names start with.
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
        prefix: str = "",
        options: CloudOptions = NO_OPTIONS,
        metadata: Callable[[str], Awaitable[Mapping[str, str]]] | None = None,
        maker: Maker | None = None,
    ) -> None:
        self.bucket = CloudStore(url, options.endpoint)
        self._only_if_free = options.no_clobber
        self._metadata = metadata
        self._maker = maker
        self._origins: dict[str, ResultOrigin] = {}  # of those that are looked at ahead
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

    def origin(self, name: str) -> ResultOrigin:
        """What the result `name` was made of, by its metadata."""
        return self._origins.pop(name, None) or self._look(name)

    def look_at(self, names: Sequence[str]) -> None:
        """Look at several results at once."""
        there = [name for name in names if name in self._lookup]
        self._origins = dict(zip(there, self.bucket.in_threads(self._look, there), strict=True))

    async def write(self, item: Item, body: AsyncIterator[bytes], content_type: str) -> int:
        """Store the result of `item`: sent only when all of it is here, so that a part is never committed."""
        async with gathered(body, self._in_thread) as content:
            metadata = await self._metadata_of(item)
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

    def _look(self, name: str) -> ResultOrigin:
        metadata, modified = self.bucket.described(name)
        with contextlib.suppress(ValueError):  # none of ours is there
            return ResultOrigin.parse(metadata.get(_ORIGIN, ""))
        return ResultOrigin("", "", -1, modified)

    async def _metadata_of(self, item: Item) -> Mapping[str, str]:
        """The user metadata of a result."""
        kept = await self._metadata(item.name) if self._metadata is not None else {}
        others = {key: value for key, value in kept.items() if key != _ORIGIN}
        if self._maker is None:
            return others
        return {**others, _ORIGIN: ResultOrigin(*self._maker, item.size, item.modified, item.tag).text}

    async def _in_thread(self, function: Callable[..., object], *arguments: object) -> object:
        return await in_thread(self._pool, function, *arguments)
