"""/metrics: what it counts adds up to what was sent, over all workers of a port, and outlives them."""

import json
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from instore.protocol.names import escape_fqn, escape_segment
from instore.server.entry import AccessLogEntry
from instore.server.families import families
from instore.server.metrics import BOUNDS, STAGES, ObjectCounters
from tests.server.conftest import BUFFERED, STREAMED
from tests.server.test_direct_put import DESTINATION
from tests.server.test_websocket import ws
from tests.support.metrics import Scrape, scrape
from tests.support.node import wait_until
from tests.support.servers import TRANSFORMS, Server, running
from tests.support.target import Target

CAT = b"cat" * 100
OUT = len(CAT) + 2
LARGE = b"x" * 200_000
OPEN_METRICS = "application/openmetrics-text"
PULLED = "ais/@#/photos/pulled"
SECRET_NAME = "a-name-that-is-nobody's-business"


def of_workers(server: Server) -> list[int]:
    """The process ids of a server's workers."""
    pid = server.process.pid
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def send(server: Server, target: Target, file: Path) -> None:
    """Objects by every way, each on a connection of its own, so that all workers have some."""
    named = f"etl_fqn={escape_fqn(str(file))}"
    to_target = {"Ais-Node-Url": target.host + DESTINATION}
    calls = [
        *[lambda: requests.put(f"{server.url}/photos/{SECRET_NAME}", data=CAT)] * 20,
        *[lambda: requests.put(f"{server.url}/photos/file?{named}")] * 5,
        *[lambda: requests.get(f"{server.url}/{escape_segment(PULLED)}")] * 6,
        *[lambda: requests.put(f"{server.url}/photos/raise?etl_args=raise", data=CAT)] * 4,
        *[lambda: requests.put(f"{server.url}/photos/put?{named}", headers=to_target)] * 7,
        *[lambda: requests.put(f"{server.url}/photos/x", data=CAT, headers={"Ais-Node-Url": "a,,"})] * 2,
    ]
    with ThreadPoolExecutor(8) as threads:
        statuses = Counter(future.result().status_code for future in [threads.submit(call) for call in calls])
    assert statuses == {200: 31, 422: 4, 204: 7, 400: 2}
    for _ in range(3):
        with ws(server) as connection:
            connection.send(json.dumps({"path": "photos/ws"}).encode())
            connection.send(CAT)
            assert connection.recv() == b"<" + CAT.upper() + b">"


@pytest.mark.parametrize(
    "shape", [BUFFERED, pytest.param(STREAMED, marks=pytest.mark.whole)], ids=["buffered", "streamed"]
)
def test_the_counters_of_four_workers_add_up_to_what_was_sent(
    tmp_path: Path, store: Path, target: Target, shape: Path
) -> None:
    file = store / "cat"
    file.write_bytes(CAT)
    target.objects[escape_segment(PULLED)] = CAT
    with running(tmp_path, shape, target_url=target.url, options=("--workers", "4")) as server:
        send(server, target, file)
        # What a transform took is seen by other workers within a second.
        wait_until(lambda: scrape(server.url)["instore_transforming_seconds_count"] == 41)
        told = scrape(server.url)
        killed = of_workers(server)[0]
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: killed not in (there := of_workers(server)) and len(there) == 4)
        after = scrape(server.url)
    objects = "instore_objects_total"
    assert told.sum(objects, method="PUT", source="body", outcome="returned") == 20
    assert told.sum(objects, method="PUT", source="file", outcome="returned") == 5
    assert told.sum(objects, method="GET", source="target", outcome="returned") == 6
    assert told.sum(objects, method="PUT", source="file", outcome="delivered") == 7
    assert told.sum(objects, method="PUT", source="body", outcome="failed") == 4
    assert told.sum(objects, method="PUT", source="unknown", outcome="failed") == 2
    assert told.sum(objects, method="WS", source="body", outcome="returned") == 3
    assert told[objects] == 47
    assert told.sum("instore_bytes_total", direction="out") >= 41 * OUT  # and the sentences of errors
    assert told.sum("instore_bytes_total", direction="in") >= 41 * len(CAT)
    for stage in STAGES:
        assert told[f"instore_{stage}_seconds_count"] == 41
    assert told["instore_workers"] == 4
    assert told["instore_objects_in_progress"] == told["instore_worker_restarts_total"] == 0
    assert SECRET_NAME not in str(told.samples)
    assert after["instore_worker_restarts_total"] == 1
    assert monotonic(after) == monotonic(told) | {("instore_worker_restarts_total", ()): 1}


def monotonic(told: Scrape) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """What only ever grows."""
    return {
        (name, tuple(labels.items())): number
        for name, labels, number in told.samples
        if name.endswith(("_total", "_bucket", "_count", "_sum"))
    }


def test_what_is_under_way_waits_or_is_refused_is_told_while_it_is(tmp_path: Path) -> None:
    with (
        running(tmp_path, BUFFERED, environment={"INSTORE_QUEUE": "2"}) as server,
        ThreadPoolExecutor(3) as threads,
    ):
        held = [threads.submit(requests.put, f"{server.url}/b/o?etl_args=sleep 2", data=LARGE) for _ in range(3)]
        wait_until(lambda: scrape(server.url)["instore_objects_waiting"] == 2)
        wait_until(lambda: scrape(server.url)["instore_body_memory_bytes"] >= 3 * len(LARGE))
        assert requests.put(f"{server.url}/b/o", data=CAT).status_code == 503
        told = scrape(server.url)
        assert told["instore_objects_in_progress"] == 3
        assert told["instore_refused_total"] == 1
        assert [future.result().status_code for future in held] == [200, 200, 200]
        told = scrape(server.url)
        assert told["instore_objects_in_progress"] == told["instore_objects_waiting"] == 0
        assert told["instore_waiting_seconds_sum"] >= 2
        assert told["instore_transforming_seconds_sum"] >= 6
        assert told.sum("instore_transforming_seconds_bucket", le="1.0") == 0
        assert told.sum("instore_transforming_seconds_bucket", le="5.0") == 3


def test_retries_of_direct_puts_are_counted_and_a_next_hop_s_refusal_is_no_success(
    tmp_path: Path, no_puts: Target
) -> None:
    no_puts.answers.append((500, b"the disk is full"))
    to_target, nowhere = {"Ais-Node-Url": no_puts.host + DESTINATION}, {"Ais-Node-Url": "http://127.0.0.1:9/v1/b/o"}
    environment = {"AIS_DIRECT_PUT_RETRIES": "1"}
    with running(tmp_path, BUFFERED, target_url=no_puts.url, environment=environment) as server:
        statuses = [
            requests.put(f"{server.url}/b/o", data=CAT, headers=headers).status_code
            for headers in (to_target, nowhere, to_target)
        ]
        told = scrape(server.url)
        assert statuses == [500, 502, 204]
        assert told["instore_direct_put_retries_total"] == 1
        assert told.sum("instore_objects_total", outcome="failed") == 2
        assert told.sum("instore_objects_total", outcome="delivered") == 1
        assert told.sum("instore_bytes_total", direction="in") == 3 * len(CAT)
        assert "answered 500" in server.log_text()


@pytest.mark.whole
def test_a_server_that_starts_anew_goes_on_counting(tmp_path: Path) -> None:
    with running(tmp_path, BUFFERED, environment={"INSTORE_TRANSFORM_TIMEOUT": "1"}) as server:
        requests.put(f"{server.url}/b/o", data=CAT).raise_for_status()
        with pytest.raises(requests.Timeout):
            requests.put(f"{server.url}/b/o?etl_args=sleep 60", data=CAT, timeout=0.5)
        wait_until(lambda: "starting it anew" in server.log_text())
        requests.put(f"{server.url}/b/o", data=CAT).raise_for_status()
        told = scrape(server.url)
    assert told.sum("instore_objects_total", outcome="returned") == 2
    assert told.sum("instore_objects_total", outcome="failed") == 1
    assert told["instore_worker_restarts_total"] == 1
    assert told["instore_objects_in_progress"] == 0


def test_who_asks_for_openmetrics_gets_it_and_head_has_no_body(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "echo.py") as server:
        answer = requests.get(f"{server.url}/metrics", headers={"Accept": f"{OPEN_METRICS}; version=1.0.0"})
        assert answer.headers["Content-Type"].startswith(f"{OPEN_METRICS}; version=1.0.0")
        parse: Callable[[str], Iterable[Metric]] = text_string_to_metric_families
        names = {family.name for family in parse(answer.text)}
        assert "instore_objects" in names
        assert requests.head(f"{server.url}/metrics").text == ""
        for accept in ("text/plain; version=x", "application/openmetrics-text; version=", "é", ","):
            assert requests.get(f"{server.url}/metrics", headers={"Accept": accept.encode()}).status_code == 200, accept


def test_of_very_many_objects_a_part_is_timed_and_counts_for_all() -> None:
    counters = ObjectCounters()
    for _ in range(256 + 8000):
        timed(counters, 0.02)
    counters.publish(0)
    timed(counters, 0.02)
    counters.publish(0)
    samples = {
        (sample.name, sample.labels.get("le", "")): sample.value
        for family in families(counters.pages)
        for sample in family.samples
    }
    assert samples["instore_transforming_seconds_bucket", "0.01"] == 0
    assert samples["instore_transforming_seconds_bucket", "0.025"] == 8257
    assert samples["instore_transforming_seconds_count", ""] == 8257
    assert samples["instore_transforming_seconds_sum", ""] == pytest.approx(8257 * 0.02)


def timed(counters: ObjectCounters, seconds: float) -> None:
    """An object that transformed for so long."""
    entry = AccessLogEntry(1, "PUT", "", ())
    entry.asked = entry.begun = entry.loaded = entry.came
    entry.made = entry.loaded + seconds
    counters.ended(entry, "returned", 0)


@given(st.lists(st.sampled_from([*BOUNDS, *(bound * 1.01 for bound in BOUNDS)]) | st.floats(1e-6, 1e3), max_size=9))
def test_each_time_is_in_the_bucket_of_its_bound(seconds: list[float]) -> None:
    counters = ObjectCounters()
    for one in seconds:
        timed(counters, one)
    counters.publish(0)
    (family,) = (one for one in families(counters.pages) if one.name == "instore_transforming_seconds")
    for sample in family.samples:
        if sample.name.endswith("_bucket"):
            bound = float(sample.labels["le"])
            # The clock's own numbers are large: a time is off by a few of their last digits.
            least = sum(one < bound - 1e-6 for one in seconds)
            assert least <= sample.value <= sum(one < bound + 1e-6 for one in seconds)
        elif sample.name.endswith("_count"):
            assert sample.value == len(seconds)
        else:
            assert sample.value == pytest.approx(sum(seconds), abs=1e-5)
