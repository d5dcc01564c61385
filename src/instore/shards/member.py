"""A member of a shard, whichever kind of archive it is in."""

import io
import stat
from dataclasses import dataclass, field
from datetime import UTC, datetime
from tarfile import TarInfo
from typing import Protocol
from zipfile import ZipInfo

from instore.errors import ShardError

BUFFER = 1 << 18
"""Bytes that are read at once."""


class Reader(Protocol):
    """What a shard is read from: any binary file, or the reader that `transform_stream` gets."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, `size` at most; empty at the end."""


class MemberContent(io.RawIOBase):
    """A member's content, which can be read once.

    Args:
        size: its bytes, as they are stored.

    Attributes:
        is_touched: something of it has been read.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.is_touched = False

    def readable(self) -> bool:
        return True


@dataclass(eq=False, slots=True)
class Member:
    """A member of a shard, until the next one is asked for.

    Attributes:
        name: as the shard has it, with `/`. Bytes that are not UTF-8 are lone surrogates, as `os.fsdecode` makes them.
        size: bytes of its content.
        mtime: when it was changed, in seconds of Unix time.
        mode: its permissions.
        is_file: it has content of its own; not a folder, a link or a device.
        is_folder: it is a folder.
        is_sparse: its content is stored with holes left out: it can be copied, and not read.
        raw: its content as an unbuffered reader.
        info: what the archive says of it.
        preamble, header: the very bytes that say so in a tar, those of global headers apart; empty in a zip.
    """

    name: str
    size: int
    mtime: float
    mode: int
    is_file: bool
    is_folder: bool
    is_sparse: bool
    raw: MemberContent = field(repr=False)
    info: TarInfo | ZipInfo = field(repr=False)
    preamble: bytes = field(default=b"", repr=False)
    header: bytes = field(default=b"", repr=False)
    _file: io.BufferedReader | None = field(default=None, init=False, repr=False)

    @classmethod
    def of_tar(cls, info: TarInfo, raw: MemberContent, preamble: bytes, header: bytes, is_sparse: bool) -> "Member":
        """A member of a tar."""
        is_file = info.isreg()
        size = info.size if is_file else 0
        mode = info.mode & _PERMISSIONS
        return cls(info.name, size, info.mtime, mode, is_file, info.isdir(), is_sparse, raw, info, preamble, header)

    @classmethod
    def of_zip(cls, info: ZipInfo, raw: MemberContent) -> "Member":
        """A member of a zip. Its time has no zone: it is taken for UTC."""
        mode = info.external_attr >> 16
        is_file = not info.is_dir() and stat.S_IFMT(mode) in (0, stat.S_IFREG)
        mode = mode & _PERMISSIONS or (0o644 if is_file else 0o755)
        mtime = _unix_time(info)
        return cls(info.filename, info.file_size, mtime, mode, is_file, info.is_dir(), False, raw, info)

    def check_untouched(self) -> None:
        """Raise if something of its content has been read: what is left is not the member."""
        if self.raw.is_touched:
            raise ShardError(f"the member {self.name!r} has been read already, so it can't be copied")

    @property
    def file(self) -> io.BufferedReader:
        """Its content as a binary file that is read forward."""
        if self._file is None:
            self._file = io.BufferedReader(self.raw, max(1, min(self.raw.size, BUFFER)))
        return self._file

    def read(self, size: int = -1) -> bytes:
        """The next `size` bytes of its content; all that are left when negative.

        Raises:
            ShardError: the shard is damaged there.
        """
        return self.file.read(size)

    def tar_info(self, name: str, size: int) -> TarInfo:
        """What a tar says of a file that takes this one's place."""
        info = TarInfo(name)
        if isinstance(self.info, TarInfo):
            for kept in _KEPT:
                setattr(info, kept, getattr(self.info, kept))
            info.pax_headers = {key: text for key, text in self.info.pax_headers.items() if key not in _OF_ONE_FILE}
        else:
            info.mtime, info.mode = int(self.mtime), self.mode
        info.size = size
        return info


_KEPT = ("mode", "uid", "gid", "uname", "gname", "mtime")
_PERMISSIONS = 0o7777
_OF_ONE_FILE = ("path", "linkpath", "size")
_EPOCH_OF_ZIP = datetime(1980, 1, 1, tzinfo=UTC).timestamp()


def _unix_time(info: ZipInfo) -> float:
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except ValueError:  # a month or a day of 0, as some programs write
        return _EPOCH_OF_ZIP
