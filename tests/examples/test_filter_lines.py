import io
import re
from pathlib import Path

import pytest

from tests.examples.support import airports, gather, load, names_in, python_sources, run_command

PATTERN = r"^\s*(async )?def \w+\("


def filtered(text: bytes, pattern: str) -> bytes:
    return b"".join(load("filter_lines.py").transform_stream(io.BytesIO(text), "texts/a.txt", pattern))  # type: ignore[arg-type]


def test_large_text_keeps_the_lines_that_match_and_no_others(tmp_path: Path) -> None:
    sources = python_sources()
    assert len(sources) > 3_000_000
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "python.txt").write_bytes(sources)
    run_command("filter_lines.py", tmp_path / "texts", tmp_path / "found", "--args", PATTERN)
    found = (tmp_path / "found" / "python.txt").read_bytes()
    expected = [line for line in io.BytesIO(sources) if re.search(PATTERN.encode(), line)]
    assert len(expected) > 1_000
    assert found == b"".join(expected)


def test_file_without_a_match_becomes_an_empty_file(tmp_path: Path) -> None:
    texts = gather(tmp_path / "texts", airports())
    run_command("filter_lines.py", texts, tmp_path / "found", "--args", "no airport is called this")
    assert names_in(tmp_path / "found") == ["airports.csv"]
    assert (tmp_path / "found" / "airports.csv").read_bytes() == b""


def test_pattern_with_letters_beyond_ascii_matches_whole_letters() -> None:
    text = airports().read_bytes()
    expected = [line for line in text.decode().splitlines(keepends=True) if re.search("[ãé]", line)]
    assert len(expected) > 300
    assert filtered(text, "[ãé]").decode() == "".join(expected)


def test_lines_that_are_not_utf8_come_out_as_they_went_in() -> None:
    assert filtered(b"caf\xe9 one\r\ntea\ncaf\xe9 two", "caf") == b"caf\xe9 one\r\ncaf\xe9 two"


def test_dollar_matches_at_the_end_of_a_line_of_either_kind() -> None:
    assert filtered(b"end\nend\r\nending\nend", "end$") == b"end\nend\r\nend"


def test_missing_pattern_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match=r"^etl_args is empty; give the pattern .*'ERROR\|FATAL'$"):
        filtered(b"text", "")


def test_broken_pattern_is_refused_with_the_place_where_it_breaks() -> None:
    with pytest.raises(ValueError, match=r"^etl_args is 'x\[', which is not .*: unterminated .* position 1$"):
        filtered(b"text", "x[")
