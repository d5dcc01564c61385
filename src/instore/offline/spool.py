"""All of a result before it is sent: small ones in memory, large ones in a file without a name."""

import contextlib
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import IO, Any

from instore.system.files import temporary

AT_ONCE = 4 << 20
"""Bytes up to which a result is held in memory; a larger one gathers in a temporary file before it is sent."""


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
    with temporary("a large result"):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the context
    with file:
        with temporary("a large result"):
            await in_thread(file.writelines, tuple(pieces))
        pieces.clear()
        async for piece in body:
            with temporary("a large result"):
                await in_thread(file.write, piece)
        with temporary("a large result"):
            await in_thread(file.flush)
        yield file
