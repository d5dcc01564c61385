"""`instore check URL`: the protocol's checks against an ETL server of any make."""

import contextlib
import socket
import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from instore.errors import ConfigurationError
from instore.protocol.environment import AIS_TARGET_URL
from instore.system import exit_codes
from instore.system.addresses import url_of
from instore.testing.protocol_checks import CHECKS, Row, Subject, Verdict, run_checks
from instore.testing.target import PREFIX, StandInTarget

_OBJECT = b"an object of instore check\n"
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_WIDTH = max(len(name) for name, _, _ in CHECKS)


@click.command("check", short_help="Check an ETL server.")
@click.argument("url")
@click.option("--object", "sample", type=_FILE, metavar="FILE", help="An object that the transform takes.  [a text]")
@click.option("--bad", type=_FILE, metavar="FILE", help="An object that the transform refuses.")
@click.option("--args", "etl_args", default="", metavar="TEXT", help="Arguments of the transform, its etl_args.")
@click.option("--target-port", default=0, metavar="N", type=click.IntRange(0, 65535), help="The target's; see above.")
@click.option(
    "--timeout", default=30.0, show_default=True, type=click.FloatRange(0.1), help="Seconds without progress."
)
def check(url: str, sample: Path | None, bad: Path | None, etl_args: str, target_port: int, timeout: float) -> None:
    """Check that the ETL server at URL, in whatever language it is written, keeps to AIStore's protocol.

    \b
    instore check http://127.0.0.1:8000 --object photo.jpg --bad notes.txt

    This command plays the target. For what a server fetches from its target, give --target-port N, and start the
    server with

    \b
    AIS_TARGET_URL=http://HOST:N/v1/etl/_object/test/test-secret

    Exit codes: 0 nothing that must be so has failed; 1 something has; 2 the command can't run.
    """
    host, port = _address(url)
    with contextlib.ExitStack() as undo:
        try:
            ours = _our_address(host, port)
            target = undo.enter_context(StandInTarget(ours, target_port))
        except OSError as error:
            where = f"port {target_port}" if target_port else url
            raise ConfigurationError(f"can't use {where}: {error.strerror or error}") from error
        subject = Subject(
            base=url.rstrip("/"),
            target=target,
            data=_OBJECT if sample is None else sample.read_bytes(),
            bad=None if bad is None else bad.read_bytes(),
            etl_args=etl_args,
            pulls=bool(target_port),
            timeout=timeout,
        )
        rows = []
        for row in run_checks(subject):
            rows.append(row)
            click.echo(_line(row))
    click.echo(_sum_up(rows, url_of(ours, target_port or "N")))
    failed = any(row.must and row.verdict is Verdict.FAILED for row in rows)
    sys.exit(exit_codes.FAILED if failed else 0)


def _address(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    try:
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        port = 0
    if parts.scheme not in ("http", "https") or not parts.hostname or not port or parts.path.strip("/"):
        raise ConfigurationError(f"{url!r} is not the URL of a server; expected http://HOST:PORT")
    return parts.hostname, port


def _our_address(host: str, port: int) -> str:
    """The address by which that server reaches this machine."""
    with socket.create_connection((host, port), timeout=10) as connection:
        address: str = connection.getsockname()[0]
        return address


def _line(row: Row) -> str:
    return f"{'must' if row.must else 'should':6}  {row.name:{_WIDTH}}  {row.verdict.value:11}  {row.detail}"


def _sum_up(rows: list[Row], target: str) -> str:
    counts = {verdict: sum(row.verdict is verdict for row in rows) for verdict in Verdict}
    line = ", ".join(f"{count} {verdict.value}" for verdict, count in counts.items())
    if any("--target-port" in row.detail for row in rows):
        line += f"\nfor --target-port N, start the server with {AIS_TARGET_URL}={target}{PREFIX.rstrip('/')}"
    return line
