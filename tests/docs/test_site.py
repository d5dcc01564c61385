"""The documentation as a site: it is built without a warning, and asks nothing of elsewhere."""

import functools
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.site.build import build, write_pages
from tests.docs.test_links import ROOT
from tests.support.browser import Complaints, new_page, running_browser
from tests.support.environments import DOCS, need

_LOADED = re.compile(r'<(?:script|img|iframe|source)\b[^>]*\bsrc="([^"]+)"|<link\b[^>]*\bhref="([^"]+)"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    need(DOCS)
    return build(tmp_path_factory.mktemp("site"))


@pytest.fixture
def url(site: Path) -> Iterator[str]:
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def test_every_page_and_what_the_modules_name_is_written(tmp_path: Path) -> None:
    write_pages(tmp_path)
    names = {page.name for page in (tmp_path / "pages").glob("*.md")}
    assert {page.name for page in (ROOT / "docs").glob("*.md")} | {"index.md", "changelog.md", "api.md"} == names
    assert "::: instore.ETLServer" in (tmp_path / "pages" / "api.md").read_text()
    links = re.findall(r"\]\(([^)\s]+)\)", (tmp_path / "pages" / "examples.md").read_text())
    assert "examples/thumbnails.md" in links
    assert [link for link in links if link.startswith("..")] == []


@pytest.mark.whole
def test_the_site_has_the_api_and_loads_nothing_of_elsewhere(site: Path) -> None:
    api = (site / "api.html").read_text()
    assert 'id="instore.ETLServer.transform_stream"' in api
    assert "The object, whole in memory" in api or "Transform one object, whole in memory" in api
    for page in site.rglob("*.html"):
        loaded = ["".join(found) for found in _LOADED.findall(page.read_text())]
        assert [place for place in loaded if re.match(r"(?:https?:)?//", place)] == []


@pytest.mark.whole
def test_a_browser_asks_for_nothing_of_elsewhere(url: str) -> None:
    asked: list[str] = []
    complaints = Complaints()
    with running_browser() as browser:
        page = new_page(browser, complaints)
        page.on("request", lambda request: asked.append(request.url))
        for name in ("index", "transform", "api"):
            page.goto(f"{url}/{name}.html", wait_until="networkidle")
        page.context.close()
    assert len(asked) > 6
    assert [place for place in asked if not place.startswith((url, "data:", "blob:"))] == []
    assert complaints.lines == []
