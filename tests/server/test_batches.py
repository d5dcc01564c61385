"""Classes that transform several objects at once: who meets in a batch, and what each object of it gets."""

import asyncio
import json
import random
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st
from websockets.sync.client import connect

from instore.errors import TransformError
from instore.protocol.names import escape_fqn, escape_segment
from instore.protocol.requests import ObjectRequest, SourceKind
from instore.server.batches import Batches, BatchMember, Outcome
from instore.server.entry import AccessLogEntry
from instore.server.thread_pool import ThreadPool
from instore.server.user_results import TypedBytes
from instore.system.steps import Waiter
from tests.support.node import wait_until
from tests.support.servers import TRANSFORMS, Server, running
from tests.support.target import Target

PATIENCE = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("etl"), TRANSFORMS / "batched.py", target_url=target.url) as server:
        yield server


def put(server: Server, data: bytes, args: str = "", path: str = "b/o") -> requests.Response:
    return requests.put(f"{server.url}/{path}", params={"etl_args": args}, data=data, timeout=PATIENCE)


def put_all(server: Server, objects: list[bytes], args: str = "") -> list[requests.Response]:
    """All at once, in their order."""
    with ThreadPoolExecutor(len(objects)) as clients:
        paths = [f"b/{number}" for number in range(len(objects))]
        return list(clients.map(lambda pair: put(server, pair[0], args, pair[1]), zip(objects, paths, strict=True)))


def test_objects_that_wait_meet_in_batches_and_each_gets_its_own_result(server: Server) -> None:
    answers = [answer.json() for answer in put_all(server, [b"%d" % number for number in range(16)])]
    assert [answer["data"] for answer in answers] == [str(number) for number in range(16)]
    assert [answer["path"] for answer in answers] == [f"b/{number}" for number in range(16)]
    assert all(answer["size"] <= 8 for answer in answers)
    assert max(answer["size"] for answer in answers) > 2


def test_a_single_object_waits_no_longer_than_the_batch_may(server: Server) -> None:
    assert put(server, b"cat").json() == {"data": "cat", "path": "b/o", "size": 1}


def test_health_says_how_many_to_send_at_once(server: Server) -> None:
    assert requests.get(f"{server.url}/health", timeout=PATIENCE).headers["Instore-Concurrency"] == "8"


def test_objects_with_other_arguments_are_in_other_batches(server: Server) -> None:
    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda number: put(server, b"x", f"arguments {number % 2}").json(), range(8)))
    assert max(answer["size"] for answer in answers) <= 4


@pytest.mark.parametrize(
    ("bad", "sentence"),
    [
        (b"poison", "one of these is poisoned"),
        (b"sour", "this one is sour"),
        (b"number", "returned int, not bytes"),
    ],
)
def test_one_that_fails_costs_only_itself(server: Server, bad: bytes, sentence: str) -> None:
    answers = put_all(server, [b"a", b"b", bad, b"c"])
    assert [answer.status_code for answer in answers] == [200, 200, 422, 200]
    assert sentence in answers[2].text
    assert "'b/2'" in answers[2].text
    assert [answer.json()["data"] for answer in answers if answer.ok] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("args", "sentence"),
    [
        ("one too few", r"transform_batch returned \d results for \d objects; it takes a list with one for each"),
        ("no list", r"transform_batch returned bytes for \d objects; it takes a list with one for each"),
    ],
)
def test_results_that_nobody_can_tell_apart_fail_them_all(server: Server, args: str, sentence: str) -> None:
    for answer in put_all(server, [b"a", b"b", b"c"], args):
        assert answer.status_code == 422
        assert re.search(sentence, answer.text)


def test_a_batch_that_waits_for_its_turn_goes_on_filling(server: Server) -> None:
    with ThreadPoolExecutor(8) as clients:
        first = clients.submit(put, server, b"slow", "sleep 3")
        time.sleep(0.6)  # its batch has begun
        others = []
        for number in range(4):
            others.append(clients.submit(put, server, b"%d" % number))
            time.sleep(0.1)
        assert first.result().status_code == 200
        assert {other.result().json()["size"] for other in others} == {4}


def test_an_object_whose_client_has_left_is_left_out(server: Server) -> None:
    before = len(server.log_text())
    with pytest.raises(requests.Timeout):
        requests.put(f"{server.url}/b/gone", data=b"gone", timeout=0.1)
    wait_until(lambda: "object='b/gone'" in server.log_text()[before:])
    assert put(server, b"cat").json()["size"] == 1


def test_every_way_in_makes_batches(server: Server, target: Target, tmp_path: Path) -> None:
    uname = "ais/@#/b/pulled"
    target.objects[escape_segment(uname)] = b"pulled"
    file = tmp_path / "@ais" / "b" / "%ob" / "o"
    file.parent.mkdir(parents=True)
    file.write_bytes(b"file")
    assert requests.get(f"{server.url}/{escape_segment(uname)}", timeout=PATIENCE).json()["data"] == "pulled"
    by_file = requests.put(f"{server.url}/b/o?etl_fqn={escape_fqn(str(file))}", timeout=PATIENCE)
    assert by_file.json()["data"] == "file"
    with connect(f"ws://{server.host}:{server.port}/ws") as client:
        for number in range(4):
            client.send(json.dumps({"path": f"b/{number}"}).encode())
            client.send(b"%d" % number)
        answers = [json.loads(client.recv(PATIENCE)) for _ in range(4)]
    assert [answer["data"] for answer in answers] == ["0", "1", "2", "3"]
    assert {answer["size"] for answer in answers} == {4}


def test_a_pipeline_delivers_what_a_batch_made(server: Server, target: Target) -> None:
    target.puts.clear()
    headers = {"Ais-Node-Url": target.host + "/ais%2F@%23%2Fb%2Fo"}
    answer = requests.put(f"{server.url}/b/o", data=b"cat", headers=headers, timeout=PATIENCE)
    assert answer.status_code == 204
    (delivered,) = target.puts
    assert json.loads(delivered.body)["data"] == "cat"


def test_an_asynchronous_batch(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "async_batched.py") as server:
        answers = [answer.content for answer in put_all(server, [b"0", b"1", b"2", b"3"])]
    assert [answer.partition(b":")[2] for answer in answers] == [b"0", b"1", b"2", b"3"]


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "wait", "give up"]),
        st.sampled_from(["", "x"]),
        st.sampled_from(["good", "good", "fails"]),
    ),
    max_size=40,
)


@given(STEPS, st.integers(1, 5), st.integers(1, 3), st.sampled_from([0.0, 0.001]))
def test_no_two_objects_get_each_others_results(
    steps: list[tuple[str, str, str]], size: int, threads: int, timeout: float
) -> None:
    def run(members: list[BatchMember]) -> list[Outcome]:
        assert len({member.request.etl_args for member in members}) == 1
        assert 1 <= len(members) <= size
        time.sleep(random.random() / 5000)
        return [outcome_of(member.request.path) for member in members]

    async def test() -> None:
        pool = ThreadPool(threads, "test")
        batches = Batches(pool, size, timeout, run)
        results = {}
        for number, (step, args, fate) in enumerate(steps):
            if step == "submit":
                request = ObjectRequest(f"{fate}/{number}", SourceKind.BODY, etl_args=args)
                results[request.path] = batches.submit(request, lambda: None, AccessLogEntry(number, "PUT", "", []))  # type: ignore[arg-type,return-value]
            elif step == "wait":
                await asyncio.sleep(0.0005)
            elif results:
                random.choice(list(results.values())).cancel()
        for path, result in results.items():
            outcome = await outcome_in(result)
            assert result.cancelled() if outcome is None else same(outcome, outcome_of(path))
        while batches.waiting:  # noqa: ASYNC110 - for the time of those that were given up
            await asyncio.sleep(0.001)
        pool.close()

    asyncio.run(asyncio.wait_for(test(), PATIENCE))


async def outcome_in(result: Waiter[bytes | TypedBytes]) -> Outcome | None:
    """What came of an object; nothing where it was given up."""
    try:
        return await result
    except TransformError as error:
        return error
    except asyncio.CancelledError:
        return None


def outcome_of(path: str) -> Outcome:
    return TransformError(path) if path.startswith("fails") else f"made of {path}".encode()


def same(one: Outcome, other: Outcome) -> bool:
    return one == other or (type(one) is type(other) and str(one) == str(other))
