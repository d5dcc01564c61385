"""The everyday run, which `make test` is: what of the tests is left to `make test-all`, by one rule.

Every behaviour is tested every day; what is left out repeats one under other circumstances, or takes what a developer
need not have. Left to the whole run are

- the rows of the fault table beyond those in which every two values of its five axes meet (`pairs`);
- the rows of a test beyond its first two where each starts processes of its own: commands, nodes, foreign servers;
- examples of hypothesis beyond the first few of each property;
- the tests that take longest, which `slow.txt` lists: those that took more than 0.6 seconds when `make slow` last
  measured them, nearly all of them commands and nodes that are started and ended;
- what is marked `whole`: a node of several targets where the same test runs with one; package installations and second
  environments; floods, kills, and time-outs that are waited for.
"""

import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

Row = TypeVar("Row", bound=Hashable)

_FEW_EXAMPLES = 15
_FEW_ROWS = 2
_LONG = 0.6  # seconds
_SLOW = Path(__file__).parent / "slow.txt"
_PROCESSES = ("tests/cli/", "tests/compat/", "tests/node/", "tests/testing/", "tests/server/test_odd_transforms.py")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--everyday", action="store_true", help="only what the everyday run is for; see tests/everyday.py")
    parser.addoption(
        "--measure", action="store_true", help=f"with --everyday: write {_SLOW.name} anew, and run all in it"
    )


def pytest_configure(config: pytest.Config) -> None:
    # Properties are judged by their result, never by their time.
    untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("whole", untimed)
    settings.register_profile("everyday", untimed, max_examples=_FEW_EXAMPLES)
    settings.load_profile("everyday" if config.getoption("--everyday") else "whole")
    if config.getoption("--measure") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(_Measure())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--everyday"):
        return
    slow = set() if config.getoption("--measure") else set(_SLOW.read_text().splitlines())
    left_out = {item for item in items if item.get_closest_marker("whole") or item.nodeid in slow}
    rows = Counter[str]()
    for item in items:
        if item not in left_out and item.nodeid.startswith(_PROCESSES):
            test = item.nodeid.partition("[")[0]
            rows[test] += 1
            if rows[test] > _FEW_ROWS:
                left_out.add(item)
    config.hook.pytest_deselected(items=[item for item in items if item in left_out])
    items[:] = [item for item in items if item not in left_out]


class _Measure:
    """Writes the list of slow tests."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":  # what is shared is ended by whichever test is the last
            self._seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        slow = sorted(name for name, seconds in self._seconds.items() if seconds > _LONG)
        _SLOW.write_text("".join(f"{name}\n" for name in slow))


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
