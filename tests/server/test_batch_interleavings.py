"""No interleaving of submissions, time-outs, failures and clients that leave mixes up what two objects get.

The runner is the server's own; the clock and the threads are turned by hand, so that each interleaving is one that
hypothesis chose, can be played again, and takes no time.
"""

import asyncio
import contextlib
import json
import random
import socket
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instore import ETLServer
from instore.errors import InstoreError, SourceError
from instore.protocol.environment import Environment
from instore.protocol.requests import ObjectRequest, SourceKind
from instore.server import transforms
from instore.server.entry import AccessLogEntry
from instore.server.transforms import TransformRunner
from instore.system.steps import Waiter
from instore.webserver.base_etl_server import bind
from tests.support.servers import TRANSFORMS, Server, running
from tests.support.target import Target

RUNS = settings().max_examples * (100 if settings().max_examples >= 100 else 1)  # 10 000 in the whole run
FATES = ("good", "good", "good", "raises", "is an error", "is no bytes", "can't be read")
SHORT = "one result too few"
ARGS = ("", "x", SHORT)
TIMEOUT = 1.0


class HandClock(asyncio.AbstractEventLoop):
    """What of an event loop batches need: it calls what is due when the time is set on."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[asyncio.TimerHandle] = []

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Any = None
    ) -> asyncio.TimerHandle:
        self._due.append(asyncio.TimerHandle(self.now + delay, callback, args, self, context))
        return self._due[-1]

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass  # it stays, and is passed over

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        raise context["exception"]

    def pass_by(self, seconds: float) -> None:
        self.now += seconds
        while due := [handle for handle in self._due if handle.when() <= self.now]:
            self._due.remove(due[0])
            if not due[0].cancelled():
                due[0]._run()


class HandPool:
    """Threads that are at their call until the test ends it, in any order."""

    def __init__(self, size: int) -> None:
        self.on_free: Callable[[], object] = lambda: None
        self.size = size
        self.calls: list[tuple[Waiter[Any], Callable[..., Any], tuple[Any, ...]]] = []  # the first `size` are running

    def submit(self, function: Callable[..., Any], *args: Any) -> Waiter[Any]:
        future: Waiter[Any] = Waiter(asyncio.get_running_loop())
        self.calls.append((future, function, args))
        return future

    @property
    def waiting(self) -> int:
        return max(0, len(self.calls) - self.size)

    @property
    def has_free_thread(self) -> bool:
        return len(self.calls) < self.size

    def end(self, choice: int) -> None:
        """End one of the calls that are running."""
        if not self.calls:
            return
        future, function, args = self.calls.pop(choice % min(self.size, len(self.calls)))
        result = None if future.cancelled() else function(*args)
        if not future.done():
            future.set_result(result)
        self.on_free()


class Batched(ETLServer):
    batch_timeout = TIMEOUT

    def __init__(self, size: int, threads: int) -> None:
        self.max_batch_size, self.concurrency = size, threads  # type: ignore[misc]

    def transform_batch(self, objects: list[Any], paths: list[str], etl_args: str) -> list[Any]:
        assert 1 <= len(objects) <= self.max_batch_size
        assert [data.decode() for data in objects] == paths
        assert all(path.endswith(f" {etl_args}") for path in paths)
        if any(path.startswith("raises") for path in paths):
            raise ValueError(f"one of {len(paths)}" if len(paths) > 1 else paths[0])
        results = [made_of(path) for path in paths]
        return results[1:] if etl_args == SHORT else results


def made_of(path: str) -> object:
    if path.startswith("is an error"):
        return ValueError(path)
    return 7 if path.startswith("is no bytes") else f"made of {path}".encode()


def is_right(path: str, outcome: bytes | InstoreError) -> bool:
    """Whether it is what this object and no other gets."""
    said = str(outcome)
    if path.startswith("can't be read"):
        return said == path
    if path.startswith("raises"):
        return f"the transform of {path!r} failed: ValueError: {path}" in said
    if path.endswith(SHORT):
        return "takes a list with one for each" in said
    if path.startswith("is an error"):
        return f"the transform of {path!r} failed: ValueError: {path}" in said
    if path.startswith("is no bytes"):
        return f"the transform of {path!r} failed" in said and "returned int, not bytes" in said
    return outcome == f"made of {path}".encode()


class Play:
    """A runner, its objects, and what may happen to them."""

    def __init__(self, clock: HandClock, runner: TransformRunner, pool: HandPool) -> None:
        self.clock = clock
        self.runner = runner
        self.pool = pool
        self.results: dict[str, Waiter[Any]] = {}
        self.since: dict[str, float] = {}

    def submit(self, fate: str, args: str) -> None:
        path = f"{fate} {len(self.results)} {args}"
        self.since[path] = self.clock.now
        request = ObjectRequest(path, SourceKind.BODY, etl_args=args)
        self.results[path] = self.runner.start(request, lambda: loaded(path), AccessLogEntry(1, "PUT", path, []))

    def leave(self, choice: int) -> None:
        if self.results:
            list(self.results.values())[choice % len(self.results)].cancel()

    def check_nobody_waits_for_nothing(self) -> None:
        """An object that has waited for others as long as it may waits for a thread, and for nothing else."""
        in_threads = {member.request.path for _, _, (members,) in self.pool.calls for member in members}
        late = [
            path
            for path, result in self.results.items()
            if not result.done() and path not in in_threads and self.clock.now - self.since[path] >= TIMEOUT
        ]
        assert not late or not self.pool.has_free_thread, late

    def end_all(self) -> None:
        for _ in self.results:
            self.clock.pass_by(TIMEOUT)
            self.pool.end(0)
        assert self.runner.waiting == 0
        assert not self.pool.calls


# Three numbers say a step: one value is drawn for all of them, since drawing many takes longer than what they do.
STEPS: tuple[Callable[[Play, int, int], object], ...] = (
    lambda play, fate, args: play.submit(FATES[fate % len(FATES)], ARGS[args % len(ARGS)]),
    lambda play, fate, args: play.submit(FATES[fate % len(FATES)], ARGS[args % len(ARGS)]),
    lambda play, seconds, _: play.clock.pass_by((0.3, TIMEOUT)[seconds % 2]),
    lambda play, choice, _: play.pool.end(choice),
    lambda play, choice, _: play.leave(choice),
)


@settings(max_examples=RUNS)
@given(st.binary(max_size=120), st.integers(1, 5), st.integers(1, 3))
def test_every_object_gets_its_own_result_however_they_interleave(steps: bytes, size: int, threads: int) -> None:
    with played(size, threads) as play:
        for step, first, second in zip(*[iter(steps)] * 3, strict=False):
            STEPS[step % len(STEPS)](play, first, second)
            play.check_nobody_waits_for_nothing()
        play.end_all()
        for path, result in play.results.items():
            assert result.done()
            assert result.cancelled() or is_right(path, outcome_of(result)), (path, outcome_of(result))


@contextlib.contextmanager
def played(size: int, threads: int) -> Iterator[Play]:
    clock = HandClock()  # type: ignore[abstract]
    server = Batched(size, threads)
    with pytest.MonkeyPatch.context() as patch:
        pool = HandPool(threads)
        patch.setattr(transforms, "ThreadPool", lambda *_, **_options: pool)
        runner = TransformRunner(bind(server), Environment.read({"AIS_TARGET_URL": "http://127.0.0.1:1/v1"}))
    asyncio._set_running_loop(clock)
    try:
        yield Play(clock, runner, pool)
    finally:
        asyncio._set_running_loop(None)


def loaded(path: str) -> bytes:
    if path.startswith("can't be read"):
        raise SourceError(path)
    return path.encode()


def outcome_of(result: Waiter[Any]) -> Any:
    try:
        return result.result()
    except InstoreError as error:
        return error


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("etl"), TRANSFORMS / "batched.py", target_url=target.url) as server:
        yield server


def test_neither_do_clients_that_leave_over_sockets(server: Server) -> None:
    def ask(client: int) -> None:
        chance = random.Random(client)
        for number in range(12):
            data = chance.choice(["poison", "sour", *[f"{client} {number}"] * 6])
            with socket.create_connection((server.host, server.port), timeout=60) as connection:
                connection.sendall(put(f"/b/{client}-{number}", data.encode(), chance.choice(["", "x"])))
                if chance.random() < 0.3:
                    continue  # leaves
                status, body = answer(connection)
            if data in ("poison", "sour"):
                assert status == 422
                assert f"'b/{client}-{number}'" in body
            else:
                told = json.loads(body)
                assert (status, told["data"], told["path"]) == (200, data, f"b/{client}-{number}")

    with ThreadPoolExecutor(16) as clients:
        list(clients.map(ask, range(16)))


def put(path: str, body: bytes, args: str) -> bytes:
    head = f"PUT {path}?etl_args={args} HTTP/1.1\r\nHost: t\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def answer(connection: socket.socket) -> tuple[int, str]:
    head, _, body = b"".join(iter(lambda: connection.recv(65536), b"")).partition(b"\r\n\r\n")
    return int(head.split()[1]), body.decode()
