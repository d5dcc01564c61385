"""The everyday run, which `make test` is: what of the tests is left to `make test-all`, by one rule.

Every behaviour is tested every day; what is left out repeats one under other circumstances, or takes what a developer
need not have. Left to the whole run are

- the rows of the fault table beyond those in which every two values of its five axes meet (`pairs`);
- the rows of a test beyond its first two where each starts processes of its own: commands, nodes, foreign servers;
- examples of hypothesis beyond the first few of each property;
- what is marked `whole`: a node of several targets where the same test runs with one; package installations and second
  environments; floods, kills, and time-outs that are waited for.
"""

import itertools
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

Row = TypeVar("Row", bound=Hashable)

_FEW_EXAMPLES = 15
_FEW_ROWS = 2
_PROCESSES = ("tests/cli/", "tests/compat/", "tests/node/", "tests/testing/", "tests/server/test_odd_transforms.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--everyday", action="store_true", help="only what the everyday run is for; see tests/everyday.py")


def pytest_configure(config: pytest.Config) -> None:
    # Properties are judged by their result, never by their time.
    untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("whole", untimed)
    settings.register_profile("everyday", untimed, max_examples=_FEW_EXAMPLES)
    settings.load_profile("everyday" if config.getoption("--everyday") else "whole")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--everyday"):
        return
    left_out = {item for item in items if item.get_closest_marker("whole")}
    rows = Counter[str]()
    for item in items:
        if item not in left_out and item.nodeid.startswith(_PROCESSES):
            test = item.nodeid.partition("[")[0]
            rows[test] += 1
            if rows[test] > _FEW_ROWS:
                left_out.add(item)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


def pairs(rows: Sequence[Row], values: Callable[[Row], tuple[object, ...]]) -> list[Row]:
    """Some of `rows`, in which every two values meet that meet in any of them; first those that bring most of it."""
    of_row = {row: frozenset(itertools.combinations(enumerate(values(row)), 2)) for row in rows}
    met: set[object] = set()
    chosen: list[Row] = []
    for gain in range(len(next(iter(of_row.values()))), 0, -1):
        for row, brought in of_row.items():
            if len(brought - met) >= gain:
                chosen.append(row)
                met |= brought
    return chosen
