"""An object that fails on a kept-alive connection leaves nothing behind for the object that follows on it."""

import http.client
import socket
import threading

import pytest

from tests.faults.bench import Bench, data_of
from tests.faults.table import BIG, Variant
from tests.faults.transforms import Mode, Shape, made_of

_FAILURES = {
    "pipeline": ("", "Ais-Node-Url: http://127.0.0.1:9,,http://127.0.0.1:9\r\n", 400),
    "transform": (f"?etl_args={Mode.FAILS_FIRST}", "", 422),
    "forbidden": ("?etl_fqn=%2Fetc%2Fhosts", "", 403),
}


@pytest.mark.parametrize("shape", Shape)
@pytest.mark.parametrize("size", [1000, BIG])
@pytest.mark.parametrize("failure", _FAILURES)
def test_failed_object_does_not_leak_into_the_next_one(failure: str, size: int, shape: Shape, bench: Bench) -> None:
    query, header, status = _FAILURES[failure]
    server = bench.server(shape, Variant.PLAIN)
    with socket.create_connection((server.host, server.port), 30) as connection:
        assert _ask(connection, _put(query, header, data_of(size)))[0] == status
        try:
            second = _ask(connection, _put("", "", data_of(1000)))
        except (http.client.HTTPException, ConnectionError):
            second = None  # the server would rather begin anew: an error that nobody takes for an object
    assert second in (None, (200, made_of(data_of(1000))))


def _ask(connection: socket.socket, request: bytes) -> tuple[int, bytes]:
    sender = threading.Thread(target=_send, args=(connection, request))
    sender.start()
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    body = answer.read()
    sender.join()
    return answer.status, body


def _put(query: str, header: str, data: bytes) -> bytes:
    head = f"PUT /bucket/one{query} HTTP/1.1\r\nHost: etl\r\n{header}Content-Length: {len(data)}\r\n\r\n"
    return head.encode() + data


def _send(connection: socket.socket, request: bytes) -> None:
    try:
        connection.sendall(request)
    except OSError:  # the server closed the connection: what it answered tells
        return
