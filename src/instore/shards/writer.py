"""Writing shards, a piece at a time: whoever asks for the pieces sends them on or keeps them."""

import io
import zlib
from collections.abc import Iterator
from tarfile import BLOCKSIZE, GNU_FORMAT, NUL, PAX_FORMAT, TarInfo
from typing import IO, Any, Protocol

from instore.errors import ConfigurationError, ShardError
from instore.shards.member import BUFFER, Member
from instore.shards.stream import GZIP, ZSTD, zstd
from instore.shards.tar import ENCODING, END, ERRORS
from instore.shards.zip import ZipWriter

KINDS = {".tar": "tar", ".tar.gz": "tar.gz", ".tgz": "tar.gz", ".tar.zst": "tar.zst", ".zip": "zip"}
"""Kinds of shards, by how their names end."""

_GZIP_WINDOW = 31  # zlib's largest, with gzip's header and trailer


class ShardWriter(Protocol):
    """Makes a shard of some kind. `TarWriter` documents its members."""

    def add_file(
        self, name: str, file: IO[bytes], size: int, like: Member | None = None, mtime: int = 0, mode: int = 0o644
    ) -> Iterator[bytes]: ...

    def copy(self, member: Member) -> Iterator[bytes]: ...

    def end(self) -> bytes: ...


class TarWriter:
    """Makes a tar in the GNU format, a piece at a time, in constant memory.

    For a `transform_stream` that makes a shard of a shard:

        writer = TarWriter()
        for member in members(reader):
            if member.name.endswith(".jpg"):
                yield from writer.add(member.name, smaller(member.read()), like=member)
            else:
                yield from writer.copy(member)
        yield writer.end()

    Every method gives pieces of the tar; all of them, in their order, are the tar. A member whose pieces are not asked
    for is not in it.

    Args:
        compression: `"gz"`, `"zst"` (needs `pip install 'instore[zstd]'`), or empty. Default: none.

    Raises:
        ConfigurationError: a `ValueError`; there is no such compression here.
    """

    def __init__(self, compression: str = "") -> None:
        self._compressor = _compressor(compression)
        self._members = 0

    def add(
        self, name: str, data: bytes, like: Member | None = None, mtime: int = 0, mode: int = 0o644
    ) -> Iterator[bytes]:
        """A file.

        Args:
            name: its name; a `/` stands between folders. Any length.
            data: its content.
            like: a member whose time, permissions, owner and further PAX records it gets.
            mtime: without such a member: when it was changed, in seconds of Unix time. Default: 1970.
            mode: likewise: its permissions.

        Raises:
            ShardError: a `ValueError`; the name is empty or has a NUL.
        """
        yield from self.add_file(name, io.BytesIO(data), len(data), like, mtime, mode)

    def add_file(
        self, name: str, file: IO[bytes], size: int, like: Member | None = None, mtime: int = 0, mode: int = 0o644
    ) -> Iterator[bytes]:
        """A file with the content of another, which is read as far as its pieces are asked for.

        Args:
            name: as for `add`.
            file: a binary file; only read forward.
            size: bytes of it that there are, and that are taken.
            like: as for `add`.
            mtime: as for `add`.
            mode: as for `add`.

        Raises:
            ShardError: a `ValueError`; the file ends before `size`, or as for `add`.
        """
        if not name.rstrip("/") or "\0" in name:
            raise ShardError(f"{name!r} is no name for a member")
        if like is None:
            info = TarInfo(name)
            info.size, info.mtime, info.mode = size, mtime, mode
        else:
            info = like.tar_info(name, size)
        preamble = b"" if like is None else like.preamble
        yield from self._member(preamble + _header(info), file, size, name)

    def copy(self, member: Member) -> Iterator[bytes]:
        """A member as it is. Of a tar it is copied byte by byte, whatever it is and in whatever format.

        Raises:
            ShardError: a `ValueError`; its shard is damaged, or something of it has been read already.
        """
        member.check_untouched()
        if member.header:
            yield from self._member(member.preamble + member.header, member.file, member.raw.size, member.name)
        else:
            yield from self.add_file(member.name, member.file, member.size, member)

    def end(self) -> bytes:
        """The end marker, which ends the tar.

        Raises:
            ShardError: a `ValueError`; it has no members.
        """
        if not self._members:
            raise ShardError("a shard without members is not written")
        last = self._compressed(END * 2)
        rest: bytes = self._compressor.flush()
        return last + rest

    def _member(self, header: bytes, file: IO[bytes], size: int, name: str) -> Iterator[bytes]:
        self._members += 1
        piece, left = header, size
        while left:
            data = file.read(min(left, BUFFER))
            if not data:
                raise ShardError(f"the content of {name!r} has {size - left} bytes, and not {size}")
            left -= len(data)
            if left:
                yield self._compressed(piece + data)
                piece = b""
            else:
                piece += data
        yield self._compressed(piece + NUL * (-size % BLOCKSIZE))

    def _compressed(self, data: bytes) -> bytes:
        compressed: bytes = self._compressor.compress(data)
        return compressed


def shard_writer(kind: str) -> ShardWriter:
    """What makes a shard of one of `KINDS`."""
    if kind == "zip":
        return ZipWriter()
    return TarWriter(kind.partition(".")[2])


def kind_of(name: str) -> str:
    """The kind of a shard by its name; empty if it is none."""
    return next((kind for ending, kind in KINDS.items() if name.endswith(ending)), "")


def _header(info: TarInfo) -> bytes:
    # What GNU's format has no place for is kept in PAX's: fractions of seconds, and what programs add.
    extended = info.pax_headers or isinstance(info.mtime, float)
    if not extended:
        info.mtime = int(info.mtime)
    try:
        return info.tobuf(PAX_FORMAT if extended else GNU_FORMAT, ENCODING, ERRORS)
    except ValueError as error:
        raise ShardError(f"a tar can't say of {info.name!r} what is to be said: {error}") from error


class _NoCompressor:
    def compress(self, data: bytes) -> bytes:
        return data

    def flush(self) -> bytes:
        return b""


def _compressor(compression: str) -> Any:
    if not compression:
        return _NoCompressor()
    if compression == GZIP:
        return zlib.compressobj(wbits=_GZIP_WINDOW)
    if compression == ZSTD:
        return zstd().ZstdCompressor()
    raise ConfigurationError(f"there is no compression {compression!r}; there are {GZIP!r} and {ZSTD!r}")
