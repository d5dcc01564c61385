"""Quick transforms are done by a thread that leads the loop; one that is not quick delays nobody, and is not lost."""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from instore.server.thread_pool import ThreadPool
from instore.system.relay_loop import RelayLoop
from tests.support.metrics import scrape
from tests.support.node import wait_until
from tests.support.servers import Server, running

PATIENCE = 60.0


def run(size: int, test: Callable[[ThreadPool], Awaitable[None]], leads: bool = True) -> None:
    async def main() -> None:
        pool = ThreadPool(size, "test", leads=leads)
        await asyncio.wait_for(test(pool), PATIENCE)
        pool.close()

    with asyncio.Runner(loop_factory=RelayLoop) as runner:
        runner.run(main())


def led_by_a_thread() -> bool:
    return threading.current_thread().name.startswith("test-")


async def until_led(pool: ThreadPool) -> set[int]:
    """Have quick calls done until a thread leads; which threads did them."""
    threads = set()
    while not led_by_a_thread():
        threads.add(await pool.submit(threading.get_ident))
    return threads


def test_quick_calls_make_a_thread_lead_which_then_does_them_itself() -> None:
    async def test(pool: ThreadPool) -> None:
        (thread,) = await until_led(pool)
        for number in range(100):
            assert await pool.submit(lambda: (number, threading.get_ident())) == (number, thread)  # noqa: B023
            await until_led(pool)

    run(1, test)


@pytest.mark.parametrize("size", [1, 4])
def test_threads_whose_calls_are_not_quick_wait_for_a_loop_that_takes_no_results(size: int) -> None:
    done: list[None] = []

    def call() -> None:
        time.sleep(0.005)
        done.append(None)

    async def test(pool: ThreadPool) -> None:
        calls = [pool.submit(call) for _ in range(100)]
        await calls[0]
        begun = len(done)
        time.sleep(0.3)  # noqa: ASYNC251  # the loop is busy
        assert len(done) - begun <= 3 * size
        for one in calls:
            await one
        assert len(done) == 100

    run(size, test)


def test_threads_whose_calls_are_quick_wait_for_nobody() -> None:
    async def test(pool: ThreadPool) -> None:
        calls = [pool.submit(time.monotonic) for _ in range(100)]
        await asyncio.sleep(0)
        time.sleep(0.3)  # noqa: ASYNC251
        back = time.monotonic()
        assert max([await one for one in calls]) < back

    run(2, test, leads=False)


def test_what_asks_for_nothing_quick_is_never_led() -> None:
    async def test(pool: ThreadPool) -> None:
        for _ in range(200):
            await pool.submit(lambda: None)
            assert not led_by_a_thread()

    run(1, test, leads=False)


@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("how", ["sleeps", "computes"])
def test_a_slow_call_holds_up_neither_the_loop_nor_its_own_result(size: int, how: str) -> None:
    ended = threading.Event()

    def slow() -> str:
        while how == "computes" and not ended.is_set():
            pass
        assert ended.wait(PATIENCE)
        return how

    async def test(pool: ThreadPool) -> None:
        await until_led(pool)
        result = pool.submit(slow)
        for _ in range(10):  # which would never come, were the loop held up
            await asyncio.sleep(0.005)
        assert not led_by_a_thread()
        assert not result.done()
        ended.set()
        assert await result == how
        await until_led(pool)

    run(size, test)


def test_one_thread_calls_all_and_never_two_at_once() -> None:
    inside: list[int] = []
    threads: set[int] = set()

    def call(number: int) -> int:
        assert not inside
        inside.append(number)
        threads.add(threading.get_ident())
        if not number % 50:
            time.sleep(0.02)
        inside.remove(number)
        return number

    async def test(pool: ThreadPool) -> None:
        for start in range(0, 1000, 20):
            results = [pool.submit(call, number) for number in range(start, start + 20)]
            assert [await result for result in results] == list(range(start, start + 20))
            await asyncio.sleep(0)
        assert len(threads) == 1
        assert pool.waiting == 0

    run(1, test)


def test_what_waits_behind_a_slow_call_goes_to_other_threads() -> None:
    free = threading.Event()

    async def test(pool: ThreadPool) -> None:
        await until_led(pool)
        held = pool.submit(free.wait, PATIENCE)
        behind = [pool.submit(threading.get_ident) for _ in range(5)]
        for result in behind:
            await result
        assert not held.done()
        free.set()
        assert await held

    run(2, test)


def test_calls_that_several_threads_can_share_leave_the_lead_to_the_loop() -> None:
    async def test(pool: ThreadPool) -> None:
        await until_led(pool)
        while led_by_a_thread():
            await pool.submit(time.sleep, 0.0005)
        at_once = threading.Barrier(3)  # which one thread alone would wait at for ever
        await asyncio.gather(*(asyncio.ensure_future(_wait(pool, at_once)) for _ in range(3)))

    run(3, test)


async def _wait(pool: ThreadPool, barrier: threading.Barrier) -> None:
    await pool.submit(barrier.wait, PATIENCE)


def test_a_call_that_is_given_up_in_the_leading_thread_is_known() -> None:
    free = threading.Event()

    async def test(pool: ThreadPool) -> None:
        await until_led(pool)
        held = pool.submit(free.wait, PATIENCE)
        await asyncio.sleep(0.01)
        while led_by_a_thread():  # noqa: ASYNC110 - the loop is what is tested
            await asyncio.sleep(0.001)
        assert pool.given_up() == ()
        held.cancel()
        assert [future for future, _ in pool.given_up()] == [held]
        waiting = pool.submit(lambda: None)
        assert pool.waiting == 1
        free.set()
        await waiting
        assert pool.given_up() == ()

    run(1, test)


def test_errors_come_back_from_a_leading_thread() -> None:
    def fail() -> None:
        raise SystemExit(3)  # as a transform may

    async def test(pool: ThreadPool) -> None:
        await until_led(pool)
        with pytest.raises(SystemExit):
            await pool.submit(fail)
        await pool.submit(lambda: None)

    run(1, test)


# With a server around it.

GATED = """
import os, threading, time
from instore import ETLServer

class Gated(ETLServer):
    def transform(self, data, path, etl_args):
        how, _, gate = etl_args.partition(" ")
        while gate and not os.path.exists(gate):
            if how == "sleep":
                time.sleep(0.01)
        return data + threading.current_thread().name.encode()
"""
QUICK = 200


def quick_ones(server: Server, session: requests.Session) -> None:
    for number in range(QUICK):
        body = str(number).encode()
        answer = session.put(f"{server.url}/b/{number}", data=body, timeout=PATIENCE)
        assert answer.content == body + b"transform-0"


@pytest.mark.parametrize("how", ["sleep", "compute"])
def test_behind_quick_objects_a_slow_one_delays_no_question_and_comes_whole(tmp_path: Path, how: str) -> None:
    gate = tmp_path / "gate"
    with (
        running(tmp_path, GATED) as server,
        requests.Session() as session,
        requests.Session() as asks,
        ThreadPoolExecutor(2) as clients,
    ):

        def put(args: str) -> bytes:
            url = f"{server.url}/b/o"
            return requests.put(url, params={"etl_args": args}, data=b"x", timeout=PATIENCE).content

        quick_ones(server, session)
        slow = clients.submit(put, f"{how} {gate}")
        behind = clients.submit(put, "")
        for _ in range(5):
            assert asks.get(f"{server.url}/health", timeout=PATIENCE).status_code == 200
        assert not slow.done()
        gate.touch()
        assert slow.result() == behind.result() == b"xtransform-0"
        quick_ones(server, session)
        assert scrape(server.url).sum("instore_objects_total", outcome="returned") == 2 * QUICK + 2


@pytest.mark.whole
def test_a_hung_transform_in_the_thread_that_leads_ends_the_process_when_it_is_given_up(tmp_path: Path) -> None:
    variables = {"INSTORE_TRANSFORM_TIMEOUT": "0.5"}
    with running(tmp_path, GATED, environment=variables) as server, requests.Session() as session:
        quick_ones(server, session)
        with pytest.raises(requests.exceptions.ReadTimeout):
            requests.put(f"{server.url}/b/o", params={"etl_args": "sleep /nowhere"}, data=b"x", timeout=0.3)
        wait_until(lambda: "starting it anew" in server.log_text())
        wait_until(lambda: server.log_text().count("is ready") == 2)
        quick_ones(server, session)
