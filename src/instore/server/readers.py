"""Readers that a streaming transform gets: over bytes that arrive on the event loop, and for asynchronous code."""

import asyncio
import io
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from typing import Any, Protocol

from instore.errors import InstoreError
from instore.system.files import temporary

_BUFFER = 1 << 18
_PIECE = 1 << 20


Load = Callable[[], bytes | AbstractContextManager[str]]
"""Gives the whole object, or the path of its file for as long as a transform runs."""


class ForwardOnlyError(io.UnsupportedOperation):
    """A transform wants its reader to do what only a file of its own can do."""

    def __init__(self, wanted: str) -> None:
        super().__init__(
            f"the object can only be read forward, as it comes, so there is no {wanted}(); copy it first, to "
            "io.BytesIO(reader.read()) or a temporary file, use a mode for streams, as tarfile's 'r|*', or set "
            "seekable = True on the class, which has each object in a temporary file first"
        )


class Readable(Protocol):
    """A binary reader, as a streaming transform needs one."""

    def read(self, size: int | None = -1, /) -> bytes:
        """The next bytes."""

    def readline(self, size: int | None = -1, /) -> bytes:
        """The next line."""

    def readlines(self, hint: int = -1, /) -> list[bytes]:
        """The next lines, about `hint` bytes of them; all that are left when it is not positive."""

    def seek(self, target: int, whence: int = 0, /) -> int:
        """Go to an offset; one that is only read forward refuses."""

    def close(self) -> None:
        """Release what is held."""


class ObjectReader(Readable, Protocol):
    """A binary reader that remembers whether its object broke off, whatever the transform made of the error."""

    @property
    def failure(self) -> InstoreError | None:
        """The error that a read raised or would raise."""


class ForwardReader(io.BufferedReader):
    """A binary reader that can only be read forward, wherever its object comes from.

    An object may come from a file, where a program could go back, or piece by piece over the network, where nobody can.
    A transform that works on one of them is to work on all, so the reader of a file can do no more than the others.
    """

    def __init__(self, raw: Any) -> None:
        super().__init__(raw, _BUFFER)

    def seekable(self) -> bool:
        return False

    def seek(self, target: int, whence: int = 0, /) -> int:  # noqa: ARG002
        raise ForwardOnlyError("seek")

    def tell(self) -> int:
        raise ForwardOnlyError("tell")

    def fileno(self) -> int:
        raise ForwardOnlyError("fileno")


class SpooledReader(io.BufferedReader):
    """A binary reader over the whole of an object in a file without a name, which can go back."""


def spooled(reader: Readable) -> SpooledReader:
    """All of an object, read to its end; raises what the reader raises, and where the disk takes no more."""
    with temporary("an object of a class that is seekable"):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - the reader closes it
    try:
        while data := reader.read(_PIECE):
            with temporary("an object of a class that is seekable"):
                file.write(data)
        with temporary("an object of a class that is seekable"):
            file.seek(0)
        return SpooledReader(io.FileIO(os.dup(file.fileno())), _BUFFER)
    finally:
        file.close()


class BytesReader(ForwardReader):
    """A binary reader over bytes at hand, which can't break off."""

    failure: InstoreError | None = None

    def __init__(self, data: bytes) -> None:
        super().__init__(io.BytesIO(data))


class Feed(Protocol):
    """Bytes that come: by an `InputPipe`, or from the socket itself."""

    @property
    def failure(self) -> InstoreError | None:
        """Why they broke off."""

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end. Waits for bytes."""

    def close(self) -> None:
        """Nobody reads any more."""


class PipeReader(ForwardReader):
    """A binary reader over bytes that come."""

    raw: "_PipeFile"

    def __init__(self, feed: Feed) -> None:
        super().__init__(_PipeFile(feed))

    @property
    def failure(self) -> InstoreError | None:
        """The error that ended the feed, if one did."""
        return self.raw.feed.failure


class _PipeFile(io.RawIOBase):
    def __init__(self, feed: Feed) -> None:
        self.feed = feed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        return self.feed.readinto(memoryview(buffer).cast("B"))

    def close(self) -> None:
        self.feed.close()
        super().close()


class ThreadedReader:
    """The reader of an asynchronous `transform_stream`: every read is done in a thread, so that its loop goes on."""

    def __init__(self, reader: Readable, executor: Executor) -> None:
        self._reader = reader
        self._executor = executor

    def read(self, size: int = -1, /) -> Awaitable[bytes]:
        """The next `size` bytes, fewer only at the end; all that is left when negative."""
        return asyncio.get_running_loop().run_in_executor(self._executor, self._reader.read, size)

    def seek(self, offset: int, whence: int = 0) -> Awaitable[int]:
        """Go to an offset, where the class is `seekable`."""
        return asyncio.get_running_loop().run_in_executor(self._executor, self._reader.seek, offset, whence)

    def readline(self) -> Awaitable[bytes]:
        """The next line, with its newline."""
        return asyncio.get_running_loop().run_in_executor(self._executor, self._reader.readline)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while lines := await self._readlines():
            for line in lines:
                yield line

    def _readlines(self) -> Awaitable[list[bytes]]:
        """About a buffer of lines, so that a line costs no change of threads."""
        return asyncio.get_running_loop().run_in_executor(self._executor, self._reader.readlines, _BUFFER)
