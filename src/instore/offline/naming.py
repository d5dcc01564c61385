"""What results are called: an extension for an extension, and something before the name.

The rule is AIStore's own (`TCBMsg.ToName`): the extension is what stands after the last dot of the whole name, so
`.jpg` has one too.
"""

import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from instore.errors import ConfigurationError, InvalidRequestError
from instore.system.printable import printable


@dataclass(frozen=True, slots=True)
class Naming:
    """New names for old ones.

    Attributes:
        prepend: what stands before each name; a slash, if there is to be one, is part of it.
        extensions: new extension by old extension, both without their dot.
    """

    prepend: str = ""
    extensions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def from_message(cls, message: Mapping[str, Any]) -> "Naming":
        """That of a client's message: its `prepend` and `ext`."""
        prepend, extensions = message.get("prepend") or "", message.get("ext") or {}
        if not isinstance(prepend, str):
            raise InvalidRequestError("prepend is not a string")
        if not isinstance(extensions, dict) or not all(isinstance(new, str) for new in extensions.values()):
            raise InvalidRequestError('ext is not an object of strings, such as {"jpg": "png"}')
        return cls(prepend, {old.lstrip("."): new.lstrip(".") for old, new in extensions.items()})

    @classmethod
    def from_options(cls, prepend: str, extensions: Sequence[str]) -> "Naming":
        """That of a command: `--prepend`, and each `--ext OLD:NEW`."""
        if prepend.startswith("/") or ".." in prepend.split("/"):
            raise ConfigurationError(
                f"--prepend {printable(prepend)} leads out of DST; it takes a name or a path below DST"
            )
        pairs = [_parse_extension(text) for text in extensions]
        if len(dict(pairs)) < len(pairs):
            raise ConfigurationError(f"--ext {' --ext '.join(extensions)}: an extension is mapped twice")
        return cls(prepend, dict(pairs))

    def __call__(self, name: str) -> str:
        """The new name of `name`."""
        stem, dot, extension = name.rpartition(".")
        if dot and extension in self.extensions:
            name = stem + dot + self.extensions[extension]
        return self.prepend + name

    def origins(self, result: str) -> Iterator[str]:
        """The names whose results are called `result`."""
        name = result.removeprefix(self.prepend)
        stem, dot, extension = name.rpartition(".")
        candidates = [name, *(f"{stem}.{old}" for old, new in self.extensions.items() if dot and new == extension)]
        return (one for one in candidates if one and self(one) == result)


PLAIN_NAMES = Naming()
"""Results are called as their objects."""


def folded(name: str) -> str:
    """What is the same for names that are one to a file system that folds upper and lower case, and Unicode's forms."""
    return unicodedata.normalize("NFD", unicodedata.normalize("NFD", name).casefold())


def _parse_extension(text: str) -> tuple[str, str]:
    old, colon, new = text.partition(":")
    old, new = old.removeprefix("."), new.removeprefix(".")
    if not colon or not old or not new or any(sign in old + new for sign in "/.:"):
        raise ConfigurationError(f"--ext {printable(text)} is malformed; expected OLD:NEW, as in jpg:png")
    return old, new
