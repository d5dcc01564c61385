"""What no node would be: a store whose bucket `in` has any names, and that answers as a test wants it to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import unquote, urlsplit

import msgspec

_BUCKET = "/v1/buckets/"
_OBJECT = "/v1/objects/in/"


@dataclass
class StrangeStore:
    """A running store.

    Attributes:
        endpoint: its URL.
        objects: what is in the bucket, in the order of the listing.
        refusal: a status that objects are answered with, in place of what they are.
        is_web_site: it is no store at all, and has one page for everything.
        gets: names that were asked for.
    """

    endpoint: str = ""
    objects: dict[str, bytes] = field(default_factory=dict)
    refusal: int = 0
    is_web_site: bool = False
    gets: list[str] = field(default_factory=list)


@contextmanager
def strange_store() -> Iterator[StrangeStore]:
    """A store on a free port until the context ends."""
    store = StrangeStore()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(200)

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if path.startswith(_BUCKET):
                entries = [{"n": name, "s": len(data)} for name, data in store.objects.items()]
                page = {"UUID": "1", "ContinuationToken": "", "Flags": 0, "Entries": entries}
                if store.is_web_site:
                    return self._answer(200, b"a page for people")
                return self._answer(200, msgspec.msgpack.encode(page), kind="application/msgpack")
            store.gets.append(path.removeprefix(_OBJECT))
            if store.refusal:
                return self._answer(store.refusal, b"not today")
            return self._answer(200, store.objects.get(path.removeprefix(_OBJECT), b"a page for people"))

        def do_PUT(self) -> None:
            """Send whoever writes elsewhere, as what signs people in does: the client asks there with a GET."""
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            self._answer(302, location="/sign-in")

        def _answer(self, status: int, body: bytes = b"", location: str = "", kind: str = "text/plain") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            if location:
                self.send_header("Location", location)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
