"""Values as they come in variables, queries and messages: true and false, JSON."""

import json
from typing import Any

_FLAGS = {
    **dict.fromkeys(("true", "1", "yes", "on", "y", "t"), True),
    **dict.fromkeys(("false", "0", "no", "off", "n", "f"), False),
}


def parse_flag(text: str) -> bool | None:
    """Whether a text says yes; None if it says neither yes nor no."""
    return _FLAGS.get(text.strip().lower())


def parse_json(data: bytes) -> Any:
    """Read JSON whose texts can all be encoded: half a surrogate pair, as in `"\\ud800"`, is no text."""
    try:
        content = json.loads(data.decode())
        if b"\\ud" in data or b"\\uD" in data:
            json.dumps(content, ensure_ascii=False).encode()
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    return content
