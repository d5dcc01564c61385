"""Bucket jobs of a node with classes that name their results, make several, or skip objects."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from aistore import Client
from aistore.sdk.bucket import Bucket
from aistore.sdk.errors import AISError
from aistore.sdk.etl import ETLConfig

from instore import ETLServer, Result, Skip
from tests.support.node import RunningNode, wait_until


def letters() -> type[ETLServer]:
    """A class that is sent whole."""

    class Letters(ETLServer):
        def transform_many(self, data: Any, path: str, etl_args: Any) -> Iterator[Result]:
            if not data:
                raise Skip("it has no letters")
            for letter in data.decode():
                if letter == "!":
                    raise ValueError("a mark")
                name = f"{letter}/{path.rpartition('/')[2]}" if letter != "=" else "shared"
                yield Result(letter.encode(), name=name, metadata={"of": path})

    return Letters


def renamed() -> type[ETLServer]:
    """A class that is sent whole."""

    class Renamed(ETLServer):
        def transform(self, data: Any, path: str, etl_args: Any) -> bytes | Result:
            if data == b"skip":
                raise Skip("it says so")
            return Result(data, name=data.decode()) if data else b"plain"

    return Renamed


@contextmanager
def etl(client: Client, cls: type[ETLServer], **options: Any) -> Iterator[Any]:
    made = client.etl("named-etl")
    made.init_class(**options)(cls)
    try:
        yield made
    finally:
        made.stop()
        made.delete()


def put(bucket: Bucket, objects: dict[str, bytes]) -> None:
    for name, data in objects.items():
        bucket.object(name).get_writer().put_content(data)


def content(bucket: Bucket) -> dict[str, bytes]:
    return {one.name: bucket.object(one.name).get_reader().read_all() for one in bucket.list_all_objects()}


def transformed(client: Client, source: Bucket, made: Any, **options: Any) -> tuple[dict[str, bytes], Any]:
    """The results of a bucket job, and the job."""
    destination = client.bucket(f"{source.name}-results").create()
    job = client.job(source.transform(etl_name=made.name, to_bck=destination, cont_on_err=True, **options))
    job.wait(timeout=60)
    return content(destination), job


@pytest.mark.parametrize(
    "options",
    [{}, *(pytest.param(one, marks=pytest.mark.whole) for one in ({"comm_type": "hpull"}, {"direct_put": False}))],
)
def test_a_job_keeps_all_results_of_an_object_or_none(
    client: Client, bucket: Bucket, node: RunningNode, options: dict[str, Any]
) -> None:
    put(bucket, {"ab": b"ab", "bad": b"xy!", "none": b"", "c": b"c"})
    with etl(client, letters(), **options) as made:
        results, job = transformed(client, bucket, made, prepend="r/")
        assert results == {"r/a/ab": b"a", "r/b/ab": b"b", "r/c/c": b"c"}
        errors = made.view(job.job_id).obj_errors
        assert [error.obj_name.rpartition("/")[2] for error in errors] == ["bad"]
        assert "ValueError: a mark" in errors[0].msg
        said = f"skipped ais://{bucket.name}/none: it has no letters"
        wait_until(lambda: said in node.log.read_text())
        properties = client.bucket(f"{bucket.name}-results").object("r/a/ab").props
        assert list(properties.custom_metadata) == ["of"]


@pytest.mark.whole
def test_a_job_refuses_one_name_to_two_objects(client: Client, bucket: Bucket) -> None:
    put(bucket, {"x": b"=", "y": b"="})
    with etl(client, letters()) as made:
        results, job = transformed(client, bucket, made)
        assert results == {"shared": b"="}
        (error,) = made.view(job.job_id).obj_errors
        assert "would both have a result that is called shared" in error.msg


@pytest.mark.whole
def test_a_job_keeps_a_result_by_its_own_name_beside_plain_ones(client: Client, bucket: Bucket) -> None:
    put(bucket, {"a": b"new/name", "b": b"", "c": b"b", "d": b"skip"})
    with etl(client, renamed()) as made:
        results, job = transformed(client, bucket, made)
        assert results == {"new/name": b"new/name", "b": b"plain"}
        (error,) = made.view(job.job_id).obj_errors
        assert "c and b would both have a result that is called b" in error.msg


@pytest.mark.whole
def test_a_single_object_has_one_result_and_a_skip_is_its_error(client: Client, bucket: Bucket) -> None:
    put(bucket, {"a": b"new/name", "d": b"skip", "p": b""})
    with etl(client, renamed()) as made:
        config = ETLConfig(made.name)
        assert bucket.object("p").get_reader(etl=config).read_all() == b"plain"
        for name, sentence in (("d", "skipped: it says so"), ("a", "gave its result the name 'new/name'")):
            with pytest.raises(AISError, match=sentence):
                bucket.object(name).get_reader(etl=config).read_all()
            with pytest.raises(AISError, match=sentence):
                bucket.object(name).copy(to_obj=bucket.object("copy"), etl=config)
    assert set(content(bucket)) == {"a", "d", "p"}


@pytest.mark.whole
def test_a_pipeline_has_one_result_of_each_object(client: Client, bucket: Bucket) -> None:
    put(bucket, {"a": b"new/name"})
    with etl(client, renamed()) as made:
        results, job = transformed(client, bucket, made, etl_pipeline=[made.name])
        assert results == {}
        error, *_ = made.view(job.job_id).obj_errors  # that of each stage
        assert "gave its result the name 'new/name', which the answer to a request can't carry" in error.msg
