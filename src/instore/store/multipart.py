"""Objects that are uploaded in numbered parts, in any order, and put together at the end.

The parts lie in a folder of the bucket's work folder, so that an upload goes on after the process has died. A part is
one piece, or several where it was appended to: the file `<part>.<piece>`, pieces counted from 0.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Sequence

from instore.errors import InvalidRequestError, ObjectNotFoundError
from instore.store.names import Bucket, check_object_name
from instore.store.store import Store
from instore.store.stored import Entry
from instore.store.writing import Part

_ID = re.compile(r"[0-9a-f]{16}")
_ABOUT = "about.json"
_FIRST = 1


def begin(store: Store, bucket: Bucket, name: str) -> str:
    """Begin an upload; return its id."""
    check_object_name(name)
    upload = secrets.token_hex(8)
    with store.failing(f"beginning an upload of {bucket.object(name)}"):
        store.check_bucket(bucket)
        folder = _folder(store, bucket, upload)
        os.mkdir(folder)
        with open(os.path.join(folder, _ABOUT), "w", encoding="utf-8") as file:
            json.dump({"name": name}, file)
    return upload


def part(store: Store, bucket: Bucket, name: str, upload: str, number: int) -> Part:
    """Begin to write one part; a later one of the same number replaces it."""
    folder, what = _checked(store, bucket, name, upload, number)
    with store.failing(f"storing {what}"):
        for piece in _pieces(folder).get(number, []):  # from the first on: what is left of a part is none
            os.unlink(_path(folder, number, piece))
    return store.part(bucket, what, _path(folder, number, 0))


def append(store: Store, bucket: Bucket, name: str, upload: str, number: int, handle: str) -> tuple[Part, str]:
    """Begin to write what is appended to a part: the handle says where; empty: at its end. And the next handle."""
    folder, what = _checked(store, bucket, name, upload, number)
    if handle and not handle.isdecimal():
        raise InvalidRequestError(f"the append handle {handle!r} is not one of {what}")
    piece = int(handle) if handle else len(_pieces(folder).get(number, []))
    return store.part(bucket, what, _path(folder, number, piece)), str(piece + 1)


def complete(store: Store, bucket: Bucket, name: str, upload: str, numbers: Sequence[int]) -> Entry:
    """Put the parts together, in the order of their numbers, as the object. All that were uploaded have to be named."""
    folder = _check(store, bucket, name, upload)
    uploaded = _pieces(folder)
    _check_whole(bucket.object(name), sorted(numbers), uploaded)
    with store.failing(f"storing {bucket.object(name)}"), store.upload(bucket, name) as whole:
        for number in sorted(numbers):
            for piece in uploaded[number]:
                descriptor = os.open(_path(folder, number, piece), os.O_RDONLY | os.O_CLOEXEC)
                try:
                    whole.fill(descriptor)
                finally:
                    os.close(descriptor)
        entry = whole.commit()
    abort(store, bucket, name, upload)
    return entry


def abort(store: Store, bucket: Bucket, name: str, upload: str) -> None:
    """Drop an upload and its parts."""
    folder = _check(store, bucket, name, upload)
    with store.failing(f"dropping an upload of {bucket.object(name)}"):
        gone = f"{folder}.gone"
        os.rename(folder, gone)
        shutil.rmtree(gone)


def _check_whole(what: str, numbers: list[int], uploaded: dict[int, list[int]]) -> None:
    """Refuse to leave out any part, or to put together what has a gap."""
    if not numbers:
        raise InvalidRequestError(f"no chunks of {what} are named, and its upload can't be completed without parts")
    for number in numbers:
        if number not in uploaded:
            raise InvalidRequestError(f"part {number} of {what} has not been uploaded")
        if uploaded[number] != list(range(len(uploaded[number]))):
            raise InvalidRequestError(
                f"part {number} of {what} is not whole: a piece of it is missing; upload it again"
            )
    if numbers != sorted(uploaded):
        raise InvalidRequestError(
            f"partial completion is not allowed: {len(numbers)} parts are named for {what}, and {len(uploaded)} have "
            "been uploaded; name each of these once"
        )
    for expected, number in enumerate(numbers, _FIRST):
        if number != expected:
            raise InvalidRequestError(
                f"part {expected} of {what} is missing: parts are numbered from {_FIRST} on without a gap, and "
                f"{number} comes next"
            )


def _pieces(folder: str) -> dict[int, list[int]]:
    """The pieces of each part that has been uploaded, in order."""
    found: dict[int, list[int]] = {}
    for file in os.listdir(folder):
        number, _, piece = file.partition(".")
        if number.isdecimal() and piece.isdecimal():
            found.setdefault(int(number), []).append(int(piece))
    return {number: sorted(pieces) for number, pieces in found.items()}


def _path(folder: str, number: int, piece: int) -> str:
    return os.path.join(folder, f"{number}.{piece}")


def _folder(store: Store, bucket: Bucket, upload: str) -> str:
    return f"{store.work_folder(bucket)}/mpt.{upload}"


def _checked(store: Store, bucket: Bucket, name: str, upload: str, number: int) -> tuple[str, str]:
    """The folder of an upload, and what to call one of its parts."""
    if number < _FIRST:
        raise InvalidRequestError(f"part number {number} is not positive")
    return _check(store, bucket, name, upload), f"part {number} of {bucket.object(name)}"


def _check(store: Store, bucket: Bucket, name: str, upload: str) -> str:
    """The folder of an upload that is this object's."""
    folder = _folder(store, bucket, upload)
    unknown = f"upload {upload!r} does not exist: it has been completed or aborted, or was another object's"
    if not _ID.fullmatch(upload):
        raise ObjectNotFoundError(unknown)
    try:
        with open(os.path.join(folder, _ABOUT), encoding="utf-8") as file:
            about = json.load(file)["name"]
    except FileNotFoundError as error:
        raise ObjectNotFoundError(unknown) from error
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequestError(f"upload {upload!r} is damaged ({folder}/{_ABOUT}); begin another") from error
    if about != name:
        raise ObjectNotFoundError(unknown)
    return folder
