import sys
from pathlib import Path

import pytest

from instore.offline.maker import Maker, maker_of, maker_of_class

CODE = """
import helper
from instore import ETLServer

class Upper(ETLServer):
    def transform(self, data, path, etl_args):
        return helper.upper(data)
"""


@pytest.fixture(autouse=True)
def _workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("code").mkdir()
    Path("code/upper.py").write_text(CODE)
    Path("code/helper.py").write_text("def upper(data): return data.upper()\n")


def test_a_class_is_its_file_and_what_that_imports_from_beside_it() -> None:
    first = maker_of("code/upper.py", "")
    assert maker_of("code/upper.py:Upper", "") == first
    Path("code/other.py").write_text("this is no part of it")
    assert maker_of("code/upper.py", "") == first
    Path("code/helper.py").write_text("def upper(data): return data.title()\n")
    second = maker_of("code/upper.py", "")
    assert second.code != first.code
    Path("code/upper.py").write_text(CODE.replace("(data)", "(data[1:])"))
    assert maker_of("code/upper.py", "").code not in (first.code, second.code)


def test_two_classes_of_a_file_are_two() -> None:
    Path("code/upper.py").write_text(CODE + CODE.replace("Upper", "Other"))
    assert maker_of("code/upper.py:Upper", "") != maker_of("code/upper.py:Other", "")


def test_arguments_are_told_from_the_class() -> None:
    first, second = maker_of("code/upper.py", "a"), maker_of("code/upper.py", "b")
    assert first.code == second.code
    assert first.arguments != second.arguments


def test_the_files_move_and_the_class_stays_the_same() -> None:
    first = maker_of("code/upper.py", "")
    Path("code").rename("moved")
    assert maker_of(str(Path("moved/upper.py").absolute()), "") == first


@pytest.mark.parametrize(
    "transform", ["none.py", "none.module:Class", "json:JSONDecoder", "click:Command", "bad.py", "."]
)
def test_what_can_not_be_read_is_for_whoever_imports_it(transform: str) -> None:
    Path("bad.py").write_text("class (:")
    assert isinstance(maker_of(transform, ""), Maker)


def test_a_class_that_is_here_is_what_its_file_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("code")
    import upper  # type: ignore[import-not-found]

    assert maker_of_class(upper.Upper, "x") == maker_of("code/upper.py", "x")
    del sys.modules["upper"], sys.modules["helper"]


def test_a_class_without_a_file_is_its_code() -> None:
    def made(text: str) -> Maker:
        space: dict[str, type] = {}
        exec(f"class C:\n    def f(self): return [{text} for x in ()]", {"__name__": "__main__"}, space)
        return maker_of_class(space["C"], "")

    assert made("1") == made("1")
    assert made("1") != made("2")
