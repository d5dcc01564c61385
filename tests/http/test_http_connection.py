"""HTTP/1.1 as the server's connections speak it, on byte strings (docs/limits.md)."""

import asyncio
import gc
import weakref
from itertools import pairwise

import pytest

from instore.errors import ClientGoneError, InstoreError, OverloadedError
from instore.http.request import Request
from tests.http.edge import App, Edge, settled, with_edge

HEAD = b"PUT /b/o HTTP/1.1\r\nHost: a\r\n"
REQUEST = HEAD + b"Content-Length: 3\r\n\r\ncat"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\ncat\r\n4;x=y\r\nfish\r\n0\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n<cat>"


def cut(data: bytes, *places: int) -> list[bytes]:
    """`data` in pieces."""
    return [data[start:end] for start, end in pairwise((0, *places, len(data)))]


@pytest.mark.parametrize("place", range(1, len(REQUEST)))
def test_a_request_may_come_in_any_two_pieces(place: int) -> None:
    async def test(edge: Edge) -> None:
        assert await edge.send(*cut(REQUEST, place)) == ANSWER
        assert not edge.transport.closed

    with_edge(test)


def test_what_is_wrong_behind_an_upgrade_that_nobody_agrees_to_is_said() -> None:
    async def test(edge: Edge) -> None:
        upgrade = HEAD + b"Upgrade: h2c\r\nConnection: Upgrade\r\nContent-Length: 3\r\n\r\ncat"
        answers = await edge.send(upgrade + b"PUT /b/o HTTP/1.1\r\n\r\n")
        assert answers.endswith(b"the request has 0 Host headers; there must be one")

    with_edge(test)


@pytest.mark.parametrize("place", range(1, len(CHUNKED), 3))
def test_chunks_may_come_in_any_two_pieces(place: int) -> None:
    async def test(edge: Edge) -> None:
        assert (await edge.send(*cut(CHUNKED, place))).endswith(b"\r\n\r\n<catfish>")
        assert edge.app.bodies == [b"catfish"]
        assert await edge.send(REQUEST) == ANSWER

    with_edge(test)


def test_a_small_request_is_answered_within_the_callback_that_has_its_end() -> None:
    async def test(edge: Edge) -> None:
        edge.connection.data_received(REQUEST)
        assert edge.take() == ANSWER

    with_edge(test)


def test_requests_that_come_together_are_answered_in_order() -> None:
    async def slow(request: Request) -> None:
        body = await request.whole()
        await settled()
        await request.respond(200, [], body)

    async def test(edge: Edge) -> None:
        requests = b"".join(HEAD + b"Content-Length: 1\r\n\r\n%d" % n for n in range(9))
        answers = await edge.send(*cut(requests, 100, 150, 151))
        for _ in range(9):
            await settled()
        answers += edge.take()
        assert [answer[-1:] for answer in answers.split(b"HTTP/1.1 200 OK")[1:]] == [b"%d" % n for n in range(9)]

    with_edge(test, App(slow))


def test_what_comes_behind_a_request_that_is_served_is_not_read_on() -> None:
    async def never(_request: Request) -> None:
        await asyncio.Event().wait()

    async def test(edge: Edge) -> None:
        await edge.send(REQUEST, REQUEST)
        assert not edge.transport.reading

    with_edge(test, App(never))


MALFORMED = {
    "bare line feed": b"PUT /b/o HTTP/1.1\nHost: a\n\n",
    "bare line feed in a header": HEAD + b"X: y\n\r\n",
    "folded header": HEAD + b"X: y\r\n z\r\n\r\n",
    "space before the colon": HEAD + b"X : y\r\n\r\n",
    "control character": HEAD + b"X: \x01\r\n\r\n",
    "zero byte": HEAD + b"X: \x00\r\n\r\n",
    "no name": HEAD + b": y\r\n\r\n",
    "two hosts": HEAD + b"Host: b\r\n\r\n",
    "no host": b"GET /b/o HTTP/1.1\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\ncat",
    "the same length twice": HEAD + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\ncat",
    "length and chunks": HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "signed length": HEAD + b"Content-Length: +3\r\n\r\ncat",
    "length in hex": HEAD + b"Content-Length: 0x3\r\n\r\ncat",
    "another coding": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and HTTP/1.0": b"PUT /b/o HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "fragment": b"PUT /b/o#x HTTP/1.1\r\nHost: a\r\n\r\n",
    "not a target": b"PUT b/o HTTP/1.1\r\nHost: a\r\n\r\n",
    "small letters": b"put /b/o HTTP/1.1\r\nHost: a\r\n\r\n",
    "rubbish": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" * 9,
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
}


@pytest.mark.parametrize("name", MALFORMED)
def test_what_is_malformed_or_could_be_read_in_two_ways_is_400_and_the_last(name: str) -> None:
    async def test(edge: Edge) -> None:
        answer = await edge.send(MALFORMED[name] + REQUEST)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"connection: close\r\n" in answer
        assert answer.count(b"HTTP/1.1") == 1 + answer.partition(b"\r\n\r\n")[2].count(b"HTTP/1.1")
        assert not edge.app.requests
        assert edge.transport.ended or edge.transport.closed
        assert await edge.send(REQUEST) == b""

    with_edge(test)


@pytest.mark.parametrize("size", [b"g", b"-1", b"0x3", b"3 ", b"", b"1" * 20])
def test_a_bad_chunk_size_is_told_to_who_reads_and_ends_the_connection(size: bytes) -> None:
    async def test(edge: Edge) -> None:
        answer = await edge.send(
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n3\r\ncat\r\n" + size + b"\r\nx\r\n0\r\n\r\n"
        )
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert not edge.app.bodies
        assert edge.transport.ended

    with_edge(test, App(_told))


async def _told(request: Request) -> None:
    try:
        body = await request.whole()
    except InstoreError as error:
        await request.respond(400, [], str(error).encode())
    else:
        await request.respond(200, [], body)


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"PUT /" + b"o" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (HEAD + b"X: " + b"y" * 70_000 + b"\r\n\r\n", 431),
        (HEAD + b"X: y\r\n" * 200 + b"\r\n", 431),
        (HEAD + b"Content-Length: 9999999999\r\n\r\n", 413),
        (HEAD + b"Expect: a miracle\r\nContent-Length: 3\r\n\r\ncat", 417),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 405),
        (b"GET /b/o\r\n\r\n", 505),
    ],
    ids=["target", "header", "headers", "length", "expectation", "CONNECT", "HTTP/0.9"],
)
def test_what_is_beyond_a_bound_or_not_spoken_has_a_status_of_its_own(head: bytes, status: int) -> None:
    async def test(edge: Edge) -> None:
        pieces = [head[start : start + 1000] for start in range(0, len(head), 1000)]
        assert (await edge.send(*pieces)).startswith(b"HTTP/1.1 %d " % status)
        assert not edge.app.requests

    with_edge(test, body_bytes=1 << 30)


def test_a_chunked_body_beyond_the_bound_is_413() -> None:
    async def whole(request: Request) -> None:
        try:
            await request.whole()
        except InstoreError as error:
            await request.respond(413, [], str(error).encode())

    async def test(edge: Edge) -> None:
        await edge.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        answer = await edge.send(*[b"400\r\n" + b"x" * 1024 + b"\r\n"] * 11)
        assert answer.startswith(b"HTTP/1.1 413 ")

    with_edge(test, App(whole), body_bytes=10_000)


def test_trailers_are_never_headers() -> None:
    async def test(edge: Edge) -> None:
        await edge.send(CHUNKED[:-2] + b"Ais-Node-Url: http://elsewhere/\r\n\r\n")
        (request,) = edge.app.requests
        assert request.headers == [(b"host", b"a"), (b"transfer-encoding", b"chunked")]
        assert edge.app.bodies == [b"catfish"]

    with_edge(test)


UPGRADES = [b"h2c", b"TLS/1.0", b"websocket", b"websocket, h2c"]


@pytest.mark.parametrize("framing", ["length", "chunks", "none"])
@pytest.mark.parametrize("upgrade", UPGRADES)
def test_an_upgrade_that_nobody_agrees_to_changes_nothing(upgrade: bytes, framing: str) -> None:
    head = HEAD + b"Connection: Upgrade\r\nUpgrade: " + upgrade + b"\r\n"
    body = b"DELETE /b/o HTTP/1.1\r\nHost: a\r\n\r\n"
    request, expected = {
        "length": (head + b"Content-Length: %d\r\n\r\n" % len(body) + body, body),
        "chunks": (head + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(body), body), body),
        "none": (head + b"\r\n", b""),
    }[framing]

    async def test(edge: Edge) -> None:
        for place in (*range(len(head) - 3, len(request)), 1):
            await edge.send(*cut(request, place))
        assert set(edge.app.bodies) == {expected}
        assert {one.method for one in edge.app.requests} == {"PUT"}
        edge.app.bodies.clear()
        assert (await edge.send(request + REQUEST)).endswith(ANSWER)
        assert edge.app.bodies == [expected, b"cat"]

    with_edge(test)


def test_who_expects_100_gets_it_when_the_body_is_read() -> None:
    async def test(edge: Edge) -> None:
        answer = await edge.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert answer == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert await edge.send(b"cat") == ANSWER
        assert not edge.transport.closed

    with_edge(test)


def test_who_expects_100_and_is_refused_gets_the_answer_alone() -> None:
    async def refuse(request: Request) -> None:
        await request.respond(403, [], b"no")

    async def test(edge: Edge) -> None:
        answer = await edge.send(HEAD + b"Expect: 100-continue\r\nContent-Length: 3\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 403 ")
        assert b"100 Continue" not in answer
        assert edge.transport.ended  # what comes now may be the body, or may not

    with_edge(test, App(refuse))


def test_a_body_that_nobody_reads_is_thrown_away_and_the_next_request_served() -> None:
    async def refuse(request: Request) -> None:
        await request.respond(403, [], b"no")

    async def test(edge: Edge) -> None:
        await edge.send(HEAD + b"Content-Length: 2000000\r\n\r\n", *[b"x" * 500_000] * 4)
        assert edge.transport.reading
        assert (await edge.send(REQUEST)).startswith(b"HTTP/1.1 403 ")

    with_edge(test, App(refuse))


@pytest.mark.parametrize(
    ("version", "header", "kept"),
    [("1.1", "", True), ("1.1", "close", False), ("1.0", "", False), ("1.0", "keep-alive", True)],
)
def test_what_keeps_a_connection(version: str, header: str, kept: bool) -> None:
    async def test(edge: Edge) -> None:
        line = f"Connection: {header}\r\n" if header else ""
        answer = await edge.send(f"GET /b/o HTTP/{version}\r\nHost: a\r\n{line}\r\n".encode())
        assert edge.transport.closed is not kept
        assert (b"connection: close" in answer) is not kept
        assert (b"connection: keep-alive" in answer) is (kept and version == "1.0")

    with_edge(test)


def test_what_comes_behind_the_last_request_is_not_served() -> None:
    async def test(edge: Edge) -> None:
        await edge.send(HEAD + b"Connection: close\r\nContent-Length: 3\r\n\r\ncat" + REQUEST)
        assert edge.app.bodies == [b"cat"]

    with_edge(test)


def test_head_has_no_body() -> None:
    async def test(edge: Edge) -> None:
        answer = await edge.send(b"HEAD /b/o HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"

    with_edge(test)


async def _stream(request: Request) -> None:
    await request.begin(200, [])
    for piece in (b"cat", b"", b"fish"):
        await request.write(piece)
    await request.end()


def test_an_answer_without_a_length_is_chunked() -> None:
    async def test(edge: Edge) -> None:
        answer = await edge.send(b"GET /b/o HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.partition(b"\r\n\r\n")[2] == b"3\r\ncat\r\n4\r\nfish\r\n0\r\n\r\n"

    with_edge(test, App(_stream))


@pytest.mark.parametrize("raises", [True, False], ids=["raises", "returns"])
def test_an_answer_that_is_not_completed_is_broken_off(raises: bool) -> None:
    async def broken(request: Request) -> None:
        await request.begin(200, [])
        await request.write(b"cat")
        if raises:
            raise ClientGoneError("whatever")

    async def test(edge: Edge) -> None:
        assert (await edge.send(REQUEST)).endswith(b"3\r\ncat\r\n")
        assert edge.transport.closed

    with_edge(test, App(broken))


def test_an_application_that_fails_before_its_answer_is_500() -> None:
    async def fails(_request: Request) -> None:
        raise RuntimeError("a secret")

    async def test(edge: Edge) -> None:
        answer = await edge.send(REQUEST)
        assert answer.startswith(b"HTTP/1.1 500 ")
        assert b"secret" not in answer

    with_edge(test, App(fails))


def test_a_head_that_does_not_end_is_408() -> None:
    async def test(edge: Edge) -> None:
        for _ in range(9):
            await edge.send(b"PUT /b/o HTTP/1.1\r\nHost: a\r\n" if not edge.connection.busy else b"X: y\r\n")
            await edge.pass_time(1)
        assert not edge.transport.written
        await edge.pass_time(2)
        assert edge.take().startswith(b"HTTP/1.1 408 ")

    with_edge(test, head_time=10.0)


@pytest.mark.parametrize("length", [b"3", b"99999999"], ids=["small", "large"])
def test_a_body_that_stalls_is_told_to_who_reads_it(length: bytes) -> None:
    async def test(edge: Edge) -> None:
        await edge.send(HEAD + b"Content-Length: " + length + b"\r\n\r\nca")
        await edge.pass_time(9)
        assert not edge.take()
        await edge.pass_time(2)
        answer = edge.take()
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert b"no byte of the body came for 10 s" in answer

    with_edge(test, App(_told), progress_time=10.0)


def test_an_idle_connection_is_closed() -> None:
    async def test(edge: Edge) -> None:
        await edge.send(REQUEST)
        await edge.pass_time(9)
        assert not edge.transport.closed
        await edge.pass_time(2)
        assert edge.transport.closed

    with_edge(test, idle_time=10.0)


def test_a_client_that_takes_nothing_is_cut_off_and_one_that_takes_slowly_is_not() -> None:
    async def endless(request: Request) -> None:
        await request.begin(200, [])
        while True:
            await request.write(b"x" * 1000)
            edge_of[0].transport.waiting = 1000
            edge_of[0].connection.pause_writing()

    edge_of: list[Edge] = []

    async def test(edge: Edge) -> None:
        edge_of.append(edge)
        await edge.send(REQUEST)
        edge.transport.waiting = 900
        await edge.pass_time(11)
        assert not edge.transport.closed
        await edge.pass_time(11)
        assert edge.transport.closed
        await edge.lose()

    with_edge(test, App(endless), progress_time=10.0)


@pytest.mark.parametrize("place", range(1, len(REQUEST)))
def test_what_is_behind_a_request_that_is_served_is_read_to_its_end_afterwards(place: int) -> None:
    async def slow(request: Request) -> None:
        body = await request.whole()
        await served.wait()
        await request.respond(200, [], b"<" + body + b">")

    served = asyncio.Event()

    async def test(edge: Edge) -> None:
        await edge.send(REQUEST, REQUEST[:place])  # the client of a kept connection may be as quick as that
        served.set()
        await settled()
        assert edge.take() == ANSWER
        assert edge.transport.reading
        assert await edge.send(REQUEST[place:]) == ANSWER

    with_edge(test, App(slow))


@pytest.mark.parametrize("reads", [True, False])
def test_a_whole_answer_is_sent_when_the_client_has_taken_it(reads: bool) -> None:
    ends: list[str] = []

    async def large(request: Request) -> None:
        edge_of[0].connection.pause_writing()
        try:
            await request.respond(200, [], b"x" * 1_000_000)
            ends.append(f"sent {request.sent}")
        except ClientGoneError as error:
            ends.append(f"{error}, sent {request.sent}")

    edge_of: list[Edge] = []

    async def test(edge: Edge) -> None:
        edge_of.append(edge)
        await edge.send(REQUEST)
        assert not ends
        if reads:
            edge.connection.resume_writing()
            await settled()
            assert ends == ["sent 1000000"]
        else:
            await edge.pass_time(11)
            assert edge.transport.closed
            await edge.lose()
            assert ends == ["the client left before its answer was complete, sent 0"]

    with_edge(test, App(large), progress_time=10.0)


def test_a_client_that_leaves_is_told_to_who_serves_it() -> None:
    gone: list[object] = []

    async def waits(request: Request) -> None:
        request.on_gone(lambda: gone.append(True))
        try:
            await request.whole()
        except ClientGoneError as error:
            gone.append(str(error))

    async def test(edge: Edge) -> None:
        await edge.send(HEAD + b"Content-Length: 5\r\n\r\nca")
        await edge.lose()
        assert gone == ["the client left after 2 of 5 bytes of the body"]
        gone.clear()

    with_edge(test, App(waits))


def test_a_connection_too_many_is_503() -> None:
    async def test(edge: Edge) -> None:
        other = Edge(edge.app, edge.state.limits)
        other.state.connections.update(edge.state.connections)
        other.connection.connection_made(other.transport)
        assert other.take().startswith(b"HTTP/1.1 503 ")

    with_edge(test, connections=1)


def test_bodies_wait_for_memory_and_are_refused_in_the_end() -> None:
    told: list[object] = []

    async def whole(request: Request) -> None:
        try:
            body = await request.whole()
        except InstoreError as error:
            told.append(type(error).__name__)
            await request.respond(503, [], b"")
            return
        told.append(len(body))
        await release.wait()
        await request.respond(200, [], b"")

    release = asyncio.Event()

    async def test(edge: Edge) -> None:
        big = HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000
        await edge.send(big)
        other = Edge(edge.app, edge.state.limits)
        other.state.memory = other.connection.state.memory = edge.state.memory
        await other.send(big)
        assert told == [100_000]
        await asyncio.sleep(0.3)
        assert told == [100_000, "OverloadedError"]
        third = Edge(edge.app, edge.state.limits)
        third.connection.state.memory = edge.state.memory
        await third.send(HEAD + b"Content-Length: 200000\r\n\r\n")
        assert told[2] == "BodyTooLargeError"
        release.set()
        await settled()
        assert edge.state.memory.used == 0

    with_edge(test, App(whole), body_memory=150_000, body_wait=0.2)


def sharing_memory(edge: Edge) -> Edge:
    """Another connection of the same server."""
    other = Edge(edge.app, edge.state.limits)
    other.state.memory = edge.state.memory
    return other


def chunk(size: int) -> bytes:
    return b"%x\r\n%s\r\n" % (size, b"x" * size)


@pytest.mark.parametrize("step", [1000, 40_000, 80_000])
def test_of_bodies_without_a_length_that_wait_for_each_other_one_is_refused_and_the_other_goes_on(step: int) -> None:
    told: list[object] = []
    errors: list[weakref.ref[OverloadedError]] = []

    async def whole(request: Request) -> None:
        try:
            told.append(len(await request.whole()))
        except OverloadedError as error:
            told.append("refused")
            errors.append(weakref.ref(error))
        await request.respond(200, [], b"")

    async def test(edge: Edge) -> None:
        edges = [edge, sharing_memory(edge)]
        for one in edges:
            await one.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(400_000 // step):
            for one in edges:
                if one.transport.reading:
                    await one.send(chunk(step))
        assert not any(one.transport.reading for one in edges)
        assert told == []
        assert edge.state.memory.used <= 400_000
        gc.disable()
        try:
            await asyncio.sleep(0.3)
            assert errors[0]() is None  # nor what it was raised through: the body
        finally:
            gc.enable()
        for one in edges:
            await one.send(b"0\r\n\r\n")
        assert told[0] == "refused"
        assert isinstance(told[1], int)
        assert edge.state.memory.used == 0

    with_edge(test, App(whole), body_memory=400_000, body_wait=0.2)


def test_what_is_large_has_no_more_memory_where_it_comes_in_small_pieces() -> None:
    async def whole(request: Request) -> None:
        await request.respond(200, [], b"%d" % len(await request.whole()))

    async def test(edge: Edge) -> None:
        large, small = sharing_memory(edge), sharing_memory(edge)
        await edge.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk(300_000))
        await large.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[chunk(1000)] * 190)
        assert not large.transport.reading
        assert edge.state.memory.used <= 400_000
        assert (await small.send(HEAD + b"Content-Length: 60000\r\n\r\n" + b"x" * 60_000)).endswith(b"60000")

    with_edge(test, App(whole), body_memory=400_000, body_wait=20.0)


def test_who_needs_less_is_served_when_the_one_before_it_is_refused() -> None:
    async def whole(request: Request) -> None:
        try:
            size = len(await request.whole())
        except OverloadedError:
            size = 0
        await request.respond(200, [], b"%d" % size)

    async def test(edge: Edge) -> None:
        more, less = sharing_memory(edge), sharing_memory(edge)
        await edge.send(HEAD + b"Content-Length: 200000\r\n\r\n")
        await more.send(HEAD + b"Content-Length: 300000\r\n\r\n")
        await asyncio.sleep(0.2)
        await less.send(HEAD + b"Content-Length: 100000\r\n\r\n" + b"x" * 100_000)
        assert not less.take()
        await asyncio.sleep(0.2)
        assert more.take().endswith(b"\r\n\r\n0")
        assert less.take().endswith(b"100000")

    with_edge(test, App(whole), body_memory=400_000, body_wait=0.3)
