"""Pipelines and direct-put URLs (docs/protocol.md#pipelines-and-direct-put)."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.errors import InvalidPipelineError
from instore.protocol.names import escape_query, escape_segment, unescape, unescape_query
from instore.protocol.pipeline import (
    Hop,
    destination_entry,
    direct_put_url,
    ends_at_target,
    hop_of,
    join_pipeline,
    parse_pipeline,
)
from tests.protocol.wire import names, texts

TARGET = "http://10.0.0.8:51081/v1/etl/_object/my-etl/s3cr3t"
STAGE = "http://10.0.0.7:8000"

hosts = st.sampled_from(["10.0.0.7:8000", "etl-0.ais.svc", "[::1]:8000", "h:1"])
segments = names.map(escape_segment)
pairs = st.tuples(texts.map(escape_query), texts.map(escape_query)).map("=".join)
queries = st.lists(pairs.filter(lambda pair: not pair.startswith("etl_args=")), max_size=4).map("&".join)
urls = st.builds("http://{}{}{}".format, hosts, st.just("") | segments.map("/{}".format), queries.map("?{}".format))


@pytest.mark.parametrize(
    ("url", "hop"),
    [
        (STAGE, Hop.ETL),
        (f"{STAGE}/", Hop.ETL),
        (f"{STAGE}?etl_args=x", Hop.ETL),
        (f"{STAGE}/?x=/y", Hop.ETL),
        (f"{STAGE}#/x", Hop.ETL),
        ("http://[::1]:8000", Hop.ETL),
        (f"{STAGE}/x", Hop.TARGET),
        (f"{STAGE}/;", Hop.TARGET),
        (f"{STAGE}//", Hop.TARGET),
        ("http://10.0.0.8:51081/ais%2F@%23%2Fdst%2Fcat.jpg?uuid=j&owt=5", Hop.TARGET),
    ],
)
def test_an_entry_with_a_path_is_a_target(url: str, hop: Hop) -> None:
    assert hop_of(url) is hop


@pytest.mark.parametrize("header", [None, "", " ", "\t \n"])
def test_a_blank_header_is_no_pipeline(header: str | None) -> None:
    assert parse_pipeline(header) == ("", "")


@pytest.mark.parametrize(
    ("header", "first", "rest"),
    [
        ("http://a", "http://a", ""),
        ("http://a,http://b", "http://a", "http://b"),
        (" http://a , http://b , http://c ", "http://a", "http://b , http://c"),
        ("http://a\t,\thttp://b", "http://a", "http://b"),
        ("http://a/x%2Cy?z=1&w=%2C,http://b", "http://a/x%2Cy?z=1&w=%2C", "http://b"),
    ],
)
def test_the_first_url_is_split_off_and_the_rest_stays_as_it_is(header: str, first: str, rest: str) -> None:
    assert parse_pipeline(header) == (first, rest)


@pytest.mark.parametrize("header", [",", "http://a,", ",http://a", "http://a,,http://b", "http://a, ,http://b"])
def test_an_empty_entry_is_refused(header: str) -> None:
    with pytest.raises(InvalidPipelineError, match="empty entry"):
        parse_pipeline(header)


@pytest.mark.parametrize("control", ["\r\n", "\n", "\r", "\0", "\x1f", "\x7f"])
@pytest.mark.parametrize("header", ["http://a{}b", "http://a,{}http://b", "http://a,http://b/{}X-Header: 1"])
def test_a_control_character_is_refused(header: str, control: str) -> None:
    with pytest.raises(InvalidPipelineError, match="control character"):
        parse_pipeline(header.format(control))


@given(st.lists(urls, max_size=5), st.sampled_from([",", ", ", " ,\t"]))
def test_a_pipeline_is_walked_url_by_url(pipeline: list[str], separator: str) -> None:
    rest, walked = separator.join(pipeline), []
    while rest:
        first, rest = parse_pipeline(rest)
        walked.append(first)
    assert walked == pipeline


@given(texts)
def test_any_header_is_split_or_refused(header: str) -> None:
    try:
        first, rest = parse_pipeline(header)
    except InvalidPipelineError:
        return
    assert bool(first) == bool(header.strip())
    assert "," not in first
    assert not {"\r", "\n", "\0"} & {*first, *rest}


@pytest.mark.parametrize("url", [STAGE, f"{STAGE}/", f"{STAGE}#x"])
@pytest.mark.parametrize(
    ("path", "escaped"),
    [
        ("b/o", "/b/o"),
        ("/b/o", "/b/o"),
        ("ais/@#/b/a cat#1.jpg", "/ais/@%23/b/a%20cat%231.jpg"),
        ("b/100%41.txt", "/b/100%2541.txt"),
        ("b/o?x;y,z&w+v", "/b/o%3Fx%3By%2Cz%26w%2Bv"),
        ("b//o", "/b//o"),
        ("b/é\udcff\n\0", "/b/%C3%A9%FF%0A%00"),
    ],
)
def test_an_etl_server_gets_the_objects_path(url: str, path: str, escaped: str) -> None:
    assert direct_put_url(url, TARGET, path) == f"{STAGE}{escaped}"


@given(hosts, texts)
def test_the_objects_path_arrives_at_an_etl_server(host: str, path: str) -> None:
    url = direct_put_url(f"http://{host}", TARGET, f"b/{path}")
    assert unescape(urlsplit(url).path) == f"/b/{path}"
    assert urlsplit(url)[0:2] == ("http", host)
    assert urlsplit(url)[3:5] == ("", "")


@pytest.mark.parametrize("slash", ["", "/"])
@pytest.mark.parametrize(
    "rest",
    [
        "/ais%2F@%23%2Fdst%2Fcat.jpg?uuid=j&owt=5",
        "/ais/@%23/dst/o",
        "/a;b",
        "/a/b;c/d?e=%20f+g&h",
        "/%2525%2f%00?x=%2525",
        "//x",
        "/x?etl_args=old",
    ],
)
def test_a_target_gets_the_path_of_the_local_one_before_its_own(rest: str, slash: str) -> None:
    url = direct_put_url(f"http://10.0.0.9:51081{rest}", TARGET + slash, "not/used")
    assert url == f"http://10.0.0.9:51081/v1/etl/_object/my-etl/s3cr3t{rest}"


@given(hosts, segments, queries)
def test_path_and_query_of_a_target_stay_byte_for_byte(host: str, segment: str, query: str) -> None:
    tail = f"/{segment}" + (f"?{query}" if query else "")
    assert direct_put_url(f"http://{host}{tail}", TARGET, "b/o") == f"http://{host}/v1/etl/_object/my-etl/s3cr3t{tail}"


@pytest.mark.parametrize("url", [STAGE, f"{STAGE}/x", "https://10.0.0.7:8000/x", "//10.0.0.7:8000/x"])
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_scheme_is_that_of_the_local_target(url: str, scheme: str) -> None:
    assert direct_put_url(url, f"{scheme}://t:1/s", "x").startswith(f"{scheme}://10.0.0.7:8000/")


def test_a_local_target_without_a_path_adds_none() -> None:
    assert direct_put_url(f"{STAGE}/x", "http://t:1", "b/o") == f"{STAGE}/x"


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", "?etl_args=new"),
        ("?etl_args=old", "?etl_args=new"),
        ("?etl_args", "?etl_args=new"),
        ("?etl%5Fargs=old", "?etl_args=new"),
        ("?etl_args=1&uuid=j&etl_args=2&owt=5", "?uuid=j&owt=5&etl_args=new"),
        ("?x_etl_args=1&etl_argsx=2", "?x_etl_args=1&etl_argsx=2&etl_args=new"),
        ("?a=%20b+c&d&e=&=f&%zz", "?a=%20b+c&d&e=&=f&%zz&etl_args=new"),
        ("?&&a&", "?a&etl_args=new"),
    ],
)
def test_etl_args_replace_any_that_are_there_and_nothing_else(query: str, expected: str) -> None:
    assert direct_put_url(f"{STAGE}/x{query}", "http://t:1/s", "b/o", "new") == f"{STAGE}/s/x{expected}"
    assert direct_put_url(f"{STAGE}{query}", "http://t:1/s", "b/o", "new") == f"{STAGE}/b/o{expected}"


@given(urls, names)
def test_etl_args_stand_in_the_query_exactly_once(url: str, etl_args: str) -> None:
    query = urlsplit(direct_put_url(url, TARGET, "b/o", etl_args)).query
    values = [value for name, _, value in (pair.partition("=") for pair in query.split("&")) if name == "etl_args"]
    assert [unescape_query(value) for value in values] == [etl_args]


@pytest.mark.parametrize(
    "url",
    ["", "/x", "x", "h:8000", "http://", "http:///x", "http://:1/x", "http://[::1/x", "http://h:p", "http://h:99999"],
)
def test_an_entry_that_is_not_a_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidPipelineError, match="the pipeline entry"):
        hop_of(url)
    with pytest.raises(InvalidPipelineError, match="the pipeline entry"):
        direct_put_url(url, TARGET, "b/o")


@given(texts | texts.map("http://{}".format))
def test_any_text_is_a_url_or_refused(text: str) -> None:
    try:
        url = direct_put_url(text, TARGET, "b/o")
    except InvalidPipelineError:
        return
    assert url.startswith("http://")


@pytest.mark.parametrize(
    ("first", "rest", "at_target"),
    [
        ("", "", False),
        ("http://a:1", "", False),
        ("http://a:1/", "", False),
        ("http://a:1/x", "", True),
        ("http://a:1/x", "http://b:2", False),
        ("http://a:1", "http://b:2,http://c:3/ais%2Fx?uuid=1", True),
        ("http://a:1", "http://b:2/x , http://c:3", False),
    ],
)
def test_the_last_entry_tells_whether_a_pipeline_ends_at_a_target(first: str, rest: str, at_target: bool) -> None:
    assert ends_at_target(first, rest) is at_target


@given(names, texts)
def test_a_destination_reaches_its_target_with_the_servers_own_secret(uname: str, job: str) -> None:
    query = f"uuid={escape_query(job)}&owt=4"
    entry = destination_entry("http://10.0.0.9:51082/v1/etl/_object/other/secret", uname, query)
    assert hop_of(entry) is Hop.TARGET
    parts = urlsplit(direct_put_url(entry, TARGET, "not used"))
    assert (parts.netloc, unescape(parts.path)) == ("10.0.0.9:51082", f"/v1/etl/_object/my-etl/s3cr3t/{uname}")
    assert parts.query == f"uuid={escape_query(job)}&owt=4"


def test_a_destination_needs_no_query() -> None:
    assert destination_entry("http://h:1", "ais/@#/b/o") == "http://h:1/ais%2F@%23%2Fb%2Fo"


def test_a_pipeline_is_joined_as_it_is_split() -> None:
    assert join_pipeline(["http://a:1", "http://b:2"], "http://c:3/x") == "http://a:1,http://b:2,http://c:3/x"
    assert join_pipeline(["http://a:1"]) == "http://a:1"
    assert join_pipeline([]) == ""


@pytest.mark.parametrize("header", ["http://me:pass-word@a:80", "http://a:80,http://me@b/x", "http://a,http://:x@b/x"])
def test_a_pipeline_with_a_users_name_or_password_is_refused(header: str) -> None:
    with pytest.raises(
        InvalidPipelineError, match=r"^the pipeline holds a user's name or password, .*; leave them out$"
    ):
        parse_pipeline(header)
