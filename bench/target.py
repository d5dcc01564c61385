"""A small fast storage target: it takes direct puts, checks every byte of them, and serves objects to pull.

It runs in a process of its own on the load generator's core, and must never be what limits the servers that are
measured: the kernel writes a body straight to where it is compared, as one piece of memory with another.

    python -m bench.target PORT FOLDER

An object's name is what follows the last slash of the path, escaped or not; its bytes are those of the file of that
name in FOLDER, and a put has to bring exactly them. `GET /stats` says how many puts were right and how many were not.
"""

import asyncio
import json
import sys
from pathlib import Path
from typing import cast

import uvloop

_OK = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
_NOTHING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
_LENGTH = b"\r\ncontent-length:"
_LONGEST_HEAD = 1 << 16


class Store:
    """The objects, and the count of what was put."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._objects: dict[str, bytes] = {}
        self.right = 0
        self.wrong = 0

    def get(self, path: bytes) -> bytes | None:
        """What a GET of `path` answers; None: there is no such object."""
        if path == b"/stats":
            return json.dumps({"right": self.right, "wrong": self.wrong}).encode()
        name = path.partition(b"?")[0].replace(b"/", b"%2F").rpartition(b"%2F")[2].decode()  # Go sends it unescaped
        if name not in self._objects:
            file = self._folder / name
            if not file.is_file():
                return None
            self._objects[name] = file.read_bytes()
        return self._objects[name]

    def put(self, path: bytes, body: bytearray) -> bool:
        """Count what was put; whether it was right."""
        expected = self.get(path)
        right = expected is not None and body == expected
        self.right += right
        self.wrong += not right
        return right


class Connection(asyncio.BufferedProtocol):
    """One connection, one request after another: the next comes when the last has its answer."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._head = bytearray(_LONGEST_HEAD)
        self._body = bytearray()
        self._start()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Where the next bytes go: the head until it is complete, then straight into the body."""
        return memoryview(self._body if self._in_body else self._head)[self._filled :]

    def buffer_updated(self, nbytes: int) -> None:
        self._filled += nbytes
        if not self._in_body:
            self._read_head()
        if self._in_body and self._filled == len(self._body):
            self._answer()
            self._start()

    def _start(self) -> None:
        self._in_body = False
        self._filled = 0

    def _read_head(self) -> None:
        end = self._head.find(b"\r\n\r\n", 0, self._filled) + 4
        if end < 4:
            if self._filled == _LONGEST_HEAD:
                self._transport.abort()
            return
        head = bytes(self._head[: end - 2])
        self._method, self._path, _ = head.split(b" ", 2)
        length = _length(head)
        if length != len(self._body):  # puts of one object after another share the memory
            self._body = bytearray(length)
        self._in_body = True
        self._filled -= end
        self._body[: self._filled] = self._head[end : end + self._filled]

    def _answer(self) -> None:
        if self._method == b"PUT":
            self._transport.write(_OK % 0 if self._store.put(self._path, self._body) else _NOTHING)
        elif (content := self._store.get(self._path)) is None:
            self._transport.write(_NOTHING)
        else:
            self._transport.writelines((_OK % len(content), content))


def _length(head: bytes) -> int:
    """The length of the body. Chunked ones don't come: no case has a result of unknown length delivered."""
    _, name, rest = head.lower().partition(_LENGTH)
    return int(rest.partition(b"\r\n")[0]) if name else 0


async def serve(port: int, folder: Path) -> None:
    """Serve until the process is ended."""
    store = Store(folder)
    server = await asyncio.get_running_loop().create_server(lambda: Connection(store), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), Path(sys.argv[2])))
