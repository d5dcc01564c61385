"""The options of commands that serve: where to listen, and what to log."""

import os
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import TypeVar

import click

from instore.errors import ConfigurationError
from instore.http.limits import Limits, variable_of
from instore.system.logs import FORMATS

_Command = TypeVar("_Command", bound=Callable[..., object])


def _set_limits(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> None:
    """Put what is given where worker processes find it too."""
    names = [bound.name for bound in fields(Limits)]
    for value in values:
        name, _, number = value.partition("=")
        if name not in names:
            raise click.BadParameter(f"{value!r}: write NAME=NUMBER, NAME being one of {', '.join(names)}")
        os.environ[variable_of(name)] = number
    try:
        Limits.read(os.environ)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from error


limiting = click.option(
    "--limit",
    metavar="NAME=NUMBER",
    multiple=True,
    expose_value=False,
    callback=_set_limits,
    help="Of what clients may take, such as idle_time=60; docs/limits.md has them all.",
)

_LOGGING = (
    click.option(
        "--log-level",
        default="info",
        metavar="LEVEL",
        type=click.Choice(["debug", "info", "warning", "error"]),
        help="From debug, info, warning or error.  [default: info]",
    ),
    click.option(
        "--log-format",
        default=FORMATS[0],
        type=click.Choice(FORMATS),
        help="Lines of the log.  [default: text]",
    ),
)
_OPTIONS = (
    click.option("--host", default="0.0.0.0", show_default=True, help="Address to listen on."),  # noqa: S104
    click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65535), help="Port; 0: any free."),
    *_LOGGING,
    limiting,
    click.option("--fd", type=int, hidden=True, help="Listen on this inherited socket."),
    click.option("--uds", type=click.Path(), hidden=True, help="Listen on a socket in the file system."),
)


def listening(command: _Command) -> _Command:
    """Give a command the options `host`, `port`, `log_level`, `log_format`, `fd` and `uds`."""
    return _with(_OPTIONS, command)


def logging_options(command: _Command) -> _Command:
    """Give a command the options `log_level` and `log_format`."""
    return _with(_LOGGING, command)


def _with(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command
