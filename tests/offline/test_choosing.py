"""Which objects a job is about: patterns, lists of names, files as SRC."""

import asyncio
import io
import os
import sys
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.offline.folder_source import FolderSource
from instore.offline.interfaces import ItemState
from instore.offline.job import TransformJob, planned
from instore.offline.names import read_names
from instore.offline.patterns import matcher
from instore.offline.settings import JobSettings
from tests.offline.support import fill


@pytest.mark.parametrize(
    ("include", "exclude", "name", "matches"),
    [
        (["*.jpg"], [], "a.jpg", True),
        (["*.jpg"], [], "d/e/a.jpg", True),
        (["*.jpg"], [], "a.jpg.txt", False),
        (["train/*.jpg"], [], "train/a.jpg", True),
        (["train/*.jpg"], [], "train/d/a.jpg", False),
        (["train/**/*.jpg"], [], "train/a.jpg", True),
        (["train/**/*.jpg"], [], "train/d/e/a.jpg", True),
        (["**/d/*"], [], "x/y/d/a", True),
        (["*.{jpg,png}"], [], "d/a.png", True),
        (["?.jpg"], [], "ab.jpg", False),
        (["*"], [], ".hidden", True),
        (["*"], [], "new\nline", True),
        (["*"], [], "bytes-\udcff", True),
        ([], ["*.txt"], "d/a.txt", False),
        ([], ["*.txt"], "d/a.jpg", True),
        (["*.jpg", "*.png"], ["bad*"], "d/a.png", True),
        (["*.jpg", "*.png"], ["bad*"], "d/bad.png", False),
    ],
)
def test_a_name_is_chosen_by_patterns(include: list[str], exclude: list[str], name: str, matches: bool) -> None:
    assert matcher(include, exclude)(name) == matches


def test_without_the_library_patterns_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "wcmatch", None)
    with pytest.raises(ConfigurationError, match=r"needs wcmatch .* pip install 'instore\[glob\]'"):
        matcher(["*.jpg"], [])


def test_a_list_that_may_be_malformed_is_read_before_anything_is_done(tmp_path: Path) -> None:
    fill(tmp_path / "src", ["a"])
    (tmp_path / "names.jsonl").write_text('{"name": "a"}\n' * 1000 + "{}\n")
    src, dst, names = (str(tmp_path / name) for name in ("src", "dst", "names.jsonl"))
    settings = JobSettings(transform=f"{__file__}:X", sources=[src], destination=dst, files_from=names)
    with pytest.raises(ConfigurationError, match=r"line 1001 of .* has no name"):
        planned(settings)


@pytest.mark.parametrize(
    ("file", "form", "content", "names"),
    [
        ("names", "", b"a\nd/b c\r\n\nbytes-\xff", ["a", "d/b c", "bytes-\udcff"]),
        ("names", "nul", b"a\nb\0c\r\0", ["a\nb", "c\r"]),
        ("names.jsonl", "", b'{"name": "a\\nb", "label": 3}\n\n{"name": "c"}\n', ["a\nb", "c"]),
        ("names", "jsonl", b'{"name": "c"}', ["c"]),
        ("names.jsonl", "lines", b'{"name": "c"}', ['{"name": "c"}']),
    ],
)
def test_names_are_read_from_a_file(tmp_path: Path, file: str, form: str, content: bytes, names: list[str]) -> None:
    (tmp_path / file).write_bytes(content)
    assert list(read_names(str(tmp_path / file), form)) == names


def test_names_are_read_from_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"a\0b\0")))
    assert list(read_names("-", "nul")) == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b'{"name": "a"}\nb\n', "line 2 of names.jsonl is not JSON"),
        (b'{"names": "a"}\n', "line 1 of names.jsonl has no name; write an object"),
        (b'{"name": 7}\n', "line 1 of names.jsonl has no name"),
        (b'["a"]\n', "line 1 of names.jsonl has no name"),
    ],
)
def test_a_line_without_a_name_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("names.jsonl").write_bytes(content)
    with pytest.raises(ConfigurationError, match=sentence):
        list(read_names("names.jsonl"))


def test_a_file_of_names_that_is_not_there_is_said() -> None:
    with pytest.raises(ConfigurationError, match=r"^--files-from none/names can't be read: No such file"):
        list(read_names("none/names"))


@pytest.mark.parametrize(
    ("name", "found", "state", "reason"),
    [
        ("a", "a", ItemState.TODO, ""),
        ("./d//x/../b", "d/b", ItemState.TODO, ""),
        ("{src}/d/b", "d/b", ItemState.TODO, ""),
        ("inside", "inside", ItemState.TODO, ""),
        (".DS_Store", ".DS_Store", ItemState.TODO, ""),
        ("none", "none", ItemState.FAILED, "there is no such object in SRC"),
        ("d", "d", ItemState.FAILED, "it is a folder; name the files in it"),
        ("../src/a/../../secret", "../src/a/../../secret", ItemState.FAILED, "that path is not below SRC"),
        ("/etc/passwd", "/etc/passwd", ItemState.FAILED, "that path is not below SRC"),
        ("out/passwd", "out/passwd", ItemState.FAILED, "it is behind a link that leads out of the source folder"),
        ("link", "link", ItemState.FAILED, "a link that leads out of the source folder"),
        ("nul\0", "nul\0", ItemState.FAILED, "there is no such object in SRC"),
    ],
)
def test_a_named_file_is_found_below_the_folder_and_nowhere_else(
    tmp_path: Path, name: str, found: str, state: ItemState, reason: str
) -> None:
    source = tmp_path / "src"
    fill(source, ["a", "d/b", ".DS_Store"])
    (source / "inside").symlink_to("d/b")
    (source / "out").symlink_to("/etc")
    (source / "link").symlink_to("/etc/passwd")
    item = FolderSource(str(source)).find(name.format(src=source))
    assert (item.name, item.state) == (found, state)
    assert reason in item.reason


def test_what_desktops_leave_in_folders_is_skipped_and_said(tmp_path: Path) -> None:
    fill(tmp_path, ["a", ".DS_Store", "d/Thumbs.db", "d/desktop.ini"])
    states = {item.name: (item.state, item.reason) for item in FolderSource(str(tmp_path)).list()}
    skipped = (ItemState.SKIPPED, "a file that desktops leave in folders")
    assert states == {
        "a": (ItemState.TODO, ""), ".DS_Store": skipped, "d/Thumbs.db": skipped, "d/desktop.ini": skipped,
    }  # fmt: skip


def settings(*sources: str, destination: str = "dst", **options: object) -> JobSettings:
    return JobSettings(transform="upper.py", sources=sources, destination=destination, **options)  # type: ignore[arg-type]


def names(*sources: str, destination: str = "dst", **options: object) -> list[str]:
    return [item.name for item in planned(settings(*sources, destination=destination, **options)).items()]


def test_files_may_be_given_in_place_of_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("src"), ["a", "b", "c"])
    assert names("src/b") == ["b"]
    assert names("src/c", "src/a", destination="src/out") == ["a", "c"]
    monkeypatch.chdir("src")
    assert names("b", destination=".", extensions=("b:c",), prepend="x-") == ["b"]
    TransformJob(settings("b", report="report.json"))


@pytest.mark.parametrize(
    ("sources", "options", "sentence"),
    [
        (("src/a", "none"), {}, "several SRC must be folders and files, and none is neither"),
        (("src/a", "s3://x"), {}, "several SRC must be folders and files, and s3://x is neither"),
        (("src/a",), {"destination": "src"}, "the result of a would be SRC .*/src/a itself; name another DST"),
        (("src/a",), {"files_from": "src/a"}, "--files-from src/a names files of a folder; give that folder"),
        (("src",), {"destination": "src/out", "names": ["a"]}, "DST src/out lies inside SRC src"),
    ],
)
def test_what_can_not_be_chosen_is_said(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    sources: tuple[str, ...],
    options: dict[str, object],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("src"), ["a", "d/b"])
    with pytest.raises(ConfigurationError, match=sentence):
        names(*sources, **options)  # type: ignore[arg-type]


def test_patterns_and_names_work_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(Path("src"), ["a.jpg", "b.jpg", "c.txt"])
    assert names("src", names=["c.txt", "b.jpg", "none.jpg"], include=("*.jpg",)) == ["b.jpg", "none.jpg"]
    assert os.listdir() == ["src"]


def test_several_folders_and_files_go_by_their_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, ["one/x/a", "one/x/b/c", "two/x.txt", "two/y/a", "two/y/.DS_Store", "three"])
    sources = ("one/x", "two/y/", "two/x.txt", "three", "three")
    found = planned(settings(*sources)).source
    assert [(item.name, item.state.name, Path(item.path).name if item.path else "") for item in found.list()] == [
        ("three", "TODO", "three"),
        ("x/a", "TODO", "a"),
        ("x/b/c", "TODO", "c"),
        ("x.txt", "TODO", "x.txt"),
        ("y/.DS_Store", "SKIPPED", ""),
        ("y/a", "TODO", "a"),
    ]
    assert [name for name in ("x/a", "x", "three", "three/a", "none", "y/none", "y/../x.txt") if found.has(name)] == [
        "x/a", "three",
    ]  # fmt: skip
    assert all(item.path.startswith(found.file_root + "/") for item in found.list() if item.path)
    assert names(*sources, prefix="x/") == ["x/a", "x/b/c"]
    assert names(*sources, names=["y/a", "three"]) == ["three", "y/a"]
    request = found.request(next(found.list()), "")
    assert (request.path, request.fqn) == ("three", str(tmp_path / "three"))


@pytest.mark.parametrize(
    ("sources", "destination", "sentence"),
    [
        (("one/x", "two/x"), "dst", "SRC /.*/one/x and /.*/two/x would both be called x; give a folder above both"),
        (("one", "two/x"), "two/x/out", "DST two/x/out lies inside SRC /.*/two/x"),
        (("one/x", "two"), "one", "SRC /.*/one/x lies inside DST one"),
        (("one", "two/x/b"), "two/x", "the result of b would be SRC /.*/two/x/b itself"),
    ],
)
def test_several_folders_and_their_results_do_not_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sources: tuple[str, ...], destination: str, sentence: str
) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, ["one/x/a", "two/x/b"])
    with pytest.raises(ConfigurationError, match=sentence):
        names(*sources, destination=destination)


def test_a_report_may_lie_beside_several_folders_and_in_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    fill(tmp_path, ["one/a", "two/b"])
    TransformJob(settings("one", "two", report="report.json"))
    with pytest.raises(ConfigurationError, match=r"--report two/report\.json lies inside SRC"):
        TransformJob(settings("one", "two", report="two/report.json"))


def test_a_template_names_objects_and_those_that_are_not_there_are_failures(tmp_path: Path) -> None:
    fill(tmp_path / "src", ["s-08.tar", "s-10.tar", "s-11.tar"])
    found = planned(settings(str(tmp_path / "src"), template="s-{08..10}.tar")).source.list()
    assert [(item.name, item.state.name) for item in found] == [
        ("s-08.tar", "TODO"), ("s-09.tar", "FAILED"), ("s-10.tar", "TODO"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"template": "s-.tar"}, "--template s-.tar has no range, such as {0000..0999}; --prefix takes"),
        ({"template": "s-{2..1}.tar"}, "--template: the range {2..1} .* has no numbers in it"),
        ({"template": "{0..9999}{0..9999}"}, "stands for 100000000 names; the most are 10000000"),
        ({"template": "{0..1}", "files_from": "names"}, "--files-from names and --template {0..1} both name the obj"),
        ({"stdin_name": "a"}, "--name is for standard input; give - as SRC"),
    ],
)
def test_what_names_nothing_is_said(tmp_path: Path, options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        names(str(tmp_path), **options)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "SRC - is standard input, whose object has no name; give it one with --name"),
        ({"stdin_name": "../a"}, "--name: '../a' can't be an object's name"),
        ({"stdin_name": "a", "files_from": "-"}, "SRC and --files-from are both standard input"),
    ],
)
def test_standard_input_needs_a_name(options: dict[str, str], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        names("-", **options)


def test_standard_input_is_one_object_that_can_be_sent_again(monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(3 << 20)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    source = planned(settings("-", stdin_name="d/cat.jpg")).source
    (item,) = source.list()
    assert (item.name, item.size) == ("d/cat.jpg", len(data))
    assert [name for name in ("d/cat.jpg", "d", "cat.jpg") if source.has(name)] == ["d/cat.jpg"]

    async def sent() -> bytes:
        body = source.request(item, "").body
        assert body is not None
        stream, came = body(), b""
        while not stream.drained:
            came += await stream.take()
        assert await stream.take() == b""
        return came

    assert [asyncio.run(sent()) for _ in range(2)] == [data, data]
