"""What a transform's files import: other files beside them, and installed packages."""

import ast
import importlib.metadata
import sys
from dataclasses import dataclass, field
from pathlib import Path

from packaging.version import Version

from instore.errors import ConfigurationError


@dataclass(slots=True)
class Imports:
    """What a transform needs beside itself.

    Attributes:
        root: the folder that its imports begin at.
        entries: files and folders (packages) below `root` that belong to it, relative to it.
        outside: dotted names of modules that lie elsewhere and are no part of Python.
    """

    root: Path
    entries: list[Path] = field(default_factory=list)
    outside: list[str] = field(default_factory=list)


def find_imports(transform: str) -> Imports:
    """Read what TRANSFORM's files import, wherever in them; imports by other means than `import` are not seen."""
    place = transform.partition(":")[0]
    file = Path(place).absolute()
    imports = Imports(file.parent if place.endswith(".py") else Path.cwd())
    _follow(imports, file.stem if place.endswith(".py") else place)
    return imports


def _follow(imports: Imports, module: str) -> None:
    top = module.partition(".")[0]
    if top in sys.stdlib_module_names:
        return
    entry = next((entry for entry in (Path(f"{top}.py"), Path(top)) if _is_python(imports.root / entry)), None)
    if entry is None:
        if module not in imports.outside:
            imports.outside.append(module)
    elif entry not in imports.entries:
        imports.entries.append(entry)
        for file in files_of(imports.root / entry):
            if file.suffix == ".py":
                for name in _imported(file):
                    _follow(imports, name)


def _is_python(path: Path) -> bool:
    return path.is_file() or (path.is_dir() and next(path.rglob("*.py"), None) is not None)


def files_of(path: Path) -> list[Path]:
    """The files of an entry: itself, or all in the folder but what Python made there."""
    if path.is_file():
        return [path]
    return [file for file in sorted(path.rglob("*")) if file.is_file() and "__pycache__" not in file.parts]


def _imported(file: Path) -> list[str]:
    try:
        tree = ast.parse(file.read_bytes(), str(file))
    except (SyntaxError, ValueError) as error:
        raise ConfigurationError(f"{file} is not Python that this version reads: {error}") from error
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
    return names


def packages_of(modules: list[str]) -> dict[str, str]:
    """The installed packages that modules belong to: requirements with the version that is here, and the module.

    Modules that are not installed are left out: what can be imported without them needs them for nothing.
    """
    owners = importlib.metadata.packages_distributions()
    found: dict[str, str] = {}
    for module in modules:
        for name in dict.fromkeys(owners.get(module.partition(".")[0], ())):
            version = Version(importlib.metadata.version(name)).public
            found.setdefault(f"{name}=={version}", module)
    return found
