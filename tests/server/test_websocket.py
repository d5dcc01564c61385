"""WebSocket (docs/protocol.md#websocket)."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection as AsyncConnection
from websockets.asyncio.client import connect as connect_async
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.protocol import Event
from websockets.sync.client import ClientConnection, connect

from instore.protocol.names import escape_segment
from tests.server.conftest import BUFFERED
from tests.server.test_direct_put import DESTINATION, refused_port
from tests.support.node import wait_until
from tests.support.servers import SECRET, TARGET_PATH, TRANSFORMS, Server, running
from tests.support.target import Target
from tests.support.websocket import ReadingConnection

ECHO = TRANSFORMS / "echo.py"


def ws(server: Server, **options: Any) -> ClientConnection:
    options = {"create_connection": ReadingConnection, **options}
    connection: ClientConnection = connect(
        f"ws://{server.host}:{server.port}/ws", max_size=None, compression=None, **options
    )
    return connection


def ws_async(server: Server) -> Any:
    return connect_async(f"ws://{server.host}:{server.port}/ws", max_size=None, compression=None)


def ask(connection: ClientConnection, body: bytes | None = None, **control: str) -> None:
    connection.send(json.dumps(control).encode())
    if body is not None:
        connection.send(body)


def exchange(connection: ClientConnection, body: bytes, **control: str) -> bytes | str:
    ask(connection, body, **control)
    return connection.recv()


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Any:
    with running(tmp_path_factory.mktemp("echo"), ECHO, target_url=target.url) as server:
        yield server


@pytest.mark.parametrize("body", [b"", b"cat", b"c" * 5_000_000], ids=["empty", "small", "big"])
def test_a_body_is_answered_by_a_binary_message(server: Server, body: bytes) -> None:
    with ws(server) as connection:
        ask(connection, body, path="photos/cat")
        assert connection.recv() == b"<" + body.upper() + b">"


def test_a_fragmented_body_is_whole(server: Server) -> None:
    with ws(server) as connection:
        connection.send(json.dumps({"path": "photos/cat"}).encode())
        connection.send([b"c" * 100_000] * 20)
        assert connection.recv() == b"<" + b"C" * 2_000_000 + b">"


def test_a_file_needs_no_body(server: Server, store: Path) -> None:
    file = store / "100%41 ü#.jpg"
    file.write_bytes(b"cat")
    with ws(server) as connection:
        ask(connection, fqn=escape_segment(str(file)), path="photos/cat")
        assert connection.recv() == b"<CAT>"


def test_an_empty_result_is_an_empty_binary_message(server: Server) -> None:
    with ws(server) as connection:
        ask(connection, b"cat", path="photos/cat", etl_args="empty")
        assert connection.recv() == b""


def test_path_and_arguments_reach_the_transform_as_they_are(buffered: Server) -> None:
    with ws(buffered) as connection:
        ask(connection, b"x", path="photos/a%20b#+", etl_args="tell")
        assert json.loads(connection.recv()) == {"path": "photos/a%20b#+", "data": "x"}


def test_answers_come_in_order_whatever_each_takes(echo: Server) -> None:
    with ws(echo) as connection:
        for number, seconds in enumerate([0.3, 0.0, 0.1, 0.0, 0.2] * 4):
            ask(connection, b"%d" % number, path="x", etl_args=f"sleep {seconds}")
        assert [connection.recv() for _ in range(20)] == [b"%d" % number for number in range(20)]


def test_a_delivered_object_is_answered_by_a_text_message_with_its_length(server: Server, no_puts: Target) -> None:
    with ws(server) as connection:
        ask(connection, b"cat", path="photos/cat", pipeline=no_puts.host + DESTINATION)
        ask(connection, b"cat", path="photos/cat", pipeline=no_puts.host + DESTINATION, etl_args="empty")
        assert [connection.recv(), connection.recv()] == ["5", "0"]
    assert {put.path.partition("&etl_args")[0] for put in no_puts.puts} == {TARGET_PATH + DESTINATION}
    assert sorted(put.body for put in no_puts.puts) == [b"", b"<CAT>"]  # several are under way at once


def test_a_failure_bound_for_a_target_is_binary_and_the_connection_goes_on(server: Server, no_puts: Target) -> None:
    with ws(server) as connection:
        ask(connection, b"cat", path="photos/sad", pipeline=no_puts.host + DESTINATION, etl_args="raise")
        ask(connection, b"cat", path="photos/cat", pipeline=no_puts.host + DESTINATION)
        failure = connection.recv()
        assert isinstance(failure, bytes)
        assert b"upside down" in failure
        assert connection.recv() == "5"
    assert len(no_puts.puts) == 1


def test_a_target_that_refuses_is_a_binary_message(server: Server, no_puts: Target) -> None:
    no_puts.answers.append((507, b"no room left"))
    with ws(server) as connection:
        ask(connection, b"cat", path="photos/cat", pipeline=no_puts.host + DESTINATION)
        assert connection.recv() == b"no room left"


def test_a_failure_without_a_target_closes_with_1011_and_takes_those_behind_along(server: Server) -> None:
    with ws(server) as connection:
        ask(connection, b"first", path="photos/first")
        ask(connection, b"cat", path="photos/sad", etl_args="raise")
        assert connection.recv() == b"<FIRST>"
        with pytest.raises(ConnectionClosed) as closed:
            exchange(connection, b"behind", path="photos/behind")  # the close may come while it is sent
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert "photos/sad" in closed.value.rcvd.reason


class _Frames(ReadingConnection):
    """A connection that keeps what comes."""

    def process_event(self, event: Event) -> None:
        """Keep it."""
        vars(self).setdefault("frames", []).append(event)
        super().process_event(event)


def test_before_a_failure_closes_a_message_begins_that_never_ends(server: Server) -> None:
    with ws(server, create_connection=_Frames) as connection:
        ask(connection, b"cat", path="photos/sad", etl_args="raise")
        with pytest.raises(ConnectionClosed):
            connection.recv()
    came = [(one.opcode, one.fin, bytes(one.data)) for one in vars(connection)["frames"] if isinstance(one, Frame)]
    assert came == [(Opcode.BINARY, False, b"")]
    assert connection.close_code == 1011


def test_objects_behind_a_failure_are_logged_as_lost(buffered: Server) -> None:
    with ws(buffered) as connection:
        ask(connection, b"cat", path="photos/slow", etl_args="sleep 1")  # a failure behind it waits till all is sent
        ask(connection, b"cat", path="photos/fails", etl_args="raise")
        ask(connection, b"cat", path="photos/lost", etl_args="sleep 1")
        assert connection.recv() == b"<CAT>"
        with pytest.raises(ConnectionClosed):
            connection.recv()
    wait_until(lambda: "object='photos/lost'" in buffered.log_text())
    (line,) = [line for line in buffered.log_text().splitlines() if "object='photos/lost'" in line]
    assert "the connection ended before its turn came" in line


def test_a_reason_fits_a_close_frame_and_holds_no_secret(echo: Server) -> None:
    with ws(echo) as connection:
        ask(connection, b"cat", path="photos/" + "日本" * 60, etl_args="raise")
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1011
    assert len(closed.value.rcvd.reason.encode()) <= 123
    assert SECRET not in closed.value.rcvd.reason


def test_a_missing_or_forbidden_file_closes_with_1011(server: Server) -> None:
    for path in ("/mnt/@ais/photos/%ob/none", "/proc/self/environ"):
        with ws(server) as connection:
            ask(connection, path="photos/x", fqn=escape_segment(path))
            with pytest.raises(ConnectionClosed) as closed:
                connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1011


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        ([b"{"], 1007),
        ([b"\xff\xfe"], 1007),
        ([b'{"path": "\\ud800"}'], 1007),
        ([b"[1, 2]"], 1008),
        ([b"null"], 1008),
        ([b'{"path": 7}'], 1008),
        (["{}"], 1008),
        ([b'{"path": "x"}', "a text where the body is due"], 1008),
        ([b'{"path": "x", "pipeline": "http://a,,http://b"}'], 1008),
    ],
)
def test_what_is_not_due_closes_with_a_reason_and_is_logged(
    buffered: Server, messages: list[bytes | str], code: int
) -> None:
    with ws(buffered) as connection:
        ask(connection, b"good", path="photos/good")
        for message in messages:
            connection.send(message)
        assert connection.recv() == b"<GOOD>"
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == code
    assert closed.value.rcvd.reason
    assert "method=WS asked='message'" in buffered.log_text()


def test_a_message_over_the_limit_closes_with_1009(tmp_path: Path) -> None:
    with (
        running(tmp_path, BUFFERED, environment={"INSTORE_MAX_MESSAGE": "1000"}) as server,
        ws(server) as connection,
    ):
        ask(connection, b"x" * 1000, path="x")
        assert connection.recv() == b"<" + b"X" * 1000 + b">"
        ask(connection, b"x" * 1001, path="x")
        with pytest.raises(ConnectionClosed) as closed:
            connection.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1009


def test_pings_are_answered_while_a_transform_runs(echo: Server) -> None:
    with ws(echo) as connection:
        ask(connection, b"slow", path="x", etl_args="sleep 1")
        assert connection.ping().wait(30)
        assert connection.recv() == b"slow"


def test_an_exhausted_direct_put_is_binary_for_every_shape(tmp_path: Path) -> None:
    with (
        running(tmp_path, BUFFERED, environment={"AIS_DIRECT_PUT_RETRIES": "0"}) as server,
        ws(server) as connection,
    ):
        ask(connection, b"cat", path="x", pipeline=f"http://127.0.0.1:{refused_port()}/ais%2Fx")
        failure = connection.recv()
    assert isinstance(failure, bytes)
    assert b"could not put" in failure


def test_a_fast_sender_does_not_fill_the_memory(echo: Server) -> None:
    """Two hundred megabytes are sent while nothing is read."""
    size, count = 1 << 20, 200

    async def talk() -> None:
        async with ws_async(echo) as connection:
            sender = asyncio.create_task(send(connection))
            _, pending = await asyncio.wait([sender], timeout=1)
            assert pending, "the server took everything in"
            assert [len(await connection.recv()) for _ in range(count)] == [size] * count
            await sender

    async def send(connection: AsyncConnection) -> None:
        for _ in range(count):
            await connection.send(b'{"path": "x"}')
            await connection.send(bytes(size))

    asyncio.run(talk())


def resident(pid: int) -> int:
    """Resident memory of a process in KiB."""
    return int(subprocess.run(["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, check=True).stdout)


@pytest.mark.soak
def test_a_hundred_thousand_files_over_eight_connections_in_order(echo: Server, store: Path) -> None:
    count, connections = 12_500, 8
    for number in range(100):
        (store / f"file-{number}").write_bytes(b"%d " % number * 1000)
    controls = [
        json.dumps({"path": "x", "fqn": escape_segment(str(store / f"file-{number}"))}).encode()
        for number in range(100)
    ]

    async def talk() -> None:
        async with ws_async(echo) as connection:
            sender = asyncio.create_task(send(connection))
            for number in range(count):
                assert await connection.recv() == b"%d " % (number % 100) * 1000
            await sender

    async def send(connection: AsyncConnection) -> None:
        for number in range(count):
            await connection.send(controls[number % 100])

    async def all_of_them() -> None:
        await asyncio.gather(*(talk() for _ in range(connections)))

    asyncio.run(all_of_them())


@pytest.mark.soak
def test_a_message_of_a_gibibyte_comes_back_whole_and_its_memory_is_given_back(echo: Server) -> None:
    piece = os.urandom(1 << 20)
    before = resident(echo.process.pid)
    with ws(echo) as connection:
        connection.send(json.dumps({"path": "x"}).encode())
        connection.send(piece for _ in range(1024))
        answer = connection.recv()
    assert len(answer) == 1 << 30
    assert all(answer[start : start + len(piece)] == piece for start in range(0, len(answer), len(piece)))
    after = resident(echo.process.pid)
    print(f"\nresident before {before} KiB, after {after} KiB")
    assert after < before + 200 * 1024
