"""The answer without a pipeline (docs/protocol.md#answers)."""

import http.client
import re
import shutil
import socket
import subprocess

import pytest
import requests

from tests.support.servers import SECRET, Server


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


def test_a_stream_that_fails_midway_is_broken_for_the_standard_librarys_client(streamed: Server) -> None:
    connection = http.client.HTTPConnection(streamed.host, streamed.port)
    connection.request("PUT", "/photos/x?etl_args=raise+late", body=b"c" * 5_000_000)
    answer = connection.getresponse()
    assert answer.status == 200
    with pytest.raises(http.client.IncompleteRead):
        answer.read()
    connection.close()
    assert requests.put(f"{streamed.url}/photos/x", data=b"cat").content == b"<CAT>"


@pytest.mark.skipif(shutil.which("curl") is None, reason="no curl on this machine")
def test_a_stream_that_fails_midway_is_broken_for_curl(streamed: Server) -> None:
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
