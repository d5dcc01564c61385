"""What is on its way into a store: a file without the name that it will have, written piece by piece."""

import contextlib
import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Protocol, Self

import xxhash

from instore.errors import InvalidRequestError
from instore.store.names import Bucket
from instore.store.stored import Entry
from instore.system.files import write_all

_PIECE = 1 << 20  # bytes that are copied at once


class Keeper(Protocol):
    """The store, as what is written to it knows it."""

    def failing(self, doing: str) -> AbstractContextManager[None]:
        """Turn what the disk says into our errors."""

    def adopt(
        self, path: str, descriptor: int, bucket: Bucket, name: str, checksum: str, custom: Mapping[str, str]
    ) -> Entry:
        """Make the file at `path` the object `name`."""


class Writing:
    """A file in the making; a context that drops what was not committed.

    Args:
        store: that keeps it.
        what: it, for a person.
        path: where it lies until it is done.
        descriptor: of the file, open for writing.

    Attributes:
        size: bytes written so far.
    """

    def __init__(self, store: Keeper, what: str, path: str, descriptor: int) -> None:
        self._store = store
        self._what = what
        self._path = path
        self._descriptor = descriptor
        self._checksum = xxhash.xxh64()
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`."""
        with self._store.failing(f"writing {self._what}"):
            write_all(self._descriptor, data)
        self._checksum.update(data)
        self.size += len(data)

    def fill(self, descriptor: int) -> None:
        """Append the rest of an open file, in bounded pieces; raises as `write` does."""
        while piece := os.read(descriptor, _PIECE):
            self.write(piece)

    def abort(self) -> None:
        """Drop what was written; does nothing when it is done."""
        if self._descriptor >= 0:
            self._close()
            with contextlib.suppress(FileNotFoundError):  # with its bucket
                os.unlink(self._path)

    def _close(self) -> None:
        os.close(self._descriptor)
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


class Upload(Writing):
    """An object in the making. Made by `Store.upload`."""

    def __init__(
        self, store: Keeper, bucket: Bucket, name: str, custom: Mapping[str, str], path: str, descriptor: int
    ) -> None:
        super().__init__(store, bucket.object(name), path, descriptor)
        self._bucket = bucket
        self._name = name
        self._custom = custom

    def commit(self, custom: Mapping[str, str] | None = None) -> Entry:
        """Give the object its name, in place of any that had it; its custom properties, if they are others by now."""
        entry = self._store.adopt(
            self._path,
            self._descriptor,
            self._bucket,
            self._name,
            self._checksum.hexdigest(),
            self._custom if custom is None else custom,
        )
        self._close()
        return entry


class Part(Writing):
    """A part of something larger, which gets a name beside the objects. Made by `Store.part`."""

    def __init__(self, store: Keeper, what: str, path: str, descriptor: int, destination: str) -> None:
        super().__init__(store, what, path, descriptor)
        self._destination = destination

    def commit(self) -> str:
        """Give it its name, in place of any that had it; return its checksum."""
        if self.size == 0:
            raise InvalidRequestError(f"{self._what} is empty, which no part may be: invalid size (0)")
        with self._store.failing(f"storing {self._what}"):
            try:
                os.rename(self._path, self._destination)
            except FileNotFoundError:
                raise InvalidRequestError(f"{self._what} comes too late: the upload has been ended") from None
        self._close()
        return self._checksum.hexdigest()
