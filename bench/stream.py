"""One large object through a streaming transform: sent and received at the same time, in constant memory.

The timed transfer counts bytes and follows the framing; a transfer of a smaller object before and after it compares
every byte. (To compare all of the large one would cost the client more than the fastest server needs to send it.)
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.site import BLOCK, HOST, Server, WrongAnswerError

_BUFFER = 1 << 18  # fits in the core's cache
_LONGEST_HEAD = 1 << 16
_TIMEOUT = 60.0
_TWICE = BLOCK * 2

Destination = Callable[[memoryview], None]


def seconds_for(server: Server, path: str, body: Path | None, size: int, *, compare: bool = False) -> float:
    """The seconds that it takes to PUT `body` (None: an empty one) to `path` and to get `size` bytes back.

    Raises:
        WrongAnswerError: what came is not the object of that size.
    """
    sink = _Comparison() if compare else _Count()
    began = time.perf_counter()
    try:
        with socket.create_connection((HOST, server.port), timeout=_TIMEOUT) as connection:
            _exchange(connection, path, body, sink)
    except (OSError, EOFError, ValueError) as error:
        raise WrongAnswerError(f"{server.kind.name}: {type(error).__name__}: {error}") from error
    took = time.perf_counter() - began
    if sink.size != size:
        raise WrongAnswerError(f"{server.kind.name} sent {sink.size} of {size} bytes")
    return took


class _Count:
    """Counts what comes."""

    size = 0

    def __call__(self, piece: memoryview) -> None:
        self.size += len(piece)


class _Comparison(_Count):
    """Compares what comes with an object: the same block over and over."""

    def __call__(self, piece: memoryview) -> None:
        if not _TWICE.startswith(bytes(piece), self.size % len(BLOCK)):
            raise WrongAnswerError(f"other bytes than the object's after {self.size}")
        super().__call__(piece)


def _exchange(connection: socket.socket, path: str, body: Path | None, sink: Destination) -> None:
    length = body.stat().st_size if body else 0
    connection.sendall(f"PUT {path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Length: {length}\r\n\r\n".encode())
    sender = threading.Thread(target=_send, args=(connection, body), daemon=True)
    sender.start()
    _Answer(connection, sink).read()
    sender.join(_TIMEOUT)


def _send(connection: socket.socket, body: Path | None) -> None:
    if body is not None:
        with body.open("rb") as file, contextlib.suppress(OSError):  # what the server made of it shows in the answer
            connection.sendfile(file)


class _Answer:
    """Reads one answer, chunked, with a length, or up to the connection's end, without a copy of its body."""

    def __init__(self, connection: socket.socket, sink: Destination) -> None:
        self._connection = connection
        self._sink = sink
        self._buffer = bytearray(_BUFFER)
        self._view = memoryview(self._buffer)
        self._begin = self._end = 0

    def read(self) -> None:
        head = self._until(b"\r\n\r\n").lower()
        if b" 200 " not in head.partition(b"\r\n")[0] + b" ":
            raise WrongAnswerError(f"answered {head[:80]!r}")
        headers = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
        if headers.get(b"transfer-encoding") == b"chunked":
            while size := int(self._until(b"\r\n"), 16):
                self._take(size)
                self._until(b"\r\n")
            self._until(b"\r\n")
        elif b"content-length" in headers:
            self._take(int(headers[b"content-length"]))
        else:
            with contextlib.suppress(EOFError):
                self._take(1 << 62)

    def _take(self, size: int) -> None:
        """Hand the next `size` bytes to the sink."""
        while size:
            if self._begin == self._end:
                self._begin = self._end = 0
                self._fill()
            end = min(self._end, self._begin + size)
            self._sink(self._view[self._begin : end])
            size -= end - self._begin
            self._begin = end

    def _until(self, mark: bytes) -> bytes:
        """What comes before the next `mark`; goes past it."""
        while (found := self._buffer.find(mark, self._begin, self._end)) < 0:
            rest = self._view[self._begin : self._end]
            if len(rest) > _LONGEST_HEAD:
                raise WrongAnswerError("an answer without an end of line")
            self._view[: len(rest)] = bytes(rest)
            self._begin, self._end = 0, len(rest)
            self._fill()
        line = bytes(self._view[self._begin : found])
        self._begin = found + len(mark)
        return line

    def _fill(self) -> None:
        count = self._connection.recv_into(self._view[self._end :])
        if not count:
            raise EOFError("the answer broke off")
        self._end += count
