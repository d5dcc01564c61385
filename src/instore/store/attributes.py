"""What is known of an object besides its bytes: one extended attribute of its file, so that it can't part from them.

It is text: the checksum, a space, the version, and, if there are custom properties, a space and these as JSON.
"""

import errno
import json
import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from instore.errors import ConfigurationError, InvalidRequestError, SourceError

_NAME = "user.instore"
_TOO_LARGE = (errno.ENOSPC, errno.E2BIG, errno.ERANGE)
_SMALL = 512  # bytes; an attribute of this size has its place in the inode or its block unless the disk is full

_NONE: Mapping[str, str] = MappingProxyType({})

CHECKSUM_TYPE = "xxhash2"
"""AIStore's name for the 64-bit xxHash with seed 0."""


class Attributes(NamedTuple):
    """An object's properties.

    Attributes:
        checksum: value of `CHECKSUM_TYPE` over the bytes, hexadecimal; empty: not known, for a file that was not put
            through a node.
        version: 1 for the first put of a name, one more with each that replaces it; 0: not known.
        custom: the user's own.
    """

    checksum: str = ""
    version: int = 0
    custom: Mapping[str, str] = _NONE


def write(descriptor: int, attributes: Attributes) -> None:
    """Set them on an open file; readers see the old ones or these."""
    text = f"{attributes.checksum} {attributes.version}"
    if attributes.custom:
        text += " " + json.dumps(dict(attributes.custom))
    data = text.encode()
    try:
        os.setxattr(descriptor, _NAME, data)
    except OSError as error:
        if error.errno in _TOO_LARGE and len(data) > _SMALL:
            raise InvalidRequestError(
                f"the custom properties take {len(data)} bytes, more than the file system keeps for a file; set fewer"
            ) from error
        raise


def read(file: int | str) -> Attributes:
    """Those of an open file or a path; defaults where there are none."""
    try:
        data = os.getxattr(file, _NAME)
    except OSError as error:
        if error.errno == errno.ENODATA:
            return Attributes()
        raise
    try:
        checksum, version, *custom = data.decode().split(" ", 2)
        return Attributes(checksum, int(version), json.loads(custom[0]) if custom else _NONE)
    except ValueError as error:
        raise SourceError(f"the extended attribute {_NAME} of {file!r} is damaged: {data[:80]!r}") from error


def write_note(descriptor: int, note: dict[str, object]) -> None:
    """Keep a small note with an open file that is not an object yet."""
    os.setxattr(descriptor, _NAME, json.dumps(note).encode())


def read_note(descriptor: int) -> dict[str, object]:
    """The note of an open file."""
    try:
        note = json.loads(os.getxattr(descriptor, _NAME))
    except (OSError, ValueError) as error:
        raise SourceError(f"the extended attribute {_NAME} of an upload is damaged: {error}") from error
    if not isinstance(note, dict):
        raise SourceError(f"the extended attribute {_NAME} of an upload is damaged: {note!r}")
    return note


def check_support(folder: str) -> None:
    """See whether files in `folder` can have attributes."""
    path = os.path.join(folder, ".attributes")
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    except OSError as error:
        raise ConfigurationError(f"can't write to {folder}: {error.strerror}; name another with --dir") from error
    try:
        os.setxattr(descriptor, _NAME, b"-")
    except OSError as error:
        raise ConfigurationError(
            f"the file system of {folder} keeps no extended attributes ({error.strerror}), and objects' properties "
            "are kept in them; name a folder on ext4, xfs, btrfs or a recent tmpfs with --dir"
        ) from error
    finally:
        os.close(descriptor)
        os.unlink(path)
