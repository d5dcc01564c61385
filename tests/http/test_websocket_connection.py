"""WebSocket as the server's connections speak it, on byte strings (RFC 6455)."""

import asyncio
import os
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from websockets.frames import CloseCode, Frame, Opcode

from instore.http.request import Request
from instore.http.websocket import WebSocketSender
from tests.http.edge import App, Edge, settled, with_edge

HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


class Receiver:
    """Keeps what comes."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, bool]] = []
        self.ended = False
        self.app: App
        self.busy = False
        self.pauses = False

    def message(self, data: bytes, is_text: bool) -> None:
        self.messages.append((data, is_text))
        if self.pauses:
            self.sender.pause()

    @property
    def sender(self) -> WebSocketSender:
        assert self.app.sender is not None
        return self.app.sender

    def writable(self) -> None:
        """Nothing waits."""

    def drain(self) -> None:
        self.sender.close(1001, "the server stops")

    def closed(self) -> None:
        self.ended = True


Test = Callable[[Edge, Receiver], Coroutine[Any, Any, None]]


def with_websocket(test: Test, **limits: Any) -> None:
    """Run a test on a connection after its handshake."""
    app, receiver = App(), Receiver()
    app.receiver, receiver.app = receiver, app

    async def run(edge: Edge) -> None:
        answer = await edge.send(HANDSHAKE)
        assert answer.startswith(b"HTTP/1.1 101 ")
        assert b"sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n" in answer  # the example of RFC 6455, 1.3
        await test(edge, receiver)

    with_edge(run, app, **limits)


def frame(data: bytes, opcode: Opcode = Opcode.BINARY, fin: bool = True) -> bytes:
    return Frame(opcode, data, fin=fin).serialize(mask=True)


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 300_000])
@pytest.mark.parametrize("step", [1, 7, 4096, 1 << 20])
def test_a_message_may_come_in_any_pieces(size: int, step: int) -> None:
    if size > 1000 and step < 1000:
        step = 999
    data = os.urandom(size)
    sent = frame(data) + frame(b"behind", Opcode.TEXT)

    async def test(edge: Edge, receiver: Receiver) -> None:
        await edge.send(*[sent[start : start + step] for start in range(0, len(sent), step)])
        assert receiver.messages == [(data, False), (b"behind", True)]

    with_websocket(test)


@pytest.mark.parametrize("count", [2, 3, 3000])
def test_a_message_of_many_fragments_is_joined_and_pings_between_are_answered(count: int) -> None:
    parts = [os.urandom(n % 50) for n in range(count)]
    frames = [
        frame(part, Opcode.CONT if n else Opcode.BINARY, fin=n == count - 1) + frame(b"p", Opcode.PING)
        for n, part in enumerate(parts)
    ]

    async def test(edge: Edge, receiver: Receiver) -> None:
        answer = await edge.send(b"".join(frames))
        assert receiver.messages == [(b"".join(parts), False)]
        assert answer == b"\x8a\x01p" * count

    with_websocket(test)


@pytest.mark.parametrize("size", [1, 65_000, 1_000_000])
def test_what_comes_with_the_handshake_is_not_lost(size: int) -> None:
    app, receiver = App(), Receiver()
    app.receiver, receiver.app = receiver, app

    async def test(edge: Edge) -> None:
        await edge.send(HANDSHAKE + frame(b"at once" * size) + frame(b"and more"))
        assert receiver.messages == [(b"at once" * size, False), (b"and more", False)]

    with_edge(test, app)


def test_a_handshake_may_come_behind_a_request_that_is_served() -> None:
    async def slow(request: Request) -> None:
        await served.wait()
        await request.respond(200, [], b"first")

    app, receiver, served = App(slow), Receiver(), asyncio.Event()
    app.receiver, receiver.app = receiver, app

    async def test(edge: Edge) -> None:
        await edge.send(b"GET /health HTTP/1.1\r\nHost: a\r\n\r\n", HANDSHAKE[:50], HANDSHAKE[50:], frame(b"one"))
        served.set()
        await settled()
        assert edge.transport.reading
        await edge.send(frame(b"two"))
        assert receiver.messages == [(b"one", False), (b"two", False)]

    with_edge(test, app)


def test_nothing_is_delivered_while_the_receiver_pauses() -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        receiver.pauses = True
        await edge.send(b"".join(frame(b"%d" % n) for n in range(3)))
        for n in range(3):
            assert len(receiver.messages) == n + 1
            assert not edge.transport.reading
            receiver.sender.resume()
            await edge.send()
            await edge.pass_time(0)
        assert [data for data, _ in receiver.messages] == [b"0", b"1", b"2"]

    with_websocket(test)


@pytest.mark.parametrize("size", [0, 125, 126, 65_535, 65_536])
def test_what_is_sent_is_what_another_library_reads(size: int) -> None:
    data = os.urandom(size)

    async def test(edge: Edge, receiver: Receiver) -> None:
        receiver.sender.send(data)
        receiver.sender.send_text("täxt")
        receiver.sender.break_off()
        receiver.sender.close(1011, "x" * 300)
        expected = [
            Frame(Opcode.BINARY, data).serialize(mask=False),
            Frame(Opcode.TEXT, "täxt".encode()).serialize(mask=False),
            b"\x02\x00",
            Frame(Opcode.CLOSE, (1011).to_bytes(2) + b"x" * 123).serialize(mask=False),
        ]
        assert edge.take() == b"".join(expected)

    with_websocket(test)


WRONG = {
    "not masked": (Frame(Opcode.BINARY, b"x").serialize(mask=False) + b"1234", CloseCode.PROTOCOL_ERROR),
    "reserved bit": (b"\xc2\x80\x00\x00\x00\x00", CloseCode.PROTOCOL_ERROR),
    "unknown opcode": (b"\x83\x80\x00\x00\x00\x00", CloseCode.PROTOCOL_ERROR),
    "unknown control": (b"\x8b\x80\x00\x00\x00\x00", CloseCode.PROTOCOL_ERROR),
    "long ping": (b"\x89\xfe\x00\x7e\x00\x00\x00\x00", CloseCode.PROTOCOL_ERROR),
    "ping in pieces": (b"\x09\x80\x00\x00\x00\x00", CloseCode.PROTOCOL_ERROR),
    "goes on without a beginning": (frame(b"x", Opcode.CONT), CloseCode.PROTOCOL_ERROR),
    "begins within another": (frame(b"x", fin=False) + frame(b"y"), CloseCode.PROTOCOL_ERROR),
    "too large": (b"\x82\xff\x00\x00\x00\x00\x00\x10\x00\x01\x00\x00\x00\x00", CloseCode.MESSAGE_TOO_BIG),
    "too large in pieces": (
        frame(b"x" * 600_000, fin=False) + frame(b"x" * 600_000, Opcode.CONT),
        CloseCode.MESSAGE_TOO_BIG,
    ),
}


def test_a_message_of_too_many_frames_is_closed() -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        await edge.send(frame(b"", fin=False) + frame(b"", Opcode.CONT, fin=False) * 8 + frame(b"x", Opcode.CONT))
        assert [data for data, _ in receiver.messages] == [b"x"]
        answer = await edge.send(frame(b"", fin=False) + frame(b"", Opcode.CONT, fin=False) * 10)
        assert answer[2:4] == CloseCode.POLICY_VIOLATION.to_bytes(2)
        assert b"more than 10 frames" in answer

    with_websocket(test, fragments=10)


def test_pings_of_a_client_that_does_not_read_are_owed_one_pong() -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        edge.transport.protocol.pause_writing()
        assert await edge.send(*[frame(b"%d" % n, Opcode.PING) for n in range(1000)]) == b""
        edge.transport.protocol.resume_writing()
        assert edge.take() == b"\x8a\x03999"
        assert await edge.send(frame(b"again", Opcode.PING)) == b"\x8a\x05again"

    with_websocket(test)


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_closes_with_its_code(name: str) -> None:
    sent, code = WRONG[name]

    async def test(edge: Edge, receiver: Receiver) -> None:
        answer = await edge.send(sent)
        assert answer[:1] == b"\x88"
        assert answer[2:4] == code.to_bytes(2)
        await edge.send(frame(b"late"))
        assert not receiver.messages
        assert edge.state.memory.used == 0

    with_websocket(test, message_bytes=1 << 20)


@pytest.mark.parametrize("place", range(1, 11))
def test_a_ping_in_two_pieces_is_no_part_of_the_message_around_it(place: int) -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        ping = frame(b"here?", Opcode.PING)
        answers = await edge.send(frame(b"ca", fin=False) + ping[:place], ping[place:] + frame(b"t", Opcode.CONT))
        assert answers == Frame(Opcode.PONG, b"here?").serialize(mask=False)
        assert receiver.messages == [(b"cat", False)]

    with_websocket(test)


@pytest.mark.parametrize("place", range(1, 10))
def test_a_close_in_two_pieces_is_no_message(place: int) -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        close = frame((1000).to_bytes(2) + b"by", Opcode.CLOSE)
        await edge.send(close[:place], close[place:])
        assert receiver.messages == []
        assert edge.transport.closed

    with_websocket(test)


def test_a_close_is_answered_and_the_receiver_told() -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        answer = await edge.send(frame((1000).to_bytes(2) + b"bye", Opcode.CLOSE))
        assert answer == b"\x88\x02\x03\xe8"
        assert edge.transport.closed
        await edge.lose()
        assert receiver.ended

    with_websocket(test)


def test_messages_count_as_memory_until_they_are_released() -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        await edge.send(frame(b"x" * 100_000))
        assert edge.state.memory.used == 100_000
        await edge.send(frame(b"y" * 100_000))
        assert len(receiver.messages) == 1
        assert not edge.transport.reading
        receiver.sender.release(100_000)
        await edge.send()
        await edge.pass_time(0)
        assert len(receiver.messages) == 2
        await edge.lose()
        assert edge.state.memory.used == 100_000
        receiver.sender.release(100_000)
        assert edge.state.memory.used == 0

    with_websocket(test, body_memory=150_000)


def test_of_many_connections_little_is_read_at_once() -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        connection, data = edge.transport.protocol, frame(b"x" * 20_000)
        for number, most in ((64, 1 << 18), (65, 1 << 15)):
            others = {App() for _ in range(number - len(edge.state.connections))}
            edge.state.connections.update(others)  # type: ignore[arg-type]
            buffer = connection.get_buffer(-1)
            assert len(data) < len(buffer) <= most
            buffer[: len(data)] = data
            connection.buffer_updated(len(data))
        assert receiver.messages == [(b"x" * 20_000, False)] * 2

    with_websocket(test)


def test_memory_of_a_message_that_never_ends_is_given_back() -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        await edge.send(frame(b"x" * 100_000)[:50_000])
        assert edge.state.memory.used == 100_000
        await edge.lose()
        assert edge.state.memory.used == 0
        assert not receiver.messages

    with_websocket(test)


@pytest.mark.parametrize(
    "begun", [b"\x82", frame(b"x" * 100_000)[:50_000], frame(b"x", fin=False)], ids=["head", "frame", "fragment"]
)
def test_a_message_that_does_not_go_on_is_closed_and_its_memory_given_back(begun: bytes) -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        await edge.pass_time(1000)  # between messages there is all the time
        await edge.send(frame(b"whole"), begun)
        await edge.pass_time(9)
        assert not edge.take()
        await edge.pass_time(2)
        assert b"no byte of a message came for 10 s" in edge.take()
        assert receiver.messages == [(b"whole", False)]
        assert edge.state.memory.used == len(b"whole")

    with_websocket(test, progress_time=10.0)


def test_a_message_that_goes_on_slowly_is_waited_for() -> None:
    async def test(edge: Edge, receiver: Receiver) -> None:
        data = frame(b"slow")
        for place in range(len(data)):
            await edge.send(data[place : place + 1])
            await edge.pass_time(9)
        assert receiver.messages == [(b"slow", False)]
        await edge.pass_time(1000)
        assert not edge.take()

    with_websocket(test, progress_time=10.0)


@pytest.mark.parametrize(
    "missing",
    [b"Upgrade: WebSocket\r\n", b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b"Sec-WebSocket-Version: 13\r\n"],
)
def test_what_is_not_a_handshake_is_an_ordinary_request(missing: bytes) -> None:
    async def test(edge: Edge) -> None:
        assert (await edge.send(HANDSHAKE.replace(missing, b""))).startswith(b"HTTP/1.1 200 ")

    with_edge(test)


def test_a_connection_that_nobody_takes_is_403() -> None:
    async def test(edge: Edge) -> None:
        answer = await edge.send(HANDSHAKE)
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert answer.endswith(b"no WebSocket here")

    with_edge(test)
