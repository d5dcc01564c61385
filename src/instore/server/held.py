"""Streamed results that are held until they are whole, so that one that breaks off is still a proper error.

Whoever asked for an object and gets its result in the answer can't always tell an answer that broke off: AIStore passes
on what came, and an HTTP/1.0 client has no framing. So a result is held in memory, then in a nameless file, up to a
limit; beyond that its answer begins.
"""

import asyncio
import os
import tempfile
import threading
from concurrent.futures import Executor
from typing import IO, cast

from instore.errors import ClientGoneError
from instore.http.bodies import Body
from instore.http.sockets import AnswerSocket
from instore.protocol.environment import INSTORE_SPOOL
from instore.server.pipes import OutputPipe
from instore.system.files import temporary, write_all
from instore.system.threads import to_its_end

_IN_MEMORY = 8 << 20
_PIECE = 1 << 20
_WHAT = f"a result that is held until it is whole ({INSTORE_SPOOL}=0: sent as it is made)"


async def hold(first: bytes, rest: OutputPipe, limit: int) -> Body:
    """Take a result to its end, or as far as `limit` bytes."""
    hoard = _Hoard(first, limit)
    try:
        await rest.pour(hoard)
        if hoard.file is None:
            return Body(b"".join(hoard.pieces), None if rest.drained else rest)
        whole = rest.drained
        stream = HeldStream(hoard, None if whole else rest)
        return Body(await stream.take(), stream, hoard.size if whole else None)
    except BaseException:
        hoard.cancel()
        raise


class _Hoard:
    """What is held, at first in memory and then in a file; closed by whoever is last to use it.

    Attributes:
        size: bytes of it.
        pieces: what is in memory.
        file: what it is in beyond that.
        executor: in whose threads it is written.
    """

    executor: Executor | None = None

    def __init__(self, first: bytes, limit: int) -> None:
        self.size = len(first)
        self.pieces = [first]
        self.file: IO[bytes] | None = None
        self._limit = limit
        self._lock = threading.Lock()
        self._writing = False
        self._closed = False

    def write(self, piece: bytes) -> bool:
        with self._lock:
            if self._closed:
                raise ClientGoneError("nobody takes the result any more")
            self._writing = True
        try:
            self._write(piece)
        finally:
            with self._lock:
                self._writing = False
                if self._closed:
                    self._close_file()
        return self.size <= self._limit

    def cancel(self) -> None:
        with self._lock:
            self._closed = True
            if not self._writing:
                self._close_file()

    def _write(self, piece: bytes) -> None:
        self.size += len(piece)
        if self.file is None and self.size <= min(self._limit, _IN_MEMORY):
            self.pieces.append(piece)
            return
        with temporary(_WHAT):
            if self.file is None:
                self.file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - `cancel` closes it
                for held in self.pieces:
                    write_all(self.file.fileno(), held)
                self.pieces.clear()
            write_all(self.file.fileno(), piece)

    def _close_file(self) -> None:
        if self.file is not None:
            self.file.close()


class HeldStream:
    """What is in a file, and what comes behind it."""

    def __init__(self, hoard: _Hoard, rest: OutputPipe | None) -> None:
        self._hoard: _Hoard | None = hoard
        self._file = cast(IO[bytes], hoard.file).fileno()
        self._size = hoard.size
        self._rest = rest
        self._offset = 0

    @property
    def drained(self) -> bool:
        return self._hoard is None and (self._rest is None or self._rest.drained)

    async def take(self) -> bytes:
        if self._hoard is not None:
            if piece := await to_its_end(asyncio.get_running_loop().run_in_executor(None, self._read)):
                return piece
            await self.close()
        return await self._rest.take() if self._rest is not None else b""

    async def pour(self, sink: AnswerSocket, first: bytes) -> None:
        """Have all of it sent by threads, behind the `first` bytes."""
        sending = asyncio.get_running_loop().run_in_executor(sink.executor, self._send, sink, first)
        await to_its_end(sending, sink.cancel)
        await self.close()
        if self._rest is not None:
            await self._rest.pour(sink)

    async def close(self) -> None:
        """Release what is held."""
        if self._hoard is not None:
            self._hoard.cancel()
            self._hoard = None

    def _read(self) -> bytes:
        piece = os.pread(self._file, _PIECE, self._offset)
        self._offset += len(piece)
        return piece

    def _send(self, sink: AnswerSocket, first: bytes) -> None:
        if first:
            sink.write(first)
        sink.send_file(self._file, self._offset, self._size - self._offset)
