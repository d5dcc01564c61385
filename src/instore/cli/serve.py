"""`instore serve`: one transform, one or several processes, one port."""

import os

import click

from instore.cli.listening import listening
from instore.protocol.environment import (
    AIS_TARGET_URL,
    DROP,
    FAIL,
    INSTORE_MEMBERS,
    INSTORE_MEMBERS_ON_ERROR,
    KEEP,
    Environment,
)
from instore.runtime.launch import Place, launch
from instore.runtime.load import load_class


@click.command(short_help="Serve a transform.")
@click.argument("transform")
@listening
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--members", metavar="GLOB", help="Objects are shards: serve it for each member that matches, '*.jpg'.")
@click.option("--members-on-error", type=click.Choice((FAIL, DROP, KEEP)), help="A member that fails.  [default: fail]")
@click.option("--target-url", metavar="URL", help=f"The local target's base URL; in place of {AIS_TARGET_URL}.")
def serve(
    transform: str,
    host: str,
    port: int,
    log_level: str,
    fd: int | None,
    uds: str | None,
    workers: int,
    members: str | None,
    members_on_error: str | None,
    target_url: str | None,
) -> None:
    """Serve TRANSFORM to AIStore's targets.

    TRANSFORM is file.py, file.py:Class or package.module:Class; the class may be left out where the file defines one.
    The environment is that of the AIStore ETL protocol: AIS_TARGET_URL, DIRECT_PUT, ETL_DIRECT_FQN and so on.
    """
    for variable, value in (
        (AIS_TARGET_URL, target_url),
        (INSTORE_MEMBERS, members),
        (INSTORE_MEMBERS_ON_ERROR, members_on_error),
    ):
        if value is not None:
            os.environ[variable] = value
    Environment.read(os.environ)
    launch(load_class(transform), ["serve", transform], Place(host, port, fd, uds), workers, log_level)
