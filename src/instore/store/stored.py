"""An object as it is stored, and open for reading."""

import os
from types import TracebackType
from typing import NamedTuple, Self

from instore.store.attributes import Attributes


class Entry(NamedTuple):
    """An object as it is stored.

    Attributes:
        name: its name in the bucket.
        size: its bytes.
        atime: when it was last read or put, in nanoseconds since 1970.
        mtime: when it was put.
        attributes: checksum, version, custom properties.
    """

    name: str
    size: int
    atime: int
    mtime: int
    attributes: Attributes


class OpenObject:
    """An object that is open for reading; a context that closes it. It stays whole whatever happens to the name.

    Attributes:
        entry: what was opened.
        descriptor: of its file.
    """

    def __init__(self, descriptor: int, entry: Entry) -> None:
        self.descriptor = descriptor
        self.entry = entry

    def read(self, offset: int, size: int) -> bytes:
        """Up to `size` bytes from `offset` on; empty at the end."""
        return os.pread(self.descriptor, size, offset)

    def close(self) -> None:
        """Close it; a second time does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1

    def __del__(self) -> None:
        self.close()  # whoever asked for it may have been cancelled while it was opened

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
