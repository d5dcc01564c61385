"""Objects of clouds with keys that are no file's name, on their way into a folder: none is taken for another's."""

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


SCHEMES = ("s3", "gs", "az")


@pytest.mark.parametrize(
    ("scheme", "key", "said"),
    [
        *((scheme, LONG, TOO_LONG) for scheme in SCHEMES),
        *((scheme, f"d/{LONG}/x", TOO_LONG) for scheme in SCHEMES),
        *((scheme, "d/", NO_SUCH) for scheme in SCHEMES),  # which has bytes; obstore asks for the name without a slash
        ("s3", "a//b", EMPTY_PART),
        ("s3", "../x", PARENT),
        ("s3", "x/../y", PARENT),
        ("s3", "x/.", CURRENT),
        ("s3", "a\0b", "it holds a NUL"),
        ("s3", "a\x01b", "it holds a control character"),
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
    ("scheme", "key"),
    [
        *((scheme, key) for scheme in ("gs", "az") for key in ("a//b", "../x", "x/../y", "x/.", "tab\tx")),
        ("gs", "a\0b"),
    ],
)
def test_where_the_store_itself_is_not_asked_for_names_such_a_key_ends_the_job_and_is_named(
    request: pytest.FixtureRequest, tmp_path: Path, scheme: str, key: str
) -> None:
    store: Store = request.getfixturevalue(scheme)
    store.put(key, b"strange")
    store.put("m", b"other")
    place = f"{scheme}://{store.bucket}"
    with pytest.raises(RemoteStoreError, match=f"^{place} can't be listed: ") as caught:
        run(make_plan(place, str(tmp_path / "dst"), clouds=CloudOptions(store.endpoint)))
    assert f'"{key}"' in str(caught.value)
    assert not (tmp_path / "x").exists()
