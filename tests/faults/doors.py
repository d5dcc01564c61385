"""The doors of a server, each from the outside: an object goes in, and a target concludes from what comes out.

A conclusion is drawn as AIStore's target draws it (docs/protocol.md#answers). A door that is added here, with
the sources it takes, multiplies the table.
"""

import http.client
import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum, auto
from typing import Protocol
from urllib.parse import quote, quote_plus

from websockets import frames
from websockets.exceptions import ConnectionClosed
from websockets.protocol import Event
from websockets.sync.client import ClientConnection, connect

from tests.faults.transforms import made_of
from tests.support.servers import Server
from tests.support.websocket import ReadingConnection

_HANG = 30.0  # seconds until an exchange is given up as hung; no measurement
_CHUNK = 100_000
UNVERIFIED = ssl.create_default_context()
# In 1.3 tickets come while another thread sends, and Python 3.11 may hang.
UNVERIFIED.maximum_version = ssl.TLSVersion.TLSv1_2
UNVERIFIED.check_hostname = False
UNVERIFIED.verify_mode = ssl.CERT_NONE


class Source(StrEnum):
    """Where an object's bytes come from."""

    BODY = "body"
    CHUNKED = "chunked"
    FILE = "file"
    PULL = "pull"
    URL = "url"


class Kind(StrEnum):
    """What a target takes an answer for."""

    CONTENT = auto()
    DELIVERED = auto()
    ERROR = auto()
    LEFT = auto()  # nobody was there any more to conclude anything


class Leave(StrEnum):
    """How a client ends its side."""

    HALF_CLOSE = auto()
    CLOSE = auto()
    RESET = auto()


@dataclass(frozen=True)
class Client:
    """How a client misbehaves.

    Attributes:
        sends: bytes of the object that it sends; None: all.
        then: how it ends its side once they are sent; None: it does not.
        reads: bytes of the answer that it reads before that; None: it reads the whole if it still can.
        ends: ends the chunks, or announces just what it sends.
        garbage: what it sends after the object.
        until: a file that it waits for before it ends its side; empty: none.
        version: of HTTP.
        headers: further lines of its request's head.
        trailers: behind the last chunk.
    """

    sends: int | None = None
    then: Leave | None = None
    reads: int | None = None
    ends: bool = False
    garbage: bytes = b""
    until: str = ""
    version: str = "1.1"
    headers: tuple[str, ...] = ()
    trailers: bytes = b""

    @property
    def asks_first(self) -> bool:
        """Whether it waits to be told to go on: a reset may overtake a request that nobody has read."""
        return self.then is Leave.RESET and self.reads is None


@dataclass(frozen=True)
class Order:
    """One object's way through a server.

    Attributes:
        name: the object's name, the same in the source and at its destination.
        source: where its bytes come from.
        data: those bytes.
        pipeline: the value of `Ais-Node-Url`; empty: none.
        etl_args: for the transform.
        fqn: its file, for `Source.FILE`.
        url: its URL, for `Source.URL`.
        client: how the client misbehaves.
    """

    name: str
    source: Source
    data: bytes
    pipeline: str = ""
    etl_args: str = ""
    fqn: str = ""
    url: str = ""
    client: Client = field(default_factory=Client)


@dataclass(frozen=True)
class Conclusion:
    """What a target makes of an answer.

    Attributes:
        kind: what it takes it for.
        status: HTTP status; 0 when the answer broke; None where the door has none.
        body: the object, or the error's text.
        length: `Ais-Direct-Put-Length`; None when it is absent.
        retry: the value of `Ais-Etl-Retry-Reason`; empty when it is absent.
        why: for a broken answer, how it broke.
    """

    kind: Kind
    status: int | None = 0
    body: bytes = b""
    length: str | None = None
    retry: str = ""
    why: str = ""


class Oddity(StrEnum):
    """What a server may do that has no place in the protocol."""

    HANGS = "no answer"
    ENDLESS = "an answer whose end can't be known"
    UNREADABLE = "an answer that no target can read"
    CLOSED = "the connection was closed otherwise than with 1011"
    SHIFTED = "the object behind it came out wrong"


class OddError(AssertionError):
    """The server did something that has no place in the protocol.

    Attributes:
        oddity: what.
        detail: more of it.
        conclusion: what a target concludes all the same; None: nothing.
    """

    def __init__(self, oddity: Oddity, detail: object = "", conclusion: Conclusion | None = None) -> None:
        super().__init__(f"{oddity}: {detail}" if detail else oddity)
        self.oddity = oddity
        self.detail = f"{detail}"
        self.conclusion = conclusion


class Door(Protocol):
    """One way into a server.

    Attributes:
        name: as it stands in a row's name.
        sources: what it takes.
    """

    name: str
    sources: tuple[Source, ...]

    def replayable(self, source: Source) -> bool:
        """Whether a server can make a streamed result of that source again."""

    def ask(self, server: Server, order: Order) -> Conclusion:
        """Send the object and conclude from the answer."""


class HttpDoor:
    """`PUT` (hpush), `GET` (hpull), or `POST /download`."""

    def __init__(self, method: str, sources: tuple[Source, ...]) -> None:
        self.name: str = method.lower()
        self.sources = sources
        self._method = method

    def replayable(self, source: Source) -> bool:
        return source in (Source.FILE, Source.PULL, Source.URL)

    def ask(self, server: Server, order: Order) -> Conclusion:
        with connection_to(server) as connection:
            sender = threading.Thread(target=self._send, args=(connection, order))
            sender.start()
            if server.scheme == "https":  # it is not to be read and written at once
                sender.join(_HANG)
            try:
                return _leave_or_conclude(connection, order.client, sender)
            finally:
                connection.close()
                sender.join(_HANG)

    def _send(self, connection: socket.socket, order: Order) -> None:
        body = self._body(order)
        try:
            connection.sendall(self._head(order))
            if order.client.asks_first:
                connection.recv(_CHUNK)
            for start in range(0, len(body), _CHUNK):
                connection.sendall(body[start : start + _CHUNK])
            if order.client.then is Leave.HALF_CLOSE:
                connection.shutdown(socket.SHUT_WR)
        except OSError:  # the server answered and closed before all was sent: the answer tells
            return

    def _head(self, order: Order) -> bytes:
        uname = quote(f"ais/@#/bucket/{order.name}", safe="@")
        path = {"PUT": f"/bucket/{order.name}", "GET": f"/{uname}", "POST": "/download"}[self._method]
        query = [f"etl_args={quote_plus(order.etl_args)}"] if order.etl_args else []
        if order.source is Source.FILE:
            query.append(f"etl_fqn={quote_plus(quote(order.fqn, safe='@'))}")
        elif order.source is Source.URL:
            query += [f"original_url={quote_plus(order.url)}", f"object_to={quote_plus(f'bucket/{order.name}')}"]
        lines = [f"{self._method} {path}{'?' * bool(query)}{'&'.join(query)} HTTP/{order.client.version}", "Host: etl"]
        lines += order.client.headers
        if order.source is Source.CHUNKED:
            lines.append("Transfer-Encoding: chunked")
        elif order.source is Source.BODY:
            lines.append(f"Content-Length: {len(_sent(order) if order.client.ends else order.data)}")
        if order.client.asks_first:
            lines.append("Expect: 100-continue")
        if order.pipeline:
            lines.append(f"Ais-Node-Url: {order.pipeline}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1")

    def _body(self, order: Order) -> bytes:
        if order.source is Source.BODY:
            return _sent(order) + order.client.garbage
        if order.source is Source.CHUNKED:
            data = _sent(order)
            whole = order.client.ends or order.client.sends is None
            pieces = [data[start : start + _CHUNK] for start in range(0, len(data), _CHUNK)]
            chunks = [b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces]
            return b"".join(chunks) + order.client.garbage + (b"0\r\n%b\r\n" % order.client.trailers if whole else b"")
        return b""


def connection_to(server: Server) -> socket.socket:
    """A connection, encrypted if the server speaks TLS; who it is stands in tests/server/test_tls.py."""
    connection = socket.create_connection((server.host, server.port), _HANG)
    return UNVERIFIED.wrap_socket(connection) if server.scheme == "https" else connection


def wait_until(condition: Callable[[], bool], what: str) -> None:
    """Wait until `condition` holds; an AssertionError that names `what` if it never does."""
    until = time.monotonic() + _HANG
    while not condition():
        if time.monotonic() > until:
            raise AssertionError(f"in vain: {what}")
        time.sleep(0.005)


def _sent(order: Order) -> bytes:
    return order.data[: order.client.sends]


def _leave_or_conclude(connection: socket.socket, client: Client, sender: threading.Thread) -> Conclusion:
    if client.then in (None, Leave.HALF_CLOSE):
        return _conclude(connection)
    if client.reads is not None:
        taken = 0
        while taken < client.reads and (piece := connection.recv(1000)):
            taken += len(piece)
    sender.join(_HANG)
    if client.until:
        wait_until(lambda: os.path.exists(client.until), f"{client.until} is there")
    if client.then is Leave.RESET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return Conclusion(Kind.LEFT)


def _conclude(connection: socket.socket) -> Conclusion:
    answer = http.client.HTTPResponse(connection)
    try:
        answer.begin()
        body = answer.read()
    except TimeoutError as error:
        raise OddError(Oddity.HANGS) from error
    except (http.client.HTTPException, OSError) as error:
        return Conclusion(Kind.ERROR, why=f"{type(error).__name__}: {error}")
    if answer.status not in (204, 304) and answer.length is None and not answer.chunked:
        kind = _KINDS.get(answer.status, Kind.ERROR)
        raise OddError(Oddity.ENDLESS, answer.status, Conclusion(kind, answer.status, body))
    if answer.status not in _KINDS and answer.status < 400:
        raise OddError(Oddity.UNREADABLE, answer.status)
    return Conclusion(
        _KINDS.get(answer.status, Kind.ERROR),
        answer.status,
        body,
        answer.headers.get("Ais-Direct-Put-Length"),
        answer.headers.get("Ais-Etl-Retry-Reason", ""),
    )


_KINDS = {200: Kind.CONTENT, 202: Kind.CONTENT, 204: Kind.DELIVERED}


class WebSocketDoor:
    """One object on a connection, and another one right behind it that has to come out right or fail loudly."""

    name: str = "ws"
    sources: tuple[Source, ...] = (Source.BODY, Source.FILE)
    _behind = b"the object behind it"

    def replayable(self, source: Source) -> bool:
        return True

    def ask(self, server: Server, order: Order) -> Conclusion:
        is_secure = server.scheme == "https"
        with connect(
            f"{'wss' if is_secure else 'ws'}://{server.host}:{server.port}/ws",
            ssl=UNVERIFIED if is_secure else None,
            max_size=None,
            compression=None,
            ping_interval=None,
            close_timeout=_HANG,
            create_connection=_TargetConnection,
        ) as connection:
            try:
                self._send(connection, order)
                if order.client.then is not None:
                    return _leave(connection, order.client)
                self._send(connection, Order(f"behind-{order.name}", Source.BODY, self._behind))
                conclusion = _taken(connection.recv(_HANG), order.pipeline)
                if connection.recv(_HANG) != made_of(self._behind):
                    raise OddError(Oddity.SHIFTED)
            except ConnectionClosed as closed:
                connection.recv_events_thread.join(_HANG)  # what came before the close may not have been noted yet
                return _failed(connection, closed)
            except TimeoutError as error:
                raise OddError(Oddity.HANGS) from error
            return conclusion

    def _send(self, connection: ClientConnection, order: Order) -> None:
        name = f"bucket/{order.name}"
        fqn = quote(order.fqn, safe="@")
        fields = {"path": name, "fqn": fqn, "etl_args": order.etl_args, "pipeline": order.pipeline}
        connection.send(json.dumps({key: value for key, value in fields.items() if value}).encode())
        if order.source is Source.FILE:
            return
        if order.client.sends is None:
            connection.send(order.data)
        elif order.client.sends:
            self._send_part(connection, _sent(order))

    def _send_part(self, connection: ClientConnection, part: bytes) -> None:
        """The first fragment of a message that has no last one."""
        frame = frames.Frame(frames.Opcode.BINARY, part, fin=False)
        connection.socket.sendall(frame.serialize(mask=True))


def _taken(message: str | bytes, pipeline: str) -> Conclusion:
    """What a target makes of a message (docs/protocol.md#websocket)."""
    if isinstance(message, str):
        return Conclusion(Kind.DELIVERED, None, length=message)
    ends_at_target = "/ais" in pipeline.rpartition(",")[2]
    return Conclusion(Kind.ERROR if ends_at_target else Kind.CONTENT, None, message)


class _TargetConnection(ReadingConnection):
    """A connection as AIStore's target reads it: only a message that has begun and breaks off is a failure to it.

    Attributes:
        begun: whether the last data frame was not a message's last.
    """

    begun = False

    def process_event(self, event: Event) -> None:
        """Note what came."""
        if isinstance(event, frames.Frame) and event.opcode in frames.DATA_OPCODES:
            self.begun = not event.fin
        super().process_event(event)

    @property
    def tells_failures(self) -> bool:
        """Whether what came is a failure to a target; a foreign ASGI server can't send a part of a message."""
        foreign = self.response is not None and "uvicorn" in self.response.headers.get("Server", "")
        return self.begun or foreign


def _failed(connection: ClientConnection, closed: ConnectionClosed) -> Conclusion:
    if isinstance(connection, _TargetConnection) and not connection.tells_failures:
        raise OddError(Oddity.HANGS) from closed
    if closed.rcvd is None or closed.rcvd.code != 1011:
        reason = closed.rcvd.reason.encode() if closed.rcvd is not None else b""
        raise OddError(Oddity.CLOSED, closed, Conclusion(Kind.ERROR, None, reason))
    return Conclusion(Kind.ERROR, None, closed.rcvd.reason.encode())


def _leave(connection: ClientConnection, client: Client) -> Conclusion:
    if client.until:
        wait_until(lambda: os.path.exists(client.until), f"{client.until} is there")
    if client.then is Leave.RESET:
        connection.ping().wait(_HANG)  # a reset may overtake what nobody has read
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.socket.close()
    return Conclusion(Kind.LEFT)


PUT: Door = HttpDoor("PUT", (Source.BODY, Source.CHUNKED, Source.FILE))
GET: Door = HttpDoor("GET", (Source.FILE, Source.PULL))
POST: Door = HttpDoor("POST", (Source.URL,))
WS: Door = WebSocketDoor()
DOORS = (PUT, GET, POST, WS)
