"""The answer without a pipeline (docs/protocol.md#answers)."""

import http.client
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.server.conftest import STREAMED
from tests.support.servers import SECRET, Server, running


def test_an_empty_result_is_an_object_with_length_0(server: Server) -> None:
    answer = requests.put(f"{server.url}/photos/x?etl_args=empty", data=b"cat")
    assert (answer.status_code, answer.content, answer.headers["Content-Length"]) == (200, b"", "0")


def test_a_failing_transform_is_422_with_the_reason_and_no_stack(server: Server) -> None:
    answer = requests.put(f"{server.url}/photos/sad.jpg?etl_args=raise", data=b"cat")
    assert answer.status_code == 422
    assert "photos/sad.jpg" in answer.text
    assert "ValueError: the picture is upside down" in answer.text
    assert "Traceback" not in answer.text


def test_the_log_has_one_warning_line_for_a_failed_object(buffered: Server) -> None:
    requests.put(f"{buffered.url}/photos/logged.jpg?etl_args=raise", data=b"cat")
    lines = [line for line in buffered.log_text().splitlines() if "object='photos/logged.jpg'" in line]
    assert len(lines) == 1
    assert " WARNING " in lines[0]
    assert "upside down" in lines[0]


def test_no_secret_leaves_in_an_error_or_a_log(buffered: Server) -> None:
    answer = requests.put(f"{buffered.url}/photos/x?etl_args=leak", data=b"cat")
    assert answer.status_code == 422
    assert "could not reach" in answer.text
    assert SECRET not in answer.text
    assert SECRET not in buffered.log_text()


def test_a_result_that_is_not_bytes_is_422(buffered: Server) -> None:
    answer = requests.put(f"{buffered.url}/photos/x?etl_args=text", data=b"cat")
    assert answer.status_code == 422
    assert "returned str, not bytes" in answer.text


@pytest.fixture(scope="module")
def unheld(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that begins to send a stream before it is whole."""
    with running(tmp_path_factory.mktemp("unheld"), STREAMED, environment={"INSTORE_SPOOL": "0"}) as server:
        yield server


@pytest.mark.parametrize("size", [3, 5_000_000, 20_000_000], ids=["small", "in memory", "in a file"])
def test_a_stream_is_held_until_it_is_whole(streamed: Server, size: int) -> None:
    answer = requests.put(f"{streamed.url}/photos/x", data=b"c" * size)
    assert (answer.status_code, answer.headers["Content-Length"]) == (200, str(size + 2))
    assert answer.content == b"<" + b"C" * size + b">"
    answer = requests.put(f"{streamed.url}/photos/x?etl_args=raise+late", data=b"c" * size)
    assert answer.status_code == 422
    assert "the picture ends upside down" in answer.text


def test_a_stream_that_is_too_long_to_be_held_is_whole_all_the_same(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40_000
    with running(tmp_path, STREAMED, environment={"INSTORE_SPOOL": "9000000"}) as server:
        answer = requests.put(f"{server.url}/photos/x", data=data)
        assert "Content-Length" not in answer.headers
        assert answer.content == b"<" + data.upper() + b">"
        old = raw(server, b"PUT /photos/x HTTP/1.0\r\nContent-Length: %d\r\n\r\n" % len(data) + data)
        assert old.startswith(b"HTTP/1.1 505 ")
        assert b"ask with HTTP/1.1" in old


def test_a_stream_for_an_http_1_0_client_has_a_length_and_no_chunks(streamed: Server) -> None:
    head, _, body = raw(streamed, b"PUT /photos/x HTTP/1.0\r\nContent-Length: 3\r\n\r\ncat").partition(b"\r\n\r\n")
    assert b"content-length: 5" in head.lower()
    assert b"chunked" not in head
    assert body == b"<CAT>"


def raw(server: Server, request: bytes) -> bytes:
    """What is answered to `request` up to the connection's end."""
    with socket.create_connection((server.host, server.port), 30) as connection:
        connection.sendall(request)
        answer = b""
        while piece := connection.recv(1 << 16):
            answer += piece
        return answer


def test_a_stream_that_fails_midway_is_broken_for_the_standard_librarys_client(unheld: Server) -> None:
    streamed = unheld
    connection = http.client.HTTPConnection(streamed.host, streamed.port)
    connection.request("PUT", "/photos/x?etl_args=raise+late", body=b"c" * 5_000_000)
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    assert requests.put(f"{streamed.url}/photos/x", data=b"cat").content == b"<CAT>"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_a_stream_that_fails_midway_is_broken_for_curl(unheld: Server) -> None:
    streamed = unheld
    run = subprocess.run(
        ["curl", "-s", "-T", "-", f"{streamed.url}/photos/x?etl_args=raise+late"],
        input=b"c" * 5_000_000,
        capture_output=True,
    )
    assert run.returncode == 18  # "partial file"
    assert len(run.stdout) < 5_000_000


def test_a_stream_that_fails_before_its_first_batch_is_422(streamed: Server) -> None:
    answer = requests.put(f"{streamed.url}/photos/x?etl_args=raise+late", data=b"cat")
    assert answer.status_code == 422
    assert "upside down" in answer.text


@pytest.mark.parametrize(
    "request_text",
    [
        "PUT /photos/x HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\ncat",
        "PUT /photos/x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\ncat\r\n",
    ],
    ids=["shorter than its length", "without a last chunk"],
)
def test_a_body_that_ends_early_is_never_an_object(server: Server, request_text: str) -> None:
    with socket.create_connection((server.host, server.port)) as connection:
        connection.sendall(request_text.encode())
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
    assert not re.match(rb"HTTP/1.1 2", answer)
    assert requests.get(f"{server.url}/health").ok


def test_a_head_request_is_answered_without_a_body_and_the_connection_goes_on(buffered: Server) -> None:
    with requests.Session() as session:
        answer = session.head(f"{buffered.url}/health", timeout=30)
        assert (answer.status_code, answer.content) == (200, b"")
        refused = session.head(f"{buffered.url}/photos/cat.jpg", timeout=30)
        assert refused.status_code == 405
        assert session.get(f"{buffered.url}/health", timeout=30).text == "Running"
