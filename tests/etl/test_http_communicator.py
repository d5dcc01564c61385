"""What an ETL server answers, and what the target makes of it: over HTTP and over WebSocket, against small servers."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve

from instore.errors import AnswerError, IncompleteAnswerError
from instore.etl.communicator import Communicator, TransformRequest
from instore.etl.http_communicator import HTTPCommunicator
from instore.etl.websocket_communicator import WebSocketCommunicator
from instore.http.bodies import Stream
from instore.protocol.websocket import parse_control

DESTINATION = "http://127.0.0.1:1/ais%2F@%23%2Fb%2Fo?part=1"
INLINE = TransformRequest("b/o", "/t/@ais/b/%ob/o", "args", "ais/@#/b/o")
DELIVER = TransformRequest("b/o", "/t/@ais/b/%ob/o", "", "ais/@#/b/o", DESTINATION, delivers=True)


async def send(communicator: Communicator, request: TransformRequest) -> bytes | None:
    """The object; None for a delivery."""
    try:
        answer = await communicator.send(request)
        if answer is None:
            return None
        try:
            return b"".join([piece async for piece in answer.pieces()])
        finally:
            await answer.close()
    finally:
        await communicator.close()


def over_http(answer: bytes, request: TransformRequest, pull: bool = False) -> tuple[bytes | None, bytes]:
    """What `answer` is to the caller, and the head of the request."""
    head = b""

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal head
        head = await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        writer.close()

    async def run() -> bytes | None:
        server = await asyncio.start_server(exchange, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            return await send(HTTPCommunicator(f"http://127.0.0.1:{port}", pull=pull), request)

    return asyncio.run(run()), head


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, *([] if "204" in status else [f"Content-Length: {len(body)}"])]
    return "\r\n".join([*lines, "", ""]).encode() + body


@pytest.mark.parametrize("status", ["200 OK", "202 Accepted"])
def test_the_body_is_the_object_even_if_it_is_empty(status: str) -> None:
    assert over_http(http(status, b"result"), INLINE)[0] == b"result"
    assert over_http(http(status), INLINE)[0] == b""


def test_a_push_names_the_file_and_the_way_on() -> None:
    result, head = over_http(http("204 No Content", b"", "Ais-Direct-Put-Length: 6"), DELIVER)
    assert result is None
    assert head.startswith(b"PUT /b/o?etl_fqn=%252Ft%252F%40ais%252Fb%252F%2525ob%252Fo HTTP/1.1\r\n")
    assert f"\r\nAis-Node-Url: {DESTINATION}\r\n".encode() in head


def test_a_pull_names_the_object() -> None:
    assert over_http(http("200 OK", b"x"), INLINE, pull=True)[1].startswith(
        b"GET /ais%2F@%23%2Fb%2Fo?etl_args=args HTTP/1.1\r\n"
    )


@pytest.mark.parametrize(
    ("answer", "wanted", "sentence"),
    [
        (http("500 No", b"it hurts"), INLINE, "it hurts"),
        (http("404 No"), INLINE, "answered 404 without saying why"),
        (http("503 No", b"busy"), DELIVER, "busy"),
        (http("204 No Content"), INLINE, "answered 204 where the object was expected"),
        (http("200 OK", b"result"), DELIVER, "answered 200 where that it is delivered was expected"),
        (http("200 OK"), DELIVER, "answered 200 where"),
        (http("302 Found", b"", "Location: /"), INLINE, "answered 302 where"),
    ],
)
def test_what_is_not_the_object_is_an_error(answer: bytes, wanted: TransformRequest, sentence: str) -> None:
    with pytest.raises(AnswerError, match=sentence):
        over_http(answer, wanted)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nshort",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nendless",
        http("503 No", b"lost", "Ais-Etl-Retry-Reason: direct-put-transient"),
    ],
)
def test_what_breaks_off_or_asks_for_it_may_be_asked_again(answer: bytes) -> None:
    with pytest.raises(IncompleteAnswerError):
        over_http(answer, INLINE)


def test_a_server_that_is_not_there_may_be_asked_again() -> None:
    with pytest.raises(IncompleteAnswerError):
        asyncio.run(send(HTTPCommunicator("http://127.0.0.1:1"), INLINE))
    with pytest.raises(IncompleteAnswerError):
        asyncio.run(send(WebSocketCommunicator("http://127.0.0.1:1"), INLINE))


class Body(Stream):
    def __init__(self) -> None:
        self._left = [b"a" * 70_000, b"b", b"c"]

    @property
    def drained(self) -> bool:
        return not self._left

    async def take(self) -> bytes:
        return self._left.pop(0) if self._left else b""


Handler = Callable[[ServerConnection], Awaitable[None]]


def over_web_socket(handler: Handler, use: Callable[[WebSocketCommunicator], Awaitable[None]]) -> None:
    async def run() -> None:
        async with serve(handler, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            communicator = WebSocketCommunicator(f"http://127.0.0.1:{port}")
            try:
                await use(communicator)
            finally:
                await communicator.close()

    asyncio.run(run())


async def objects(communicator: WebSocketCommunicator, request: TransformRequest) -> bytes | None:
    answer = await communicator.send(request)
    return None if answer is None else b"".join([piece async for piece in answer.pieces()])


def test_a_binary_message_is_the_object_and_text_a_delivery() -> None:
    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            assert isinstance(message, bytes)
            request = parse_control(message)
            await connection.send("5" if request.next_url else f"{request.path} {request.etl_args}".encode())

    async def use(communicator: WebSocketCommunicator) -> None:
        assert await objects(communicator, INLINE) == b"b/o args"
        assert await objects(communicator, DELIVER) is None
        assert await objects(communicator, INLINE) == b"b/o args"

    over_web_socket(handler, use)


def test_an_object_without_a_file_follows_as_a_message() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        data = await connection.recv()
        assert isinstance(data, bytes)
        await connection.send(data[-3:])

    async def use(communicator: WebSocketCommunicator) -> None:
        assert await objects(communicator, TransformRequest("b/o", body=Body)) == b"abc"

    over_web_socket(handler, use)


def test_a_delivery_that_failed_is_a_message_and_its_neighbours_go_on() -> None:
    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(b"it hurts" if parse_control(message).path == "b/1" else "5")  # type: ignore[arg-type]

    async def use(communicator: WebSocketCommunicator) -> None:
        requests = [TransformRequest(f"b/{number}", "/f", pipeline=DESTINATION, delivers=True) for number in range(3)]
        assert await communicator.send(requests[0]) is None  # the others come by the connection that it opened
        results = await asyncio.gather(*(communicator.send(request) for request in requests), return_exceptions=True)
        assert results[0] is results[2] is None
        assert isinstance(results[1], AnswerError)
        assert str(results[1]) == "it hurts"

    over_web_socket(handler, use)


def test_a_close_with_a_reason_is_the_first_objects_error_and_the_others_may_be_asked_again() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(1011, "it hurts")

    async def use(communicator: WebSocketCommunicator) -> None:
        with pytest.raises(AnswerError, match="it hurts"):
            await communicator.send(INLINE)

    over_web_socket(handler, use)


@pytest.mark.parametrize("code", [1000, 1001, 1009, 1012])
def test_any_other_close_is_an_answer_that_did_not_come(code: int) -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.close(code)

    async def use(communicator: WebSocketCommunicator) -> None:
        with pytest.raises(IncompleteAnswerError):
            await communicator.send(INLINE)

    over_web_socket(handler, use)


def test_text_where_an_object_was_asked_for_is_an_error() -> None:
    async def handler(connection: ServerConnection) -> None:
        await connection.recv()
        await connection.send("Traceback (most recent call last)")
        await connection.wait_closed()

    async def use(communicator: WebSocketCommunicator) -> None:
        with pytest.raises(AnswerError, match="is delivered, which it was not asked to do: 'Traceback"):
            await communicator.send(INLINE)

    over_web_socket(handler, use)


def test_who_gives_up_takes_no_other_objects_answer() -> None:
    async def handler(connection: ServerConnection) -> None:
        async for message in connection:
            path = parse_control(message).path  # type: ignore[arg-type]
            if path == "b/slow":
                await connection.wait_closed()
            await connection.send(path.encode())

    async def use(communicator: WebSocketCommunicator) -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await communicator.send(TransformRequest("b/slow", "/f"))
        assert await objects(communicator, TransformRequest("b/next", "/f")) == b"b/next"

    over_web_socket(handler, use)
