"""What is kept of ETLs on the disk: a small file for each, and the errors of their jobs, a line for each object."""

import contextlib
import json
import logging
import os
import shutil
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from instore.errors import ConfigurationError
from instore.node.metadata import write_whole
from instore.protocol.etl_spec import ETLSpec, Stage

logger = logging.getLogger("instore")

INLINE = "inline"
"""What stands for a job where there is none: reads through an ETL, and copies of single objects."""

_FOLDER = "etl"
_RECORD = ".json"
_MOST_ERRORS = 10_000  # that are told of one job; the last ones
_LARGEST = 64 << 20  # bytes of errors that are kept of one job


@dataclass(frozen=True, slots=True)
class ETLRecord:
    """An ETL as it is kept.

    Attributes:
        id: of the job that the ETL is to a client.
        message: its specification, as the client has sent it.
        stage: where it is in its life.
        reason: why it is aborted; else empty.
    """

    id: str
    message: Mapping[str, Any]
    stage: str
    reason: str = ""


class Records:
    """The records of one node."""

    def __init__(self, folder: str) -> None:
        self.folder = os.path.join(folder, _FOLDER)
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(f"can't use {self.folder}: {error.strerror}") from error

    def load(self) -> Iterator[tuple[ETLRecord, ETLSpec, Stage]]:
        """All records with what they say. One that is damaged is left out and left alone, and a line in the log."""
        for file in sorted(os.listdir(self.folder)):
            if file.endswith(_RECORD):
                path = os.path.join(self.folder, file)
                try:
                    with open(path, encoding="utf-8") as opened:
                        record = ETLRecord(**json.load(opened))
                    loaded = record, ETLSpec.parse(record.message), Stage(record.stage)
                    if loaded[1].name + _RECORD != file:
                        raise ValueError(f"it is about {loaded[1].name}")  # noqa: TRY301
                except (OSError, ValueError, TypeError) as error:
                    logger.warning(
                        "%s is damaged: %s; there is no such etl now; put a copy of the file in its place and start "
                        "the node again, or initialise the etl again",
                        path,
                        error,
                    )
                else:
                    yield loaded

    def save(self, name: str, record: ETLRecord) -> None:
        """Keep a record, in the place of any that the ETL had."""
        write_whole(os.path.join(self.folder, name + _RECORD), json.dumps(asdict(record)).encode())

    def remove(self, name: str) -> None:
        """Forget an ETL, and what lies about for it."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, name + _RECORD))
        shutil.rmtree(self.packages(name), ignore_errors=True)
        shutil.rmtree(self._errors(name), ignore_errors=True)
        for file in os.listdir(self.folder):
            path = os.path.join(self.folder, file)
            if file.startswith(f"{name}.") and file.endswith((".log", ".log.1", ".packages.lock")):
                os.unlink(path)
            elif file.startswith(f".{name}.packages-"):  # an environment in the making, which was called off
                shutil.rmtree(path, ignore_errors=True)

    def packages(self, name: str) -> str:
        """Folder of the environment for an ETL's packages."""
        return os.path.join(self.folder, f"{name}.packages")

    def add_error(self, name: str, job_id: str, error: "ObjectError") -> None:
        """Keep an object's error; where there are very many, or the disk is full, the job's own text must do."""
        path = os.path.join(self._errors(name), job_id)
        line = json.dumps(error.as_dict()).encode() + b"\n"
        with contextlib.suppress(OSError):
            os.makedirs(self._errors(name), exist_ok=True)
            with open(path, "ab") as file:
                if file.tell() + len(line) <= _LARGEST:
                    file.write(line)

    def errors(self, name: str, job_id: str) -> list[dict[str, Any]]:
        """The errors of a job's objects, as a client reads them."""
        if not job_id.isalnum():
            return []
        try:
            with open(os.path.join(self._errors(name), job_id), "rb") as file:
                lines = deque(file, maxlen=_MOST_ERRORS)
        except FileNotFoundError:
            return []
        return [error for line in lines if (error := _error(line)) is not None]

    def _errors(self, name: str) -> str:
        return os.path.join(self.folder, f"{name}.errors")


def _error(line: bytes) -> dict[str, Any] | None:
    """An object's error; None if the line was cut off or damaged."""
    try:
        error = json.loads(line)
    except ValueError:
        return None
    return error if isinstance(error, dict) and error.keys() >= {"obj_name", "msg", "ecode"} else None


@dataclass(frozen=True, slots=True)
class ObjectError:
    """Why an object could not be transformed.

    Attributes:
        object: `ais://bucket/object`.
        message: why.
        status: of the answer that said so, or one that says the same.
    """

    object: str
    message: str
    status: int = 500

    def as_dict(self) -> dict[str, Any]:
        """As a client reads it."""
        return {"obj_name": self.object, "msg": self.message, "ecode": self.status}
