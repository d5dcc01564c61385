"""A node that is killed in the middle of a bucket's transform, and started again."""

import os
import random
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import requests
from aistore.sdk import Client
from aistore.sdk.etl import ETLConfig
from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

from tests.node.processes import those_with
from tests.support.node import TARGETS, running_node, wait_until

pytestmark = pytest.mark.whole

OBJECTS = 120
ETL = "crash-etl"


def content(number: int) -> bytes:
    return f"object {number} ".encode() * (number % 700 + 1)


def put_until_gone(endpoint: str, bucket: str, start: int, acknowledged: list[int]) -> None:
    """Put objects until the node is gone; without the SDK, which would wait for it for a minute and a half."""
    with requests.Session() as session:
        number = start
        while True:
            try:
                url = f"{endpoint}/v1/objects/{bucket}/put-{number}?provider=ais"
                session.put(url, data=content(number), timeout=10).raise_for_status()
            except requests.RequestException:
                return
            acknowledged.append(number)
            number += 1


def check(client: Client, acknowledged: list[int], job_id: str) -> None:
    """Everything acknowledged is there and whole, and the job says what it has done, no more and hardly less."""
    source, into = client.bucket("source"), client.bucket("into")
    for number in acknowledged:
        assert source.object(f"put-{number}").get_reader().read_all() == content(number)
    for number in range(OBJECTS):
        assert source.object(f"o{number}").get_reader().read_all() == content(number)
    made = [entry.name for entry in into.list_all_objects()]
    for name in made:
        number = int(name.lstrip("oput-"))
        assert into.object(name).get_reader().read_all() == content(number).upper()
    job = client.job(job_id)
    status = job.status()
    counted = sum(snap.stats.objects + snap.stats.out_objects for snap in job.get_details().list_snapshots())
    assert status.end_time > 0
    if status.aborted:
        assert "the node was stopped before the job was done" in status.err
        assert counted <= len(made) <= counted + 16, "what was under way may be there, uncounted"
    else:
        assert status.err == ""
        assert len(made) == counted >= OBJECTS


def crash(rounds: int, tmp_path: Path, targets: int) -> None:
    class Slow(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            time.sleep(0.005)
            return data.upper()

    chance = random.Random(7)
    job_id, started = "", False
    acknowledged: list[int] = []
    for number in range(rounds):
        with running_node(tmp_path, targets) as node:
            client = node.client()
            if not started:
                source = client.bucket("source").create()
                for one in range(OBJECTS):
                    source.object(f"o{one}").get_writer().put_content(content(one))
                client.etl(ETL).init_class(comm_type=["hpush", "ws", "hpull"][number % 3])(Slow)
                started = True
            else:
                check(client, acknowledged, job_id)
                client.bucket("into").delete(missing_ok=True)
            wait_until(client.cluster().list_etls)  # those that run
            job_id = client.bucket("source").transform(ETL, client.bucket("into"), num_workers=3)
            new: list[int] = []
            putting = threading.Thread(target=put_until_gone, args=(node.endpoint, "source", len(acknowledged), new))
            putting.start()
            time.sleep(chance.uniform(0, 1.2))
            node.kill()
            putting.join()
            acknowledged += new
        wait_until(lambda: those_with(str(tmp_path)) == [])
    with running_node(tmp_path, targets) as node:
        client = node.client()
        check(client, acknowledged, job_id)
        again = client.bucket("again")
        waited = client.job(client.bucket("source").transform(ETL, again)).wait(timeout=240, verbose=False)
        assert waited.success, waited.error
        unanswered = len(again.list_all_objects()) - OBJECTS - len(acknowledged)
        assert unanswered in (0, 1), "a put may be stored, and the node killed before it has said so"
        assert client.bucket("source").object("o1").get_reader(etl=ETLConfig(ETL)).read_all() == content(1).upper()
        assert "Traceback" not in node.log.read_text()


@pytest.mark.parametrize("targets", TARGETS)
def test_a_killed_node_loses_nothing_and_leaves_no_process(tmp_path: Path, targets: int) -> None:
    crash(3, tmp_path, targets)


@pytest.mark.soak
def test_a_node_that_is_killed_fifty_times(tmp_path: Path) -> None:
    crash(50, tmp_path, 2)


def use(client: Client, number: int, seconds: float, errors: list[Any]) -> None:
    """Put, list, transform, read and delete, for so long."""
    try:
        bucket, shared = client.bucket(f"own-{number}").create(), client.bucket("shared")
        end, turn = time.monotonic() + seconds, 0
        while time.monotonic() < end:
            names = [f"{number}/{turn}/{one}" for one in range(10)]
            for one, name in enumerate(names):
                bucket.object(name).get_writer().put_content(content(one))
                shared.object(name).get_writer().put_content(content(one))
            mine = [entry.name for entry in shared.list_all_objects(prefix=f"{number}/")]
            assert len(mine) == 10 * (turn + 1), f"{len(mine)} of {10 * (turn + 1)}"
            into = client.bucket(f"into-{number}-{turn}")
            waited = client.job(bucket.transform(ETL, into)).wait(timeout=60, verbose=False)
            assert waited.success, waited.error
            assert len(into.list_all_objects()) == 10 * (turn + 1)
            read = into.object(names[3]).get_reader().read_all()
            assert read == content(3).upper()
            assert bucket.object(names[3]).get_reader(etl=ETLConfig(ETL)).read_all() == read
            into.delete()
            turn += 1
        assert turn > 0
    except BaseException as error:
        errors.append(error)
        raise


def two_clients(tmp_path: Path, seconds: float) -> None:
    class Upper(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            return data.upper()

    with running_node(tmp_path, 2) as node:
        node.client().bucket("shared").create()
        node.client().etl(ETL).init_class()(Upper)
        errors: list[Any] = []
        threads = [threading.Thread(target=use, args=(node.client(), one, seconds, errors)) for one in (1, 2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
        log = node.log.read_text()
        assert "internal error" not in log
        assert "Traceback" not in log
        assert len(os.listdir(node.folder)) > 0


def test_two_clients_at_once_lose_nothing(tmp_path: Path) -> None:
    two_clients(tmp_path, 3)


@pytest.mark.soak
def test_two_clients_for_a_minute(tmp_path: Path) -> None:
    two_clients(tmp_path, 60)
