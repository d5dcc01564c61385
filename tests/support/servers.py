"""A real `instore serve` process around a transform of `tests/transforms`, or one that a test writes."""

import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECRET = "s3cr3t-0f-the-etl"
TRANSFORMS = Path(__file__).parents[1] / "transforms"
TARGET_PATH = f"/v1/etl/_object/test-etl/{SECRET}"

_START_UP = 30.0  # seconds until a start is given up as hung; no measurement


@dataclass
class Server:
    """A running server.

    Attributes:
        host, port: where it listens.
        process: its process.
        log: the file that its output goes to.
        scheme: of its URL.
    """

    host: str
    port: int
    process: subprocess.Popen[bytes]
    log: Path
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://{self.host}:{self.port}"

    def log_text(self) -> str:
        return self.log.read_text(errors="replace")


@contextmanager
def running(
    folder: Path,
    source: Path | str,
    *,
    target_url: str = f"http://127.0.0.1:9{TARGET_PATH}",
    environment: Mapping[str, str] | None = None,
    options: tuple[str, ...] = (),
    name: str = "etl",
    scheme: str = "http",
) -> Iterator[Server]:
    """Serve the transform in `source` until the context ends.

    Args:
        folder: where the module and the log are written.
        source: the module's file, which is copied, or its text, dedented.
        target_url: `AIS_TARGET_URL`; nothing listens on the default.
        environment: further variables.
        options: further options of `instore serve`.
        name: of the module.
        scheme: of its URL.
    """
    module = folder / f"{name}.py"
    module.write_text(source.read_text() if isinstance(source, Path) else textwrap.dedent(source))
    command = [sys.executable, "-m", "instore", "serve", str(module), "--host", "127.0.0.1", "--port", "0", *options]
    variables = {"PYTHONPATH": str(Path(__file__).parents[2]), **(environment or {})}
    with running_command(folder, command, variables, target_url=target_url, name=name, scheme=scheme) as server:
        yield server


@contextmanager
def running_command(
    folder: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    target_url: str = f"http://127.0.0.1:9{TARGET_PATH}",
    name: str = "etl",
    scheme: str = "http",
) -> Iterator[Server]:
    """Run a command of instore that serves, until the context ends.

    Args:
        folder: where it runs and its log is written.
        command: its command line, with `--host 127.0.0.1 --port 0`.
        environment: further variables.
        target_url: `AIS_TARGET_URL`; nothing listens on the default.
        name: of the log.
        scheme: of its URL; one that speaks TLS is not asked whether it is healthy.
    """
    log = folder / f"{name}.log"
    variables = {**clean_environment(), "AIS_TARGET_URL": target_url, **environment}
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=variables, stdout=output, stderr=output, cwd=folder)
    try:
        yield _ready(process, log, scheme)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def clean_environment() -> dict[str, str]:
    """This process's variables, without any that an ETL server would read."""
    return {key: value for key, value in os.environ.items() if not key.startswith(("AIS_", "INSTORE_", "ETL_"))}


def _ready(process: subprocess.Popen[bytes], log: Path, scheme: str) -> Server:
    until = time.monotonic() + _START_UP
    while time.monotonic() < until and process.poll() is None:
        if match := re.search(rf"on {scheme}://127\.0\.0\.1:(\d+)", log.read_text(errors="replace")):
            server = Server("127.0.0.1", int(match[1]), process, log, scheme)
            if _accepts(server) and (scheme == "https" or _healthy(server)):
                return server
        time.sleep(0.02)
    raise AssertionError(f"the server did not start:\n{log.read_text(errors='replace')}")


def _accepts(server: Server) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex((server.host, server.port)) == 0


def _healthy(server: Server) -> bool:
    try:
        with urllib.request.urlopen(f"{server.url}/health", timeout=_START_UP) as answer:
            return bool(answer.read() == b"Running")
    except OSError:
        return False
