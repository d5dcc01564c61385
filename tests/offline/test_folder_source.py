import os
import socket
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.offline.folder_destination import PARTIAL
from instore.offline.folder_source import FolderSource
from instore.offline.interfaces import ItemState
from instore.offline.plan import Plan
from tests.offline.support import fill, plan


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    folder = tmp_path / "src"
    folder.mkdir()
    return folder


@pytest.fixture(name="destination")
def _destination(tmp_path: Path) -> Path:
    return tmp_path / "dst"


def names(what: Plan) -> list[str]:
    return [item.name for item in what.items()]


def reasons(what: Plan) -> dict[str, str]:
    return {item.name: item.reason for item in what.items() if item.state is not ItemState.TODO}


def test_objects_come_sorted_folder_by_folder(source: Path, destination: Path) -> None:
    fill(source, ["b", "a/z", "a/c/d", "a/b", "c"])
    (source / "empty").mkdir()
    assert names(plan(source, destination)) == ["a/b", "a/c/d", "a/z", "b", "c"]


def test_a_folder_may_be_deeper_than_the_interpreters_stack(source: Path, destination: Path) -> None:
    name = "d/" * 1500 + "x"
    here = os.open(source, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    found = names(plan(source, destination))
    os.unlink(source / name)  # what removes temporary folders is not so deep
    (source / "stays").touch()
    os.removedirs((source / name).parent)
    assert found == [name]


def test_a_prefix_chooses_by_name_across_folders(source: Path, destination: Path) -> None:
    fill(source, ["a/b1", "a/b2/x", "a/c", "ab", "b"])
    assert names(plan(source, destination, prefix="a/b")) == ["a/b1", "a/b2/x"]
    assert names(plan(source, destination, prefix="a")) == ["a/b1", "a/b2/x", "a/c", "ab"]
    assert names(plan(source, destination, prefix="ab/")) == []


def test_a_link_to_a_file_inside_is_an_object_with_its_real_path(source: Path, destination: Path) -> None:
    fill(source, ["d/real"])
    (source / "link").symlink_to("d/real")
    items = {item.name: item for item in plan(source, destination).items()}
    assert items["link"].state is ItemState.TODO
    assert items["link"].path == str(source / "d/real")


def test_what_is_not_an_object_is_skipped_with_the_reason(source: Path, destination: Path, tmp_path: Path) -> None:
    fill(tmp_path, ["outside", "elsewhere/x"])
    fill(source, ["d/x", f"{PARTIAL}/1"])
    (source / "out").symlink_to("../outside")
    (source / "folder-in").symlink_to("d")
    (source / "folder-out").symlink_to(tmp_path / "elsewhere")
    (source / "broken").symlink_to("nowhere")
    (source / "loop").symlink_to("loop")
    os.mkfifo(source / "pipe")
    (source / "zero").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as listener:
        here = os.getcwd()
        os.chdir(source)  # a socket's path is short
        listener.bind("socket")
        os.chdir(here)
    found = reasons(plan(source, destination))
    assert found.pop("loop").startswith("can't be looked at: Too many levels")
    assert found == {
        PARTIAL: "the unfinished results of another job",
        "out": "a link that leads out of the source folder",
        "folder-in": "a link to a folder",
        "folder-out": "a link to a folder",
        "broken": "a link that leads nowhere, or a file that has just gone",
        "pipe": "a pipe, not a file",
        "socket": "a socket, not a file",
        "zero": "a link that leads out of the source folder",
    }


def test_a_folder_that_cannot_be_listed_is_an_error(source: Path, destination: Path) -> None:
    fill(source, ["a", "gone/x"])
    gone = FolderSource(str(source / "gone"))
    (source / "gone/x").unlink()
    (source / "gone").rmdir()
    (item,) = gone.list()
    assert (item.state, item.reason) == (ItemState.FAILED, "the folder can't be listed: No such file or directory")


@pytest.mark.parametrize(
    ("name", "extensions", "prepend", "result"),
    [
        ("a.jpg", ("jpg:png",), "", "a.png"),
        ("a.JPG", ("jpg:png",), "", "a.JPG"),
        ("a.b.jpg", (".jpg:.png", "png:gif"), "", "a.b.png"),
        ("d.jpg/a", ("jpg:png",), "", "d.jpg/a"),
        ("d/.jpg", ("jpg:png",), "", "d/.png"),  # as AIStore does,
        ("a.png", ("jpg:png",), "thumbs/", "thumbs/a.png"),
        ("d/a", (), "small-", "small-d/a"),
    ],
)
def test_results_are_named(
    source: Path, destination: Path, name: str, extensions: tuple[str, ...], prepend: str, result: str
) -> None:
    assert plan(source, destination, extensions=extensions, prepend=prepend).naming(name) == result


@pytest.mark.parametrize("malformed", ["jpg", "jpg:", ":png", "a:b:c", "a/b:c", "jpg;png", "tar.gz:zip", ""])
def test_a_malformed_extension_is_refused(source: Path, destination: Path, malformed: str) -> None:
    with pytest.raises(ConfigurationError, match="expected OLD:NEW, as in jpg:png"):
        plan(source, destination, extensions=(malformed,))


def test_an_extension_mapped_twice_is_refused(source: Path, destination: Path) -> None:
    with pytest.raises(ConfigurationError, match="mapped twice"):
        plan(source, destination, extensions=("a:b", "a:c"))


@pytest.mark.parametrize("prepend", ["/abs", "../out", "a/../../b", "..", f"{PARTIAL}/x"])
def test_a_prepend_that_leads_astray_is_refused(source: Path, destination: Path, prepend: str) -> None:
    with pytest.raises(ConfigurationError, match="--prepend"):
        plan(source, destination, prepend=prepend)


@pytest.mark.parametrize(
    ("files", "extensions", "pair"),
    [
        (["d/a.jpg", "d/a.png"], ("jpg:png",), ("d/a.jpg", "d/a.png")),
        (["a.jpg", "a.jpeg"], ("jpg:png", "jpeg:png"), ("a.jpeg", "a.jpg")),
    ],
)
def test_two_objects_with_one_result_are_refused(
    source: Path, destination: Path, files: list[str], extensions: tuple[str, ...], pair: tuple[str, str]
) -> None:
    fill(source, files)
    with pytest.raises(ConfigurationError, match=f"{pair[0]} and {pair[1]} would both become"):
        list(plan(source, destination, extensions=extensions).checked_items())


def test_names_that_only_look_alike_are_no_collision(source: Path, destination: Path) -> None:
    fill(source, ["a.jpg", "b.png", "swap.x", "swap.y", "c.jpg"])
    (source / "c.png").mkdir()
    (source / "a.png").symlink_to("/etc/passwd")
    what = plan(source, destination, extensions=("jpg:png", "x:y", "y:x"))
    assert len(list(what.checked_items())) == 6
    assert len(list(plan(source, destination, prefix="a.j", extensions=("jpg:png",)).checked_items())) == 1


def test_folders_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, ["src/a", "file"])
    (tmp_path / "link").symlink_to("src")
    (tmp_path / "broken").symlink_to("nowhere")
    for source, destination, reason in [
        ("none", "dst", "does not exist"),
        ("file", "dst", "is not a folder"),
        ("src", "file", "is not a folder"),
        ("src", "broken", "is not a folder"),
        ("src", "src/out", "lies inside SRC"),
        ("src", "link/out", "lies inside SRC"),
        ("src", "link", "the same folder"),
        ("src", ".", "lies inside DST"),
    ]:
        with pytest.raises(ConfigurationError, match=reason):
            plan(tmp_path / source, tmp_path / destination)
    plan(tmp_path / "src", tmp_path / "src-2")


def test_what_is_there_is_not_to_do_again(source: Path, destination: Path) -> None:
    fill(source, ["a.jpg", "b.jpg"])
    fill(destination, ["a.png"])
    what = plan(source, destination, extensions=("jpg:png",))
    assert [item.state for item in what.items()] == [ItemState.THERE, ItemState.TODO]
    what = plan(source, destination, extensions=("jpg:png",), overwrite=True)
    assert [item.state for item in what.items()] == [ItemState.TODO, ItemState.TODO]
