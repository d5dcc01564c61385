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


TEXTS = {place: texts(tree) for place, tree in TREES.items()}
NOT_ERROR_TEXTS = ("etl/process.py", "node/bodies.py")
"""Modules whose 64 KiB are of a log or an object."""


def places_with(pattern: str) -> list[str]:
    """The modules that have a text in which a pattern is found."""
    return [place for place, all_of_it in TEXTS.items() if any(re.search(pattern, text) for text in all_of_it)]


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


def lines_with(pattern: str, *but: str) -> list[str]:
    """The lines of code in which a pattern is found, in modules other than `but`."""
    return [
        f"{path.relative_to(SRC)}:{number}: {line.strip()}"
        for path in sorted(SRC.rglob("*.py"))
        if path.relative_to(SRC).as_posix() not in but
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(pattern, line)
    ]


def test_what_is_true_or_false_is_said_once() -> None:
    assert places_with(r"(?i)^(yes|y|off)$") == ["protocol/values.py"]


def test_a_pause_before_the_next_try_is_reckoned_in_one_place() -> None:
    assert lines_with(r"random\.uniform|\*\* ?(min\()?attempt|wait_exponential", "system/backoff.py") == []


def test_the_longest_text_of_an_error_is_said_once() -> None:
    found = [line.partition(":")[0] for line in lines_with(r"\b64 << 10\b", *NOT_ERROR_TEXTS)]
    assert found == ["protocol/responses.py"]


def test_each_close_code_has_one_place() -> None:
    places = {
        place
        for place, tree in TREES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in range(1002, 1016) and type(node.value) is int
    }
    assert places <= {"protocol/websocket.py"}


def test_each_exit_code_has_one_place() -> None:
    # The shim is a program of its own that imports nothing of ours.
    places = ("system/exit_codes.py", "etl/shim.py")
    assert lines_with(r"exit_code = \d|exit\([1-9]|returncode [!=]= [1-9]|\b128 [+-]|= (75|126|127)\b", *places) == []


def test_what_can_not_be_encoded_is_refused_in_one_place() -> None:
    assert lines_with(r"ensure_ascii=False", "protocol/values.py") == []


def test_an_address_becomes_a_url_in_one_place() -> None:
    assert lines_with(r"https?://(\{|\[\{|%s)|\[\{host\}\]|\{host\}:\{port", "system/addresses.py") == []


def test_a_bucket_is_written_as_json_in_one_place() -> None:
    assert [line.partition(":")[0] for line in lines_with(r"\"uuid\": \"\"")] == ["store/names.py"]


def test_a_bucket_that_is_missing_is_said_in_one_place() -> None:
    found = [line.partition(":")[0] for line in lines_with("does not exist") if "bucket {" in line]
    assert found == ["errors.py"]


def test_files_are_locked_and_bytes_written_in_one_place() -> None:
    # `shipping` waits for its lock; the shim is a program of its own.
    but = ("system/files.py", "shipping/packages/environment.py", "etl/shim.py")
    assert lines_with(r"\bflock\(|\bos\.write\(", *but) == []
