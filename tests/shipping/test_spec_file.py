"""A spec file: what is wrong with it, and in which line."""

from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.shipping.image.spec_file import check_file, to_yaml

GOOD = """
# comment
name: thumb-nails
communication: hpush://
runtime:
  image: etl:1.0
  env:
    - name: SEED
      value: "7"
"""


def check(folder: Path, text: str) -> list[str]:
    (folder / "etl_spec.yaml").write_text(text)
    return [line.removeprefix(f"{folder}/") for line in check_file(str(folder / "etl_spec.yaml"))]


def test_nothing_is_wrong_with_a_good_file(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD) == []
    assert check(tmp_path, "---\n" + GOOD + "---\n") == []


def test_every_fault_has_its_line_in_their_order(tmp_path: Path) -> None:
    text = (
        GOOD.replace("hpush://", "push").replace('"7"', "7").replace("etl:1.0", "etl:1.0\n  comand: [x]") + "more: 1\n"
    )
    assert [line.split(" ")[0] for line in check(tmp_path, text)] == [
        "etl_spec.yaml:4:",
        "etl_spec.yaml:7:",
        "etl_spec.yaml:10:",
        "etl_spec.yaml:11:",
    ]


def test_what_is_missing_has_the_line_of_what_it_is_missing_in(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD.replace("  image: etl:1.0\n", "")) == ["etl_spec.yaml:5: runtime: has no image"]
    assert check(tmp_path, GOOD.replace("name: thumb-nails\n", "")) == ["etl_spec.yaml:3: has no name"]


def test_a_key_that_is_there_twice_is_said(tmp_path: Path) -> None:
    assert check(tmp_path, GOOD + "name: other-name\n") == ["etl_spec.yaml:10: name: is there twice, in line 3 already"]


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("name: [", "etl_spec.yaml:1: is not YAML: "),
        ("name: a\n\tb: c", "etl_spec.yaml:2: is not YAML: "),
        ("", "etl_spec.yaml: holds 0 YAML documents; an ETL is one"),
        (GOOD + "---\n" + GOOD, "etl_spec.yaml: holds 2 YAML documents; an ETL is one"),
        ("- name: x", "etl_spec.yaml:1: is a list; an ETL is keys and values"),
        ("apiVersion: v1\nkind: Pod", "etl_spec.yaml:1: is a Kubernetes pod, the older form of an ETL"),
        ("? [a]\n: b", "etl_spec.yaml:1: is not YAML: a key is not a text"),
        ("name: !!python/object:os.system x", "is not YAML: could not determine a constructor"),
        ("a: &a\n  b: *a", "is not YAML: "),
        ("name: \x00", "is not YAML: "),
        (GOOD.replace("thumb-nails", "2024-01-01"), "name: is a date, expected text"),
    ],
)
def test_what_is_no_such_file_is_said(tmp_path: Path, text: str, sentence: str) -> None:
    [line] = check(tmp_path, text)
    assert sentence in line
    assert "\n" not in line


def test_a_file_that_can_not_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "latin").write_bytes(b"name: gr\xf6\xdfe")
    for name in ("none.yaml", ".", "latin"):
        with pytest.raises(ConfigurationError, match="can't read"):
            check_file(str(tmp_path / name))


def test_what_is_written_reads_the_same(tmp_path: Path) -> None:
    spec = {"name": "on", "a": ["1", "true", "größe"], "b": {"c": "5m"}}
    text = to_yaml(spec)
    assert text.splitlines()[0] == "name: 'on'"
    assert check(tmp_path, text)
