"""Tests of a transform: its class behind a real server, asked in every way that a cluster asks.

    from instore.testing import Server, check
    from thumbs import Thumbs

    def test_a_thumbnail_is_small():
        with Server(Thumbs) as server:
            assert len(server.put("photos/cat.jpg", PHOTO).body) < 20_000

    def test_every_way_gives_the_same():
        check(Thumbs, {"photos/cat.jpg": PHOTO})

docs/testing.md has all of it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from instore.errors import NoResultError
    from instore.testing.answers import Answer
    from instore.testing.checks import check
    from instore.testing.node import LocalNode
    from instore.testing.server import Server

__all__ = ["Answer", "LocalNode", "NoResultError", "Server", "check"]

_PLACES = {
    "Answer": "instore.testing.answers",
    "LocalNode": "instore.testing.node",
    "NoResultError": "instore.errors",
    "Server": "instore.testing.server",
    "check": "instore.testing.checks",
}


def __getattr__(name: str) -> Any:
    """What is asked for is imported then: pytest imports this package for its plugin alone."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_PLACES[name]), name)
