"""The house: who may import whom, and one thing for each name."""

import ast
import graphlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

SRC = Path(__file__).parents[1] / "src" / "instore"
STUBS = SRC / "compat" / "stubs"

# A room imports from itself and from rooms of a lower rank; of its own rank it knows no other.
RANKS = {
    "errors": 0,
    "version": 0,
    "system": 1,
    "protocol": 1,
    "http": 2,
    "shards": 2,
    "server": 3,
    "shipping": 3,
    "store": 3,
    "etl": 3,
    "ui": 3,
    "webserver": 4,
    "offline": 4,
    "compat": 5,
    "runtime": 6,
    "node": 6,
    "instore": 7,  # the package's own face
    "testing": 7,
    "cli": 8,
    "__main__": 9,
}

FILES = {
    ".".join(path.relative_to(SRC.parent).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted(SRC.rglob("*.py"))
    if not path.is_relative_to(STUBS)
}


def room(module: str) -> str:
    return module.split(".")[1] if "." in module else module


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "instore":
            for alias in node.names:
                whole = f"{node.module}.{alias.name}"
                yield whole if whole in FILES else str(node.module)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.split(".")[0] == "instore")


ARROWS = {module: set(imported(path)) - {module} for module, path in FILES.items()}


def test_no_module_imports_upwards() -> None:
    upward = [
        f"{module} imports {other}"
        for module, others in ARROWS.items()
        for other in others
        if room(module) != room(other) and RANKS[room(module)] <= RANKS[room(other)]
    ]
    assert upward == []


def test_no_modules_import_in_a_circle() -> None:
    graphlib.TopologicalSorter(ARROWS).prepare()  # which raises CycleError


def test_the_protocol_imports_nothing_but_the_standard_library() -> None:
    third_party = [
        f"{module} imports {name}"
        for module, path in FILES.items()
        if room(module) == "protocol"
        for name in ("uvloop", "httptools", "starlette", "msgspec", "websockets", "xxhash")
        if f"import {name}" in path.read_text() or f"from {name}" in path.read_text()
    ]
    assert third_party == []


def test_no_class_name_stands_for_two_things() -> None:
    places = defaultdict(list)
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                places[node.name.lstrip("_")].append(module)
    assert {name: modules for name, modules in places.items() if len(modules) > 1} == {}


def test_no_folder_is_called_target() -> None:
    assert not list(SRC.rglob("target"))
