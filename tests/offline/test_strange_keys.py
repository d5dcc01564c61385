"""Objects of clouds with keys that are no file's name, on their way into a folder: none is taken for another's."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from instore.errors import RemoteStoreError
from instore.offline.cloud_store import CloudOptions
from instore.offline.plan import make_plan
from tests.offline.support import run, tree
from tests.support.azurite import AZURE, make_container, put_blob, running_azurite
from tests.support.clouds import Cloud, google_key
from tests.support.faulty_cloud import faulty_cloud

LONG = "n" * 256
EMPTY_PART, PARENT, CURRENT = (f"a part between slashes is {part}" for part in ("empty", "'..'", "'.'"))
TOO_LONG, NO_SUCH = "a part between slashes is longer than 255 bytes", "could not be read: "


@dataclass
class Store:
    """A running store.

    Attributes:
        scheme: of its places.
        endpoint: its URL.
        bucket: a bucket of it.
        put: puts an object there.
    """

    scheme: str
    endpoint: str
    bucket: str
    put: Callable[[str, bytes], None]


@pytest.fixture
def s3(cloud: Cloud) -> Store:
    bucket = cloud.bucket()
    return Store("s3", cloud.endpoint, bucket, lambda key, data: cloud.put(bucket, {key: data}))


@pytest.fixture
def gs(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", google_key(tmp_path))
    bucket = cloud.bucket()
    with faulty_cloud(cloud.endpoint) as google:
        google.is_google = True
        yield Store("gs", google.endpoint, bucket, lambda key, data: cloud.put(bucket, {key: data}))


@pytest.fixture(scope="module")
def _azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_azurite(tmp_path_factory.mktemp("azurite")) as endpoint:
        yield endpoint


@pytest.fixture
def az(_azurite: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Store:
    for name, value in AZURE.items():
        monkeypatch.setenv(name, value)
    bucket = f"keys{abs(hash(request.node.name))}"
    make_container(_azurite, bucket)
    return Store("az", _azurite, bucket, lambda key, data: put_blob(_azurite, bucket, key, data))


UNREADABLE = {
    "a//b": EMPTY_PART,
    "../x": PARENT,
    "x/../y": PARENT,
    "x/.": CURRENT,
    "tab\tx": "it holds a control character",
}
SCHEMES = ("s3", "gs", "az")


@pytest.mark.parametrize(
    ("scheme", "key", "said"),
    [
        *((scheme, LONG, TOO_LONG) for scheme in SCHEMES),
        *((scheme, f"d/{LONG}/x", TOO_LONG) for scheme in SCHEMES),
        *((scheme, "d/", NO_SUCH) for scheme in SCHEMES),  # which has bytes; obstore asks for the name without a slash
        *((scheme, key, said) for scheme in SCHEMES for key, said in UNREADABLE.items()),
        ("s3", "a\0b", "it holds a NUL"),
        ("gs", "a\0b", "it holds a NUL"),
    ],
)
def test_an_object_that_can_not_be_a_file_is_one_failure(
    request: pytest.FixtureRequest, tmp_path: Path, scheme: str, key: str, said: str
) -> None:
    store: Store = request.getfixturevalue(scheme)
    store.put(key, b"strange")
    store.put("m", b"other")
    place = f"{scheme}://{store.bucket}"
    seen = run(make_plan(place, str(tmp_path / "dst"), clouds=CloudOptions(store.endpoint)))
    assert seen.statuses() == {key.removesuffix("/"): "failed", "m": "done"}
    assert said in seen.results[key.removesuffix("/")].error
    assert tree(tmp_path / "dst") == {"m": b"OTHER"}


@pytest.mark.parametrize(
    ("scheme", "package", "command"),
    [
        ("gs", "google.auth", "pip install google-auth requests"),
        ("az", "azure.storage.blob", "pip install azure-storage-blob azure-identity"),
    ],
)
@pytest.mark.parametrize("key", UNREADABLE)
def test_where_the_store_itself_can_not_be_asked_for_names_such_a_key_ends_the_job_and_is_named(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    scheme: str,
    package: str,
    command: str,
    key: str,
) -> None:
    store: Store = request.getfixturevalue(scheme)
    monkeypatch.setitem(sys.modules, package, None)
    store.put(key, b"strange")
    store.put("m", b"other")
    place = f"{scheme}://{store.bucket}"
    with pytest.raises(RemoteStoreError, match=f"^{place} can't be listed: ") as caught:
        run(make_plan(place, str(tmp_path / "dst"), clouds=CloudOptions(store.endpoint)))
    assert f'"{key}"' in str(caught.value)
    assert command in str(caught.value)
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("scheme", SCHEMES)
def test_many_such_objects_among_others_are_each_one_failure(
    request: pytest.FixtureRequest, tmp_path: Path, scheme: str
) -> None:
    store: Store = request.getfixturevalue(scheme)
    others = [f"{folder}/{number}" for folder in ("a", "b", "c") for number in range(4)]
    for key in (*UNREADABLE, "b//2", *others):
        store.put(key, b"x")
    place = f"{scheme}://{store.bucket}"
    for prefix, strange in (("", (*UNREADABLE, "b//2")), ("b/", ("b//2",))):
        dst = tmp_path / f"dst{len(prefix)}"
        seen = run(make_plan(place, str(dst), prefix, clouds=CloudOptions(store.endpoint)))
        done = [name for name in others if name.startswith(prefix)]
        assert seen.statuses() == {**dict.fromkeys(strange, "failed"), **dict.fromkeys(done, "done")}
        assert sorted(tree(dst)) == done


@pytest.mark.parametrize("scheme", SCHEMES)
def test_results_are_found_among_such_objects(request: pytest.FixtureRequest, tmp_path: Path, scheme: str) -> None:
    store: Store = request.getfixturevalue(scheme)
    names = ["a/0", "a/1", "m", "y"]
    for key in (*UNREADABLE, *names[:3]):
        store.put(key, b"x")
    (tmp_path / "src" / "a").mkdir(parents=True)
    for name in names:
        (tmp_path / "src" / name).write_bytes(b"x")
    seen = run(make_plan(str(tmp_path / "src"), f"{scheme}://{store.bucket}", clouds=CloudOptions(store.endpoint)))
    assert seen.statuses() == {**dict.fromkeys(names[:3], "already there"), "y": "done"}
