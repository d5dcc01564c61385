"""A class on its way to another process: cloudpickle in base64 (docs/protocol.md#shipping-a-class).

To unpickle is to run what the pickle says, and a pickle for another Python may crash the process. So a payload is read
twice. The first time every global of the pickle is a stub that makes nothing: it tells whether this is a pickle,
which modules it needs, and which Python its bytecode is for. The second time is in earnest.

Our payloads begin with a string that the unpickler reads and drops: the version of the Python they come from. Whoever
reads payloads, AIStore's runtime included, gets the class and never sees it. A base that was imported by AIStore's
import path is shipped under that name, so that AIStore's own runtime finds it, too.
"""

import base64
import binascii
import dataclasses
import importlib
import importlib.util
import io
import pickle
import re
import sys
from collections.abc import Callable
from types import CodeType, FunctionType
from typing import Any, TypeVar

import cloudpickle

from instore.errors import PayloadError
from instore.shipping.bytecode import foreign_version

Base = TypeVar("Base")

_HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
_PROTOCOL = b"\x80\x05"
_STRING = b"\x8c"  # with its length in one byte
_DROP = b"0"
_ANY_FILE = "<dynamic-code>"
"""What cloudpickle writes in place of the file that code comes from."""
_MARK = re.compile(re.escape(_PROTOCOL + _STRING) + rb".python (\d+\.\d+)" + _DROP, re.DOTALL)


def dump(cls: type, names_files: bool = False) -> bytes:
    """The payload of a class; with the paths of the files that its code is from, for a process that has them too."""
    mark = b"python " + _HERE.encode()
    pickled = io.BytesIO()
    pickler = _Pickler(pickled)
    pickler.names_files = names_files
    pickler.dump(cls)
    return base64.b64encode(_PROTOCOL + _STRING + bytes([len(mark)]) + mark + _DROP + pickled.getvalue())


class _Pickler(cloudpickle.Pickler):  # type: ignore[misc]  # it has no types
    """Names what comes from this package by AIStore's import paths, where the process has them there."""

    names_files = False

    def reducer_override(self, obj: Any) -> Any:
        """How to pickle `obj`, if not as cloudpickle does."""
        if isinstance(obj, type | FunctionType) and obj.__module__.startswith(_OURS):
            place, name = _their_place(obj), obj.__name__
            if place is not None:
                return getattr, (_Module(place), name)
        if self.names_files and isinstance(obj, CodeType):
            make, parts = self.dispatch_table[CodeType](obj)
            return make, tuple(obj.co_filename if part == _ANY_FILE else part for part in parts)
        return super().reducer_override(obj)


class _Module:
    """A module in a pickle: its name, and not what it holds."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __reduce__(self) -> tuple[Callable[[str], object], tuple[str]]:
        return importlib.import_module, (self._name,)


def _their_place(ours: "type | FunctionType") -> str | None:
    """The module of AIStore's SDK that this process has one of our classes or functions in."""
    for place in (_THEIRS + ours.__module__.removeprefix(_OURS), _THEIR_ERRORS):
        if place in sys.modules and vars(sys.modules[place]).get(ours.__name__) is ours:
            return place
    return None


_OURS = "instore."
_THEIRS = "aistore.sdk.etl."
_THEIR_ERRORS = "aistore.sdk.errors"


def load(payload: bytes, base: type[Base]) -> type[Base]:
    """The class of a payload."""
    pickled = _decode(payload)
    contents = _look_into(pickled)
    _check_version(pickled, contents)
    _check_modules(contents)
    return _check_class(_unpickle(pickled), base)


def _decode(payload: bytes) -> bytes:
    text = b"".join(payload.split())
    if not text:
        raise PayloadError("the class's payload is empty; it is what serialize_class gives")
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise PayloadError(f"the class's payload is not base64 ({error}); it is what serialize_class gives") from error


_IMPORTS = ("importlib.import_module", "cloudpickle.cloudpickle.subimport", "cloudpickle.cloudpickle_fast.subimport")


class _Contents:
    """What a pickle would use.

    Attributes:
        modules: the modules it imports from, in order.
        versions: the other Pythons that code objects in it come from.
        has_code: there are code objects in it.
    """

    def __init__(self) -> None:
        self.modules: dict[str, None] = {}
        self.versions: set[str] = set()
        self.has_code = False

    def made(self, place: str, arguments: tuple[Any, ...]) -> None:
        """Note that the pickle calls `place` with `arguments`."""
        if place in _IMPORTS and arguments and isinstance(arguments[0], str):
            self.modules[arguments[0]] = None
        elif place == "types.CodeType":
            self.has_code = True
            if version := foreign_version(arguments):
                self.versions.add(version)


class _Stub(type):
    """In place of everything that a pickle would get or make; it takes all and does nothing.

    A pickle calls what it gets, makes instances of what a call gave, and fills those. An unpickler insists on a type
    for the second. So each stub is a type, whose type this is; what it gives when called is another.
    """

    place: str
    contents: _Contents

    def __call__(cls, *arguments: Any) -> "_Stub":
        """Note the call."""
        cls.contents.made(cls.place, arguments)
        made = "types.CodeType" if cls.place.endswith("._builtin_type") and arguments == ("CodeType",) else ""
        return _stub(made, cls.contents)

    def __setstate__(cls, state: object) -> None:
        """Take the state that the thing itself would get."""

    def __setitem__(cls, key: object, value: object) -> None:
        """Take an entry."""

    def append(cls, item: object) -> None:
        """Take an item."""

    extend = add = append


def _stub(place: str, contents: _Contents) -> _Stub:
    return _Stub("StandIn", (), {"place": place, "contents": contents, "__new__": lambda cls, *_, **__: cls})


class _Look(pickle.Unpickler):
    """An unpickler that makes stand-ins only."""

    def __init__(self, pickled: bytes) -> None:
        super().__init__(io.BytesIO(pickled))
        self.contents = _Contents()

    def find_class(self, module: str, name: str) -> _Stub:
        """A stub for a global."""
        self.contents.modules[module] = None
        return _stub(f"{module}.{name}", self.contents)


def _look_into(pickled: bytes) -> _Contents:
    look = _Look(pickled)
    try:
        look.load()
    except Exception as error:  # whatever comes to mind of an unpickler that reads what is no pickle
        raise PayloadError(
            f"the class's payload is base64, but not of a whole pickle ({type(error).__name__}: {error}); "
            "it is what serialize_class gives"
        ) from error
    return look.contents


def _check_version(pickled: bytes, contents: _Contents) -> None:
    mark = _MARK.match(pickled)
    version = mark[1].decode() if mark else " or ".join(sorted(contents.versions))
    if contents.has_code and version and version != _HERE:
        raise PayloadError(
            f"the class's payload was made by Python {version}, and this is Python {_HERE}: bytecode can't go from one "
            f"to the other. Make the payload with Python {_HERE}, or run it in an image with Python {version}"
        )


def _check_modules(contents: _Contents) -> None:
    packages = dict.fromkeys(module.partition(".")[0] for module in contents.modules)
    missing = [name for name in packages if name not in sys.modules and importlib.util.find_spec(name) is None]
    if missing:
        raise _missing(" and ".join(missing), len(missing))


def _missing(names: str, count: int = 1) -> PayloadError:
    return PayloadError(
        f"the class's payload needs the module{'s' if count > 1 else ''} {names}, which {'are' if count > 1 else 'is'} "
        "not there: add the package to dependencies (PACKAGES); a module of your own travels along after "
        "cloudpickle.register_pickle_by_value(module)"
    )


class _NoDefault:
    """Gives what says of a dataclass's field that it has no default: there is one of it, and pickling copies it."""

    def __new__(cls) -> Any:
        return dataclasses.MISSING


class _Unpickler(pickle.Unpickler):
    """Leaves dataclasses as they were: with a copy in its place, no default would itself be a default."""

    def find_class(self, module: str, name: str) -> Any:
        """A global of the pickle."""
        return _NoDefault if (module, name) == ("dataclasses", "_MISSING_TYPE") else super().find_class(module, name)


def _unpickle(pickled: bytes) -> object:
    try:
        return _Unpickler(io.BytesIO(pickled)).load()  # the owner of the cluster sends it, and it is meant to run here
    except ModuleNotFoundError as error:
        raise _missing(error.name or str(error)) from error
    except Exception as error:
        why = next((sentence for kind, sentence in _WHY.items() if isinstance(error, kind)), "")
        raise PayloadError(f"the class's payload can't be unpickled: {type(error).__name__}: {error}{why}") from error


_WHY: dict[type[Exception], str] = {
    AttributeError: "; the package is there in another version than where the payload was made, or the payload was "
    "made by pickle and not by serialize_class",
    ImportError: "; a package that it needs is there, but can't be imported",
}


def _check_class(found: object, base: type[Base]) -> type[Base]:
    if not isinstance(found, type):
        raise PayloadError(
            f"the class's payload holds no class but an object of type {type(found).__name__}; "
            "give serialize_class the class itself"
        )
    if not issubclass(found, base):
        raise PayloadError(f"the class's payload holds the class {found.__name__}, which is not an {base.__name__}")
    return found
