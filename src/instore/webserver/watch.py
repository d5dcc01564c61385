"""Noticing that whoever asked has left, without a cost for the many requests that are over at once."""

import asyncio

from instore.webserver.production import Production
from instore.webserver.source import Receive, Source

_LOOK_AFTER = 1.0


class Watch:
    """Abandons a production when its client leaves.

    A request is looked at once it is a second old, and only when its source no longer needs the request's channel:
    up to then the source itself notices.
    """

    __slots__ = ("_loop", "_production", "_receive", "_source", "_task", "_timer")

    def __init__(self, receive: Receive, source: Source, production: Production) -> None:
        self._receive = receive
        self._source = source
        self._production = production
        self._task: asyncio.Task[None] | None = None
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(_LOOK_AFTER, self._look)

    def stop(self) -> None:
        """The request is over."""
        self._timer.cancel()
        if self._task is not None:
            self._task.cancel()

    def _look(self) -> None:
        if self._source.consumed:
            self._task = self._loop.create_task(self._wait())
        else:
            self._timer = self._loop.call_later(_LOOK_AFTER, self._look)

    async def _wait(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        self._production.abandon()
