"""A web server that serves a folder, with pages of links, and whose answers are what a test wants them to be."""

import email.utils
import html
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import quote, unquote, urlsplit

Answer = Callable[["Handler"], bool]
"""What is done in place of serving a file; whether anything was."""


@dataclass
class WebServer:
    """A running server.

    Attributes:
        endpoint: its URL, without a slash at its end.
        folder: what it serves.
        answer: asked first for each request.
        ranges: whether it knows parts of files.
        tagged: whether it tells one version of a file from another.
        asked: method and path of each request.
    """

    folder: Path
    endpoint: str = ""
    answer: Answer = lambda _handler: False
    ranges: bool = True
    tagged: bool = True
    asked: list[tuple[str, str]] = field(default_factory=list)

    def breaks(self, answer: Answer, path: str = "", method: str = "GET", times: int = 1 << 30) -> None:
        """Have the first `times` requests of that method for paths that end so answered by `answer`."""
        left = [times]

        def choose(handler: "Handler") -> bool:
            if handler.command != method or not handler.path.endswith(path) or not left[0]:
                return False
            left[0] -= 1
            return answer(handler)

        self.answer = choose


class Handler(BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    web: WebServer

    def handle_one_request(self) -> None:
        try:
            super().handle_one_request()
        except ConnectionError:
            self.close_connection = True

    def serve(self) -> None:
        self.web.asked.append((self.command, self.path))
        if not self.web.answer(self):
            self.give()

    do_GET = do_HEAD = serve  # noqa: N815

    def give(self, cut: int = 0, length: int | None = None) -> None:
        """Answer with a file or a page, without its last `cut` bytes; `length` is announced in place of its own."""
        place = self.web.folder / unquote(urlsplit(self.path).path, errors="surrogateescape").lstrip("/")
        if place.is_dir() and not self.path.endswith("/"):
            return self.say(301, headers={"Location": self.path + "/"})
        if place.is_dir():
            return self.say(200, self._page(place), {"Content-Type": "text/html; charset=utf-8"})
        if not place.is_file():
            return self.say(404)
        data, headers, status = place.read_bytes(), self._headers(place), 200
        wanted = self.headers.get("Range", "")
        if wanted and self.web.ranges and self.headers.get("If-Range") in (None, headers.get("ETag")):
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            headers["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
            data, status = data[start:], 206
        if length is None:
            length = len(data)
        return self.say(status, data[: len(data) - cut], headers, length)

    def say(
        self, status: int, body: bytes = b"", headers: dict[str, str] | None = None, length: int | None = None
    ) -> None:
        """Answer; a body that is shorter than announced ends the connection."""
        self.send_response(status)
        announced = len(body) if length is None else length
        for name, value in {"Content-Length": str(announced), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            self.close_connection = self.close_connection or announced != len(body)

    def _headers(self, place: Path) -> dict[str, str]:
        state = place.stat()
        tag = {"ETag": f'"{state.st_mtime_ns:x}-{state.st_size:x}"'} if self.web.tagged else {}
        changed = email.utils.formatdate(state.st_mtime, usegmt=True)
        return {"Content-Type": "application/octet-stream", "Last-Modified": changed, **tag}

    def _page(self, folder: Path) -> bytes:
        names = sorted(one.name + "/" * one.is_dir() for one in folder.iterdir())
        links = [f'<a href="{quote(name, errors="surrogateescape")}">{html.escape(ascii(name))}</a>' for name in names]
        always = [
            '<a href="../">up</a>',
            '<a href="?C=N&amp;O=D">by name</a>',
            '<a name="here">',
            "<a href='http://['>",
        ]
        return "\n".join(["<!DOCTYPE html><title>Index</title>", *always, *links]).encode()

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def web_server(folder: Path) -> Iterator[WebServer]:
    """A server of a folder on a free port, until the context ends."""
    web = WebServer(folder)
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("ServingHandler", (Handler,), {"web": web}))
    server.daemon_threads = True
    web.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
