"""Buckets and listings, as the official SDK asks for them."""

import json
import random
import time
from collections.abc import Iterator

import pytest
from aistore import Client
from aistore.sdk.bucket import Bucket
from aistore.sdk.errors import AISError, ErrBckAlreadyExists, ErrBckNotFound
from aistore.sdk.list_object_flag import ListObjectFlag
from aistore.sdk.namespace import Namespace

from tests.support.node import RunningNode

NAMES = sorted(
    ["a", "a-b", "a.b", "a0", "ab", "b/a", "b/c/d", "b/c/e", "b-", "b0", "z", "é", "日本/語", "A", "%", "~"]
    + [f"n/{number:03}" for number in range(50)]
)


def fill(bucket: Bucket, names: list[str]) -> None:
    for name in random.Random(4).sample(names, len(names)):
        bucket.object(name).get_writer().put_content(name.encode())


def names_of(bucket: Bucket, **asked: object) -> list[str]:
    return [entry.name for entry in bucket.list_all_objects(**asked)]


def test_a_bucket_is_made_listed_described_and_destroyed(client: Client, bucket: Bucket) -> None:
    assert bucket.name in [one.name for one in client.cluster().list_buckets()]
    assert json.loads(bucket.head()["Ais-Bucket-Props"])["name"] == bucket.name
    with pytest.raises(ErrBckAlreadyExists):
        bucket.create()
    bucket.create(exist_ok=True)
    bucket.object("o").get_writer().put_content(b"x")
    bucket.delete()
    assert bucket.name not in [one.name for one in client.cluster().list_buckets()]
    with pytest.raises(ErrBckNotFound):
        bucket.delete()
    bucket.delete(missing_ok=True)
    with pytest.raises(ErrBckNotFound):
        bucket.list_objects()
    bucket.create()
    assert names_of(bucket) == []


@pytest.mark.parametrize("name", ["a b", "a/b", "..", ".a", "a..b", "x" * 65, "%ob", "a@b"])
def test_names_that_no_bucket_can_have_are_refused(client: Client, name: str) -> None:
    with pytest.raises(AISError) as refused:
        client.bucket(name).create()
    assert refused.value.status_code in (400, 404, 501)
    assert name not in [one.name for one in client.cluster().list_buckets()]


def test_namespaces_keep_buckets_of_one_name_apart(node: RunningNode, client: Client, bucket: Bucket) -> None:
    other = client.bucket(bucket.name, namespace=Namespace(name="space")).create()
    other.object("o").get_writer().put_content(b"other")
    assert names_of(bucket) == []
    assert other.object("o").get_reader().read_all() == b"other"
    found = list(node.folder.glob(f"t*/@ais/#space/{bucket.name}/%ob/o"))
    assert [path.read_bytes() for path in found] == [b"other"]
    listed = [one for one in client.cluster().list_buckets() if one.name == bucket.name]
    assert sorted(one.namespace.name for one in listed if one.namespace) == ["", "space"]
    other.delete()


@pytest.mark.parametrize("page_size", [0, 1, 2, 7, len(NAMES), len(NAMES) + 1])
def test_a_listing_is_complete_and_in_order(bucket: Bucket, page_size: int) -> None:
    fill(bucket, NAMES)
    assert names_of(bucket, page_size=page_size) == NAMES
    assert [entry.name for entry in bucket.list_objects_iter(page_size=page_size)] == NAMES


@pytest.mark.parametrize("prefix", ["", "a", "b", "b/", "b/c", "b/c/", "n/01", "nothing", "b/nothing/at", "a/", "日"])
def test_a_prefix_selects(bucket: Bucket, prefix: str) -> None:
    fill(bucket, NAMES)
    expected = [name for name in NAMES if name.startswith(prefix)]
    assert names_of(bucket, prefix=prefix) == expected
    assert names_of(bucket, prefix=prefix, page_size=3) == expected
    start = "b/c/d"
    assert names_of(bucket, prefix=prefix, start_after=start) == [name for name in expected if name > start]


@pytest.mark.parametrize(
    "prefix", ["../", "../../", "/", "//", "a/../", "./", "..", "b/./", "/etc/", "\0/", "b//", "../%ob/"]
)
def test_a_prefix_does_not_lead_out_of_the_bucket(bucket: Bucket, prefix: str) -> None:
    fill(bucket, ["a/b", "b/c"])
    assert names_of(bucket, prefix=prefix) == []
    assert names_of(bucket, prefix=prefix, flags=[ListObjectFlag.NO_RECURSION]) == []
    assert bucket.summary(prefix=prefix)["ObjCount"]["obj_count_present"] == "0"


def test_a_page_goes_on_after_its_token_whoever_asks(bucket: Bucket) -> None:
    fill(bucket, NAMES)
    first = bucket.list_objects(page_size=10)
    again = [
        bucket.list_objects(page_size=10, uuid=uuid, continuation_token=first.continuation_token)
        for uuid in (first.uuid, first.uuid, "", "x")
    ]
    assert [[entry.name for entry in page.entries] for page in again] == [NAMES[10:20]] * 4


def test_entries_have_what_was_asked_for(bucket: Bucket) -> None:
    bucket.object("o").get_writer().put_content(b"12345")
    (usual,) = bucket.list_all_objects()
    assert (usual.size, usual.checksum, usual.version) == (5, bucket.object("o").props.checksum_value, "")
    (every,) = bucket.list_all_objects(props="name,size,version,checksum,atime,location,copies")
    assert (every.size, every.version, every.copies) == (5, "1", 1)
    assert every.location.startswith("t")
    assert every.is_ok()
    assert every.is_cached()
    (only,) = bucket.list_all_objects(flags=[ListObjectFlag.NAME_ONLY])
    assert (only.name, only.size, only.checksum) == ("o", 0, "")
    (sized,) = bucket.list_all_objects(flags=[ListObjectFlag.NAME_SIZE])
    assert (sized.size, sized.checksum) == (5, "")
    (through_iterator,) = bucket.list_all_objects_iter()
    assert through_iterator.props_cached is not None
    assert through_iterator.props_cached.size == 5


def test_without_recursion_folders_are_summed_up(bucket: Bucket) -> None:
    fill(bucket, NAMES)
    shallow = [ListObjectFlag.NO_RECURSION]
    expected = sorted({name if "/" not in name else name.partition("/")[0] + "/" for name in NAMES})
    assert names_of(bucket, flags=shallow) == expected
    assert names_of(bucket, flags=shallow, page_size=2) == expected
    assert names_of(bucket, flags=shallow, prefix="b/") == ["b/a", "b/c/"]
    plain = [name for name in expected if not name.endswith("/")]
    assert names_of(bucket, flags=[*shallow, ListObjectFlag.NO_DIRS]) == plain


def test_one_target_can_be_listed(client: Client, bucket: Bucket) -> None:
    fill(bucket, NAMES)
    targets = list(client.cluster().get_info().tmap)
    each = [names_of(bucket, target=target) for target in targets]
    assert sorted(name for names in each for name in names) == NAMES
    with pytest.raises(AISError, match="no target"):
        bucket.list_objects(target="t99")


def test_urls_of_a_listing_can_be_fetched(bucket: Bucket) -> None:
    fill(bucket, NAMES)
    urls = list(bucket.list_urls(prefix="b/"))
    assert len(urls) == 3
    found = [bucket.client.session_manager.session.get(url).content.decode() for url in urls]
    assert found == ["b/a", "b/c/d", "b/c/e"]


def test_a_summary_counts_objects_and_bytes(bucket: Bucket) -> None:
    fill(bucket, NAMES)
    wanted = [name for name in NAMES if name.startswith("n/")]
    summary = bucket.summary(prefix="n/")
    assert summary["ObjCount"]["obj_count_present"] == str(len(wanted))
    assert summary["TotalSize"]["size_all_present_objs"] == str(sum(map(len, wanted)))


def test_info_has_properties_and_summary(bucket: Bucket) -> None:
    fill(bucket, ["x/1", "y/2"])
    properties, summary = bucket.info(prefix="x/")
    assert json.loads(properties)["provider"] == "ais"
    assert summary["ObjCount"]["obj_count_present"] == "1"


def test_buckets_of_other_providers_are_refused_with_a_sentence(client: Client) -> None:
    with pytest.raises(AISError, match="not supported") as refused:
        client.bucket("cloud", provider="aws").list_objects()
    assert refused.value.status_code == 501
    assert client.cluster().list_buckets("aws") == []


def test_a_summary_tells_how_large_objects_are(client: Client, bucket: Bucket) -> None:
    for name, size in (("p/a", 1), ("p/b", 5), ("q", 100)):
        bucket.object(name).get_writer().put_content(bytes(size))
    summary = bucket.summary(prefix="p/")
    assert summary["ObjCount"] == {"obj_count_present": "2", "obj_count_remote": "0"}
    assert summary["ObjSize"] == {"obj_min_size": 1, "obj_avg_size": 3, "obj_max_size": 5}
    assert summary["TotalSize"]["size_all_present_objs"] == "6"
    assert int(summary["TotalSize"]["size_on_disk"]) < int(summary["TotalSize"]["total_disks_size"])
    assert summary["is_present"]
    _, info = bucket.info()
    assert info["ObjSize"] == {"obj_min_size": 1, "obj_avg_size": 35, "obj_max_size": 100}


def test_pages_that_are_made_ahead_are_those_that_come_next(node: RunningNode, client: Client, bucket: Bucket) -> None:
    names = _files(node, client, bucket, 2500)
    pages = list(_pages(bucket, 1000))
    assert [len(page) for page in pages] == [1000, 1000, 500]
    assert [name for page in pages for name in page] == names
    assert [name for page in _pages(bucket, 1000) for name in page] == names


@pytest.mark.whole
def test_a_page_that_has_waited_has_no_object_that_is_gone(node: RunningNode, client: Client, bucket: Bucket) -> None:
    names = _files(node, client, bucket, 1500)
    pages = _pages(bucket, 1000)
    assert next(pages) == names[:1000]
    bucket.object(names[1200]).delete()
    time.sleep(1.5)  # longer than a page that was made ahead is news
    assert next(pages) == names[1000:1200] + names[1201:]


def _files(node: RunningNode, client: Client, bucket: Bucket, number: int) -> list[str]:
    """Objects as they lie on the disk; the sizes of the listings below make the node look at each."""
    smap = client.cluster().get_info()
    names = [f"o{count:05}" for count in range(number)]
    for name in names:
        owner = smap.get_target_for_object(bucket.object(name).uname).daemon_id
        (node.folder / owner / "@ais" / bucket.name / "%ob" / name).write_bytes(b"x")
    return names


def _pages(bucket: Bucket, size: int) -> Iterator[list[str]]:
    token, uuid = "", ""
    while True:
        page = bucket.list_objects(props="name,size", page_size=size, continuation_token=token, uuid=uuid)
        yield [entry.name for entry in page.entries]
        token, uuid = page.continuation_token, page.uuid
        if not token:
            return
