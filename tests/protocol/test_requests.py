"""One object's request (docs/protocol.md#requests)."""

import json
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.errors import InstoreError, InvalidPipelineError, InvalidRequestError
from instore.protocol.headers import RESULTS
from instore.protocol.names import escape_fqn, escape_path, escape_query, escape_segment
from instore.protocol.pipeline import direct_put_url
from instore.protocol.requests import (
    METHODS,
    ObjectRequest,
    SourceKind,
    object_target,
    parse_download,
    parse_request,
    pull_target,
)
from tests.protocol.wire import names, texts

Headers = list[tuple[bytes, bytes]]
TARGET = "http://10.0.0.8:51081/v1/etl/_object/my-etl/s3cr3t"

json_texts = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10) | st.sampled_from(["a&b=c+d", "%2F;,", "é{}\"'"]),
    lambda values: st.lists(values, max_size=3) | st.dictionaries(st.text(max_size=5), values, max_size=3),
    max_leaves=5,
).map(lambda value: json.dumps(value, ensure_ascii=False))


def parse(url: str, headers: Headers | None = None, method: str = "PUT") -> ObjectRequest:
    """What a server makes of a request for `url`."""
    parts = urlsplit(url)
    return parse_request(method, parts.path, parts.query, headers or [])


@pytest.mark.parametrize(
    ("method", "query", "origin"),
    [
        ("PUT", "", SourceKind.BODY),
        ("PUT", "etl_args=x", SourceKind.BODY),
        ("PUT", "etl_fqn=", SourceKind.BODY),
        ("GET", "", SourceKind.TARGET),
        ("PUT", "etl_fqn=%252Fm%252Fo", SourceKind.FILE),
        ("GET", "etl_fqn=%252Fm%252Fo", SourceKind.FILE),
    ],
)
def test_method_and_query_say_where_the_object_comes_from(method: str, query: str, origin: SourceKind) -> None:
    assert parse_request(method, "/b/o", query, []).origin is origin
    assert method in METHODS


def test_a_plain_request_names_only_its_object() -> None:
    assert parse("/b/o") == ObjectRequest("b/o", SourceKind.BODY)


@pytest.mark.parametrize(
    ("raw_path", "path"),
    [
        ("/b/o", "b/o"),
        ("b/o", "b/o"),
        ("/ais%2F@%23%2Fphotos%2Fcat.jpg", "ais/@#/photos/cat.jpg"),
        ("/b/100%2541.txt", "b/100%41.txt"),
        ("/b/a+b", "b/a+b"),
        ("/b/%", "b/%"),
        ("/b/%00%FF", "b/\0\udcff"),
        ("/b//o/", "b//o/"),
        ("//x", "/x"),
    ],
)
def test_the_path_is_decoded_once_and_loses_its_leading_slash(raw_path: str, path: str) -> None:
    assert parse_request("PUT", raw_path, "", []).path == path


@given(names)
def test_any_uname_arrives_as_it_was(name: str) -> None:
    assert parse_request("GET", "/" + escape_segment(name), "", []).path == name
    assert parse_request("PUT", "/" + escape_path(name), "", []).path == name


@pytest.mark.parametrize("raw_path", ["", "/"])
def test_a_request_for_no_object_is_refused(raw_path: str) -> None:
    with pytest.raises(InvalidRequestError, match="no object is named"):
        parse_request("PUT", raw_path, "", [])


@pytest.mark.parametrize(
    ("query", "fqn"),
    [
        ("etl_fqn=%252Fm%252F@ais%252Fb%252F%2525ob%252F100%252541.txt", "/m/@ais/b/%ob/100%41.txt"),
        ("etl_fqn=/m/@ais/b/%2525ob/a%252Bb+c", "/m/@ais/b/%ob/a+b c"),
        ("x=1&etl_fqn=%2Fm%2Fo&y", "/m/o"),
        ("etl%5Ffqn=%2Fm%2Fo", "/m/o"),
        ("etl_fqn=/first&etl_fqn=/second", "/first"),
        ("etl_fqn=/a=b", "/a=b"),
        ("etl_fqn", ""),
    ],
)
def test_a_file_path_is_query_decoded_once_and_unescaped_once_more(query: str, fqn: str) -> None:
    assert parse_request("PUT", "/b/o", query, []).fqn == fqn


@given(names, texts)
def test_any_file_path_arrives_as_it_was(fqn: str, etl_args: str) -> None:
    request = parse_request("PUT", "/b/o", f"etl_args={escape_query(etl_args)}&etl_fqn={escape_fqn(fqn)}", [])
    assert (request.origin, request.fqn, request.etl_args) == (SourceKind.FILE, fqn, etl_args.strip())


@pytest.mark.parametrize(
    ("query", "etl_args"),
    [
        ("etl_args=", ""),
        ("etl_args", ""),
        ("etl_args=+%20x+y%0A", "x y"),
        ("etl_args=a%2Bb", "a+b"),
        ("etl_args=a%2525b", "a%25b"),
        ("etl_args=a=b", "a=b"),
        ("etl_args=a;b", "a;b"),
        ("etl_args=first&etl_args=second", "first"),
        ("x_etl_args=1", ""),
        ("etl_args=%FF", "\udcff"),
    ],
)
def test_etl_args_are_decoded_once_and_stripped(query: str, etl_args: str) -> None:
    assert parse_request("PUT", "/b/o", query, []).etl_args == etl_args


@given(json_texts, texts, st.integers(1, 4))
def test_etl_args_and_path_survive_every_stage_of_a_pipeline(etl_args: str, path: str, stages: int) -> None:
    url = f"http://10.0.0.7:8000/b/{escape_path(path)}?x=1&etl_args={escape_query(etl_args)}"
    for _ in range(stages):
        request = parse(url)
        url = direct_put_url("http://10.0.0.7:8000?etl_args=old", TARGET, request.path, request.etl_args)
        assert url.count("etl_args=") == 1
    assert parse(url) == ObjectRequest(f"b/{path}", SourceKind.BODY, etl_args=etl_args)


@given(json_texts)
def test_etl_args_reach_a_target_in_the_same_form(etl_args: str) -> None:
    url = direct_put_url("http://10.0.0.9:51081/ais%2F@%23%2Fb%2Fo?uuid=j&owt=5", TARGET, "", etl_args)
    assert parse(url).etl_args == etl_args


@pytest.mark.parametrize(
    ("values", "next_url", "pipeline"),
    [
        ([], "", ""),
        ([b""], "", ""),
        ([b" "], "", ""),
        ([b"http://a"], "http://a", ""),
        ([b"http://a,http://b, http://c"], "http://a", "http://b, http://c"),
        ([b"http://a", b"http://b", b"http://c"], "http://a", "http://b,http://c"),
        ([b"http://a,http://b", b"http://c/x?y"], "http://a", "http://b,http://c/x?y"),
        (["http://a/é,http://b/日".encode()], "http://a/é", "http://b/日"),
    ],
)
def test_the_pipeline_is_that_of_all_its_headers_in_order(values: list[bytes], next_url: str, pipeline: str) -> None:
    request = parse("/b/o", [(b"ais-node-url", value) for value in values])
    assert (request.next_url, request.pipeline) == (next_url, pipeline)


@pytest.mark.parametrize(
    "values",
    [[b","], [b"http://a,"], [b"http://a", b""], [b"", b"http://a"], [b"http://a/\xff"], [b"http://a,http://b\0"]],
)
def test_a_malformed_pipeline_is_refused(values: list[bytes]) -> None:
    with pytest.raises(InvalidPipelineError):
        parse("/b/o", [(b"ais-node-url", value) for value in values])


@pytest.mark.parametrize(
    ("headers", "length"),
    [
        ([], None),
        ([(b"host", b"h"), (b"content-length", b"0")], 0),
        ([(b"content-length", b"17179869184")], 16 << 30),
        ([(b"content-length", b"007")], 7),
        ([(b"transfer-encoding", b"chunked")], None),
        ([(b"content-length", b"5"), (b"transfer-encoding", b"chunked")], None),
        ([(b"transfer-encoding", b"chunked"), (b"content-length", b"5")], None),
    ],
)
def test_the_length_is_what_was_announced_unless_the_body_is_chunked(headers: Headers, length: int | None) -> None:
    assert parse("/b/o", headers).length == length


@pytest.mark.parametrize(
    "value",
    [b"", b"-1", b"+1", b"1.0", b"1_000", b" 1", b"0x10", b"1, 1", b"\xb2", b"9" * 19, b"9" * 5000],
)
def test_a_length_that_no_body_can_have_is_refused(value: bytes) -> None:
    with pytest.raises(InvalidRequestError, match="Content-Length") as error:
        parse("/b/o", [(b"content-length", value)])
    assert len(str(error.value)) < 200


@given(st.sampled_from(METHODS), texts, texts, st.lists(st.tuples(st.just(b"ais-node-url"), st.binary())))
def test_any_request_is_understood_or_refused(method: str, path: str, query: str, headers: Headers) -> None:
    try:
        request = parse_request(method, path, query, headers)
    except InstoreError:
        return
    assert request.path
    assert (request.origin is SourceKind.FILE) == bool(request.fqn)


FQN = escape_fqn("/mp/@ais/b/%ob/a?b")


@pytest.mark.parametrize(
    ("query", "path", "fqn", "etl_args"),
    [
        (f"b?etl_fqn={FQN}", "b/a?b", "/mp/@ais/b/%ob/a?b", ""),
        (f"b?etl_args=x&etl_fqn={FQN}", "b/a?b", "/mp/@ais/b/%ob/a?b", "x"),
        (f"b?c?etl_fqn={FQN}", "b/a?b?c", "/mp/@ais/b/%ob/a?b", ""),
        (f"?etl_fqn={FQN}", "b/a?", "/mp/@ais/b/%ob/a?b", ""),
        (f"etl_args=what?&etl_fqn={FQN}", "b/a", "/mp/@ais/b/%ob/a?b", "what?"),
        ("etl_args=who?what", "b/a", "", "who?what"),
    ],
)
def test_a_question_mark_in_a_name_that_came_unescaped_is_of_the_name(
    query: str, path: str, fqn: str, etl_args: str
) -> None:
    request = parse_request("PUT", "/b/a", query, [(b"content-length", b"0")])
    assert (request.path, request.fqn, request.etl_args) == (path, fqn, etl_args)
    assert request.raw_path == f"/{path}"


@pytest.mark.parametrize("name", ["a#b", "a?b", "c/#", "?"])
@pytest.mark.parametrize("stages", ["", "http://10.0.0.9:8000,"])
def test_an_empty_body_for_a_name_that_was_cut_off_is_refused(name: str, stages: str) -> None:
    destination = f"http://10.0.0.8:51081/{escape_segment(f'ais/@#/b/{name}')}?uuid=1"
    headers = [(b"ais-node-url", (stages + destination).encode()), (b"content-length", b"0")]
    with pytest.raises(InvalidRequestError, match=r"AIStore cuts a name off at '[#?]' under hpush"):
        parse_request("PUT", "/b/a", "", headers)
    assert parse_request("PUT", "/b/a", f"etl_fqn={FQN}", headers).origin is SourceKind.FILE
    assert parse_request("PUT", "/b/a", "", [headers[0], (b"content-length", b"1")]).origin is SourceKind.BODY


def test_an_empty_object_with_an_ordinary_name_is_an_object() -> None:
    for last in (f"http://10.0.0.8:51081/{escape_segment('ais/@#/b/a')}", "http://10.0.0.9:8000"):
        headers = [(b"ais-node-url", last.encode()), (b"content-length", b"0")]
        assert parse_request("PUT", "/b/a", "", headers).length == 0


def test_a_download_names_a_url_and_an_object() -> None:
    query = "original_url=https%3A%2F%2Fh%2Fa%3Fb%3D1%2526&object_to=/photos/a+b&etl_args=+x+"
    assert parse_download(query, []) == ObjectRequest(
        "photos/a b", SourceKind.URL, etl_args="x", url="https://h/a?b=1%26"
    )


def test_a_download_may_have_a_pipeline() -> None:
    request = parse_download("original_url=http://h/&object_to=x", [(b"ais-node-url", b"http://a:1,http://b:2")])
    assert (request.next_url, request.pipeline) == ("http://a:1", "http://b:2")


@pytest.mark.parametrize("query", ["", "original_url=http://h/", "object_to=x", "original_url=&object_to=x"])
def test_a_download_without_url_or_object_is_an_error(query: str) -> None:
    with pytest.raises(InvalidRequestError, match="expected POST /download"):
        parse_download(query, [])


@given(names, texts, texts)
def test_what_is_asked_for_an_object_is_understood(path: str, fqn: str, etl_args: str) -> None:
    raw_path, _, query = object_target(path, fqn, etl_args).partition("?")
    request = parse_request("PUT", raw_path, query, [])
    assert (request.path, request.fqn, request.etl_args) == (path, fqn, etl_args.strip())


@given(names, texts)
def test_what_is_asked_for_a_pull_is_understood(uname: str, etl_args: str) -> None:
    raw_path, _, query = pull_target(uname, etl_args).partition("?")
    assert "/" not in raw_path[1:]
    request = parse_request("GET", raw_path, query, [])
    assert (request.path, request.origin, request.etl_args) == (uname, SourceKind.TARGET, etl_args.strip())


def test_a_request_may_take_results_in_frames() -> None:
    assert parse("/b/o", [(RESULTS.lower().encode(), b"1")]).takes_results
    assert not parse("/b/o").takes_results
