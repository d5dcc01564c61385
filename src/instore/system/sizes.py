"""Sizes as people write them."""

import re

from instore.errors import ConfigurationError
from instore.system.printable import printable

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(option: str, text: str) -> int:
    """The bytes that a text such as `500MB`, `1.5GiB` or `4096` says."""
    match = _SIZE.fullmatch(text.strip())
    size = float(match[1]) * (1024 if match[3] else 1000) ** _POWERS[match[2].lower()] if match else 0.0
    if size < 1:
        raise ConfigurationError(f"{option} {printable(text)} is no size; write bytes, or 500MB, 1GB, 1GiB")
    return int(size)
