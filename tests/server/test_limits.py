"""Clients that stall, in every way in: each is given up, its object is logged as failed, others are served."""

import contextlib
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from websockets.frames import Frame, Opcode

from tests.support.node import wait_until
from tests.support.servers import TRANSFORMS, Server, running

SECONDS = {"INSTORE_TIMEOUT": "0.5", "INSTORE_HEAD_TIME": "0.5", "INSTORE_IDLE_TIME": "0.5"}
PUT = b"PUT /b/%s HTTP/1.1\r\nHost: a\r\n"
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
pytestmark = pytest.mark.whole  # time-outs that are waited for; tests/http has them every day, on byte strings

PATIENCE = 30.0  # until it counts as hung
LARGE = 48 << 20  # bytes: more than the buffers between two processes take


def message(data: bytes, opcode: Opcode = Opcode.BINARY) -> bytes:
    return Frame(opcode, data).serialize(mask=True)


def control(name: str) -> bytes:
    return message(json.dumps({"path": f"b/{name}"}).encode())


@pytest.fixture(scope="module", params=["buffered", "streamed"])
def hasty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that waits for half a second."""
    variables = {**SECONDS, "INSTORE_SPOOL": "0"}
    with running(
        tmp_path_factory.mktemp("etl"),
        TRANSFORMS / f"{request.param}.py",
        environment=variables,
        options=("--log-level", "debug"),
    ) as server:
        yield server


def until_closed(client: socket.socket, sentence: bytes = b"") -> bytes:
    """All that comes until the server gives the connection up, or says so."""
    came = bytearray()
    with contextlib.suppress(ConnectionResetError):
        while data := client.recv(1 << 16):
            came += data
            if sentence and sentence in came:
                break
    return bytes(came)


def connect(server: Server) -> socket.socket:
    return socket.create_connection((server.host, server.port), timeout=PATIENCE)


def assert_serves(server: Server) -> None:
    assert requests.put(f"{server.url}/b/other", data=b"cat", timeout=PATIENCE).content == b"<CAT>"


STALLS = {
    "no request": (b"", b""),
    "request line": (b"PUT /b/o HT", b" 408 "),
    "head": (PUT % b"o" + b"Content-Le", b" 408 "),
    "upgrade": (HANDSHAKE[:-2], b" 408 "),
    "small body": (PUT % b"small" + b"Content-Length: 30\r\n\r\nhalf of", b" 408 "),
    "body": (PUT % b"body" + b"Content-Length: 300000\r\n\r\nhalf of", b""),
    "chunk": (PUT % b"chunk" + b"Transfer-Encoding: chunked\r\n\r\n10\r\nhalf", b""),
    "chunks": (PUT % b"chunks" + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", b""),
    "expected": (PUT % b"expected" + b"Expect: 100-continue\r\nContent-Length: 9\r\n\r\n", b" 100 "),
    "idle after a request": (PUT % b"whole" + b"Content-Length: 3\r\n\r\ncat", b" 200 "),
    "message head": (HANDSHAKE + control("begun") + b"\x82", b"no byte of a message came for 0.5 s"),
    "message": (HANDSHAKE + control("half") + message(b"x" * 1000)[:600], b"no byte of a message came for 0.5 s"),
}


@pytest.mark.parametrize("stall", STALLS)
def test_a_client_that_stalls_is_given_up(hasty: Server, stall: str) -> None:
    sent, answer = STALLS[stall]
    with connect(hasty) as client:
        client.sendall(sent)
        came = until_closed(client, answer if b"message" in answer else b"")
    assert answer in came
    if answer in (b" 408 ", b""):
        assert b" 200 " not in came or not came.endswith(b"0\r\n\r\n")
    assert_serves(hasty)


@pytest.mark.parametrize("name", ["body", "chunk", "chunks", "expected"])
def test_the_object_of_a_stalled_body_has_failed_in_the_log(hasty: Server, name: str) -> None:
    sent, _ = STALLS[name]
    begun = len(hasty.log_text())
    with connect(hasty) as client:
        client.sendall(sent)
        until_closed(client)
    wait_until(lambda: f"object='b/{name}'" in hasty.log_text()[begun:])
    (line,) = [line for line in hasty.log_text()[begun:].splitlines() if f"object='b/{name}'" in line]
    assert "outcome=failed" in line
    assert "no byte of the body came for 0.5 s" in line


def test_a_result_that_nobody_takes_is_given_up_and_has_failed_in_the_log(hasty: Server) -> None:
    begun = len(hasty.log_text())
    with connect(hasty) as client:
        client.sendall(PUT % b"large" + b"Content-Length: %d\r\n\r\n" % LARGE)
        with contextlib.suppress(ConnectionError):  # a stream's result comes while its body is sent
            client.sendall(bytes(LARGE))
        wait_until(lambda: "object='b/large'" in hasty.log_text()[begun:])
        assert len(until_closed(client)) < LARGE
    (line,) = [line for line in hasty.log_text()[begun:].splitlines() if "object='b/large'" in line]
    assert "outcome=failed" in line
    assert_serves(hasty)


def test_results_over_websocket_that_nobody_takes_are_given_up_and_logged_as_lost(hasty: Server) -> None:
    begun = len(hasty.log_text())
    with connect(hasty) as client:
        client.sendall(HANDSHAKE + control("taken") + message(bytes(LARGE)))
        wait_until(lambda: "object='b/taken'" in hasty.log_text()[begun:])
        assert len(until_closed(client)) < LARGE
    (line,) = [line for line in hasty.log_text()[begun:].splitlines() if "object='b/taken'" in line]
    assert "outcome=failed error='the connection ended before its answer was taken'" in line
    assert_serves(hasty)


def rss(server: Server) -> int:
    """Resident memory of the worker, MiB."""
    for line in Path(f"/proc/{server.process.pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) >> 10
    raise AssertionError("no VmRSS")


def test_a_websocket_that_has_closed_leaves_no_memory(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "echo.py") as server:
        sizes = []
        for _ in range(12):
            with connect(server) as client:
                client.sendall(HANDSHAKE + control("a") + message(os.urandom(32 << 20)))
                left = 32 << 20
                while left > 0:
                    left -= len(client.recv(1 << 20))
                client.sendall(control("b") + message(bytes(32 << 20))[: 16 << 20])  # and half of another
            assert_serves_echo(server)
            sizes.append(rss(server))
    assert max(sizes) - min(sizes[:2]) < 128, sizes


def assert_serves_echo(server: Server) -> None:
    assert requests.put(f"{server.url}/b/other", data=b"cat", timeout=PATIENCE).content == b"cat"
