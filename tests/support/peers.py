"""A target and a next stage of our own, in which the test controls every byte.

One `Peer` plays both: a path under the target's base path is asked of the target, any other of a stage. It listens on
a port in threads of its own, serves many objects at once, and behaves well unless it was told otherwise for an object:
a `Behaviour` says how much of a request is read, what is answered, and what then becomes of the connection. What came
in is recorded; a request whose framing did not come to its end is recorded as incomplete.
"""

import socket
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import BinaryIO
from urllib.parse import unquote

from tests.support.servers import TARGET_PATH

STAGE_PREFIX = b"stage:"
_HANG = 30.0  # seconds until a wait is given up as hung; no measurement
_IDLE = 300.0  # seconds that a connection may wait for its next request: longer than any client keeps it
_PIECE = 1 << 16


class End(Enum):
    """What becomes of the connection once the peer has said what it says."""

    KEEP = auto()
    CLOSE = auto()
    RESET = auto()
    STALL = auto()


@dataclass(frozen=True)
class Say:
    """An answer.

    Attributes:
        status: HTTP status.
        body: its body; None: what a good peer would answer, which also decides between 200 and 204.
        headers: further headers.
        chunked: send the body in chunks and not with its length.
        unframed: send neither a length nor chunks; the end of the connection ends the body.
        cut: send only `body[:cut]`, of the length announced; chunked without the last chunk.
        extra: announce so many bytes more than there are.
        raw: in place of all that: the very bytes.
    """

    status: int = 200
    body: bytes | None = None
    headers: tuple[tuple[str, str], ...] = ()
    chunked: bool = False
    unframed: bool = False
    cut: int | None = None
    extra: int = 0
    raw: bytes | None = None


@dataclass(frozen=True)
class Behaviour:
    """How one request is treated.

    Attributes:
        read: bytes of the request's body that are read first; None: all of it.
        say: the answer; None: none.
        end: what then becomes of the connection.
        delay: seconds before the answer.
        reads_on: after the answer, read the rest of the request's body.
        while_reading: a stage that answers piece by piece while the body still comes.
        reused: only on a connection that has served a request before; a good peer on the first.
    """

    read: int | None = None
    say: Say | None = field(default_factory=Say)
    end: End = End.KEEP
    delay: float = 0
    reads_on: bool = False
    while_reading: bool = False
    reused: bool = False


GOOD = Behaviour()


@dataclass
class Received:
    """One request.

    Attributes:
        method, path, query, headers: as they came; header names in lower case.
        body: what came of the body.
        complete: the framing came to its end.
        announced: the announced length, or None.
        to_target: asked of the target, not of a stage.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    to_target: bool
    body: bytearray = field(default_factory=bytearray)
    complete: bool = False

    @property
    def announced(self) -> int | None:
        return int(self.headers["content-length"]) if "content-length" in self.headers else None

    @property
    def name(self) -> str:
        """The last part of the object's name."""
        return unquote(self.path).rpartition("/")[2]

    def good_answer(self, held: bytes | None) -> tuple[int, bytes]:
        """What a good target or stage answers, and with which body."""
        if self.method == "GET":
            return (404, b"no such object") if held is None else (200, held)
        if self.to_target:
            return 200, b""
        if "ais-node-url" in self.headers:  # a stage that has delivered to the target behind it
            return 204, b""
        return 200, STAGE_PREFIX + self.body


class Peer:
    """A target and a stage. Use as a context; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Condition()
        self._held: dict[str, bytes] = {}
        self._plans: dict[tuple[str, str], list[Behaviour]] = {}
        self._always: dict[tuple[str, str], Behaviour] = {}
        self._received: dict[str, list[Received]] = defaultdict(list)
        self._delivered: dict[str, list[bytes]] = defaultdict(list)
        self._fired: dict[str, int] = defaultdict(int)
        self._busy: dict[str, int] = defaultdict(int)
        self._sockets: list[socket.socket] = []
        self.port = 0

    def __enter__(self) -> "Peer":
        self.port = self.open()
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self._sockets:
            listener.close()

    @property
    def target_url(self) -> str:
        """`AIS_TARGET_URL` for a server whose target this is."""
        return f"http://127.0.0.1:{self.port}{TARGET_PATH}"

    def open(self, resets: bool = False) -> int:
        """Listen on one more port, so that connections to it are shared with nobody.

        Args:
            resets: every connection is reset as soon as it is made.
        """
        listener = self._bind()
        listener.listen(64)
        threading.Thread(target=self._accept, args=(listener, resets), daemon=True).start()
        return int(listener.getsockname()[1])

    def closed_port(self) -> int:
        """A port that is taken and refuses connections."""
        return int(self._bind().getsockname()[1])

    def hold(self, name: str, data: bytes) -> None:
        """Have `data` as the content of the object `name`, for GETs."""
        with self._lock:
            self._held[name] = data

    def plan(self, method: str, name: str, behaviour: Behaviour, times: int = 0) -> None:
        """Treat requests for the object `name` so.

        Args:
            method: `GET` or `PUT`.
            name: the last part of the object's name.
            behaviour: how.
            times: only the first so many requests, and be good then. Default: all.
        """
        with self._lock:
            if times:
                self._plans[method, name] = [behaviour] * times
            else:
                self._always[method, name] = behaviour

    def settled(self, name: str) -> None:
        """Wait until nothing is under way for the object `name`."""
        with self._lock:
            if not self._lock.wait_for(lambda: not self._busy[name], _HANG):
                raise AssertionError(f"a request for {name} never came to an end")

    def received(self, name: str, method: str = "PUT") -> list[Received]:
        """The requests for the object `name` up to now."""
        with self._lock:
            return [request for request in self._received[name] if request.method == method]

    def stored(self, name: str) -> list[bytes]:
        """What a target has taken in as the object `name`, one after the other: the bodies of complete PUTs."""
        with self._lock:
            return [
                *(bytes(put.body) for put in self._received[name] if _is_stored(put)),
                *self._delivered[name],
            ]

    def fired(self, name: str) -> int:
        """How many requests for the object `name` were treated as planned."""
        with self._lock:
            return self._fired[name]

    def _bind(self) -> socket.socket:
        listener = socket.socket()
        listener.bind(("127.0.0.1", 0))
        self._sockets.append(listener)
        return listener

    def _accept(self, listener: socket.socket, resets: bool) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed: the peer is no longer needed
                return
            if resets:
                _reset(connection)
            else:
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(_IDLE)
        end, served = End.KEEP, 0
        with connection.makefile("rb") as stream:
            while end is End.KEEP:
                try:
                    end = self._exchange(connection, stream, served)
                except OSError:  # the other side broke it off
                    end = End.CLOSE
                served += 1
            if end is End.RESET:
                _linger_not(connection)
        connection.close()

    def _exchange(self, connection: socket.socket, stream: BinaryIO, served: int) -> End:
        request = _read_head(stream)
        if request is None:
            return End.CLOSE
        name = request.name
        with self._lock:
            self._busy[name] += 1
            self._received[name].append(request)
        try:
            behaviour = self._behaviour(request, served)
            return _treat(connection, stream, request, behaviour, self)
        finally:
            with self._lock:
                self._busy[name] -= 1
                self._lock.notify_all()

    def _behaviour(self, request: Received, served: int) -> Behaviour:
        key = (request.method, request.name)
        with self._lock:
            queue = self._plans.get(key)
            planned = queue[0] if queue else self._always.get(key)
            if planned is None or (planned.reused and not served):
                return GOOD
            if queue:
                queue.pop(0)
            self._fired[request.name] += 1
            return planned

    def good_answer(self, request: Received) -> tuple[int, bytes]:
        """The status and body of a good peer; a stage with a target behind it delivers."""
        with self._lock:
            status, body = request.good_answer(self._held.get(request.name))
            if status == 204 and request.complete:
                self._delivered[request.name].append(STAGE_PREFIX + request.body)
            return status, body


def _treat(connection: socket.socket, stream: BinaryIO, request: Received, behaviour: Behaviour, peer: Peer) -> End:
    if behaviour.while_reading:
        return _answer_while_reading(connection, stream, request, behaviour)
    body = _pieces(stream, request)
    _take(body, request, behaviour.read)
    time.sleep(behaviour.delay)
    if behaviour.say is not None:
        connection.sendall(_bytes_of(behaviour.say, request, peer))
    if behaviour.reads_on:
        _take(body, request, None)
    if behaviour.end is End.STALL:
        while connection.recv(_PIECE):
            pass
    return behaviour.end


def _answer_while_reading(connection: socket.socket, stream: BinaryIO, request: Received, behaviour: Behaviour) -> End:
    """The good stage's answer, chunked, each piece of the body as soon as it has come; cut after `say.cut` bytes."""
    cut = behaviour.say.cut if behaviour.say is not None else None
    connection.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + _chunk(STAGE_PREFIX))
    for piece in _pieces(stream, request):
        connection.sendall(_chunk(piece))
        if cut is not None and len(request.body) >= cut:
            return behaviour.end
    connection.sendall(_chunk(b""))
    return behaviour.end


def _read_head(stream: BinaryIO) -> Received | None:
    lines = []
    while line := stream.readline():
        if line == b"\r\n":
            break
        lines.append(line.decode("latin-1").rstrip("\r\n"))
    else:
        return None
    method, uri, _ = lines[0].split(" ")
    path, _, query = uri.partition("?")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    return Received(method, path, query, headers, path.startswith(TARGET_PATH))


def _take(pieces: Iterator[bytes], request: Received, limit: int | None) -> None:
    if limit == 0:
        return
    for _ in pieces:
        if limit is not None and len(request.body) >= limit:
            return


def _pieces(stream: BinaryIO, request: Received) -> Iterator[bytes]:
    """The request's body, recorded as it comes."""
    chunked = request.headers.get("transfer-encoding", "") == "chunked"
    for piece in _chunks(stream) if chunked else _exactly(stream, request.announced or 0):
        request.body += piece
        yield piece
    request.complete = True


def _exactly(stream: BinaryIO, size: int) -> Iterator[bytes]:
    while size:
        piece = stream.read(min(size, _PIECE))
        if not piece:
            raise ConnectionError("the body ended early")
        size -= len(piece)
        yield piece


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    while size := _chunk_size(stream):
        yield from _exactly(stream, size)
        _line_end(stream)
    _line_end(stream)


def _chunk_size(stream: BinaryIO) -> int:
    line = stream.readline()
    if not line.endswith(b"\r\n"):
        raise ConnectionError("the body ended without its last chunk")
    return int(line, 16)


def _line_end(stream: BinaryIO) -> None:
    if stream.read(2) != b"\r\n":
        raise ConnectionError("a chunk that is not followed by an end of line")


def _bytes_of(say: Say, request: Received, peer: Peer) -> bytes:
    if say.raw is not None:
        return say.raw
    status, body = say.status, say.body
    headers = list(say.headers)
    if body is None:
        status, body = peer.good_answer(request) if say.status == 200 else (say.status, b"")
    if status == 204 and (length := len(request.body) + (0 if request.to_target else len(STAGE_PREFIX))):
        headers.append(("Ais-Direct-Put-Length", str(length)))
    payload = body[: say.cut]
    if say.chunked and status != 204:
        headers.append(("Transfer-Encoding", "chunked"))
        payload = (_chunk(payload) if payload else b"") + (b"" if say.cut is not None else _chunk(b""))
    elif status != 204 and not say.unframed:
        headers.append(("Content-Length", str(len(body) + say.extra)))
    lines = [f"HTTP/1.1 {status} Status", *(f"{name}: {value}" for name, value in headers), "", ""]
    return "\r\n".join(lines).encode("latin-1") + payload


def _chunk(piece: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece)


def _linger_not(connection: socket.socket) -> None:
    """Have the next close send a reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _reset(connection: socket.socket) -> None:
    _linger_not(connection)
    connection.close()


def _is_stored(request: Received) -> bool:
    return request.method == "PUT" and request.to_target and request.complete
