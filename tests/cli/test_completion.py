"""`instore completion`: the scripts complete, in the shells that are here."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from instore.cli import main


@pytest.mark.parametrize(("shell", "mark"), [("bash", "complete -o nosort"), ("zsh", "#compdef"), ("fish", "complete")])
def test_each_shell_has_a_script(shell: str, mark: str) -> None:
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert mark in done.stdout
    assert "_INSTORE_COMPLETE" in done.stdout


def test_another_shell_is_refused() -> None:
    done = CliRunner().invoke(main, ["completion", "csh"])
    assert done.exit_code == 2
    assert "'csh' is not one of 'bash', 'zsh', 'fish'" in done.stderr


def completed(folder: Path, *words: str) -> list[str]:
    """What bash would offer for the last word."""
    script = (
        f'eval "$({sys.executable} -m instore completion bash)"\n'
        f"COMP_WORDS=({' '.join(repr(word) for word in words)}); COMP_CWORD={len(words) - 1}\n"
        '_instore_completion instore; printf "%s\\n" "${COMPREPLY[@]}"'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-c", script], cwd=folder, env={**os.environ, "PATH": path}, capture_output=True, text=True
    )
    return run.stdout.split()


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_commands_and_options(tmp_path: Path) -> None:
    assert completed(tmp_path, "instore", "tr") == ["try", "transform"]
    assert completed(tmp_path, "instore", "serve", "etl.py", "--rel") == ["--reload"]
