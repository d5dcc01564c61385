"""A connection to a peer, on byte strings: when an answer is whole, when it is kept, and what breaks it."""

import asyncio
from collections.abc import Callable, Coroutine
from itertools import pairwise
from typing import Any, cast

import pytest

from instore.http.connections import BrokenExchangeError, Connection, ConnectionPool, parse_origin
from tests.http.edge import Transport, settled

ORIGIN = parse_origin("http", "target:8080")
REQUEST = b"PUT /b/o HTTP/1.1\r\nhost: target:8080\r\ncontent-length: 3\r\n\r\ncat"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n<cat>"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n<c\r\n3;x=y\r\nat>\r\n0\r\n\r\n"


class Peer:
    """A connection in use whose peer is the test."""

    def __init__(self) -> None:
        self.pool = ConnectionPool(None, timeout=30.0, limit=8, expiry=60.0)
        self.transport = Transport()
        self.connection = Connection(ORIGIN, self.pool)
        self.connection.connection_made(cast(asyncio.Transport, self.transport))

    def ask(self) -> None:
        """Send a request."""
        self.connection.begin()
        self.connection.send(REQUEST)
        self.connection.all_sent = True

    async def answer(self, *pieces: bytes) -> bytes:
        """Have `pieces` come; the answer's whole body."""
        taking = asyncio.ensure_future(self._whole())
        await settled()
        for piece in pieces:
            self.connection.data_received(piece)
            await settled()
        if not taking.done():
            self.connection.connection_lost(None)
        return await taking

    async def _whole(self) -> bytes:
        await self.connection.answered()
        body = b""
        while not self.connection.drained:
            body += await self.connection.take(1)
        return body

    def returned(self) -> bool:
        """Give the connection back; whether the pool keeps it."""
        asyncio.get_running_loop().create_task(self.pool._limit.acquire())
        self.connection.release(reusable=True)
        return not self.connection.closed


def with_peer(test: Callable[[Peer], Coroutine[Any, Any, None]]) -> None:
    """Run a test on a connection whose request was sent."""

    async def run() -> None:
        peer = Peer()
        peer.ask()
        await test(peer)
        peer.pool.close()

    asyncio.run(run())


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED], ids=["length", "chunks"])
def test_an_answer_may_come_in_any_two_pieces(answer: bytes) -> None:
    for place in range(1, len(answer)):

        async def test(peer: Peer, place: int = place) -> None:
            assert await peer.answer(answer[:place], answer[place:]) == b"<cat>"
            assert peer.connection.status == 200
            assert peer.returned()

        with_peer(test)


def test_an_answer_may_come_byte_by_byte() -> None:
    async def test(peer: Peer) -> None:
        pieces = [CHUNKED[start:end] for start, end in pairwise(range(len(CHUNKED) + 1))]
        assert await peer.answer(*pieces) == b"<cat>"

    with_peer(test)


@pytest.mark.parametrize("place", [0, 10])
def test_what_comes_behind_an_answer_is_no_part_of_it_and_ends_the_connection(place: int) -> None:
    async def test(peer: Peer) -> None:
        both = ANSWER + CHUNKED.replace(b"200 OK", b"500 No")
        assert await peer.answer(both[: len(both) - place], both[len(both) - place :]) == b"<cat>"
        assert peer.connection.status == 200
        assert not peer.returned()

    with_peer(test)


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED], ids=["length", "chunks"])
def test_an_answer_cut_anywhere_is_never_whole(answer: bytes) -> None:
    for place in range(len(answer)):

        async def test(peer: Peer, place: int = place) -> None:
            with pytest.raises(BrokenExchangeError, match="the peer closed the connection"):
                await peer.answer(answer[:place])
            assert not peer.returned()

        with_peer(test)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n\r\n<cat>", "neither a length nor chunks"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n<cat>", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n<cat>", "not HTTP"),
    ],
    ids=["no framing", "no HTTP", "chunk size", "two lengths", "negative length"],
)
def test_what_is_not_an_answer_ends_the_exchange(answer: bytes, reason: str) -> None:
    async def test(peer: Peer) -> None:
        with pytest.raises(BrokenExchangeError, match=reason):
            await peer.answer(answer)
        assert peer.transport.closed
        assert not peer.returned()

    with_peer(test)


def test_an_errors_text_may_end_with_its_connection() -> None:
    async def test(peer: Peer) -> None:
        assert await peer.answer(b"HTTP/1.1 500 Oops\r\n\r\nno room") == b"no room"
        assert peer.connection.status == 500
        assert not peer.returned()

    with_peer(test)


def test_an_errors_text_of_a_length_must_have_it() -> None:
    async def test(peer: Peer) -> None:
        with pytest.raises(BrokenExchangeError):
            await peer.answer(b"HTTP/1.1 500 Oops\r\nContent-Length: 9\r\n\r\nno room")

    with_peer(test)


def test_what_comes_before_an_answer_is_passed_over() -> None:
    async def test(peer: Peer) -> None:
        assert await peer.answer(b"HTTP/1.1 100 Continue\r\nX-Hint: a\r\n\r\n", ANSWER) == b"<cat>"
        assert "x-hint" not in peer.connection.headers

    with_peer(test)


def test_trailers_are_no_headers() -> None:
    async def test(peer: Peer) -> None:
        answer = CHUNKED.removesuffix(b"\r\n") + b"Ais-Direct-Put-Length: 7\r\n\r\n"
        assert await peer.answer(answer) == b"<cat>"
        assert peer.connection.headers == {"transfer-encoding": "chunked"}

    with_peer(test)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n<cat>",
        ANSWER.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    ],
    ids=["HTTP/1.0", "close"],
)
def test_a_connection_that_the_peer_ends_is_not_kept(answer: bytes) -> None:
    async def test(peer: Peer) -> None:
        assert await peer.answer(answer) == b"<cat>"
        assert not peer.returned()

    with_peer(test)


def test_bytes_that_nobody_asked_for_close_the_connection() -> None:
    async def test(peer: Peer) -> None:
        assert await peer.answer(ANSWER) == b"<cat>"
        assert peer.returned()
        peer.connection.data_received(ANSWER)  # an answer to nothing would be taken for the next request's
        assert peer.connection.closed

    with_peer(test)


def test_a_connection_is_used_again() -> None:
    async def test(peer: Peer) -> None:
        for _ in range(3):
            assert await peer.answer(ANSWER) == b"<cat>"
            assert peer.returned()
            assert await peer.pool.acquire(ORIGIN) == (peer.connection, True)
            peer.ask()

    with_peer(test)


def test_an_answer_that_begins_before_all_was_sent_is_early() -> None:
    async def test(peer: Peer) -> None:
        peer.connection.all_sent = False
        assert await peer.answer(ANSWER) == b"<cat>"
        assert peer.connection.early

    with_peer(test)


def test_reading_stops_while_nobody_takes() -> None:
    async def test(peer: Peer) -> None:
        size = 9 << 20
        peer.connection.data_received(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        peer.connection.data_received(b"x" * (4 << 20))
        assert not peer.transport.reading
        assert len(await peer.connection.take(1)) == 4 << 20
        assert peer.transport.reading

    with_peer(test)


def test_a_peer_that_does_not_move_is_given_up() -> None:
    async def test(peer: Peer) -> None:
        peer.pool.timeout = 0.0
        peer.pool._used.add(peer.connection)
        peer.connection.expect()
        peer.pool._look()
        with pytest.raises(TimeoutError, match="no progress within the time-out"):
            await peer.connection.answered()

    with_peer(test)


@pytest.mark.parametrize(
    ("authority", "reason"),
    [("user:secret@host", "user's name or password"), ("", "not the origin"), ("a..b", "empty or too long")],
)
def test_an_origin_is_a_host_and_a_port(authority: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_origin("http", authority)


def test_a_connection_that_was_lost_before_its_request_says_so() -> None:
    async def run() -> None:
        peer = Peer()
        peer.connection.connection_lost(ConnectionResetError("reset by peer"))
        peer.ask()
        assert peer.transport.written == b""
        with pytest.raises(BrokenExchangeError, match="reset by peer"):
            await peer.connection.answered()

    asyncio.run(run())
