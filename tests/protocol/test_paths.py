"""Which local paths are an object's file (docs/protocol.md#files)."""

import re

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from instore.protocol.names import PROVIDERS
from instore.protocol.paths import is_object_file
from tests.protocol.wire import names, texts

NAMESPACES = ["", "/@uuid", "/#ns", "/@uuid#ns"]
NOT_NORMAL = re.compile(r"/(\.{0,2})(/|\Z)|\0")
plain_names = names.filter(lambda name: not NOT_NORMAL.search(f"/{name}"))


@pytest.mark.parametrize("mountpath", ["", "/mnt", "/ais/mp1/10", "/a b/é"])
@pytest.mark.parametrize("provider", PROVIDERS)
@pytest.mark.parametrize("namespace", NAMESPACES)
@pytest.mark.parametrize("kind", ["%ob", "%ch"])
def test_objects_and_chunks_of_every_bucket_are_served(
    mountpath: str, provider: str, namespace: str, kind: str
) -> None:
    assert is_object_file(f"{mountpath}/@{provider}{namespace}/bucket/{kind}/a/b.jpg")


@pytest.mark.parametrize(
    "name",
    ["a", "a/b/c", "a\nb", "\n", "...", "..a", "a..", ".hidden", "100%41.txt", "%2e%2e", "é", "\udcff", "@ais/b/%wk/x"],
)
def test_an_object_may_have_any_name(name: str) -> None:
    assert is_object_file(f"/mnt/@ais/b/%ob/{name}")


@given(plain_names)
def test_an_object_may_have_any_name_that_a_file_can_have(name: str) -> None:
    assert is_object_file(f"/mnt/@ais/b/%ob/{name}")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/etc/passwd",
        "/proc/self/environ",
        "/proc/1/environ",
        "/mnt/@ais",
        "/mnt/@ais/b",
        "/mnt/@ais/b/%ob",
        "/mnt/@ais/%ob/x",  # no bucket
        "/mnt/@ais/b/x",
        "/mnt/@ais/b/%obx/x",
        "/mnt/@ais/b/%OB/x",
        "/mnt/@ais/b/ob/x",
        "/mnt/@ais/b/c/%ob/x",
        "/mnt/@ais/#ns/@uuid/b/%ob/x",
        "/mnt/@ais/@uuid/%ob/x",
        "/mnt/ais/b/%ob/x",
        "/mnt/x@ais/b/%ob/x",
        "/mnt/@s3/b/%ob/x",
        "/mnt/@AIS/b/%ob/x",
        "/mnt/@aisx/b/%ob/x",
        "/mnt/@/b/%ob/x",
        "mnt/@ais/b/%ob/x",
        " /mnt/@ais/b/%ob/x",
        "@ais/b/%ob/x",
        "%2Fmnt/@ais/b/%ob/x",
    ],
)
def test_any_other_path_is_refused(path: str) -> None:
    assert not is_object_file(path)


@pytest.mark.parametrize("kind", ["wk", "ec", "mt", "ds", "dw", "xx", ""])
@pytest.mark.parametrize("name", ["x", "x/@ais/b/%ob/y", "@ais/b/%ob/y"])
def test_the_targets_own_files_are_refused_whatever_their_name(kind: str, name: str) -> None:
    assert not is_object_file(f"/mnt/@ais/b/%{kind}/{name}")


@given(names)
@example("x/@ais/b/%ob/y")
def test_a_work_file_is_refused_whatever_its_name(name: str) -> None:
    assert not is_object_file(f"/mnt/@ais/b/%wk/{name}")


@pytest.mark.parametrize("part", ["/.", "/..", "/./x", "/../x", "//x", "/", "/x/", "/x\0", "/\0"])
def test_a_path_that_is_not_normal_is_refused(part: str) -> None:
    assert not is_object_file(f"/mnt/@ais/b/%ob/a{part}", roots=["/mnt"])
    assert not is_object_file(f"/mnt/x{part}/@ais/b/%ob/a{part}", roots=["/"])


@given(texts, texts)
def test_no_accepted_path_can_lead_elsewhere(before: str, after: str) -> None:
    path = f"/{before}/@ais/b/%ob/{after}"
    assume(NOT_NORMAL.search(path))
    assert not is_object_file(path, roots=["/"])


@given(texts)
def test_a_path_without_the_stores_layout_is_refused(text: str) -> None:
    assume("%ob/" not in text and "%ch/" not in text)
    assert not is_object_file(f"/{text}")


@pytest.mark.parametrize(
    ("path", "roots", "allowed"),
    [
        ("/data/x", ["/data"], True),
        ("/data/x/y", ["/data/"], True),
        ("/data/x", ["/other", "/data"], True),
        ("/data/x", ["/"], True),
        ("/data", ["/data"], False),
        ("/data/", ["/data"], False),
        ("/database/x", ["/data"], False),
        ("/data/../etc/passwd", ["/data"], False),
        ("/etc/passwd", ["/data"], False),
        ("/mnt/@ais/b/%ob/x", ["/data"], True),
        ("/mnt/@ais/b/%wk/x", ["/mnt"], True),
    ],
)
def test_a_root_allows_every_file_below_it(path: str, roots: list[str], allowed: bool) -> None:
    assert is_object_file(path, roots) is allowed


@given(st.sampled_from(["/data", "/data/"]), plain_names)
def test_a_root_allows_any_file_name_below_it(root: str, name: str) -> None:
    assert is_object_file(f"/data/{name}", [root])
