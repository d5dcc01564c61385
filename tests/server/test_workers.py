"""Workers of one port: replaced when they are lost or worn, under load, without anybody noticing who need not."""

import http.client
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.support import node
from tests.support.metrics import scrape
from tests.support.servers import TRANSFORMS, Server, running

PATIENCE = 180.0
WHOAMI = TRANSFORMS / "whoami.py"
WORKERS = """
import ctypes, os, pathlib, time
from instore import ETLServer

BEFORE = pathlib.Path(__file__).with_name("loaded_before")
LATER = pathlib.Path(__file__).with_name("load")


class Workers(ETLServer):
    concurrency = 8

    def warm_up(self):
        if len(list(BEFORE.parent.glob("loaded_before*"))) >= 2:  # those of the start are there
            while not LATER.exists():
                time.sleep(0.01)
        BEFORE.with_name(f"loaded_before-{os.getpid()}").touch()

    def transform(self, data, path, etl_args):
        if etl_args == "die":
            os.kill(os.getpid(), 9)
        if etl_args == "hold":  # as an extension does that keeps the interpreter for ever
            ctypes.PyDLL(None).sleep(10_000)
        if etl_args == "grow":
            self.kept = bytearray(b"x") * (200 << 20)
        time.sleep(0.002)
        return b"%d" % os.getpid()
"""


class Load:
    """Clients that ask one object after the other until they are told to stop.

    Args:
        server: that is asked.
        clients: how many.
        kept: on connections that are kept; else on one for each object.
    """

    def __init__(self, server: Server, clients: int, kept: bool) -> None:
        self.wrong: list[str] = []
        self.pids: set[int] = set()
        self.done = 0
        self._server = server
        self._kept = kept
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(clients)]

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Ask while the context lasts."""
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self._stop.set()
            for thread in self._threads:
                thread.join(PATIENCE)

    def wait_for(self, count: int) -> None:
        """Wait until so many more objects are done."""
        begun = self.done
        wait_until(lambda: self.done > begun + count)

    def _ask(self) -> None:
        connection = self._connection()
        while not self._stop.is_set():
            try:
                connection.request("PUT", "/b/o", body=b"cat")
                answer = connection.getresponse()
                pid = int(answer.read())
                assert answer.status == 200
            except (OSError, http.client.HTTPException, ValueError, AssertionError) as error:
                self.wrong.append(f"{type(error).__name__}: {error}")
                connection.close()
                connection = self._connection()
                continue
            self.pids.add(pid)
            self.done += 1
            if not self._kept or answer.headers.get("Connection") == "close":
                connection.close()
                connection = self._connection()

    def _connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self._server.host, self._server.port, timeout=PATIENCE)


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait until it is true; far longer than it can take."""
    node.wait_until(condition, PATIENCE)


def pids(server: Server) -> set[int]:
    """The workers that answer, at least two."""
    found: set[int] = set()
    while len(found) < 2:
        found.add(int(requests.put(f"{server.url}/b/o", data=b"x", timeout=PATIENCE).content))
    return found


@pytest.mark.parametrize("how", ["die", pytest.param("hold", marks=pytest.mark.whole)])
def test_while_a_worker_s_successor_loads_the_others_take_its_connections(tmp_path: Path, how: str) -> None:
    options = ("--workers", "2", "--limit", "silent_time=2")
    with running(tmp_path, WORKERS, options=options) as server:
        before = pids(server)
        load = Load(server, 4, kept=False)
        with pytest.raises(requests.ConnectionError):
            requests.put(f"{server.url}/b/o?etl_args={how}", data=b"x", timeout=PATIENCE)
        with load.going_on():
            wait_until(lambda: "starting another" in server.log_text())
            load.wait_for(40)  # none of which waits for the one that loads
            assert len(load.pids) == 1 < len(before)
            (tmp_path / "load").touch()
            wait_until(lambda: len(load.pids) == 2)
            load.wait_for(40)
        assert load.wrong == []
        assert (load.pids - before) != set()
        told = scrape(server.url)
        assert (told["instore_workers"], told["instore_worker_restarts_total"]) == (2, 1)
        if how == "hold":
            assert "no sign of life for 2 s; this is where its threads are" in server.log_text()
            assert re.search(r'etl\.py", line \d+ in transform', server.log_text())


@pytest.mark.whole
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "new"])
def test_workers_that_are_killed_under_load_cost_the_objects_in_them_and_no_more(tmp_path: Path, kept: bool) -> None:
    clients, kills = 6, 3
    (tmp_path / "load").touch()
    with running(tmp_path, WORKERS, options=("--workers", "3")) as server:
        load = Load(server, clients, kept)
        with load.going_on():
            for number in range(1, kills + 1):
                load.wait_for(60)
                os.kill(int(requests.put(f"{server.url}/b/o", data=b"x", timeout=PATIENCE).content), signal.SIGKILL)
                while server.log_text().count("is ready") < 3 + number:
                    load.wait_for(10)
            load.wait_for(60)
        assert len(load.wrong) <= clients * kills, load.wrong
        assert not [error for error in load.wrong if "Refused" in error or "timed out" in error], load.wrong
        assert scrape(server.url)["instore_objects_total"] >= load.done


@pytest.mark.parametrize("kept", [True, pytest.param(False, marks=pytest.mark.whole)], ids=["kept", "new"])
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.whole)])
def test_a_worker_that_has_served_enough_is_replaced_and_nobody_notices(
    tmp_path: Path, workers: int, kept: bool
) -> None:
    options = ("--workers", str(workers), "--recycle-after", "60")
    with running(tmp_path, WHOAMI, options=options) as server:
        load = Load(server, 4, kept)
        with load.going_on():
            wait_until(lambda: server.log_text().count("serves now, in place of") >= 2)
            wait_until(lambda: len(load.pids) >= 2 + workers)
        assert load.wrong == []
        told = scrape(server.url)
        assert told["instore_objects_total"] == load.done
        assert told["instore_workers_recycled_total"] >= 2
        assert told["instore_worker_restarts_total"] == 0
        assert re.search(r"worker \d+ has served \d+ objects; starting another in its place", server.log_text())
        assert server.process.poll() is None


@pytest.mark.whole
def test_a_worker_that_has_too_much_memory_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "load").touch()
    with running(tmp_path, WORKERS, options=("--recycle-above", "150MiB")) as server:
        before = int(requests.put(f"{server.url}/b/o", data=b"x", timeout=PATIENCE).content)
        assert int(requests.put(f"{server.url}/b/o?etl_args=grow", data=b"x", timeout=PATIENCE).content) == before
        wait_until(lambda: int(requests.put(f"{server.url}/b/o", data=b"x", timeout=PATIENCE).content) != before)
        assert re.search(r"has \d+ MiB of memory; starting another in its place", server.log_text())


@pytest.mark.whole
def test_a_worker_that_can_not_be_replaced_goes_on(tmp_path: Path) -> None:
    with running(tmp_path, WHOAMI, options=("--recycle-after", "50")) as server:
        before = requests.put(f"{server.url}/b/o", data=b"x", timeout=PATIENCE).content
        (tmp_path / "etl.py").write_text("import os; os.kill(os.getpid(), 9)")
        while "the new worker was killed by SIGKILL before it was ready" not in server.log_text():
            assert requests.put(f"{server.url}/b/o", data=b"x", timeout=PATIENCE).content == before
        assert requests.put(f"{server.url}/b/o", data=b"x", timeout=PATIENCE).content == before


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "new"])
@pytest.mark.parametrize("workers", [1, pytest.param(3, marks=pytest.mark.whole)])
def test_workers_that_are_stopped_under_load_lose_nothing_and_reset_nobody(
    tmp_path: Path, workers: int, kept: bool
) -> None:
    with running(tmp_path, WHOAMI, options=("--workers", str(workers))) as server:
        load = Load(server, 8, kept)
        with load.going_on():
            load.wait_for(40)
            server.process.terminate()
            assert server.process.wait(PATIENCE) == 0
        assert [error for error in load.wrong if "ConnectionRefusedError" not in error] == []


@pytest.mark.whole
def test_a_worker_that_does_not_end_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, WORKERS, options=("--workers", "2", "--grace", "1")) as server:
        held = threading.Thread(target=lambda: _ignoring_errors(f"{server.url}/b/o?etl_args=hold"))
        held.start()
        time.sleep(0.5)
        server.process.terminate()
        assert server.process.wait(PATIENCE) == 0
        assert "did not end; it is killed" in server.log_text()
        held.join(PATIENCE)


def _ignoring_errors(url: str) -> None:
    with pytest.raises(requests.RequestException):
        requests.put(url, data=b"x", timeout=PATIENCE)
