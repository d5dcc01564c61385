"""The page's files, and who gets them; no browser is needed."""

import base64
import http.client
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.node import RunningNode, running_node
from tests.support.servers import TRANSFORMS, Server, running

STATIC = Path(__file__).parents[2] / "src" / "instore" / "ui" / "static"
TOKEN = "tøken-for-tests"
PAGE = {"Instore-Page": "1"}
TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
SHIPPED = {file.name: TYPES[file.suffix] for file in STATIC.iterdir() if file.suffix != ".html"}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"anyone:{password}".encode()).decode()}


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(Path(tmp_path_factory.mktemp("page"))) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    options = ["--token", TOKEN]
    with running_node(Path(tmp_path_factory.mktemp("guarded-page")), options=options) as running:
        yield running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = Path(tmp_path_factory.mktemp("class-page"))
    with running(folder, TRANSFORMS / "echo.py", target_url="", options=("--ui",)) as running_server:
        yield running_server


def raw(url: str, path: str, method: str = "GET") -> tuple[int, bytes]:
    """Ask for a path as it stands, dots and all."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=30)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def check_policy(answer: requests.Response) -> None:
    policy = dict(
        part.strip().partition(" ")[::2] for part in answer.headers["Content-Security-Policy"].split(";") if part
    )
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    allowed = {source for directive in policy.values() for source in directive.split()}
    assert allowed == {"'none'", "'self'", "'script'", "blob:"}
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


def test_every_file_of_the_page_is_served_as_what_it_is(node: RunningNode) -> None:
    page = requests.get(f"{node.endpoint}/ui", timeout=30)
    assert (page.status_code, page.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.content == (STATIC / "node.html").read_bytes()
    check_policy(page)
    for name, kind in SHIPPED.items():
        answer = requests.get(f"{node.endpoint}/ui/{name}", timeout=30)
        assert (answer.status_code, answer.headers["Content-Type"].partition(";")[0]) == (200, kind)
        assert answer.content == (STATIC / name).read_bytes()
        check_policy(answer)


def test_head_is_the_same_without_a_body(node: RunningNode) -> None:
    answer = requests.head(f"{node.endpoint}/ui/page.css", timeout=30)
    assert int(answer.headers["Content-Length"]) == (STATIC / "page.css").stat().st_size
    assert answer.content == b""


def test_a_slash_at_the_end_leads_to_the_page(node: RunningNode) -> None:
    assert requests.get(f"{node.endpoint}/ui/", timeout=30).url == f"{node.endpoint}/ui"


@pytest.mark.parametrize(
    "path",
    [
        "/ui/../page.py",
        "/ui/../../../../pyproject.toml",
        "/ui/%2e%2e/page.py",
        "/ui/..%2fpage.py",
        "/ui//etc/passwd",
        "/ui/%2fetc%2fpasswd",
        "/ui/static/node.js",
        "/ui/./node.js",
        "/ui/node.html",
        "/ui/node.js/",
        "/ui/node.js%00",
        "/ui/page.css/../node.js",
    ],
)
def test_nothing_else_is_served(node: RunningNode, server: Server, path: str) -> None:
    for url in (node.endpoint, server.url):
        status, body = raw(url, path)
        assert status == 404
        assert body == b"the page has no such file; it begins at /ui"


def test_the_page_is_only_read(node: RunningNode) -> None:
    status, body = raw(node.endpoint, "/ui/page.css", "PUT")
    assert status == 405
    assert body == b"PUT is not served here; the methods are GET, HEAD"


def test_what_the_files_name_is_there_and_nothing_of_elsewhere() -> None:
    for file in STATIC.iterdir():
        text = file.read_text()
        named = {
            ".html": re.findall(r'(?:src|href)="([^"#][^"]*)"', text),
            ".js": [f"/ui/{name}" for name in re.findall(r'from "\./([^"]+)"', text)],
        }.get(file.suffix, [])
        assert [name for name in named if name.removeprefix("/ui/") not in SHIPPED] == []
        elsewhere = re.findall(r"(?:https?:)?//[a-z0-9-]+\.[a-z.]+", text.replace("http://www.w3.org/2000/svg", ""))
        assert elsewhere == []


def test_nothing_in_the_files_makes_markup_or_script_of_a_text() -> None:
    forbidden = re.compile(
        r"(?:inner|outer)HTML|insertAdjacent|document\.write|\beval\(|new Function|srcdoc|<iframe|\son[a-z]+=|style="
    )
    assert [(file.name, found) for file in STATIC.iterdir() if (found := forbidden.findall(file.read_text()))] == []


def test_every_field_has_a_label() -> None:
    for file in STATIC.glob("*.html"):
        text = file.read_text()
        fields = re.findall(r"<(?:input|select)\b", text)
        labelled = [
            len(re.findall(r"<(?:input|select)\b", label))
            for label in re.findall(r"<label.*?</label>", text, re.DOTALL)
        ]
        assert set(labelled) == {1}
        assert len(fields) == len(labelled)


# Who gets it


@pytest.mark.parametrize("path", ["/ui", "/ui/node.js", "/ui/none", "/ui/ask/v1/buckets"])
def test_without_the_token_the_page_is_refused_and_the_browser_asks_for_it(guarded: RunningNode, path: str) -> None:
    for headers in ({}, basic("another"), basic(""), {"Authorization": "Basic !"}, {"Authorization": "Bearer x"}):
        answer = requests.get(guarded.endpoint + path, headers=headers, timeout=30)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"].startswith("Basic ")
        assert "as the password" in answer.json()["message"]


def test_the_token_as_a_password_opens_the_page_and_what_it_asks(guarded: RunningNode) -> None:
    assert requests.get(f"{guarded.endpoint}/ui", headers=basic(TOKEN), timeout=30).status_code == 200
    url = f"{guarded.endpoint}/ui/ask/v1/buckets"
    answer = requests.post(url, headers=basic(TOKEN) | PAGE, data='{"action": "list"}', timeout=30)
    assert (answer.status_code, answer.json()) == (200, [])


@pytest.mark.parametrize("path", ["/v1/buckets/b", "/ui/ask/v1/buckets"])
def test_a_password_that_a_browser_adds_for_a_page_of_elsewhere_opens_nothing(guarded: RunningNode, path: str) -> None:
    answer = requests.post(guarded.endpoint + path, headers=basic(TOKEN), data='{"action": "create-bck"}', timeout=30)
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    preflight = {"Origin": "http://evil.example", "Access-Control-Request-Headers": "instore-page"}
    asked = requests.options(guarded.endpoint + path, headers=preflight, timeout=30)
    assert asked.status_code == 401
    assert not [name for name in asked.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize("headers", [{"Host": "evil.example"}, {"Origin": "http://evil.example"}])
def test_pages_of_elsewhere_get_neither_the_page_nor_answers(node: RunningNode, headers: dict[str, str]) -> None:
    assert requests.get(f"{node.endpoint}/ui", headers=headers, timeout=30).status_code == 403
    asked = requests.post(f"{node.endpoint}/ui/ask/v1/buckets", headers=headers | PAGE, timeout=30)
    assert asked.status_code == 403


def test_what_clients_get_with_a_body_the_page_posts(node: RunningNode) -> None:
    node.client().bucket("asked").create(exist_ok=True).object("a/b").get_writer().put_content(b"12")
    message = {"action": "list", "value": {"prefix": "a/", "props": "name,size"}}
    answer = requests.post(f"{node.endpoint}/ui/ask/v1/buckets/asked?provider=ais", json=message, timeout=30)
    assert [(entry["name"], entry["size"]) for entry in answer.json()["entries"]] == [("a/b", "2")]


@pytest.mark.parametrize("path", ["/ui/ask", "/ui/ask/", "/ui/ask/v2/x", "/ui/ask/ui"])
def test_nothing_but_the_api_is_asked_so(node: RunningNode, path: str) -> None:
    assert raw(node.endpoint, path, "POST")[0] == 405


# One class


def test_a_class_has_its_page_and_still_serves_objects(server: Server) -> None:
    page = requests.get(f"{server.url}/ui", timeout=30)
    assert page.content == (STATIC / "serve.html").read_bytes()
    check_policy(page)
    assert requests.get(f"{server.url}/ui/about.json", timeout=30).json()["name"] == "Echo"
    assert requests.put(f"{server.url}/page/a.txt?etl_args=x", data=b"12", timeout=30).content == b"12"
    assert requests.put(f"{server.url}/ui/a.txt", data=b"34", timeout=30).content == b"34"
    assert requests.get(f"{server.url}/health", timeout=30).text == "Running"
    assert f"the page is {server.url}/ui" in server.log_text()


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("GET", "/ui", {"Host": "evil.example"}),
        ("GET", "/ui", {"Origin": "http://evil.example"}),
        ("PUT", "/page/a.txt", {"Host": "evil.example", "Origin": "http://evil.example"}),
        ("PUT", "/page/a.txt", {"Origin": "null"}),
    ],
)
def test_pages_of_elsewhere_get_nothing_of_a_class(
    server: Server, method: str, path: str, headers: dict[str, str]
) -> None:
    answer = requests.request(method, server.url + path, headers=headers, data=b"12", timeout=30)
    assert answer.status_code == 403
    assert "12" not in answer.text


def test_a_target_may_name_the_server_of_a_class_as_it_likes(server: Server) -> None:
    named = {"Host": "some-etl.default.svc:8000"}
    assert requests.put(f"{server.url}/b/o", headers=named, data=b"12", timeout=30).content == b"12"


def test_without_the_option_there_is_no_page(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "echo.py") as without:
        answer = requests.get(f"{without.url}/ui", timeout=30)
        assert answer.status_code == 502  # it is an object's name, and no target has it
