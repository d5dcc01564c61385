"""What `instore check` says of all servers: `python -m tests.faults.checked` writes it into docs/compared.md."""

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from bench import peers
from instore.testing.protocol_checks import Row, Subject, Verdict, run_checks
from instore.testing.target import StandInTarget
from tests.faults.page import CHECKED, PAGE, kept_section

_KINDS = {
    "instore": peers.INSTORE,
    "`HTTPMultiThreadedServer`": peers.THREADED,
    "`FastAPIServer`, uvicorn": peers.FASTAPI,
    "`FlaskServer`, gunicorn": peers.FLASK,
    "AIStore's Go framework": peers.GO,
}
_START_UP = 60.0  # seconds until a start is given up as hung
_PATIENCE = 10.0  # seconds without progress


def check(kind: peers.Kind, folder: Path) -> list[Row]:
    """Every check of one server, which is started for it."""
    with StandInTarget("127.0.0.1", 0) as target, _running(kind, folder, target) as url:
        subject = Subject(
            base=url,
            target=target,
            data=b"an object of instore check\n",
            bad=b"bad object",
            etl_args="",
            pulls=True,
            timeout=_PATIENCE,
        )
        return list(run_checks(subject))


@contextmanager
def _running(kind: peers.Kind, folder: Path, target: StandInTarget) -> Iterator[str]:
    port = _free_port()
    module = kind.write_module("refusing", folder, port)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIS_", "ETL_", "INSTORE_"))}
    with (folder / f"{module.stem}.log").open("wb") as log:
        process = subprocess.Popen(
            kind.start_command(module, port, 1),
            env={**inherited, "AIS_TARGET_URL": target.url},
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    try:
        yield _ready(f"http://127.0.0.1:{port}", process, Path(log.name))
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _ready(url: str, process: "subprocess.Popen[bytes]", log: Path) -> str:
    until = time.monotonic() + _START_UP
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=5) as answer:
                if answer.status == 200:
                    return url
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{log.read_text(errors='replace')}")


def section(results: Mapping[str, Sequence[Row]]) -> str:
    """The part of the page."""
    lines = [
        CHECKED,
        "",
        f"Written by `python -m tests.faults.checked` on {datetime.now(UTC):%Y-%m-%d}, instore {version('instore')}: "
        "each server with a class that refuses one object. `instore check URL` asks the same of a server in any "
        "language.",
        "",
        "| server | ok | FAILED | not checked | what fails (**must**: objects are lost or damaged in a cluster) |",
        "| --- | ---: | ---: | ---: | --- |",
    ]
    for name, rows in results.items():
        counts = [str(sum(row.verdict is verdict for row in rows)) for verdict in Verdict]
        failed = [f"{'**must** ' if row.must else ''}{row.name}" for row in rows if row.verdict is Verdict.FAILED]
        lines.append(f"| {name} | {' | '.join(counts)} | {'; '.join(failed)} |")
    return "\n".join([*lines, "", "Not checked is what a server doesn't have: a WebSocket, or a way to pull.", "", ""])


def main() -> None:
    peers.install()
    kinds = dict(_KINDS)
    if reason := peers.build_go():
        print(reason, file=sys.stderr)
        del kinds["AIStore's Go framework"]
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, kind in kinds.items():
            results[name] = check(kind, Path(folder))
            for row in results[name]:
                print(f"{name}: {row.name}: {row.verdict.value}: {row.detail}", file=sys.stderr)
    text = PAGE.read_text()
    PAGE.write_text(text.replace(kept_section(text), section(results)))


if __name__ == "__main__":
    main()
