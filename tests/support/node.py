"""Real `instore node` processes on free ports."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from aistore import Client

TARGETS = [pytest.param(1, id="1-target"), pytest.param(3, id="3-targets", marks=pytest.mark.whole)]
"""Numbers of targets for the tests that any number must pass."""

_START = 30.0  # seconds; far more than a start takes


@dataclass
class RunningNode:
    """A node and its process.

    Attributes:
        process: the node.
        endpoint: its URL.
        folder: its data.
        log: the file its standard error goes to.
    """

    process: subprocess.Popen[str]
    endpoint: str
    folder: Path
    log: Path

    def client(self, token: str | None = None) -> Client:
        """The official SDK's client."""
        return Client(self.endpoint, token=token)

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self) -> int:
        """End it as a user would; its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=_START)


@contextlib.contextmanager
def running_node(
    tmp_path: Path,
    targets: int = 1,
    environment: Mapping[str, str] | None = None,
    options: Sequence[str] = (),
) -> Iterator[RunningNode]:
    """A node on a free port with its data in `tmp_path / "node"`; killed at the end if it is still there.

    Args:
        tmp_path: where the data and the log go. A second node after the first has ended has its data.
        targets: `--targets`.
        environment: additional variables.
        options: additional options.
    """
    folder, log = tmp_path / "node", tmp_path / "node.log"
    command = [sys.executable, "-m", "instore", "node", "--dir", str(folder), "--port", "0", "--targets", str(targets)]
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AIS_")}
    with log.open("a") as errors:
        process = subprocess.Popen(
            [*command, *options],
            env={**variables, **(environment or {})},
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"AIS_ENDPOINT=(\S+)", line)
        assert found, f"the node did not start: {line!r} {log.read_text()}"
        yield RunningNode(process, found[1], folder, log)
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        if process.stdout is not None:
            process.stdout.close()


def wait_until(condition: object, seconds: float = 60.0) -> None:
    """Wait until the callable `condition` is true; fail if it never is."""
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.02)
