"""`instore serve`: one transform, one or several processes, one port."""

import os

import click
from click.core import ParameterSource

from instore.cli.completion import PLACE
from instore.cli.listening import listening
from instore.errors import ConfigurationError
from instore.etl.devices import parse_devices, variables_for
from instore.protocol.environment import (
    AIS_TARGET_URL,
    DROP,
    FAIL,
    INSTORE_MEMBERS,
    INSTORE_MEMBERS_ON_ERROR,
    KEEP,
    NO_TARGET,
    Environment,
)
from instore.runtime.changes import check_watching
from instore.runtime.launch import Place, launch, launch_reloading
from instore.runtime.load import load_class
from instore.server.arguments import describe
from instore.system.logs import LogOptions, log_to_stderr
from instore.webserver.base_etl_server import ETLServer


@click.command(short_help="Serve a transform.")
@click.argument("transform", type=PLACE)
@listening
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--devices", default="", metavar="LIST|auto", help="Accelerators, as 0,1; each worker sees one.")
@click.option("--workers-per-device", default=1, type=click.IntRange(1), metavar="N", help="With --devices.")
@click.option("--help-args", is_flag=True, help="Print the arguments of the class, and end.")
@click.option("--reload", is_flag=True, help="A new worker whenever the code is saved, once it is ready.")
@click.option("--members", metavar="GLOB", help="Objects are shards: serve it for each member that matches, '*.jpg'.")
@click.option("--members-on-error", type=click.Choice((FAIL, DROP, KEEP)), help="A member that fails.  [default: fail]")
@click.option("--target-url", metavar="URL", help=f"The local target's base URL; in place of {AIS_TARGET_URL}.")
@click.option(
    "--ui", "with_page", is_flag=True, help="Add a page at /ui to try it on; needs no target, and --host is 127.0.0.1."
)
def serve(
    transform: str,
    host: str,
    port: int,
    log_level: str,
    log_format: str,
    fd: int | None,
    uds: str | None,
    workers: int,
    devices: str,
    workers_per_device: int,
    help_args: bool,
    reload: bool,
    members: str | None,
    members_on_error: str | None,
    target_url: str | None,
    with_page: bool,
) -> None:
    """Serve TRANSFORM to AIStore's targets.

    TRANSFORM is file.py, file.py:Class or package.module:Class; the class may be left out where the file defines one.

    \b
    instore serve thumbs.py --port 8000 --workers 4

    The environment is that of the AIStore ETL protocol: AIS_TARGET_URL, DIRECT_PUT, ETL_DIRECT_FQN and so on.
    It answers /health, /ready and, for Prometheus, /metrics. Without a cluster, take instore try or instore node.
    """
    if help_args:
        click.echo(args_of(load_class(transform)))
        return
    for variable, value in (
        (AIS_TARGET_URL, target_url),
        (INSTORE_MEMBERS, members),
        (INSTORE_MEMBERS_ON_ERROR, members_on_error),
    ):
        if value is not None:
            os.environ[variable] = value
    if with_page:
        os.environ[AIS_TARGET_URL] = os.environ.get(AIS_TARGET_URL, "").strip() or NO_TARGET
        host = host if _is_given("host") else "127.0.0.1"
    log = LogOptions(log_level, log_format)
    log_to_stderr(log)
    Environment.read(os.environ)
    if reload:
        if workers > 1 or fd is not None or uds is not None or with_page:
            raise ConfigurationError("--reload is for one worker, on a port, without --ui; leave the others out")
        check_watching("--reload")
        launch_reloading(load_class(transform), transform, Place(host, port), log)
    visible = parse_devices(devices) if devices else []
    count = len(visible) * workers_per_device or workers
    if count == 1:
        os.environ.update(variables_for(visible, 0))  # before anything is imported that looks
    command = ["serve", transform, *(["--ui"] if with_page else [])]
    launch(load_class(transform), command, Place(host, port, fd, uds), count, log, visible, with_page)


def _is_given(option: str) -> bool:
    return click.get_current_context().get_parameter_source(option) is not ParameterSource.DEFAULT


def args_of(cls: type[ETLServer]) -> str:
    """The arguments of a class, one a line."""
    if cls.Args is None:
        return f"{cls.__name__} has no Args: its etl_args are a text of its own"
    rows = [f"{name}: {kind}" + (f" = {default}" if default else "") for name, kind, default in describe(cls.Args)]
    return "\n".join(rows)
