"""Large objects through streaming transforms, whose threads read from the socket and write to it themselves."""

import contextlib
import os
import random
import socket
import threading
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPResponse, IncompleteRead
from pathlib import Path
from typing import IO, Any, cast
from urllib.parse import quote

import pytest

from instore.protocol.names import escape_fqn
from tests.support.node import wait_until
from tests.support.servers import TRANSFORMS, Server, running

SIZE = 12 << 20  # more than is held in memory
BODY = random.Random(1).randbytes(SIZE)
PATIENCE = 60.0
SPOOLS = {"held": 64 << 20, "partly held": 10 << 20, "sent as made": 0}


@pytest.fixture(
    scope="module",
    params=["partly held", *(pytest.param(name, marks=pytest.mark.whole) for name in ("held", "sent as made"))],
)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    variables = {"INSTORE_SPOOL": str(SPOOLS[request.param])}
    with running(tmp_path_factory.mktemp("etl"), TRANSFORMS / "large.py", environment=variables) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[HTTPConnection]:
    connection = HTTPConnection(server.host, server.port, timeout=PATIENCE)
    yield connection
    connection.close()


@contextlib.contextmanager
def answered(
    client: HTTPConnection, body: bytes, args: str = "", headers: dict[str, str] | None = None
) -> Iterator[HTTPResponse]:
    """PUT a body, sent while the answer comes."""
    client.putrequest("PUT", f"/b/o?etl_args={quote(args)}")
    for name, value in (headers or {"Content-Length": str(len(body))}).items():
        client.putheader(name, value)
    client.endheaders()
    sender = threading.Thread(target=send, args=(client.sock, body), daemon=True)
    sender.start()
    answer = client.getresponse()
    yield answer
    sender.join(PATIENCE)


def put(client: HTTPConnection, body: bytes, args: str = "", headers: dict[str, str] | None = None) -> bytes:
    """The result of a PUT."""
    with answered(client, body, args, headers) as answer:
        return answer.read()


def send(connection: socket.socket, body: bytes) -> None:
    with contextlib.suppress(OSError):  # what the server made of it shows in the answer
        connection.sendall(body)


def test_a_large_object_comes_back_as_it_was_and_so_do_the_next_on_its_connection(client: HTTPConnection) -> None:
    for size in (SIZE, 3, 1 << 20, SIZE - 1):
        assert put(client, BODY[:size]) == BODY[:size]


def test_a_large_object_of_chunks_comes_back_as_it_was(client: HTTPConnection) -> None:
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces(BODY)) + b"0\r\n\r\n"
    for _ in range(2):
        with answered(client, chunks, headers={"Transfer-Encoding": "chunked"}) as answer:
            assert answer.read() == BODY


def pieces(body: bytes) -> Iterator[bytes]:
    return (body[at : at + 100_000] for at in range(0, len(body), 100_000))


def test_a_client_that_asks_first_gets_its_object(client: HTTPConnection) -> None:
    assert put(client, BODY, headers={"Expect": "100-continue", "Content-Length": str(SIZE)}) == BODY


@pytest.mark.parametrize(("args", "result"), [("reads a part", BODY[: 1 << 20]), ("reads nothing", b"nothing")])
def test_what_a_transform_leaves_of_a_body_is_no_part_of_the_next_request(
    client: HTTPConnection, args: str, result: bytes
) -> None:
    for _ in range(2):
        assert put(client, BODY, args) == result
    assert put(client, b"cat") == b"cat"


class Unclosed:
    """What stays open at the end of an answer: the next comes from it, too."""

    closed = False

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        pass


def test_requests_that_come_together_are_answered_in_their_order(server: Server) -> None:
    request = b"PUT /b/o HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n"
    sent = request % SIZE + BODY + request % 3 + b"cat" + request % (1 << 20) + BODY[: 1 << 20]
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as client:
        threading.Thread(target=send, args=(client, sent), daemon=True).start()
        came = client.makefile("rb")
        for body in (BODY, b"cat", BODY[: 1 << 20]):
            answer = HTTPResponse(client)
            answer.fp.close()
            answer.fp = cast(Any, Unclosed(came))
            answer.begin()
            assert answer.read() == body


def test_a_transform_that_fails_late_gives_no_whole_object(client: HTTPConnection) -> None:
    with answered(client, BODY, "raises late") as answer:
        if answer.status != 200:
            assert (answer.status, b"upside down" in answer.read()) == (422, True)
        else:
            with pytest.raises((IncompleteRead, ConnectionError)):
                answer.read()


@pytest.mark.parametrize("args", ["", "swallows"])
@pytest.mark.parametrize("sent", [0, 1000, 1 << 20, SIZE - 1])
def test_a_client_that_leaves_in_its_body_has_failed_in_the_log(server: Server, sent: int, args: str) -> None:
    before = len(server.log_text())
    with socket.create_connection((server.host, server.port), timeout=PATIENCE) as client:
        head = f"PUT /b/left?etl_args={args} HTTP/1.1\r\nHost: a\r\nContent-Length: {SIZE}\r\n\r\n"
        client.sendall(head.encode())
        threading.Thread(target=drain, args=(client,), daemon=True).start()
        client.sendall(BODY[:sent])
        client.shutdown(socket.SHUT_WR)
        wait_until(lambda: "object='b/left'" in server.log_text()[before:])
    (line,) = [line for line in server.log_text()[before:].splitlines() if "object='b/left'" in line]
    assert "outcome=failed" in line
    assert "the client left " in line
    assert f" in={sent} " in line


def drain(client: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is reset, or the test is over
        while client.recv(1 << 16):
            pass


def test_a_client_that_leaves_in_its_answer_holds_nothing(server: Server) -> None:
    before = descriptors(server)
    for _ in range(8):
        with socket.create_connection((server.host, server.port), timeout=PATIENCE) as client:
            client.sendall(b"PUT /b/o HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % SIZE)
            threading.Thread(target=send, args=(client, BODY), daemon=True).start()
            client.recv(1000)
            client.shutdown(socket.SHUT_RDWR)  # a thread that sends would keep it open
    wait_until(lambda: descriptors(server) <= before)


def descriptors(server: Server) -> int:
    return len(os.listdir(f"/proc/{server.process.pid}/fd"))


def test_a_file_comes_back_as_it_is(server: Server, client: HTTPConnection, tmp_path: Path) -> None:
    folder = tmp_path / "@ais" / "b" / "%ob"
    folder.mkdir(parents=True)
    (folder / "o").write_bytes(BODY)
    for _ in range(2):
        client.request("PUT", f"/b/o?etl_fqn={escape_fqn(str(folder / 'o'))}")
        assert client.getresponse().read() == BODY
