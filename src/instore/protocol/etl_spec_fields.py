"""What may stand in the message or file that makes an ETL (docs/protocol.md#initialising-an-etl).

`faults` reads plain data, as JSON or YAML give it, and finds all that is wrong at once.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal

from instore.protocol.environment import AIS_TARGET_URL, DIRECT_PUT, ETL_DIRECT_FQN

COMMUNICATIONS = ("hpush", "hpull", "ws")

_NAME = re.compile(r"[a-z0-9-]+")
_POD = (
    "a Kubernetes pod, the older form of an ETL, which is not supported; write the form with name, communication and "
    "runtime (image, command, env), as instore spec does"
)
_SHORTEST, _LONGEST = 6, 32
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_IMAGE = re.compile(
    r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
_VARIABLE = re.compile(r"[A-Za-z_.-][A-Za-z0-9_.-]*")
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei|[eE]\d{1,2})?", re.ASCII)
_UNITS = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{unit: Decimal(1000) ** power for power, unit in enumerate("kMGTPE", 1)},
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", 1)},
}
_SET_BY_THE_CLUSTER = frozenset({AIS_TARGET_URL, DIRECT_PUT})

Place = tuple[str | int, ...]
"""Where in the message: keys and, in lists, places from 0."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something wrong.

    Attributes:
        place: where; empty for the whole.
        text: what, and what would be right.
    """

    place: Place
    text: str

    def __str__(self) -> str:
        """`runtime.env[1].name: …`."""
        path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in self.place).lstrip(".")
        return f"{path}: {self.text}" if path else self.text


def faults(spec: object) -> list[Fault]:
    """All that is wrong with the message that makes an ETL; empty if nothing is."""
    if not isinstance(spec, Mapping):
        return [Fault((), f"is {_kind(spec)}; an ETL is keys and values, with name, communication and runtime")]
    if "apiVersion" in spec or "kind" in spec or "spec" in spec:
        return [Fault((), f"is {_POD}")]
    return [*_fields(spec, (), _ETL), *_web_socket_without_direct_put(spec)]


def name_fault(name: str) -> str | None:
    """What is wrong with the name of an ETL; None if nothing is."""
    if not _SHORTEST <= len(name) <= _LONGEST:
        return f"a name has {_SHORTEST} to {_LONGEST} characters; {name!r} has {len(name)}"
    if not _NAME.fullmatch(name):
        return f"{name!r} is not a valid name: use a to z, 0 to 9 and hyphens"
    return None


def variable_fault(name: str) -> str | None:
    """What is wrong with the name of an environment variable of the container; None if nothing is."""
    if not _VARIABLE.fullmatch(name):
        return f"{name!r} is not a valid variable name: use letters, digits, _, . and -, not beginning with a digit"
    if name in _SET_BY_THE_CLUSTER:
        return f"{name} is set by the cluster; leave it out"
    return None


def seconds(duration: str) -> float | None:
    """A duration as Go writes it, such as `45s`, `5m` or `1h30m`, in seconds; None if it is not one."""
    parts = list(_DURATION.finditer(duration))
    if not parts or "".join(part[0] for part in parts) != duration:
        return None
    return sum(float(part[1]) * _SECONDS[part[2]] for part in parts)


_SECONDS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

_Check = Callable[[object, Place], Iterator[Fault]]


def _kind(value: object) -> str:
    if value is None:
        return "empty"
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    return kinds.get(type(value), "keys and values" if isinstance(value, Mapping) else f"a {type(value).__name__}")


def _text(check: Callable[[str], str | None], example: str = "") -> _Check:
    """A text, of which `check` says what is wrong; `example` is what to write in place of a number."""

    def checked(value: object, place: Place) -> Iterator[Fault]:
        if not isinstance(value, str):
            hint = example or (f'"{str(value).lower()}" in quotes' if isinstance(value, bool | int | float) else "")
            yield Fault(place, f"is {_kind(value)}, expected text" + (f": write {hint}" if hint else ""))
        elif (fault := check(value)) is not None:
            yield Fault(place, fault)

    return checked


def _communication(text: str) -> str | None:
    if text.endswith("://") and text.removesuffix("://") in COMMUNICATIONS:
        return None
    return f"{text!r} is not one of {', '.join(f'{one}://' for one in COMMUNICATIONS)}"


def _duration(text: str) -> str | None:
    length = seconds(text)
    if length is None:
        return f"{text!r} is not a valid duration: write 45s, 5m or 1h30m"
    return None if length > 0 else f"{text!r} is not a valid duration: it has to be longer than 0"


def _image(text: str) -> str | None:
    return (
        None if _IMAGE.fullmatch(text) else f"{text!r} is not a valid image name: write registry.example/team/etl:1.0"
    )


def _argument(text: str) -> str | None:
    if "\0" in text:
        return "has a character that no command line can have"
    return None if text else "is empty"


def _any_text(_text: str) -> None:
    return None


def _flag(value: object, place: Place) -> Iterator[Fault]:
    if not isinstance(value, bool):
        yield Fault(place, f"is {_kind(value)}; it is true or false, without quotes")


def _list_of(check: _Check, least: int = 0) -> _Check:
    def checked(value: object, place: Place) -> Iterator[Fault]:
        if not isinstance(value, list):
            yield Fault(place, f"is {_kind(value)}, expected a list")
        elif len(value) < least:
            yield Fault(place, "is an empty list; leave it out to use the image's own")
        else:
            for number, item in enumerate(value):
                yield from check(item, (*place, number))

    return checked


@dataclass(frozen=True, slots=True)
class _Fields:
    """What keys there may be.

    Attributes:
        known: each key's check.
        required: the keys that must be there.
        hints: what to do instead, for keys that one may take for known.
    """

    known: Mapping[str, _Check]
    required: tuple[str, ...] = ()
    hints: Mapping[str, str] | None = None

    def __call__(self, value: object, place: Place) -> Iterator[Fault]:
        if not isinstance(value, Mapping):
            yield Fault(place, f"is {_kind(value)}, expected keys and values: {', '.join(self.known)}")
            return
        yield from _fields(value, place, self)


def _fields(values: Mapping[object, object], place: Place, fields: _Fields) -> Iterator[Fault]:
    for needed in fields.required:
        if needed not in values:
            yield Fault(place, f"has no {needed}")
    for key, value in values.items():
        if not isinstance(key, str) or key not in fields.known:
            hint = (fields.hints or {}).get(str(key)) or f"there {_are(list(fields.known))}"
            yield Fault((*place, str(key)), f"is not a valid key here; {hint}")
        else:
            yield from fields.known[key](value, (*place, key))


def _are(names: list[str]) -> str:
    return f"is {names[0]}" if len(names) == 1 else f"are {', '.join(names)}"


def _variables(value: object, place: Place) -> Iterator[Fault]:
    yield from _list_of(_VARIABLE_FIELDS)(value, place)
    seen: set[object] = set()
    for number, item in enumerate(value if isinstance(value, list) else []):
        name = item.get("name") if isinstance(item, Mapping) else None
        if isinstance(name, str) and name in seen:
            yield Fault((*place, number, "name"), f"{name} is there twice")
        seen.add(name if isinstance(name, str) else None)


def quantity(value: object) -> Decimal | None:
    """An amount of a resource as Kubernetes writes it, such as `500m` or `2Gi`; None if it is not one."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    match = _QUANTITY.fullmatch(str(value))
    if match is None:
        return None
    unit = match[2] or ""
    return Decimal(match[1]) * (_UNITS[unit] if unit in _UNITS else Decimal(f"1{unit}"))


def _quantity(value: object, place: Place) -> Iterator[Fault]:
    amount = quantity(value)
    if not amount:
        yield Fault(place, f"{value!r} is not a valid amount: write 500m or 2 (CPUs), 512Mi or 4Gi (memory)")


def _resources(value: object, place: Place) -> Iterator[Fault]:
    yield from _RESOURCES(value, place)
    amounts: dict[object, dict[str, Decimal | None]] = {
        kind: {str(name): quantity(amount) for name, amount in part.items()} if isinstance(part, Mapping) else {}
        for kind, part in (value.items() if isinstance(value, Mapping) else ())
    }
    for resource, limit in amounts.get("limits", {}).items():
        request = amounts.get("requests", {}).get(resource)
        if request and limit and request > limit:
            yield Fault((*place, "requests", resource), "is more than its limit")


def _web_socket_without_direct_put(spec: Mapping[object, object]) -> Iterator[Fault]:
    if spec.get("communication") == "ws://" and spec.get("support_direct_put", False) is False:
        yield Fault(("communication",), "ws:// needs direct put: add support_direct_put: true")


_OF_THE_POD = {
    "readinessProbe": "AIStore has each pod asked for its /health; leave it out",
    "livenessProbe": "AIStore's pods have none; leave it out",
    "terminationGracePeriodSeconds": "AIStore ends its pods at once; leave it out",
    "securityContext": "AIStore's pods have none; the image names its user, with USER in the Dockerfile",
    "volumes": "AIStore's pods have the target's volumes, and no others; leave it out",
    "volumeMounts": "AIStore's pods have the target's volumes, and no others; leave it out",
    "ports": "AIStore's pods listen on port 8000; leave it out",
}
"""What of Kubernetes' pods AIStore sets itself."""
_VARIABLE_FIELDS = _Fields({"name": _text(variable_fault), "value": _text(_any_text)}, required=("name", "value"))
_AMOUNTS = _Fields({"cpu": _quantity, "memory": _quantity, "ephemeral-storage": _quantity, "nvidia.com/gpu": _quantity})
_RESOURCES = _Fields({"requests": _AMOUNTS, "limits": _AMOUNTS})
_RUNTIME = _Fields(
    {"image": _text(_image), "command": _list_of(_text(_argument), least=1), "env": _variables},
    required=("image",),
    hints={"args": "write the arguments behind the command's name, in command", **_OF_THE_POD},
)
_ETL = _Fields(
    {
        "name": _text(name_fault),
        "communication": _text(_communication),
        "init_timeout": _text(_duration, "5m, for five minutes"),
        "obj_timeout": _text(_duration, "45s, for 45 seconds"),
        "support_direct_put": _flag,
        "runtime": _RUNTIME,
        "resources": _resources,
    },
    required=("name", "communication", "runtime"),
    hints={
        "argument": f"for the file's path in place of its bytes, set {ETL_DIRECT_FQN} to true in runtime.env",
        "direct_put": "it is called support_direct_put",
        "image": "it belongs into runtime",
        "command": "it belongs into runtime",
        "env": "it belongs into runtime",
        "timeout": "there are init_timeout and obj_timeout",
        **_OF_THE_POD,
    },
)
