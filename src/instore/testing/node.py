"""A store on this machine, in a process of its own, for tests."""

import contextlib
import os
import re
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from instore.errors import ConfigurationError
from instore.protocol.environment import AIS_ENDPOINT
from instore.testing.command import started

_STOP = 30.0  # seconds for a node to end by itself


class LocalNode:
    """An `instore node` on a free port, as long as it is entered.

    Args:
        folder: where its data and its log (`node.log`) are kept; made if it isn't there.
        targets: its targets. Default 1.

    Attributes:
        endpoint: its URL, for AIStore's client: `Client(node.endpoint)`.

    Raises:
        ConfigurationError: when it is entered: the node can't run; the text says why.
    """

    def __init__(self, folder: str | os.PathLike[str], targets: int = 1) -> None:
        self._folder = Path(folder)
        self._targets = targets
        self._undo = contextlib.ExitStack()
        self.endpoint = ""

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as undo:
            with self._log.open("wb") as log:
                process = undo.enter_context(started(self._command(), {}, subprocess.PIPE, log, _STOP))
            assert process.stdout is not None  # noqa: S101  # it is a pipe
            found = re.search(rf"{AIS_ENDPOINT}=(\S+)", process.stdout.readline().decode())
            if found is None:
                lines = self._log.read_text(errors="replace").splitlines() or ["it said nothing"]
                raise ConfigurationError(f"the node did not start: {lines[-1].removeprefix('instore: ')}")
            self.endpoint = found[1]
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    @property
    def _log(self) -> Path:
        return self._folder / "node.log"

    def _command(self) -> list[str]:
        command = [sys.executable, "-P", "-m", "instore", "node", "--port", "0", "--log-level", "warning"]
        return [*command, "--dir", str(self._folder / "data"), "--targets", str(self._targets)]
