"""Which objects a job is about: all below a prefix, a list of names, or a template such as `shard-{0000..0099}.tar`."""

import itertools
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from instore.errors import InvalidRequestError

_RANGE = re.compile(r"\{(\d{1,18})\.\.(\d{1,18})(?:\.\.(\d{1,18}))?\}")
_UP_TO = re.compile(r"@(\d{1,18})")  # `@099` is `{000..099}`
_PRINTF = re.compile(r"%\d*d")
_MOST = 100_000_000  # names of one template


@dataclass(frozen=True, slots=True)
class Range:
    """One `{first..last..step}` of a template.

    Attributes:
        first, last, step: numbers; `last` is included.
        width: digits at least; filled with zeros.
    """

    first: int
    last: int
    step: int
    width: int

    def __len__(self) -> int:
        return (self.last - self.first) // self.step + 1

    def __iter__(self) -> Iterator[str]:
        for number in range(self.first, self.last + 1, self.step):
            yield str(number).zfill(self.width)


@dataclass(frozen=True, slots=True)
class Selection:
    """Objects of one bucket.

    Attributes:
        prefix: with neither names nor a template with ranges: all objects that start with it.
        names: exactly these; each must be there.
        texts, ranges: a template's: text, range, text, range, text. Names that are not there are passed over.
        recurse: with a prefix: also what lies in folders behind it.
    """

    prefix: str = ""
    names: Sequence[str] = ()
    texts: Sequence[str] = ()
    ranges: Sequence[Range] = field(default=())
    recurse: bool = True

    @classmethod
    def parse(cls, message: Mapping[str, Any]) -> "Selection":
        """That of a request: its `objnames` or its `template`, which may be empty: all objects."""
        names, template = message.get("objnames"), message.get("template")
        if (names and template) or (not names and template is None):
            raise InvalidRequestError("name the objects by a list (objnames) or by a template, and not by both")
        if names:
            if not isinstance(names, list) or not all(isinstance(name, str) and name for name in names):
                raise InvalidRequestError("objnames is not a list of names")
            return cls(names=names)
        if not isinstance(template, str):
            raise InvalidRequestError("the template is not a string")
        return replace(cls.from_template(template), recurse=not message.get("non-recurs"))

    @classmethod
    def below(cls, message: Mapping[str, Any]) -> "Selection":
        """That of a request about a bucket: all objects with its `prefix`."""
        return cls(prefix=str(message.get("prefix") or ""), recurse=not message.get("non-recurs"))

    @classmethod
    def from_template(cls, template: str) -> "Selection":
        """That of a template; one without ranges is a prefix, an empty one stands for all objects."""
        texts, ranges = [], []
        end = 0
        if _PRINTF.search(template):
            raise InvalidRequestError(
                f"the template {template!r} has a range without an end; write it as in shard-{{0000..0099}}.tar"
            )
        for match in (_RANGE if "{" in template else _UP_TO).finditer(template):
            texts.append(template[end : match.start()])
            ranges.append(_range(match, template))
            end = match.end()
        texts.append(template[end:])
        if any(brace in text for text in texts for brace in "{}"):
            raise InvalidRequestError(
                f"the template {template!r} is malformed; expected ranges, as in shard-{{0000..0099}}.tar"
            )
        if not ranges:
            return cls(prefix=template)
        count = 1
        for one in ranges:
            count *= len(one)
        if count > _MOST:
            raise InvalidRequestError(f"the template {template!r} stands for {count} names; the most are {_MOST}")
        return cls(texts=texts, ranges=ranges)

    @property
    def by_prefix(self) -> bool:
        """Whether the bucket has to be walked; if not, `given` has the names."""
        return not self.names and not self.ranges

    @property
    def must_exist(self) -> bool:
        """Whether a name that is not there is an error."""
        return bool(self.names)

    def given(self) -> Iterator[str]:
        """The names of a list or a template, in their order."""
        if self.names:
            yield from self.names
            return
        for numbers in _combined(self.ranges):
            parts = itertools.chain.from_iterable(zip(self.texts, numbers, strict=False))
            yield "".join(parts) + self.texts[-1]


NOTHING = Selection(texts=("", ""), ranges=(Range(1, 0, 1, 1),))
"""No objects at all."""


def _combined(ranges: Sequence[Range]) -> Iterator[tuple[str, ...]]:
    """As `itertools.product`, which holds all numbers in memory."""
    if not ranges:
        yield ()
        return
    for first in ranges[0]:
        for others in _combined(ranges[1:]):
            yield (first, *others)


def _range(match: re.Match[str], template: str) -> Range:
    if match.re is _UP_TO:
        return Range(0, int(match[1]), 1, len(match[1]))
    first, last, step = match[1], match[2], int(match[3] or 1)
    if int(first) > int(last) or step == 0:
        raise InvalidRequestError(f"the range {match[0]} in the template {template!r} has no numbers in it")
    return Range(int(first), int(last), step, len(first))
