"""Reading a tar as a stream, in every format (v7, ustar, GNU, PAX), one member in memory's reach at a time.

The standard library's `tarfile` understands a header; going from one to the next is done here, because its streams take
much for the end: a header that is damaged, a tar that breaks off between two members or has no end marker, a gzip that
breaks off (3.11 to 3.14). Its list of members grows with the tar, and an extended header may be as large as it says.
"""

import math
import tarfile
from collections.abc import Callable, Generator
from tarfile import BLOCKSIZE, NUL, SUPPORTED_TYPES, TarInfo

from instore.errors import ShardError
from instore.shards.member import BUFFER, Member
from instore.shards.stream import ShardStream, StreamedContent

ENCODING, ERRORS = "utf-8", "surrogateescape"
"""How names become text."""
END = NUL * BLOCKSIZE
"""A block of an end marker, which has two."""

_NO_SHARD = "it is no shard: it is neither a tar, plain or compressed with gzip or zstd, nor a zip"
_MOST_EXTENDED = 1 << 20  # bytes of an extended header
_GNU_MAGIC = b"ustar  \0"
_MAGIC_AT, _NAME_LENGTH = 257, 100
_MORE_HOLES_AT = {tarfile.GNUTYPE_SPARSE: 482}  # where a header says that a block with holes follows
_MORE_HOLES_AFTER = 504  # and where such a block says it


def tar_members(stream: ShardStream) -> Generator[Member]:
    """The members of a tar, in their order.

    Raises:
        ShardError: it is damaged, or no tar.
    """
    while (header := _Header.read(stream)) is not None:
        info = header.info
        has_data = info.isreg() or info.type not in SUPPORTED_TYPES
        size = info.size if has_data else 0
        what = f"the member {info.name!r}"
        content = StreamedContent(stream, size, what)
        yield Member.of_tar(info, content, header.preamble, header.blocks, header.is_sparse)
        stream.skip(content.left, what)
        content.left = 0
        stream.skip(-size % BLOCKSIZE, what)


class _Header:
    """All that stands before a member's content.

    Attributes:
        info: what it says.
        blocks: its bytes, extended headers included.
        preamble: the bytes of global headers before it.
        is_sparse: the content is stored without its holes.
    """

    info: TarInfo

    def __init__(self, stream: ShardStream) -> None:
        self.blocks = self.preamble = b""
        self.is_sparse = False
        self._stream = stream
        self._extended: dict[str, str] = {}

    @classmethod
    def read(cls, stream: ShardStream) -> "_Header | None":
        """The next one; None at the end marker."""
        at = stream.offset
        block = stream.up_to(BLOCKSIZE)
        if block == END:
            _check_end(stream)
            return None
        if not block:
            raise _without_end(stream)
        header = cls(stream)
        header.info = header._parse(block, at)
        while (extend := _EXTENDED.get(header.info.type)) is not None:
            extend(header, header._content())
            at = stream.offset
            header.info = header._parse(stream.exactly(BLOCKSIZE, "a header"), at)
        header._finish()
        return header

    def _parse(self, block: bytes, at: int) -> TarInfo:
        if len(block) < BLOCKSIZE and at:
            raise self._stream.truncated("a header")
        try:
            info = TarInfo.frombuf(block, ENCODING, ERRORS)
        except tarfile.HeaderError as error:
            if at == 0:
                raise self._stream.refused(_NO_SHARD) from error
            raise self._stream.damaged(f"the header at byte {at} is none ({error})") from error
        if info.size < 0:
            raise self._stream.damaged(f"the header at byte {at} says that {info.name!r} has {info.size} bytes")
        if block[_MAGIC_AT : _MAGIC_AT + len(_GNU_MAGIC)] == _GNU_MAGIC:  # it has times where others have a prefix
            name = block[:_NAME_LENGTH].partition(NUL)[0].decode(ENCODING, ERRORS)
            info.name = name.rstrip("/") if info.isdir() else name
        self.blocks += block
        return info

    def _content(self) -> bytes:
        """That of an extended header."""
        size = self.info.size
        if size > _MOST_EXTENDED:
            raise self._stream.damaged(f"an extended header has {size} bytes; the most are {_MOST_EXTENDED}")
        data = self._stream.exactly(size + -size % BLOCKSIZE, "an extended header")
        self.blocks += data
        return data[:size]

    def _finish(self) -> None:
        """Apply what extended headers have said."""
        info, extended = self.info, self._extended
        info.pax_headers = {key: value for key, value in extended.items() if key not in _GNU_LONG}
        for key, (attribute, convert) in _FIELDS.items():
            if key in extended:
                try:
                    setattr(info, attribute, convert(extended[key]))
                except ValueError as error:
                    raise self._stream.damaged(f"an extended header says {key}={extended[key]!r}") from error
        if info.isdir():
            info.name = info.name.rstrip("/")
        if not info.name:
            raise self._stream.damaged(f"a member before byte {self._stream.offset} has no name")
        self.is_sparse = info.type in _MORE_HOLES_AT or any(key.startswith("GNU.sparse.") for key in extended)
        more_at = _MORE_HOLES_AT.get(info.type)
        block = self.blocks[-BLOCKSIZE:]
        while more_at is not None and block[more_at]:
            block = self._stream.exactly(BLOCKSIZE, "a header")
            self.blocks += block
            more_at = _MORE_HOLES_AFTER

    def add_long_name(self, content: bytes) -> None:
        self._extended.setdefault("GNU.name", _text(content.rstrip(NUL)))

    def add_long_link(self, content: bytes) -> None:
        self._extended.setdefault("GNU.link", _text(content.rstrip(NUL)))

    def add_records(self, content: bytes) -> None:
        self._extended.update(self._records(content))

    def check_global(self, content: bytes) -> None:
        """Refuse what would be said of every member; anything else goes along with the next one."""
        self.preamble, self.blocks = self.preamble + self.blocks, b""
        said = _FIELDS.keys() & self._records(content).keys() - _HARMLESS
        if said:
            raise self._stream.damaged(f"a global header gives every member the same {', '.join(sorted(said))}")

    def _records(self, content: bytes) -> dict[str, str]:
        """The records of a PAX header: a length, a space, a keyword, `=`, a value, a newline."""
        records = {}
        while content:
            digits, _, _ = content.partition(b" ")
            length = int(digits) if digits.isdigit() and len(digits) < 10 else 0
            key, equals, value = content[len(digits) + 1 : length - 1].partition(b"=")
            if not equals or not key or content[length - 1 : length] != b"\n":
                raise self._stream.damaged(f"the extended header before byte {self._stream.offset} is malformed")
            records[_text(key)] = _text(value)
            content = content[length:]
        return records


_EXTENDED: dict[bytes, Callable[[_Header, bytes], None]] = {
    tarfile.GNUTYPE_LONGNAME: _Header.add_long_name,
    tarfile.GNUTYPE_LONGLINK: _Header.add_long_link,
    tarfile.XHDTYPE: _Header.add_records,
    tarfile.SOLARIS_XHDTYPE: _Header.add_records,
    tarfile.XGLTYPE: _Header.check_global,
}


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise ValueError(text)
    return int(text)


def _time(text: str) -> float:
    seconds = float(text)
    if not math.isfinite(seconds):
        raise ValueError(text)
    return seconds


_FIELDS: dict[str, tuple[str, Callable[[str], object]]] = {
    # by keyword: the attribute of a `TarInfo`, and its type
    "GNU.name": ("name", str),
    "GNU.link": ("linkname", str),
    "path": ("name", str),
    "linkpath": ("linkname", str),
    "size": ("size", _size),
    "mtime": ("mtime", _time),
    "uid": ("uid", int),
    "gid": ("gid", int),
    "uname": ("uname", str),
    "gname": ("gname", str),
}
_GNU_LONG = ("GNU.name", "GNU.link")
_HARMLESS = {"mtime", "uid", "gid", "uname", "gname"}


def _text(data: bytes) -> str:
    return data.decode(ENCODING, ERRORS)


def _without_end(stream: ShardStream) -> ShardError:
    if not stream.offset:
        return stream.refused("an empty object is no shard")
    return stream.damaged(f"it is truncated: it ends at byte {stream.offset} without the end marker of a tar")


def _check_end(stream: ShardStream) -> None:
    """Read to the very end: checksums come there, and nothing else may."""
    while data := stream.read(BUFFER):
        if data.count(0) != len(data):
            raise stream.damaged(
                f"something follows the end marker, before byte {stream.offset}; "
                "of several tars behind one another make one, or name them apart"
            )
