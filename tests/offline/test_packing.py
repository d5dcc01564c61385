"""`instore pack` and `instore unpack`: a tree of files into shards and back."""

import asyncio
import io
import itertools
import os
import resource
import tarfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from instore.errors import ConfigurationError, NothingSelectedError, SourceError
from instore.offline.folder_destination import PARTIAL
from instore.offline.interfaces import Item, ItemState
from instore.offline.packing import Packing
from instore.offline.samples import ShardNames, into_shards, sample_of
from instore.offline.unpacking import Unpacking
from instore.system.sizes import parse_size
from tests.shards.archives import by_tar, content, shard, tar, with_holes
from tests.support.servers import TRANSFORMS, Server, running

COMPONENTS = st.text("ab.日 -\udcff", min_size=1, max_size=40).filter(lambda text: text.strip("."))
NAMES = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
TREES = st.dictionaries(NAMES, st.binary(max_size=1500), min_size=1, max_size=12).filter(
    lambda files: not any(other.startswith(name + "/") for name, other in itertools.permutations(files, 2))
)


@pytest.fixture(name="upper", scope="module")
def _upper(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with running(tmp_path_factory.mktemp("upper"), TRANSFORMS / "upper.py", options=("--members", "*")) as server:
        yield server


def pack(source: Path, destination: Path | str, size: str = "1GB") -> list[str]:
    said: list[str] = []
    asyncio.run(Packing(str(source), str(destination), parse_size("--size", size), said.append).run())
    return said


def unpack(source: Path, destination: Path) -> tuple[bool, list[str]]:
    said: list[str] = []
    return asyncio.run(Unpacking(str(source), str(destination), said.append).run()), said


def write(folder: Path, files: dict[str, bytes]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        Path(path).write_bytes(data)


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None)
@given(TREES, st.sampled_from(["tar", "tgz", "tar.zst"]), st.integers(1, 6000))
def test_any_tree_packed_transformed_and_unpacked_is_the_tree_transformed(
    tmp_path_factory: pytest.TempPathFactory, upper: Server, files: dict[str, bytes], ending: str, size: int
) -> None:
    folder = tmp_path_factory.mktemp("tree")
    write(folder / "src", files)
    pack(folder / "src", folder / f"packed/%03d.{ending}", str(size))
    (folder / "loud").mkdir()
    for name in os.listdir(folder / "packed"):
        answer = requests.put(f"{upper.url}/b/{name}", data=(folder / "packed" / name).read_bytes(), timeout=30)
        answer.raise_for_status()
        (folder / "loud" / name).write_bytes(answer.content)
    assert unpack(folder / "loud", folder / "dst")[0]
    assert tree(folder / "dst") == {name: data.upper() for name, data in files.items()}


@given(
    st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["", ".x", ".y.z"]), st.integers(0, 5000)),
        unique_by=lambda one: one[:2],
    )
)
def test_samples_stay_whole_and_shards_small(files: list[tuple[str, str, int]]) -> None:
    items = [Item(f"d/{key}{ending}", ItemState.TODO, size=size) for key, ending, size in files]
    shards = list(into_shards(items, 6000))
    assert sorted(item for shard in shards for item in shard) == sorted(items)
    samples = [{sample_of(item.name) for item in shard} for shard in shards]
    assert sum(map(len, samples)) == len({key for key, _, _ in files})
    for packed, keys in zip(shards, samples, strict=True):
        made = tar({item.name: bytes(item.size) for item in packed})
        assert len(made.rstrip(b"\0")) <= 6000 or len(keys) == 1
    assert list(into_shards(reversed(items), 6000)) == shards


def test_samples_are_told_by_the_first_dot_of_the_base_name() -> None:
    for name in ("d.e/cat.jpg", "d.e/cat.seg.png", "d.e/cat"):
        assert sample_of(name) == ("d.e", "cat")
    assert sample_of("d.e/.hidden.txt") == ("d.e", ".hidden")


def test_the_same_command_again_makes_what_is_missing(tmp_path: Path) -> None:
    write(tmp_path / "src", {f"{n}.txt": b"x" * 3000 for n in range(6)})
    pack(tmp_path / "src", tmp_path / "dst/%d.tar", "9kB")
    before = tree(tmp_path / "dst")
    assert len(before) == 3
    (tmp_path / "dst/1.tar").unlink()
    times = {name: (tmp_path / "dst" / name).stat().st_mtime_ns for name in ("0.tar", "2.tar")}
    assert pack(tmp_path / "src", tmp_path / "dst/%d.tar", "9kB")[-1] == "6 files in 3 shards, 2 of them already there"
    assert tree(tmp_path / "dst") == before
    assert times == {name: (tmp_path / "dst" / name).stat().st_mtime_ns for name in times}


@pytest.mark.parametrize("ending", ["tar", "tar.zst", "zip"])
def test_shards_of_other_files_are_neither_replaced_nor_taken_for_these(tmp_path: Path, ending: str) -> None:
    pattern = tmp_path / f"dst/%d.{ending}"
    write(tmp_path / "src", {f"{n}.txt": b"x" * 3000 for n in range(4)})
    pack(tmp_path / "src", pattern, "9kB")
    before = tree(tmp_path / "dst")

    def refused(sentence: str) -> None:
        with pytest.raises(ConfigurationError, match=sentence):
            pack(tmp_path / "src", pattern, "9kB")
        assert tree(tmp_path / "dst") == before

    assert pack(tmp_path / "src", pattern, "9kB")[-1] == "4 files in 2 shards, 2 of them already there"
    (tmp_path / "src/4.txt").write_bytes(b"")
    refused("it has 2 files, and not 1|it has 2 files, and not 3|it has not 4.txt")
    for name in ("2.txt", "3.txt", "4.txt"):
        (tmp_path / "src" / name).unlink()
    refused("these files make 1 shards")
    write(tmp_path / "src", {"2.txt": b"x" * 3000, "3.txt": b"x" * 3000})
    os.utime(tmp_path / "src/0.txt", (1, 1_600_000_000))
    refused("it has not 0.txt")


def test_a_damaged_shard_that_is_there_is_said(tmp_path: Path) -> None:
    write(tmp_path / "src", {"a": b"x" * 3000})
    pack(tmp_path / "src", tmp_path / "dst/%d.tar")
    os.truncate(tmp_path / "dst/0.tar", 2000)
    with pytest.raises(ConfigurationError, match=r"0.tar is there, and the shard is damaged: .* remove it"):
        pack(tmp_path / "src", tmp_path / "dst/%d.tar")


def test_a_file_that_changes_meanwhile_leaves_no_shard(tmp_path: Path) -> None:
    write(tmp_path / "src", {"a": b"one", "b": b"two"})

    def change(_: str) -> None:
        (tmp_path / "src/b").write_bytes(b"three")

    with pytest.raises(SourceError, match="b has changed since"):
        asyncio.run(Packing(str(tmp_path / "src"), str(tmp_path / "dst/%d.tar"), 1, change).run())
    assert list(tree(tmp_path / "dst")) == ["0.tar"]


def test_files_keep_their_times_and_permissions(tmp_path: Path) -> None:
    write(tmp_path / "src", {"a": b"one"})
    os.utime(tmp_path / "src/a", (1, 1_600_000_000))
    os.chmod(tmp_path / "src/a", 0o750)
    for ending in ("tar", "zip"):
        pack(tmp_path / "src", tmp_path / f"packed/%d.{ending}")
        unpack(tmp_path / f"packed/0.{ending}", tmp_path / ending)
        state = (tmp_path / ending / "a").stat()
        assert (state.st_mtime, state.st_mode & 0o777) == (1_600_000_000, 0o750)


@pytest.mark.parametrize(
    "destination",
    ["out.tar", "%d%d.tar", "%d.txt", "%s.tar", "100%-%d.tar", "%d/out.tar", "src/%d.tar", "src/d/%d.tar"],
)
def test_places_that_can_not_be_used_are_refused(tmp_path: Path, destination: str) -> None:
    write(tmp_path / "src", {"a": b""})
    with pytest.raises(ConfigurationError):
        pack(tmp_path / "src", tmp_path / destination)
    with pytest.raises(ConfigurationError, match="from folder to folder"):
        pack(tmp_path / "src", "ais://bucket/%d.tar")


def test_nothing_is_no_shard(tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    with pytest.raises(NothingSelectedError):
        pack(tmp_path / "src", tmp_path / "dst/%d.tar")
    with pytest.raises(NothingSelectedError):
        unpack(tmp_path / "src", tmp_path / "dst")


def test_sizes_and_names_are_read() -> None:
    sizes = {"4096": 4096, "1kB": 1000, "1KiB": 1024, "1.5 GB": 1_500_000_000, "2M": 2_000_000, "1t": 10**12}
    assert {text: parse_size("--size", text) for text in sizes} == sizes
    for text in ("", "GB", "0", "-1", "1PB", "1.5.5"):
        with pytest.raises(ConfigurationError, match="is no size"):
            parse_size("--size", text)
    names = ShardNames.parse("a-%03d.tar.gz")
    assert (names(7), names(1000), names.kind) == ("a-007.tar.gz", "a-1000.tar.gz", "tar.gz")
    assert [names.number_of(name) for name in ("a-007.tar.gz", "a-7.tar.gz", "a-x.tar.gz", "b")] == [
        7,
        None,
        None,
        None,
    ]


def odd(*names: str, kind: bytes = tarfile.REGTYPE) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, "a"
            archive.addfile(info)
    return out.getvalue()


@pytest.mark.parametrize(
    ("names", "kind", "sentence"),
    [
        (["a", "/etc/passwd"], tarfile.REGTYPE, "leads out of DST"),
        (["a", "d/../../b"], tarfile.REGTYPE, "leads out of DST"),
        (["a", f"{PARTIAL}/x"], tarfile.REGTYPE, "unfinished files are kept"),
        (["a", "b", "a"], tarfile.REGTYPE, "two members are called 'a'"),
        (["b"], tarfile.SYMTYPE, "is a link or a device"),
        (["b"], tarfile.LNKTYPE, "is a link or a device"),
        (["a", "a/b"], tarfile.REGTYPE, "'a' is a file and a folder"),
        (["a/b/c", "a"], tarfile.REGTYPE, "'a' is a file and a folder"),
    ],
)
def test_what_can_not_be_unpacked_fails_its_shard_alone(
    tmp_path: Path, names: list[str], kind: bytes, sentence: str
) -> None:
    write(tmp_path / "src", {"bad.tar": odd(*names, kind=kind), "good.tar": tar({"g/x": b"fine"}), "c.txt": b""})
    ok, said = unpack(tmp_path / "src", tmp_path / "dst")
    assert not ok
    assert any(line.startswith("failed bad.tar: ") and sentence in line for line in said)
    assert "skipped c.txt: no shard, by its name" in said
    assert tree(tmp_path / "dst") == {"g/x": b"fine"}
    assert not (tmp_path / "dst" / PARTIAL).exists()


@pytest.mark.parametrize("kind", ["tar", "tar.gz", "tar.zst", "zip"])
def test_a_damaged_shard_leaves_no_file(tmp_path: Path, kind: str) -> None:
    data = shard(kind, {"a": b"x" * 1000, "b": os.urandom(3000)})
    write(tmp_path / "src", {f"cut.{kind}": data[: len(data.rstrip(b"\0")) - 100]})
    assert not unpack(tmp_path / "src", tmp_path / "dst")[0]
    assert tree(tmp_path / "dst") == {}
    write(tmp_path / "src", {f"cut.{kind}": data})
    assert unpack(tmp_path / "src", tmp_path / "dst")[0]
    assert len(tree(tmp_path / "dst")) == 2


def test_files_are_not_unpacked_among_the_shards(tmp_path: Path) -> None:
    write(tmp_path / "src", {"x.tar": tar({"d/a": b"one"})})
    for name in ("src", "src/d"):
        with pytest.raises(ConfigurationError, match="is SRC or lies inside it"):
            unpack(tmp_path / "src", tmp_path / name)
    assert unpack(tmp_path / "src/x.tar", tmp_path / "src")[0]
    assert (tmp_path / "src/d/a").read_bytes() == b"one"


def test_unpacking_again_does_what_is_left_and_replaces_nothing(tmp_path: Path) -> None:
    write(tmp_path / "src", {"x.tar": tar({"d/a": b"one", "d/b": b"two"})})
    unpack(tmp_path / "src", tmp_path / "dst")
    (tmp_path / "dst/d/a").unlink()
    assert unpack(tmp_path / "src", tmp_path / "dst") == (
        True,
        ["1 files of 1 shards, 1 already there; 0 shards failed"],
    )
    (tmp_path / "dst/d/a").unlink()
    (tmp_path / "dst/d/b").write_bytes(b"own")
    ok, said = unpack(tmp_path / "src", tmp_path / "dst")
    assert (ok, said[0]) == (False, "failed x.tar: 'd/b' is there already, with another content; name another DST")
    assert tree(tmp_path / "dst") == {"d/b": b"own"}


def test_what_others_have_packed_is_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "tree", {"d/a": b"one", "n" * 150: b"two"})
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.mkdir("e")
        archive.writestr("e/c", b"three")
    write(tmp_path / "src", {"x.tar": by_tar(tmp_path / "tree", "--format=pax"), "y.zip": out.getvalue()})
    assert unpack(tmp_path / "src", tmp_path / "dst")[0]
    assert tree(tmp_path / "dst") == {**tree(tmp_path / "tree"), "e/c": b"three"}


COUNTS = """
    from instore import ETLServer

    class Counts(ETLServer):
        def transform_stream(self, reader, path, etl_args):
            size = 0
            while data := reader.read(1 << 18):
                size += len(data)
            yield b"%d" % size
"""


@pytest.mark.whole
def test_a_large_member_takes_no_memory(tmp_path: Path) -> None:
    """2 GiB, nearly all of it a hole, so that the disk is spared."""
    (tmp_path / "src").mkdir()
    with_holes(tmp_path / "src/large.bin")
    os.truncate(tmp_path / "src/large.bin", 2 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pack(tmp_path / "src", tmp_path / "dst/%d.tar.zst")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 << 10  # KiB
    packed = tmp_path / "dst/0.tar.zst"
    assert packed.stat().st_size < 2 << 20
    with running(tmp_path, COUNTS, options=("--members", "*.bin")) as server:
        answer = requests.put(f"{server.url}/b/0.tar.zst", data=packed.read_bytes(), timeout=300)
        status = Path(f"/proc/{server.process.pid}/status").read_text()
    assert content("tar.zst", answer.content) == {"large.bin": b"%d" % (2 << 30)}
    (peak,) = (int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    assert peak < 300 << 10  # KiB


@pytest.mark.whole
def test_a_hundred_thousand_members_go_through(tmp_path: Path, upper: Server) -> None:
    names = [f"{number // 1000:03d}/{number:06d}.txt" for number in range(100_000)]
    data = tar({name: name.encode() + b"x" for name in names})
    answer = requests.put(f"{upper.url}/b/many.tar", data=data, timeout=300)
    answer.raise_for_status()
    assert content("tar", answer.content) == {name: name.encode().upper() + b"X" for name in names}
