"""Runs the fault table against the official SDK's servers: `python -m tests.faults.compare --server fastapi`.

What a target concludes is held against the truth and nothing else: how an error is told is each server's own affair.
Rows that a server has no means to serve are left out. The results are kept, a file for each server, and the page
docs/compared.md is written from all that are there.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import click

from bench import peers
from tests.faults import page
from tests.faults.bench import Bench, Happened, Instore, Make
from tests.faults.doors import WS, Conclusion, Kind, OddError, Oddity, Source
from tests.faults.judge import Finding, Harm, untruth
from tests.faults.table import MAIN_SHAPES, ROWS, Must, Row, Variant
from tests.faults.transforms import Shape, source_of
from tests.support.environments import OFFICIAL
from tests.support.servers import Server

_KINDS = {"fastapi": peers.FASTAPI, "flask": peers.FLASK, "threaded": peers.THREADED}
_CLASSES = {Shape.BUFFERED: "Buffered", Shape.STREAMED: "Streamed"}
_PATIENCE = 5.0  # seconds until a row counts as "no answer"; longer than any retry of the table waits
_SETTLE = 0.4  # seconds that a server is given to be through with what nobody waits for; it tells nothing
_START_UP = 30.0


@dataclass(frozen=True)
class Foreign:
    """A make of server that is not ours.

    Attributes:
        kind: the server, as the benchmark starts it.
    """

    kind: peers.Kind

    @contextmanager
    def _running(self, folder: Path, shape: Shape, variables: Mapping[str, str], name: str) -> Iterator[Server]:
        port, log = _free_port(), folder / f"{name}.log"
        module = folder / f"{name}_{port}.py"
        module.write_text(self._source(shape, port))
        with log.open("wb") as output:
            process = subprocess.Popen(
                self.kind.start_command(module, port, 1),
                env=dict(variables),
                stdout=output,
                stderr=output,
                cwd=folder,
                start_new_session=True,  # a server that hangs is ended with all its workers
            )
        try:
            yield _ready(Server("127.0.0.1", port, process, log))
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def start(
        self, folder: Path, shape: Shape, *, target_url: str, environment: Mapping[str, str], name: str
    ) -> AbstractContextManager[Server]:
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AIS_", "ETL_"))}
        return self._running(folder, shape, {**inherited, "AIS_TARGET_URL": target_url, **environment}, name)

    def wait_for_end(self, server: Server, begun: int, name: str) -> None:
        time.sleep(_SETTLE)

    def _source(self, shape: Shape, port: int) -> str:
        source = source_of(shape).replace("from instore import ETLServer\n", self.kind.imports)
        return f"{source}\n\nTransform = {_CLASSES[shape]}\n{self.kind.footer.format(port=port)}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _ready(server: Server) -> Server:
    until = time.monotonic() + _START_UP
    while time.monotonic() < until and server.process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.url}/health", timeout=1) as answer:
                if answer.status == 200:
                    return server
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"the server did not start:\n{server.log_text()}")


def rows_for(name: str, sizes: str, words: str, limit: int) -> list[Row]:
    """The rows that the server can be asked.

    Args:
        name: the server's.
        sizes: `one` size for each combination with a fault, or `all`.
        words: a part of the row's name; empty: any.
        limit: of rows with the same fault; 0: none.
    """
    chosen: dict[str, Row] = {}
    count: Counter[str] = Counter()
    for row in ROWS:
        key = row.id if sizes == "all" or row.fault == "good" else replace(row, size=1000).id
        if key in chosen or not _serves(name, row) or words not in row.id or (limit and count[row.fault] >= limit):
            continue
        chosen[key] = row
        count[row.fault] += 1
    return list(chosen.values())


def _serves(name: str, row: Row) -> bool:
    if row.shape not in MAIN_SHAPES or row.variant in (Variant.HASTY, Variant.DRAINS, Variant.TLS):
        return False
    if row.source is Source.URL:  # ours alone
        return False
    if row.door is WS and (row.shape.streamed or name not in ("fastapi", "instore")):
        return False
    if name == "threaded":  # it takes no chunks, and never says "100 Continue", for which such a client waits
        return row.source is not Source.CHUNKED and not row.client.asks_first
    return True


@dataclass
class _Try:
    """A row in a thread of its own, which is left behind when it hangs."""

    bench: Bench
    row: Row
    happened: Happened | None = None
    odd: OddError | None = None
    failed: Exception | None = field(default=None)

    def run(self) -> None:
        try:
            self.happened = self.bench.run(self.row)
        except OddError as odd:
            self.odd = odd
        except Exception as error:  # also what a client's library raises: judged by the caller
            self.failed = error


def judged(bench: Bench, row: Row, patience: float = _PATIENCE) -> Finding | None:
    """Run the row and say where it disagrees with the truth; without an answer after `patience` seconds it hangs."""
    bench.prepare(row)
    attempt = _Try(bench, row)
    thread = threading.Thread(target=attempt.run, daemon=True)
    thread.start()
    thread.join(patience)
    if attempt.happened is not None:
        return untruth(row, attempt.happened)
    if attempt.odd is not None:
        return _judge_oddity(row, bench, attempt.odd)
    bench.drop(row)
    if attempt.failed is not None:
        raise attempt.failed
    if row.expected.must is Must.BE_SAFE:  # nobody waits: only what is stored counts
        left = Conclusion(Kind.LEFT)
        return untruth(row, Happened(left, bench.server(row.shape, row.variant), row.id, bench.peer))
    return Finding(Harm.HANGS, "nothing", f"the target waits more than {patience:.0f} s")


def _judge_oddity(row: Row, bench: Bench, odd: OddError) -> Finding | None:
    if odd.conclusion is not None:  # out of form, but a target knows what to make of it
        bench.peer.settled(row.id)
        return untruth(row, Happened(odd.conclusion, bench.server(row.shape, row.variant), row.id, bench.peer))
    match odd.oddity:
        case Oddity.SHIFTED:
            return Finding(Harm.LOST, "the next object's content", "the answers have slipped by one object")
        case Oddity.UNREADABLE:
            true = "nothing is wrong" if row.expected.must is Must.SUCCEED else "something is wrong"
            return Finding(Harm.UNREADABLE, f"status {odd.detail}", true)
        case _:
            return Finding(Harm.HANGS, "nothing", "the target waits")


def run(name: str, make: Make, rows: Sequence[Row], save: Path) -> None:
    """Run the rows one after the other and keep what came of them, also when it is broken off."""
    save.parent.mkdir(parents=True, exist_ok=True)
    findings: dict[str, tuple[str, Finding]] = {}
    faults: Counter[str] = Counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        bench = Bench(Path(folder), make)
        try:
            for row in rows:
                finding = judged(bench, row)
                faults[row.fault] += 1
                if finding is not None:
                    findings[row.id] = (row.fault, finding)
                    click.echo(f"{row.id}: {finding.harm}: {finding.said}; {finding.true}")
        finally:
            bench.close()
            save.write_text(
                json.dumps(
                    {
                        "server": name,
                        "rows": faults.total(),
                        "asked": len(rows),
                        "faults": faults,
                        "findings": {key: [fault, asdict(finding)] for key, (fault, finding) in findings.items()},
                    },
                    indent=1,
                )
            )


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--peer-python", type=click.Path(path_type=Path, exists=True), help="Default: .peers/official.")
@click.option("--server", "servers", type=click.Choice([*_KINDS, "instore"]), multiple=True, help="Default: all.")
@click.option("-k", "words", default="", help="Only rows whose name has this part.")
@click.option("--limit-per-kind", default=0, help="Rows with the same fault, at most; 0: all.")
@click.option("--sizes", type=click.Choice(["one", "all"]), default="one", help="Sizes of each combination.")
def main(peer_python: Path | None, servers: Sequence[str], words: str, limit_per_kind: int, sizes: str) -> None:
    """Run the fault table against the official SDK's servers and write docs/compared.md.

    With -k or --limit-per-kind the page is left as it is.
    """
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if peer_python is None:
        peers.install()
        peer_python = OFFICIAL.python
    partial = bool(words or limit_per_kind)
    for name in servers or (*_KINDS, "instore"):
        own = name == "instore"
        make = Instore() if own else Foreign(replace(_KINDS[name], programs=peer_python.absolute().parent))
        rows = rows_for(name, sizes, words, limit_per_kind)
        begun = time.monotonic()
        run(name, make, rows, page.SAVED / ("partial" if partial else "") / f"{name}.json")
        click.echo(f"{name}: {len(rows)} rows in {time.monotonic() - begun:.0f} s", err=True)
    if not partial:
        page.write(peer_python)


if __name__ == "__main__":
    main(prog_name="python -m tests.faults.compare")
