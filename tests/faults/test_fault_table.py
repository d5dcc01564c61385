"""Every row of the fault table: what a target concludes from the answer is the truth."""

import itertools
import urllib.request
from collections.abc import Iterator, Sequence

import pytest

from tests.everyday import pairs
from tests.faults.bench import Bench, Happened, data_of
from tests.faults.doors import PUT, UNVERIFIED, Kind, Order, Source
from tests.faults.judge import wrong_conclusion, wrong_objects
from tests.faults.table import MALFORMED, ROWS, Row, Variant
from tests.faults.transforms import made_of
from tests.support.servers import Server


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "row" in metafunc.fixturenames:
        rows = pairs(ROWS, _axes) if metafunc.config.getoption("--everyday") else ROWS
        metafunc.parametrize("row", rows, ids=lambda row: row.id)


def _axes(row: Row) -> tuple[object, ...]:
    return row.door.name, row.source, row.shape, row.hop, row.fault


def test_row(row: Row, bench: Bench) -> None:
    happened = bench.run(row)
    wrong = [*wrong_conclusion(row, happened), *wrong_objects(row, happened), *_lenient(row, happened)]
    wrong += _unfit(happened.server, row)
    assert not wrong, "; ".join([*wrong, f"{happened.conclusion}"[:600]])


def _lenient(row: Row, happened: Happened) -> Iterator[str]:
    """Our own edge takes nothing that could be read in two ways."""
    if row.fault in MALFORMED and happened.conclusion.status != 400:
        yield f"a malformed head is answered with {happened.conclusion.status}, not with 400"


def _unfit(server: Server, row: Row) -> Iterator[str]:
    """The server goes on, whatever it went through; and if it was to stop, it has."""
    if row.variant is Variant.DRAINS:
        if server.process.returncode != 0:
            yield f"the server has ended with {server.process.returncode}"
        return
    with urllib.request.urlopen(f"{server.url}/health", context=UNVERIFIED) as answer:
        if answer.read() != b"Running":
            yield "the server is not healthy any more"
    after = PUT.ask(server, Order(f"after-{row.id}", Source.BODY, data_of(1000)))
    if (after.kind, after.body) != (Kind.CONTENT, made_of(data_of(1000))):
        yield f"the object after it came to nothing: {after}"


def test_in_the_rows_of_every_day_every_two_values_meet_that_meet_at_all() -> None:
    def met(rows: Sequence[Row]) -> set[object]:
        return {pair for row in rows for pair in itertools.combinations(enumerate(_axes(row)), 2)}

    chosen = pairs(ROWS, _axes)
    assert met(chosen) == met(ROWS)
    assert len(chosen) < len(ROWS) / 7
