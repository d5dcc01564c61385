"""The options of commands that serve: where to listen, and what to log."""

from collections.abc import Callable
from typing import TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., object])

_OPTIONS = (
    click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on."),  # noqa: S104
    click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: any free."),
    click.option(
        "--log-level",
        default="info",
        show_default=True,
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="Least level that is logged.",
    ),
    click.option("--fd", type=int, hidden=True, help="Listen on this inherited socket."),
    click.option("--uds", type=click.Path(), hidden=True, help="Listen on a socket in the file system."),
)


def listening(command: _Command) -> _Command:
    """Give a command the options `host`, `port`, `log_level`, `fd` and `uds`."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command
