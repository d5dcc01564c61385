"""The bytes of a shard as they come, decompressed; what is wrong with them is remembered."""

import gzip
import os
import zlib
from collections.abc import Callable
from types import ModuleType
from typing import IO, Any, cast

from instore.errors import ConfigurationError, ShardError
from instore.shards.member import BUFFER, MemberContent, Reader

GZIP, ZSTD = "gz", "zst"
"""Compressions."""
_MAGIC = {b"\x1f\x8b": GZIP, b"\x28\xb5\x2f\xfd": ZSTD}
_HEAD = 4


def zstd() -> ModuleType:
    """The module of Zstandard, whose interface is the standard library's from Python 3.14 on."""
    try:
        from compression import zstd  # type: ignore[import-not-found, unused-ignore]
    except ImportError:
        try:
            from backports import zstd
        except ImportError as error:
            raise ConfigurationError(
                f"shards with Zstandard (.zst) need backports.zstd ({error}); pip install 'instore[zstd]'"
            ) from error
    return zstd  # type: ignore[no-any-return, unused-ignore]


class ShardStream:
    """Reads a shard forward.

    Args:
        reader: the shard, from its beginning.

    Attributes:
        head: the first four bytes, fewer only where there are no more; they are still to be read.
        compression: what they tell of it; empty: none.
        offset: bytes that have been read, after decompression.
        failure: what is wrong with the shard: every read raises it from then on.
    """

    def __init__(self, reader: Reader) -> None:
        self.offset = 0
        self.failure: ShardError | None = None
        self._start = start = _Beginning(reader)
        self.head = start.head
        self.compression = next((name for magic, name in _MAGIC.items() if self.head.startswith(magic)), "")
        self._read: Callable[[int], bytes] = start.read
        self._damage: tuple[type[Exception], ...] = ()
        if self.compression == GZIP:
            self._read = gzip.GzipFile(fileobj=start, mode="rb").read  # type: ignore[call-overload]
            self._damage = (gzip.BadGzipFile, zlib.error)
        elif self.compression == ZSTD:
            self._read = zstd().ZstdFile(start).read
            self._damage = (zstd().ZstdError,)

    def read(self, size: int) -> bytes:
        """The next bytes, `size` or `BUFFER` at most; empty at the end."""
        if self.failure is not None:
            raise self.failure
        try:
            data = self._read(min(size, BUFFER))
        except EOFError as error:
            raise self.damaged(f"it is truncated: its compressed stream ends early, at byte {self.offset}") from error
        except self._damage as error:
            raise self.damaged(f"its compressed stream is damaged behind byte {self.offset}: {error}") from error
        self.offset += len(data)
        return data

    def exactly(self, size: int, what: str) -> bytes:
        """The next `size` bytes, which are `what`."""
        data = self.up_to(size)
        if len(data) < size:
            raise self.truncated(what)
        return data

    def up_to(self, size: int) -> bytes:
        """The next `size` bytes; fewer only at the end."""
        data = self.read(size)
        while len(data) < size and (more := self.read(size - len(data))):
            data += more
        return data

    def skip(self, size: int, what: str) -> None:
        """Read over bytes, which are `what`; go over them where they are a file's and not compressed."""
        if size > BUFFER and not self.compression and self._start.skip(size):
            self.offset += size
            return
        while size:
            data = self.read(size)
            if not data:
                raise self.truncated(what)
            size -= len(data)

    def refused(self, text: str) -> ShardError:
        """What every read raises from now on, unless something is wrong already."""
        self.failure = self.failure or ShardError(text)
        return self.failure

    def damaged(self, why: str) -> ShardError:
        """`refused`, where the shard is damaged."""
        return self.refused(f"the shard is damaged: {why}")

    def truncated(self, what: str) -> ShardError:
        """`damaged`, where it ends in the middle of `what`."""
        return self.damaged(f"it is truncated: it ends at byte {self.offset}, in {what}")


class StreamedContent(MemberContent):
    """The next bytes of a shard, as a reader of their own."""

    def __init__(self, stream: ShardStream, size: int, what: str) -> None:
        super().__init__(size)
        self.left = size
        self._stream = stream
        self._what = what

    def readinto(self, buffer: Any) -> int:
        self.is_touched = True
        view = memoryview(buffer).cast("B")
        if not self.left or not view:
            return 0
        data = self._stream.read(min(len(view), self.left))
        if not data:
            raise self._stream.truncated(self._what)
        view[: len(data)] = data
        self.left -= len(data)
        return len(data)


class _Beginning:
    """A reader whose first bytes have been looked at."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.head = b""
        while len(self.head) < _HEAD and (data := reader.read(_HEAD - len(self.head))):
            if not isinstance(data, bytes):
                raise TypeError(
                    f"{type(reader).__name__}.read gives no bytes; shards are read from synchronous readers"
                )
            self.head += data
        self._unread = self.head
        self._file = _seekable(reader)

    def read(self, size: int = BUFFER) -> bytes:
        if self._unread:
            data, self._unread = self._unread[:size], self._unread[size:]
            return data
        return self._reader.read(size)

    def skip(self, size: int) -> bool:
        """Go over bytes, if that is possible and they are there."""
        if self._file is None or self._unread:
            return False
        place = self._file.tell()
        if place + size > self._file.seek(0, os.SEEK_END):
            self._file.seek(place)
            return False
        self._file.seek(place + size)
        return True


def _seekable(reader: Reader) -> IO[bytes] | None:
    seekable = getattr(reader, "seekable", None)
    return cast("IO[bytes]", reader) if seekable is not None and seekable() else None
