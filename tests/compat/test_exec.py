"""`instore exec` itself: it becomes the command, and the overlay is in the command's children too."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

_IMPORT = "import aistore.sdk.etl.webserver.utils as u; print(u.serialize_class.__module__)"


def _exec(*command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "instore", "exec", *command],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


def test_the_overlay_reaches_the_commands_children() -> None:
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_IMPORT!r}], check=True)"
    assert _exec(sys.executable, "-c", child).stdout == "instore.webserver.utils\n"


def test_options_of_the_command_are_its_own() -> None:
    done = _exec(sys.executable, "-c", "import sys; print(sys.argv[1:])", "--help", "-h", "--", "--port", "1")
    assert done.stdout == "['--help', '-h', '--', '--port', '1']\n"


def test_the_exit_code_is_the_commands() -> None:
    assert _exec(sys.executable, "-c", "raise SystemExit(37)").returncode == 37


def test_a_signal_reaches_the_command() -> None:
    command = [sys.executable, "-m", "instore", "exec", sys.executable, "-c", "print('up', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        process.send_signal(signal.SIGTERM)
        assert process.wait() == -signal.SIGTERM


def test_a_command_that_is_not_there_is_said() -> None:
    done = _exec("no-such-command-anywhere")
    assert done.returncode == 127
    assert done.stderr.startswith("instore: no command no-such-command-anywhere on the PATH")


def test_a_file_that_is_no_program_is_said(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")
    done = _exec(str(tmp_path / "data"))
    assert done.returncode == 126
    assert done.stderr == f"instore: {tmp_path}/data is not an executable file\n"


def test_a_program_that_the_system_refuses_is_said(tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(b"\x7fELF no")
    program.chmod(0o755)
    done = _exec(str(program))
    assert done.returncode == 126
    assert done.stderr.startswith(f"instore: can't run {program}: ")


def test_a_sitecustomize_that_was_there_runs_too(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import builtins; builtins.there = __file__\n")
    done = _exec(sys.executable, "-c", f"{_IMPORT}; print(there)", PYTHONPATH=str(tmp_path))
    assert done.stdout.splitlines() == ["instore.webserver.utils", str(tmp_path / "sitecustomize.py")]


def test_exec_within_exec_changes_nothing() -> None:
    done = _exec(
        sys.executable, "-m", "instore", "exec", sys.executable, "-c", "import os; print(os.environ['PYTHONPATH'])"
    )
    assert done.stdout.count("startup") == 1


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_without_a_command_the_use_is_told(arguments: tuple[str, ...]) -> None:
    done = _exec(*arguments)
    assert "COMMAND..." in done.stdout + done.stderr


def test_serve_has_the_overlay_by_itself(tmp_path: Path) -> None:
    """A file without a transform is refused, by its name and not for its import."""
    (tmp_path / "etl.py").write_text("from aistore.sdk.etl.webserver.fastapi_server import FastAPIServer\n")
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "instore",
            "serve",
            "etl.py",
            "--target-url",
            "http://127.0.0.1:9/v1/etl/_object/e/secret",
        ],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr == "instore: etl.py defines no transform; write a subclass of instore.ETLServer\n"
