"""`instore exec`: any command, with AIStore's import paths served from instore in it and in its children."""

import os
import shutil
import sys
from pathlib import Path

import click

from instore import compat
from instore.system import exit_codes

_STARTUP = Path(compat.__file__).parent / "startup"


class _NotExecutableError(click.ClickException):
    exit_code = exit_codes.NOT_EXECUTABLE

    def show(self, file: object = None) -> None:  # noqa: ARG002
        click.echo(f"instore: {self.format_message()}", err=True)


class _NotFoundError(_NotExecutableError):
    exit_code = exit_codes.NOT_FOUND


@click.command(
    "exec",
    short_help="Run a command written for AIStore's SDK.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("command", metavar="COMMAND...", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_(command: tuple[str, ...]) -> None:
    """Run COMMAND with AIStore's import paths served from instore, in it and in the processes it starts.

    \b
    instore exec uvicorn fastapi_server:fastapi_app --port 8000 --workers 4
    instore exec gunicorn flask_server:flask_app --bind 0.0.0.0:8000
    instore exec python http_server.py

    The command takes this process's place: its signals and its exit code are its own. It is looked for on the PATH, and
    then beside this program. Its Python has to have instore installed, and to read PYTHONPATH (not -I or -E).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    program = _find(command[0])
    environment = {**os.environ, "PYTHONPATH": _python_path(os.environ.get("PYTHONPATH", ""))}
    try:
        os.execve(program, command, environment)  # noqa: S606 -- to run it is what the user wants
    except OSError as error:
        raise _NotExecutableError(f"can't run {program}: {error.strerror}") from error


def _find(name: str) -> str:
    beside = os.path.dirname(sys.executable)
    program = shutil.which(name) or shutil.which(name, path=beside)
    if program is None:
        if os.path.dirname(name) and os.path.exists(name):
            raise _NotExecutableError(f"{name} is not an executable file")
        raise _NotFoundError(f"no command {name} on the PATH or in {beside}")
    return program


def _python_path(inherited: str) -> str:
    """The folder with our `sitecustomize`, before whatever else is there."""
    others = [entry for entry in inherited.split(os.pathsep) if entry != str(_STARTUP)] if inherited else []
    return os.pathsep.join([str(_STARTUP), *others])
