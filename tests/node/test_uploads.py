"""Appends and multipart uploads, as the official SDK sends them."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from aistore.sdk.bucket import Bucket
from aistore.sdk.errors import AISError, ErrObjNotFound

from tests.node.test_objects import LARGE
from tests.support.node import RunningNode, running_node


def test_what_is_appended_is_there_when_it_is_flushed(bucket: Bucket) -> None:
    writer = bucket.object("a/o").get_writer()
    handle = writer.append_content(b"one ")
    assert writer.append_content(LARGE, handle) == handle
    with pytest.raises(ErrObjNotFound):
        bucket.object("a/o").get_reader().read_all()
    assert writer.append_content(b"", handle, flush=True) == ""
    assert bucket.object("a/o").get_reader().read_all() == b"one " + LARGE
    bucket.object("whole").get_writer().put_content(b"one " + LARGE)
    assert bucket.object("a/o").props.checksum_value == bucket.object("whole").props.checksum_value


def test_an_append_begins_with_the_object_that_is_there(bucket: Bucket) -> None:
    bucket.object("o").get_writer().put_content(b"old ")
    bucket.object("o").get_writer().set_custom_props({"kept": "yes"})
    with bucket.object("o").get_writer().as_file() as file:
        file.write(b"new ")
        file.write(b"newer")
    assert bucket.object("o").get_reader().read_all() == b"old new newer"
    assert bucket.object("o").props.custom_metadata == {"kept": "yes"}
    with bucket.object("o").get_writer().as_file(mode="w") as file:
        file.write(b"afresh")
    assert bucket.object("o").get_reader().read_all() == b"afresh"


def test_a_handle_is_good_for_its_object_until_it_is_flushed(bucket: Bucket) -> None:
    handle = bucket.object("o").get_writer().append_content(b"x")
    for name, other in (("p", handle), ("o", "0" * 16), ("o", "../../x"), ("o", handle.upper() + "!")):
        with pytest.raises(AISError, match="handle") as refused:
            bucket.object(name).get_writer().append_content(b"y", other)
        assert refused.value.status_code == 400
    bucket.object("o").get_writer().append_content(b"", handle, flush=True)
    with pytest.raises(AISError, match="handle"):
        bucket.object("o").get_writer().append_content(b"z", handle)
    assert bucket.object("o").get_reader().read_all() == b"x"


def test_parts_are_put_together_in_the_order_of_their_numbers(bucket: Bucket) -> None:
    upload = bucket.object("m/o").multipart_upload().create()
    upload.add_part(2).put_content(b"two")
    upload.add_part(3).put_content(LARGE)
    first = upload.add_part(1)
    first.put_content(b"wrong")
    first.put_content(b"one")
    assert bucket.list_all_objects() == []
    upload.complete()
    assert bucket.object("m/o").get_reader().read_all() == b"onetwo" + LARGE
    assert [entry.name for entry in bucket.list_all_objects()] == ["m/o"]
    with pytest.raises(AISError, match="does not exist") as again:
        upload.complete()
    assert again.value.status_code == 404


def test_parts_may_come_at_once(bucket: Bucket) -> None:
    upload = bucket.object("o").multipart_upload().create()
    writers = [upload.add_part(number) for number in range(1, 9)]
    pieces = [bytes([number]) * 300_000 for number in range(8)]
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda one: one[0].put_content(one[1]), zip(writers, pieces, strict=True)))
    upload.complete()
    assert bucket.object("o").get_reader().read_all() == b"".join(pieces)


def test_an_aborted_upload_leaves_nothing(node: RunningNode, bucket: Bucket) -> None:
    upload = bucket.object("o").multipart_upload().create()
    upload.add_part(1).put_content(b"one")
    upload.abort()
    with pytest.raises(AISError, match="does not exist"):
        upload.abort()
    with pytest.raises(AISError, match="does not exist"):
        upload.add_part(2).put_content(b"two")
    assert list(node.folder.glob(f"t*/@ais/{bucket.name}/%wk/*")) == []
    assert bucket.list_all_objects() == []


@pytest.mark.parametrize(
    ("uploaded", "named", "sentence"),
    [
        ([1, 2, 3], [1, 3], "partial completion is not allowed"),
        ([1, 2], [1, 1, 2], "partial completion is not allowed"),
        ([1, 2], [1, 2, 3], "part 3 of .* has not been uploaded"),
        ([1, 3], [1, 3], "part 2 of .* is missing"),
        ([2], [2], "part 1 of .* is missing"),
    ],
)
def test_an_upload_drops_no_part_and_has_no_gap(
    bucket: Bucket, uploaded: list[int], named: list[int], sentence: str
) -> None:
    upload = bucket.object("o").multipart_upload().create()
    for number in uploaded:
        upload.add_part(number).put_content(b"x")
    upload.parts[:] = named
    with pytest.raises(AISError, match=sentence) as refused:
        upload.complete()
    assert refused.value.status_code == 400
    assert bucket.list_all_objects() == []


def test_a_part_is_written_as_a_file(bucket: Bucket) -> None:
    upload = bucket.object("o").multipart_upload().create()
    with upload.add_part(1).as_file() as file:
        file.write(b"one ")
        file.write(b"and a half ")
    with upload.add_part(2).as_file() as file:
        file.write(b"two")
    assert bucket.list_all_objects() == []
    upload.complete()
    assert bucket.object("o").get_reader().read_all() == b"one and a half two"


def test_a_part_that_was_appended_to_is_replaced_as_a_whole(bucket: Bucket) -> None:
    upload = bucket.object("o").multipart_upload().create()
    with upload.add_part(1).as_file() as file:
        file.write(b"one ")
        file.write(b"and a half")
    upload.parts.clear()
    upload.add_part(1).put_content(b"short")
    upload.complete()
    assert bucket.object("o").get_reader().read_all() == b"short"


def test_a_part_is_not_empty(bucket: Bucket) -> None:
    upload = bucket.object("o").multipart_upload().create()
    with pytest.raises(AISError, match="is empty") as refused:
        upload.add_part(1).put_content(b"")
    assert refused.value.status_code == 400


def test_an_upload_that_can_not_be_whole_is_refused(node: RunningNode, bucket: Bucket) -> None:
    upload = bucket.object("o").multipart_upload().create()
    with pytest.raises(AISError, match="no chunks"):
        upload.complete()
    upload.add_part(1).put_content(b"one")
    upload.parts.append(2)
    with pytest.raises(AISError, match="part 2"):
        upload.complete()
    url = f"{node.endpoint}/v1/objects/{bucket.name}/o?uploadId={upload.upload_id}&partNumber="
    assert [requests.put(url + number, data=b"x").status_code for number in ("0", "-1", "x", "")] == [400] * 4
    assert bucket.list_all_objects() == []
    upload.parts.remove(2)
    upload.complete()
    assert bucket.object("o").get_reader().read_all() == b"one"


def test_uploads_go_on_after_the_node_was_killed(tmp_path: Path) -> None:
    with running_node(tmp_path) as node:
        bucket = node.client().bucket("b").create()
        handle = bucket.object("appended").get_writer().append_content(b"before ")
        upload = bucket.object("parts").multipart_upload().create()
        upload.add_part(1).put_content(b"before ")
        node.kill()
    with running_node(tmp_path) as node:
        bucket = node.client().bucket("b")
        bucket.object("appended").get_writer().append_content(b"after", handle)
        bucket.object("appended").get_writer().append_content(b"", handle, flush=True)
        upload.client = bucket.client
        upload.add_part(2).put_content(b"after")
        upload.complete()
        assert bucket.object("appended").get_reader().read_all() == b"before after"
        assert bucket.object("parts").get_reader().read_all() == b"before after"
