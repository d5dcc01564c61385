"""What a client says when it initialises an ETL (docs/protocol.md#initialising-an-etl)."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any

from instore.errors import InvalidRequestError
from instore.protocol.etl_spec_fields import faults, seconds

INIT_TIMEOUT = "5m"
OBJ_TIMEOUT = "45s"
_IGNORED = ("argument",)  # a key of old files, which says nothing any more


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
class ETLSpec:
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
    def parse(cls, message: Any) -> "ETLSpec":
        """Read the message of `PUT /v1/etl`; what is null counts as left out, and so does what AIStore ignores."""
        if isinstance(message, dict):
            message = {key: value for key, value in message.items() if value is not None and key not in _IGNORED}
        wrong = faults(message)
        if wrong:
            raise InvalidRequestError("the ETL's specification: " + "; ".join(map(str, wrong)))
        runtime = message["runtime"]
        return cls(
            name=message["name"],
            communication=Communication(message["communication"]),
            init_timeout=_seconds(message.get("init_timeout", INIT_TIMEOUT)),
            obj_timeout=_seconds(message.get("obj_timeout", OBJ_TIMEOUT)),
            direct_put=message.get("support_direct_put", False),
            image=runtime["image"],
            command=tuple(runtime.get("command", ())),
            env=tuple(_variable(entry) for entry in runtime.get("env", ())),
            message=message,
        )


def _seconds(duration: str) -> float:
    return seconds(duration) or 0.0  # it has been checked


def _variable(entry: Mapping[str, str]) -> tuple[str, str]:
    if "\0" in entry["value"]:
        raise InvalidRequestError(
            f"the ETL's specification: the variable {entry['name']} has a character that none can have"
        )
    return entry["name"], entry["value"]
