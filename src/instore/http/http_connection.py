"""HTTP/1.1 on one connection, as a server speaks it.

Strategy: bytes go through llhttp's parser, strictly; what is malformed, or could be read in two ways, is answered with
an error, and the connection closed. Requests are served one after the other; while one is served, no more than the
piece that was read from the socket waits behind it. A request is begun when all of it has come, so that a small one is
served within one callback; a body that is large, or has no length, or is asked for (`Expect`), when its head has come.

| state | ends with | at most, else |
| --- | --- | --- |
| idle | the first byte of a request | `idle_time`, else closed |
| head | its last header | `head_time`, `head_bytes`, `head_fields`, `target_bytes`, else 408, 431 or 414 |
| body, waited for | its last byte | `progress_time` without a byte, else 408 |
| served | its answer | nothing is read from the socket while a piece of the body waits, or the body for memory |
| answer, not taken | the client's reading | `progress_time` without a byte, else reset |
| answer complete, body not | its last byte; nobody keeps it | `_LINGER_TIME`, else closed |
| closing | the client's end | `_LINGER_TIME`, else reset |

A client that closes its side has left. `_time_allowed` has the times, `_advance` the order.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterable
from functools import cache, partial
from http import HTTPStatus
from io import BytesIO
from typing import cast

import httptools

from instore.errors import BodyTooLargeError, ClientGoneError, InstoreError, InvalidRequestError, SlowClientError
from instore.http.limits import SMALL
from instore.http.request import Headers
from instore.http.server_state import ServerState
from instore.http.sockets import AnswerSocket, BodySocket, LentSocket
from instore.http.websocket_connection import WebSocketConnection, accept_key
from instore.system.steps import Steps, Waiter, steps_of

logger = logging.getLogger("instore")

_PAUSE_AT = 512 << 10  # bytes of a body that wait to be read, at which the socket is not read any more
_SLICE = 1 << 16  # bytes that are parsed at once where more than one request may be in them
_ONE_BUFFER = 1 << 16  # up to here a copy costs less than a second write
_JOINED = 4 << 20  # bytes of a body whose pieces are kept and joined: quicker, and for that moment in memory twice
_WORTH_LENDING = 1 << 18  # bytes of a body that are still to come, from where a thread had better read them itself
_TURNS = 4  # of the loop
_LINGER_TIME = 30.0
_JUST_IDLE = 1.0  # seconds within which a client that was served may be sending its next request already
_TEXT = (b"content-type", b"text/plain; charset=utf-8")
_NO_BODY = (204, 304)
_FRAMING = frozenset((b"content-length", b"host", b"transfer-encoding", b"expect"))
_REFUSALS: dict[int, type[InstoreError]] = {408: SlowClientError, 413: BodyTooLargeError}


class RefusedError(Exception):
    """A request that is answered by the connection itself, which is then closed."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class HTTPRequest:
    """One request on a connection; a `Request`."""

    __slots__ = (
        "_connection",
        "_gone",
        "_held",
        "_pieces",
        "_unread",
        "chunked",
        "complete",
        "counted",
        "expects",
        "framing",
        "headers",
        "keep_alive",
        "length",
        "method",
        "opened",
        "over",
        "refused",
        "sent",
        "status",
        "steps",
        "streams",
        "target",
        "understood",
        "waiter",
    )

    def __init__(self, connection: "HTTPConnection") -> None:
        self.method = ""
        self.target = b""
        self.headers: list[tuple[bytes, bytes]] = []
        self.streams = True
        self.status = 0
        self.sent = 0
        self.length: int | None = None  # of the body, as announced
        self.chunked = False
        self.expects = False
        self.keep_alive = True
        self.complete = False  # the whole body has come
        self.counted = 0  # bytes of it that have
        self.opened = False  # it is being served, or was
        self.framing = ""  # of the answer: "chunks", "length", "none", "complete"; empty before it has begun
        self.over = False  # it was served
        self.understood = False  # its head was
        self.refused: RefusedError | None = None
        self.steps: Steps | None = None
        self.waiter: Waiter[None] | None = None  # who reads, and waits
        self._connection = connection
        self._pieces: deque[bytes] = deque()
        self._unread = 0
        self._held = 0
        self._gone: Callable[[], object] | None = None

    @property
    def ended(self) -> bool:
        return self.complete and not self._pieces

    async def read(self) -> bytes:
        while not self._pieces:
            if self.complete:
                return b""
            await self._connection.more(self)
        piece = self._pieces.popleft()
        self._unread -= len(piece)
        return piece

    def ready(self) -> "HTTPRequest | None":
        is_here = self.complete and self.counted <= SMALL and not self._connection.state.memory.is_full
        return self if is_here else None

    def take(self) -> bytes:
        self._held = self.counted
        self._connection.state.memory.take(self._held)
        return self._pieces.popleft() if len(self._pieces) == 1 else self._join()

    async def whole(self) -> bytes:
        if self.ready() is not None:
            return self.take()
        if self.length is not None:
            await self._hold(self.length)
        pieces: list[bytes] = []
        body: BytesIO | None = None
        size = 0
        while piece := await self.read():
            size += len(piece)
            if size > self._held:
                await self._hold(max(len(piece), SMALL))
            if body is not None:
                body.write(piece)
                continue
            pieces.append(piece)
            if size > _JOINED:
                body = BytesIO(bytes(self.length or 0))  # filled in place, so that it is never in memory twice
                body.writelines(pieces)
                pieces.clear()
        return b"".join(pieces) if body is None else body.getvalue()

    @property
    def must_wait(self) -> bool:
        return self._connection.state.untaken.is_full

    async def wait_for_memory(self) -> None:
        await self._connection.state.untaken.reserve(0)

    def on_gone(self, callback: Callable[[], object] | None) -> None:
        self._gone = callback

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        if not self.respond_at_once(status, headers, body):
            await self.taken()

    def respond_at_once(self, status: int, headers: Headers, body: bytes) -> bool:
        if len(body) > SMALL:
            self._connection.state.untaken.check()
        self._connection.respond(self, status, headers, body)
        return not self._connection.is_full

    async def taken(self) -> None:
        sent, self.sent = self.sent, 0
        await self._connection.room(sent)
        self.sent = sent

    async def begin(self, status: int, headers: Headers) -> None:
        self._connection.begin(self, status, headers)

    async def write(self, piece: bytes) -> None:
        await self._connection.write(self, piece)

    async def end(self) -> None:
        self._connection.end(self)

    async def lend_body(self) -> BodySocket | None:
        return await self._connection.lend_body(self)

    async def lend_answer(self) -> AnswerSocket | None:
        return await self._connection.lend_answer(self)

    # What the connection calls.

    def take_pieces(self) -> deque[bytes]:
        """What has come of the body and is not read."""
        pieces, self._pieces, self._unread = self._pieces, deque(), 0
        return pieces

    def arrived(self, piece: bytes) -> bool:
        """A piece of the body has come; whether more has than is read."""
        self._unread += len(piece)
        self._pieces.append(piece)
        return self._unread >= _PAUSE_AT

    def client_left(self) -> None:
        """Tell whoever wants to know."""
        if self._gone is not None:
            callback, self._gone = self._gone, None
            callback()

    def release(self) -> None:
        """Nobody needs the body any more."""
        self._gone = None
        self._pieces.clear()
        if self._held:
            self._connection.state.memory.release(self._held)
            self._held = 0

    async def _hold(self, size: int) -> None:
        await self._connection.memory_for(size, self._held)
        self._held += size

    def _join(self) -> bytes:
        body = b"".join(self._pieces)
        self._pieces.clear()
        return body


class HTTPConnection(asyncio.Protocol):
    """The protocol of one connection.

    Args:
        state: what it shares with the others.

    Attributes:
        deadline: when the client must have moved, on the loop's clock; 0 while it need not.
    """

    def __init__(self, state: ServerState) -> None:
        self.state = state
        self.deadline = 0.0
        self._limits = state.limits
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._requests: deque[HTTPRequest] = deque()  # in their order; the first is served
        self._incoming: HTTPRequest | None = None  # what is being parsed
        self._in_head = False
        self._head_bytes = 0
        self._head_until = 0.0
        self._url = b""
        self._reframed = False  # the parser got a head of ours, for the body behind an Upgrade that nobody agrees to
        self._last = False  # what comes from now on is no request
        self._behind: list[bytes] = []  # what came behind a request that is served
        self._reading = True
        self._lent = False  # a thread reads
        self._room: Waiter[None] | None = None  # for more of an answer
        self._unsent = 0
        self._advancing = False
        self._closing = False
        self._lost = False
        self._websocket: WebSocketConnection | None = None  # whose the connection is now

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.state.connections.add(self)
        if len(self.state.connections) > self._limits.connections:
            self._transport.write(_bare(503, "too many connections; try again later"))
            self._close()
        else:
            self.deadline = self.state.now + self._limits.idle_time

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        self._lost = True
        self.deadline = 0.0
        self.state.connections.discard(self)
        self.resume_writing()
        for request in list(self._requests):
            request.client_left()
            if request.waiter is not None:
                self._wake(request)
            elif not request.opened and not request.complete and not request.refused:
                self._open(request)  # to say that it failed
        self._requests.clear()
        self._behind.clear()

    def data_received(self, data: bytes) -> None:
        if self._last:
            return
        if self._behind or (self._incoming is None and self._requests):
            self._behind.append(data)
            self._pause()
        elif len(data) > _SLICE and (self._incoming is None or self._in_head):
            self._feed_slices(data)
        else:
            self._feed(data)

    def pause_writing(self) -> None:
        self._unsent = self._transport.get_write_buffer_size()
        self._room = Waiter(self.state.loop)

    def resume_writing(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(None)

    # The way in.

    def _feed_slices(self, data: bytes) -> None:
        """Parse what may hold many requests, but not beyond one that is served by then."""
        view = memoryview(data)
        while view and not self._last:
            if self._websocket is not None:
                self._websocket.data_received(bytes(view))
                return
            if self._behind or (self._incoming is None and self._requests):
                self._behind.append(bytes(view))
                self._pause()
                return
            size = _SLICE if self._incoming is None or self._in_head else len(view)
            self._feed(view[:size])
            view = view[size:]

    def _feed(self, data: bytes | memoryview) -> None:
        if self._incoming is None:
            self._head_until = self.state.now + self._limits.head_time
            self._head_bytes = 0
        self._head_bytes += len(data)
        upgrade: httptools.HttpParserUpgrade | None = None
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as found:
            upgrade = found  # what comes of it raises errors of its own, whose context is their reason
        except httptools.HttpParserError as error:
            if not self._last:  # else it was behind the last request
                reason = error.__context__
                known = isinstance(reason, RefusedError)
                self._refuse(reason if known else RefusedError(400, f"this is not HTTP/1.1: {error}"))  # type: ignore[arg-type]
        if upgrade is not None:
            self._upgrade(bytes(data[upgrade.args[0] :]))
            return
        if self._in_head and self._head_bytes > self._limits.head_bytes:
            self._refuse(RefusedError(431, f"the request's head is longer than {self._limits.head_bytes} bytes"))
        self._advance()

    def _refuse(self, refusal: RefusedError) -> None:
        """Answer what is wrong with the request that is coming in, in its turn, and hear nothing more."""
        request = self._incoming or HTTPRequest(self)
        request.refused = refusal
        request.keep_alive = False
        self._last = True
        self._in_head = False
        self._incoming = None
        if request not in self._requests:
            self._requests.append(request)
        elif request.waiter is not None:
            self._wake(request)

    def _upgrade(self, rest: bytes) -> None:
        request = cast(HTTPRequest, self._incoming)
        if is_handshake(request):
            if len(self._requests) == 1:
                self._start_websocket(request, rest)
            else:
                self._refuse(RefusedError(400, "a WebSocket can't be opened behind a request that is served"))
                self._advance()
            return
        # The parser takes nothing behind such a head for its body, though an upgrade that nobody agrees to changes
        # nothing (RFC 9110, 7.8).
        self._reframe(b"Transfer-Encoding: chunked" if request.chunked else _length_line(request.length or 0))
        if rest:
            self.data_received(rest)

    def _reframe(self, framing: bytes) -> None:
        """Have another parser read the rest of a body, which is told of the framing alone."""
        self._parser = httptools.HttpRequestParser(self)
        self._reframed = True
        self._feed(b"PUT / HTTP/1.1\r\nHost: a\r\n%s\r\n\r\n" % framing)

    # What the parser calls.

    def on_message_begin(self) -> None:
        if self._reframed:
            return
        self._incoming = HTTPRequest(self)
        self._in_head = True
        self._url = b""

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self._limits.target_bytes:
            raise RefusedError(414, f"the request's target is longer than {self._limits.target_bytes} bytes")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer is never a header
        headers = self._incoming.headers  # type: ignore[union-attr]  # a message has begun
        if len(headers) >= self._limits.head_fields:
            raise RefusedError(431, f"the request has more than {self._limits.head_fields} headers")
        headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        if self._reframed:
            return
        request: HTTPRequest = self._incoming  # type: ignore[assignment]  # it has begun
        parser = self._parser
        request.method = parser.get_method().decode()
        request.target = self._url
        request.keep_alive = parser.should_keep_alive()
        _check_head(request, parser.get_http_version())
        if request.length is not None and request.length > self._limits.body_bytes:
            raise RefusedError(413, f"a body of {request.length} bytes is more than one may have")
        request.understood = True
        self._in_head = False
        self._requests.append(request)

    def on_body(self, body: bytes) -> None:
        request: HTTPRequest = self._incoming  # type: ignore[assignment]  # it has begun
        request.counted += len(body)
        if request.counted > self._limits.body_bytes:
            raise RefusedError(413, f"the body has more than {self._limits.body_bytes} bytes")
        if request.over:
            return
        is_behind = request.arrived(body)
        if request.waiter is not None:
            self._wake(request)
        if is_behind:
            self._pause()

    def on_message_complete(self) -> None:
        if not self._reframed and self._parser.should_upgrade():
            return  # the parser says so once more, and stops
        request: HTTPRequest = self._incoming  # type: ignore[assignment]  # it has begun
        self._reframed = False
        self._incoming = None
        request.complete = True
        if not request.keep_alive:
            self._last = True
        if request.waiter is not None:
            self._wake(request)

    # Serving.

    def _advance(self) -> None:
        """Serve what is there, in order, up to what has to be waited for."""
        if self._advancing or self._lost:
            return
        self._advancing = True
        while self._requests and not self._closing:
            request = self._requests[0]
            if not request.opened:
                if not request.understood:
                    self._answer_refused(request)
                    break
                if not request.complete and not request.refused and _waits_for_body(request):
                    self._resume()  # its head may have come behind another request
                    break
                self._open(request)
            if not request.over:
                break
            if not request.complete and request.keep_alive and not request.expects:
                self._resume()  # the rest of the body is thrown away, lest the client not see the answer
                break
            self._requests.popleft()
            if not (request.complete and request.keep_alive) or self.state.stopping:
                self._close(linger=not request.complete)
        self._advancing = False
        if not self._requests and not self._closing:
            self._next()
        self._set_deadline()

    def _next(self) -> None:
        """Nothing is served: go on reading."""
        if self._behind:
            self.state.loop.call_soon(self._feed_behind)
        elif not self._reading:
            self._resume()

    def _feed_behind(self) -> None:
        pieces, self._behind = self._behind, []
        if not self._lost:
            for piece in pieces:
                (self._websocket or self).data_received(piece)

    def _open(self, request: HTTPRequest) -> None:
        request.opened = True
        request.steps = steps = steps_of(self.state.application.serve(request))
        steps.start(partial(self._served, request))

    def _served(self, request: HTTPRequest, error: BaseException | None) -> None:
        request.over = True
        request.steps = None
        if error is None and request.framing != "complete":
            error = InstoreError("the answer was not completed")
        if error is not None:
            self._failed(request, error)
        request.release()
        self._advance()

    def _failed(self, request: HTTPRequest, error: BaseException) -> None:
        if self._lost and isinstance(error, OSError | ClientGoneError | asyncio.CancelledError | RuntimeError):
            return
        if not isinstance(error, InstoreError | OSError | asyncio.CancelledError):
            logger.error("a request failed", exc_info=error)
        if self._lost:
            return
        if not request.framing:
            request.keep_alive = False
            stopped = isinstance(error, asyncio.CancelledError)
            sentence = b"the server stops" if stopped else b"Internal Server Error"
            self.respond(request, 503 if stopped else 500, [_TEXT], sentence)
        elif request.framing != "complete":
            self._break_off()

    def _break_off(self) -> None:
        """Break the framing of an answer that has begun."""
        self._closing = self._last = True
        if self._room is None:
            self._transport.close()
        else:
            self._transport.abort()  # who doesn't read wouldn't see it end

    def _answer_refused(self, request: HTTPRequest) -> None:
        refusal = cast(RefusedError, request.refused)
        self.respond(request, refusal.status, [_TEXT], str(refusal).encode(errors="backslashreplace"))
        self._requests.clear()
        self._close()

    def _close(self, linger: bool = True) -> None:
        """The last answer was sent. What the client still sends is thrown away until it has seen that."""
        if self._closing:
            return
        self._closing = self._last = True
        self._behind.clear()
        self._requests.clear()
        self._resume()
        if linger and self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()
        self._set_deadline()

    # What a request calls.

    async def more(self, request: HTTPRequest) -> None:
        """Wait for a piece of the body, or its end."""
        self._raise_if_over(request)
        self._ask_for(request)
        self._resume()
        request.waiter = Waiter(self.state.loop)
        self._set_deadline()
        try:
            await request.waiter
        finally:
            request.waiter = None
        self._raise_if_over(request)

    async def memory_for(self, size: int, held: int) -> None:
        """Wait for memory for `size` more bytes of a body that has `held`; what it sends waits outside."""
        if not self.state.memory.has_room(size, held):
            self._pause()
        await self.state.memory.reserve(size, held)

    def _ask_for(self, request: HTTPRequest) -> None:
        """Tell a client that waits to be asked for its body."""
        if request.expects and not request.counted:
            request.expects = False
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _raise_if_over(self, request: HTTPRequest) -> None:
        if request.refused is not None:
            raise _REFUSALS.get(request.refused.status, InvalidRequestError)(str(request.refused))
        if self._lost and not request.complete:
            announced = "" if request.length is None else f" of {request.length}"
            raise ClientGoneError(f"the client left after {request.counted}{announced} bytes of the body")

    def _wake(self, request: HTTPRequest) -> None:
        waiter = request.waiter
        if waiter is not None and not waiter.done():
            # not at once: the parser is still at it
            self.state.loop.call_soon(_resolve, waiter)

    def respond(self, request: HTTPRequest, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole answer."""
        self._raise_if_lost()
        has_body = status not in _NO_BODY
        head = self._head(request, status, headers)
        if has_body:
            head.append(b"content-length: %d\r\n\r\n" % len(body))
        else:
            head.append(b"\r\n")
        request.status = status
        request.framing = "complete"
        if request.method == "HEAD" or not has_body:
            body = b""
        request.sent = len(body)
        if len(body) <= _ONE_BUFFER:
            head.append(body)
            self._transport.write(b"".join(head))
        else:
            self._transport.writelines([b"".join(head), body])

    def begin(self, request: HTTPRequest, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Send the head of an answer."""
        self._raise_if_lost()
        headers = list(headers)
        head = self._head(request, status, headers)
        if request.method == "HEAD" or status in _NO_BODY:
            framing = "none"
        elif any(name == b"content-length" for name, _ in headers):
            framing = "length"
        elif request.streams:
            framing = "chunks"
            head.append(b"transfer-encoding: chunked\r\n")
        else:
            raise ValueError("HTTP/1.0 has no framing for an answer of unknown length")
        head.append(b"\r\n")
        request.status = status
        request.framing = framing
        self._transport.write(b"".join(head))

    def _head(self, request: HTTPRequest, status: int, headers: Iterable[tuple[bytes, bytes]]) -> list[bytes]:
        head = [_status_line(status), self.state.date]
        for name, value in headers:
            head += (name, b": ", value, b"\r\n")
        if not request.keep_alive or self.state.stopping:
            request.keep_alive = False
            head.append(b"connection: close\r\n")
        elif not request.streams:
            head.append(b"connection: keep-alive\r\n")
        return head

    async def write(self, request: HTTPRequest, piece: bytes) -> None:
        """Send a piece of an answer, and wait until there is room for another."""
        self._raise_if_lost()
        if request.framing == "none" or not piece:
            return
        if request.framing == "chunks":
            self._transport.writelines([b"%x\r\n" % len(piece), piece, b"\r\n"])
        else:
            self._transport.write(piece)
        await self.room()
        request.sent += len(piece)

    @property
    def is_full(self) -> bool:
        """Whether the client has yet to take most of what was sent."""
        return self._room is not None

    async def room(self, size: int = 0) -> None:
        """Wait until it has; `size` bytes of that are in memory until then."""
        if self._room is not None:
            self.state.untaken.take(size)
            self._set_deadline()
            try:
                await self._room
            finally:
                self.state.untaken.release(size)
            self._set_deadline()
            self._raise_if_lost()

    def end(self, request: HTTPRequest) -> None:
        """The answer is complete."""
        self._raise_if_lost()
        if request.framing == "chunks":
            self._transport.write(b"0\r\n\r\n")
        request.framing = "complete"

    def _raise_if_lost(self) -> None:
        if self._lost:
            raise ClientGoneError("the client left before its answer was complete")

    # What a thread gets of the connection.

    async def lend_body(self, request: HTTPRequest) -> BodySocket | None:
        """The rest of a body, for a thread to read it; None where it comes by the loop.

        A small one, one without a length, one that is encrypted.
        """
        if request.length is None or request.length - request.counted < _WORTH_LENDING or self._is_encrypted:
            return None
        self._ask_for(request)
        self._pause()
        await asyncio.sleep(0)  # what was read from the socket is parsed in this turn
        self._raise_if_over(request)
        left = request.length - request.counted
        if not left:
            self._resume()
            return None
        self._lent = True
        returned = partial(self._return, request)
        return BodySocket(self._lend(), request.take_pieces(), request.length, left, returned)

    def _return(self, request: HTTPRequest, left: int, failure: InstoreError | None) -> None:
        """Any thread's side."""
        if not self.state.loop.is_closed():
            self.state.loop.call_soon_threadsafe(self._returned, request, left, failure)

    def _returned(self, request: HTTPRequest, left: int, failure: InstoreError | None) -> None:
        """A thread has read a body, all but `left` bytes."""
        request.counted = cast(int, request.length) - left
        self._lent = False
        if self._lost:
            return
        if self._closing:
            self._resume()
            return
        if failure is not None:
            request.keep_alive = False
            if isinstance(failure, ClientGoneError):
                self._transport.abort()
                self.connection_lost(None)
                return
        if left:
            self._reframe(_length_line(left))
        else:
            self._parser = httptools.HttpRequestParser(self)
            self._incoming = None
            request.complete = True
            self._last = not request.keep_alive
        self._resume()
        self._advance()

    async def lend_answer(self, request: HTTPRequest) -> AnswerSocket | None:
        """The way out, for a thread to send the rest of an answer; None where it has to go by the loop."""
        if request.framing == "none" or self._is_encrypted:
            return None
        for _ in range(_TURNS):  # within which what was to be sent is sent
            if not self._transport.get_write_buffer_size():
                break
            await asyncio.sleep(0)
            self._raise_if_lost()
        else:
            return None
        return AnswerSocket(self._lend(), request.framing == "chunks")

    @property
    def _is_encrypted(self) -> bool:
        return self._transport.get_extra_info("sslcontext") is not None

    def _lend(self) -> LentSocket:
        return LentSocket(self._transport.get_extra_info("socket").fileno(), self._limits.progress_time)

    # Time.

    def _set_deadline(self) -> None:
        if self._lost:
            return
        seconds = self._time_allowed()
        self.deadline = self.state.now + seconds if seconds else 0.0
        if self._in_head and not self._requests:
            self.deadline = self._head_until

    def _time_allowed(self) -> float:
        """Seconds within which the client has to move; 0: it is not its turn."""
        if self._closing:
            return _LINGER_TIME
        if self._room is not None:
            return self._limits.progress_time
        if not self._requests:
            return self._limits.idle_time
        request = self._requests[0]
        if request.over:
            return _LINGER_TIME
        return self._limits.progress_time if request.waiter is not None or not request.opened else 0.0

    def check(self) -> None:
        """Look whether the client has moved in time; called every now and then."""
        if self._lost or not self.deadline:
            return
        if self._room is not None and self.state.is_short_of_memory(self.deadline - self._limits.progress_time):
            self._check_progress()
        elif self.deadline > self.state.now:
            return
        elif self._closing:
            self._transport.abort()
        elif self._room is not None:
            self._check_progress()
        elif self._in_head:
            self._give_up(f"the request's head did not end within {self._limits.head_time:g} s")
        elif not self._requests:
            self._closing = self._last = True
            self._transport.close()
        elif self._requests[0].over:
            self._close()
        else:
            self._give_up(f"no byte of the body came for {self._limits.progress_time:g} s")

    def _give_up(self, sentence: str) -> None:
        self._refuse(RefusedError(408, sentence))
        self._advance()

    def _check_progress(self) -> None:
        left = self._transport.get_write_buffer_size()
        if left < self._unsent:
            self._unsent = left
            self._set_deadline()
        else:
            self._closing = self._last = True
            self._transport.abort()

    # The end of the server.

    @property
    def busy(self) -> bool:
        """Whether a request is under way, or coming in, or an answer on its way out."""
        return bool(
            self._requests
            or (self._incoming is not None and not self._closing)
            or self._behind
            or self._transport.get_write_buffer_size()
        )

    def drain(self, just_idle: bool) -> None:
        """The server stops: what is under way is the last, and where nothing is, the connection is closed."""
        idle_since = self.deadline - self._limits.idle_time
        if not self.busy and not self._closing and not (just_idle and idle_since > self.state.now - _JUST_IDLE):
            self._close(linger=False)

    def abort(self) -> None:
        """End whatever is under way."""
        for request in list(self._requests):
            if request.steps is not None:
                request.steps.cancel()
        if self._room is None:
            self._transport.close()
        else:
            self._transport.abort()

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            self._transport.pause_reading()

    def _resume(self) -> None:
        if not self._reading and not self._lost and not self._lent:
            self._reading = True
            self._transport.resume_reading()

    def _start_websocket(self, request: HTTPRequest, rest: bytes) -> None:
        self._incoming = None
        request.complete = True
        connection = WebSocketConnection(self.state, self._transport)
        receiver = self.state.application.websocket(request, connection)
        if isinstance(receiver, str):
            request.keep_alive = False
            self.respond(request, 403, [_TEXT], receiver.encode())
            self._close()
            return
        self._requests.clear()
        self._pause()  # the transport reads in another way from now on
        self._lost = True
        self._websocket = connection
        self.state.connections.discard(self)
        self._transport.write(
            b"HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n"
            b"sec-websocket-accept: %s\r\n\r\n" % accept_key(_value(request, b"sec-websocket-key"))
        )
        self._transport.set_protocol(connection)
        self._transport.resume_reading()
        connection.begin(receiver, rest)


def _length_line(length: int) -> bytes:
    return b"Content-Length: %d" % length


def _resolve(waiter: Waiter[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _waits_for_body(request: HTTPRequest) -> bool:
    """Whether the whole of a request is waited for before it is served."""
    return not request.chunked and not request.expects and (request.length or 0) <= SMALL


def _check_head(request: HTTPRequest, version: str) -> None:
    """Refuse what could be read in two ways, and note what the head says of the body."""
    if request.method == "CONNECT":
        raise RefusedError(405, "CONNECT is not served here")
    if version not in ("1.1", "1.0"):
        raise RefusedError(505, f"HTTP/{version} is not spoken here, HTTP/1.1 is")
    target = request.target
    if not target.startswith(b"/"):
        request.target = target = _origin_form(request.method, target)
    if b"#" in target:
        raise RefusedError(400, "the request's target has a fragment (#), which is never sent; escape it as %23")
    hosts = 0
    for name, value in request.headers:
        if name not in _FRAMING:
            continue
        if name == b"content-length":
            request.length = int(value)
        elif name == b"host":
            hosts += 1
        elif name == b"transfer-encoding":
            if value.strip().lower() != b"chunked" or version == "1.0" or request.chunked:
                raise RefusedError(400, f"Transfer-Encoding {value.decode('latin-1')!r}: only chunked is understood")
            request.chunked = True
        elif name == b"expect":
            if value.strip().lower() != b"100-continue":
                raise RefusedError(417, f"Expect {value.decode('latin-1')!r}: only 100-continue is understood")
            request.expects = version == "1.1"
    if hosts > 1 or (not hosts and version == "1.1"):
        raise RefusedError(400, f"the request has {hosts} Host headers; there must be one")
    request.streams = version == "1.1"
    if not request.chunked and not request.length:
        request.expects = False


def _origin_form(method: str, target: bytes) -> bytes:
    """Path and query of a target that names a host too, as a proxy is asked, or nothing at all."""
    if target == b"*" and method == "OPTIONS":
        return target
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in (b"http", b"https"):
        raise RefusedError(400, f"the request's target {target[:80].decode('latin-1')!r} is neither a path nor a URL")
    _, slash, path = rest.partition(b"/")
    return slash + path or b"/"


def is_handshake(request: HTTPRequest) -> bool:
    """Whether a request opens a WebSocket (RFC 6455, 4.2.1)."""
    return (
        request.method == "GET"
        and not request.chunked
        and not request.length
        and _says(request, b"upgrade", b"websocket")
        and _says(request, b"connection", b"upgrade")
        and _value(request, b"sec-websocket-version") == b"13"
        and bool(_value(request, b"sec-websocket-key"))
    )


def _value(request: HTTPRequest, wanted: bytes) -> bytes:
    return next((value.strip() for name, value in request.headers if name == wanted), b"")


def _says(request: HTTPRequest, wanted: bytes, word: bytes) -> bool:
    """Whether a header that is a list of words has `word`."""
    return any(
        word == part.strip().lower() for name, value in request.headers if name == wanted for part in value.split(b",")
    )


@cache
def _status_line(status: int) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


def _bare(status: int, sentence: str) -> bytes:
    """An answer of the connection itself, after which it is closed."""
    text = sentence.encode()
    return b"%scontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s" % (
        _status_line(status), _TEXT[1], len(text), text,
    )  # fmt: skip
