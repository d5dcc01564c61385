"""What stands for a container image on this machine: a command, and the folder it runs in.

A container has a network of its own, and every ETL's server listens on port 8000 of it. Here all share the machine's,
so each gets another port: it is put in the place of 8000 in the command, and is in the variables `PORT` and
`INSTORE_PORT`. All addresses become loopback: whoever reaches such a server can name files. A Python that the command
starts is moved there too where it says nothing of a port (`compat.port`).
"""

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from instore.errors import ConfigurationError, InvalidRequestError
from instore.protocol.environment import NUM_WORKERS, PACKAGES
from instore.protocol.etl_spec import ETLSpec

LOOPBACK = "127.0.0.1"

_DOCKERFILE = "Dockerfile"
_SPEC_ENDINGS = (".yaml", ".yml")
_CONTINUED = re.compile(r"\\[ \t]*\n")
_INSTRUCTION = re.compile(r"^[ \t]*(ENTRYPOINT|CMD)[ \t]+(.*)$", re.IGNORECASE | re.MULTILINE)

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
    """The images that can be run here.

    Args:
        mapped: `NAME=FOLDER`, each an image's name and the folder of its files.
        workers: processes of a shipped class, where nothing else is said.
        collections: folders of such folders, each with its image's name in a spec; what is mapped goes before.
    """

    def __init__(self, mapped: Sequence[str] = (), workers: int = 1, collections: Sequence[str] = ()) -> None:
        self._folders: dict[str, set[str]] = {}
        for one in collections:
            for name, folder in _collected(one):
                self._folders.setdefault(name, set()).add(folder)
        self._folders.update((name, {folder}) for name, folder in map(_entry, mapped))
        self._workers = workers

    def check(self, spec: ETLSpec) -> None:
        """See whether an ETL can run here."""
        self.launch(spec, 0, "")

    def launch(self, spec: ETLSpec, port: int, packages: str) -> Launch:
        """How to start the server of an ETL."""
        if _RUNTIME.fullmatch(spec.image) and not spec.command:
            return self._runtime(spec, port, packages)
        folder = self._folder(spec.image)
        command = spec.command or _command_of(os.path.join(folder, _DOCKERFILE))
        if not command:
            raise InvalidRequestError(
                f"image {spec.image!r} has a command that only its container knows: {folder} has no {_DOCKERFILE} with "
                "CMD or ENTRYPOINT; give it in runtime.command (command=[...] of Etl.init)"
            )
        return Launch((*_OVERLAID, *on_port(command, port)), folder)

    def _folder(self, image: str) -> str:
        """The folder of an image's files."""
        folders = self._folders.get(image) or self._folders.get(_without_tag(image)) or set()
        advice = f"start the node with --image {_without_tag(image)}=FOLDER"
        if not folders:
            raise InvalidRequestError(
                f"image {image!r} can't be run here: there are no containers; {advice} to run its command in a folder "
                "with its files"
            )
        if len(folders) > 1:
            raise InvalidRequestError(
                f"image {image!r} is named by the specs of several folders, {', '.join(sorted(folders))}; {advice} "
                "to say which"
            )
        return next(iter(folders))

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


def _command_of(dockerfile: str) -> tuple[str, ...]:
    """The command in a Dockerfile: the last ENTRYPOINT with the last CMD behind it; empty if there is neither."""
    try:
        with open(dockerfile, encoding="utf-8") as file:
            text = _CONTINUED.sub(" ", file.read())
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise InvalidRequestError(f"{dockerfile} can't be read: {error}") from error
    said = {match[1].upper(): _words(match[2].strip()) for match in _INSTRUCTION.finditer(text)}
    return (*said.get("ENTRYPOINT", ()), *said.get("CMD", ()))


def _words(text: str) -> tuple[str, ...]:
    """An instruction's words: a list in JSON, or else a command for a shell."""
    try:
        words = json.loads(text)
    except ValueError:
        return ("sh", "-c", text)
    return tuple(map(str, words)) if isinstance(words, list) else ("sh", "-c", text)


def _collected(folder: str) -> Iterator[tuple[str, str]]:
    """The images of a folder of folders: each name that a spec in one of these gives, without its tag."""
    if not os.path.isdir(folder):
        raise ConfigurationError(f"--images {folder} is not a folder; name one with a folder for each transformer")
    for below, inside, files in os.walk(folder):
        inside[:] = [name for name in inside if not name.startswith(".")]
        for file in files:
            if file.endswith(_SPEC_ENDINGS):
                for image in _images_in(os.path.join(below, file)):
                    yield _without_tag(image), os.path.abspath(below)


def _images_in(path: str) -> Iterator[str]:
    """The images that the documents of a spec file name; none if it is no spec, or holds placeholders."""
    try:
        with open(path, encoding="utf-8") as file:
            documents = list(yaml.safe_load_all(file))
    except (OSError, ValueError, yaml.YAMLError):
        return
    for document in documents:
        runtime = document.get("runtime") if isinstance(document, dict) else None
        image = runtime.get("image") if isinstance(runtime, dict) else None
        if isinstance(image, str):
            yield image


def _entry(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not equals or not name or not folder:
        raise ConfigurationError(f"--image {text} is malformed; expected NAME=FOLDER, as in my/etl=./etl")
    if not os.path.isdir(folder):
        raise ConfigurationError(f"--image {text}: {folder} is not a folder; name the one with the image's files")
    return name, os.path.abspath(folder)
