"""Stopping under load: what was begun ends, nobody sees a reset, and a second signal ends at once."""

import http.client
import json
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest
import requests
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.support.node import wait_until
from tests.support.servers import TRANSFORMS, Server, running

SLOW = TRANSFORMS / "slow.py"


class Load:
    """Clients that ask one object after the other on connections that are kept, until they are told that it ends."""

    def __init__(self, server: Server, clients: int) -> None:
        self.done = 0
        self.wrong: list[str] = []
        self._server = server
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self._server.host, self._server.port, timeout=60)
        while True:
            try:
                connection.request("PUT", "/b/o", body=b"cat")
                answer = connection.getresponse()
                body = answer.read()
            except ConnectionRefusedError:
                return
            except (OSError, http.client.HTTPException) as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
                return
            if (answer.status, body) != (200, b"<cat>"):
                self.wrong.append(f"{answer.status} {body!r}")
            self.done += 1
            if answer.headers.get("Connection") == "close":
                return

    def join(self) -> None:
        for thread in self._threads:
            thread.join(60)
            assert not thread.is_alive()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_under_load_no_object_is_lost_and_no_client_reset(tmp_path: Path, number: signal.Signals) -> None:
    with running(tmp_path, SLOW) as server:
        load = Load(server, 8)
        wait_until(lambda: load.done > 100)
        server.process.send_signal(number)
        load.join()
        assert load.wrong == []
        assert server.process.wait(30) == 0


def test_no_object_is_lost_either_while_a_thread_of_quick_transforms_leads_the_loop(tmp_path: Path) -> None:
    quick = SLOW.read_text().replace("time.sleep(float(etl_args or 0.01))", "")
    with running(tmp_path, quick) as server:
        load = Load(server, 8)
        wait_until(lambda: load.done > 500)
        server.process.terminate()
        load.join()
        assert load.wrong == []
        assert server.process.wait(30) == 0


def test_an_object_that_is_under_way_ends_and_its_connection_is_the_last(tmp_path: Path) -> None:
    with running(tmp_path, SLOW) as server:
        answers: list[requests.Response] = []
        args = {"etl_args": "1.5"}
        thread = threading.Thread(
            target=lambda: answers.append(requests.put(f"{server.url}/b/o", data=b"x", params=args, timeout=30))
        )
        thread.start()
        time.sleep(0.5)
        server.process.terminate()
        thread.join()
        assert answers[0].content == b"<x>"
        assert answers[0].headers["Connection"] == "close"
        assert server.process.wait(30) == 0


def test_objects_of_a_websocket_end_too_and_then_it_is_closed_with_1001(tmp_path: Path) -> None:
    with (
        running(tmp_path, SLOW) as server,
        connect(f"ws://{server.host}:{server.port}/ws", compression=None) as connection,
    ):
        for number in range(5):
            connection.send(json.dumps({"path": f"b/{number}", "etl_args": "1"}).encode())
            connection.send(b"%d" % number)
        time.sleep(0.5)
        server.process.terminate()
        assert [connection.recv(30) for _ in range(5)] == [b"<%d>" % number for number in range(5)]
        with pytest.raises(ConnectionClosed):
            connection.recv(30)
        assert connection.close_code == 1001
        assert server.process.wait(30) == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_second_signal_ends_it_at_once(tmp_path: Path, workers: int) -> None:
    with running(tmp_path, SLOW, options=("--workers", str(workers))) as server:
        thread = threading.Thread(target=_ignoring_errors, args=(server,))
        thread.start()
        time.sleep(0.5)
        server.process.terminate()
        with pytest.raises(subprocess.TimeoutExpired):
            server.process.wait(1)
        server.process.terminate()
        assert server.process.wait(10) == 143
        thread.join()


def _ignoring_errors(server: Server) -> None:
    with pytest.raises(requests.RequestException):
        requests.put(f"{server.url}/b/o", data=b"x", params={"etl_args": "25"}, timeout=30)


def test_what_does_not_end_within_the_grace_is_broken_off_and_logged(tmp_path: Path) -> None:
    with running(tmp_path, SLOW, options=("--limit", "grace=1")) as server:
        answers: list[requests.Response] = []
        args = {"etl_args": "25"}
        thread = threading.Thread(
            target=lambda: answers.append(requests.put(f"{server.url}/b/o", data=b"x", params=args, timeout=30))
        )
        thread.start()
        time.sleep(0.5)
        server.process.terminate()
        assert server.process.wait(10) == 0
        thread.join()
        assert (answers[0].status_code, answers[0].text) == (503, "the server stops")
        assert "the server stopped" in server.log_text()
