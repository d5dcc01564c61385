"""Bytes between the event loop and a transform's thread, bounded in both directions.

An `InputPipe` carries an object's bytes from the loop to the thread that reads them; an `OutputPipe` carries the result
from the thread that makes it to the loop that sends it. Each holds a small number of bytes and stops whoever is too
fast: the loop's side waits on a future, the thread's side on a condition. Where the result goes to a file or a socket,
the thread hands it over itself (`pour`). Each ends in one of three ways, whole, failed
or abandoned, and whatever ends it first is what both sides see.
"""

import asyncio
import threading
from collections import deque
from concurrent.futures import Executor
from typing import Protocol

from instore.errors import ClientGoneError, InstoreError
from instore.system.threads import to_its_end

_FEED_LIMIT = 2 << 20
_SPOOL_BATCHES = 3
_SINK_BATCH = 1 << 16  # from here on a sink need not wait for more


class Sink(Protocol):
    """Takes a result in the thread that makes it.

    Attributes:
        executor: in whose threads it takes what was made before; None: the loop's own.
    """

    executor: Executor | None

    def write(self, piece: bytes) -> bool:
        """Take a piece; whether it takes another. May wait, and raise."""

    def cancel(self) -> None:
        """Nothing more is wanted. Loop's side."""


class InputPipe:
    """An object on its way to a thread: `put` and `finish` on the loop, `readinto` in the thread."""

    def __init__(self, limit: int = _FEED_LIMIT) -> None:
        self.failure: InstoreError | None = None
        self._loop = asyncio.get_running_loop()
        self._limit = limit
        self._chunks: deque[memoryview] = deque()
        self._size = 0
        self._finished = False
        self._closed = False
        self._changed = threading.Condition()
        self._room = asyncio.Event()
        self._room.set()

    async def put(self, chunk: bytes) -> None:
        """Hand over `chunk`; waits while the thread is behind. After `close` it is dropped."""
        with self._changed:
            if chunk and not self._closed:
                self._chunks.append(memoryview(chunk))
                self._size += len(chunk)
                self._changed.notify()
            if self._size >= self._limit:
                self._room.clear()
        await self._room.wait()

    def finish(self) -> None:
        """The object is complete."""
        with self._changed:
            self._finished = True
            self._changed.notify()

    def fail(self, error: InstoreError) -> None:
        """The object broke off: every further read raises `error`, what is buffered is dropped."""
        with self._changed:
            if self.failure is None and not self._finished:
                self.failure = error
            self._finished = True
            self._changed.notify()

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end. Waits for bytes. Thread's side."""
        with self._changed:
            while not self._chunks and not self._finished:
                self._changed.wait()
            if self.failure is not None:
                raise self.failure
            return self._take(buffer)

    def close(self) -> None:
        """Nobody reads any more. Thread's side."""
        with self._changed:
            self._closed = True
            self._chunks.clear()
            self._size = 0
        self._make_room()

    def _take(self, buffer: memoryview) -> int:
        filled = 0
        while self._chunks and filled < len(buffer):
            chunk = self._chunks.popleft()
            part = chunk[: len(buffer) - filled]
            buffer[filled : filled + len(part)] = part
            filled += len(part)
            if len(part) < len(chunk):
                self._chunks.appendleft(chunk[len(part) :])
        was_full = self._size >= self._limit
        self._size -= filled
        if was_full and self._size < self._limit:
            self._make_room()
        return filled

    def _make_room(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._open_room)

    def _open_room(self) -> None:
        with self._changed:
            if self._size < self._limit:
                self._room.set()


class OutputPipe:
    """A result on its way to the loop: `put`, `finish` and `fail` in the thread, `take` on the loop.

    Small pieces are joined into batches, so that a transform that yields lines costs no wake-up a line.
    """

    def __init__(self, batch: int) -> None:
        self.finished = False
        self._loop = asyncio.get_running_loop()
        self._batch = batch
        self._sink: Sink | None = None
        self._pieces: list[bytes] = []
        self._pieces_size = 0
        self._batches: deque[bytes] = deque()
        self._failure: BaseException | None = None
        self._abandoned = False
        self._changed = threading.Condition()
        self._arrived = asyncio.Event()

    def put(self, piece: bytes) -> None:
        """Add a piece of the result; waits while the loop is behind. Thread's side."""
        self._pieces.append(piece)
        self._pieces_size += len(piece)
        if self._pieces_size >= (self._batch if self._sink is None else _SINK_BATCH):
            self._flush()

    def finish(self) -> None:
        """The result is complete. Thread's side."""
        self._flush(last=True)

    def fail(self, error: BaseException) -> None:
        """The result broke off. Either side; what came first stands."""
        with self._changed:
            if not self.finished:
                self.finished = True
                self._failure = error
        self._announce()

    def abandon(self, error: BaseException) -> None:
        """Nobody takes the result any more: `put` and `take` raise. Loop's side."""
        with self._changed:
            self._abandoned = True
            if self._sink is not None:
                self._sink.cancel()
            if self._failure is None:
                self._failure = error
            self.finished = True
            self._batches.clear()
            self._changed.notify()
        self._arrived.set()

    async def take(self) -> bytes:
        """The next batch; empty at the end."""
        while not self._batches and not self.finished:
            self._arrived.clear()
            await self._arrived.wait()
        with self._changed:
            if self._failure is not None:
                raise self._failure
            if not self._batches:
                return b""
            self._changed.notify()
            return self._batches.popleft()

    async def pour(self, sink: Sink, first: bytes = b"") -> None:
        """Have the thread hand what it makes to `sink` itself, until that takes no more, or all of it is taken.

        The `first` bytes, which were taken already, are handed over before.
        """
        while True:
            with self._changed:
                if self._failure is not None:
                    raise self._failure
                batches = [first, *self._batches] if first else list(self._batches)
                first = b""
                self._batches.clear()
                if not batches:
                    self._sink = None if self.finished else sink
                self._changed.notify()
            if not batches:
                break
            if not await to_its_end(self._loop.run_in_executor(sink.executor, _write, sink, batches), sink.cancel):
                return
        while self._sink is not None and not self.finished:
            self._arrived.clear()
            await self._arrived.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def drained(self) -> bool:
        """Whether the result is complete and all of it was taken."""
        return self.finished and self._failure is None and not self._batches

    def _flush(self, last: bool = False) -> None:
        batch = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces.clear()
        self._pieces_size = 0
        with self._changed:
            while len(self._batches) >= _SPOOL_BATCHES and not self._abandoned and self._sink is None:
                self._changed.wait()
            if self._abandoned:
                raise ClientGoneError("nobody takes the result any more")
            sink = self._sink
            if sink is None:
                if batch:
                    self._batches.append(batch)
                self.finished = last
        if sink is not None:
            takes_more = sink.write(batch) if batch else True
            with self._changed:
                self.finished = last
                if not takes_more:
                    self._sink = None
            if takes_more and not last:
                return
        self._announce()

    def _announce(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._arrived.set)


def _write(sink: Sink, batches: list[bytes]) -> bool:
    """Hand over what is at hand; whether it takes more."""
    takes_more = True
    for batch in batches:
        takes_more = sink.write(batch)
    return takes_more
