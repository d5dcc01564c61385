"""`instore serve`: one transform, one or several processes, one port."""

import os

import click

from instore.cli.listening import listening
from instore.protocol.environment import AIS_TARGET_URL, Environment
from instore.runtime.launch import Place, launch
from instore.runtime.load import load_class
from instore.system.logs import LogOptions, log_to_stderr


@click.command(short_help="Serve a transform.")
@click.argument("transform")
@listening
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--target-url", metavar="URL", help=f"The local target's base URL; in place of {AIS_TARGET_URL}.")
def serve(
    transform: str,
    host: str,
    port: int,
    log_level: str,
    log_format: str,
    fd: int | None,
    uds: str | None,
    workers: int,
    target_url: str | None,
) -> None:
    """Serve TRANSFORM to AIStore's targets.

    TRANSFORM is file.py, file.py:Class or package.module:Class; the class may be left out where the file defines one.
    The environment is that of the AIStore ETL protocol: AIS_TARGET_URL, DIRECT_PUT, ETL_DIRECT_FQN and so on.
    It answers /health, /ready and, for Prometheus, /metrics.
    """
    if target_url is not None:
        os.environ[AIS_TARGET_URL] = target_url
    log = LogOptions(log_level, log_format)
    log_to_stderr(log)
    Environment.read(os.environ)
    launch(load_class(transform), ["serve", transform], Place(host, port, fd, uds), workers, log)
