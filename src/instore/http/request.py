"""A request as whoever answers it sees it, whichever server it came to."""

from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Protocol

from instore.http.sockets import AnswerSocket, BodySocket
from instore.http.websocket import WebSocketReceiver, WebSocketSender
from instore.system.steps import Steps

Headers = Iterable[tuple[bytes, bytes]]


class Request(Protocol):
    """One request, and the way back.

    Attributes:
        method: `GET` and so on.
        target: path and query as they came, without a scheme and host.
        headers: pairs of lower-case name and value; never trailers.
        streams: whether an answer whose length is not known can be sent: HTTP/1.0 has no framing for it.
        ended: whether the whole body has come and was taken.
        status: of the answer; 0 before it has begun.
        sent: bytes of the answer's body that were handed over.
    """

    method: str
    target: bytes
    headers: list[tuple[bytes, bytes]]
    streams: bool
    status: int
    sent: int

    @property
    def ended(self) -> bool: ...

    async def read(self) -> bytes:
        """The next piece of the body; empty at its end."""

    async def whole(self) -> bytes:
        """The whole body, which counts as memory in use until the request is over."""

    def ready(self) -> "ReadyRequest | None":
        """The request, if its body is here and small, and it can be answered without waiting."""

    @property
    def must_wait(self) -> bool:
        """Whether so many results are in memory that clients have not taken, that no more should be made."""

    async def wait_for_memory(self) -> None:
        """Wait until some of them are taken."""

    def on_gone(self, callback: Callable[[], object] | None) -> None:
        """Have `callback` called when the client leaves before its answer is complete; None: nothing any more."""

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer, whole. `content-length` is added where the status has a body."""

    async def begin(self, status: int, headers: Headers) -> None:
        """Begin an answer. Without a `content-length` among the headers it is chunked."""

    async def write(self, piece: bytes) -> None:
        """Send the next piece of an answer that has begun."""

    async def end(self) -> None:
        """The answer is complete."""

    async def lend_body(self) -> BodySocket | None:
        """The rest of a large body, for a thread to read it from the socket; None where it has to be read here."""

    async def lend_answer(self) -> AnswerSocket | None:
        """The way out of an answer that has begun, for a thread to send it; None where it has to be written here.

        Whoever gets it closes it, adds what it has `sent` to that of the request, and then calls `end`.
        """


class ReadyRequest(Request, Protocol):
    """A request that nothing need be awaited for."""

    def take(self) -> bytes:
        """As `whole`."""

    def respond_at_once(self, status: int, headers: Headers, body: bytes) -> bool:
        """As `respond`; False: the client has yet to take most of it, and `taken` is to be awaited."""

    async def taken(self) -> None:
        """Wait until the client has taken most of the answer."""


class Application(Protocol):
    """What answers the requests of a server."""

    async def start(self) -> None:
        """Called before the first request."""

    def serve(self, request: Request) -> Coroutine[Any, Any, None] | Steps:
        """Answer one request. An exception breaks an answer that has begun; before, it is a bare 500."""

    def websocket(self, request: Request, sender: WebSocketSender) -> WebSocketReceiver | str:
        """Take a WebSocket connection, or say why not."""

    def tick(self, body_memory: int) -> None:
        """Called at least every second, with the bytes of all bodies that are in memory whole."""

    def drain(self) -> None:
        """Called when the server is told to stop; requests under way are still served."""

    async def stop(self) -> None:
        """Called after the last request."""
