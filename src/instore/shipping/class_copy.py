"""A class's files on their way to another machine: its own, and those that they import from beside it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from instore.errors import ConfigurationError
from instore.shipping.class_file import SUFFIX
from instore.shipping.image.imports import files_of, find_imports
from instore.system.printable import printable


@dataclass(frozen=True, slots=True)
class ClassCopy:
    """The files of a class, wherever they are to be.

    Attributes:
        transform: the class as TRANSFORM, relative to the folder that the files are put into.
        files: their contents, by their paths in that folder.
        root: where they are from, as a person is told of them: before their paths.
    """

    transform: str
    files: Mapping[str, bytes]
    root: str = ""

    def unpack(self, folder: str) -> str:
        """Put the files into a folder; TRANSFORM there. A module is found if the folder is in PYTHONPATH."""
        for name, content in self.files.items():
            file = Path(folder, name)
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        place = self.transform.partition(":")[0]
        return os.path.join(folder, self.transform) if place in self.files else self.transform


def copy_class(transform: str) -> ClassCopy:
    """The files of TRANSFORM: `file.py:Class`, `package.module:Class`, or a file that `class_file` has written.

    A module that is installed has none: it must be installed where the class is to be.

    Raises:
        ConfigurationError: a file can't be read.
    """
    place, colon, name = transform.partition(":")
    try:
        if place.endswith(SUFFIX):
            return ClassCopy(os.path.basename(place), {os.path.basename(place): Path(place).read_bytes()})
        imports = find_imports(transform)
        files = {
            str(file.relative_to(imports.root)): file.read_bytes()
            for entry in imports.entries
            for file in files_of(imports.root / entry)
        }
        if place.endswith(".py"):
            own = Path(place)
            files[own.name] = own.read_bytes()
            place = own.name
    except OSError as error:
        raise ConfigurationError(f"TRANSFORM {printable(transform)} can't be read: {error.strerror}") from error
    root = os.path.relpath(imports.root)
    shown = f"{imports.root}/" if root.startswith("..") else f"{root}/".removeprefix("./")
    return ClassCopy(f"{place}{colon}{name}", files, shown)
