"""What the servers of one run have around them: objects on disk, a target, a folder that goes away with the run."""

import contextlib
import http.client
import itertools
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench.peers import ROOT, Kind
from bench.processes import LOAD_CORE, SERVER_CORE, BenchError, started, worker_of

HOST = "127.0.0.1"
BLOCK = random.Random(6).randbytes(1 << 20)
SMALL = 16 << 10
TARGET_PATH = "/v1/etl/_object/bench/secret"

_START_UP = 30.0
_PORTS = (20_000, 30_000)
_OWN_VARIABLES = ("AIS_", "INSTORE_", "ETL_", "PYTHON")


class WrongAnswerError(Exception):
    """A server answered something else than the object; its figures don't count."""


@dataclass(frozen=True)
class Delivered:
    """How many direct puts reached the target right, and how many wrong."""

    right: int
    wrong: int


@dataclass(frozen=True)
class Server:
    """A running server: its kind, its port, and the process that its command started."""

    kind: Kind
    port: int
    pid: int

    @property
    def worker(self) -> int:
        """The process that serves."""
        return worker_of(self.pid)


class Site(contextlib.ExitStack):
    """The surroundings of a run; leaving the context ends every process and removes every file."""

    def __enter__(self) -> "Site":
        super().__enter__()
        self.folder = Path(self.enter_context(tempfile.TemporaryDirectory(prefix="instore-bench-")))
        self.objects = self.folder / "@ais" / "bench" / "%ob"
        self.objects.mkdir(parents=True)
        self._servers: dict[tuple[object, ...], Server] = {}
        self._numbers = itertools.count()
        self._running = self.enter_context(contextlib.ExitStack())
        self._start_target()
        return self

    def object(self, size: int) -> Path:
        """The file of the object with `size` bytes; its name is its size."""
        path = self.objects / str(size)
        if not path.exists():
            with path.open("wb") as file:
                for begin in range(0, size, len(BLOCK)):
                    file.write(BLOCK[: size - begin])
                file.flush()
                os.fsync(file.fileno())  # so that no later measurement pays for the writing back
        return path

    def new_folder(self, name: str) -> Path:
        """The path of a folder that nobody has had, which is there until the end."""
        return self.folder / f"{name}-{next(self._numbers)}"

    def small_objects(self, count: int) -> list[Path]:
        """The files of so many objects of `SMALL` bytes, each with bytes of its own."""
        paths = [self.objects / f"{number:06}.bin" for number in range(count)]
        for number, path in enumerate(paths):
            if not path.exists():
                path.write_bytes(slice_of_block(number))
        return paths

    def server(
        self, kind: Kind, transform: str, *, workers: int = 1, cores: str = SERVER_CORE, copy: int = 0
    ) -> Server:
        """A server of this kind that runs `transform`; started when it is first asked for, then shared."""
        key = (kind, transform, workers, cores, copy)
        if key not in self._servers:
            self._servers[key] = self._running.enter_context(self.start(kind, transform, workers, cores))
        return self._servers[key]

    @contextlib.contextmanager
    def start(self, kind: Kind, transform: str, workers: int = 1, cores: str = SERVER_CORE) -> Iterator[Server]:
        """A server of its own, until the context ends."""
        port = free_port()
        module = kind.write_module(transform, self.folder, port)
        log = module.with_suffix(".log")
        command = kind.start_command(module, port, workers)
        variables = self.variables() | dict(variable.split("=") for variable in kind.variables)
        with started(command, cores, log, variables, self.folder) as process:
            wait_until_ready(process, port, log)
            yield Server(kind, port, process.pid)

    def restart(self) -> None:
        """End the servers, after one misbehaved; who asks for one gets a new one."""
        self._servers.clear()
        self._running.close()

    def delivered(self) -> Delivered:
        """What reached the target so far."""
        return Delivered(**json.loads(_get(self._target_port, "/stats")))

    def require_delivered(self, before: Delivered, least: int) -> None:
        """Check that `least` results arrived since `before`, and none of them wrong.

        Raises:
            WrongAnswerError: it was otherwise.
        """
        now = self.delivered()
        right, wrong = now.right - before.right, now.wrong - before.wrong
        if wrong or right < least:
            raise WrongAnswerError(f"{right} of {least} results arrived right, {wrong} wrong")

    def destination(self, name: str) -> str:
        """The pipeline's last entry for the object `name`."""
        return f"http://{HOST}:{self._target_port}/{uname('dst', name)}?uuid=bench&owt=1"

    def _start_target(self) -> None:
        self._target_port = port = free_port()
        log = self.folder / "target.log"
        command = [sys.executable, "-m", "bench.target", str(port), str(self.objects)]
        process = self.enter_context(started(command, str(LOAD_CORE), log, os.environ, ROOT))
        wait_until_ready(process, port, log, "/stats")

    def variables(self) -> dict[str, str]:
        """A server's environment: ours without what concerns it, and the target's address."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OWN_VARIABLES)}
        return kept | {"AIS_TARGET_URL": f"http://{HOST}:{self._target_port}{TARGET_PATH}", "DIRECT_PUT": "true"}


def slice_of_block(number: int) -> bytes:
    """The `SMALL` bytes of object `number`."""
    begin = number * 37 % (len(BLOCK) - SMALL)
    return BLOCK[begin : begin + SMALL]


def free_port() -> int:
    """A port that nobody listens on, from outside the range out of which clients get theirs."""
    while True:
        port = random.randrange(*_PORTS)
        with contextlib.suppress(OSError), socket.create_server((HOST, port)):
            return port


def uname(bucket: str, name: str) -> str:
    """The object's name as one path-escaped segment."""
    return quote(f"ais/@#/{bucket}/{name}", safe="@")


def fqn_query(path: Path) -> str:
    """The query that names a file: path-escaped, and then escaped as a query's value."""
    return "etl_fqn=" + quote(quote(str(path)), safe="")


def wait_until_ready(process: "subprocess.Popen[bytes]", port: int, log: Path, path: str = "/health") -> None:
    """Wait until a server that has been started answers, whatever it answers.

    Raises:
        BenchError: it has ended, or takes too long.
    """
    until = time.monotonic() + _START_UP
    while time.monotonic() < until and process.poll() is None:
        with contextlib.suppress(OSError, http.client.HTTPException):
            _get(port, path)
            return
        time.sleep(0.002)
    raise BenchError("a server did not start: " + log.read_text(errors="replace")[-500:])


def _get(port: int, path: str) -> bytes:
    connection = http.client.HTTPConnection(HOST, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().read()
    finally:
        connection.close()
