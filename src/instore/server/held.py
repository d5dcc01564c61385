"""Streamed results that are held until they are whole, so that one that breaks off is still a proper error.

Whoever asked for an object and gets its result in the answer can't always tell an answer that broke off: AIStore passes
on what came, and an HTTP/1.0 client has no framing. So a result is held in memory, then in a nameless file, up to a
limit; beyond that its answer begins.
"""

import asyncio
import tempfile
from typing import IO

from instore.http.bodies import Body, Stream
from instore.protocol.environment import INSTORE_SPOOL
from instore.system.files import temporary
from instore.system.steps import in_task

_IN_MEMORY = 8 << 20
_PIECE = 1 << 20
_WHAT = f"a result that is held until it is whole ({INSTORE_SPOOL}=0: sent as it is made)"


async def hold(body: Body, limit: int) -> Body:
    """Take `body` to its end, or as far as `limit` bytes."""
    if body.rest is None or body.length is not None or not limit:
        return body
    pieces, size = [body.first], len(body.first)
    while size <= min(limit, _IN_MEMORY):
        if not (piece := await body.rest.take()):
            return Body(b"".join(pieces))
        pieces.append(piece)
        size += len(piece)
    return await in_task(_hold_in_file(pieces, size, body.rest, limit))


async def _hold_in_file(pieces: list[bytes], size: int, rest: Stream, limit: int) -> Body:
    with temporary(_WHAT):
        file = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed with the stream
    try:
        await _write(file, b"".join(pieces))
        pieces.clear()
        whole = False
        while size <= limit and not whole:
            piece = await rest.take()
            await _write(file, piece)
            size += len(piece)
            whole = not piece
        with temporary(_WHAT):
            await asyncio.to_thread(file.seek, 0)  # it writes what is buffered
        stream = _HeldStream(file, None if whole else rest)
        return Body(await stream.take(), stream, size if whole else None)
    except BaseException:
        file.close()
        raise


async def _write(file: IO[bytes], data: bytes) -> None:
    with temporary(_WHAT):
        await asyncio.to_thread(file.write, data)


class _HeldStream:
    """What is in a file, and what comes behind it."""

    def __init__(self, file: IO[bytes], rest: Stream | None) -> None:
        self._file: IO[bytes] | None = file
        self._rest = rest

    @property
    def drained(self) -> bool:
        return self._file is None and (self._rest is None or self._rest.drained)

    async def take(self) -> bytes:
        if self._file is not None:
            if piece := await asyncio.to_thread(self._file.read, _PIECE):
                return piece
            self._file.close()
            self._file = None
        return await self._rest.take() if self._rest is not None else b""
