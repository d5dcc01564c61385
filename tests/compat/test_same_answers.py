"""Twelve transformers, written for the SDK, under its three servers and under ours: same requests, same answers.

Where an answer differs, `differences` says why it may.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.compat.asks import Asker
from tests.compat.commands import KINDS, Kind, free_port, serving
from tests.compat.differences import Pair, compared_with, unexplained
from tests.compat.table import Transformer, asks, transformers
from tests.support.environments import BOTH, OFFICIAL, OWN, Environment, need
from tests.support.target import running_target

pytestmark = pytest.mark.whole

_FILES = Path(__file__).parent / "transformers"


@contextmanager
def _asker(name: str, transformer: Transformer, kind: Kind, environment: Environment, folder: Path) -> Iterator[Asker]:
    store = folder / "mountpath" / "@ais" / "photos" / "%ob"
    store.mkdir(parents=True)
    port = free_port()
    module = folder / f"{name}_server.py"
    module.write_text(kind.source((_FILES / f"{name}.py").read_text(), transformer.cls, port))
    command = kind.command.format(module=module.stem, port=port)
    with running_target() as target:
        variables = {
            "AIS_TARGET_URL": target.url,
            "AIS_ENDPOINT": target.host,
            "AIS_DIRECT_PUT_RETRIES": "0",
            **transformer.variables,
        }
        with serving(command, port, folder, environment, variables) as server:
            yield Asker(server, target, store)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize("name", transformers())
def test_a_transformer_answers_as_under_the_official_server(name: str, kind: Kind, tmp_path: Path) -> None:
    transformer = transformers()[name]
    ours = BOTH if transformer.client else OWN
    need(OFFICIAL, ours)
    with ExitStack() as stack:
        askers = [
            stack.enter_context(_asker(name, transformer, kind, environment, tmp_path / environment.name))
            for environment in (OFFICIAL, ours)
        ]
        official, own = askers
        odd: list[str] = []
        for ask in asks(transformer, kind):
            theirs = official.ask(compared_with(kind, ask))
            odd += unexplained(Pair(kind, transformer, ask, theirs, own.ask(ask)))
    assert not odd, "\n" + "\n".join(odd)
