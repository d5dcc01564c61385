"""The fault table's count at the end of the run. It stands here because xdist's own process reads no conftest below."""

import os
import signal
import sys
from collections.abc import Iterator

import pytest

pytest_plugins = ["tests.everyday", "tests.support.clouds"]

# A run in the background ignores these, and so would every process that a test starts and ends by one of them.
for _ignored, _default in ((signal.SIGINT, signal.default_int_handler), (signal.SIGHUP, signal.SIG_DFL)):
    if signal.getsignal(_ignored) is signal.SIG_IGN:
        signal.signal(_ignored, _default)

_SERVERS = "aistore.sdk.etl.webserver"

_OURS = "INSTORE_"


@pytest.fixture(autouse=True)
def _overlay_goes() -> Iterator[None]:
    """A command that a test runs in this process puts the overlay in place; it is gone for the tests behind it."""
    before = {name: module for name, module in sys.modules.items() if name.startswith(_SERVERS)}
    finders = list(sys.meta_path)
    yield
    added = [one for one in sys.meta_path if one not in finders and type(one).__name__ == "_Overlay"]
    if added:
        for one in added:
            sys.meta_path.remove(one)
        for name in [name for name in sys.modules if name.startswith(_SERVERS)]:
            del sys.modules[name]
        sys.modules.update(before)
        if _SERVERS in before:
            sys.modules["aistore.sdk.etl"].webserver = before[_SERVERS]  # type: ignore[attr-defined]


@pytest.fixture(autouse=True)
def _variables_go() -> Iterator[None]:
    """What a command that a test runs in this process sets in its environment is gone for the tests behind it."""
    before = {name: value for name, value in os.environ.items() if name.startswith(_OURS)}
    yield
    for name in [name for name in os.environ if name.startswith(_OURS) and name not in before]:
        del os.environ[name]
    os.environ.update(before)


_ROW = "test_fault_table.py::test_row["


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts = {
        outcome: sum(_ROW in report.nodeid for report in terminalreporter.getreports(outcome))
        for outcome in ("passed", "failed", "error")
    }
    if rows := sum(counts.values()):
        disagree = counts["failed"] + counts["error"]
        terminalreporter.write_line(f"fault table: {rows} rows, {disagree} disagree")
