"""WebSocket (RFC 6455) on one connection, as a server speaks it: whole messages in, answers out, no extensions.

Large messages come in many small frames, since that is how AIStore's library sends them. Frames are unmasked as they
come, and joined once; nothing is read while whoever gets the messages says so. What was read by then stays unparsed,
and is not counted: where connections are many, little is read at once.
"""

import asyncio
import base64
import hashlib
from io import BytesIO

from instore.errors import BodyTooLargeError, OverloadedError
from instore.http.limits import SMALL
from instore.http.server_state import ServerState
from instore.http.websocket import WebSocketReceiver
from instore.protocol.websocket import (
    CLOSE_OVERLOADED,
    CLOSE_POLICY,
    CLOSE_PROTOCOL,
    CLOSE_TOO_LARGE,
    close_reason,
)
from instore.system.steps import Stepper

try:
    from websockets.speedups import apply_mask
except ImportError:  # where there is no C compiler and no wheel
    from websockets.utils import apply_mask

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0, 1, 2, 8, 9, 10
_FINAL, _MASKED = 0x80, 0x80
_LONGEST_CONTROL = 125
_TWO_BYTES, _EIGHT_BYTES = 0x7E, 0x7F  # the length comes in as many more
_ONE_BUFFER = 1 << 16  # up to here a copy costs less than a second write
_PARTS = 1024  # small pieces of a message that are joined
_LINGER_TIME = 10.0


def accept_key(key: bytes) -> bytes:
    """What proves to a client that its handshake was understood."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


class ProtocolError(Exception):
    """The client sent what is not WebSocket, or more than may be."""

    def __init__(self, code: int, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class WebSocketConnection(asyncio.BufferedProtocol):
    """The protocol of one connection after its handshake; a `WebSocketSender`."""

    def __init__(self, state: ServerState, transport: asyncio.Transport) -> None:
        self.state = state
        self._transport = transport
        self._receiver: WebSocketReceiver
        self._data = b""  # read, and not parsed before `_position`
        self._position = 0
        self._left = 0  # bytes that a frame's payload lacks
        self._mask = b""
        self._first = 0  # the first byte of the frame that lacks them
        self._parts: list[bytes] = []
        self._joined = BytesIO()  # the parts before them; not a list, since joining it would take the memory twice
        self._opcode = 0  # of the message that has begun; 0: none has
        self._size = 0  # of the message so far
        self._fragments = 0  # of it
        self._counted = 0  # bytes of it that count as memory in use
        self._waiting: Stepper | None = None  # for memory
        self._granted = False  # what the next frame needs
        self._paused = False
        self._reading = True
        self._blocked = False  # the client doesn't take what was sent
        self._pong: bytes | None = None  # is owed, and sent when it does: one for all pings (RFC 6455, 5.5.3)
        self._outgoing: list[bytes] = []  # goes out at the end of this turn of the loop
        self._outgoing_size = 0
        self._is_due = False
        self._unsent = 0
        self._closing = False
        self._lost = False
        self.deadline = 0.0

    def begin(self, receiver: WebSocketReceiver, data: bytes) -> None:
        """The handshake is over; `data` came behind it."""
        self._receiver = receiver
        self.state.connections.add(self)
        if data:
            self.data_received(data)

    # What the transport calls.

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        return self.state.read_buffer

    def buffer_updated(self, nbytes: int) -> None:
        self.data_received(self.state.received(nbytes))

    def data_received(self, data: bytes) -> None:
        """As of a protocol without a buffer."""
        if self._closing:
            self._look_for_close(data)
            return
        self._data = self._data[self._position :] + data if self._position < len(self._data) else data
        self._position = 0
        self._parse()

    def connection_lost(self, error: Exception | None) -> None:  # noqa: ARG002
        if self._lost:
            return
        self._lost = True
        self.deadline = 0.0
        self.state.connections.discard(self)
        self._drop_message()
        self._outgoing.clear()
        if self._waiting is not None:
            self._waiting.cancel()
        self._receiver.closed()
        del self._receiver

    def pause_writing(self) -> None:
        self._blocked = True
        self._unsent = self._transport.get_write_buffer_size()
        self.deadline = self.state.now + self.state.limits.progress_time

    def resume_writing(self) -> None:
        self._blocked = False
        if self._closing:
            return
        if self._pong is not None:
            payload, self._pong = self._pong, None
            self._frame(_FINAL | _PONG, payload)
        self._set_deadline()
        self._receiver.writable()

    # The way in.

    def _parse(self) -> None:
        if self._lost:
            return
        try:
            while not self._paused and not self._closing and self._waiting is None and self._parse_some():
                pass
        except ProtocolError as error:
            self.close(error.code, str(error))
            return
        self._set_reading()
        self._set_deadline()

    def _parse_some(self) -> bool:
        """Parse a frame, or a piece of one; False if there isn't enough of it."""
        data, position = self._data, self._position
        if self._left:
            piece = data[position : position + self._left] if position or len(data) > self._left else data
            if not piece:
                return False
            self._position += len(piece)
            self._add_piece(piece)
            return True
        there = len(data) - position
        if there < 2:
            return False
        first, second = data[position], data[position + 1]
        length = second & 0x7F
        start = position + 6
        if length > _LONGEST_CONTROL:
            extra = 2 if length == _TWO_BYTES else 8
            if there < 2 + extra:
                return False
            length = int.from_bytes(data[position + 2 : position + 2 + extra])
            start += extra
        if len(data) < start:
            return False
        self._check(first, second, length)
        must_wait = self._size + length > SMALL or (self._is_crowded and first & 0x0F < _CLOSE)
        if must_wait and not self._granted and not self._count(length):
            return False
        self._granted = False
        mask = data[start - 4 : start]
        end = start + length
        if end <= len(data):
            self._position = end
            self._take_frame(first, apply_mask(data[start:end], mask))
            return True
        if first & 0x0F >= _CLOSE:  # short, and no part of the message that it may stand in
            return False
        self._first, self._mask, self._left = first, mask, length
        self._position = start
        return True

    @property
    def _is_crowded(self) -> bool:
        """Whether not even a small message is taken."""
        return self.state.memory.is_full or self.state.untaken.is_full

    def _check(self, first: int, second: int, length: int) -> None:
        """Refuse a frame whose head is not right."""
        opcode = first & 0x0F
        if not second & _MASKED or first & 0x70:
            raise ProtocolError(CLOSE_PROTOCOL, "a frame is not masked, or has a bit that was not agreed on")
        if opcode >= _CLOSE:
            if opcode > _PONG or length > _LONGEST_CONTROL or not first & _FINAL:
                raise ProtocolError(CLOSE_PROTOCOL, "a control frame is unknown, too long, or in pieces")
        elif opcode > _BINARY or bool(opcode) is bool(self._opcode):
            raise ProtocolError(CLOSE_PROTOCOL, "a message began within another, or went on without one")
        elif self._size + length > self.state.limits.message_bytes:
            raise ProtocolError(
                CLOSE_TOO_LARGE, f"a message has more than {self.state.limits.message_bytes} bytes, the most it may"
            )

    def _count(self, length: int) -> bool:
        """Whether there is room for `length` more bytes of a message. If not, reading goes on when there is."""
        self._waiting = Stepper(self._reserve(length))
        self._waiting.start(self._reserved)
        return self._granted

    async def _reserve(self, length: int) -> None:
        at_once = self.state.memory.has_room(length, self._counted) and not self.state.untaken.is_full
        if self.state.untaken.is_full:
            await self.state.untaken.reserve(0)
        await self.state.memory.reserve(length, self._counted)
        self._counted += length
        self._granted = True
        if not at_once:
            self.state.loop.call_soon(self._parse)

    def _reserved(self, error: BaseException | None) -> None:
        self._waiting = None
        if isinstance(error, BodyTooLargeError | OverloadedError):
            self.close(CLOSE_TOO_LARGE if isinstance(error, BodyTooLargeError) else CLOSE_OVERLOADED, str(error))

    def _add_piece(self, piece: bytes) -> None:
        self._left -= len(piece)
        self._parts.append(apply_mask(piece, self._mask))
        self._size += len(piece)
        turn = len(piece) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        if not self._left:
            self._end_frame(self._first)

    def _take_frame(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode >= _CLOSE:
            self._control(opcode, payload)
        elif first & _FINAL and opcode:  # the ordinary case: a message of one frame
            self._deliver(payload, opcode)
        else:
            self._parts.append(payload)
            self._size += len(payload)
            self._end_frame(first)

    def _end_frame(self, first: int) -> None:
        self._fragments += 1
        if self._fragments > self.state.limits.fragments:
            raise ProtocolError(CLOSE_POLICY, f"a message has more than {self.state.limits.fragments} frames")
        self._opcode = first & 0x0F or self._opcode
        if first & _FINAL:
            data = self._take_message()
            opcode, self._opcode, self._size, self._fragments = self._opcode, 0, 0, 0
            self._deliver(data, opcode)
        elif len(self._parts) >= _PARTS:
            self._joined.write(b"".join(self._parts))
            self._parts.clear()

    def _take_message(self) -> bytes:
        """All that has come of a message."""
        if self._joined.tell():
            self._joined.writelines(self._parts)
            data, self._joined = self._joined.getvalue(), BytesIO()
        else:
            data = b"".join(self._parts) if len(self._parts) > 1 else self._parts[0]
        self._parts.clear()
        return data

    def _deliver(self, data: bytes, opcode: int) -> None:
        self.state.memory.take(len(data) - self._counted)
        self._counted = 0
        self._receiver.message(data, opcode == _TEXT)

    def _drop_message(self) -> None:
        self._parts.clear()
        self._joined = BytesIO()
        self._data = b""
        self._position = 0
        self.state.memory.release(self._counted)
        self._counted = 0

    def _control(self, opcode: int, payload: bytes) -> None:
        if opcode == _PING and self._blocked:
            self._pong = payload
        elif opcode == _PING:
            self._frame(_FINAL | _PONG, payload)
        elif opcode == _CLOSE:
            self._frame(_FINAL | _CLOSE, payload[:2])
            self._closing = True
            self._transport.close()

    def _look_for_close(self, data: bytes) -> None:
        """We have closed: what still comes is thrown away, up to the client's own close."""
        tail = (self._data + data)[-_LONGEST_CONTROL - 6 :]
        self._data = tail
        if any(byte == _FINAL | _CLOSE for byte in tail):  # it may be a byte of something else: then it closes later
            self._transport.close()

    # The way out.

    @property
    def is_writable(self) -> bool:
        return not self._blocked

    def send(self, data: bytes) -> None:
        self._frame(_FINAL | _BINARY, data, waits=self._receiver.busy)

    def send_text(self, text: str) -> None:
        self._frame(_FINAL | _TEXT, text.encode(), waits=self._receiver.busy)

    def break_off(self) -> None:
        self._frame(_BINARY, b"")

    def close(self, code: int, reason: str) -> None:
        if self._closing or self._lost:
            return
        self._frame(_FINAL | _CLOSE, code.to_bytes(2) + close_reason(reason).encode())
        self._closing = True
        self.deadline = self.state.now + _LINGER_TIME
        self._drop_message()
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def pause(self) -> None:
        self._paused = True

    def resume(self) -> None:
        if self._paused and not self._lost:
            self._paused = False
            self.state.loop.call_soon(self._parse)

    def take_answer(self, size: int) -> None:
        if size > SMALL:
            self.state.untaken.check()
        self.state.untaken.take(size)

    def release_answer(self, size: int) -> None:
        self.state.untaken.release(size)

    def release(self, size: int) -> None:
        self.state.memory.release(size)

    def _frame(self, first: int, payload: bytes, waits: bool = False) -> None:
        """Send a frame.

        Args:
            first: its first byte.
            payload: what it carries.
            waits: others may come in this turn of the loop, and go out with it: a call of the system takes as long as
                all else that is done for a small answer.
        """
        if self._lost:
            return
        length = len(payload)
        if length <= _LONGEST_CONTROL:
            head = bytes((first, length))
        elif length < 1 << 16:
            head = bytes((first, _TWO_BYTES)) + length.to_bytes(2)
        else:
            head = bytes((first, _EIGHT_BYTES)) + length.to_bytes(8)
        self._outgoing += (head, payload)
        self._outgoing_size += length
        if not waits or self._outgoing_size > _ONE_BUFFER:
            self._send_outgoing()
        elif not self._is_due:
            self._is_due = True
            self.state.loop.call_soon(self._end_turn)

    def _end_turn(self) -> None:
        self._is_due = False
        if self._outgoing:
            self._send_outgoing()

    def _send_outgoing(self) -> None:
        outgoing, self._outgoing = self._outgoing, []
        size, self._outgoing_size = self._outgoing_size, 0
        if size <= _ONE_BUFFER:
            self._transport.write(b"".join(outgoing))
        else:
            self._transport.writelines(outgoing)

    def _set_reading(self) -> None:
        wanted = not self._paused and self._waiting is None
        if wanted is not self._reading and not self._lost and not self._closing:
            self._reading = wanted
            if wanted:
                self._transport.resume_reading()
            else:
                self._transport.pause_reading()

    def _set_deadline(self) -> None:
        """Whoever has begun a message goes on with it; between messages there is all the time."""
        if self._blocked or self._closing:
            return
        begun = self._left or self._opcode or self._position < len(self._data)
        self.deadline = self.state.now + self.state.limits.progress_time if begun and self._reading else 0.0

    # What the server calls.

    def check(self) -> None:
        """Look whether the client has moved in time; called every now and then."""
        if not self.deadline:
            return
        since = self.deadline - self.state.limits.progress_time
        if self.deadline > self.state.now and not (self._blocked and self.state.is_short_of_memory(since)):
            return
        left = self._transport.get_write_buffer_size()
        if self._closing or (self._blocked and left >= self._unsent):
            self._transport.abort()
        elif not self._blocked:
            self.close(CLOSE_POLICY, f"no byte of a message came for {self.state.limits.progress_time:g} s")
        else:
            self._unsent = left
            self.deadline = self.state.now + self.state.limits.progress_time

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come, or on its way out."""
        is_awaited = not self._closing and self._receiver.busy
        return bool(is_awaited or self._outgoing or self._transport.get_write_buffer_size())

    def drain(self, just_idle: bool) -> None:  # noqa: ARG002 - answers under way are all that counts
        """The server stops: what is under way ends, and no more is begun."""
        if not self._closing:
            self._receiver.drain()

    def abort(self) -> None:
        """End at once."""
        self._transport.abort()
