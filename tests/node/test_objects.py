"""Objects, as the official SDK puts, reads, changes and deletes them."""

import contextlib
import hashlib
import io
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from aistore import Client
from aistore.sdk.bucket import Bucket
from aistore.sdk.errors import AISError, ErrBckNotFound, ErrObjNotFound

from tests.support.node import RunningNode

LARGE = b"".join(hashlib.sha256(b"%d" % number).digest() for number in range(100_000))  # 3.2 MB, no two MiB alike


@pytest.mark.parametrize("content", [b"", b"x", LARGE, LARGE[: 1 << 20]], ids=["empty", "one", "large", "one piece"])
def test_an_object_comes_back_as_it_was_put(bucket: Bucket, content: bytes) -> None:
    bucket.object("o").get_writer().put_content(content)
    assert bucket.object("o").get_reader().read_all() == content
    assert bucket.object("o").head().size == len(content)


def test_a_file_is_put(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(LARGE)
    bucket.object("o").get_writer().put_file(tmp_path / "file")
    assert bucket.object("o").get_reader().raw().read() == LARGE


def test_a_folder_of_files_is_put(bucket: Bucket, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "a").write_bytes(b"1")
    (tmp_path / "sub" / "b").write_bytes(b"2")
    bucket.put_files(tmp_path, recursive=True, prepend="x/", verbose=False)
    assert [entry.name for entry in bucket.list_all_objects()] == ["x/a", "x/sub/b"]


def test_a_body_of_unknown_length_is_put(node: RunningNode, bucket: Bucket) -> None:
    pieces = (LARGE[start : start + 70_000] for start in range(0, len(LARGE), 70_000))
    answer = requests.put(f"{node.endpoint}/v1/objects/{bucket.name}/o", data=pieces)
    assert answer.status_code == 200
    assert bucket.object("o").get_reader().read_all() == LARGE


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ("bytes=0-0", LARGE[:1]),
        ("bytes=5-9", LARGE[5:10]),
        ("bytes=1048570-1048590", LARGE[1048570:1048591]),
        ("bytes=2000000-", LARGE[2000000:]),
        ("bytes=-7", LARGE[-7:]),
        ("bytes=3199990-99999999", LARGE[3199990:]),
        ("bytes=10-2500000", LARGE[10:2500001]),
    ],
)
def test_a_range_is_read(bucket: Bucket, wanted: str, expected: bytes) -> None:
    bucket.object("o").get_writer().put_content(LARGE)
    assert bucket.object("o").get_reader(byte_range=wanted).read_all() == expected


def test_ranges_are_told_by_status_and_header(node: RunningNode, bucket: Bucket) -> None:
    bucket.object("o").get_writer().put_content(b"0123456789")
    url = f"{node.endpoint}/v1/objects/{bucket.name}/o"
    part = requests.get(url, headers={"Range": "bytes=2-4"})
    assert (part.status_code, part.headers["Content-Range"], part.content) == (206, "bytes 2-4/10", b"234")
    beyond = requests.get(url, headers={"Range": "bytes=10-"})
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */10")
    for malformed in ("lines=1-2", "bytes=-", "bytes=1-2,4-5", "bytes=" + "9" * 5000 + "-"):
        assert requests.get(url, headers={"Range": malformed}).status_code == 400


def test_readers_of_the_sdk(bucket: Bucket) -> None:
    bucket.object("o").get_writer().put_content(LARGE)
    assert b"".join(bucket.object("o").get_reader(chunk_size=100_000)) == LARGE
    with bucket.object("o").get_reader().as_file() as file:
        assert file.read(10) + file.read() == LARGE
    into = io.BytesIO()
    bucket.object("o").get_reader(writer=into)
    assert into.getvalue() == LARGE
    assert bucket.object("o").get_reader(direct=True).read_all() == LARGE
    parallel = bucket.object("o").get_reader(num_workers=2, chunk_size=1_000_000).read_all()
    try:
        assert parallel.tobytes() == LARGE
    finally:
        parallel.close()


def test_an_object_is_on_the_target_that_the_client_reckons(node: RunningNode, client: Client, bucket: Bucket) -> None:
    smap = client.cluster().get_info()
    for number in range(20):
        placed = bucket.object(f"folder/o{number}")
        placed.get_writer().put_content(b"x")
        owner = smap.get_target_for_object(placed.uname).daemon_id
        assert (node.folder / owner / "@ais" / bucket.name / "%ob" / placed.name).read_bytes() == b"x"
        assert placed.props.location.startswith(f"t[{owner}]:mp[")


def test_properties(bucket: Bucket) -> None:
    thing = bucket.object("a/b")
    thing.get_writer().put_content(b"one")
    first = thing.props
    thing.get_writer().put_content(b"three")
    second = thing.props
    assert (first.obj_version, second.obj_version) == ("1", "2")
    assert (first.size, second.size) == (3, 5)
    assert first.checksum_type == "xxhash2"
    assert first.checksum_value != second.checksum_value
    assert int(second.access_time) >= int(first.access_time) > 0
    assert second.present
    assert (second.name, second.bucket_name, second.bucket_provider) == ("a/b", bucket.name, "ais")


def test_custom_properties_are_kept_merged_and_replaced(bucket: Bucket) -> None:
    thing = bucket.object("o")
    thing.get_writer().put_content(b"x")
    thing.get_writer().set_custom_props({"colour": "blue", "size": "a=b"})
    thing.get_writer().set_custom_props({"colour": "red"})
    assert thing.props.custom_metadata == {"colour": "red", "size": "a=b"}
    thing.get_writer().set_custom_props({"only": "this"}, replace_existing=True)
    assert thing.props.custom_metadata == {"only": "this"}
    thing.get_writer().put_content(b"y")
    assert thing.props.custom_metadata == {}


def test_custom_properties_come_with_an_object(bucket: Bucket) -> None:
    def put(*headers: str) -> int:
        where = urlsplit(bucket.client.base_url)
        with contextlib.closing(HTTPConnection(where.netloc, timeout=60)) as connection:
            connection.putrequest("PUT", f"{where.path}/objects/{bucket.name}/o?provider=ais")
            for header in headers:
                connection.putheader("Ais-Custom-Md", header)
            connection.putheader("Content-Length", "1")
            connection.endheaders(b"x")
            return connection.getresponse().status

    thing = bucket.object("o")
    assert put("colour=blue", "size=a=b") == 200
    assert thing.props.custom_metadata == {"colour": "blue", "size": "a=b"}
    for malformed in ("=1", "a=1,2", ""):
        assert put("colour=red", malformed) == 400
    assert thing.props.custom_metadata == {"colour": "blue", "size": "a=b"}
    assert put() == 200
    assert thing.props.custom_metadata == {}


@pytest.mark.parametrize("properties", [{"a": "1,2"}, {"a=b": "1"}, {"a": "1\n2"}, {"": "1"}, {"a": "x" * 1_000_000}])
def test_custom_properties_that_no_header_or_file_can_hold_are_refused(
    bucket: Bucket, properties: dict[str, str]
) -> None:
    thing = bucket.object("o")
    thing.get_writer().put_content(b"x")
    thing.get_writer().set_custom_props({"colour": "blue"})
    with pytest.raises(AISError) as refused:
        thing.get_writer().set_custom_props(properties)
    assert refused.value.status_code == 400
    assert thing.props.custom_metadata == {"colour": "blue"}


def test_a_deleted_object_is_gone_and_its_folder_free(bucket: Bucket) -> None:
    bucket.object("a/b/c").get_writer().put_content(b"x")
    bucket.object("a/b/c").delete()
    with pytest.raises(ErrObjNotFound):
        bucket.object("a/b/c").get_reader().read_all()
    with pytest.raises(ErrObjNotFound):
        bucket.object("a/b/c").delete()
    bucket.object("a").get_writer().put_content(b"y")
    assert [entry.name for entry in bucket.list_all_objects()] == ["a"]


def test_a_copy_has_content_and_custom_properties(client: Client, bucket: Bucket) -> None:
    other = client.bucket(bucket.name + "-other").create()
    bucket.object("o").get_writer().put_content(LARGE)
    bucket.object("o").get_writer().set_custom_props({"colour": "blue"})
    bucket.object("o").copy(other.object("folder/p"))
    assert other.object("folder/p").get_reader().read_all() == LARGE
    assert other.object("folder/p").props.custom_metadata == {"colour": "blue"}
    assert bucket.object("o").get_reader().read_all() == LARGE


def test_what_is_missing_is_named(client: Client, bucket: Bucket) -> None:
    with pytest.raises(ErrObjNotFound):
        bucket.object("nothing").get_reader().read_all()
    with pytest.raises(ErrObjNotFound):
        bucket.object("nothing").get_writer().set_custom_props({"a": "b"})
    with pytest.raises(ErrObjNotFound):
        bucket.object("nothing").copy(bucket.object("p"))
    with pytest.raises(ErrBckNotFound):
        client.bucket("no-bucket").object("o").get_writer().put_content(b"x")
    with pytest.raises(AISError) as absent:
        bucket.object("nothing").head()
    assert absent.value.status_code == 404


@pytest.mark.parametrize(
    "name",
    [
        "plain", "with space", "100%41.txt", "%ob", "%2e%2e",
        "a+b&c=d?e#f", "@ais/x/%ob/y", "ünïcödé/日本語", "~", "-", "a;b", "'\"", "\\",
        "a/b/c/d/e/f", "...", "..a/b..", "x" * 255,
        "/".join(["y" * 200] * 5), "tab\there", "new\nline",
    ],
)  # fmt: skip
def test_strange_names_are_names_like_others(bucket: Bucket, name: str) -> None:
    bucket.object(name).get_writer().put_content(name.encode())
    assert bucket.object(name).get_reader().read_all() == name.encode()
    assert bucket.object(name).head().size == len(name.encode())
    assert [entry.name for entry in bucket.list_all_objects()] == [name]
    bucket.object(name).delete()
    assert bucket.list_all_objects() == []


@pytest.mark.parametrize(
    "path",
    ["%00", "a%00b", "..%2F..%2Fx", "%2e%2e/x", "a/%2e%2e/b", "a//b", "%2Fetc", "a/", "%ff%fe", "%2e",
     "z" * 256, "y/" * 600 + "y"],
)  # fmt: skip
@pytest.mark.parametrize("method", ["PUT", "GET", "HEAD", "DELETE"])
def test_names_that_no_file_can_have_are_refused(node: RunningNode, bucket: Bucket, path: str, method: str) -> None:
    url = f"{node.endpoint}/v1/objects/{bucket.name}/x"
    request = requests.Request(method, url, data=b"x" if method == "PUT" else None).prepare()
    request.url = f"{node.endpoint}/v1/objects/{bucket.name}/{path}"  # as it is: prepare() would tidy it up
    with requests.Session() as session:
        answer = session.send(request)
    assert answer.status_code == 400
    assert bucket.list_all_objects() == []


def test_an_object_cannot_be_a_folder_of_another(bucket: Bucket) -> None:
    bucket.object("a").get_writer().put_content(b"x")
    bucket.object("d/e").get_writer().put_content(b"x")
    for name in ("a/b", "a/b/c", "d"):
        if _same_target(bucket, name):  # elsewhere they are not in each other's way
            with pytest.raises(AISError, match="choose another name") as refused:
                bucket.object(name).get_writer().put_content(b"y")
            assert refused.value.status_code == 409
    assert bucket.object("a").get_reader().read_all() == b"x"
    assert bucket.object("d/e").get_reader().read_all() == b"x"


def _same_target(bucket: Bucket, name: str) -> bool:
    smap = bucket.client.get_smap()
    other = bucket.object({"a/b": "a", "a/b/c": "a", "d": "d/e"}[name])
    return bool(smap.get_target_for_object(bucket.object(name).uname) == smap.get_target_for_object(other.uname))


def test_a_folder_is_no_object(bucket: Bucket) -> None:
    bucket.object("d/e").get_writer().put_content(b"x")
    with pytest.raises(ErrObjNotFound):
        bucket.object("d").get_reader().read_all()
    with pytest.raises(ErrObjNotFound):
        bucket.object("d").delete()
    with pytest.raises(ErrObjNotFound):
        bucket.object("d/e/f").get_reader().read_all()
