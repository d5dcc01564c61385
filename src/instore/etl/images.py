"""What stands for a container image on this machine: a command, and the folder it runs in.

A container has a network of its own, and every ETL's server listens on port 8000 of it. Here all share the machine's,
so each gets another port: it is put in the place of 8000 in the command, and is in the variables `PORT` and
`INSTORE_PORT`. All addresses become loopback: whoever reaches such a server can name files.
"""

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from instore.errors import ConfigurationError, InvalidRequestError
from instore.protocol.environment import NUM_WORKERS, PACKAGES
from instore.protocol.etl_spec import ETLSpec

LOOPBACK = "127.0.0.1"

_OVERLAID = (
    sys.executable,
    "-P",
    "-m",
    "instore",
    "exec",
)  # code written for AIStore's SDK finds us at its import paths
_RUNTIME = re.compile(r"(?:[^/]+/)*runtime_python(?::.*)?")
_PORT = re.compile(r"(?<![\w.])8000(?![\w.])")  # an argument of its own, or what follows = or :
_ANY_HOST = re.compile(r"(?<![\w.])0\.0\.0\.0(?![\w.])|\[::\]")
_ADDRESSES = {
    # server: (options one of which names the port, what is added if none does)
    "uvicorn": (("--port", "--fd", "--uds"), ("--port", "{port}")),
    "hypercorn": (("-b", "--bind"), ("--bind", f"{LOOPBACK}:{{port}}")),
    "gunicorn": (("-b", "--bind"), ("--bind", f"{LOOPBACK}:{{port}}")),
}


@dataclass(frozen=True, slots=True)
class Launch:
    """How a server is started.

    Attributes:
        command: the command line.
        folder: where it runs.
        env: variables besides those that every ETL's server has.
        workers: processes that it starts, where that is known.
    """

    command: tuple[str, ...]
    folder: str
    env: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1


class Images:
    """The images that can be run here."""

    def __init__(self, mapped: Sequence[str] = (), workers: int = 1) -> None:
        self._folders = dict(_entry(text) for text in mapped)
        self._workers = workers

    def check(self, spec: ETLSpec) -> None:
        """See whether an ETL can run here."""
        self.launch(spec, 0, "")

    def launch(self, spec: ETLSpec, port: int, packages: str) -> Launch:
        """How to start the server of an ETL."""
        if _RUNTIME.fullmatch(spec.image) and not spec.command:
            return self._runtime(spec, port, packages)
        folder = self._folders.get(spec.image) or self._folders.get(_without_tag(spec.image))
        if folder is None:
            raise InvalidRequestError(
                f"image {spec.image!r} can't be run here: there are no containers; start the node with "
                f"--image {_without_tag(spec.image)}=FOLDER to run its command in a folder with its files"
            )
        if not spec.command:
            raise InvalidRequestError(
                f"image {spec.image!r} has a command that only its container knows; give it in runtime.command "
                "(command=[...] of Etl.init)"
            )
        return Launch((*_OVERLAID, *on_port(spec.command, port)), folder)

    def _runtime(self, spec: ETLSpec, port: int, packages: str) -> Launch:
        env = dict(spec.env)
        command = [
            *_OVERLAID,
            sys.executable,
            "-P",
            "-m",
            "instore",
            "runtime",
            "--host",
            LOOPBACK,
            "--port",
            str(port),
        ]
        if env.get(PACKAGES, "").strip():
            command += ["--environment", packages]
        workers = env.get(NUM_WORKERS, "").strip() or str(self._workers)
        known = int(workers) if workers.isascii() and workers.isdigit() else 1
        return Launch(tuple(command), os.path.sep, {NUM_WORKERS: workers}, known)


def on_port(command: Sequence[str], port: int) -> list[str]:
    """`command` with `port` in the place of 8000, and loopback in that of all addresses."""
    changed = [_ANY_HOST.sub(LOOPBACK, _PORT.sub(str(port), word)) for word in command]
    server = _ADDRESSES.get(os.path.basename(command[0]))
    if server is not None and not any(_is_option(word, server[0]) for word in command):
        changed += [word.format(port=port) for word in server[1]]
    return changed


def _is_option(word: str, names: Sequence[str]) -> bool:
    return any(
        word == name or word.startswith(name + "=") or (len(name) == 2 and word.startswith(name)) for name in names
    )


def _without_tag(image: str) -> str:
    path, slash, last = image.rpartition("/")
    return path + slash + last.partition("@")[0].partition(":")[0]


def _entry(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not equals or not name or not folder:
        raise ConfigurationError(f"--image {text} is malformed; expected NAME=FOLDER, as in my/etl=./etl")
    if not os.path.isdir(folder):
        raise ConfigurationError(f"--image {text}: {folder} is not a folder; name the one with the image's files")
    return name, os.path.abspath(folder)
