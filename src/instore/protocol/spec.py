"""What a client says when it initialises an ETL (protocol section 7)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from instore.errors import InvalidRequestError

INIT_TIMEOUT = "5m"
OBJ_TIMEOUT = "45s"

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{4,30}[a-z0-9]")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]*")
_DURATION_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


class Communication(Enum):
    """How the target talks to the ETL's server."""

    HPUSH = "hpush://"
    HPULL = "hpull://"
    WS = "ws://"


class Stage(Enum):
    """Where an ETL is in its life."""

    INITIALIZING = "Initializing"
    RUNNING = "Running"
    ABORTED = "Aborted"


@dataclass(frozen=True, slots=True)
class EtlSpec:
    """What an ETL is to be.

    Attributes:
        name: its name.
        communication: how the target talks to its server.
        init_timeout: seconds in which the server must be ready.
        obj_timeout: seconds that one object may take.
        direct_put: its server may deliver results itself.
        image: name of the container image that runs it.
        command: what to run in it; empty: the image's own.
        env: variables for it.
        message: the whole as the client has said it.
    """

    name: str
    communication: Communication
    init_timeout: float
    obj_timeout: float
    direct_put: bool
    image: str
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    message: Mapping[str, Any]

    @classmethod
    def parse(cls, message: Any) -> "EtlSpec":
        """Read the message of `PUT /v1/etl`.

        Raises:
            InvalidRequestError: it is not what is due; the text says which part.
        """
        message = _mapping(message, "the ETL's specification")
        runtime = _mapping(message.get("runtime"), "runtime")
        communication = _communication(message.get("communication") or Communication.HPUSH.value)
        direct_put = message.get("support_direct_put", False)
        if not isinstance(direct_put, bool):
            raise InvalidRequestError(f"support_direct_put is {direct_put!r}; it is true or false")
        if communication is Communication.WS and not direct_put:
            raise InvalidRequestError("communication ws:// needs support_direct_put: true (direct_put=True)")
        image = runtime.get("image")
        if not isinstance(image, str) or not image.strip():
            raise InvalidRequestError("runtime.image is missing; it names the container image that runs the ETL")
        return cls(
            name=check_name(message.get("name")),
            communication=communication,
            init_timeout=_positive("init_timeout", message.get("init_timeout") or INIT_TIMEOUT),
            obj_timeout=_positive("obj_timeout", message.get("obj_timeout") or OBJ_TIMEOUT),
            direct_put=direct_put,
            image=image.strip(),
            command=_command(runtime.get("command")),
            env=_env(runtime.get("env")),
            message=message,
        )


def check_name(name: Any) -> str:
    """`name`, if an ETL may be called so.

    Raises:
        InvalidRequestError: it may not.
    """
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidRequestError(
            f"ETL name {name!r} is invalid: 6 to 32 of a-z, 0-9 and hyphen, starting and ending without a hyphen"
        )
    return name


def parse_duration(text: Any) -> float:
    """Seconds of a duration as Go writes it: `45s`, `1h30m`, `1.5s`; a plain number is seconds.

    Raises:
        ValueError: it is none.
    """
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    text = text.strip() if isinstance(text, str) else ""
    parts = _DURATION_PART.findall(text)
    if parts and "".join(number + unit for number, unit in parts) == text:
        return sum(float(number) * _UNITS[unit] for number, unit in parts)
    return float(text)


def _positive(key: str, value: Any) -> float:
    try:
        seconds = parse_duration(value)
    except ValueError as error:
        raise InvalidRequestError(f"{key} is {value!r}; expected a duration such as 45s or 5m") from error
    if not 0 < seconds < float("inf"):
        raise InvalidRequestError(f"{key} is {value!r}; it must be longer than nothing, and end")
    return seconds


def _mapping(value: Any, what: str) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequestError(f"{what} is missing or not an object")
    return value


def _communication(value: Any) -> Communication:
    try:
        return Communication(value)
    except ValueError as error:
        choices = ", ".join(one.value for one in Communication)
        raise InvalidRequestError(f"communication is {value!r}; it is one of {choices}") from error


def _command(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(word, str) and "\0" not in word for word in value):
        raise InvalidRequestError("runtime.command is not a list of words")
    return tuple(value)


def _env(value: Any) -> tuple[tuple[str, str], ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise InvalidRequestError("runtime.env is not a list of {name, value}")
    return tuple(_variable(entry) for entry in value)


def _variable(entry: Any) -> tuple[str, str]:
    name = entry.get("name") if isinstance(entry, dict) else None
    value = entry.get("value", "") if isinstance(entry, dict) else None
    if not isinstance(name, str) or not _VARIABLE.fullmatch(name) or not isinstance(value, str) or "\0" in value:
        raise InvalidRequestError("runtime.env has an entry that is not {name, value} with the name of a variable")
    return name, value
