"""Several worker processes on one port: started together, replaced when one dies, stopped together."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from types import FrameType

from instore.etl.devices import variables_for
from instore.protocol.environment import INSTORE_METRICS, INSTORE_PARENT_FD
from instore.server.metrics import make_pages, map_pages, restarted
from instore.system import exit_codes
from instore.system.logs import LogOptions

logger = logging.getLogger("instore")

_POLL = 0.1
_QUICK_DEATHS = 5
_QUICK = 5.0


class Supervisor:
    """Keeps workers alive until a signal says stop.

    A worker that exits with code 2 can't be helped by another try: all are stopped and the code is passed on. One that
    keeps dying within seconds of its start stops all, too.
    """

    def __init__(self, commands: Sequence[tuple[list[str], int]], devices: Sequence[str] = ()) -> None:
        self._commands = commands
        self._devices = devices
        self._alive, self._parent_end = os.pipe()
        self._metrics = make_pages(len(commands))
        self._started: dict[subprocess.Popen[bytes], tuple[int, float]] = {}
        self._quick_deaths = 0
        self._stopping = False

    def run(self) -> int:
        """Start the workers and stay until they are stopped."""
        for stop in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            if signal.getsignal(stop) is not signal.SIG_IGN:  # as nohup has it
                signal.signal(stop, self._stop)
        environment = {**os.environ, INSTORE_PARENT_FD: str(self._alive)}
        for number in range(len(self._commands)):
            self._start(number, environment)
        code = 0
        while not self._stopping and not code:
            time.sleep(_POLL)
            code = self._look(environment)
        for process in self._all():
            process.terminate()
        for process in self._all():
            process.wait()
        return code

    def _look(self, environment: dict[str, str]) -> int:
        """See what there is to do; the exit code if this is the end, else 0."""
        return self._replace_dead(environment)

    def _all(self) -> list[subprocess.Popen[bytes]]:
        """Every process that is there."""
        return list(self._started)

    def _start(self, number: int, environment: dict[str, str]) -> None:
        self._add(number, self._spawn(number, environment))

    def _add(self, number: int, process: subprocess.Popen[bytes]) -> None:
        self._started[process] = (number, time.monotonic())

    def _spawn(self, number: int, environment: dict[str, str], *descriptors: int) -> subprocess.Popen[bytes]:
        command, listener = self._commands[number]
        passed = (listener, self._alive, self._metrics, *descriptors)
        metrics = {INSTORE_METRICS: f"{self._metrics}:{number}"}
        variables = {**environment, **metrics, **variables_for(self._devices, number)}
        return subprocess.Popen(command, env=variables, pass_fds=passed)  # noqa: S603

    def _replace_dead(self, environment: dict[str, str]) -> int:
        for process in [process for process in self._started if process.poll() is not None]:
            number, started = self._started.pop(process)
            lived = time.monotonic() - started
            quick = lived < _QUICK and process.returncode != exit_codes.STUCK  # which another can help
            self._quick_deaths = self._quick_deaths + 1 if quick else 0
            if process.returncode == exit_codes.CONFIGURATION:
                return exit_codes.CONFIGURATION
            if self._quick_deaths >= _QUICK_DEATHS:
                logger.error("%d workers in a row died within %g s of their start; giving up", _QUICK_DEATHS, _QUICK)
                return exit_codes.FAILED
            if not self._stopping:
                logger.warning("worker %d %s; starting another", process.pid, how_it_ended(process.returncode))
                restarted(map_pages(self._metrics)[number])
                self._start(number, environment)
        return 0

    def _stop(self, number: int, _frame: FrameType | None) -> None:
        if self._stopping:
            os._exit(exit_codes.of_signal(number))  # the workers end with us
        self._stopping = True


def how_it_ended(code: int) -> str:
    """`was killed by SIGKILL` or `exited with code 3`."""
    return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"exited with code {code}"


def worker_command(arguments: Sequence[str], descriptor: int, log: LogOptions) -> list[str]:
    """The command line of one worker on an inherited socket."""
    return [sys.executable, "-P", "-m", "instore", *arguments, "--fd", str(descriptor), *log.arguments]
