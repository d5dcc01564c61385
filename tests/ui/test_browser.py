"""The page in a real browser: people see their transforms at work, by mouse or keyboard, and nothing else happens."""

import gzip
import io
import json
import math
import struct
import sys
import tarfile
import wave
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests
from aistore import Client

from tests.examples.support import EXAMPLES, photograph
from tests.support.browser import Complaints, new_page, running_browser
from tests.support.node import RunningNode, running_node
from tests.support.servers import TRANSFORMS, running, running_command
from tests.ui.ship import ship, thumbnails

pytestmark = pytest.mark.whole

DESTROY = "{method: 'DELETE', body: JSON.stringify({action: 'destroy-bck'})}"
HOSTILE = f"fetch('/v1/buckets/hostile', {DESTROY}); window.pwned = true; top.pwned = true; alert(1)"
SVG = f"""<svg xmlns="http://www.w3.org/2000/svg" width="40" height="30" onload="{HOSTILE}">
<script>{HOSTILE}</script><image href="/v1/buckets/called-home" width="1" height="1"/>
<rect width="40" height="30" fill="green"/></svg>"""
HTML = f"""<html><script>{HOSTILE}</script><img src="/called-home" onerror="{HOSTILE}"><b>bold</b></html>"""
PIXEL = """picture => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [picture.naturalWidth, picture.naturalHeight];
    canvas.getContext("2d").drawImage(picture, 0, 0);
    return [...canvas.getContext("2d").getImageData(canvas.width / 2, canvas.height / 2, 1, 1).data];
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with running_browser() as started:
        yield started


@pytest.fixture(scope="module")
def node(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    with running_node(Path(tmp_path_factory.mktemp("browser")), targets=2) as running:
        client = running.client()
        ship(client)
        fill(client)
        yield running


def fill(client: Client) -> None:
    contents = {
        "photos": {name: photograph(name).read_bytes() for name in ("astronaut.png", "rocket.jpg")},
        "texts": {f"t{i:03}.txt": f"one {i}\nTWO\n".encode() for i in range(60)} | {"u.txt": b"fail\n"},
        "forms": {
            "a.csv": b'name,age\nada,36\n"LOVELACE, A",5\n',
            "a.json": b'{"a":["B"]}',
            "a.bin": bytes(range(256)) * 8,
            "a.png": b"\x89PNG\r\n\x1a\n and then no picture",
            "a.wav": tone(),
        },
        "shards": {
            "a.tar": tar({"one.txt": b"one\n", f"{'long/' * 30}two.json": b'{"two":2}'}),
            "a.tgz": gzip.compress(tar({"one.txt": b"one\n"})),
            "a.zip": zipped({"one.txt": b"one\n" * 100, "b.bin": bytes(4)}),
            "cut.tar": tar({"one.txt": b"one\n" * 1000})[:2000],
        },
        "hostile": {"a.svg": SVG.encode(), "b.html": HTML.encode()},
    }
    for name, objects in contents.items():
        bucket = client.bucket(name).create()
        for key, data in objects.items():
            bucket.object(key).get_writer().put_content(data)


def tone() -> bytes:
    """Half a second of audio."""
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setparams((1, 2, 8000, 0, "NONE", ""))
        out.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(i / 3))) for i in range(4000)))
    return file.getvalue()


def tar(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, data in members.items():
            head = tarfile.TarInfo(name)
            head.size = len(data)
            archive.addfile(head, io.BytesIO(data))
    return file.getvalue()


def zipped(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """What the page complains of: nothing, in a test that does not look."""
    found = Complaints()
    yield found
    assert found.lines == []


@pytest.fixture
def page(browser: Any, node: RunningNode, complaints: Complaints) -> Iterator[Any]:
    opened = new_page(browser, complaints)
    asked: list[str] = []
    opened.on("request", lambda request: asked.append(request.url))
    opened.goto(f"{node.endpoint}/ui")
    yield opened
    opened.context.close()
    assert [url for url in asked if not url.startswith((node.endpoint, "blob:"))] == []


def choose(page: Any, bucket: str, name: str, etl: str, args: str | None = "") -> None:
    page.get_by_role("combobox", name="Bucket", exact=True).select_option(label=f"ais://{bucket}")
    page.get_by_role("listbox", name="Objects").select_option(name)
    page.get_by_role("combobox", name="ETL", exact=True).select_option(etl)
    if args is not None:
        page.get_by_label("Arguments").fill(args)


def run(page: Any) -> tuple[Any, Any]:
    """Press the button; both sides."""
    page.get_by_role("button", name="Run").click()
    failure = page.get_by_role("region", name="Error")
    page.get_by_role("status").filter(has_text=" became ").or_(failure).first.wait_for()
    assert not failure.is_visible(), failure.inner_text()
    return page.get_by_role("region", name="Before", exact=True), page.get_by_role("region", name="After", exact=True)


def natural_size(picture: Any) -> list[int]:
    picture.page.wait_for_function("picture => picture.complete && picture.naturalWidth", arg=picture.element_handle())
    size: list[int] = picture.evaluate("picture => [picture.naturalWidth, picture.naturalHeight]")
    return size


def allow(complaints: Complaints, *parts: str) -> None:
    """Take out what the browser itself says of a request that was refused, as it should be."""
    left = [line for line in complaints.lines if not any(part in line for part in parts)]
    assert len(left) < len(complaints.lines)
    complaints.lines = left


# One object


def test_a_photograph_from_a_file_becomes_a_thumbnail(page: Any, node: RunningNode) -> None:
    page.get_by_label("Or a file").set_input_files(photograph("astronaut.png"))
    page.get_by_role("combobox", name="ETL", exact=True).select_option("thumbnails")
    page.get_by_label("Arguments").fill("128")
    before, after = run(page)
    assert natural_size(before.get_by_role("img")) == [512, 512]
    assert natural_size(after.get_by_role("img")) == [128, 128]
    one, other = (side.get_by_role("img").evaluate(PIXEL) for side in (before, after))
    assert max(one) > 0
    assert all(abs(x - y) < 60 for x, y in zip(one, other, strict=True))
    assert "image/jpeg" in after.inner_text()
    assert " ms" in after.inner_text()
    assert node.client().bucket("page-files").list_all_objects() == []


def test_a_slider_shows_both_pictures_in_one(page: Any) -> None:
    choose(page, "photos", "rocket.jpg", "thumbnails")
    run(page)
    slider = page.get_by_role("slider", name="Before and after")
    slider.focus()
    slider.press("Home")
    place = "frame => getComputedStyle(frame.querySelector('.above')).clipPath"
    frame = page.locator(".frame")
    assert frame.evaluate(place) == "inset(0px 0px 0px 0%)"
    slider.press("ArrowRight")
    assert frame.evaluate(place) == "inset(0px 0px 0px 1%)"


def test_an_error_is_shown_with_its_sentence_and_the_log(page: Any, complaints: Complaints) -> None:
    choose(page, "texts", "t000.txt", "upper-etl")
    page.get_by_label("Names that begin with").first.fill("u")
    page.get_by_role("listbox", name="Objects").select_option("u.txt")
    page.get_by_role("button", name="Run").click()
    failure = page.get_by_role("region", name="Error")
    sentence = failure.get_by_role("alert").inner_text()
    assert "ValueError: nothing to be done with <b>" in sentence
    assert "about to give up on" in failure.inner_text()
    allow(complaints, "422")


def test_texts_have_their_changed_lines_marked(page: Any) -> None:
    choose(page, "texts", "t003.txt", "upper-etl", "three\n")
    before, after = run(page)
    assert before.locator("li").all_inner_texts() == ["one 3", "TWO"]
    assert before.locator("del").all_inner_texts() == ["one 3"]
    assert after.locator("ins").all_inner_texts() == ["ONE 3", "three"]


def test_tables_json_and_bytes_are_readable(page: Any) -> None:
    choose(page, "forms", "a.csv", "upper-etl")
    _, after = run(page)
    assert after.get_by_role("cell").all_inner_texts() == ["ADA", "36", "LOVELACE, A", "5"]
    assert after.locator("ins").all_inner_texts() == ["NAME", "AGE", "ADA", "36"]
    choose(page, "forms", "a.json", "upper-etl")
    before, _ = run(page)
    assert before.locator("li").all_inner_texts() == ["{", '  "a": [', '    "B"', "  ]", "}"]
    choose(page, "forms", "a.bin", "upper-etl")
    before, _ = run(page)
    lines = before.locator("pre").inner_text().splitlines()
    assert len(lines) == 64
    assert lines[4] == "0040  40 41 42 43 44 45 46 47 48 49 4a 4b 4c 4d 4e 4f  @ABCDEFGHIJKLMNO"
    assert "The first 1024 of 2048 bytes" in before.inner_text()


def test_a_picture_that_is_none_is_shown_as_bytes(page: Any) -> None:
    choose(page, "forms", "a.png", "same-html")
    _, after = run(page)
    after.get_by_text("The browser can't show this picture").wait_for()
    assert after.locator("pre").inner_text().startswith("0000  89 50 4e 47")


def test_audio_has_a_player(page: Any) -> None:
    choose(page, "forms", "a.wav", "same-html")
    _, after = run(page)
    player = after.locator("audio").element_handle()
    page.wait_for_function("player => player.readyState > 0", arg=player)
    assert player.evaluate("player => player.duration") == pytest.approx(0.5)
    after.get_by_text("0.50 s, mono").wait_for()
    drawn = after.get_by_role("img", name="Waveform").evaluate("""canvas => [
        ...canvas.getContext("2d").getImageData(300, 0, 1, canvas.height).data].filter((_, i) => i % 4 === 3)""")
    assert 20 < sum(map(bool, drawn)) < 36  # 9000 of 32768, of 96 pixels


@pytest.mark.parametrize("name", ["a.tar", "a.tgz", "a.zip"])
def test_the_members_of_a_shard_are_listed_and_open(page: Any, name: str) -> None:
    choose(page, "shards", name, "same-html")
    _, after = run(page)
    assert after.get_by_role("rowheader", name="one.txt").count() == 1
    after.get_by_role("button", name="Open one.txt").click()
    after.locator("ol.lines li").first.wait_for()
    assert after.locator("ol.lines li").first.inner_text() == "one"
    if name == "a.tar":
        after.get_by_role("button", name="two.json").click()
        after.get_by_text('"two": 2').wait_for()


def test_a_shard_that_breaks_off_is_said_to_do_so(page: Any) -> None:
    choose(page, "shards", "cut.tar", "same-html")
    _, after = run(page)
    assert "The archive breaks off in its member 1." in after.inner_text()


def test_arguments_with_types_are_a_form(page: Any, complaints: Complaints) -> None:
    choose(page, "texts", "t001.txt", "with-args", None)
    form = page.get_by_role("group", name="Arguments")
    assert "as JSON" in form.inner_text()
    form.get_by_label("side").fill("64")
    form.get_by_label("mode").select_option(label="fill")
    form.get_by_label("crop").check()
    form.get_by_label("tags").fill('["a", "b"]')
    _, after = run(page)
    assert after.locator("li").all_inner_texts() == ["64 0.8 fill True ['a', 'b']"]
    form.get_by_label("tags").fill("[1]")
    page.get_by_role("button", name="Run").click()
    form.get_by_text("Expected `str`, got `int`").wait_for()
    assert form.get_by_label("tags").get_attribute("aria-invalid") == "true"
    form.get_by_label("tags").fill("a, b")
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.get_by_role("button", name="Run").click()
    assert form.get_by_label("tags").evaluate("field => field.validationMessage").startswith("Write it as JSON")
    assert asked == []
    page.get_by_role("button", name="Add an ETL behind it").click()
    page.get_by_label("Arguments").and_(page.locator("#try-args")).wait_for()  # for several, a text
    allow(complaints, "400")


def test_several_etls_run_behind_each_other(page: Any) -> None:
    choose(page, "texts", "t001.txt", "same-html", "x")
    page.get_by_role("button", name="Add an ETL behind it").click()
    page.get_by_role("combobox", name="then").select_option("upper-etl")
    _, after = run(page)
    assert after.locator("li").all_inner_texts()[:2] == ["ONE 1", "TWO"]


def test_an_etl_that_pulls_is_read_through_the_node(page: Any) -> None:
    choose(page, "texts", "t002.txt", "pulling-upper")
    _, after = run(page)
    assert after.locator("li").all_inner_texts() == ["ONE 2", "TWO"]


def test_a_long_listing_has_pages(page: Any) -> None:
    page.get_by_role("combobox", name="Bucket", exact=True).select_option(label="ais://texts")
    objects = page.get_by_role("listbox", name="Objects").locator("option")
    page.get_by_text("Page 1, 50 objects").wait_for()
    assert objects.first.get_attribute("value") == "t000.txt"
    page.locator("#try-next").click()
    page.get_by_text("Page 2, 11 objects").wait_for()
    assert objects.last.get_attribute("value") == "u.txt"
    page.locator("#try-previous").click()
    page.get_by_text("Page 1, 50 objects").wait_for()
    page.get_by_label("Names that begin with").first.fill("t05")
    page.get_by_text("Page 1, 10 objects").wait_for()


# Nothing of an object runs


@pytest.mark.parametrize("etl", ["same-html", "upper-etl"])
def test_hostile_objects_do_nothing(page: Any, node: RunningNode, complaints: Complaints, etl: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("dialog", lambda dialog: pytest.fail(f"a dialog: {dialog.message}"))
    choose(page, "hostile", "a.svg", etl)
    before, _ = run(page)
    assert natural_size(before.get_by_role("img")) == [40, 30]
    choose(page, "hostile", "b.html", etl)
    _, after = run(page)
    assert "<b>bold</b>" in after.inner_text().lower()
    assert after.locator("b").count() == 0
    assert page.evaluate("window.pwned") is None
    assert [url for url in asked if "called-home" in url] == []
    assert "hostile" in [bucket.name for bucket in node.client().cluster().list_buckets()]
    complaints.lines = [line for line in complaints.lines if "sandbox" not in line]


def test_a_result_that_is_opened_by_itself_runs_nothing(page: Any, node: RunningNode, complaints: Complaints) -> None:
    url = f"{node.endpoint}/v1/objects/hostile/b.html?etl_name=same-html"
    assert requests.get(url, timeout=30).headers["Content-Type"] == "text/html"
    page.goto(url)
    assert page.get_by_text("bold").is_visible()
    assert page.evaluate("window.pwned") is None
    assert "hostile" in [bucket.name for bucket in node.client().cluster().list_buckets()]
    allow(complaints, "Content Security Policy", "sandboxed")


# Jobs, ETLs, buckets


def test_a_job_is_started_and_watched_to_its_end(page: Any, node: RunningNode) -> None:
    page.get_by_role("link", name="Jobs").click()
    page.get_by_label("From the bucket").select_option(label="ais://texts")
    page.get_by_label("Into the bucket").fill("loud")
    page.get_by_role("combobox", name="ETL", exact=True).select_option("upper-etl")
    page.get_by_label("New extensions").fill("txt:md")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("status").filter(has_text="Finished with errors · 60 of 61 objects").wait_for()
    assert page.locator("#job-progress").evaluate("bar => bar.value / bar.max") == 1
    errors = page.locator("#job-errors li").all_inner_texts()
    assert len(errors) == 1
    assert errors[0].startswith("ais://texts/u.txt: ")
    assert "nothing to be done with <b>" in errors[0]
    assert node.client().bucket("loud").object("t007.md").get_reader().read_all() == b"ONE 7\nTWO\n"
    assert "Finished with errors" in page.get_by_role("row").filter(has_text="ais://texts → ais://loud").inner_text()


def test_a_job_goes_through_several_etls_under_new_names(page: Any, node: RunningNode) -> None:
    page.get_by_role("link", name="Jobs").click()
    page.get_by_label("From the bucket").select_option(label="ais://texts")
    page.get_by_label("Into the bucket").fill("twice")
    page.get_by_role("combobox", name="ETL", exact=True).select_option("same-html")
    page.get_by_role("button", name="Add an ETL behind it").click()
    page.get_by_role("combobox", name="then").select_option("upper-etl")
    page.locator("#jobs-prefix").fill("t00")
    page.get_by_label("Put before new names").fill("new/")
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("status").filter(has_text="Finished · 10 of 10 objects").wait_for()
    assert node.client().bucket("twice").object("new/t004.txt").get_reader().read_all() == b"ONE 4\nTWO\n"


def test_a_job_that_can_not_begin_is_one_sentence(page: Any) -> None:
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("button", name="Start", exact=True).click()
    page.get_by_role("status").filter(has_text="Name the bucket for the results").wait_for()


def test_a_button_waits_for_the_lists_that_are_still_read(page: Any) -> None:
    held: list[Any] = []
    page.route("**/v1/buckets*", lambda route: held.append(route))
    page.get_by_role("link", name="Jobs").click()
    page.get_by_role("button", name="Start", exact=True).click(no_wait_after=True)
    page.wait_for_timeout(300)  # for what is wrong to be said
    assert not page.get_by_role("status").filter(has_text="There is no bucket").count()
    page.route("**/v1/buckets*", lambda route: route.continue_())
    for route in held:
        route.continue_()
    page.unroute("**/v1/buckets*")
    page.get_by_role("status").filter(has_text="Name the bucket for the results").wait_for()


def test_an_etl_is_stopped_started_and_deleted(page: Any, node: RunningNode) -> None:
    client = node.client()
    client.etl("short-lived").init_class()(thumbnails())
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="ETLs").click()
    row = page.get_by_role("row").filter(has=page.get_by_role("rowheader", name="short-lived"))
    row.get_by_role("button", name="Logs").click()
    page.get_by_text("Log of short-lived, target t1").wait_for()
    row.get_by_role("button", name="Stop").click()
    row.get_by_text("Aborted: it was stopped").wait_for()
    row.get_by_role("button", name="Start").click()
    row.get_by_text("Running").wait_for()
    row.get_by_role("button", name="Stop").click()
    row.get_by_role("button", name="Delete").click()
    row.wait_for(state="detached")
    assert "short-lived" not in [etl.id for etl in client.cluster().list_etls()]


def test_buckets_are_made_and_objects_come_and_go(page: Any, node: RunningNode, tmp_path: Path) -> None:
    page.on("dialog", lambda dialog: dialog.accept())
    page.get_by_role("link", name="Buckets").click()
    page.get_by_label("Name of a new bucket").fill("fresh")
    page.get_by_role("button", name="Create").click()
    page.get_by_role("status").filter(has_text="The bucket fresh is made.").wait_for()
    names = ["a&b#?.txt", "ümläut %41.txt"]
    for name in names:
        (tmp_path / name).write_text(name)
    page.get_by_label("Upload files").set_input_files([tmp_path / name for name in names])
    page.get_by_role("status").filter(has_text="2 files uploaded into ais://fresh").wait_for()
    bucket = node.client().bucket("fresh")
    assert {entry.name for entry in bucket.list_all_objects()} == set(names)
    assert bucket.object(names[1]).get_reader().read_all() == names[1].encode()
    with page.expect_download() as download:
        page.get_by_role("button", name=f"Download {names[1]}").click()
    assert Path(download.value.path()).read_text() == names[1]
    page.get_by_role("button", name=f"Delete {names[0]}").click()
    page.get_by_role("status").filter(has_text=f"{names[0]} is deleted.").wait_for()
    assert [entry.name for entry in bucket.list_all_objects()] == names[1:]


# By keyboard, on a phone, with a token


def tab_to(page: Any, label: str) -> None:
    """Press Tab until an element with this label has the focus."""
    seen = []
    for _ in range(60):
        page.keyboard.press("Tab")
        seen.append(
            page.evaluate(
                "() => { const at = document.activeElement;"
                " return at.ariaLabel || at.labels?.[0]?.textContent.trim() || at.textContent.trim(); }"
            )
        )
        if seen[-1].startswith(label):
            return
    pytest.fail(f"no {label!r} among {seen}")


def test_the_keyboard_is_enough(page: Any) -> None:
    page.get_by_role("combobox", name="Bucket", exact=True).select_option(label="ais://texts")
    page.get_by_text("Page 1, 50 objects").wait_for()
    page.evaluate("document.activeElement.blur()")
    tab_to(page, "Objects")
    page.keyboard.press("ArrowDown")
    page.get_by_text("ais://texts/t000.txt").wait_for()
    tab_to(page, "ETL")
    page.keyboard.type("upper")
    tab_to(page, "Arguments")
    page.keyboard.type("!")
    page.keyboard.press("Enter")
    page.get_by_role("status").filter(has_text=" became ").wait_for()
    after = page.get_by_role("region", name="After", exact=True)
    assert after.locator("ins").all_inner_texts() == ["ONE 0", "!"]
    tab_to(page, "Run")
    page.get_by_role("status").evaluate_all("lines => lines.forEach(line => line.textContent = '')")
    page.keyboard.press("Space")
    page.get_by_role("status").filter(has_text=" became ").wait_for()
    assert page.evaluate("document.activeElement.id") == "try-run"
    tab_to(page, "Save after")  # through what is shown, and out of it again
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement === document.body")


def test_every_view_fits_a_phone(browser: Any, node: RunningNode, complaints: Complaints) -> None:
    page = new_page(browser, complaints, viewport={"width": 360, "height": 700}, has_touch=True, color_scheme="dark")
    for view in ("try", "etls", "jobs", "buckets"):
        page.goto(f"{node.endpoint}/ui#{view}")
        page.locator(f"#view-{view}").wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 22, 24)"
    page.context.close()


def test_a_node_with_a_token_asks_for_it_once(browser: Any, tmp_path: Path, complaints: Complaints) -> None:
    with running_node(tmp_path, options=["--token", "t0ken"]) as guarded:
        guarded.client("t0ken").bucket("kept").create().object("o.txt").get_writer().put_content(b"x")
        signed_in = {"username": "me", "password": "t0ken"}
        page = new_page(browser, complaints, http_credentials=signed_in)
        page.goto(f"{guarded.endpoint}/ui")
        page.get_by_text("Page 1, 1 object").wait_for()
        page.get_by_role("link", name="Buckets").click()
        page.on("dialog", lambda dialog: dialog.accept())
        page.get_by_role("button", name="Delete o.txt").click()
        page.get_by_role("status").filter(has_text="o.txt is deleted.").wait_for()
        page.context.close()


# One class


def test_the_page_of_a_class(browser: Any, tmp_path: Path, complaints: Complaints) -> None:
    with running(tmp_path, EXAMPLES / "thumbnails.py", target_url="", options=("--ui", "--workers", "2")) as server:
        page = new_page(browser, complaints)
        page.goto(f"{server.url}/ui")
        page.get_by_role("heading", name="Thumbnails").wait_for()
        page.get_by_label("Drop a file here").set_input_files(photograph("rocket.jpg"))
        page.get_by_label("Arguments").fill("64")
        _, after = run(page)
        assert max(natural_size(after.get_by_role("img"))) == 64
        page.get_by_label("Drop a file here").set_input_files(TRANSFORMS / "echo.py")
        page.get_by_role("button", name="Run").click()
        sentence = page.get_by_role("region", name="Error").get_by_role("alert").inner_text()
        assert "this is not a picture" in sentence
        allow(complaints, "422")
        page.context.close()


def test_the_form_of_a_class_says_what_each_argument_is(browser: Any, tmp_path: Path, complaints: Complaints) -> None:
    command = [sys.executable, "-m", "instore", "try", str(TRANSFORMS / "described_args.py"), "--ui"]
    with running_command(tmp_path, command, {}, target_url="") as server:
        page = new_page(browser, complaints)
        page.goto(f"{server.url}/ui")
        form = page.get_by_role("group", name="Arguments")
        form.get_by_label("side").wait_for()
        told = form.locator("label").all_inner_texts()
        assert [line.split("\n")[-1] for line in told] == [
            "the corner's text \u00b7 text \u00b7 required",
            "of the square, in pixels \u00b7 whole number \u00b7 default 256",
            "number \u00b7 default null",
        ]
        page.get_by_label("Drop a file here").set_input_files(TRANSFORMS / "echo.py")
        page.get_by_role("button", name="Run").click()
        assert form.get_by_label("text").evaluate("field => field.validity.valueMissing")
        form.get_by_label("text").fill('"quoted" & more')
        form.get_by_label("angle").fill("1.5")
        form.get_by_label("side").fill("5000")
        page.get_by_role("button", name="Run").click()
        assert form.get_by_label("side").evaluate("field => field.validity.rangeOverflow")
        form.get_by_label("side").fill("12")
        _, after = run(page)
        assert json.loads("".join(after.locator("li").all_inner_texts())) == [12, '"quoted" & more', 1.5]
        page.context.close()


def test_a_result_that_breaks_off_is_an_error_and_not_shown(
    browser: Any, tmp_path: Path, complaints: Complaints
) -> None:
    unheld = {"INSTORE_SPOOL": "0"}
    source = TRANSFORMS / "streamed.py"
    with running(tmp_path, source, target_url="", environment=unheld, options=("--ui",)) as server:
        page = new_page(browser, complaints)
        page.goto(f"{server.url}/ui")
        (tmp_path / "long.txt").write_bytes(b"line\n" * 1_000_000)
        page.get_by_label("Drop a file here").set_input_files(tmp_path / "long.txt")
        page.get_by_label("Arguments").fill("raise late")
        page.get_by_role("button", name="Run").click()
        sentence = page.get_by_role("region", name="Error").get_by_role("alert").inner_text()
        assert "broke off" in sentence
        assert page.get_by_role("region", name="After", exact=True).count() == 0
        allow(complaints, "ERR_INCOMPLETE_CHUNKED_ENCODING")
        page.context.close()


def test_a_file_can_be_dropped(browser: Any, tmp_path: Path, complaints: Complaints) -> None:
    with running(tmp_path, TRANSFORMS / "echo.py", target_url="", options=("--ui",)) as server:
        page = new_page(browser, complaints)
        page.goto(f"{server.url}/ui")
        page.get_by_role("heading", name="Echo").wait_for()
        files = page.evaluate_handle(
            "() => { const files = new DataTransfer(); files.items.add(new File(['abc'], 'a.txt')); return files; }"
        )
        page.locator("#try-drop").dispatch_event("drop", {"dataTransfer": files})
        _, after = run(page)
        assert after.locator("li").all_inner_texts() == ["abc"]
        page.context.close()
