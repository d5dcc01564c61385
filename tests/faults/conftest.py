"""One bench a test process, and the table's count at the end of the run."""

from collections.abc import Iterator

import pytest

from tests.faults.bench import Bench

_ROW = "test_fault_table.py::test_row["


@pytest.fixture(scope="session")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    made = Bench(tmp_path_factory.mktemp("faults"))
    yield made
    made.close()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = {
        outcome: sum(_ROW in report.nodeid for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "failed", "error")
    }
    if rows := sum(counts.values()):
        disagree = counts["failed"] + counts["error"]
        terminalreporter.write_line(f"fault table: {rows} rows, {disagree} disagree")
