"""How often each target has done what, since the node was started, under AIStore's names.

A name ends in `.n` for a number of requests and in `.size` for bytes. Whoever answers counts, on the event loop.
"""

from collections.abc import Iterable

_COUNTED = ("get", "put", "head", "del", "lst", "append", "ren", "etl.inline", "etl.offline")
_SIZED = ("get", "put", "etl.inline", "etl.offline")

KINDS = {f"{what}.n": "counter" for what in _COUNTED} | {f"{what}.size": "size" for what in _SIZED}
"""What each name is, as AIStore's clients want to know."""


class Statistics:
    """The numbers of all targets of a node."""

    def __init__(self, targets: Iterable[str]) -> None:
        self._values = {target: dict.fromkeys(KINDS, 0) for target in targets}

    def count(self, target: str, what: str, size: int = 0) -> None:
        """Count one request."""
        values = self._values[target]
        values[f"{what}.n"] += 1
        if size:
            values[f"{what}.size"] += size

    def of(self, target: str) -> dict[str, int]:
        """The numbers of a target, without those that are 0."""
        return {name: value for name, value in self._values[target].items() if value}

    def reset(self) -> None:
        """Begin anew."""
        for values in self._values.values():
            values.update(dict.fromkeys(values, 0))
