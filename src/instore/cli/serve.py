"""`instore serve`: one transform, one or several processes, one port."""

import os

import click

from instore.cli.completion import PLACE
from instore.cli.listening import listening
from instore.errors import ConfigurationError
from instore.protocol.environment import AIS_TARGET_URL, Environment
from instore.runtime.changes import check_watching
from instore.runtime.launch import Place, launch, launch_reloading
from instore.runtime.load import load_class


@click.command(short_help="Serve a transform.")
@click.argument("transform", type=PLACE)
@listening
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--reload", is_flag=True, help="A new worker whenever the code is saved, once it is ready.")
@click.option("--target-url", metavar="URL", help=f"The local target's base URL; in place of {AIS_TARGET_URL}.")
def serve(
    transform: str,
    host: str,
    port: int,
    log_level: str,
    fd: int | None,
    uds: str | None,
    workers: int,
    reload: bool,
    target_url: str | None,
) -> None:
    """Serve TRANSFORM to AIStore's targets.

    TRANSFORM is file.py, file.py:Class or package.module:Class; the class may be left out where the file defines one.

    \b
    instore serve thumbs.py --port 8000 --workers 4

    The environment is that of the AIStore ETL protocol: AIS_TARGET_URL, DIRECT_PUT, ETL_DIRECT_FQN and so on.
    """
    if target_url is not None:
        os.environ[AIS_TARGET_URL] = target_url
    Environment.read(os.environ)
    if reload:
        if workers > 1 or fd is not None or uds is not None:
            raise ConfigurationError("--reload is for one worker, on a port; leave --workers out")
        check_watching("--reload")
        launch_reloading(load_class(transform), transform, Place(host, port), log_level)
    launch(load_class(transform), ["serve", transform], Place(host, port, fd, uds), workers, log_level)
