"""`instore serve`: one transform, one or several processes, one port."""

import os

import click
from click.core import ParameterSource

from instore.cli.listening import listening
from instore.protocol.environment import AIS_TARGET_URL, NO_TARGET, Environment
from instore.runtime.launch import Place, launch
from instore.runtime.load import load_class


@click.command(short_help="Serve a transform.")
@click.argument("transform")
@listening
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--target-url", metavar="URL", help=f"The local target's base URL; in place of {AIS_TARGET_URL}.")
@click.option(
    "--ui", "with_page", is_flag=True, help="Add a page at /ui to try it on; needs no target, and --host is 127.0.0.1."
)
def serve(
    transform: str,
    host: str,
    port: int,
    log_level: str,
    fd: int | None,
    uds: str | None,
    workers: int,
    target_url: str | None,
    with_page: bool,
) -> None:
    """Serve TRANSFORM to AIStore's targets.

    TRANSFORM is file.py, file.py:Class or package.module:Class; the class may be left out where the file defines one.
    The environment is that of the AIStore ETL protocol: AIS_TARGET_URL, DIRECT_PUT, ETL_DIRECT_FQN and so on.

    \b
    instore serve examples/thumbnails.py --ui
    """
    if target_url is not None:
        os.environ[AIS_TARGET_URL] = target_url
    if with_page:
        os.environ[AIS_TARGET_URL] = os.environ.get(AIS_TARGET_URL, "").strip() or NO_TARGET
        host = host if _is_given("host") else "127.0.0.1"
    Environment.read(os.environ)
    command = ["serve", transform, *(["--ui"] if with_page else [])]
    launch(load_class(transform), command, Place(host, port, fd, uds), workers, log_level, with_page)


def _is_given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT
