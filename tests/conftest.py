"""The fault table's count at the end of the run. It stands here because xdist's own process reads no conftest below."""

import pytest

pytest_plugins = ["tests.everyday"]

_ROW = "test_fault_table.py::test_row["


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = {
        outcome: sum(_ROW in report.nodeid for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "failed", "error")
    }
    if rows := sum(counts.values()):
        disagree = counts["failed"] + counts["error"]
        terminalreporter.write_line(f"fault table: {rows} rows, {disagree} disagree")
