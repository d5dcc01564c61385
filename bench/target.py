"""A small fast storage target: it takes direct puts, checks every byte of them, and serves objects to pull.

It runs in a process of its own on the load generator's core, and must never be what limits the servers that are
measured: one protocol class, a C parser, no copy of a body.

    python -m bench.target PORT FOLDER

An object's name is what follows the last escaped slash of the path; its bytes are those of the file of that name in
FOLDER, and a put has to bring exactly them. `GET /stats` says how many puts were right and how many were not.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import cast

import httptools
import uvloop

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


class Store:
    """The objects, and the count of what was put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: dict[str, bytes] = {}
        self.right = 0
        self.wrong = 0

    def object(self, url: bytes) -> bytes | None:
        name = url.partition(b"?")[0].rpartition(b"%2F")[2].decode()
        if name not in self._objects:
            try:
                self._objects[name] = (self._folder / name).read_bytes()
            except OSError:
                return None
        return self._objects[name]

    def stats(self) -> bytes:
        return json.dumps({"right": self.right, "wrong": self.wrong}).encode()


class Connection(asyncio.Protocol):
    """One connection; the parser calls the methods named `on_…`."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._parser = httptools.HttpRequestParser(self)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_begin(self) -> None:
        self._url = b""
        self._expected: bytes | None = None
        self._size = 0
        self._right = True

    def on_url(self, url: bytes) -> None:
        self._url += url

    def on_headers_complete(self) -> None:
        self._expected = self._store.object(self._url)

    def on_body(self, piece: bytes) -> None:
        # A comparison in place: as fast as memory, so that every byte can be looked at.
        self._right = self._right and self._expected is not None and self._expected.startswith(piece, self._size)
        self._size += len(piece)

    def on_message_complete(self) -> None:
        if self._parser.get_method() == b"GET":
            self._get()
        elif self._expected is not None and self._right and self._size == len(self._expected):
            self._store.right += 1
            self._transport.write(_OK)
        else:
            self._store.wrong += 1
            self._transport.write(_NOT_FOUND)

    def _get(self) -> None:
        body = self._store.stats() if self._url == b"/stats" else self._expected
        if body is None:
            self._transport.write(_NOT_FOUND)
        else:
            self._transport.writelines([b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body), body])


async def serve(port: int, folder: Path) -> None:
    """Serve until the process is ended."""
    store = Store(folder)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(store), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
