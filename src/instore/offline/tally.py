"""What came of a job: its counts, and its failures and skipped objects by cause, in bounded memory."""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from math import inf

from instore.errors import JobFailedError
from instore.offline.interfaces import ItemResult, ShardMembers

_MOST_CAUSES = 20
_MOST_NAMES = 10  # of one cause
_NUMBER = re.compile(r"\b0x[0-9a-f]+\b|\d+", re.IGNORECASE)
_STATUSES = ("done", "already there", "skipped", "failed")
_OF_MEMBERS = ("members_transformed", "members_copied", "members_failed", "members_skipped")


COMPLETE = "complete"
"""How a job ends that has tried every object."""


@dataclass(frozen=True, slots=True)
class FailedObject:
    """An object that a job could not do.

    Attributes:
        name: the object's name; a file's is its path below SRC, with `/`.
        cause: why it failed, in a sentence.
        result: what its result would be called; empty if it has no name.
        frames: where in the class's code the error comes from, the innermost place last; may be empty.
    """

    name: str
    cause: str
    result: str = ""
    frames: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class JobReport:
    """What came of a job.

    Attributes:
        ended: `complete`, or a sentence that says why the job ended before all objects were tried.
        done: objects that were transformed, and whose results are where they belong.
        already_there: objects whose results were there before.
        skipped: what was found and is no object, such as a link that leads out of SRC; and objects that the class has
            skipped by raising `Skip`.
        failed: objects that failed.
        failures: each of them.
        source_bytes: of the objects that were done.
        result_bytes: of their results.
        seconds: from the start of the workers to the end.
        members_transformed, members_copied, members_failed, members_skipped: of the shards that were done, with
            `--members`; those that failed were dropped or kept, those that were skipped left out.
    """

    ended: str
    done: int
    already_there: int
    skipped: int
    failed: int
    source_bytes: int
    result_bytes: int
    seconds: float
    failures: tuple[FailedObject, ...] = field(default=(), repr=False)
    members_transformed: int = 0
    members_copied: int = 0
    members_failed: int = 0
    members_skipped: int = 0

    @property
    def ok(self) -> bool:
        """Whether every object of the source has a result: the job went to its end, and none failed."""
        return self.ended == COMPLETE and not self.failed

    def summary(self) -> dict[str, object]:
        """All of it but the failures, and but the members where there are none."""
        has_members = any(getattr(self, name) for name in _OF_MEMBERS)
        left_out = ("failures", *(() if has_members else _OF_MEMBERS))
        return {one.name: getattr(self, one.name) for one in fields(self) if one.name not in left_out}

    def raise_if_failed(self) -> None:
        """Raise unless `ok`.

        Raises:
            JobFailedError: the text says how the job ended, how many objects failed, and why the first one did.
        """
        if self.ok:
            return
        parts = [] if self.ended == COMPLETE else [self.ended]
        if self.failed:
            parts.append(f"{self.failed} of {self.failed + self.done} objects failed")
        if self.failures:
            parts.append(f"{self.failures[0].name}: {self.failures[0].cause}")
        raise JobFailedError("; ".join(parts))


class Tally:
    """Counts.

    Args:
        keeps_failures: every failure is kept, for `JobReport.failures`.
        names_all: `lines` has every object, however many there are.

    Attributes:
        finished: how many of the objects to do are done with.
        received: bytes of results that have come, also of such as will not be whole.
        members: of shards: how many were `transformed`, `copied`, `dropped` or `kept`.
    """

    def __init__(self, keeps_failures: bool = False, names_all: bool = False) -> None:
        self.finished = 0
        self.received = 0
        self.source_bytes = self.result_bytes = 0
        self.members = Counter[str]()
        self._counts: Counter[str] = Counter()
        self._failures: list[FailedObject] = []
        self._keeps_failures = keeps_failures
        self._most_causes = inf if names_all else _MOST_CAUSES
        self._most_names = inf if names_all else _MOST_NAMES
        self._causes: dict[tuple[str, str], _Cause] = {}
        self._others: Counter[str] = Counter()  # by status: those of causes beyond the most

    def __getitem__(self, status: str) -> int:
        return self._counts[status]

    def add(self, result: ItemResult) -> bool:
        """Count an object; whether it is the first of its cause, which is to be said at once."""
        status = result.status
        self._counts[status] += 1
        if status == "done":
            self.source_bytes += result.item.size
            self.result_bytes += result.result_bytes or 0
        if result.error and self._keeps_failures:
            self._failures.append(FailedObject(result.item.name, result.error, result.item.result, (*result.frames,)))
        text = result.error or result.item.reason
        return bool(text) and self._add_cause(status, result.item.name, text)

    def add_member(self, shard: ShardMembers, member: str, cause: str) -> bool:
        """Count a member that failed; whether it is the first of its cause."""
        self.members[shard.outcome] += 1
        return self._add_cause(shard.outcome, f"{shard.shard}!{member}", cause)

    def counts(self) -> dict[str, int]:
        """How many objects have each status."""
        return {status: self._counts[status] for status in _STATUSES}

    def lines(self) -> Iterator[str]:
        """The objects that `add` was not the first of their cause for, under their causes."""
        for (status, _), those in self._causes.items():
            if those.count > 1:
                yield f"{those.count - 1} more {status}: {those.text}"
                yield from (f"  {name}" for name in those.names)
                if those.count - 1 > len(those.names):
                    yield f"  and {those.count - 1 - len(those.names)} more; a --report names all of them"
        for status, count in self._others.items():
            yield f"{count} more {status}, for other reasons; a --report names all of them"

    def report(self, ended: str, seconds: float) -> JobReport:
        """What came of it so far."""
        counts = {status.replace(" ", "_"): count for status, count in self.counts().items()}
        return JobReport(
            ended=ended,
            **counts,
            source_bytes=self.source_bytes,
            result_bytes=self.result_bytes,
            seconds=round(seconds, 3),
            failures=tuple(self._failures),
            members_transformed=self.members["transformed"],
            members_copied=self.members["copied"],
            members_failed=self.members["dropped"] + self.members["kept"],
            members_skipped=self.members["skipped"],
        )

    def _add_cause(self, status: str, name: str, text: str) -> bool:
        text = _without_name(text, name)
        key = status, _NUMBER.sub("N", text)
        cause = self._causes.get(key)
        if cause is not None:
            cause.count += 1
            cause.text = text if text == cause.text else key[1]
            if len(cause.names) < self._most_names:
                cause.names.append(name)
            return False
        if len(self._causes) == self._most_causes:
            self._others[status] += 1
            return False
        self._causes[key] = _Cause(text)
        return True


@dataclass(slots=True)
class _Cause:
    """The objects of one cause: what they have in common, how many, the names of the first ones but the very first."""

    text: str
    count: int = 1
    names: list[str] = field(default_factory=list)


def _without_name(text: str, name: str) -> str:
    """A cause as another object's might be, too."""
    base = name.rpartition("/")[2]
    for own in dict.fromkeys((name, base, base.rpartition(".")[0])):
        if own:
            text = re.sub(rf"(?<!\w){re.escape(own)}(?!\w)", "…", text)
    return text
