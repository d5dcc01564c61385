"""A small target that behaves well: it serves objects, stores what is put, and tells what it was asked."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from tests.support.servers import TARGET_PATH


@dataclass
class Put:
    """One PUT that was complete: its raw path with query, headers (lower case) and body."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Target:
    """A running target.

    Attributes:
        port: where it listens.
        objects: what a GET gives, by raw path below the secret.
        puts: what was put, in order.
        gets: raw paths that were asked for.
        answers: statuses and bodies to give to PUTs instead of 200, first come, first served.
    """

    port: int = 0
    scheme: str = "http"
    objects: dict[str, bytes] = field(default_factory=dict)
    puts: list[Put] = field(default_factory=list)
    gets: list[str] = field(default_factory=list)
    answers: list[tuple[int, bytes]] = field(default_factory=list)

    @property
    def host(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL with the secret, for `AIS_TARGET_URL`."""
        return self.host + TARGET_PATH


@contextmanager
def running_target(tls: ssl.SSLContext | None = None) -> Iterator[Target]:
    """A target on a free port until the context ends; over TLS if a context for it is given."""
    target = Target(scheme="https" if tls else "http")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            target.gets.append(self.path)
            name = urlsplit(self.path).path.removeprefix(TARGET_PATH + "/")
            if self.path.startswith(TARGET_PATH + "/") and name in target.objects:
                self._answer(200, target.objects[name])
            else:
                self._answer(404, f"object {name} does not exist".encode())

        def do_PUT(self) -> None:
            body = self._body()
            target.puts.append(Put(self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            self._answer(*(target.answers.pop(0) if target.answers else (200, b"")))

        def _body(self) -> bytes:
            if "Content-Length" in self.headers:
                return self.rfile.read(int(self.headers["Content-Length"]))
            body = b""
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
            return body

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Keep the test's output clean; what was asked is in `gets` and `puts`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    target.port = server.server_port
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield target
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
