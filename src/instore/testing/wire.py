"""One request to an ETL server of any make, over HTTP or WebSocket, and what came back: without a judgement.

A body can be cut off in its middle, as by a client that dies.
"""

import contextlib
import http.client
import socket
import ssl
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from urllib.parse import SplitResult, urlsplit

from websockets.client import ClientProtocol
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.uri import parse_uri

from instore.protocol.headers import WEBSOCKET_PATH

PIECE = 1 << 16
"""Bytes of a chunk of a body whose length is not announced."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A request.

    Attributes:
        method: `PUT` and so on.
        target: path and query, escaped.
        body: its bytes; None: it has none.
        headers: further headers.
        chunked: the body's length is not announced.
        cut: only the first half of the body is sent, though all of it is announced.
    """

    method: str
    target: str
    body: bytes | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    chunked: bool = False
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: HTTP status; None: there was none.
        headers: lower-case names.
        body: as much as came.
        broken: how the exchange broke off; empty: it did not.
        text: over WebSocket: it is a text message, which says that the result is delivered.
        seconds: from the request to the last byte.
    """

    status: int | None
    headers: Mapping[str, str]
    body: bytes
    broken: str = ""
    text: bool = False
    seconds: float = 0.0


def ask(base: str, sent: Sent, timeout: float | None) -> Reply:
    """Send a request and read what comes back, also where it breaks off; `timeout` is for each wait, in seconds."""
    began = time.perf_counter()
    return replace(_ask(base, sent, timeout), seconds=time.perf_counter() - began)


def _ask(base: str, sent: Sent, timeout: float | None) -> Reply:
    parts = urlsplit(base)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.hostname or "", parts.port, timeout=timeout)
    try:
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # an answer may have come before
            _send(connection, sent)
        return _read(connection.getresponse())
    except (OSError, http.client.HTTPException) as error:
        return Reply(None, {}, b"", f"no answer: {_why(error)}")
    finally:
        connection.close()


def _send(connection: http.client.HTTPConnection, sent: Sent) -> None:
    connection.putrequest(sent.method, sent.target, skip_accept_encoding=True)
    for name, value in sent.headers.items():
        connection.putheader(name, value)
    if sent.body is None:
        connection.endheaders()
        return
    if sent.chunked:
        connection.putheader("Transfer-Encoding", "chunked")
    else:
        # What is cut off has a byte that is missing, also where the body is empty.
        connection.putheader("Content-Length", str(max(len(sent.body), 1) if sent.cut else len(sent.body)))
    connection.endheaders()
    body = sent.body[: len(sent.body) // 2] if sent.cut else sent.body
    connection.send(_chunks(body, not sent.cut) if sent.chunked else body)
    if sent.cut:
        connection.sock.shutdown(socket.SHUT_WR)


def _chunks(body: bytes, ended: bool) -> bytes:
    pieces = [body[start : start + PIECE] for start in range(0, len(body), PIECE)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + (b"0\r\n\r\n" if ended else b"")


def _read(response: http.client.HTTPResponse) -> Reply:
    headers = {name.lower(): value for name, value in response.getheaders()}
    try:
        return Reply(response.status, headers, response.read())
    except http.client.IncompleteRead as error:
        part = error.partial
        return Reply(response.status, headers, part, f"the answer broke off after {len(part)} bytes")
    except (OSError, http.client.HTTPException) as error:
        return Reply(response.status, headers, b"", f"the answer broke off: {_why(error)}")


def _why(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "nothing came within the time-out"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def ask_websocket(base: str, control: bytes, body: bytes, timeout: float | None, cut: bool = False) -> Reply:
    """Send an object over a WebSocket connection of its own; arguments as for `ask`."""
    began = time.perf_counter()
    reply = _ask_websocket(base, control, body, timeout, cut)
    return replace(reply, seconds=time.perf_counter() - began)


def _ask_websocket(base: str, control: bytes, body: bytes, timeout: float | None, cut: bool) -> Reply:
    parts = urlsplit(base)
    try:
        with contextlib.closing(_connect(parts, timeout)) as connection:
            protocol = ClientProtocol(parse_uri(f"ws://{parts.netloc}{WEBSOCKET_PATH}"), max_size=None)
            messages = _Messages(connection, protocol)
            if (refusal := messages.shake_hands()) is not None:
                return refusal
            protocol.send_binary(control)
            protocol.send_binary(body[: len(body) // 2] if cut else body, fin=not cut)
            messages.flush()
            if cut:
                connection.shutdown(socket.SHUT_WR)
            return messages.read()
    except OSError as error:
        return Reply(None, {}, b"", f"no answer: {_why(error)}")


def _connect(parts: SplitResult, timeout: float | None) -> socket.socket:
    default = 443 if parts.scheme == "https" else 80
    connection = socket.create_connection((parts.hostname or "", parts.port or default), timeout)
    if parts.scheme == "https":
        return ssl.create_default_context().wrap_socket(connection, server_hostname=parts.hostname)
    return connection


class _Messages:
    """The messages that come over one connection, read by hand: what comes behind a cut, or a close, counts too."""

    def __init__(self, connection: socket.socket, protocol: ClientProtocol) -> None:
        self._connection = connection
        self._protocol = protocol
        self._events: deque[Frame | Response] = deque()

    def shake_hands(self) -> Reply | None:
        """Open the connection; what came instead, if the server does not speak WebSocket."""
        self._protocol.send_request(self._protocol.connect())
        self.flush()
        answer = self._next()
        if isinstance(answer, Response) and answer.status_code == HTTPStatus.SWITCHING_PROTOCOLS:
            return None
        status = answer.status_code if isinstance(answer, Response) else None
        return Reply(status, {}, b"", f"no WebSocket: {self._protocol.handshake_exc or 'the connection closed'}")

    def flush(self) -> None:
        """Send what is to be sent."""
        for data in self._protocol.data_to_send():
            if data:
                self._connection.sendall(data)

    def read(self) -> Reply:
        """The next message, whole; or what came of it before the connection closed."""
        parts: list[bytes] = []
        text = False
        while isinstance(frame := self._next(), Frame):
            if frame.opcode in (Opcode.BINARY, Opcode.TEXT, Opcode.CONT):
                text = text or frame.opcode is Opcode.TEXT
                parts.append(bytes(frame.data))
                if frame.fin:
                    return Reply(None, {}, b"".join(parts), text=text)
        code, reason = self._protocol.close_code, self._protocol.close_reason
        return Reply(None, {}, b"".join(parts), reason or f"the connection closed ({code}) before the answer")

    def _next(self) -> Frame | Response | None:
        """What comes next; None: the connection is closed."""
        while not self._events:
            data = self._connection.recv(PIECE)
            if data:
                self._protocol.receive_data(data)
            else:
                self._protocol.receive_eof()
            with contextlib.suppress(OSError):  # replies to pings and to a close, which are for who still reads
                self.flush()
            self._events.extend(event for event in self._protocol.events_received() if not isinstance(event, Request))
            if not data and not self._events:
                return None
        return self._events.popleft()
