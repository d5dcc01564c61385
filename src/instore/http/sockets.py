"""A connection's socket in a thread's hands: large bodies and results pass at the kernel's pace, and not by the loop.

The thread has a duplicate of the descriptor, so that the loop may close its own at any time. Whoever of the two is the
last to use the duplicate closes it.
"""

import os
import select
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial

from instore.errors import ClientGoneError, InstoreError, SlowClientError

_SENDERS = ThreadPoolExecutor(256, thread_name_prefix="sender")
"""Threads of their own, since each may wait for its client for as long as one may take."""
_LOOK = 0.25  # seconds after which a thread that waits looks whether it still has to
_GONE = "the client left before its answer was complete"


class LentSocket:
    """A duplicate of a socket.

    Args:
        descriptor: what is duplicated; it does not block.
        patience: seconds that the other side may take before it moves.
    """

    def __init__(self, descriptor: int, patience: float) -> None:
        self.patience = patience
        self._socket = socket.socket(fileno=os.dup(descriptor))
        self._lock = threading.Lock()
        self._waiting = False
        self._closed = False

    def call(self, operation: Callable[[socket.socket], int], event: int) -> int:
        """What `operation` gives, once the other side lets it. Thread's side.

        Raises:
            ClientGoneError: it is closed.
            TimeoutError: the other side did not move.
        """
        until = 0.0
        while True:
            with self._lock:
                if self._closed:
                    raise ClientGoneError("the request is over")
                try:
                    return operation(self._socket)
                except BlockingIOError:
                    self._waiting = True
            now = time.monotonic()
            until = until or now + self.patience
            if now > until:
                self._end_wait()
                raise TimeoutError
            self._wait(event)

    def close(self) -> bool:
        """Nobody may use it any more; whether somebody could. Either side."""
        with self._lock:
            was_open, self._closed = not self._closed, True
            if was_open and not self._waiting:
                self._socket.close()
        return was_open

    def _wait(self, event: int) -> None:
        try:
            poll = select.poll()
            poll.register(self._socket.fileno(), event)
            poll.poll(_LOOK * 1000)
        finally:
            self._end_wait()

    def _end_wait(self) -> None:
        with self._lock:
            self._waiting = False
            if self._closed:
                self._socket.close()


class BodySocket:
    """A body whose rest a thread reads itself.

    Args:
        lent: where the rest comes from.
        pieces: what has come already.
        length: of the whole body.
        left: bytes that are still to come.
        done: called once, when nothing more is read, with the bytes that are left and the reason if it broke off.

    Attributes:
        failure: why the body broke off.
    """

    def __init__(
        self,
        lent: LentSocket,
        pieces: deque[bytes],
        length: int,
        left: int,
        done: Callable[[int, InstoreError | None], object],
    ) -> None:
        self.failure: InstoreError | None = None
        self._lent = lent
        self._pieces = deque(memoryview(piece) for piece in pieces)
        self._length = length
        self._left = left
        self._done = done

    @property
    def received(self) -> int:
        """Bytes that have come."""
        return self._length - self._left

    def readinto(self, buffer: memoryview) -> int:
        """Fill some of `buffer`; 0 at the end. Waits for bytes. Thread's side."""
        if self.failure is not None:
            raise self.failure
        if self._pieces:
            return self._take_piece(buffer)
        if not self._left:
            return 0
        try:
            count = self._lent.call(lambda connection: self._receive(connection, buffer), select.POLLIN)
        except TimeoutError:
            raise self._fail(SlowClientError(f"no byte of the body came for {self._lent.patience:g} s")) from None
        except ClientGoneError:
            raise self._fail(ClientGoneError("the request ended before its body was read")) from None
        except OSError:
            count = 0
        if not count:
            raise self._fail(
                ClientGoneError(f"the client left after {self.received} of {self._length} bytes of the body")
            )
        if not self._left:
            self.close()
        return count

    def close(self) -> None:
        """Nobody reads any more. Either side."""
        if self._lent.close():
            self._done(self._left, self.failure)

    def _receive(self, connection: socket.socket, buffer: memoryview) -> int:
        count = connection.recv_into(buffer[: self._left])
        self._left -= count  # here, lest `close` come between
        return count

    def _take_piece(self, buffer: memoryview) -> int:
        piece = self._pieces.popleft()
        part = piece[: len(buffer)]
        buffer[: len(part)] = part
        if len(part) < len(piece):
            self._pieces.appendleft(piece[len(part) :])
        return len(part)

    def _fail(self, error: InstoreError) -> InstoreError:
        self.failure = error
        self.close()
        return error


class AnswerSocket:
    """An answer whose rest a thread sends itself.

    Attributes:
        executor: in whose threads it is written where the one that makes the answer doesn't.
        sent: bytes of the answer's body that were handed to the kernel.
    """

    executor: Executor | None = _SENDERS

    def __init__(self, lent: LentSocket, chunked: bool) -> None:
        self.sent = 0
        self._lent = lent
        self._chunked = chunked

    def write(self, piece: bytes) -> bool:
        """Send a piece, all of it. Thread's side.

        Raises:
            ClientGoneError: the client has left, or takes nothing.
        """
        if self._chunked:
            self._send([b"%x\r\n" % len(piece), piece, b"\r\n"])
        else:
            self._send([piece])
        self.sent += len(piece)
        return True

    def send_file(self, file: int, offset: int, size: int) -> None:
        """Send `size` bytes of a file, as one piece. Thread's side; errors as for `write`."""
        if not size:
            return
        if self._chunked:
            self._send([b"%x\r\n" % size])
        end = offset + size
        while offset < end:
            count = self._call(partial(_send_file, file, offset, end - offset))
            offset += count
            self.sent += count
        if self._chunked:
            self._send([b"\r\n"])

    def cancel(self) -> None:
        """Nothing more is sent. Loop's side."""
        self._lent.close()

    def _send(self, pieces: list[bytes]) -> None:
        rest = [memoryview(piece) for piece in pieces]
        while rest:
            count = self._call(lambda connection: connection.sendmsg(rest))
            while rest and count >= len(rest[0]):
                count -= len(rest.pop(0))
            if rest and count:
                rest[0] = rest[0][count:]

    def _call(self, operation: Callable[[socket.socket], int]) -> int:
        try:
            return self._lent.call(operation, select.POLLOUT)
        except OSError:  # reset, or too slow
            raise ClientGoneError(_GONE) from None


def _send_file(file: int, offset: int, size: int, connection: socket.socket) -> int:
    return os.sendfile(connection.fileno(), file, offset, size)
