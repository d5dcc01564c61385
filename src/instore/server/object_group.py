"""A group of objects under way: each is served as if it had a request of its own, and is answered when it is there."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from instore.http.request import Headers, Request
from instore.http.sockets import AnswerSocket, BodySocket
from instore.protocol.headers import OBJECT_INFO
from instore.protocol.object_groups import GroupedObject, encode_answer
from instore.system.steps import Steps, Waiter, steps_of

_INFO = OBJECT_INFO.lower().encode()


class ObjectGroup:
    """The objects of one request, and their answers.

    Args:
        request: the group's.
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self._loop = asyncio.get_running_loop()
        self._members: dict[GroupedRequest, Steps] = {}  # that are under way
        self._answers: list[bytes] = []
        self._failure: BaseException | None = None
        self._news: Waiter[None] | None = None
        self._is_told = False

    def start(
        self, number: int, wanted: GroupedObject, serve: Callable[["GroupedRequest"], Coroutine[Any, Any, None] | Steps]
    ) -> None:
        """Serve the object that is number so many of the group."""
        member = GroupedRequest(self, number, wanted)
        steps = self._members[member] = steps_of(serve(member))
        steps.start(partial(self._served, member))

    async def take(self) -> bytes:
        """The answers that have come meanwhile; empty once all have."""
        while not self._answers and self._members and self._failure is None:
            self._news = Waiter(self._loop)
            await self._news
        if self._failure is not None:
            raise self._failure
        answers, self._answers = self._answers, []
        return b"".join(answers)

    def client_left(self) -> None:
        """Nobody waits for the answers any more."""
        for member in list(self._members):
            member.client_left()

    def end(self) -> None:
        """Stop what is still under way."""
        for steps in list(self._members.values()):
            steps.cancel()

    def answer(self, number: int, status: int, headers: Headers, body: bytes) -> None:
        """An object has its answer."""
        self._answers += (encode_answer(number, status, headers, len(body)), body)
        self._tell()

    def _served(self, member: "GroupedRequest", error: BaseException | None) -> None:
        del self._members[member]
        self._failure = self._failure or error
        self._tell()

    def _tell(self) -> None:
        """Wake who takes at the end of this turn of the loop, in which more answers may come."""
        if not self._is_told:
            self._is_told = True
            self._loop.call_soon(self._wake)

    def _wake(self) -> None:
        self._is_told = False
        if self._news is not None and not self._news.done():
            self._news.set_result(None)


class GroupedRequest:
    """One object of a group, as a request that has come whole; a `Request`."""

    method = "PUT"
    target = b""
    streams = True
    ended = True

    def __init__(self, group: ObjectGroup, number: int, wanted: GroupedObject) -> None:
        self.headers = [(_INFO, wanted.info.encode("ascii", "replace"))] if wanted.info else []
        self.status = 0
        self.sent = 0
        self._group = group
        self._number = number
        self._gone: Callable[[], object] | None = None
        self._headers: Headers = ()
        self._body = wanted.body
        self._pieces: list[bytes] = []

    async def read(self) -> bytes:
        return self.take()

    async def whole(self) -> bytes:
        return self.take()

    def ready(self) -> "GroupedRequest":
        return self

    def take(self) -> bytes:
        body, self._body = self._body, b""
        return body

    @property
    def must_wait(self) -> bool:
        return self._group.request.must_wait

    async def wait_for_memory(self) -> None:
        await self._group.request.wait_for_memory()

    def on_gone(self, callback: Callable[[], object] | None) -> None:
        self._gone = callback

    def client_left(self) -> None:
        """Tell whoever wants to know."""
        if self._gone is not None:
            callback, self._gone = self._gone, None
            callback()

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        self.respond_at_once(status, headers, body)

    def respond_at_once(self, status: int, headers: Headers, body: bytes) -> bool:
        self.status = status
        self.sent = len(body)
        self._group.answer(self._number, status, headers, body)
        return True

    async def taken(self) -> None:
        """An answer is in memory until its group's is taken."""

    async def begin(self, status: int, headers: Headers) -> None:
        self.status = status
        self._headers = headers

    async def write(self, piece: bytes) -> None:
        self._pieces.append(piece)

    async def end(self) -> None:
        await self.respond(self.status, self._headers, b"".join(self._pieces))

    async def lend_body(self) -> BodySocket | None:
        return None

    async def lend_answer(self) -> AnswerSocket | None:
        return None
