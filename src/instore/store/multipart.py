"""Objects that are uploaded in numbered parts, in any order, and put together at the end.

The parts lie in a folder of the bucket's work folder, so that an upload goes on after the process has died.
"""

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable

from instore.errors import InvalidRequestError
from instore.store.names import Bucket, check_object_name
from instore.store.store import Entry, Part, Store

_ID = re.compile(r"[0-9a-f]{16}")
_ABOUT = "about.json"


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
    if number < 1:
        raise InvalidRequestError(f"part number {number} is not positive")
    folder = _check(store, bucket, name, upload)
    return store.part(bucket, f"part {number} of {bucket.object(name)}", os.path.join(folder, str(number)))


def complete(store: Store, bucket: Bucket, name: str, upload: str, numbers: Iterable[int]) -> Entry:
    """Put the parts together, in the order of their numbers, as the object."""
    folder = _check(store, bucket, name, upload)
    ordered = sorted(set(numbers))
    if not ordered:
        raise InvalidRequestError(f"the upload of {bucket.object(name)} names no parts")
    with store.failing(f"storing {bucket.object(name)}"), store.upload(bucket, name) as whole:
        for number in ordered:
            try:
                descriptor = os.open(os.path.join(folder, str(number)), os.O_RDONLY | os.O_CLOEXEC)
            except FileNotFoundError:
                raise InvalidRequestError(f"part {number} of {bucket.object(name)} has not been uploaded") from None
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


def _folder(store: Store, bucket: Bucket, upload: str) -> str:
    return f"{store.work_folder(bucket)}/mpt.{upload}"


def _check(store: Store, bucket: Bucket, name: str, upload: str) -> str:
    """The folder of an upload that is this object's."""
    if not _ID.fullmatch(upload):
        raise InvalidRequestError(f"the upload id {upload!r} is not one of this node's")
    folder = _folder(store, bucket, upload)
    try:
        with open(os.path.join(folder, _ABOUT), encoding="utf-8") as file:
            about = json.load(file)["name"]
    except FileNotFoundError as error:
        raise InvalidRequestError(f"upload {upload!r} is not known; it has been completed or aborted") from error
    except (ValueError, TypeError, KeyError) as error:
        raise InvalidRequestError(f"upload {upload!r} is damaged ({folder}/{_ABOUT}); begin another") from error
    if about != name:
        raise InvalidRequestError(f"upload {upload!r} belongs to another object")
    return folder
