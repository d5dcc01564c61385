"""A bucket as a job's source or destination: the counterparts of `folder` and `results`.

Names: a prefix in SRC selects objects, as `--prefix` does, and their names stay whole; a prefix in DST goes before
each result's name, as `--prepend` does.
"""

import asyncio
import contextlib
import functools
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Self

from instore.errors import ConfigurationError, InvalidRequestError, RemoteStoreError
from instore.etl.communicator import TransformRequest
from instore.offline.engine import CommittedLate
from instore.offline.folder_source import (
    FolderOrder,
    FolderPlan,
    Item,
    ItemState,
    check_prepend,
    destination_folder,
    parse_extensions,
    source_folder,
)
from instore.offline.lookup import Lookup
from instore.offline.remote_bucket import RemoteBucket, is_remote
from instore.store.names import check_object_name
from instore.system.printable import printable

_AT_ONCE = 4 << 20
"""Bytes up to which a result is held in memory; a larger one gathers in a temporary file before it is sent."""


@dataclass(frozen=True)
class BucketPlan(FolderPlan):
    """A plan of which at least one side is a bucket.

    Attributes:
        origin: the source; None if it is a folder.
        there: the destination; None if it is a folder.
    """

    origin: Lookup | None = None
    there: Lookup | None = None

    @classmethod
    def make(
        cls, source: str, destination: str, prefix: str, extensions: Sequence[str], prepend: str, overwrite: bool
    ) -> "BucketPlan":
        """Check what a user has written, and that the source is there; see `FolderPlan.make`.

        Raises:
            ConfigurationError: a side that is not there or can't be asked, or a malformed option.
        """
        check_prepend(prepend)
        pairs = parse_extensions(extensions)
        origin = RemoteBucket(source) if is_remote(source) else None
        target = RemoteBucket(destination) if is_remote(destination) else None
        source = source if origin else source_folder(source)
        destination = destination if target else destination_folder(destination)
        if origin is not None:
            prefix = origin.prefix + prefix
        if target is not None:
            prepend = target.prefix + prepend
            check_prepend(prepend)
        if origin and target and origin.name == target.name and (prepend + prefix).startswith(prefix):
            taken = f"every name that starts with {prefix!r}" if prefix else "every name"
            raise ConfigurationError(
                f"the results in {target} would become objects of this job: SRC stands for {taken} there; "
                "name another bucket, or a prefix in SRC and another in DST"
            )
        with _starting():
            if origin is not None and not origin.exists():
                raise ConfigurationError(
                    f"SRC {printable(source)}: {origin.where} has no bucket {origin}; name one that is there"
                )
            if target is not None:
                target.exists()  # which says what is wrong with the store
        sides = Lookup(origin, prefix) if origin else None, Lookup(target, prepend) if target else None
        return cls(source, destination, prefix, pairs, prepend, overwrite, *sides)

    @property
    def bucket(self) -> str:
        """The bucket's name on the wire: its own, or the source folder's."""
        return self.origin.bucket.name if self.origin else super().bucket

    def items(self) -> Iterator[Item]:
        """Everything in the source whose name starts with the prefix."""
        if self.origin is None:
            yield from super().items()
            return
        for name, size in self.origin.bucket.names(self.prefix):
            result = self.result_name(name)
            yield Item(name, *self.state_of(result), result, size=size)

    def state_of(self, result: str) -> tuple[ItemState, str]:
        """What is to be made of an object whose result is called `result`, and why if it fails."""
        try:
            check_object_name(result)  # a bucket's names come from elsewhere: none may lead out of a folder
        except InvalidRequestError as error:
            return ItemState.FAILED, f"its result can't be called {printable(result)}: {error}"
        if self.there is None:
            return super().state_of(result)
        return ItemState.THERE if not self.overwrite and result in self.there else ItemState.TODO, ""

    def _is_object(self, name: str) -> bool:
        return super()._is_object(name) if self.origin is None else name in self.origin

    def order(self, etl_args: str, workers: int, continue_on_error: bool) -> FolderOrder:
        """How the objects are transformed; a `job.JobOptions`."""
        if self.origin is None:
            return super().order(etl_args, workers, continue_on_error)
        return BucketOrder(self.bucket, etl_args, workers, continue_on_error, origin=self.origin.bucket)


@dataclass(frozen=True)
class BucketOrder(FolderOrder):
    """How a bucket's objects are transformed: each goes to the worker as a request's body.

    Attributes:
        origin: the bucket.
    """

    origin: RemoteBucket | None = None

    def ask(self, item: Item) -> TransformRequest:
        """With its bytes, fetched as they are sent; the result is the answer."""
        assert self.origin is not None  # noqa: S101  # fields with defaults come before it
        return TransformRequest(
            self.path(item), etl_args=self.etl_args, body=functools.partial(self.origin.open, item.name)
        )


@dataclass(frozen=True, slots=True)
class Stored:
    """What waits for its name, if anything did: results in a bucket have theirs at once."""

    size: int


class ResultBucket:
    """A bucket as a job's `Destination`; an asynchronous context. The bucket is made if it is missing.

    Args:
        bucket: the destination.

    Raises:
        ConfigurationError: on entering, if it can't be made.
    """

    def __init__(self, bucket: RemoteBucket) -> None:
        self._bucket = bucket

    async def __aenter__(self) -> Self:
        with _starting():
            await self._bucket.hop(self._bucket.make)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """What is stored is stored; nothing is left half."""

    async def write(self, item: Item, body: AsyncIterator[bytes]) -> Stored | int:
        """Store the result of `item`: sent only when all of it is here, so that a part never gets a name.

        Raises:
            RemoteStoreError: the store did not take it.
            OSError: the temporary file of a large one could not be written.
            NamedLate: cancelled, but the store has it.
        """
        pieces: list[bytes] = []
        size = 0
        async for piece in body:
            pieces.append(piece)
            size += len(piece)
            if size > _AT_ONCE:
                return await self._write_large(item, pieces, body)
        return await self._put(item, b"".join(pieces))

    async def _write_large(self, item: Item, pieces: list[bytes], body: AsyncIterator[bytes]) -> int:
        with tempfile.TemporaryFile() as file:  # it has no name, so that nothing is left of it however we end
            await self._bucket.hop(file.writelines, tuple(pieces))
            pieces.clear()
            async for piece in body:
                await self._bucket.hop(file.write, piece)
            return await self._put(item, file)

    async def _put(self, item: Item, content: bytes | IO[bytes]) -> int:
        stored: list[int] = []
        try:
            await self._bucket.hop(lambda: stored.append(self._bucket.put(item.result, content)))
        except asyncio.CancelledError:
            if stored:
                raise CommittedLate(stored[0]) from None
            raise
        return stored[0]

    async def commit(self, batch: Sequence[tuple[Stored, str]]) -> list[str]:
        """Results have their names already."""
        return [""] * len(batch)

    async def flush(self) -> None:
        """The store keeps what it has acknowledged."""


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """What the store refuses before there is a job is a configuration's error."""
    try:
        yield
    except RemoteStoreError as error:
        raise ConfigurationError(str(error)) from error
