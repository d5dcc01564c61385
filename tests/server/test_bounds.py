"""What an ETL server does for its clients at most: objects that wait, the time of one; what it says while it stops."""

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.server.conftest import STREAMED
from tests.support.node import wait_until
from tests.support.servers import TRANSFORMS, Server, running

PATIENCE = 30.0


def put(server: Server, args: str, path: str = "b/o") -> requests.Response:
    return requests.put(f"{server.url}/{path}", params={"etl_args": args}, data=b"cat", timeout=PATIENCE)


def test_who_comes_when_enough_wait_is_told_to_come_again(tmp_path: Path) -> None:
    with (
        running(tmp_path, TRANSFORMS / "buffered.py", environment={"INSTORE_QUEUE": "2"}) as server,
        ThreadPoolExecutor(8) as clients,
    ):
        answers = [clients.submit(put, server, "sleep 1.5") for _ in range(8)]
        time.sleep(0.7)
        assert requests.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200
        statuses = sorted(answer.result().status_code for answer in answers)
        refused = next(answer.result() for answer in answers if answer.result().status_code == 503)
        assert statuses == [200] * 3 + [503] * 5  # one that is transformed, two that wait
        assert refused.headers["Retry-After"] == "1"
        assert refused.text == "too many objects wait for their turn to be transformed; try again"
        assert put(server, "").content == b"<CAT>"


@pytest.mark.parametrize("source", ["buffered", "sleeping_stream"])
def test_an_object_that_takes_too_long_is_given_up_with_a_sentence(tmp_path: Path, source: str) -> None:
    with running(tmp_path, TRANSFORMS / f"{source}.py", environment={"INSTORE_OBJECT_TIME": "0.5"}) as server:
        answer = put(server, "sleep 0.9", "b/slow")
        assert answer.status_code == 504
        assert answer.text == "the object has no result after 0.5 s, INSTORE_OBJECT_TIME"
        wait_until(lambda: "object='b/slow'" in server.log_text())
        assert "outcome=failed" in server.log_text()
        waits = time.monotonic()
        while put(server, "").status_code != 200:  # the thread is held until the transform ends
            assert time.monotonic() < waits + PATIENCE


def test_a_stream_that_takes_too_long_is_no_whole_answer(tmp_path: Path) -> None:
    variables = {"INSTORE_OBJECT_TIME": "0.5", "INSTORE_SPOOL": "0"}
    with (
        running(tmp_path, TRANSFORMS / "sleeping_stream.py", environment=variables) as server,
        pytest.raises((requests.exceptions.ChunkedEncodingError, requests.ConnectionError)),
    ):
        put(server, "begin, sleep 2")


def test_an_object_that_takes_too_long_over_a_websocket_closes_it_with_the_reason(tmp_path: Path) -> None:
    variables = {"INSTORE_OBJECT_TIME": "0.5"}
    with (
        running(tmp_path, TRANSFORMS / "buffered.py", environment=variables) as server,
        connect(f"ws://{server.host}:{server.port}/ws") as client,
    ):
        client.send(b'{"path": "b/o", "etl_args": "sleep 0.9"}')
        client.send(b"cat")
        with pytest.raises(ConnectionClosedError, match=r"1011.*no result after 0\.5 s"):
            client.recv(PATIENCE)


def test_a_server_that_stops_is_not_ready_and_finishes_what_is_under_way(tmp_path: Path) -> None:
    with (
        running(tmp_path, TRANSFORMS / "buffered.py") as server,
        ThreadPoolExecutor(1) as client,
        requests.Session() as probe,
    ):
        assert probe.get(f"{server.url}/ready", timeout=PATIENCE).text == "Running"
        answer = client.submit(put, server, "sleep 1")
        time.sleep(0.3)
        server.process.send_signal(signal.SIGTERM)
        time.sleep(0.3)
        stopping = probe.get(f"{server.url}/ready", timeout=PATIENCE)
        assert (stopping.status_code, stopping.text) == (503, "Stopping")
        assert answer.result().content == b"<CAT>"
        assert server.process.wait(PATIENCE) == 0


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("INSTORE_QUEUE", "0", "out of range: at least 1"),
        ("INSTORE_OBJECT_TIME", "soon", "is not a number"),
        ("INSTORE_TLS", "yes", "is neither 'server' nor 'mutual'"),
        ("INSTORE_TLS", "server", "needs a certificate: set AIS_CRT and AIS_CRT_KEY"),
    ],
)
def test_a_bound_that_is_none_is_refused_at_the_start(tmp_path: Path, variable: str, value: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence), running(tmp_path, STREAMED, environment={variable: value}):
        pass
