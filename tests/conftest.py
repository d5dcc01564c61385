"""The fault table's count at the end of the run. It stands here because xdist's own process reads no conftest below."""

import signal

import pytest

pytest_plugins = ["tests.everyday", "tests.support.clouds"]

# A run in the background ignores these, and so would every process that a test starts and ends by one of them.
for _ignored, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_ignored) is signal.SIG_IGN:
        signal.signal(_ignored, _default)

_ROW = "test_fault_table.py::test_row["


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = {
        outcome: sum(_ROW in report.nodeid for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "failed", "error")
    }
    if rows := sum(counts.values()):
        disagree = counts["failed"] + counts["error"]
        terminalreporter.write_line(f"fault table: {rows} rows, {disagree} disagree")
