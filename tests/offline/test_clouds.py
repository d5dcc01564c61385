"""What a cloud may do to a job's objects: nothing that ends in a result that is not right, or in silence."""

import asyncio
import itertools
import os
import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from instore.errors import ConfigurationError, RemoteStoreError, ResultExistsError
from instore.offline import cloud_store
from instore.offline.cloud_destination import CloudDestination
from instore.offline.cloud_source import CloudObject, CloudSource
from instore.offline.cloud_store import CloudOptions, CloudStore
from instore.offline.interfaces import Item, ItemState
from instore.offline.plan import make_plan
from tests.support.clouds import Cloud, google_key
from tests.support.faulty_cloud import (
    Exchange,
    Fault,
    FaultyCloud,
    answering,
    cutting,
    faulty_cloud,
    hanging_up,
    losing_the_answer,
    saying,
    shortening,
)

SMALL = b"0123456789abcdef" * 4096
LARGE = os.urandom(1 << 20) * 10  # read in three pieces, sent in two parts
MOMENT = timedelta(milliseconds=1)

EITHER_SIZE = pytest.mark.parametrize(
    "data", [pytest.param(SMALL, id="small"), pytest.param(LARGE, id="large", marks=pytest.mark.whole)]
)
SLOW_DOWN = answering(503, "SlowDown", "Please reduce your request rate.")


@pytest.fixture
def faulty(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyCloud]:
    monkeypatch.setitem(cloud_store.RETRIES, "backoff", {**cloud_store.RETRIES["backoff"], "init_backoff": MOMENT})
    with faulty_cloud(cloud.endpoint) as running:
        yield running


def source(bucket: str, faulty: FaultyCloud) -> CloudSource:
    return CloudSource(f"s3://{bucket}", options=CloudOptions(faulty.endpoint))


def destination(bucket: str, faulty: FaultyCloud, no_clobber: bool = False) -> CloudDestination:
    return CloudDestination(f"s3://{bucket}", options=CloudOptions(faulty.endpoint, no_clobber=no_clobber))


def read(origin: CloudSource, name: str, size: int) -> bytes:
    async def whole() -> bytes:
        body, data = CloudObject(origin.bucket, name, size), b""
        while piece := await body.take():
            data += piece
        return data

    return asyncio.run(whole())


def write(to: CloudDestination, name: str, data: bytes, content_type: str = "text/loud") -> int:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1 << 20):
            yield data[start : start + (1 << 20)]

    return asyncio.run(to.write(Item(name, ItemState.TODO, result=name), pieces(), content_type))


# Reading


@EITHER_SIZE
@pytest.mark.parametrize(
    "fault", [cutting(1000), SLOW_DOWN, answering(500), hanging_up], ids=["cut", "slow down", "500", "hang up"]
)
def test_what_passes_is_read_whole(cloud: Cloud, faulty: FaultyCloud, fault: Fault, data: bytes) -> None:
    bucket = cloud.bucket({"a": data})
    origin = source(bucket, faulty)
    faulty.breaks(fault, "GET", key="a", times=1)
    assert read(origin, "a", len(data)) == data
    assert faulty.count("GET") > 2  # the bucket was looked at, and the object asked for twice


@EITHER_SIZE
@pytest.mark.parametrize(
    ("fault", "is_away", "said"),
    [
        (cutting(0), True, "the connection was closed in the middle of an answer"),
        (hanging_up, True, "{} can't be reached or broke off: the connection was closed in the middle of an answer"),
        (SLOW_DOWN, True, "{} answered 503: SlowDown: Please reduce your request rate."),
        (answering(429), True, "{} answered 429: no reason given"),
        (answering(400, "ExpiredToken", "It has expired."), True, "ExpiredToken: It has expired.; the cred"),
        (answering(403, "AccessDenied", "Access Denied"), True, "{} answered 403: AccessDenied: Access Denied"),
        (answering(404, "NoSuchBucket", "It is not there."), True, "{} answered 404: NoSuchBucket: It is not there."),
        (answering(404, "NoSuchKey", "It is not there."), False, "{} answered 404: NoSuchKey: It is not there."),
        (answering(301, "PermanentRedirect"), True, "the bucket is in another region; set AWS_REGION"),
    ],
)  # fmt: skip
def test_what_can_not_be_read_is_one_sentence(
    cloud: Cloud, faulty: FaultyCloud, fault: Fault, is_away: bool, said: str, data: bytes
) -> None:
    bucket = cloud.bucket({"a": data})
    origin = source(bucket, faulty)
    faulty.breaks(fault, "GET", key="a")
    with pytest.raises(RemoteStoreError, match=re.escape(said.format(faulty.endpoint))) as caught:
        read(origin, "a", len(data))
    assert str(caught.value).startswith(f"s3://{bucket}/a could not be read: ")
    assert "\n" not in str(caught.value)
    assert caught.value.is_away is is_away


@EITHER_SIZE
def test_an_answer_that_lacks_its_end_is_never_the_whole(cloud: Cloud, faulty: FaultyCloud, data: bytes) -> None:
    bucket = cloud.bucket({"a": data})
    origin = source(bucket, faulty)
    faulty.breaks(shortening(10), "GET", key="a")
    with pytest.raises(RemoteStoreError, match=rf"s3://{bucket}/a .*of its {len(data)} bytes"):
        read(origin, "a", len(data))


def test_an_object_that_changes_while_it_is_read_is_an_error(cloud: Cloud, faulty: FaultyCloud) -> None:
    bucket = cloud.bucket({"a": LARGE})
    origin = source(bucket, faulty)

    def replacing(exchange: Exchange) -> None:
        answer = exchange.forward()
        cloud.put(bucket, {"a": LARGE[::-1]})
        exchange.answer(*answer, None)

    faulty.breaks(replacing, "GET", key="a", times=1)
    with pytest.raises(RemoteStoreError, match=f"s3://{bucket}/a changed while it was read"):
        read(origin, "a", len(LARGE))


def test_a_store_that_ignores_conditions_does_not_mix_versions(cloud: Cloud, faulty: FaultyCloud) -> None:
    bucket = cloud.bucket({"a": LARGE})
    origin = source(bucket, faulty)
    seen = itertools.count()
    faulty.fault = lambda asked: saying(ETag=f'"{next(seen)}"') if asked.key else None
    with pytest.raises(RemoteStoreError, match="changed while it was read"):
        read(origin, "a", len(LARGE))


@pytest.mark.parametrize("now", [b"", SMALL, pytest.param(LARGE, marks=pytest.mark.whole)])
def test_an_object_that_has_changed_since_it_was_listed_is_read_as_it_is(
    cloud: Cloud, faulty: FaultyCloud, now: bytes
) -> None:
    origin = source(cloud.bucket({"a": now}), faulty)
    assert read(origin, "a", len(SMALL) + 1) == now


# Listing


def test_a_listing_that_breaks_off_is_an_error(cloud: Cloud, faulty: FaultyCloud) -> None:
    bucket = cloud.bucket(dict.fromkeys("abcdef", b"x"))
    origin = source(bucket, faulty)
    faulty.page = 3
    faulty.breaks(SLOW_DOWN, "GET", query="continuation-token")
    with pytest.raises(RemoteStoreError, match=f"s3://{bucket} can't be listed: .* answered 503") as caught:
        list(origin.list())
    assert caught.value.is_away


def test_what_stands_for_a_folder_is_no_object(cloud: Cloud, faulty: FaultyCloud) -> None:
    there = {"a": b"", "a/": b"", "a/b": b"x", "a-b": b"x", "b/": b"", "c": b"x", "d/": b"", "d/e/": b""}
    bucket = cloud.bucket(there)
    found = {one.name: one.state for one in source(bucket, faulty).list()}
    objects, folders = ["a", "a-b", "a/b", "c"], ["a/", "b/", "d/", "d/e/"]
    assert found == {**dict.fromkeys(objects, ItemState.TODO), **dict.fromkeys(folders, ItemState.SKIPPED)}
    prefixed = CloudSource(f"s3://{bucket}/d", options=CloudOptions(faulty.endpoint))
    assert [one.name for one in prefixed.list()] == ["d/", "d/e/"]
    into = destination(bucket, faulty)
    assert [name for name in ("a", "b", "c", "d", "d/e") if into.exists(name)] == ["a", "c"]


def test_names_that_would_be_mistaken_for_others_end_the_listing(cloud: Cloud, faulty: FaultyCloud) -> None:
    bucket = cloud.bucket({"/a": b"one", "a": b"two"})
    with pytest.raises(RemoteStoreError, match="can't be listed: '/a' begins with a slash; name a prefix"):
        list(source(bucket, faulty).list())


@pytest.mark.parametrize("name", ["a//b", "a/../b", "a/./b", "a/b//", "a\x01b", "a/b/c-/", "a/b/c/"])
def test_a_name_that_can_not_be_asked_for_is_one_failure_and_the_rest_is_listed(
    cloud: Cloud, faulty: FaultyCloud, name: str
) -> None:
    faulty.page = 3
    others = ["!", "a", "a-", "a/b/c", "a/b/c-", "a/b/d", "b", "c", "d/e", "é"]
    bucket = cloud.bucket({name: b"x", **dict.fromkeys(others, b"y")})
    found = [(item.name, item.state) for item in source(bucket, faulty).list()]
    assert found == sorted([(name, ItemState.FAILED), *((other, ItemState.TODO) for other in others)])
    into = destination(bucket, faulty)
    assert all(into.exists(other) for other in others)
    prefixed = CloudSource(f"s3://{bucket}/a/b/c", options=CloudOptions(faulty.endpoint)).list()
    assert [item.name for item in prefixed] == sorted(
        one for one in (name, "a/b/c", "a/b/c-") if one.startswith("a/b/c")
    )


def test_a_listing_by_the_store_itself_that_breaks_off_is_an_error(cloud: Cloud, faulty: FaultyCloud) -> None:
    bucket = cloud.bucket({"a//b": b"x", **dict.fromkeys("bcdef", b"y")})
    origin = source(bucket, faulty)
    faulty.page = 3
    faulty.breaks(answering(403, "AccessDenied", "Access Denied"), "GET", query="continuation-token")
    with pytest.raises(
        RemoteStoreError, match=f"s3://{bucket} can't be listed: .* answered 403: AccessDenied"
    ) as caught:
        list(origin.list())
    assert caught.value.is_away


@pytest.mark.parametrize(
    ("answer", "query", "said"),
    [((403, "AccessDenied", "Access Denied"), "startOffset", "answered 403"), ((404,), "pageToken", "answered 404")],
)
def test_a_listing_by_google_itself_that_breaks_off_is_an_error(
    cloud: Cloud,
    faulty: FaultyCloud,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answer: tuple[Any, ...],
    query: str,
    said: str,
) -> None:
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", google_key(tmp_path))
    faulty.is_google = True
    bucket = cloud.bucket({"a//b": b"x", **dict.fromkeys("bcdef", b"y")})
    origin = CloudSource(f"gs://{bucket}", options=CloudOptions(faulty.endpoint))
    faulty.page = 3
    faulty.breaks(answering(*answer), "GET", query=query)
    with pytest.raises(RemoteStoreError, match=f"gs://{bucket} can't be listed: .*{said}.*a//b") as caught:
        list(origin.list())
    assert "\n" not in str(caught.value)
    assert caught.value.is_away
    faulty.fault = lambda _asked: None
    assert [item.name for item in origin.list()] == ["a//b", *"bcdef"]


def test_a_prefix_is_listed_without_what_lies_before_and_behind_it(
    cloud: Cloud, faulty: FaultyCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"{letter}{number:02}" for letter in "abc" for number in range(20)]
    bucket = cloud.bucket(dict.fromkeys(names, b"x"))
    store = CloudStore(f"s3://{bucket}", faulty.endpoint)
    faulty.page = 3
    monkeypatch.setattr(cloud_store, "PAGE", faulty.page)
    assert [one.name for one in store.names("b10")] == ["b10"]
    assert [one.name for one in store.names("b", "b17")] == ["b18", "b19"]
    assert faulty.count("GET") <= 4


def test_a_prefix_is_any_start_of_a_name(cloud: Cloud, faulty: FaultyCloud) -> None:
    names = ["!a", "-a", "A", "a", "a b", "a!", "a-b", "a.b", "a/.b", "a/b", "a/b/c", "a0", "~", "é", "éa", "日", "/日"]
    bucket = cloud.bucket(dict.fromkeys(names, b"x"))
    store = CloudStore(f"s3://{bucket}", faulty.endpoint)
    names.remove("/日")  # which nobody else could ask for
    for prefix in {name[:length] for name in names for length in range(1, len(name) + 1)}:
        assert [one.name for one in store.names(prefix)] == sorted(one for one in names if one.startswith(prefix))


# Writing


@pytest.mark.parametrize("no_clobber", [False, True])
@pytest.mark.parametrize("data", [b"", SMALL, LARGE], ids=["empty", "small", "large"])
def test_a_result_has_the_type_that_its_worker_says(
    cloud: Cloud, faulty: FaultyCloud, data: bytes, no_clobber: bool
) -> None:
    bucket = cloud.bucket()
    assert write(destination(bucket, faulty, no_clobber), "a", data) == len(data)
    assert cloud.content(bucket) == {"a": data}
    assert cloud.head(bucket, "a")["ContentType"] == "text/loud"


@pytest.mark.parametrize(
    ("data", "fault", "method", "query"),
    [
        (SMALL, SLOW_DOWN, "PUT", ""),
        (SMALL, losing_the_answer, "PUT", ""),
        (LARGE, SLOW_DOWN, "PUT", "partNumber=2"),
        (LARGE, hanging_up, "PUT", "partNumber=2"),
        (LARGE, losing_the_answer, "POST", "uploadId"),
    ],
)
def test_what_passes_is_stored_whole(
    cloud: Cloud, faulty: FaultyCloud, data: bytes, fault: Fault, method: str, query: str
) -> None:
    bucket = cloud.bucket()
    into = destination(bucket, faulty)
    faulty.breaks(fault, method, query, times=1)
    assert write(into, "a", data) == len(data)
    assert cloud.content(bucket) == {"a": data}
    assert cloud.unfinished(bucket) == []


@pytest.mark.parametrize(
    ("data", "fault", "method", "query"),
    [
        (SMALL, SLOW_DOWN, "PUT", ""),
        (SMALL, hanging_up, "PUT", ""),
        (SMALL, answering(403, "InvalidAccessKeyId"), "PUT", ""),
        (SMALL, answering(404, "NoSuchBucket"), "PUT", ""),
        (LARGE, SLOW_DOWN, "POST", "uploads"),
        (LARGE, SLOW_DOWN, "PUT", "partNumber=2"),
        (LARGE, hanging_up, "PUT", "partNumber=2"),
        (LARGE, answering(500, "InternalError"), "POST", "uploadId"),
    ],
)
def test_what_can_not_be_stored_leaves_nothing(
    cloud: Cloud, faulty: FaultyCloud, data: bytes, fault: Fault, method: str, query: str
) -> None:
    bucket = cloud.bucket()
    into = destination(bucket, faulty)
    faulty.breaks(fault, method, query)
    with pytest.raises(RemoteStoreError, match=f"s3://{bucket}/a could not be stored: {faulty.endpoint} ") as caught:
        write(into, "a", data)
    assert "\n" not in str(caught.value)
    assert caught.value.is_away
    assert cloud.content(bucket) == {}
    assert cloud.unfinished(bucket) == []


def test_a_result_that_the_store_has_not_all_of_is_taken_back(cloud: Cloud, faulty: FaultyCloud) -> None:
    bucket = cloud.bucket()
    into = destination(bucket, faulty)
    faulty.breaks(saying(Content_Length="7"), "HEAD", key="a")
    with pytest.raises(RemoteStoreError, match=rf"of {len(LARGE)} bytes that were sent, the store had 7; it has been"):
        write(into, "a", LARGE)
    assert cloud.content(bucket) == {}


@EITHER_SIZE
def test_what_another_command_has_stored_meanwhile_is_left(cloud: Cloud, faulty: FaultyCloud, data: bytes) -> None:
    bucket = cloud.bucket()
    into = destination(bucket, faulty, no_clobber=True)
    assert not into.exists("a")
    cloud.put(bucket, {"a": b"of the other"})
    with pytest.raises(ResultExistsError):
        write(into, "a", data)
    assert cloud.content(bucket) == {"a": b"of the other"}


def test_results_that_are_there_are_found_in_pages(cloud: Cloud, faulty: FaultyCloud) -> None:
    names = [f"{number:02}" for number in range(20)]
    bucket = cloud.bucket(dict.fromkeys(names[::2], b"x"))
    into = destination(bucket, faulty)
    faulty.page = 5
    before = faulty.count("GET")
    assert [name for name in names if into.exists(name)] == names[::2]
    assert faulty.count("GET") - before == 3  # whether there is a bucket, and two pages


# What a user says


@pytest.mark.parametrize(
    ("places", "options", "said"),
    [
        (("s3://", "dst"), CloudOptions(), "s3:// names no bucket; expected s3://BUCKET[/PREFIX]"),
        (("s3://a b/c", "dst"), CloudOptions(), "s3://a b/c names no bucket; expected s3://BUCKET[/PREFIX]"),
        (("s3://x/a//b", "dst"), CloudOptions(), "SRC s3://x/a//b: no name that starts with 'a//b' can be asked for"),
        (("s3://x/../b", "dst"), CloudOptions(), "SRC s3://x/../b: no name that starts with '../b' can be asked for"),
        (("ftp://x", "dst"), CloudOptions(), "ftp://x is neither a folder nor ais://BUCKET, s3://BUCKET"),
        (("s3://x", "dst"), CloudOptions("localhost"), "--endpoint localhost is no URL"),
        (("s3://x", "dst"), CloudOptions("http://a b"), "--endpoint http://a b is no URL"),
        (("gs://x", "dst"), CloudOptions("http://"), "--endpoint http:// is no URL"),
        (("gs://x", "dst"), CloudOptions("http://[::1"), "--endpoint http://[::1 is no URL"),
        (("az://x", "dst"), CloudOptions("http://127.0.0.1:99999"), "--endpoint http://127.0.0.1:99999 is no URL"),
        ((".", "dst"), CloudOptions("http://127.0.0.1:1"), "--endpoint needs a cloud's bucket"),
        (("s3://x", "gs://x"), CloudOptions("http://127.0.0.1:1"), "--endpoint is of one store"),
        ((".", "s3://x"), CloudOptions(anonymous=True), "--anonymous needs a cloud's bucket as SRC"),
        (("s3://x", "dst"), CloudOptions(no_clobber=True), "--no-clobber needs a cloud's bucket as DST"),
        ((".", "s3://x"), CloudOptions(keep_metadata=True), "--keep-metadata needs a cloud's bucket as SRC and as DST"),
        (("az://x", "dst"), CloudOptions(), "az://x can't be used: "),
        (("s3://x", "dst"), CloudOptions("http://127.0.0.1:1"), "s3://x can't be listed: http://127.0.0.1:1 can't be"),
    ],
)
def test_what_can_not_be_done_is_said_before_it_is_begun(
    faulty: FaultyCloud, places: tuple[str, str], options: CloudOptions, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        make_plan(*places, clouds=options)


def test_a_variable_that_is_no_address_is_named(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9")
    with pytest.raises(ConfigurationError, match=r"AWS_ENDPOINT_URL 127\.0\.0\.1:9 is no URL of a store"):
        CloudStore("s3://x")


def test_a_setting_that_obstore_does_not_survive_is_one_sentence(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    monkeypatch.setenv("AWS_REGION", "here and there")  # which becomes a part of a host's name
    with pytest.raises(ConfigurationError, match="obstore can't work with a setting, such as a region: "):
        CloudSource("s3://x")


def test_overwriting_and_not_clobbering_contradict_each_other(cloud: Cloud) -> None:
    with pytest.raises(ConfigurationError, match="give one of them"):
        make_plan(".", "s3://x", overwrite=True, clouds=CloudOptions(no_clobber=True))


def test_missing_credentials_are_said(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    with pytest.raises(ConfigurationError, match=r"no credentials were found; set AWS_ACCESS_KEY_ID .* --anonymous"):
        CloudStore("s3://x")
    monkeypatch.setenv("AWS_PROFILE", "none")
    with pytest.raises(ConfigurationError, match=r"the credentials can't be used: .*none"):
        CloudStore("s3://x")


def test_a_profile_is_found(cloud: Cloud, faulty: FaultyCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, settings = tmp_path / "credentials", tmp_path / "config"
    keys.write_text("[work]\naws_access_key_id = of-work\naws_secret_access_key = secret\n")
    settings.write_text("[profile work]\nregion = eu-west-3\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keys))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(settings))
    monkeypatch.setenv("AWS_PROFILE", "work")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name)
    source(cloud.bucket(), faulty)
    assert re.search(r"Credential=of-work/\d+/eu-west-3/s3/", faulty.asked[-1].authorization)


def test_public_data_needs_no_credentials(cloud: Cloud, faulty: FaultyCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    bucket = cloud.bucket()
    cloud.put(bucket, {"a": SMALL}, ACL="public-read")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    origin = CloudSource(f"s3://{bucket}", options=CloudOptions(faulty.endpoint, anonymous=True))
    assert read(origin, "a", len(SMALL)) == SMALL
    assert {one.authorization for one in faulty.asked} == {""}


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, url in [("obstore", "gs://x"), ("boto3", "s3://x")]:
        with monkeypatch.context() as patch:
            patch.setitem(__import__("sys").modules, module, None)
            with pytest.raises(ConfigurationError, match=r"run: pip install 'instore\[cloud\]'"):
                CloudStore(url)


def test_a_password_in_an_address_is_never_shown(cloud: Cloud, faulty: FaultyCloud) -> None:
    for endpoint in ("http://me:secret@127.0.0.1:1", "me:secret@127.0.0.1:1"):
        with pytest.raises(ConfigurationError) as caught:
            CloudSource("s3://x", options=CloudOptions(endpoint))
        assert "127.0.0.1:1" in str(caught.value)
        assert "secret" not in str(caught.value)
