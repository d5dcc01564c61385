"""Small requests that are answered at once: the same answers in the same order as any other's."""

import http.client
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.http.short import LIMIT


@contextmanager
def serving() -> Iterator[tuple["subprocess.Popen[str]", int]]:
    command = [sys.executable, "-m", "tests.http.short"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process, int(process.stdout.readline())
        finally:
            process.kill()


@pytest.fixture(name="port", scope="module")
def _port() -> Iterator[int]:
    with serving() as (_, port):
        yield port


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        yield connection


def put(path: str, size: int, *headers: str) -> bytes:
    lines = [f"PUT {path} HTTP/1.1", "Host: x", f"Content-Length: {size}", *headers, "", "x" * size]
    return "\r\n".join(lines).encode()


def answers(connection: socket.socket, count: int) -> list[tuple[int, str]]:
    """The next answers, read one after the other from one stream."""
    stream = connection.makefile("rb")
    found = []
    for _ in range(count):
        status = int(stream.readline().split()[1])
        headers = http.client.parse_headers(stream)
        found.append((status, stream.read(int(headers["Content-Length"] or 0)).decode()))
    return found


def test_a_small_request_is_answered_by_the_shortcut_and_others_by_the_application(port: int) -> None:
    with connected(port) as connection:
        for request, answer in (
            (put("/short/a?b=c", 5), (200, "/short/a?b=c 5")),
            (put("/other", 5), (200, "long 5")),
            (put("/short", LIMIT), (200, f"/short {LIMIT}")),
            (put("/short", LIMIT + 1), (200, f"long {LIMIT + 1}")),
            (put("/short", 0), (204, "")),
        ):
            connection.sendall(request)
            assert answers(connection, 1) == [answer]


def test_a_chunked_body_goes_to_the_application(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(b"PUT /short HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n")
        assert answers(connection, 1) == [(200, "long 3")]


def test_a_body_may_come_byte_by_byte(port: int) -> None:
    with connected(port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in put("/short", 7):
            connection.send(bytes([byte]))
        assert answers(connection, 1) == [(200, "/short 7")]


def test_who_waits_for_a_100_gets_it(port: int) -> None:
    head, _, body = put("/short", 4, "Expect: 100-continue").partition(b"\r\n\r\n")
    with connected(port) as connection:
        connection.sendall(head + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 100 ")
        connection.sendall(body)
        assert answers(connection, 1) == [(200, "long 4")]


def test_pipelined_requests_are_answered_in_their_order(port: int) -> None:
    requests = [put("/short/1", 1), put("/other", 2), put("/short/3", 3), put("/other", 4), put("/short/5", 5)]
    with connected(port) as connection:
        connection.sendall(b"".join(requests))
        texts = [text for _, text in answers(connection, 5)]
    assert [text.split()[-1] for text in texts] == ["1", "2", "3", "4", "5"]


def test_who_wants_the_connection_closed_has_it_closed(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(put("/short", 4, "Connection: close"))
        assert answers(connection, 1) == [(200, "long 4")]
        assert connection.recv(1) == b""


def test_a_body_that_breaks_off_is_not_answered_and_harms_nobody(port: int) -> None:
    with connected(port) as connection:
        connection.sendall(put("/short", 10)[:-3])
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""
    with connected(port) as connection:
        connection.sendall(put("/short", 10))
        assert answers(connection, 1) == [(200, "/short 10")]


def test_a_request_under_way_is_answered_when_the_server_stops() -> None:
    with serving() as (process, port), connected(port) as connection:
        connection.sendall(put("/short", 3))
        assert answers(connection, 1) == [(200, "/short 3")]
        whole = put("/short", 10)
        connection.sendall(whole[:-3])
        with connected(port) as other:  # an answer here: what was sent before there has been read, too
            other.sendall(put("/other", 1))
            assert answers(other, 1) == [(200, "long 1")]
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.5)
        connection.sendall(whole[-3:])
        assert answers(connection, 1) == [(200, "/short 10")]
        assert connection.recv(1) == b""
        assert process.wait(20) == 0
