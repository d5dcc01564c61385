"""What every source and every destination has to do, for each that there is.

An implementation is a `Kind`: how a place is filled and looked at from outside, and how it is opened.
"""

import asyncio
import contextlib
import itertools
import json
import os
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aistore import Client
from obstore.store import AzureStore

from instore.errors import AnswerError, ConfigurationError, NameConflictError
from instore.offline.bucket_destination import BucketDestination
from instore.offline.bucket_source import BucketSource
from instore.offline.chosen import MatchingObjects, NamedObjects
from instore.offline.cloud_destination import CloudDestination
from instore.offline.cloud_source import CloudSource
from instore.offline.cloud_store import CloudOptions
from instore.offline.folder_destination import PARTIAL, FolderDestination
from instore.offline.folder_source import FolderSource
from instore.offline.interfaces import (
    CommittedError,
    Item,
    ItemState,
    JobOptions,
    ListedDestination,
    ListedSource,
    LooksAhead,
    RemembersOrigins,
)
from instore.offline.maker import Maker
from instore.offline.naming import PLAIN_NAMES, Naming
from instore.offline.own_process import OwnProcess
from instore.offline.patterns import matcher
from instore.offline.plan import Plan
from instore.offline.records import RECORDS, Record, RecordState
from instore.offline.run import run
from instore.offline.web_source import WebSource
from instore.protocol.environment import AIS_TARGET_URL, NO_TARGET
from instore.protocol.result_frames import ResultHead
from instore.webserver.base_etl_server import application_of
from tests.offline.support import Seen, fill, pieces, several, tree
from tests.offline.test_results import Letters, texts
from tests.support.azurite import AZURE, make_container, running_azurite
from tests.support.cancelling import TIMES, cancelled_at
from tests.support.clouds import CREDENTIALS, Cloud, google_key
from tests.support.environments import UnavailableError
from tests.support.faulty_cloud import faulty_cloud
from tests.support.node import running_node
from tests.support.versity import running_versity
from tests.support.web import web_server

NAMES = ["a.txt", "b/c d%41#?.txt", "b/empty", "b/é日.txt", "ba", "z"]
BIG = b"0123456789abcdef" * (5 << 16)  # more than is held in memory before it is sent; two of it are sent in parts

_NUMBERS = itertools.count()


@dataclass(frozen=True)
class Origin:
    """One kind of place that objects come from.

    Attributes:
        place: of a test, as a user names it.
        fill: puts objects there.
        source: opens it.
    """

    place: str
    fill: Callable[[dict[str, bytes]], None]
    source: Callable[..., ListedSource]


@dataclass(frozen=True)
class Kind(Origin):
    """One kind of place that results go to, too.

    Attributes:
        content: what is there.
        destination: opens it.
        is_here: its store runs in this process, and has the other ends of connections.
    """

    content: Callable[[], dict[str, bytes]]
    destination: Callable[..., ListedDestination[Any]]
    is_here: bool = False


@pytest.fixture(scope="module", name="client")
def _client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with running_node(tmp_path_factory.mktemp("node")) as node:
        os.environ["AIS_ENDPOINT"] = node.endpoint
        yield node.client()
        del os.environ["AIS_ENDPOINT"]


KINDS = ["folder", "bucket", "s3", *(pytest.param(name, marks=pytest.mark.whole) for name in ("gs", "az", "versity"))]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    return _kind(request, tmp_path)


@pytest.fixture(params=[*KINDS, "web"])
def origin(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Origin]:
    if request.param != "web":
        yield _kind(request, tmp_path)
        return
    folder = _folder(tmp_path / "site" / "place")
    (tmp_path / "site").mkdir()
    with web_server(tmp_path / "site") as web:
        yield Origin(f"{web.endpoint}/place/", folder.fill, WebSource)


def _kind(request: pytest.FixtureRequest, tmp_path: Path) -> Kind:
    if request.param == "folder":
        return _folder(tmp_path / "place")
    if request.param in ("s3", "gs"):
        return _cloud(request.getfixturevalue("cloud"), request.getfixturevalue(request.param), request.param)
    if request.param == "versity":
        store = request.getfixturevalue("versity")
        return replace(_cloud(store, store.endpoint, "s3"), is_here=False)
    if request.param == "az":
        return _azure(request.getfixturevalue("az"))
    return _bucket(request.getfixturevalue("client"))


def _folder(folder: Path) -> Kind:
    def put(objects: dict[str, bytes]) -> None:
        folder.mkdir(exist_ok=True)
        fill(folder, list(objects))
        for name, data in objects.items():
            (folder / name).write_bytes(data)

    def content() -> dict[str, bytes]:
        return {name: data for name, data in tree(folder).items() if not name.startswith((PARTIAL, RECORDS))}

    return Kind(str(folder), put, FolderSource, content, FolderDestination)


def _bucket(client: Client) -> Kind:
    name = f"place-{next(_NUMBERS)}"
    bucket = client.bucket(name)

    def put(objects: dict[str, bytes]) -> None:
        bucket.create(exist_ok=True)
        for key, data in objects.items():
            bucket.object(key).get_writer().put_content(data)

    def content() -> dict[str, bytes]:
        return {
            one.name: bucket.object(one.name).get_reader().read_all()
            for one in bucket.list_all_objects()
            if not one.name.startswith(RECORDS)
        }

    return Kind(f"ais://{name}", put, BucketSource, content, BucketDestination)


def _cloud(cloud: Cloud, endpoint: str, scheme: str) -> Kind:
    name = cloud.free_name()
    options = CloudOptions(endpoint)

    def make() -> None:  # which no command does
        with contextlib.suppress(cloud.client.exceptions.BucketAlreadyOwnedByYou):
            cloud.client.create_bucket(Bucket=name)

    def put(objects: dict[str, bytes]) -> None:
        make()
        cloud.put(name, objects)

    def destination(place: str, naming: Naming = PLAIN_NAMES, maker: Maker | None = None) -> ListedDestination[Any]:
        make()
        return CloudDestination(place, naming, options, maker=maker)

    def source(place: str, prefix: str = "") -> ListedSource:
        return CloudSource(place, prefix, options)

    def content() -> dict[str, bytes]:
        return {key: data for key, data in cloud.content(name).items() if not key.startswith(RECORDS)}

    return Kind(f"{scheme}://{name}", put, source, content, destination, is_here=True)


def _azure(endpoint: str) -> Kind:
    name = f"place-{next(_NUMBERS)}"
    store = AzureStore(name, endpoint=endpoint, client_options={"allow_http": True})
    options = CloudOptions(endpoint)

    def put(objects: dict[str, bytes]) -> None:
        make_container(endpoint, name)
        for key, data in objects.items():
            store.put(key, data)

    def content() -> dict[str, bytes]:
        names = [one["path"] for page in store.list() for one in page]
        return {name: store.get(name).bytes().to_bytes() for name in names if not name.startswith(RECORDS)}

    def destination(place: str, naming: Naming = PLAIN_NAMES, maker: Maker | None = None) -> ListedDestination[Any]:
        make_container(endpoint, name)
        return CloudDestination(place, naming, options, maker=maker)

    def source(place: str, prefix: str = "") -> ListedSource:
        return CloudSource(place, prefix, options)

    return Kind(f"az://{name}", put, source, content, destination)


@pytest.fixture(name="s3")
def _s3(cloud: Cloud) -> str:
    return cloud.endpoint


@pytest.fixture(name="gs")
def _gs(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", google_key(tmp_path))
    with faulty_cloud(cloud.endpoint) as running:
        running.is_google = True
        yield running.endpoint


@pytest.fixture(scope="module")
def _versity(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    try:
        with running_versity(tmp_path_factory.mktemp("versity")) as store:
            yield store
    except UnavailableError as error:
        pytest.skip(str(error))


@pytest.fixture(name="versity")
def _versity_store(_versity: Cloud, monkeypatch: pytest.MonkeyPatch) -> Cloud:
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    return _versity


@pytest.fixture(scope="module")
def _azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as endpoint:
        yield endpoint


@pytest.fixture(name="az")
def _az(_azurite: str, monkeypatch: pytest.MonkeyPatch) -> str:
    for name, value in AZURE.items():
        monkeypatch.setenv(name, value)
    return _azurite


def objects(names: list[str]) -> dict[str, bytes]:
    return {name: b"" if name.endswith("empty") else f"object {name}".encode() for name in names}


def item(name: str) -> Item:
    return Item(name, ItemState.TODO, result=name)


def descriptors(with_sockets: bool) -> int:
    """How many this process has."""
    links = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            links.append(os.readlink(f"/proc/self/fd/{number}"))
    return sum(with_sockets or not link.startswith("socket:") for link in links)


async def store(destination: ListedDestination[Any], name: str, *data: bytes) -> str:
    """Write and commit one result; why it could not be done, or an empty text."""
    written = await destination.write(item(name), pieces(*data), "text/plain")
    return "" if isinstance(written, int) else (await destination.commit([(written, name)]))[0]


# Sources


def test_a_source_lists_every_object_with_its_size(origin: Origin) -> None:
    origin.fill(objects(NAMES))
    source = origin.source(origin.place)
    for _ in range(2):  # it may be gone through more than once
        found = {one.name: one.size for one in source.list() if one.state is ItemState.TODO}
        assert found == {name: len(data) for name, data in objects(NAMES).items()}


@pytest.mark.parametrize("prefix", ["", "b", "b/", "b/c", "ba", "none"])
def test_a_prefix_selects_by_the_start_of_names(origin: Origin, prefix: str) -> None:
    origin.fill(objects(NAMES))
    source = origin.source(origin.place, prefix)
    assert source.prefix == prefix
    assert sorted(one.name for one in source.list()) == [name for name in NAMES if name.startswith(prefix)]


def test_a_source_knows_which_objects_it_has(origin: Origin) -> None:
    origin.fill(objects(NAMES))
    source = origin.source(origin.place)
    assert [name for name in [*NAMES, "b", "c", "a.txt/x"] if source.has(name)] == NAMES


def test_objects_can_be_named_and_one_that_is_not_there_is_a_failure(origin: Origin) -> None:
    origin.fill(objects(NAMES))
    source = NamedObjects(origin.source(origin.place, "b"), ["z", "ba", "b/none", "b/é日.txt", "ba"])
    assert [(one.name, one.state, one.size) for one in source.list()] == [
        ("b/none", ItemState.FAILED, 0),
        ("b/é日.txt", ItemState.TODO, len(objects(NAMES)["b/é日.txt"])),
        ("ba", ItemState.TODO, len(objects(NAMES)["ba"])),
    ]
    assert [name for name in NAMES if name.startswith("b") and source.has(name)] == ["b/é日.txt", "ba"]


def test_objects_can_be_chosen_by_patterns(origin: Origin) -> None:
    origin.fill(objects(NAMES))
    source = MatchingObjects(origin.source(origin.place), matcher(["*.txt", "b/**"], ["**/c *"]))
    assert [one.name for one in source.list()] == ["a.txt", "b/empty", "b/é日.txt"]
    assert [name for name in NAMES if source.has(name)] == ["a.txt", "b/empty", "b/é日.txt"]


def test_a_source_gives_each_object_whole_or_names_its_file(origin: Origin) -> None:
    origin.fill(objects(NAMES))
    source = origin.source(origin.place)

    async def received(one: Item) -> bytes:
        request = source.request(one, "some args")
        assert (request.path, request.etl_args) == (source.path(one), "some args")
        assert request.path.endswith(f"/{one.name}")
        if request.body is None:
            assert request.fqn.startswith(source.file_root)
            return Path(request.fqn).read_bytes()
        body, data = request.body(), b""
        while piece := await body.take():
            data += piece
        return data

    async def all_of_them() -> dict[str, bytes]:
        return {one.name: await received(one) for one in source.list()}

    assert asyncio.run(all_of_them()) == objects(NAMES)


def test_a_source_that_is_not_there_is_refused(origin: Origin) -> None:
    with pytest.raises(ConfigurationError, match="SRC"):
        origin.source(origin.place)


# Destinations


@pytest.mark.parametrize("data", [(), (b"one",), (b"one", b"two", b"three"), (BIG, b"end"), (BIG, BIG)])
def test_a_result_is_there_whole_once_it_is_committed(kind: Kind, data: tuple[bytes, ...]) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            assert not destination.exists("d/e/x")
            assert await store(destination, "d/e/x", *data) == ""
            await destination.flush()

    asyncio.run(check())
    assert kind.content() == {"d/e/x": b"".join(data)}
    assert kind.destination(kind.place).exists("d/e/x")


@pytest.mark.parametrize("data", [b"small", BIG + b"end"])
def test_what_made_a_result_is_kept_with_it(kind: Kind, data: bytes) -> None:
    made_of = Item("x", ItemState.TODO, result="d/x", size=len(data), modified=17 * 10**18, tag='"a b-é"')

    async def check() -> None:
        async with kind.destination(kind.place, maker=Maker("code", "arguments")) as destination:
            written = await destination.write(made_of, pieces(data), "text/plain")
            if not isinstance(written, int):
                assert await destination.commit([(written, "d/x")]) == [""]
            assert isinstance(destination, RemembersOrigins)
            if isinstance(destination, LooksAhead):
                destination.look_at(["d/none", "d/x"])
            for _ in range(2):
                assert destination.origin("d/x") == ("code", "arguments", len(data), 17 * 10**18, '"a b-é"')

    asyncio.run(check())


def test_names_survive(kind: Kind) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            for name, data in objects(NAMES).items():
                assert await store(destination, name, data) == ""

    asyncio.run(check())
    assert kind.content() == objects(NAMES)


@pytest.mark.parametrize("before", [(), (b"one",), (b"one", b"two"), (BIG, b"two")])
def test_a_body_that_breaks_off_leaves_nothing(kind: Kind, before: tuple[bytes, ...]) -> None:
    async def breaking() -> AsyncIterator[bytes]:
        for piece in before:
            yield piece
        raise ConnectionError

    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            with pytest.raises(ConnectionError):
                await destination.write(item("x"), breaking(), "text/plain")

    asyncio.run(check())
    assert kind.content() == {}


@pytest.mark.parametrize("name", ["n" * 300, "a/../../up", "nul\0"])
def test_a_name_that_no_result_can_have_is_refused_with_the_reason(kind: Kind, name: str) -> None:
    if name == "a/../../up" and kind.destination is FolderDestination:
        pytest.skip("no folder and no bucket lists such a name, and none is made of it")
    kind.fill({})
    with pytest.raises(NameConflictError):
        kind.destination(kind.place).exists(name)


def test_nothing_can_be_delivered_to_it(kind: Kind) -> None:
    with pytest.raises(AnswerError, match="which no request asked for"):
        kind.destination(kind.place).delivered(item("x"))


@TIMES
@pytest.mark.parametrize("data", [(b"one",), (b"one", b"two", b"three"), (BIG, b"end")])
def test_however_often_it_is_cancelled_a_result_is_whole_or_not_there(
    kind: Kind, data: tuple[bytes, ...], times: int
) -> None:
    async def check() -> None:
        files = None
        async with kind.destination(kind.place) as destination:
            for step in itertools.count():
                name, over, committed = f"x{step}", False, False
                try:
                    over = committed = await cancelled_at(step, times, store(destination, name, *data))
                except CommittedError:
                    committed = True
                assert set(kind.content().values()) <= {b"".join(data)}, step
                assert not committed or name in kind.content()
                open_now = descriptors(with_sockets=not kind.is_here)
                assert files is None or open_now <= files + 4, "descriptors are left open"
                files = files or open_now
                if over:
                    break

    asyncio.run(check())


# Several results of an object


async def store_several(destination: ListedDestination[Any], name: str, *results: tuple[str, tuple[bytes, ...]]) -> str:
    written = await destination.write_results(item(name), several(*results))
    return (await destination.commit([(written, "")]))[0]


def record_of(kind: Kind, name: str) -> Record | None:
    """What another command finds recorded of an object."""
    return kind.destination(kind.place).records.of(name)


def test_several_results_are_there_once_they_are_committed_and_another_command_knows_of_them(kind: Kind) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            assert await store_several(destination, "x", ("d/1", (b"one",)), ("d/2", ()), ("3", (BIG, b"end"))) == ""
            assert await store_several(destination, "none") == ""

    asyncio.run(check())
    assert kind.content() == {"d/1": b"one", "d/2": b"", "3": BIG + b"end"}
    record = record_of(kind, "x")
    assert record is not None
    assert record.state is RecordState.DONE
    assert [(result.name, result.size) for result in record.results] == [("d/1", 3), ("d/2", 0), ("3", len(BIG) + 3)]
    assert kind.destination(kind.place).has_all(record.names)
    assert record_of(kind, "none") is not None
    assert record_of(kind, "y") is None


def test_results_that_break_off_leave_none_of_them_and_free_their_names(kind: Kind) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            with pytest.raises(ConnectionError):
                await destination.write_results(item("x"), several(("1", (b"one",)), ("2", (BIG,)), broken=True))
            assert await store_several(destination, "y", ("1", (b"other",))) == ""

    asyncio.run(check())
    assert kind.content() == {"1": b"other"}
    assert record_of(kind, "x") is None


def test_a_name_belongs_to_one_object_and_who_wants_it_too_is_told_of_both(kind: Kind) -> None:
    both = "y and x would both have a result that is called 1"

    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            assert await store_several(destination, "x", ("1", (b"one",))) == ""
            with pytest.raises(NameConflictError, match=both):
                await destination.write_results(item("y"), several(("0", (b"two",)), ("1", (b"two",))))

    asyncio.run(check())

    async def again() -> None:  # another command
        async with kind.destination(kind.place) as destination:
            with pytest.raises(NameConflictError, match=both):
                await destination.write_results(item("y"), several(("0", (b"two",)), ("1", (b"two",))))

    asyncio.run(again())
    assert kind.content() == {"1": b"one"}


@pytest.mark.parametrize("name", ["../up", "/absolute", "a//b", "nul\0", f"{RECORDS}/x", "n" * 300])
def test_a_results_own_name_is_refused_if_none_can_have_it(kind: Kind, name: str) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            with pytest.raises(NameConflictError):
                await destination.write_results(item("x"), several(("fine", (b"one",)), (name, (b"two",))))

    asyncio.run(check())
    assert kind.content() == {}


def test_an_object_that_is_made_again_has_its_new_results_and_no_other(kind: Kind) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            assert await store_several(destination, "x", ("1", (b"one",)), ("d/2", (b"two",))) == ""
        async with kind.destination(kind.place) as destination:
            assert await store_several(destination, "x", ("1", (b"ONE",)), ("3", (b"three",))) == ""

    asyncio.run(check())
    assert kind.content() == {"1": b"ONE", "3": b"three"}
    assert (record_of(kind, "x") or Record("", RecordState.PLAIN)).names == ["1", "3"]


def test_an_object_that_had_several_results_and_has_one_now_has_no_record(kind: Kind) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            assert await store_several(destination, "x", ("1", (b"one",)), ("2", (b"two",))) == ""
            assert await store(destination, "x", b"plain") == ""

    asyncio.run(check())
    assert kind.content() == {"x": b"plain"}
    assert record_of(kind, "x") is None


def test_what_was_skipped_is_known_to_another_command_with_its_reason(kind: Kind) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            skipped = [(await destination.skip(item(name), "too small"), "") for name in ("x", "y")]
            assert await destination.commit(skipped) == ["", ""]

    asyncio.run(check())
    record = record_of(kind, "y")
    assert record is not None
    assert (record.state, record.reason, record.names) == (RecordState.SKIPPED, "too small", [])
    assert kind.content() == {}


def test_the_records_of_a_job_are_no_objects(kind: Kind) -> None:
    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            assert await store_several(destination, "x", ("1", (b"one",))) == ""

    asyncio.run(check())
    found = {one.name: one.state for one in kind.source(kind.place).list()}
    assert found.pop("1") is ItemState.TODO
    assert set(found.values()) == {ItemState.SKIPPED}
    assert all(name.startswith(RECORDS) for name in found)


@TIMES
def test_however_often_it_is_cancelled_all_results_are_there_or_none(kind: Kind, times: int) -> None:
    names = [("1", (b"one",)), ("2", (BIG, b"two"))]

    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            for step in itertools.count():
                here = [(f"{step}/{name}", data) for name, data in names]
                over = await cancelled_at(step, times, store_several(destination, f"x{step}", *here))
                there = {name for name in kind.content() if name.startswith(f"{step}/")}
                assert len(there) in (0, 2), step
                assert len(there) == 2 or destination.records.of(f"x{step}") is None
                if over:
                    assert len(there) == 2
                    break

    asyncio.run(check())


def test_a_job_of_several_results_goes_on_where_it_was(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(os.environ) | {AIS_TARGET_URL: NO_TARGET})
    texts(tmp_path / "src", {"ab": "ab", "none": "", "bad": "c!"})

    def job() -> Seen:
        seen = Seen()
        what = Plan(FolderSource(str(tmp_path / "src")), kind.destination(kind.place), overwrite=False)
        make = partial(OwnProcess, lambda: application_of(Letters()))
        asyncio.run(run(what, make, JobOptions(continue_on_error=True), seen))
        return seen

    assert job().statuses() == {"ab": "done", "none": "skipped", "bad": "failed"}
    assert kind.content() == {"a/ab": b"a", "b/ab": b"b"}
    texts(tmp_path / "src", {"bad": "good", "new": "n"})
    seen = job()
    assert seen.statuses() == {"ab": "already there", "none": "skipped", "bad": "failed", "new": "done"}
    assert seen.errors() == {"bad": "the transform of 'src/bad' failed: ValueError: transform_many yielded two results "
                             "that are called 'o/bad'"}  # fmt: skip
    assert set(kind.content()) == {"a/ab", "b/ab", "n/new"}


def metadata_of(kind: Kind, name: str, request: pytest.FixtureRequest) -> dict[str, str]:
    """What is kept beside a result."""
    if kind.destination is FolderDestination:
        found: dict[str, str] = json.loads(os.getxattr(Path(kind.place) / name, "user.instore.metadata"))
        return found
    bucket = kind.place.partition("://")[2]
    if kind.place.startswith("ais://"):
        return dict(request.getfixturevalue("client").bucket(bucket).object(name).props.custom_metadata)
    store = "versity" if "versity" in request.node.name else "cloud"
    answer = request.getfixturevalue(store).client.head_object(Bucket=bucket, Key=name)
    assert answer["ContentType"] == "text/markdown"
    return dict(answer["Metadata"])


def test_a_results_metadata_and_content_type_are_kept_where_there_is_a_place_for_them(
    kind: Kind, request: pytest.FixtureRequest
) -> None:
    if kind.place.startswith(("az://", "gs://")):
        pytest.skip("looked at through Amazon's client")

    async def results() -> AsyncIterator[Any]:
        yield ResultHead("d/x", "text/markdown", {"lines": "2"}, 3, is_only=True), pieces(b"one")

    async def check() -> None:
        async with kind.destination(kind.place) as destination:
            assert await destination.commit([(await destination.write_results(item("x"), results()), "")]) == [""]

    asyncio.run(check())
    assert metadata_of(kind, "d/x", request) == {"lines": "2"}
