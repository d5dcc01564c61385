"""Nodes for the tests of a module, and a bucket for each test."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
from aistore import Client
from aistore.sdk.bucket import Bucket

from tests.support.node import TARGETS, RunningNode, running_node

_NUMBERS = itertools.count()


@pytest.fixture(scope="module", params=TARGETS)
def node(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(Path(tmp_path_factory.mktemp("node")), targets=request.param) as running:
        yield running


@pytest.fixture
def client(node: RunningNode) -> Client:
    return node.client()


@pytest.fixture
def bucket(client: Client) -> Bucket:
    """A new bucket."""
    return client.bucket(f"bucket-{next(_NUMBERS)}").create()
