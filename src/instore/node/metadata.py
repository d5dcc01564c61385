"""The node's folder: who it is, which buckets there are, and the lock that keeps a second node out.

Everything is in one small file, replaced whole at each change. The file is the truth: a bucket is there if it stands
in it.
"""

import contextlib
import json
import os
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any, TypeVar

from instore.errors import BucketExistsError, BucketNotFoundError, ConfigurationError
from instore.protocol.paths import is_object_file
from instore.store.names import Bucket
from instore.system.files import disk_error, open_locked

Kind = TypeVar("Kind")

_STATE = "node.json"
_LOCK = "node.lock"
_PARTIAL = ".partial"


@dataclass(frozen=True, slots=True)
class BucketRecord:
    """What is kept of a bucket.

    Attributes:
        created: nanoseconds since 1970.
        renamed_from: the bucket whose objects are still being moved into this one; empty: none.
    """

    created: int
    renamed_from: dict[str, str] = field(default_factory=dict)


class NodeFolder:
    """The opened and locked folder of one node."""

    def __init__(self, path: str, targets: int) -> None:
        self.path = os.path.realpath(path)
        self._mutex = threading.Lock()
        if not is_object_file(f"{self.path}/t1/@ais/bucket/%ob/object"):
            raise ConfigurationError(
                f"{self.path} can't be the node's folder: its path looks like an object's; name another with --dir"
            )
        try:
            os.makedirs(self.path, mode=0o700, exist_ok=True)
            self._lock = open_locked(os.path.join(self.path, _LOCK), 0o600)
            state = self._load(targets)
            self.uuid = state.uuid
            self.created = state.created
            self.targets = state.targets
            self._buckets = state.buckets
            if not os.path.exists(os.path.join(self.path, _STATE)):  # else a full disk would keep it from starting
                self._save()
        except BlockingIOError as error:
            raise ConfigurationError(
                f"another node is running in {self.path}; stop it, or name another folder with --dir"
            ) from error
        except OSError as error:
            raise ConfigurationError(
                f"can't use {self.path}: {error.strerror}; name another folder with --dir"
            ) from error

    def close(self) -> None:
        """Let another node have the folder."""
        os.close(self._lock)

    def buckets(self) -> list[Bucket]:
        """All buckets, in order of their names."""
        return sorted(self._buckets)

    def bucket(self, bucket: Bucket) -> BucketRecord:
        """What is kept of a bucket."""
        record = self._buckets.get(bucket)
        if record is None:
            raise BucketNotFoundError(bucket)
        return record

    @contextlib.contextmanager
    def changing(self) -> Iterator[dict[Bucket, BucketRecord]]:
        """Change the buckets: what is in the dictionary at the end is saved, and then in force; all or nothing."""
        with self._mutex:
            before = dict(self._buckets)
            changed = dict(before)
            yield changed
            self._buckets = changed
            try:
                self._save()
            except OSError as error:
                self._buckets = before
                raise disk_error(f"can't write {_STATE}", error, self.path) from error

    def absent(self, bucket: Bucket) -> None:
        """Make sure that there is no such bucket."""
        if bucket in self._buckets:
            raise BucketExistsError(f"bucket {bucket} already exists")
        for new, record in self._buckets.items():
            if record.renamed_from and Bucket(**record.renamed_from) == bucket:
                raise BucketExistsError(
                    f"bucket {bucket} already exists: it is being renamed to {new}; wait for that job"
                )

    def _load(self, targets: int) -> "_State":
        path = os.path.join(self.path, _STATE)
        try:
            with open(path, encoding="utf-8") as file:
                state = _State.parse(json.load(file))
        except FileNotFoundError:
            strange = sorted(name for name in os.listdir(self.path) if name not in (_LOCK, _STATE + _PARTIAL))
            if strange:
                raise ConfigurationError(
                    f"{self.path} is not empty and holds no {_STATE}, so it is not a node's folder; "
                    "name an empty or a new one with --dir"
                ) from None
            return _State(secrets.token_hex(5), time.time_ns(), [f"t{number + 1}" for number in range(targets)], {})
        except (ValueError, TypeError, KeyError) as error:
            raise ConfigurationError(
                f"{path} is damaged: {why_damaged(error)}; the objects are untouched; put a copy of the file in its "
                "place or write it anew (docs/node.md says how), or name another folder with --dir"
            ) from error
        if len(state.targets) != targets:
            raise ConfigurationError(
                f"{self.path} was made with --targets {len(state.targets)}, and objects lie where that number has "
                f"put them; give --targets {len(state.targets)}, or name another folder with --dir"
            )
        return state

    def _save(self) -> None:
        state = {
            "uuid": self.uuid,
            "created": self.created,
            "targets": self.targets,
            "buckets": [
                {"name": bucket.name, "namespace": bucket.namespace, **asdict(record)}
                for bucket, record in sorted(self._buckets.items())
            ],
        }
        write_whole(os.path.join(self.path, _STATE), json.dumps(state, indent=1).encode())


@dataclass(frozen=True, slots=True)
class _State:
    """What the file holds."""

    uuid: str
    created: int
    targets: list[str]
    buckets: dict[Bucket, BucketRecord]

    @classmethod
    def parse(cls, state: Any) -> "_State":
        """Check what was read."""
        targets = [str(one) for one in state["targets"]]
        if not targets or targets != [f"t{number + 1}" for number in range(len(targets))]:
            raise ValueError(f"its targets are {targets!r}")
        buckets = {}
        for one in state["buckets"]:
            bucket = Bucket(**{key: _checked(one[key], str) for key in ("name", "namespace")})
            renamed_from = _checked(one["renamed_from"], dict)
            if renamed_from:
                Bucket(**renamed_from)
            buckets[bucket] = BucketRecord(_checked(one["created"], int), renamed_from)
        return cls(_checked(state["uuid"], str), _checked(state["created"], int), targets, buckets)


def _checked(value: Any, kind: type[Kind]) -> Kind:
    if not isinstance(value, kind):
        raise TypeError(f"{value!r} is not a {kind.__name__}")
    return value


def why_damaged(error: Exception) -> str:
    """What is wrong with a file of ours that could not be read, as part of a sentence."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def write_whole(path: str, data: bytes, flush: bool = True) -> None:
    """Replace the file at `path` by one that holds `data`: readers see the old one or the new."""
    partial = path + _PARTIAL
    try:
        with open(partial, "wb") as file:
            file.write(data)
            if flush:
                file.flush()
                os.fdatasync(file.fileno())
        os.replace(partial, path)
    except OSError:
        with contextlib.suppress(OSError):  # what failed says more than what fails behind it
            os.unlink(partial)
        raise
