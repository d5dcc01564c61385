"""Objects that are appended to, request by request, and get their name with the last.

Strategy: what was appended lies in a file of the bucket's work folder, and how much of it was acknowledged stands in
a note at the file. A request that breaks off, or a process that dies in it, leaves bytes behind the acknowledged ones;
the next one cuts them off.
"""

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from types import TracebackType
from typing import Self

import xxhash

from instore.errors import InvalidRequestError, ObjectNotFoundError
from instore.store import attributes
from instore.store.names import Bucket, check_object_name
from instore.store.store import Store
from instore.store.stored import Entry
from instore.system.files import lock, write_all

_HANDLE = re.compile(r"[0-9a-f]{16}")
_PIECE = 1 << 20


class Appending:
    """One request's part of an append; a context that takes back what was not committed."""

    def __init__(self, store: Store, bucket: Bucket, name: str, handle: str = "") -> None:
        self._store = store
        self._what = bucket.object(name)
        self._name = name
        self.handle = handle or secrets.token_hex(8)
        check_object_name(name)
        with store.failing(f"appending to {self._what}"):
            self._descriptor = _open(store, bucket, self.handle, bool(handle))
            try:
                if not handle:
                    self._begin(bucket, name)
                self._acknowledged = _acknowledged(self._descriptor, name)
                os.ftruncate(self._descriptor, self._acknowledged)
                os.lseek(self._descriptor, 0, os.SEEK_END)
            except BaseException:
                self.abort()
                if not handle:
                    os.unlink(_path(store, bucket, self.handle))
                raise

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append `data`."""
        with self._store.failing(f"appending to {self._what}"):
            write_all(self._descriptor, data)

    def commit(self) -> str:
        """Acknowledge what was written; return the handle."""
        with self._store.failing(f"appending to {self._what}"):
            size = os.fstat(self._descriptor).st_size
            attributes.write_note(self._descriptor, {"name": self._name, "size": size})
        os.close(self._descriptor)
        self._descriptor = -1
        return self.handle

    def abort(self) -> None:
        """Leave what was acknowledged before; does nothing after `commit`."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _begin(self, bucket: Bucket, name: str) -> None:
        with contextlib.suppress(ObjectNotFoundError), self._store.open(bucket, name) as opened:
            while piece := os.read(opened.descriptor, _PIECE):
                self.write(piece)
        attributes.write_note(self._descriptor, {"name": name, "size": os.fstat(self._descriptor).st_size})

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()


def flush(store: Store, bucket: Bucket, name: str, handle: str) -> Entry:
    """Make what was appended the object, in place of any of that name, whose custom properties stay."""
    with store.failing(f"storing {bucket.object(name)}"):
        descriptor = _open(store, bucket, handle, there=True)
        try:
            os.ftruncate(descriptor, _acknowledged(descriptor, name))
            checksum = xxhash.xxh64()
            position = 0
            while piece := os.pread(descriptor, _PIECE, position):
                checksum.update(piece)
                position += len(piece)
            custom: Mapping[str, str] = {}
            with contextlib.suppress(ObjectNotFoundError):
                custom = store.head(bucket, name).attributes.custom
            return store.adopt(_path(store, bucket, handle), descriptor, bucket, name, checksum.hexdigest(), custom)
        finally:
            os.close(descriptor)


def _path(store: Store, bucket: Bucket, handle: str) -> str:
    return f"{store.work_folder(bucket)}/append.{handle}"


def _open(store: Store, bucket: Bucket, handle: str, there: bool) -> int:
    """Open an append's file and keep other requests from it until it is closed."""
    if not _HANDLE.fullmatch(handle):
        raise InvalidRequestError(f"the append handle {handle!r} is not one of this node's")
    path = _path(store, bucket, handle)
    flags = os.O_RDWR | os.O_CLOEXEC | (0 if there else os.O_CREAT | os.O_EXCL)
    try:
        descriptor = os.open(path, flags, 0o666)
    except FileNotFoundError:
        store.check_bucket(bucket)
        raise InvalidRequestError(
            f"the append handle {handle!r} is not known; it has been flushed, or is too old"
        ) from None
    try:
        ours = lock(descriptor, path)
    except BlockingIOError:
        ours = False
    if not ours:
        os.close(descriptor)
        raise InvalidRequestError(f"another request is appending with the handle {handle!r}; append one by one")
    return descriptor


def _acknowledged(descriptor: int, name: str) -> int:
    note = attributes.read_note(descriptor)
    if note.get("name") != name:
        raise InvalidRequestError("the append handle belongs to another object")
    size = note.get("size")
    return size if isinstance(size, int) else 0
