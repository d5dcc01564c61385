"""The arguments of a transform as an object of its class's `Args`, made from the text of a request."""

import contextlib
import copy
import dataclasses
import re
import typing
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from instore.errors import ArgumentsError, UnfitClassError

_MOST = 1024  # texts whose arguments are kept
_NOTED = "__msgspec_cache__"
_CONSTANT = (int, float, str, bytes, bool, type(None), Enum)

Decode = Callable[[str], Any]


def decoder_of(owner: str, args: Any) -> Decode:
    """What makes the arguments of a class that is called `owner` from a text: JSON, or `side=256&quality=80`.

    What is made of one text is kept, and each object gets a copy: what a transform changes in its arguments is not seen
    by the next object's.

    Raises:
        UnfitClassError: `args` is no type that arguments can be made of.
    """
    if hasattr(args, "model_validate"):  # of pydantic
        return _PydanticArguments(args).decode
    is_struct = isinstance(args, type) and issubclass(args, msgspec.Struct)
    if not is_struct and not (isinstance(args, type) and dataclasses.is_dataclass(args)):
        raise UnfitClassError(f"{owner}.Args is {args!r}; it takes a dataclass, a msgspec Struct or a pydantic model")
    try:
        return _TypedArguments(args).decode
    except (TypeError, NameError) as error:
        raise UnfitClassError(f"{owner}.Args has a field that no text can be made into: {error}") from error


def describe(args: Any) -> list[tuple[str, str, str]]:
    """Name, type and default of each argument, for a person."""
    if hasattr(args, "model_validate"):
        return [
            (
                name,
                _type(field.annotation),
                "" if field.is_required() else repr(field.get_default(call_default_factory=True)),
            )
            for name, field in args.model_fields.items()
        ]
    hints = typing.get_type_hints(args)
    return [(field.name, _type(hints[field.name]), _default(field)) for field in _fields(args)]


def schema_of(args: Any) -> dict[str, Any] | None:
    """A type of arguments as a JSON Schema, for forms; None for no type, and for one that has no such description.

    Fields without a description have that of the class's docstring, from a line such as `side: of the picture`.
    """
    try:
        if args is None:
            return None
        schema = args.model_json_schema() if hasattr(args, "model_validate") else _schema(args)
    except (TypeError, ValueError, RuntimeError):  # of a field whose type or default JSON has no word for
        return None
    for name, field in schema.get("properties", {}).items():
        line = re.search(rf"^ *{re.escape(name)}: *(\S.*)$", args.__doc__ or "", re.MULTILINE)
        if line and "description" not in field:
            field["description"] = line[1]
    return schema


def _schema(args: Any) -> dict[str, Any]:
    try:
        schema = msgspec.json.schema(args)
    finally:
        _forget(_dataclasses_in(msgspec.inspect.type_info(args)))
    definitions = schema["$defs"]
    return {**definitions[schema["$ref"].rpartition("/")[2]], "$defs": definitions}


class _TypedArguments:
    """Arguments of a dataclass or a Struct."""

    def __init__(self, args: Any) -> None:
        self._type = args
        self._names = [field.name for field in _fields(args)]
        self._made: dict[str, Any] = {}  # by text, what can be copied for the next object
        msgspec.json.Decoder(args)  # looks at every field's type
        self._dataclasses = list(_dataclasses_in(msgspec.inspect.type_info(args)))
        _forget(self._dataclasses)

    def decode(self, text: str) -> Any:
        if (made := self._made.get(text)) is not None:
            return copy.copy(made)
        made = self._make(text)
        if all(isinstance(getattr(made, name), _CONSTANT) for name in self._names):
            if len(self._made) >= _MOST:
                self._made.clear()
            self._made[text] = made
            return copy.copy(made)
        return made

    def _make(self, text: str) -> Any:
        values = _parse(text)
        for name in values:
            if name not in self._names:
                raise ArgumentsError(f"there is no argument {name!r}; there are {', '.join(self._names) or 'none'}")
        try:
            return msgspec.convert(values, self._type, strict=_is_json(text))
        except (msgspec.ValidationError, TypeError, ValueError) as error:  # the last two of `__post_init__`
            raise ArgumentsError(f"the arguments {text[:200]!r} are wrong: {_readable(error)}") from error
        finally:
            _forget(self._dataclasses)


class _PydanticArguments:
    """Arguments of a pydantic model."""

    def __init__(self, args: Any) -> None:
        self._type = args

    def decode(self, text: str) -> Any:
        values = _parse(text)
        try:
            return self._type.model_validate(values)
        except ValueError as error:
            faults = error.errors() if hasattr(error, "errors") else []
            words = "; ".join(f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in faults) or str(error)
            raise ArgumentsError(f"the arguments {text[:200]!r} are wrong: {words}") from error


def _forget(classes: Iterable[type]) -> None:
    """Take from the user's classes what msgspec has noted there: with it none of them could be pickled and sent."""
    for cls in classes:
        with contextlib.suppress(AttributeError):
            delattr(cls, _NOTED)


def _dataclasses_in(kind: Any) -> Iterator[type]:
    """The dataclasses among a type and those that it is made of, each once."""
    seen, waiting = set[int](), [kind]
    while waiting:
        kind = waiting.pop()
        if id(kind) in seen or not isinstance(kind, msgspec.inspect.Type):
            continue
        seen.add(id(kind))
        if isinstance(kind, msgspec.inspect.DataclassType):
            yield kind.cls
            waiting += [field.type for field in kind.fields]
        waiting += [getattr(kind, name, None) for name in ("type", "item_type", "key_type", "value_type")]
        waiting += [*getattr(kind, "types", ()), *getattr(kind, "item_types", ())]


def _fields(args: Any) -> tuple[Any, ...]:
    if issubclass(args, msgspec.Struct):
        return msgspec.structs.fields(args)
    return tuple(field for field in dataclasses.fields(args) if field.init)


def _is_json(text: str) -> bool:
    return text.lstrip().startswith("{")


def _parse(text: str) -> dict[str, Any]:
    """The values by their names; those of a query are texts."""
    if not text.strip():
        return {}
    if _is_json(text):
        try:
            return msgspec.json.decode(text, type=dict[str, Any])
        except (msgspec.DecodeError, RecursionError) as error:
            raise ArgumentsError(f"the arguments {text[:200]!r} are not JSON: {error}") from error
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True)
    except ValueError as error:
        raise ArgumentsError(
            f"the arguments {text[:200]!r} are neither a JSON object nor written like side=256&quality=80"
        ) from error
    values = dict(pairs)
    if len(values) < len(pairs):
        raise ArgumentsError(f"the arguments {text[:200]!r} have one more than once")
    return values


def _readable(error: Exception) -> str:
    """msgspec's words, with the field first."""
    reason, separator, place = str(error).partition(" - at `$.")
    return f"{place.rstrip('`')}: {reason}" if separator else reason


def _type(annotation: Any) -> str:
    name = annotation.__name__ if isinstance(annotation, type) and not typing.get_args(annotation) else str(annotation)
    return name.replace("typing.", "")


def _default(field: Any) -> str:
    """As a person writes it; nothing where the argument must be given."""
    nothing = (dataclasses.MISSING, msgspec.NODEFAULT)
    if field.default not in nothing:
        return repr(field.default)
    return repr(field.default_factory()) if field.default_factory not in nothing else ""
