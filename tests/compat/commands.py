"""The three servers by the commands that the SDK documents, in any environment, with or without `instore exec`."""

import os
import shlex
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.support.environments import Environment
from tests.support.servers import TARGET_PATH, Server

_START_UP = 60.0  # seconds until a start is given up as hung; no measurement
_WRITTEN_FOR = "fastapi_server import FastAPIServer", "(FastAPIServer)"


@dataclass(frozen=True)
class Kind:
    """One of the SDK's servers.

    Attributes:
        name: for the test's name.
        module: of the class, below `aistore.sdk.etl.webserver`.
        cls: its name.
        command: how it is started, with `{module}` and `{port}`.
        footer: what a file has after the class, with `{cls}` and `{port}`.
        websocket: whether the SDK's has `/ws`.
    """

    name: str
    module: str
    cls: str
    command: str
    footer: str
    websocket: bool = False

    def source(self, text: str, cls: str, port: int) -> str:
        """A transformer's file for this server; it is written for the first."""
        imported, derived = _WRITTEN_FOR
        text = text.replace(imported, f"{self.module} import {self.cls}").replace(derived, f"({self.cls})")
        return text + self.footer.format(cls=cls, port=port)


FASTAPI = Kind(
    "fastapi",
    "fastapi_server",
    "FastAPIServer",
    "uvicorn {module}:fastapi_app --host 127.0.0.1 --port {port}",
    "\n\nfastapi_server = {cls}(port={port})\nfastapi_app = fastapi_server.app\n",
    websocket=True,
)
FLASK = Kind(
    "flask",
    "flask_server",
    "FlaskServer",
    "gunicorn {module}:flask_app --bind 127.0.0.1:{port}",
    "\n\nflask_server = {cls}(port={port})\nflask_app = flask_server.app\n",
)
THREADED = Kind(
    "threaded",
    "http_multi_threaded_server",
    "HTTPMultiThreadedServer",
    "python {module}.py",
    '\n\nif __name__ == "__main__":\n    {cls}(port={port}).start()\n',
)
KINDS = (FASTAPI, FLASK, THREADED)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def variables(environment: Environment, extra: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process in `environment`: its programs first, and nothing of what an ETL reads."""
    kept = {
        key: value for key, value in os.environ.items() if not key.startswith(("AIS_", "ETL_", "INSTORE_", "PYTHON"))
    }
    path = f"{environment.programs}{os.pathsep}{kept['PATH']}"
    return {**kept, "PATH": path, "AIS_TARGET_URL": f"http://127.0.0.1:9{TARGET_PATH}", **extra}


@contextmanager
def serving(
    command: str, port: int, folder: Path, environment: Environment, extra: Mapping[str, str]
) -> Iterator[Server]:
    """Run `command` in `folder` until the context ends; behind `instore exec` where the environment has it."""
    prefix = ["instore", "exec"] if environment.own else []
    log = folder / f"{environment.name}.log"
    with log.open("wb") as output:
        words = [*prefix, *shlex.split(command)]
        process = subprocess.Popen(
            words,
            executable=str(environment.programs / words[0]),
            env=variables(environment, extra),
            stdout=output,
            stderr=output,
            cwd=folder,
            start_new_session=True,  # a server's workers end with it
        )
    try:
        yield _ready(Server("127.0.0.1", port, process, log))
    finally:
        with suppress(ProcessLookupError):  # it may have ended as the test meant it to
            os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _ready(server: Server) -> Server:
    until = time.monotonic() + _START_UP
    while time.monotonic() < until and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=5) as answer:
                if answer.read() == b"Running":
                    return server
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not start:\n{server.log_text()}")
