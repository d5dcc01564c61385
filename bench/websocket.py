"""WebSocket load: a few connections with several objects under way on each, as a storage target keeps them.

The frames that are sent are made once (masked with zeros, which changes nothing and is allowed), and what comes back is
compared in place, so that the client costs a fraction of what any server does. Every answer is checked.
"""

import asyncio
import base64
import json
import os
import struct
import time
from dataclasses import dataclass
from typing import cast

import uvloop

from bench.site import HOST, Server, WrongAnswerError

CONNECTIONS = 8

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x1, 0x2, 0x8, 0x9, 0xA
_FINAL, _MASKED = 0x80, 0x80
_SWITCHING = b" 101 "
_TIMEOUT = 30.0


class NotServedError(Exception):
    """The server has no WebSocket."""


@dataclass(frozen=True)
class Message:
    """One object to send, and the answer that has to come.

    Attributes:
        control: the control message's fields.
        body: the object; None when the control message names a file.
        answer: a text message for a delivered object, a binary one otherwise.
    """

    control: dict[str, str]
    body: bytes | None
    answer: str | bytes


def window(server: Server, message: Message, under_way: int, warm_up: float, seconds: float) -> float:
    """Objects per second in a window of `seconds`, with so many `under_way` on each connection.

    Raises:
        WrongAnswerError: an answer is not the one that has to come.
        NotServedError: the server refuses WebSocket.
    """
    return uvloop.run(_window(server, message, under_way, warm_up, seconds))


async def _window(server: Server, message: Message, under_way: int, warm_up: float, seconds: float) -> float:
    load = _Load(message, under_way)
    loop = asyncio.get_running_loop()
    for _ in range(CONNECTIONS):
        await loop.create_connection(lambda: _Connection(load, server), HOST, server.port)
    await load.run(warm_up)
    before, began = load.count, time.perf_counter()
    await load.run(seconds)
    count, took = load.count - before, time.perf_counter() - began
    load.going = False
    async with asyncio.timeout(_TIMEOUT):
        await load.idle.wait()
    return count / took


class _Load:
    """What the connections share: the frames, the count, the first failure."""

    def __init__(self, message: Message, under_way: int) -> None:
        self.under_way = under_way  # on each connection
        self.frames = _frame(_BINARY, json.dumps(message.control).encode())
        if message.body is not None:
            self.frames += _frame(_BINARY, message.body)
        text = isinstance(message.answer, str)
        self.opcode = _TEXT if text else _BINARY
        self.answer = message.answer.encode() if isinstance(message.answer, str) else message.answer
        self.going = True
        self.count = 0
        self.open = 0  # objects under way
        self.idle = asyncio.Event()
        self.failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def run(self, seconds: float) -> None:
        """Let the load go on for `seconds`; raises its first failure."""
        await asyncio.wait((self.failure,), timeout=seconds)
        if self.failure.done():
            self.failure.result()

    def fail(self, error: Exception) -> None:
        if not self.failure.done():
            self.failure.set_exception(error)
        self.idle.set()


class _Connection(asyncio.Protocol):
    def __init__(self, load: _Load, server: Server) -> None:
        self._load = load
        self._name = server.kind.name
        self._host = f"{HOST}:{server.port}"
        self._upgraded = False
        self._buffer = bytearray()
        self._message = bytearray()
        self._opcode = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        key = base64.b64encode(os.urandom(16)).decode()
        self._transport.write(
            f"GET /ws HTTP/1.1\r\nHost: {self._host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            self._upgrade()
        if self._upgraded:
            try:
                self._frames()
            except WrongAnswerError as error:
                self._load.fail(error)
                self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._load.going or not self._load.idle.is_set():
            self._load.fail(WrongAnswerError(f"{self._name} closed the connection: {exc or 'without an error'}"))

    def _upgrade(self) -> None:
        head, end, rest = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        status = head.partition(b"\r\n")[0]
        if _SWITCHING not in status:
            self._load.fail(NotServedError(f"{self._name} answered /ws with {status.decode()}"))
            self._transport.abort()
            return
        self._upgraded, self._buffer = True, rest
        self._send(self._load.under_way)

    def _send(self, objects: int) -> None:
        self._load.open += objects
        self._transport.write(self._load.frames * objects)

    def _frames(self) -> None:
        """Take the frames that are there, and send an object for each answer, all in one piece."""
        buffer, position, before = self._buffer, 0, self._load.count
        while (frame := _header(buffer, position)) is not None:
            first, begin, end = frame
            if end > len(buffer):
                break
            self._take(first, buffer[begin:end])
            position = end
        del buffer[:position]
        if self._load.going and self._load.count > before:
            self._send(self._load.count - before)

    def _take(self, first: int, payload: bytearray) -> None:
        opcode = first & 0x0F
        if opcode == _PING:
            self._transport.write(_frame(_PONG, bytes(payload)))
            return
        if opcode == _CLOSE:
            raise WrongAnswerError(f"{self._name} closed the connection: {bytes(payload[2:])!r}")
        self._opcode = opcode or self._opcode
        self._message = self._message + payload if opcode == 0 else payload
        if first & _FINAL:
            self._answered()

    def _answered(self) -> None:
        load = self._load
        if self._opcode != load.opcode or self._message != load.answer:
            start = bytes(self._message[:80])
            raise WrongAnswerError(f"{self._name} answered {len(self._message)} bytes, not the object: {start!r}")
        load.count += 1
        load.open -= 1
        if not load.going and load.open == 0:
            load.idle.set()


def _header(buffer: bytearray, position: int) -> tuple[int, int, int] | None:
    """First byte, begin and end of the payload of the frame at `position`; None: not all of it is there."""
    have = len(buffer) - position
    if have < 2:
        return None
    size = buffer[position + 1]
    if size < 126:
        return buffer[position], position + 2, position + 2 + size
    width = 2 if size == 126 else 8
    if have < 2 + width:
        return None
    begin = position + 2 + width
    return buffer[position], begin, begin + int.from_bytes(buffer[position + 2 : begin], "big")


def _frame(opcode: int, payload: bytes) -> bytes:
    size = len(payload)
    if size < 126:
        head = struct.pack("!BB", _FINAL | opcode, _MASKED | size)
    elif size < 1 << 16:
        head = struct.pack("!BBH", _FINAL | opcode, _MASKED | 126, size)
    else:
        head = struct.pack("!BBQ", _FINAL | opcode, _MASKED | 127, size)
    return head + bytes(4) + payload
