"""The plugin for pytest. What its fixtures need is imported when one is used: pytest imports this in every run."""

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from instore.testing import LocalNode, Server

_numbers = itertools.count(1)


@pytest.fixture
def etl_server() -> "Iterator[Callable[..., Server]]":
    """Starts a server for a transform, which ends with the test: `etl_server(Thumbs)`; arguments as for `Server`."""
    from instore.testing import Server

    with contextlib.ExitStack() as undo:
        yield lambda *args, **kwargs: undo.enter_context(Server(*args, **kwargs))


@pytest.fixture(scope="session")
def ais_node(tmp_path_factory: pytest.TempPathFactory) -> "Iterator[LocalNode]":
    """A store on this machine, one for all tests of the run: `Client(ais_node.endpoint)`."""
    from instore.testing import LocalNode

    with LocalNode(tmp_path_factory.mktemp("ais-node")) as node:
        yield node


@pytest.fixture
def ais_bucket(request: pytest.FixtureRequest) -> Iterator[Any]:
    """An empty bucket of that store, which goes with the test: a `Bucket` of AIStore's own client."""
    try:
        from aistore import Client
    except ImportError:
        pytest.skip("ais_bucket needs AIStore's client: pip install 'instore[ais]'")
    node: LocalNode = request.getfixturevalue("ais_node")  # not started where there is no client
    bucket = Client(node.endpoint).bucket(f"test-{next(_numbers)}")
    bucket.create()
    yield bucket
    bucket.delete(missing_ok=True)
