"""A rule stands once: no second place in `src` says what one module says for all."""

import ast
import re
from pathlib import Path

from instore.protocol import environment

SRC = Path(__file__).parents[1] / "src" / "instore"
TREES = {path.relative_to(SRC).as_posix(): ast.parse(path.read_text()) for path in sorted(SRC.rglob("*.py"))}


def docstrings(tree: ast.AST) -> set[ast.AST]:
    """The strings that are expressions by themselves."""
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Expr)}


def texts(tree: ast.AST) -> list[str]:
    """Every string of the code, docstrings left out."""
    documented = docstrings(tree)
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documented
    ]


def places_with(pattern: str) -> list[str]:
    """The modules that have a text in which a pattern is found."""
    return [place for place, tree in TREES.items() if any(re.search(pattern, text) for text in texts(tree))]


def test_each_variable_of_the_environment_is_named_once() -> None:
    names = [name for name, value in vars(environment).items() if name == value]
    assert len(names) == len(set(names)) > 25
    for name in names:
        # A word as plain as PORT may stand in a sentence.
        pattern = rf"\b{name}\b" if name.startswith(("AIS_", "ETL_", "INSTORE_")) else rf"^{name}$"
        assert places_with(pattern) == ["protocol/environment.py"], name


def test_no_variable_of_the_environment_is_unknown_there() -> None:
    unknown = {
        (place, name)
        for place, tree in TREES.items()
        for text in texts(tree)
        for name in re.findall(r"\b(?:AIS|ETL|INSTORE)_[A-Z_]+\b", text)
        if not hasattr(environment, name)
    }
    assert unknown == set()
