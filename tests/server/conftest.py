"""One server a shape and module, around transforms whose behaviour the request's `etl_args` choose."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import TRANSFORMS, Server, running
from tests.support.target import Target, running_target

BUFFERED = TRANSFORMS / "buffered.py"
STREAMED = TRANSFORMS / "streamed.py"
ASYNC_BUFFERED = TRANSFORMS / "async_buffered.py"
ASYNC_STREAMED = TRANSFORMS / "async_streamed.py"

SHAPES = {
    "buffered": BUFFERED,
    "streamed": STREAMED,
    "async-buffered": ASYNC_BUFFERED,
    "async-streamed": ASYNC_STREAMED,
}


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with running_target() as target:
        yield target


@pytest.fixture
def no_puts(target: Target) -> Target:
    """The target, with nothing put to it yet."""
    target.puts.clear()
    target.answers.clear()
    return target


@pytest.fixture(scope="module", params=SHAPES)
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, target: Target
) -> Iterator[Server]:
    """A server of every shape in turn."""
    with running(tmp_path_factory.mktemp(request.param), SHAPES[request.param], target_url=target.url) as server:
        yield server


@pytest.fixture(scope="module")
def buffered(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("etl"), BUFFERED, target_url=target.url) as server:
        yield server


@pytest.fixture(scope="module")
def streamed(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("etl"), STREAMED, target_url=target.url) as server:
        yield server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket's folder in the layout of a target's disk."""
    folder = tmp_path_factory.mktemp("mountpath") / "@ais" / "photos" / "%ob"
    folder.mkdir(parents=True)
    return folder
