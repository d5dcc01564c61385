"""A small target for tests: it has the objects that a server pulls, and keeps what a server puts."""

import http.server
import threading
import uuid
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from instore.protocol.names import escape_segment, unescape
from instore.protocol.pipeline import destination_entry
from instore.system.addresses import url_of

PREFIX = "/v1/etl/_object/test/test-secret/"
"""The path of its base URL: AIStore's, with a secret that is none."""


class StandInTarget:
    """A target on this machine, as long as it is entered.

    Args:
        host, port: where it listens; port 0 is any free one.

    Attributes:
        url: its base URL with the secret, for `AIS_TARGET_URL`.
    """

    def __init__(self, host: str = "127.0.0.1", port: int = 0) -> None:
        self._objects: dict[str, tuple[bytes, bool]] = {}
        self._delivered: dict[str, list[bytes]] = {}
        self._lock = threading.Lock()
        self._http = _TargetHTTPServer((host, port), _handler(self))
        self.url = url_of(host, self._http.server_port) + PREFIX.rstrip("/")
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,), name="target", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def offer(self, uname: str, data: bytes, cut: bool = False) -> None:
        """Have an object, which breaks off in its middle if it is `cut`."""
        self._objects[escape_segment(uname)] = (data, cut)

    def expect(self, uname: str) -> tuple[str, str]:
        """A token that tells one result from others, and the entry of a pipeline that brings it here."""
        token = uuid.uuid4().hex
        with self._lock:
            self._delivered[token] = []
        return token, destination_entry(self.url, uname, f"uuid={token}")

    def delivered(self, token: str) -> list[bytes]:
        """What has been put with a token, whole; from now on nothing is expected with it."""
        with self._lock:
            return self._delivered.pop(token, [])

    def find(self, path: str) -> tuple[bytes, bool] | None:
        """The object that a raw path names, and whether it is cut off."""
        name = path.removeprefix(PREFIX)
        return self._objects.get(escape_segment(unescape(name))) if path.startswith(PREFIX) else None

    def keep(self, token: str, data: bytes) -> bool:
        """Keep a result; False: it is not expected."""
        with self._lock:
            if token not in self._delivered:
                return False
            self._delivered[token].append(data)
            return True


class _TargetHTTPServer(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A connection that broke off, or was no HTTP, has delivered nothing: that is what is asked about it."""


def _handler(target: StandInTarget) -> type[http.server.BaseHTTPRequestHandler]:
    class TargetHandler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            found = target.find(urlsplit(self.path).path)
            if found is None:
                self._answer(404, b"this target has no such object")
                return
            data, cut = found
            self.send_response(200)
            self.send_header("Content-Length", str(max(len(data), 1) if cut else len(data)))
            self.end_headers()
            self.wfile.write(data[: len(data) // 2] if cut else data)
            self.close_connection = self.close_connection or cut

        def do_PUT(self) -> None:
            body = self._body()
            token = urlsplit(self.path).query.partition("uuid=")[2].partition("&")[0]
            if body is None:
                self.close_connection = True  # it broke off: nothing of it is kept
            elif not target.keep(token, body):
                self._answer(403, b"this target expects no such result")
            else:
                self._answer(200, b"")

        def _body(self) -> bytes | None:
            """The whole body; None if it broke off."""
            if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(length)
                return body if len(body) == length else None
            pieces: list[bytes] = []
            while line := self.rfile.readline():
                size = int(line.partition(b";")[0], 16)
                pieces.append(self.rfile.read(size))
                if len(pieces[-1]) != size or self.rfile.readline() != b"\r\n":
                    return None
                if not size:
                    return b"".join(pieces)
            return None

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A test's output is its own."""

    return TargetHandler
