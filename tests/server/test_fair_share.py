"""WebSocket connections leave half of the queue to requests, and share the other (docs/limits.md)."""

import asyncio
import json
import socket
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests
from websockets.sync.client import ClientConnection, connect

from instore.server.fair_share import FairShare
from tests.server.test_direct_put import DESTINATION
from tests.support.servers import TRANSFORMS, Server, running
from tests.support.websocket import ReadingConnection

PATIENCE = 30.0


def ws(server: Server) -> ClientConnection:
    connection: ClientConnection = connect(
        f"ws://{server.host}:{server.port}/ws", compression=None, create_connection=ReadingConnection
    )
    return connection


def ask(connection: ClientConnection, count: int, seconds: float) -> None:
    for number in range(count):
        connection.send(json.dumps({"path": "b/o", "etl_args": f"sleep {seconds}"}).encode())
        connection.send(f"{number}".encode())


def answers(connection: ClientConnection, count: int) -> list[float]:
    """When each of so many answers came; they come in order."""
    came = []
    for number in range(count):
        assert connection.recv(PATIENCE) == f"<{number}>".encode()
        came.append(time.monotonic())
    return came


@pytest.mark.parametrize("queue", [1, 4])
def test_a_request_is_served_while_websockets_have_more_objects_than_may_wait(tmp_path: Path, queue: int) -> None:
    with (
        running(tmp_path, TRANSFORMS / "buffered.py", environment={"INSTORE_QUEUE": f"{queue}"}) as server,
        ExitStack() as stack,
        ThreadPoolExecutor(10) as threads,
    ):
        connections = [stack.enter_context(ws(server)) for _ in range(10)]
        for connection in connections:
            ask(connection, 8, 0.02)
        came = [threads.submit(answers, connection, 8) for connection in connections]
        for _ in range(5):
            answer = requests.put(f"{server.url}/b/o", data=b"cat", timeout=PATIENCE)
            assert (answer.status_code, answer.text) == (200, "<CAT>")
            assert not any(one.done() for one in came)
        assert all(one.result() for one in came)


def test_connections_take_turns(tmp_path: Path) -> None:
    with (
        running(tmp_path, TRANSFORMS / "buffered.py", environment={"INSTORE_QUEUE": "2"}) as server,
        ws(server) as many,
        ws(server) as one,
        ThreadPoolExecutor(1) as thread,
    ):
        ask(many, 9, 0.1)
        came = thread.submit(answers, many, 9)
        time.sleep(0.05)
        ask(one, 1, 0.0)
        (answered,) = answers(one, 1)
        assert sum(moment < answered for moment in came.result()) <= 4


def test_connections_that_end_while_they_stand_in_line_hold_up_nobody(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "buffered.py", environment={"INSTORE_QUEUE": "2"}) as server:
        for _ in range(10):
            with ws(server) as connection:
                ask(connection, 8, 0.01)
        with ws(server) as connection:
            ask(connection, 8, 0.01)
            answers(connection, 8)


def test_what_is_on_its_way_to_a_next_hop_keeps_nobody_from_a_transform(tmp_path: Path) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        running(tmp_path, TRANSFORMS / "buffered.py", environment={"INSTORE_QUEUE": "2"}) as server,
        ws(server) as hopeless,
        ws(server) as connection,
    ):
        url = f"http://127.0.0.1:{silent.getsockname()[1]}{DESTINATION}"
        for _ in range(8):
            hopeless.send(json.dumps({"path": "b/o", "pipeline": url}).encode())
            hopeless.send(b"cat")
        ask(connection, 8, 0.0)
        answers(connection, 8)


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await test()

    asyncio.run(main())


def test_who_is_in_line_has_its_turn_before_who_comes() -> None:
    async def test() -> None:
        share, begun = FairShare(1), list[str]()
        assert share.take()
        for name in "abc":
            assert not share.take()
            share.wait(name, lambda name=name: begun.append(name))  # type: ignore[misc]
        share.leave("b")
        share.give_back()
        assert not share.take()
        await asyncio.sleep(0)
        assert begun == ["a"]
        share.give_back()
        await asyncio.sleep(0)
        assert begun == ["a", "c"]
        share.give_back()
        assert share.take()
        assert not share.take()

    run(test)


def test_any_number_in_line_may_end_as_soon_as_they_begin() -> None:
    async def test() -> None:
        share = FairShare(2)
        assert share.take()
        assert share.take()
        for number in range(10_000):
            share.wait(number, share.give_back)
        share.give_back()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert share.take()
        assert not share.take()

    run(test)
