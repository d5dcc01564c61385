"""What is asked of a server, and what it answers: over PUT, file, pull and WebSocket, in one form for every server."""

import http.client
import json
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from urllib.parse import quote, quote_plus

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.servers import Server
from tests.support.target import Target

_NAME = "a cat's ünï 1+1 #100%41.txt"
_PATIENCE = 60.0  # seconds; a server that needs them has hung
_INCIDENTAL = ("date", "server", "connection", "keep-alive")


class Way(Enum):
    """How an object gets to the server."""

    PUT = "put"
    CHUNKED = "chunked"
    FILE = "file"
    FILE_GET = "file-get"
    PULL = "pull"
    WS = "ws"
    WS_FILE = "ws-file"


@dataclass(frozen=True)
class Ask:
    """One request.

    Attributes:
        way: how the object gets there.
        data: the object; None: it is missing.
        args: `etl_args`.
        next: where the result goes: empty, the answer; `target`; or a header as it stands.
    """

    way: Way
    data: bytes | None
    args: str = ""
    next: str = ""

    def __str__(self) -> str:
        what = "missing" if self.data is None else "empty" if not self.data else ""
        return " ".join(filter(None, (self.way.value, what, self.args[:40], self.next and f"next={self.next}")))


@dataclass
class Answer:
    """What came of it.

    Attributes:
        status: of HTTP; over WebSocket `binary`, `text` or the code of the close.
        headers: without those of the server's own make.
        body: the bytes, or the message.
        stored: what the target was asked to store meanwhile: path, the rest of the pipeline, body.
        read: the paths that the target was asked for.
    """

    status: int | str
    headers: dict[str, str]
    body: bytes
    stored: list[tuple[str, str, bytes]] = field(default_factory=list)
    read: list[str] = field(default_factory=list)

    def aspects(self) -> dict[str, object]:
        """What is compared, by name."""
        headers = {f"header {name}": value for name, value in self.headers.items()}
        return {"status": self.status, "body": self.body, "stored": self.stored, "read": self.read, **headers}


class Asker:
    """Asks one server, with a store and a target of its own.

    Args:
        server: who is asked.
        target: what it takes objects from and puts results to.
        store: folder of a bucket, in the layout of a target's disk.
    """

    def __init__(self, server: Server, target: Target, store: Path) -> None:
        self._server = server
        self._target = target
        self._store = store

    def ask(self, ask: Ask) -> Answer:
        """Make the request and gather what comes of it."""
        self._target.puts.clear()
        self._target.gets.clear()
        answer = self._websocket(ask) if ask.way in (Way.WS, Way.WS_FILE) else self._http(ask)
        answer.stored = [(put.path, put.headers.get("ais-node-url", ""), put.body) for put in self._target.puts]
        answer.read = list(self._target.gets)
        return answer

    def _pipeline(self, ask: Ask) -> str:
        if ask.next != "target":
            return ask.next
        return f"{self._target.host}/ais%2F@%23%2Fdst%2Fcat.jpg?uuid=job&owt=7"

    def _file(self, ask: Ask) -> str:
        file = self._store / _NAME
        file.unlink(missing_ok=True)
        if ask.data is not None:
            file.write_bytes(ask.data)
        return quote(str(file), safe="")

    def _http(self, ask: Ask) -> Answer:
        query = [f"etl_args={quote_plus(ask.args)}"] if ask.args else []
        path, body = f"/photos/{quote(_NAME)}", None
        headers = {"Ais-Node-Url": self._pipeline(ask)} if ask.next else {}
        match ask.way:
            case Way.FILE | Way.FILE_GET:
                query.append(f"etl_fqn={quote_plus(self._file(ask))}")
            case Way.PULL:
                uname = quote(f"ais/@#/photos/{_NAME}", safe="@")
                path = f"/{uname}"
                self._target.objects.clear()
                if ask.data is not None:
                    self._target.objects[uname] = ask.data
            case _:
                body = ask.data
        method = "GET" if ask.way in (Way.PULL, Way.FILE_GET) else "PUT"
        chunked = ask.way is Way.CHUNKED
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=_PATIENCE)
        try:
            connection.request(
                method,
                f"{path}?{'&'.join(query)}" if query else path,
                iter([body]) if chunked and body else body,
                {**headers, **({"Transfer-Encoding": "chunked"} if chunked else {})},
                encode_chunked=chunked,
            )
            response = connection.getresponse()
            kept = {name.lower(): value for name, value in response.getheaders() if name.lower() not in _INCIDENTAL}
            return Answer(response.status, kept, response.read())
        finally:
            connection.close()

    def _websocket(self, ask: Ask) -> Answer:
        control = {"path": f"photos/{_NAME}", "etl_args": ask.args, "pipeline": self._pipeline(ask)}
        if ask.way is Way.WS_FILE:
            control["fqn"] = self._file(ask)
        with connect(
            f"ws://{self._server.host}:{self._server.port}/ws", open_timeout=_PATIENCE, max_size=None
        ) as connection:
            try:
                connection.send(json.dumps({key: value for key, value in control.items() if value}).encode())
                if ask.way is Way.WS:
                    connection.send(ask.data or b"")
                message = connection.recv(timeout=_PATIENCE)
            except ConnectionClosed as closed:
                code = closed.rcvd.code if closed.rcvd is not None else "lost"
                return Answer(f"closed {code}", {}, closed.rcvd.reason.encode() if closed.rcvd is not None else b"")
        return Answer("text", {}, message.encode()) if isinstance(message, str) else Answer("binary", {}, message)
