"""Finding the class that TRANSFORM names: `file.py`, `file.py:Class` or `package.module:Class`."""

import contextlib
import importlib
import importlib.util
import os
import sys
import threading
import traceback
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from types import CodeType, ModuleType

from instore.compat.aistore import install
from instore.errors import ConfigurationError, UnfitClassError
from instore.shipping.class_file import SUFFIX, read_class_file
from instore.webserver.base_etl_server import ETLServer, check_class
from instore.webserver.utils import deserialize_class

_LONG = 10.0  # seconds of an import after which it is said where it is
_FORMS = "file.py, file.py:Class or package.module:Class"


def load_class(transform: str) -> type[ETLServer]:
    """Import the module that `transform` names and find its class. Code written for AIStore's SDK finds its names."""
    install()
    place, _, name = transform.rpartition(":") if _names_class(transform) else (transform, "", "")
    with _said_if_long(place):
        if place.endswith(SUFFIX):
            cls = deserialize_class(read_class_file(place))
        else:
            module = _import_file(place) if place.endswith(".py") else _import_module(place, transform)
            cls = _pick(module, name, place)
    try:
        check_class(cls)
    except UnfitClassError as error:
        raise ConfigurationError(f"{transform}: {error}") from error
    return cls


@contextlib.contextmanager
def _said_if_long(place: str) -> Iterator[None]:
    """Say where an import is that takes long, or hangs."""
    importer = threading.get_ident()

    def say() -> None:
        stack = traceback.extract_stack(sys._current_frames()[importer])
        own = [frame for frame in stack if os.path.basename(frame.filename) == os.path.basename(place)]
        frame = (own or stack)[-1]
        print(
            f"instore: importing {place} has taken {_LONG:g} s so far; it is at {frame.filename}, line {frame.lineno}",
            file=sys.stderr,
            flush=True,
        )

    timer = threading.Timer(_LONG, say)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _names_class(transform: str) -> bool:
    return transform.rpartition(":")[2].isidentifier() and ":" in transform


def _import_file(place: str) -> ModuleType:
    path = os.path.abspath(place)
    if not os.path.isfile(path):
        raise ConfigurationError(f"there is no file {place}; TRANSFORM is {_FORMS}")
    folder, filename = os.path.split(path)
    if folder not in sys.path:
        sys.path.insert(_behind_standard_library(), folder)
    name = filename.removesuffix(".py")
    if name in sys.stdlib_module_names or name in _imported_from_elsewhere(path):
        name = f"transform_{name}"  # else whoever imports that name from now on would get this file
    loader = _FromSource(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)  # type: ignore[arg-type]  # it is none without a loader
    sys.modules[name] = module  # so that what it defines can be pickled, and found again by its name
    try:
        loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        raise _import_failed(place, error) from error
    return module


class _FromSource(SourceFileLoader):
    """Runs what the file holds now: what was compiled before is taken for it if only the second and the size agree."""

    def get_code(self, fullname: str) -> CodeType:
        del fullname
        return self.source_to_code(self.get_data(self.path), self.path)


def _behind_standard_library() -> int:
    """Where on the import path a neighbour called `secrets.py` is not taken for the standard library's."""
    standard = os.path.dirname(os.path.realpath(os.__file__))
    own = [i for i, entry in enumerate(sys.path) if os.path.realpath(entry).startswith(standard)]
    packages = [i for i in own if os.path.basename(sys.path[i]) in ("site-packages", "dist-packages")]
    return min(packages, default=max(own, default=-1) + 1)


def _imported_from_elsewhere(path: str) -> list[str]:
    """The names of the modules that are there and come from another file than `path`."""
    return [name for name, module in sys.modules.items() if getattr(module, "__file__", path) != path]


def _import_module(place: str, transform: str) -> ModuleType:
    if not all(part.isidentifier() for part in place.split(".")):
        raise ConfigurationError(f"{transform!r} is not a valid TRANSFORM: write {_FORMS}")
    if os.getcwd() not in sys.path:
        sys.path.insert(_behind_standard_library(), os.getcwd())
    try:
        return importlib.import_module(place)
    except BaseException as error:
        raise _import_failed(place, error) from error


def _import_failed(place: str, error: BaseException) -> ConfigurationError:
    line = ""
    trace = error.__traceback__
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if "importlib" not in filename and not filename.startswith(os.path.dirname(__file__)):
            line = f" ({os.path.basename(filename)}, line {trace.tb_lineno})"
        trace = trace.tb_next
    return ConfigurationError(f"can't import {place}: {type(error).__name__}: {error}{line}")


def _pick(module: ModuleType, name: str, place: str) -> type[ETLServer]:
    if name:
        found = getattr(module, name, None)
        if found is None:
            raise ConfigurationError(f"{place} has no class {name}; it has {_listed(_classes(module))}")
        if not isinstance(found, type) or not issubclass(found, ETLServer):
            raise ConfigurationError(f"{name} in {place} is not a subclass of instore.ETLServer")
        return found
    classes = _classes(module)
    if len(classes) != 1:
        raise ConfigurationError(
            f"{place} defines {_listed(classes)}; "
            + ("say which: " + f"{place}:{classes[0].__name__}" if classes else "write a subclass of instore.ETLServer")
        )
    return classes[0]


def _classes(module: ModuleType) -> list[type[ETLServer]]:
    """The subclasses that the module itself defines; of a class and its base the class, if the base is abstract."""
    defined = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, ETLServer) and value.__module__ == module.__name__
    ]
    bases = {base for cls in defined for base in cls.__mro__[1:]}
    return [cls for cls in dict.fromkeys(defined) if cls not in bases]


def _listed(classes: list[type[ETLServer]]) -> str:
    return "the transforms " + ", ".join(cls.__name__ for cls in classes) if classes else "no transform"
