"""The README's first commands do what it says."""

import os
import sys
from pathlib import Path

import pytest

from tests.docs.newcomer import TEST, TRANSFORM, commands, is_setup, run


def test_a_block_has_its_commands_one_by_one() -> None:
    block = "a\ncat > f <<'EOT'\nb\nc\nEOT\nd  # e\n"
    assert list(commands(block)) == ["a", "cat > f <<'EOT'\nb\nc\nEOT", "d  # e"]
    assert [command for command in commands(TRANSFORM + TEST) if is_setup(command)] == [
        "python3 -m venv .venv && . .venv/bin/activate",
        "pip install .",
        "pip install pytest",
    ]


@pytest.mark.whole
def test_a_newcomer_gets_a_transform_and_a_test_by_the_readme_alone(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIS_", "ETL_", "INSTORE_"))}
    variables = {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    said = ""
    for command in commands(TRANSFORM + TEST):
        if not is_setup(command):
            said += run(command, tmp_path, variables)[0]
    assert "HELLO, STORE" in said
    assert (tmp_path / "loud" / "first.txt").read_text() == "HELLO, STORE\n"
    assert "1 passed" in said
