"""How a job names what it makes: an extension for an extension, and something before the name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from instore.errors import InvalidRequestError


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
    def parse(cls, message: Mapping[str, Any]) -> "Naming":
        """That of a request: its `prepend` and `ext`.

        Raises:
            InvalidRequestError: they are malformed.
        """
        prepend, extensions = message.get("prepend") or "", message.get("ext") or {}
        if not isinstance(prepend, str):
            raise InvalidRequestError("prepend is not a string")
        if not isinstance(extensions, dict) or not all(isinstance(new, str) for new in extensions.values()):
            raise InvalidRequestError('ext is not an object of strings, such as {"jpg": "png"}')
        return cls(prepend, {old.lstrip("."): new.lstrip(".") for old, new in extensions.items()})

    def __call__(self, name: str) -> str:
        """The new name of `name`."""
        stem, dot, extension = name.rpartition(".")
        if dot and extension in self.extensions:
            name = stem + dot + self.extensions[extension]
        return self.prepend + name
