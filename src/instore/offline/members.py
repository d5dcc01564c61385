"""The members of shards in a job: what workers are to do with them, and what they say has become of them."""

import contextlib
import json
import os
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any, NamedTuple

from instore.errors import ConfigurationError
from instore.offline.interfaces import JobObserver, ShardMembers
from instore.offline.settings import JobSettings
from instore.protocol.environment import (
    DROP,
    FAIL,
    INSTORE_MEMBERS,
    INSTORE_MEMBERS_LOG,
    INSTORE_MEMBERS_ON_ERROR,
    KEEP,
)
from instore.system.files import temporary
from instore.system.globs import compiled
from instore.system.printable import printable

ON_ERROR = (FAIL, DROP, KEEP)
_OUTCOMES = {FAIL: "failed", DROP: "dropped", KEEP: "kept"}


class MemberOptions(NamedTuple):
    """What is to be done with members.

    Attributes:
        pattern: for those that are transformed; empty: objects are no shards.
        on_error: what becomes of one that fails: one of `ON_ERROR`.
    """

    pattern: str = ""
    on_error: str = FAIL

    @classmethod
    def of(cls, settings: JobSettings) -> "MemberOptions":
        """Those of a job.

        Raises:
            ConfigurationError: they mean nothing.
        """
        if settings.members_on_error not in ON_ERROR:
            raise ConfigurationError(
                f"--members-on-error {printable(settings.members_on_error)}: it takes {', '.join(ON_ERROR)}"
            )
        if settings.members_on_error != FAIL and not settings.members:
            raise ConfigurationError("--members-on-error says what becomes of members, and needs --members")
        if settings.members:
            compiled("--members", [settings.members])
        return cls(settings.members, settings.members_on_error)

    def said_of(self, etl_args: str) -> str:
        """What makes results besides a class: its arguments, and these options."""
        return "\0".join([etl_args, *self]) if self.pattern else etl_args


@contextlib.contextmanager
def told_of_members(options: MemberOptions, observer: JobObserver) -> Iterator[Mapping[str, str]]:
    """Variables for workers; what these say of members is told at the end, however that comes."""
    variables = {INSTORE_MEMBERS: options.pattern, INSTORE_MEMBERS_ON_ERROR: options.on_error, INSTORE_MEMBERS_LOG: ""}
    if not options.pattern:
        yield variables
        return
    with temporary("what becomes of members"):
        handle, path = tempfile.mkstemp(prefix="instore-", suffix=".members")
    try:
        with open(handle, encoding="ascii") as file:
            try:
                yield {**variables, INSTORE_MEMBERS_LOG: path}
            finally:
                for shard in _shards(file, _OUTCOMES[options.on_error]):
                    observer.made(shard)
    finally:
        os.unlink(path)


def _shards(file: IO[str], outcome: str) -> Iterator[ShardMembers]:
    """What the lines say; of several for one shard, which was made again, the last one counts."""
    last = {entry["shard"]: number for number, entry in _entries(file)}
    file.seek(0)
    for number, entry in _entries(file):
        if last[entry["shard"]] == number:
            name = entry["shard"].partition("/")[2]  # behind the folder's or the bucket's name
            yield ShardMembers(name, entry["transformed"], entry["copied"], entry["failed"], outcome, entry["skipped"])


def _entries(file: IO[str]) -> Iterator[tuple[int, dict[str, Any]]]:
    for number, line in enumerate(file):
        with contextlib.suppress(json.JSONDecodeError):  # an empty one, or one that a kill has torn
            yield number, json.loads(line)
