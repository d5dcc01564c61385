"""`instore serve`: one transform, one or several processes, one port."""

import os
import socket
import sys

import click

from instore.protocol.environment import PARENT_FD, TARGET_URL, Environment
from instore.runtime.load import load_class
from instore.runtime.serving import bind_for, bind_unix, set_up_logging
from instore.runtime.serving import serve as run_worker
from instore.runtime.supervisor import Supervisor, worker_command
from instore.webserver.engine import bind


@click.command(short_help="Serve a transform.")
@click.argument("target")
@click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on.")  # noqa: S104
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: any free one.")
@click.option("--workers", default=1, show_default=True, type=click.IntRange(1), help="Processes.")
@click.option("--target-url", metavar="URL", help=f"The local target's base URL; in place of {TARGET_URL}.")
@click.option(
    "--log-level",
    default="info",
    show_default=True,
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Least level that is logged.",
)
@click.option("--fd", type=int, hidden=True, help="Listen on this inherited socket.")
@click.option("--uds", type=click.Path(), hidden=True, help="Listen on a socket in the file system.")
def serve(
    target: str,
    host: str,
    port: int,
    workers: int,
    target_url: str | None,
    log_level: str,
    fd: int | None,
    uds: str | None,
) -> None:
    """Serve the transform TARGET to AIStore's targets.

    TARGET is file.py, file.py:Class or package.module:Class; the class may be left out where the file defines one.
    The environment is that of the AIStore ETL protocol: AIS_TARGET_URL, DIRECT_PUT, ETL_DIRECT_FQN and so on.
    """
    if target_url is not None:
        os.environ[TARGET_URL] = target_url
    Environment.read(os.environ)
    cls = load_class(target)
    if fd is not None:
        run_worker(cls, socket.socket(fileno=fd), log_level)
    elif workers == 1 or uds is not None:
        listener = bind_unix(uds) if uds is not None else bind(host, port)
        _announce(cls.__name__, listener, 1)
        run_worker(cls, listener, log_level)
    else:
        listeners = bind_for(workers, host, port)
        _announce(cls.__name__, listeners[0], workers)
        set_up_logging(log_level)
        commands = [(worker_command(target, one.fileno(), log_level), one.fileno()) for one in listeners]
        sys.exit(Supervisor(commands).run(PARENT_FD))


def _announce(name: str, listener: socket.socket, workers: int) -> None:
    address = listener.getsockname()
    place = address if isinstance(address, str) else f"http://{address[0]}:{address[1]}"
    click.echo(f"instore: {name} on {place}, {workers} worker{'s' if workers > 1 else ''}", err=True)
