"""WebSocket: many objects on one connection, answered in order (docs/protocol.md#websocket).

The target takes *any* text message for "delivered", and has no message for "failed". So text is sent for exactly one
thing, a direct put that ended at a target. A failed object is a binary message where the pipeline ends at a target,
which the target reports as that object's error. Everywhere else a message is begun that never ends, and the connection
closed: a target that saw no more than a close would wait for ever. The objects behind it are lost, and logged as that.

An object begins as soon as it is read, or when it is its connection's turn (`fair_share`); answers wait for theirs.
What may be under way at once is bounded in number and in bytes, and reading stops there.
"""

import asyncio
from collections import deque
from functools import partial

from instore.errors import (
    ClientGoneError,
    InstoreError,
    InvalidPipelineError,
    MalformedControlError,
    OverloadedError,
)
from instore.http.client import FAILURES
from instore.http.websocket import WebSocketReceiver, WebSocketSender
from instore.protocol.headers import DIRECT_PUT_LENGTH, WEBSOCKET_PATH
from instore.protocol.pipeline import ends_at_target
from instore.protocol.requests import ObjectRequest
from instore.protocol.websocket import CLOSE_FAILED, CLOSE_GOING_AWAY, CLOSE_POLICY, parse_control
from instore.server.direct_put import Response
from instore.server.entry import AccessLogEntry
from instore.server.exchange import Service
from instore.server.fair_share import FairShare
from instore.server.sources import BytesSource, FileSource, Source
from instore.server.user_results import TypedBytes
from instore.system.steps import Stepper, Waiter

_AHEAD = 8  # objects under way beyond those that transform: on their way in, or to the next hop
_BYTES_AHEAD = 64 << 20


class WebSocketHandler:
    """Serves WebSocket connections."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._share = FairShare(_most_at_once(service) + service.environment.queue // 2)

    def connect(self, path: str, sender: WebSocketSender) -> WebSocketReceiver | str:
        """Take a connection, or say why not."""
        if path != WEBSOCKET_PATH:
            return f"WebSocket is served at {WEBSOCKET_PATH}"
        return _WebSocketObjects(self._service, sender, self._share)


def _most_at_once(service: Service) -> int:
    """Objects that can be transformed at once."""
    return max(service.transform.concurrency, service.transform.offered_concurrency)


class _PendingObject:
    """An object under way.

    Attributes:
        size: bytes of it in memory.
        held: bytes of its answer in memory.
        answer: what is sent when its turn comes: bytes, or the number of bytes that were delivered as text.
        failure: why there is none.
        ready: whether one of them is there.
        has_place: whether it has a place in the `FairShare`.
        code: that the failure closes the connection with; 0: it is sent as a message.
    """

    __slots__ = ("answer", "code", "entry", "failure", "has_place", "held", "ready", "size", "status", "stepper")

    def __init__(self, entry: AccessLogEntry, size: int) -> None:
        self.entry = entry
        self.size = size
        self.held = 0
        self.status = 0
        self.answer: bytes | str = b""
        self.failure: InstoreError | OSError | None = None
        self.code = 0
        self.ready = False
        self.has_place = False
        self.stepper: Stepper | Waiter[bytes | TypedBytes] | None = None


class _WebSocketObjects:
    """The objects of one connection; a `WebSocketReceiver`."""

    def __init__(self, service: Service, sender: WebSocketSender, share: FairShare) -> None:
        self._service = service
        self._sender = sender
        self._share = share
        self._items: deque[_PendingObject] = deque()
        self._bytes = 0
        self._untaken: _PendingObject | None = None  # whose answer was sent, and is not taken yet
        self._in_line: _PendingObject | None = None  # the last of them, where it waits for its turn
        self._most = _most_at_once(service) + _AHEAD
        self._due: ObjectRequest | None = None  # whose bytes are the next message
        self._paused = False
        self._stopping = False
        self._over = False

    # What the connection calls.

    def message(self, data: bytes, is_text: bool) -> None:
        size = len(data)
        if self._over:
            self._sender.release(size)
            return
        try:
            if is_text:
                raise self._not_due(data)
            if self._due is None:
                self._sender.release(size)
                request = parse_control(data)
                if not request.fqn:
                    self._due = request
                else:
                    self._start(request, self._service.file(request), 0)
            else:
                request, self._due = self._due, None
                self._start(request, BytesSource(data), size)
        except (MalformedControlError, InvalidPipelineError) as error:
            self._end_with(error)

    def _not_due(self, text: bytes) -> MalformedControlError:
        expected = "a control message" if self._due is None else "the object's bytes"
        excerpt = text[:80].decode(errors="replace")
        return MalformedControlError(CLOSE_POLICY, f"got a text message, expected {expected}: {excerpt!r}")

    def writable(self) -> None:
        self._flush()

    def closed(self) -> None:
        self._over = True
        if self._due is not None:
            self._lost(self._service.access_log.begin("WS", "message"), self._due, "its bytes were there")
            self._due = None
        if self._untaken is not None:
            self._lost(self._untaken.entry, self._untaken.entry.request, "its answer was taken")
            self._release(self._untaken)
            self._untaken = None
        self._drop("its answer was sent")

    @property
    def busy(self) -> bool:
        return bool(self._items) or self._due is not None or self._untaken is not None

    def drain(self) -> None:
        self._stopping = True
        self._flush()

    # From an object to its answer.

    def _start(self, request: ObjectRequest, source: BytesSource | FileSource, size: int) -> None:
        entry = self._service.access_log.begin("WS", "message")
        entry.request, entry.source = request, source
        item = _PendingObject(entry, size)
        self._items.append(item)
        self._bytes += size
        if self._share.take():
            self._begin(item, request, source)
        else:
            self._in_line = item
            self._share.wait(item, partial(self._take_turn, item, request, source))
        if not self._paused and self._is_full:
            self._paused = True
            self._sender.pause()

    @property
    def _is_full(self) -> bool:
        """Whether no more should be read."""
        return len(self._items) >= self._most or self._bytes >= _BYTES_AHEAD or self._in_line is not None

    def _take_turn(self, item: _PendingObject, request: ObjectRequest, source: BytesSource | FileSource) -> None:
        self._in_line = None
        self._begin(item, request, source)
        self._flush()

    def _begin(self, item: _PendingObject, request: ObjectRequest, source: BytesSource | FileSource) -> None:
        item.has_place = True
        if self._service.awaits_nothing and not request.next_url:
            self._begin_ready(item, request, source)
        else:
            item.stepper = stepper = Stepper(self._object(item, request, source))
            stepper.start(partial(self._done, item))

    def _give_back_place(self, item: _PendingObject) -> None:
        """It is transformed, or won't be; it may still be on its way to a next hop."""
        if item.has_place:
            item.has_place = False
            self._share.give_back()

    def _begin_ready(self, item: _PendingObject, request: ObjectRequest, source: BytesSource | FileSource) -> None:
        """As `_object` does, by callbacks: the object is at hand, and its result is whole."""
        try:
            self._service.mime_type()  # which has to be right, though no message carries it
            item.stepper = job = self._service.start(request, source.at_hand(), item.entry)
        except Exception as error:
            self._not_made(item, error)
        else:
            job.add_done_callback(partial(self._made, item))

    def _made(self, item: _PendingObject, job: Waiter[bytes | TypedBytes]) -> None:
        try:
            result = job.result()
        except (Exception, asyncio.CancelledError) as error:
            if job.cancelled():
                self._service.watchdog.check()
            self._not_made(item, error)
            return
        item.status = 200
        item.answer = result.data if isinstance(result, TypedBytes) else result
        self._done(item, None)

    def _not_made(self, item: _PendingObject, error: BaseException) -> None:
        if isinstance(error, (InstoreError, *FAILURES)):
            self._failed(item, error, self._service.refusal(error).output.first)
            self._done(item, None)
        else:
            self._done(item, error)

    async def _object(self, item: _PendingObject, request: ObjectRequest, source: Source) -> None:
        exchange = self._service.exchange(item.entry, request, source)
        exchange.result.on_made = partial(self._give_back_place, item)
        try:
            response = await exchange.begin()
            result = await _whole(response)
        except (InstoreError, *FAILURES) as error:
            self._failed(item, error, self._service.refusal(error).output.first)
            return
        finally:
            await exchange.end()
        item.status = response.status
        if response.status >= 400:
            sentence = result or f"{request.next_url} answered {response.status}".encode()
            self._failed(item, InstoreError(sentence.decode(errors="replace")), sentence)
        elif response.status == 204:
            item.answer = response.headers.get(DIRECT_PUT_LENGTH, "0")
        else:
            item.answer = result

    def _failed(self, item: _PendingObject, error: InstoreError | OSError, sentence: bytes) -> None:
        request = item.entry.request
        item.failure = error
        item.answer = sentence
        item.code = 0 if request is not None and ends_at_target(request.next_url, request.pipeline) else CLOSE_FAILED

    def _done(self, item: _PendingObject, error: BaseException | None) -> None:
        item.stepper = None
        self._give_back_place(item)
        if self._over:
            return
        self._hold_answer(item)
        if error is not None:
            self._service.access_log.unexpected(error)
            self._failed(item, InstoreError(type(error).__name__), b"Internal Server Error")
        item.ready = True
        if self._items[0] is item:
            self._flush()

    def _hold_answer(self, item: _PendingObject) -> None:
        """Count an answer as memory, until it is taken."""
        size = len(item.answer) if isinstance(item.answer, bytes) else 0
        try:
            self._sender.take_answer(size)
        except OverloadedError as error:
            self._failed(item, error, str(error).encode())
        else:
            item.held = size
            self._bytes += size

    def _release(self, item: _PendingObject) -> None:
        self._sender.release(item.size)
        self._sender.release_answer(item.held)

    def _end_with(self, error: MalformedControlError | InvalidPipelineError) -> None:
        """What came is no request: close, behind the answers of those before it."""
        item = _PendingObject(self._service.access_log.begin("WS", "message"), 0)
        item.failure = error
        item.answer = self._service.environment.redact(str(error)).encode(errors="replace")
        item.code = error.code if isinstance(error, MalformedControlError) else CLOSE_POLICY
        item.ready = True
        self._items.append(item)
        self._paused = True
        self._sender.pause()
        self._flush()

    # From an answer to the client.

    def _flush(self) -> None:
        """Send the answers whose turn it is."""
        if self._untaken is not None and self._sender.is_writable:
            item, self._untaken = self._untaken, None
            self._taken(item)
        while self._items and self._items[0].ready and self._sender.is_writable and not self._over:
            self._answer(self._items.popleft())
        if self._over:
            return
        if self._stopping:
            if not self.busy:
                self._over = True
                self._sender.close(CLOSE_GOING_AWAY, "the server stops")
        elif self._paused and not self._is_full:
            self._paused = False
            self._sender.resume()

    def _answer(self, item: _PendingObject) -> None:
        answer = item.answer
        if item.code:
            self._taken(item)
            self._close(item.code, answer)
            return
        if isinstance(answer, str):
            self._sender.send_text(answer)
        else:
            self._sender.send(answer)
        if self._sender.is_writable:
            self._taken(item)
        else:
            self._untaken = item

    def _taken(self, item: _PendingObject) -> None:
        """The client has its answer, as far as can be known."""
        self._bytes -= item.size + item.held
        self._release(item)
        log = self._service.access_log
        if item.failure is not None:
            log.failed(item.entry, item.status, 0, item.failure)
        else:
            log.served(item.entry, item.status, len(item.answer) if isinstance(item.answer, bytes) else 0)

    def _close(self, code: int, sentence: bytes | str) -> None:
        self._over = True
        self._drop("its turn came: one before it failed")
        self._sender.break_off()
        self._sender.close(code, sentence.decode(errors="replace") if isinstance(sentence, bytes) else sentence)

    def _drop(self, due: str) -> None:
        """Nobody gets the answers of what is under way."""
        items = list(self._items)
        self._items.clear()
        self._bytes = 0
        if self._in_line is not None:
            self._share.leave(self._in_line)
            self._in_line = None
        for item in items:
            if item.stepper is not None:
                item.stepper.cancel()
            self._release(item)
            if item.failure is not None:
                self._service.access_log.failed(item.entry, item.status, 0, item.failure)
            else:
                self._lost(item.entry, item.entry.request, due)

    def _lost(self, entry: AccessLogEntry, request: ObjectRequest | None, due: str) -> None:
        """The connection ended before what was `due`."""
        entry.request = request
        self._service.access_log.failed(entry, 0, 0, ClientGoneError(f"the connection ended before {due}"))


async def _whole(response: Response) -> bytes:
    body = response.output
    return body.first if body.rest is None else b"".join([batch async for batch in body.batches()])
