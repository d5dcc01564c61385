import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from instore.store.walk import walk
from instore.system import sorted_names as module


def make(root: Path, names: list[str]) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def names_in(count: int) -> list[str]:
    dice = random.Random(count)
    parts = ["a", "b", "a-", "a0", "a.b", "é", "z"]
    names = {"/".join(dice.choice(parts) + "d" for _ in range(dice.randrange(3))) for _ in range(count)}
    return sorted({f"{name}/{dice.choice(parts)}{number}".lstrip("/") for number, name in enumerate(names)} | {"top"})


def test_the_order_is_that_of_whole_names(tmp_path: Path) -> None:
    names = sorted(["a", "a-b", "a.b", "b/c", "b-", "b0", "b/c-d", "b.d/e", "é", "Z"])
    make(tmp_path / "root", names)
    assert list(walk(str(tmp_path / "root"), str(tmp_path))) == names


@pytest.mark.parametrize("run", [1, 2, 3, 7, 1000])
def test_a_folder_too_large_for_memory_is_sorted_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: int
) -> None:
    monkeypatch.setattr(module, "_RUN", run)
    monkeypatch.setattr(module, "_BLOCK", 5)
    names = sorted(
        [f"name{number}" for number in range(40)] + ["sub/x", "sub-", "日本"] + [f"sub/{number}" for number in range(9)]
    )
    make(tmp_path / "root", names)
    descriptors = len(os.listdir("/proc/self/fd"))
    assert list(walk(str(tmp_path / "root"), str(tmp_path))) == names
    some = walk(str(tmp_path / "root"), str(tmp_path))
    next(some)
    some.close()  # type: ignore[attr-defined]
    assert len(os.listdir("/proc/self/fd")) == descriptors
    assert os.listdir(tmp_path) == ["root"]


@settings(max_examples=60, deadline=None)
@given(count=st.integers(0, 60), prefix=st.text("abdz-0./é", max_size=6), after=st.text("abdz-0./é", max_size=6))
def test_prefix_and_after_select_as_they_would_from_a_sorted_list(
    tmp_path_factory: pytest.TempPathFactory, count: int, prefix: str, after: str
) -> None:
    root = tmp_path_factory.mktemp("walk")
    names = names_in(count)
    make(root / "root", names)
    expected = [name for name in names if name.startswith(prefix) and name > after]
    assert list(walk(str(root / "root"), str(root), prefix, after)) == expected


def test_without_recursion_a_folder_stands_for_what_is_in_it(tmp_path: Path) -> None:
    make(tmp_path / "root", ["a/b", "a/c/d", "e"])
    (tmp_path / "root" / "empty" / "er").mkdir(parents=True)
    root, scratch = str(tmp_path / "root"), str(tmp_path)
    assert list(walk(root, scratch, recurse=False)) == ["a/", "e"]
    assert list(walk(root, scratch, "a/", recurse=False)) == ["a/b", "a/c/"]
    assert list(walk(root, scratch, "", "a/", recurse=False)) == ["e"]


def test_a_missing_root_is_an_error_and_a_missing_folder_is_not(tmp_path: Path) -> None:
    (tmp_path / "root").mkdir()
    assert list(walk(str(tmp_path / "root"), str(tmp_path), "a/b/")) == []
    with pytest.raises(FileNotFoundError):
        list(walk(str(tmp_path / "missing"), str(tmp_path)))


def test_what_is_deleted_meanwhile_does_no_harm(tmp_path: Path) -> None:
    make(tmp_path / "root", ["a/x", "b/x", "c"])
    names = walk(str(tmp_path / "root"), str(tmp_path))
    assert next(names) == "a/x"
    (tmp_path / "root" / "b" / "x").unlink()
    (tmp_path / "root" / "b").rmdir()
    assert list(names) == ["c"]
