"""The options of commands that serve: where to listen, what clients may take, how long a worker stays, what to log."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields
from functools import partial
from typing import TypeVar

import click

from instore.errors import ConfigurationError
from instore.http.limits import Limits, parse_bound, variable_of
from instore.protocol import environment
from instore.system.logs import FORMATS
from instore.system.sizes import parse_size

_Command = TypeVar("_Command", bound=Callable[..., object])


Check = Callable[[str], object]
"""Raises a ConfigurationError for a value that won't do."""

_EDGE: Mapping[str, Check] = {bound.name: partial(parse_bound, bound.name) for bound in fields(Limits)}
_OF_ETL = (
    environment.INSTORE_TIMEOUT,
    environment.INSTORE_MAX_MESSAGE,
    environment.INSTORE_QUEUE,
    environment.INSTORE_OBJECT_TIME,
    environment.INSTORE_TRANSFORM_TIMEOUT,
)
_OF_WEBSOCKETS = ("message_bytes", "fragments")
_NODE_LIMITS: dict[str, Check] = {name: check for name, check in _EDGE.items() if name not in _OF_WEBSOCKETS}
_ETL_LIMITS: dict[str, Check] = {
    # INSTORE_TIMEOUT and INSTORE_MAX_MESSAGE stand for the two that are left out
    **{name: check for name, check in _EDGE.items() if name not in ("progress_time", "message_bytes")},
    **{
        variable.removeprefix(environment.LIMIT_PREFIX).lower(): partial(environment.check_variable, variable)
        for variable in _OF_ETL
    },
    "silent_time": partial(parse_bound, "silent_time"),
}


def _set(name: str, value: str, check: Check) -> None:
    """Put what is given where worker processes find it too."""
    try:
        check(value)
    except ConfigurationError as error:
        raise click.BadParameter(str(error)) from error
    os.environ[variable_of(name)] = value


def _limit_option(limits: Mapping[str, Check]) -> Callable[[_Command], _Command]:
    def set_all(_context: click.Context, _parameter: click.Parameter, values: tuple[str, ...]) -> None:
        for given in values:
            name, _, value = given.partition("=")
            if name not in limits:
                raise click.BadParameter(f"{given!r}: write NAME=NUMBER, NAME being one of {', '.join(limits)}")
            _set(name, value, limits[name])

    return click.option(
        "--limit",
        metavar="NAME=NUMBER",
        multiple=True,
        expose_value=False,
        callback=set_all,
        help="Of what clients may take, such as idle_time=60; docs/limits.md has them all.",
    )


def _own_option(name: str, metavar: str, check: Check, text: str) -> Callable[[_Command], _Command]:
    """An option that sets the variable of the same name."""

    def set_one(_context: click.Context, _parameter: click.Parameter, value: str | None) -> None:
        if value is not None:
            _set(name, value, check)

    flag = f"--{name.replace('_', '-')}"
    return click.option(flag, metavar=metavar, expose_value=False, callback=set_one, help=text)


_GRACE = _own_option(
    "grace", "SECONDS", _EDGE["grace"], "For what is under way when it is told to stop.  [default: 30]"
)
_LIFETIME = (
    _GRACE,
    _own_option(
        "recycle_after",
        "N",
        partial(parse_bound, "recycle_after"),
        "Replace a worker that has served so many objects.",
    ),
    _own_option(
        "recycle_above",
        "SIZE",
        partial(parse_size, variable_of("recycle_above")),
        "Replace a worker that has more memory, such as 4GiB.",
    ),
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
    _limit_option(_ETL_LIMITS),
    *_LIFETIME,
    click.option("--fd", type=int, hidden=True, help="Listen on this inherited socket."),
    click.option("--uds", type=click.Path(), hidden=True, help="Listen on a socket in the file system."),
)


def listening(command: _Command) -> _Command:
    """Give a command the options `host`, `port`, `log_level`, `log_format`, `fd` and `uds`."""
    return _with(_OPTIONS, command)


def limiting(command: _Command) -> _Command:
    """Give a command that serves a store its bounds: the options `limit` and `grace`, which set variables."""
    return _with((_limit_option(_NODE_LIMITS), _GRACE), command)


def logging_options(command: _Command) -> _Command:
    """Give a command the options `log_level` and `log_format`."""
    return _with(_LOGGING, command)


def _with(options: Sequence[Callable[[_Command], _Command]], command: _Command) -> _Command:
    for option in reversed(options):
        command = option(command)
    return command
