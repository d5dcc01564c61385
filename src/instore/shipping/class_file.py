"""A class in a file, for processes of this machine: its payload, and where its modules are looked for.

A class that can be imported travels as its name; one of a notebook or of a script that is running (`__main__`) travels
with its code, so that nobody runs that script a second time.
"""

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from instore.errors import ConfigurationError
from instore.shipping.payload import dump
from instore.system.files import temporary

SUFFIX = ".instore-class"
"""How the file's name ends."""


@contextmanager
def class_file(cls: type) -> Iterator[str]:
    """The path of a file with `cls` that only this user can read; it is removed at the end.

    Raises:
        ConfigurationError: the class can't be pickled.
    """
    try:
        payload = dump(cls, names_files=True)
    except Exception as error:  # whatever an attribute's own pickling raises
        raise ConfigurationError(
            f"the class {cls.__name__} can't be sent to worker processes ({type(error).__name__}: {error}); put it "
            "into a file of its own and give the file, or import the class from there"
        ) from error
    with temporary("the class"):
        handle, path = tempfile.mkstemp(prefix="instore-", suffix=SUFFIX)
    try:
        with open(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            json.dump({"path": [os.path.abspath(entry) for entry in sys.path], "payload": payload.decode()}, file)
        yield path
    finally:
        os.unlink(path)


def read_class_file(path: str) -> str:
    """The payload in a file, once this process finds modules where the writing one did."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            content = json.load(file)
        entries, payload = content["path"], str(content["payload"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} can't be read as a class that was sent: {error}") from error
    sys.path += [entry for entry in entries if entry not in sys.path]
    return payload
