"""Clients that take all they can get: others are served meanwhile, and memory stays within what docs/limits.md says.

Each runs small for `make test-all`, and as large as the page has it for `make soak`, which prints the figures.
"""

import contextlib
import json
import os
import selectors
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from websockets.frames import Frame, Opcode

from tests.support import node
from tests.support.servers import TRANSFORMS, Server, running

pytestmark = pytest.mark.whole

PATIENCE = 240.0
MIB = 1 << 20
SLACK = 64 * MIB
"""Memory beyond the budgets: the interpreter's own, its buffers, and what the allocator keeps."""
FOR_EACH = 96 << 10
"""For each connection: a small body that is not counted before it is whole, and its own state."""
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)

sizes = pytest.mark.parametrize("large", [False, pytest.param(True, marks=pytest.mark.soak)], ids=["small", "large"])


@dataclass
class Others:
    """Well-behaved clients, who ask one small object after the other, and for the server's health.

    Attributes:
        done: objects and answers that were right.
        wrong: what was not.
    """

    server: Server
    done: int = 0
    wrong: list[str] = field(default_factory=list)

    @contextlib.contextmanager
    def asking(self) -> Iterator[None]:
        """Ask while the context lasts."""
        stop = threading.Event()
        threads = [threading.Thread(target=self._ask, args=(stop, new)) for new in (True, False)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            for thread in threads:
                thread.join(PATIENCE)

    def _ask(self, stop: threading.Event, new: bool) -> None:
        with requests.Session() as session:
            while not stop.is_set():
                asked = requests if new else session
                try:
                    health = asked.get(f"{self.server.url}/health", timeout=PATIENCE)
                    answer = asked.put(f"{self.server.url}/b/other", data=b"cat" * 300, timeout=PATIENCE)
                except requests.RequestException as error:
                    self.wrong.append(f"{error}")
                    continue
                if (health.status_code, answer.status_code, answer.content) == (200, 200, b"cat" * 300):
                    self.done += 1
                else:
                    self.wrong.append(f"{health.status_code} {answer.status_code} {answer.text[:100]}")

    def are_served(self, count: int = 20) -> None:
        """Wait until more of them have been."""
        begun = self.done
        wait_until(lambda: self.done >= begun + count or bool(self.wrong))
        assert not self.wrong, self.wrong[:3]


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until it is true; far longer than it can take."""
    node.wait_until(condition, PATIENCE)


def peak(server: Server) -> int:
    """The most bytes of memory that the server has had."""
    with open(f"/proc/{server.process.pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmHWM"))


@contextlib.contextmanager
def serving(folder: Path, budget: int, source: str = "echo", **variables: str) -> Iterator[tuple[Server, Others]]:
    """A server whose bodies may have `budget` bytes, with others who ask it."""
    environment = {"INSTORE_BODY_MEMORY": str(budget), "INSTORE_BODY_WAIT": "10", **variables}
    with running(folder, TRANSFORMS / f"{source}.py", environment=environment) as server:
        others = Others(server)
        with others.asking():
            others.are_served()
            yield server, others


@contextlib.contextmanager
def connections(server: Server, count: int) -> Iterator[list[socket.socket]]:
    """So many that are open at once."""
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(socket.create_connection((server.host, server.port), PATIENCE)) for _ in range(count)
        ]


def tell(what: str, server: Server, others: Others, budget: int) -> None:
    print(
        f"\n{what}: peak {peak(server) / MIB:.0f} MiB with a budget of {budget / MIB:.0f}; {others.done} others served"
    )


def send_all(client: socket.socket, size: int, chunked: bool, server_says: list[bytes]) -> None:
    """Send a body of `size` bytes, or as much as is taken; what comes back."""
    piece = bytes(MIB)
    framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
    reader = threading.Thread(target=_drain, args=(client, server_says))
    reader.start()
    with contextlib.suppress(ConnectionError):
        client.sendall(b"PUT /b/large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n\r\n" % framing)
        for _ in range(size // len(piece)):
            client.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            client.sendall(b"0\r\n\r\n")
    reader.join(PATIENCE * 10)


def _drain(client: socket.socket, said: list[bytes]) -> None:
    """Read to the end of the connection, or of a body that was announced; keep the first of it."""
    came = 0
    with contextlib.suppress(ConnectionError, TimeoutError):
        while data := client.recv(MIB):
            came += len(data)
            if not said:
                said.append(data[:200])
            if data.endswith(b"\r\n0\r\n\r\n"):
                break
    said.append(b"%d" % came)


@sizes
@pytest.mark.parametrize("chunked", [False, True], ids=["announced", "chunked"])
@pytest.mark.parametrize("source", ["echo", "streamed_echo"])
def test_bodies_that_are_larger_than_the_budget(tmp_path: Path, source: str, chunked: bool, large: bool) -> None:
    budget, size, count = (256 * MIB, 10 << 30, 2) if large else (32 * MIB, 128 * MIB, 2)
    with serving(tmp_path, budget, source) as (server, others), connections(server, count) as clients:
        said: list[list[bytes]] = [[] for _ in clients]
        threads = [
            threading.Thread(target=send_all, args=(client, size, chunked, one))
            for client, one in zip(clients, said, strict=True)
        ]
        for thread in threads:
            thread.start()
        others.are_served()
        for thread in threads:
            thread.join()
        others.are_served()
        for first, *came in said:
            if source == "echo":
                assert b" 413 " in first or b" 503 " in first  # of two that fill the memory, one may wait in vain
            else:
                assert b" 200 " in first
                assert int(came[-1]) > size
        tell(f"{count} bodies of {size >> 20} MiB, {source}", server, others, budget)
        assert peak(server) < budget + budget // 4 + SLACK


@sizes
def test_senders_of_a_byte_a_second(tmp_path: Path, large: bool) -> None:
    budget, count, seconds = (256 * MIB, 500, 60) if large else (32 * MIB, 50, 3)
    starts = (
        b"PUT /b/o HTTP/1.1\r\nHost: a\r\nX: ",  # the head itself
        b"PUT /b/o HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n\r\n",
        b"PUT /b/o HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % budget,  # which has all that may be had
        b"PUT /b/o HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n",
    )
    with serving(tmp_path, budget) as (server, others), connections(server, count) as clients:
        for number, client in enumerate(clients):
            client.sendall(starts[number % len(starts)])
        for _ in range(seconds):
            time.sleep(1)
            for client in clients:
                with contextlib.suppress(ConnectionError):
                    client.sendall(b"x")
            others.are_served(1)
        others.are_served()
        tell(f"{count} senders of a byte a second", server, others, budget)
        assert peak(server) < SLACK + count * FOR_EACH


@sizes
def test_connections_that_are_idle(tmp_path: Path, large: bool) -> None:
    count = 5000 if large else 300
    with serving(tmp_path, 32 * MIB) as (server, others), connections(server, count):
        others.are_served()
        tell(f"{count} idle connections", server, others, 32 * MIB)
        assert peak(server) < SLACK + count * FOR_EACH


def websocket(client: socket.socket) -> None:
    """Open a WebSocket on a connection."""
    client.sendall(HANDSHAKE)
    came = b""
    while b"\r\n\r\n" not in came:
        came += client.recv(1000)
    assert b" 101 " in came


def message(data: bytes) -> bytes:
    return Frame(Opcode.BINARY, data).serialize(mask=True)


@sizes
@pytest.mark.parametrize("reads", [True, False], ids=["read", "never read"])
def test_websocket_connections(tmp_path: Path, reads: bool, large: bool) -> None:
    """Each has several objects of just below what is counted before it is taken."""
    budget, count = (256 * MIB, 1000) if large else (16 * MIB, 100)
    body, objects = os.urandom(60_000), 12
    sent = (message(json.dumps({"path": "b/o"}).encode()) + message(body)) * objects
    with serving(tmp_path, budget, INSTORE_TIMEOUT="20") as (server, others), connections(server, count) as clients:
        for client in clients:
            websocket(client)
        others.are_served()
        _exchange(clients, sent, (len(body) + 4) * objects if reads else 0)
        others.are_served()
        tell(f"{count} WebSockets with {objects} objects, {'read' if reads else 'never read'}", server, others, budget)
        assert peak(server) < 2 * (budget + budget // 4) + SLACK + count * FOR_EACH


def _exchange(clients: list[socket.socket], sent: bytes, expected: int) -> None:
    """Send to all what they take within a second without any of them moving, and read so many bytes of each."""
    left = dict.fromkeys(clients, sent)
    due = dict.fromkeys(clients, expected)
    with selectors.DefaultSelector() as selector:
        for client in clients:
            client.setblocking(False)
            selector.register(client, selectors.EVENT_WRITE | (selectors.EVENT_READ if expected else 0))
        while selector.get_map() and (ready := selector.select(PATIENCE if expected else 2.0)):
            for key, events in ready:
                _move(key.fileobj, events, selector, left, due)  # type: ignore[arg-type]
    assert not expected or not any(due.values())


def _move(
    client: socket.socket,
    events: int,
    selector: selectors.BaseSelector,
    left: dict[socket.socket, bytes],
    due: dict[socket.socket, int],
) -> None:
    if events & selectors.EVENT_WRITE:
        left[client] = left[client][client.send(left[client]) :]
        if not left[client]:
            if due[client]:
                selector.modify(client, selectors.EVENT_READ)
            else:
                selector.unregister(client)
                return
    if events & selectors.EVENT_READ:
        due[client] -= len(client.recv(MIB))
        assert due[client] >= 0
        if not due[client]:
            selector.unregister(client)


@sizes
@pytest.mark.parametrize("source", ["echo", "streamed_echo"])
def test_readers_that_never_read(tmp_path: Path, source: str, large: bool) -> None:
    """Each asks for a result that is larger than the buffers of its connection."""
    budget, count, size = (256 * MIB, 200, 16 * MIB) if large else (32 * MIB, 40, 16 * MIB)
    file = tmp_path / "large"
    file.write_bytes(os.urandom(size))
    request = f"PUT /b/o?etl_fqn={file} HTTP/1.1\r\nHost: a\r\n\r\n".encode()
    variables = {"INSTORE_FILE_ROOTS": str(tmp_path), "INSTORE_TIMEOUT": "20"}
    with serving(tmp_path, budget, source, **variables) as (server, others), connections(server, count) as clients:
        for client in clients:
            client.sendall(request)
        time.sleep(2)
        others.are_served()
        tell(f"{count} readers that never read {size >> 20} MiB, {source}", server, others, budget)
        in_transforms = 4 * 4 * size  # what was read, twice while it is joined, and what is made, in each of 4 threads
        assert peak(server) < budget + budget // 4 + in_transforms + SLACK + count * FOR_EACH
