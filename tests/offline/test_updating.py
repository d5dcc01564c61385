"""What made results, and which of them `--update` makes again."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.offline import folder_destination
from instore.offline.cloud_store import CloudOptions
from instore.offline.interfaces import Item, ItemState
from instore.offline.maker import Maker
from instore.offline.plan import Plan, make_plan
from instore.offline.settings import JobSettings
from instore.offline.watching import run_and_watch
from tests.offline.support import fill, plan, run, several, tree
from tests.support.clouds import Cloud
from tests.support.node import running_node

OLD, NEW, ARGUMENTS = Maker("c1", "a1"), Maker("c2", "a1"), Maker("c1", "a2")


@pytest.fixture(name="source")
def _source(tmp_path: Path) -> Path:
    fill(tmp_path / "src", ["a", "b", "c"])
    return tmp_path / "src"


@pytest.fixture(name="destination")
def _destination(tmp_path: Path) -> Path:
    return tmp_path / "dst"


async def _make(what: Plan) -> list[str]:
    made = []
    async with what.destination as destination:
        for item in list(what.items()):
            if item.state is ItemState.TODO:
                written = await destination.write(item, pieces((await content(what, item)).upper()), "")
                if not isinstance(written, int):
                    assert await destination.commit([(written, item.result)]) == [""]
                made.append(item.name)
    return made


async def content(what: Plan, item: Item) -> bytes:
    body = what.source.request(item, "").body
    return Path(item.path).read_bytes() if body is None else await body().take()


async def pieces(data: bytes) -> AsyncIterator[bytes]:
    yield data[:3]
    yield data[3:]


def make(what: Plan) -> list[str]:
    """Make the results that are to be made; the names of their objects."""
    return asyncio.run(_make(what))


def outdated(what: Plan) -> dict[str, str]:
    return {item.name: item.outdated for item in what.items() if item.outdated}


@pytest.mark.parametrize(
    ("maker", "why"), [(NEW, "by another class, or by another version of it"), (ARGUMENTS, "with other arguments")]
)
def test_results_of_another_class_or_of_other_arguments_are_made_again(
    source: Path, destination: Path, maker: Maker, why: str
) -> None:
    assert make(plan(source, destination, maker=OLD)) == ["a", "b", "c"]
    assert outdated(plan(source, destination, maker=OLD)) == {}
    (destination / "c").unlink()
    assert outdated(plan(source, destination, maker=maker)) == {"a": why, "b": why}
    assert make(plan(source, destination, maker=maker)) == ["c"]
    assert make(plan(source, destination, maker=maker, update=True)) == ["a", "b"]
    assert make(plan(source, destination, maker=maker, update=True)) == []


def test_outdated_results_are_said_before_the_job_begins(source: Path, destination: Path) -> None:
    make(plan(source, destination, maker=OLD))
    why = "by another class, or by another version of it"
    assert run(plan(source, destination, maker=NEW)).notes == [
        f"3 results in DST were made {why}; they stay as they are: --update makes them again"
    ]


@pytest.mark.whole
def test_results_that_are_made_again_are_said_too(source: Path, destination: Path) -> None:
    make(plan(source, destination, maker=OLD))
    seen = run(plan(source, destination, maker=ARGUMENTS, update=True))
    assert seen.notes == ["3 results in DST were made with other arguments, and are made again"]
    assert set(seen.statuses().values()) == {"done"}


def test_results_of_objects_that_have_changed_are_made_again(source: Path, destination: Path) -> None:
    make(plan(source, destination, maker=OLD))
    state = (source / "a").stat()
    (source / "a").write_text("of another size")
    os.utime(source / "a", ns=(0, state.st_mtime_ns - 10**9))
    (source / "c").write_bytes((source / "c").read_bytes().upper())
    os.utime(source / "c", ns=(0, state.st_mtime_ns + 10**9))
    why = "of objects that have changed since"
    assert outdated(plan(source, destination, maker=OLD)) == {"a": why, "c": why}
    assert make(plan(source, destination, maker=OLD, update=True)) == ["a", "c"]
    assert tree(destination)["a"] == b"OF ANOTHER SIZE"
    assert make(plan(source, destination, maker=OLD, update=True)) == []


def test_a_result_that_nobody_knows_the_maker_of_is_made_again_only_for_a_newer_object(
    source: Path, destination: Path
) -> None:
    fill(destination, ["a", "c"])
    os.utime(destination / "a", ns=(0, (source / "a").stat().st_mtime_ns + 1))
    os.utime(destination / "c", ns=(0, (source / "c").stat().st_mtime_ns - 1))
    assert make(plan(source, destination, maker=OLD, update=True)) == ["b", "c"]


def test_where_there_are_no_extended_attributes_it_is_said(
    source: Path, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder_destination, "_ORIGIN", "nospace.instore")  # which no file system takes
    make(plan(source, destination, maker=OLD))
    seen = run(plan(source, destination, maker=NEW, update=True))
    assert seen.notes == [
        "DST's file system keeps no extended attributes, so it isn't known what made its results: only those of newer "
        "objects are made again"
    ]
    assert set(seen.statuses().values()) == {"already there"}


def test_results_have_the_times_and_permissions_of_their_objects(source: Path, destination: Path) -> None:
    for name, mode in (("a", 0o640), ("b", 0o755)):
        os.chmod(source / name, mode)
        os.utime(source / name, ns=(1, 1_234_567_890_123_456_789))
    make(plan(source, destination, maker=OLD, preserve=True))
    for name in ("a", "b", "c"):
        before, after = (source / name).stat(), (destination / name).stat()
        assert (after.st_mode, after.st_mtime_ns) == (before.st_mode, before.st_mtime_ns)
    assert make(plan(source, destination, maker=OLD, update=True)) == []


def test_what_a_bucket_can_not_do_is_said(source: Path) -> None:
    with pytest.raises(ConfigurationError, match="--preserve is for results in a folder, and DST is a bucket"):
        make_plan(str(source), "ais://bucket", preserve=True)


def test_without_results_there_is_nothing_to_watch_for(source: Path) -> None:
    settings = JobSettings(transform="upper.py", sources=[str(source)], destination=None)
    with pytest.raises(ConfigurationError, match="--watch makes results, and there is no DST"):
        asyncio.run(run_and_watch(settings, print))


@dataclass
class Store:
    """An empty bucket of a store.

    Attributes:
        place: its URL.
        content: what is there.
        put: puts an object there.
    """

    place: str
    content: Callable[[], dict[str, bytes]]
    put: Callable[[str, bytes], object]


@pytest.fixture(params=["s3", "ais"])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    if request.param == "s3":
        cloud: Cloud = request.getfixturevalue("cloud")
        bucket = cloud.bucket()
        yield Store(f"s3://{bucket}", lambda: cloud.content(bucket), lambda key, data: cloud.put(bucket, {key: data}))
        return
    with running_node(tmp_path) as node:
        monkeypatch.setenv("AIS_ENDPOINT", node.endpoint)
        there = node.client().bucket("results").create()

        def content() -> dict[str, bytes]:
            return {one.name: there.object(one.name).get_reader().read_all() for one in there.list_all_objects()}

        yield Store("ais://results", content, lambda key, data: there.object(key).get_writer().put_content(data))


def test_a_bucket_knows_what_made_its_results(source: Path, store: Store) -> None:
    def to_bucket(maker: Maker, update: bool = True) -> Plan:
        return make_plan(str(source), store.place, maker=maker, update=update)

    assert make(to_bucket(OLD)) == ["a", "b", "c"]
    assert make(to_bucket(OLD)) == []
    assert make(to_bucket(NEW, update=False)) == []  # nothing is looked at then
    assert set(outdated(to_bucket(NEW)).values()) == {"by another class, or by another version of it"}
    (source / "b").write_bytes(b"of another size")
    assert make(to_bucket(OLD)) == ["b"]
    assert make(to_bucket(NEW)) == ["a", "b", "c"]
    assert store.content() == {"a": b"OBJECT A", "b": b"OF ANOTHER SIZE", "c": b"OBJECT C"}
    store.put("a", b"by hand")
    os.utime(source / "a", ns=(0, 0))
    assert make(to_bucket(NEW)) == []  # the object is older than what was put there
    os.utime(source / "a", ns=(0, 4 * 10**18))
    assert make(to_bucket(NEW)) == ["a"]


def test_a_bucket_knows_what_made_several_results(source: Path, store: Store) -> None:
    async def make_several(what: Plan) -> None:
        async with what.destination as destination:
            for item in list(what.items()):
                names = [f"{item.name}{number}" for number in range(2)]
                written = await destination.write_results(item, several(*((name, (b"-",)) for name in names)))
                assert await destination.commit([(written, "")]) == [""]

    asyncio.run(make_several(make_plan(str(source), store.place, maker=OLD, update=True)))
    for maker, state in ((OLD, ItemState.THERE), (NEW, ItemState.TODO)):
        what = make_plan(str(source), store.place, maker=maker, update=True)
        assert {item.state for item in what.items()} == {state}


@pytest.mark.parametrize("to_folder", [True, False])
def test_an_object_of_a_bucket_has_changed_if_its_tag_has(tmp_path: Path, cloud: Cloud, to_folder: bool) -> None:
    inbox, outbox = cloud.bucket({"a": b"one", "b": b"one"}), cloud.bucket()
    place = str(tmp_path / "dst") if to_folder else f"s3://{outbox}"

    def from_bucket(update: bool = True) -> Plan:
        return make_plan(f"s3://{inbox}", place, maker=OLD, update=update)

    assert make(from_bucket()) == ["a", "b"]
    assert make(from_bucket()) == []
    cloud.put(inbox, {"b": b"two"})
    assert set(outdated(from_bucket()).values()) == {"of objects that have changed since"}
    assert make(from_bucket()) == ["b"]
    assert make(from_bucket()) == []


def test_what_is_kept_of_a_result_is_not_taken_for_its_objects(cloud: Cloud) -> None:
    inbox, outbox = cloud.bucket(), cloud.bucket()
    cloud.put(inbox, {"a": b"one"}, Metadata={"instoreorigin": "x y 1 2", "mine": "yes"})
    what = make_plan(f"s3://{inbox}", f"s3://{outbox}", maker=OLD, clouds=CloudOptions(keep_metadata=True))
    assert make(what) == ["a"]
    kept = cloud.head(outbox, "a")["Metadata"]
    assert set(kept) == {"instoreorigin", "mine"}
    assert kept["instoreorigin"].startswith("c1 a1 3 ")
