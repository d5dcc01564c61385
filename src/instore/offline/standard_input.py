"""Standard input as a source: one object, which is read whole before the job begins."""

import asyncio
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

from instore.errors import ConfigurationError, InvalidRequestError
from instore.etl.communicator import PIECE, TransformRequest
from instore.offline.interfaces import NOT_THERE, Item, ItemState
from instore.store.names import check_object_name
from instore.system.files import temporary

STANDARD_INPUT = "-"
"""What stands for it as SRC."""


class StandardInput:
    """All that comes on standard input; a `ListedSource`. It is kept in a file without a name, so it may be sent again.

    Args:
        name: what the object is called.
        prefix: only objects whose name starts with it.

    Raises:
        ConfigurationError: no object can have that name.
        StorageFullError, StorageError: it can't be kept.
    """

    file_root = ""

    def __init__(self, name: str, prefix: str = "") -> None:
        if not name:
            raise ConfigurationError("SRC - is standard input, whose object has no name; give it one with --name")
        try:
            check_object_name(name)
        except InvalidRequestError as error:
            raise ConfigurationError(f"--name: {error}") from error
        self.prefix = prefix
        self._name = name
        with temporary("standard input"):
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - it lasts as long as the source
            while piece := sys.stdin.buffer.read(PIECE):
                self._file.write(piece)
            self._file.flush()
            self._size = self._file.tell()

    def path(self, item: Item) -> str:
        """`stdin/<object>`."""
        return f"stdin/{item.name}"

    def request(self, item: Item, etl_args: str) -> TransformRequest:
        """With its bytes; the result is the answer."""
        return TransformRequest(self.path(item), etl_args=etl_args, body=lambda: _Kept(self._file, self._size))

    def list(self) -> Iterator[Item]:
        """The one object."""
        if self._name.startswith(self.prefix):
            yield self.find(self._name)

    def has(self, name: str) -> bool:
        """Whether it is called that."""
        return name == self._name

    def find(self, name: str) -> Item:
        """The object, if it is called that."""
        if name != self._name:
            return Item(name, ItemState.FAILED, NOT_THERE)
        return Item(name, ItemState.TODO, size=self._size)


class _Kept:
    """The bytes of a file, as a request's body."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file = file
        self._left = size
        self._at = 0

    @property
    def drained(self) -> bool:
        """Whether all of it was taken."""
        return not self._left

    async def take(self) -> bytes:
        """The next piece; empty at the end."""
        piece = await asyncio.to_thread(self._read)
        self._at += len(piece)
        self._left -= len(piece)
        return piece

    def _read(self) -> bytes:
        self._file.seek(self._at)
        return self._file.read(min(PIECE, self._left))
