"""The share of the queue that the objects of all WebSocket connections have together, and whose turn is next.

A WebSocket has no message for "come again later", and need not have one: what is not read waits. So its objects begin
as long as no more of them wait for a transform than half of `INSTORE_QUEUE`. Beyond that each connection stands in line
with one object, and is not read meanwhile; with its next it stands behind all others. The other half is for requests,
which are refused when the queue is full: however many objects come over WebSocket, they take it from nobody.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable

Begin = Callable[[], object]


class FairShare:
    """Places, and a line of those who wait for one.

    Args:
        places: of them.
    """

    def __init__(self, places: int) -> None:
        self._free = places
        self._line: OrderedDict[Hashable, Begin] = OrderedDict()
        self._is_due = False  # the line goes on at the end of this turn of the loop

    def take(self) -> bool:
        """Whether there is a place, which the caller has then."""
        if not self._free or self._line:
            return False
        self._free -= 1
        return True

    def wait(self, who: Hashable, begin: Begin) -> None:
        """Have `begin` called when it is the turn of `who`, who has a place then."""
        self._line[who] = begin

    def leave(self, who: Hashable) -> None:
        """Wait no more."""
        self._line.pop(who, None)

    def give_back(self) -> None:
        """A place is free."""
        self._free += 1
        if self._line and not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._go_on)  # not at once: many might begin and end within each other

    def _go_on(self) -> None:
        self._is_due = False
        while self._free and self._line:
            _, begin = self._line.popitem(last=False)
            self._free -= 1
            begin()
