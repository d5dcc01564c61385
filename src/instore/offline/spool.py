"""All of a result before it is sent: small ones in memory, large ones in a file without a name."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from types import TracebackType
from typing import IO, Any, Self

from instore.etl.communicator import PIECE
from instore.system.files import temporary

AT_ONCE = 4 << 20
"""Bytes up to which a result is held in memory; a larger one gathers in a temporary file before it is sent."""

_LARGE = "a large result"


class SpooledResults:
    """All results of an object before any is sent; an asynchronous context, of which nothing is left.

    They share one file, and few bytes of them are in memory.
    """

    def __init__(self, in_thread: Callable[..., Awaitable[Any]]) -> None:
        self._in_thread = in_thread
        self._size = 0

    async def __aenter__(self) -> Self:
        self._file = tempfile.SpooledTemporaryFile(AT_ONCE)  # noqa: SIM115 - it is closed with the context
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    async def add(self, body: AsyncIterator[bytes]) -> int:
        """Take a result, behind those before it; its size."""
        start = self._size
        async for piece in body:
            with temporary(_LARGE):
                await self._in_thread(self._file.write, piece)
            self._size += len(piece)
        return self._size - start

    async def begin(self) -> None:
        """All have come, and are given from the first on."""
        await self._in_thread(self._file.seek, 0)

    @contextlib.asynccontextmanager
    async def next(self, size: int) -> AsyncIterator[bytes | IO[bytes]]:
        """The next result, of so many bytes."""
        async with gathered(self.pieces(size), self._in_thread) as content:
            yield content

    async def pieces(self, size: int) -> AsyncIterator[bytes]:
        """The same, in pieces."""
        while size:
            piece = await self._in_thread(self._file.read, min(size, PIECE))
            size -= len(piece)
            yield piece


@contextlib.asynccontextmanager
async def gathered(
    body: AsyncIterator[bytes], in_thread: Callable[..., Awaitable[Any]]
) -> AsyncIterator[bytes | IO[bytes]]:
    """The whole of `body`: its bytes, or a file of them, of which nothing is left however the context ends."""
    pieces: list[bytes] = []
    size = 0
    async for piece in body:
        pieces.append(piece)
        size += len(piece)
        if size > AT_ONCE:
            break
    else:
        yield b"".join(pieces)
        return
    with temporary(_LARGE):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the context
    with file:
        with temporary(_LARGE):
            await in_thread(file.writelines, tuple(pieces))
        pieces.clear()
        async for piece in body:
            with temporary(_LARGE):
                await in_thread(file.write, piece)
        with temporary(_LARGE):
            await in_thread(file.flush)
        yield file
