"""What makes results: a class, by the text of its files, and its arguments; each as a digest.

The class is not imported for it. Installed packages are not looked into: with another version of one it is the same
class. Nor are large files of data beside the code: their sizes stand for them.
"""

import ast
import contextlib
import hashlib
import inspect
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType
from typing import NamedTuple

from instore.errors import ConfigurationError
from instore.shipping.image.imports import files_of, find_imports, packages_of


class Maker(NamedTuple):
    """What makes results.

    Attributes:
        code: digest of the class.
        arguments: digest of its arguments.
    """

    code: str
    arguments: str


def maker_of(transform: str, etl_args: str) -> Maker:
    """That of TRANSFORM, `file.py:Class` or `package.module:Class`, with its arguments."""
    return Maker(_digest(_parts(transform)), _digest([etl_args.encode()]))


def maker_of_class(cls: type, etl_args: str) -> Maker:
    """That of a class that is here: of its module's file; of its own text where it is a script's or a notebook's."""
    file = getattr(sys.modules.get(cls.__module__), "__file__", None) or ""
    if cls.__module__ != "__main__" and file.endswith(".py"):
        return maker_of(f"{file}:{cls.__qualname__}", etl_args)
    try:
        parts = iter([inspect.getsource(cls).encode()])
    except (OSError, TypeError):  # nobody has its text
        parts = _compiled(cls)
    return Maker(_digest(parts), _digest([etl_args.encode()]))


def _compiled(cls: type) -> Iterator[bytes]:
    """What of a class without a text tells it from another: its methods' code, and its plain attributes."""
    for name, value in sorted(vars(cls).items()):
        function = getattr(value, "__func__", value)
        if isinstance(function, FunctionType):
            yield name.encode()
            yield from _code(function.__code__)
        elif isinstance(value, bool | int | float | str | bytes):
            yield f"{name}={value!r}".encode()


def _code(code: CodeType) -> Iterator[bytes]:
    yield code.co_code
    yield repr(code.co_names).encode()
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _code(constant)
        else:
            yield repr(constant).encode()


def _parts(transform: str) -> Iterator[bytes]:
    """What is digested of a class: its name, and the files that belong to it."""
    place, _, name = transform.partition(":")
    yield (name or _only_class(place)).encode()
    try:
        imports = find_imports(transform)
    except (ConfigurationError, OSError):  # a file that is no Python, or can't be read: whoever imports it says so
        with contextlib.suppress(OSError):
            yield Path(place).read_bytes()
        return
    for entry in sorted(imports.entries):
        for file in files_of(imports.root / entry):
            yield os.fsencode(file.relative_to(imports.root))
            yield file.read_bytes() if file.suffix == ".py" else str(file.stat().st_size).encode()
    if not imports.entries:  # a module of an installed package
        yield " ".join(packages_of(imports.outside[:1])).encode()


def _only_class(place: str) -> str:
    """The name of a file's class, if it has only one: so that TRANSFORM means the same with it and without."""
    with contextlib.suppress(OSError, SyntaxError, ValueError):
        names = [node.name for node in ast.parse(Path(place).read_bytes()).body if isinstance(node, ast.ClassDef)]
        if len(names) == 1:
            return names[0]
    return ""


def _digest(parts: "Iterator[bytes] | list[bytes]") -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.hexdigest()
