"""Zips. Their directory stands at the end, so a zip is kept in a temporary file until it is whole."""

import contextlib
import errno
import stat
import struct
import tempfile
import zipfile
from collections.abc import Generator, Iterator
from datetime import UTC, datetime
from typing import IO, Any
from zipfile import ZipInfo

from instore.errors import ShardError
from instore.shards.member import BUFFER, Member, MemberContent
from instore.shards.stream import ShardStream
from instore.system.files import temporary

MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip begins; the second one is empty."""

_ENCRYPTED = 0x1
_FIRST, _LAST = (
    datetime(year, month, day, tzinfo=UTC).timestamp() for year, month, day in ((1980, 1, 1), (2107, 12, 31))
)
_ZIP64 = 1
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_DISK_IS_FINE = (None, errno.EINVAL)  # of an `OSError`: a decompressor's own, and a place before the file's beginning


def zip_members(stream: ShardStream) -> Generator[Member]:
    """The members of a zip, in their order.

    Raises:
        ShardError: it is damaged.
        StorageError: it can't be kept in a temporary file.
    """
    with temporary("a zip"):
        file = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
    with file:
        while data := stream.read(BUFFER):
            with temporary("a zip"):
                file.write(data)
        with _damage(stream, "it is no whole zip"):
            archive = zipfile.ZipFile(file)
        for info in archive.infolist():
            if info.flag_bits & _ENCRYPTED:
                raise stream.refused(f"the member {info.filename!r} is encrypted")
            if info.compress_type not in _COMPRESSIONS:
                raise stream.refused(f"the member {info.filename!r} is compressed in a way that is not known here")
            yield Member.of_zip(info, _ZippedContent(archive, info, stream))


@contextlib.contextmanager
def _damage(stream: ShardStream, what: str) -> Iterator[None]:
    """Take whatever `zipfile` makes of wrong bytes for damage, which may be any error; but not a failing disk's."""
    try:
        yield
    except Exception as error:
        if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno not in _DISK_IS_FINE):
            raise
        raise stream.damaged(f"{what} ({error})") from error


class _ZippedContent(MemberContent):
    """A member's content; its checksum is checked at its end."""

    def __init__(self, archive: zipfile.ZipFile, info: ZipInfo, stream: ShardStream) -> None:
        super().__init__(info.file_size)
        self._archive = archive
        self._info = info
        self._stream = stream
        self._file: IO[bytes] | None = None

    def readinto(self, buffer: Any) -> int:
        self.is_touched = True
        if self._stream.failure is not None:
            raise self._stream.failure
        view = memoryview(buffer).cast("B")
        with _damage(self._stream, f"the member {self._info.filename!r} can't be read"):
            if self._file is None:
                self._file = self._archive.open(self._info)
            data = self._file.read(len(view))
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
        super().close()


class ZipWriter:
    """Makes a zip, a piece at a time; a `ShardWriter`."""

    def __init__(self) -> None:
        self._out = _Pieces()
        self._zip = zipfile.ZipFile(self._out, "w")

    def add_file(
        self, name: str, file: IO[bytes], size: int, like: Member | None = None, mtime: int = 0, mode: int = 0o644
    ) -> Iterator[bytes]:
        """A member with the content of a file; see `TarWriter.add_file`."""
        info = _zip_info(name, like, mtime, mode)
        info.file_size = size
        left = size
        with self._zip.open(info, "w") as member:
            while left:
                data = file.read(min(left, BUFFER))
                if not data:
                    raise ShardError(f"the content of {name!r} has {size - left} bytes, and not {size}")
                member.write(data)
                left -= len(data)
                yield self._out.take()
        yield self._out.take()

    def copy(self, member: Member) -> Iterator[bytes]:
        """A member as it is; its content is compressed anew."""
        member.check_untouched()
        yield from self.add_file(member.name, member.file, member.size, member)

    def end(self) -> bytes:
        """The rest, which ends it.

        Raises:
            ShardError: it has no members.
        """
        if not self._zip.filelist:
            raise ShardError("a shard without members is not written")
        self._zip.close()
        return self._out.take()


def _zip_info(name: str, like: Member | None, mtime: float, mode: int) -> ZipInfo:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise ShardError(f"a zip can't have the name {name!r}, which is not UTF-8; make a tar") from error
    if like is not None:
        mtime, mode = like.mtime, like.mode
    info = ZipInfo(name, _date(mtime))
    info.compress_type = zipfile.ZIP_DEFLATED
    info.external_attr = (stat.S_IFREG | mode) << 16
    if like is not None and isinstance(like.info, ZipInfo):
        for kept in ("date_time", "compress_type", "comment", "create_system", "external_attr", "internal_attr"):
            setattr(info, kept, getattr(like.info, kept))
        info.extra = _without_zip64(like.info.extra)
    return info


def _date(mtime: float) -> tuple[int, int, int, int, int, int]:
    """A time as a zip has it: without a zone, here UTC's; from 1980 to 2107."""
    moment = datetime.fromtimestamp(min(max(mtime, _FIRST), _LAST), UTC)
    return moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second


def _without_zip64(extra: bytes) -> bytes:
    """Extra fields without the one that has sizes."""
    kept = b""
    with contextlib.suppress(struct.error):  # a field that is cut short
        while extra:
            kind, length = struct.unpack_from("<HH", extra)
            if kind != _ZIP64:
                kept += extra[: 4 + length]
            extra = extra[4 + length :]
    return kept


class _Pieces:
    """What was written since the last look. It has no end: a zip that is given up is closed at any time."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What is not taken is dropped with it."""

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def take(self) -> bytes:
        data = b"".join(self._pieces)
        self._pieces.clear()
        return data
