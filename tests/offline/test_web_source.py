"""What a web server may do to a job's objects: nothing that ends in a result that is not right, or in silence."""

import asyncio
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from instore.errors import ConfigurationError, RemoteStoreError
from instore.offline import web_folder
from instore.offline.chosen import NamedObjects
from instore.offline.cloud_store import CloudOptions
from instore.offline.interfaces import ItemState
from instore.offline.plan import make_plan
from instore.offline.web_folder import WebFolder, WebObject
from instore.offline.web_source import WebSource
from tests.offline.support import fill
from tests.support.web import Answer, Handler, WebServer, web_server

DATA = os.urandom(1 << 20) * 3  # read in three pieces


@pytest.fixture
def web(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WebServer]:
    monkeypatch.setattr(web_folder, "_FIRST_PAUSE", 0.001)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "a").write_bytes(DATA)
    with web_server(tmp_path / "site") as running:
        yield running


def read(web: WebServer, name: str = "a") -> bytes:
    async def whole() -> bytes:
        body, data = WebObject(WebFolder(f"{web.endpoint}/"), name), b""
        while piece := await body.take():
            data += piece
        return data

    return asyncio.run(whole())


def cut(handler: Handler) -> bool:
    handler.give(cut=1000, length=int(handler.headers.get("Range") is None) * len(DATA) or None)
    handler.close_connection = True
    return True


def hang_up(handler: Handler) -> bool:
    handler.close_connection = True
    return True


def says(status: int, **headers: str) -> Answer:
    def answer(handler: Handler) -> bool:
        handler.say(status, headers=headers)
        return True

    return answer


# Reading


@pytest.mark.parametrize("answer", [cut, hang_up, says(503), says(429)], ids=["cut", "hang up", "503", "429"])
def test_what_passes_is_read_whole(web: WebServer, answer: Answer) -> None:
    web.breaks(answer, times=1)
    assert read(web) == DATA


def test_what_breaks_off_goes_on_where_it_did_and_is_of_one_version(web: WebServer) -> None:
    def replaced(handler: Handler) -> bool:
        cut(handler)
        (web.folder / "a").write_bytes(DATA[::-1])
        os.utime(web.folder / "a", ns=(1, 1))
        return True

    web.breaks(replaced, times=1)
    with pytest.raises(RemoteStoreError, match=r"/a could not be read: it broke off after \d+ bytes, and the rest can"):
        read(web)


@pytest.mark.parametrize(("ranges", "tagged"), [(False, True), (True, False)])
def test_what_can_not_go_on_is_an_error(web: WebServer, ranges: bool, tagged: bool) -> None:
    web.ranges, web.tagged = ranges, tagged
    web.breaks(cut)
    with pytest.raises(RemoteStoreError, match=r"/a (broke off|could not be read)"):
        read(web)


def test_a_file_that_grows_while_it_is_read_is_as_long_as_was_announced(web: WebServer) -> None:
    def longer(handler: Handler) -> bool:
        handler.say(200, b"12345" + b"6789", length=5)
        handler.close_connection = True
        return True

    web.breaks(longer)
    assert read(web) == b"12345"


def test_an_answer_that_does_not_say_where_it_ends_is_an_error(web: WebServer) -> None:
    def endless(handler: Handler) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\nall of it?")
        return hang_up(handler)

    web.breaks(endless)
    with pytest.raises(RemoteStoreError, match="says neither how long it is nor where it ends"):
        read(web)


def test_an_answer_in_chunks_is_read_to_its_end(web: WebServer) -> None:
    def chunks(handler: Handler) -> bool:
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        return True

    web.breaks(chunks)
    assert read(web) == b"onetwo"


@pytest.mark.parametrize(
    ("status", "is_away"), [(404, False), (410, False), (418, False), (401, True), (403, True), (500, True)]
)
def test_what_can_not_be_read_is_one_sentence(web: WebServer, status: int, is_away: bool) -> None:
    web.breaks(says(status))
    with pytest.raises(
        RemoteStoreError, match=f"{web.endpoint}/a could not be read: the server answered {status}"
    ) as e:
        read(web)
    assert e.value.is_away is is_away
    assert "\n" not in str(e.value)


def test_a_redirect_is_followed(web: WebServer) -> None:
    (web.folder / "b").write_bytes(b"elsewhere")
    web.breaks(says(302, Location=f"{web.endpoint.replace('127.0.0.1', 'localhost')}/b"), "/a")
    assert read(web) == b"elsewhere"


@pytest.mark.parametrize(
    ("to", "said"),
    [("/a", "more than 5 redirects"), ("ftp://x/a", "leads to ftp://"), ("file:///a", "No host")],
)
def test_a_redirect_stays_in_the_web_and_comes_to_an_end(web: WebServer, to: str, said: str) -> None:
    web.breaks(says(302, Location=to))
    with pytest.raises(RemoteStoreError, match=f"/a could not be read: .*{said}"):
        read(web)


# What there is


def test_pages_are_followed_and_what_is_known_of_files_is_told(web: WebServer) -> None:
    fill(web.folder, ["d/e/f", "d/g #%?&'\".txt", "d-h"])
    os.utime(web.folder / "d-h", (1_000_000, 1_000_000))
    source = WebSource(web.endpoint)
    found = {item.name: item for item in source.list()}
    assert list(found) == ["a", "d-h", "d/e/f", "d/g #%?&'\".txt"]
    assert {item.state for item in found.values()} == {ItemState.TODO}
    assert (found["a"].size, found["d-h"].modified) == (len(DATA), 1_000_000 * 10**9)
    assert found["a"].tag
    assert found["a"].tag != found["d-h"].tag
    assert [item.name for item in WebSource(f"{web.endpoint}/d/").list()] == ["e/f", "g #%?&'\".txt"]
    assert [item.name for item in WebSource(f"{web.endpoint}/d").list()] == ["e/f", "g #%?&'\".txt"]


def test_a_file_is_a_source(web: WebServer) -> None:
    source = WebSource(f"{web.endpoint}/a")
    assert [(item.name, item.size) for item in source.list()] == [("a", len(DATA))]


def test_a_page_without_files_is_followed_only_where_the_prefix_leads(web: WebServer) -> None:
    fill(web.folder, ["d/e", "f/g"])
    assert [item.name for item in WebSource(web.endpoint, "d/").list()] == ["d/e"]
    assert ("GET", "/f/") not in web.asked


def test_names_that_no_object_can_have_are_failures_and_so_is_what_is_gone(web: WebServer) -> None:
    page = b'<a href="a">a</a> <a href="%2e%2e">up</a> <a href="x%2Fy">x</a> <a href="gone">g</a> <a href="no/">n</a>'

    def listing(handler: Handler) -> bool:
        handler.say(200, page, {"Content-Type": "text/html"})
        return True

    web.breaks(listing, "/")
    web.answer, only_top = (lambda handler: handler.path == "/" and only_top(handler)), web.answer
    found = {item.name: (item.state, item.reason) for item in WebSource(web.endpoint).list()}
    assert {name: state for name, (state, _) in found.items()} == {
        "..": ItemState.FAILED,
        "a": ItemState.TODO,
        "gone": ItemState.FAILED,
        "no/": ItemState.FAILED,
        "x/y": ItemState.FAILED,
    }
    assert found["gone"][1] == "there is no such object in SRC"
    assert "/no/ can't be listed: the server answered 404" in found["no/"][1]


def test_a_server_that_fails_while_it_is_gone_through_ends_the_listing(web: WebServer) -> None:
    fill(web.folder, ["d/e"])
    web.breaks(says(503), "/d/")
    with pytest.raises(RemoteStoreError, match=r"/d/ can't be listed: the server answered 503") as caught:
        list(WebSource(web.endpoint).list())
    assert caught.value.is_away


def test_objects_can_be_named_where_no_page_lists_them(web: WebServer) -> None:
    fill(web.folder, ["d/b", "d/c"])
    web.breaks(says(403), "/")
    source = NamedObjects(WebSource(f"{web.endpoint}/d", is_listed=False), ["c", "b", "none", "../a"])
    assert [(item.name, item.state.name) for item in source.list()] == [
        ("../a", "FAILED"), ("b", "TODO"), ("c", "TODO"), ("none", "FAILED"),
    ]  # fmt: skip


def test_a_server_that_knows_no_head_is_asked_for_the_file(web: WebServer) -> None:
    web.breaks(says(405), method="HEAD")
    assert WebSource(web.endpoint, is_listed=False).find("a").size == len(DATA)


def test_a_proxy_of_the_environment_is_asked(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", web.endpoint)

    def proxied(handler: Handler) -> bool:
        handler.path = handler.path.removeprefix("http://no-such-host.test")
        return False

    web.answer = proxied
    assert WebSource("http://no-such-host.test/a").find("a").size == len(DATA)
    assert all(path.startswith("http://no-such-host.test/") for _, path in web.asked)


# What is refused


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://", "is no URL of a folder"),
        ("http://[::1/", "is no URL of a folder"),
        ("http://x:99999/", "is no URL of a folder"),
        ("http://x/?list=1", "has a query"),
        ("http://me:secret@x/", "only what needs no sign-in is read"),
    ],
)
def test_a_url_that_names_no_folder_is_refused(url: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(said)) as caught:
        WebSource(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("path", "said"), [("none/", "the server answered 404"), ("d", "SRC .*/d/ can't be listed: .* 403")]
)
def test_what_is_not_there_is_refused(web: WebServer, path: str, said: str) -> None:
    fill(web.folder, ["d/e"])
    web.breaks(says(403), "/d/")
    with pytest.raises(ConfigurationError, match=f"SRC {web.endpoint}/{path}: .*; name a folder whose page lists"):
        WebSource(f"{web.endpoint}/{path}")


def test_results_can_not_go_to_the_web_and_nothing_of_a_cloud_is_said_of_it(web: WebServer) -> None:
    with pytest.raises(ConfigurationError, match=r"DST https://x/: results can't be put on the web"):
        make_plan(".", "https://x/")
    with pytest.raises(ConfigurationError, match="--anonymous needs a cloud's bucket as SRC"):
        make_plan(web.endpoint, "dst", clouds=CloudOptions(anonymous=True))


def test_a_missing_package_is_said_with_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "urllib3", None)
    with pytest.raises(ConfigurationError, match=r"run: pip install 'instore\[cloud\]'"):
        WebFolder("http://x/")


def test_a_server_that_is_away_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_folder, "_FIRST_PAUSE", 0.001)
    with pytest.raises(ConfigurationError, match=r"http://127\.0\.0\.1:1/ can't be looked at: .*refused") as caught:
        WebSource("http://127.0.0.1:1/")
    assert "\n" not in str(caught.value)
