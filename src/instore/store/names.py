"""Buckets and objects by name: which names are allowed, and how they stand in a uname and on the disk."""

import functools
import re
from dataclasses import dataclass
from typing import Any

from instore.errors import InvalidRequestError, NotSupportedError
from instore.protocol.names import Uname, why_no_object_name

_BUCKET_NAME = re.compile(r"(?!\.)(?!.*\.\.)[A-Za-z0-9_.-]{1,64}(?<!\.)")
_NAMESPACE = re.compile(r"[A-Za-z0-9_-]{0,32}")


@dataclass(frozen=True, slots=True, order=True)
class Bucket:
    """A bucket's name. Only AIStore's own provider, `ais`, is kept here.

    Attributes:
        name: letters, digits, `_`, `-` and single dots; 64 at most.
        namespace: name of a namespace of this cluster; empty: the global one.
    """

    name: str
    namespace: str = ""

    def __post_init__(self) -> None:
        if not _BUCKET_NAME.fullmatch(self.name):
            raise InvalidRequestError(
                f"{self.name!r} can't be a bucket's name: use 1 to 64 letters, digits, '_', '-' and single dots"
            )
        if not _NAMESPACE.fullmatch(self.namespace):
            raise InvalidRequestError(
                f"{self.namespace!r} can't be a namespace: use up to 32 letters, digits, '_' and '-'"
            )

    @classmethod
    @functools.lru_cache(1024)
    def parse(cls, provider: str, namespace: str, name: str) -> "Bucket":
        """The bucket that a request names."""
        if provider not in ("", "ais"):
            raise NotSupportedError(f"buckets of provider {provider!r} are not supported; this node has ais:// only")
        cluster, _, own = namespace.removeprefix("@").partition("#")
        if cluster:
            raise NotSupportedError(f"buckets of another cluster ({namespace!r}) are not supported")
        return cls(name, own)

    @classmethod
    def described(cls, value: object) -> "Bucket":
        """The bucket that a message describes, as `message` writes it."""
        if not isinstance(value, dict) or not isinstance(value.get("namespace") or {}, dict):
            raise InvalidRequestError("the message describes no bucket: expected an object with name and provider")
        namespace = value.get("namespace") or {}
        path = f"@{namespace.get('uuid') or ''}#{namespace.get('name') or ''}"
        return cls.parse(str(value.get("provider") or ""), path, str(value.get("name") or ""))

    @property
    def folder(self) -> str:
        """Its folder below a target's, as AIStore lays it out."""
        return f"@ais/#{self.namespace}/{self.name}" if self.namespace else f"@ais/{self.name}"

    @property
    def message(self) -> dict[str, Any]:
        """It as AIStore writes it in JSON."""
        return _message(self.name, "ais", self.namespace)

    def uname(self, name: str) -> Uname:
        """The cluster-wide name of its object `name`."""
        return Uname("ais", f"@#{self.namespace}", self.name, name)

    def object(self, name: str) -> str:
        """Its object `name`, for a person."""
        return f"{self}/{name}"

    def __str__(self) -> str:
        return f"ais://@#{self.namespace}/{self.name}" if self.namespace else f"ais://{self.name}"


def _message(name: str, provider: str, namespace: str = "") -> dict[str, Any]:
    return {"name": name, "provider": provider, "namespace": {"uuid": "", "name": namespace}}


NO_BUCKET = _message("", "")
"""What AIStore writes in JSON where there is no bucket."""


def parse_uname(text: str) -> tuple[Bucket, str]:
    """Bucket and object of an unescaped uname."""
    try:
        uname = Uname.parse(text)
    except ValueError as error:
        raise InvalidRequestError(str(error)) from error
    bucket = Bucket.parse(uname.provider, uname.namespace, uname.bucket)
    check_object_name(uname.object)
    return bucket, uname.object


def check_object_name(name: str) -> None:
    """Refuse what can't be an object's file below the bucket's folder."""
    reason = _why_not(name)
    if reason:
        shown = name if len(name) <= 100 else name[:100] + "…"
        raise InvalidRequestError(f"{shown!r} can't be an object's name: {reason}")


def _why_not(name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        return "it is not UTF-8"
    return why_no_object_name(name)
