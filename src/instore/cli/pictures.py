"""A result on a terminal: a picture where the terminal can show one, else its text or its first bytes."""

import base64
import io
import os
import sys
from collections.abc import Callable

import click

from instore.system.printable import printable

_LONGEST = 4000  # characters of a text that are shown
_MOST_LINES = 40
_FIRST = 16  # bytes of what is neither text nor a picture
_KITTY_PIECE = 4096
_PNG = b"\x89PNG\r\n\x1a\n"


def show(data: bytes, content_type: str) -> None:
    """Show a result on standard output."""
    draw = _drawing() if content_type.startswith("image/") else None
    if draw is not None and (drawn := draw(data)):
        click.echo(drawn)
        return
    text = _text(data)
    if text is None:
        more = " …" if len(data) > _FIRST else ""
        click.echo(f"not text; it begins {data[:_FIRST].hex(' ')}{more}; -o FILE keeps it")
        return
    lines = text[:_LONGEST].split("\n")[:_MOST_LINES]
    shown = sum(len(line) + 1 for line in lines) - 1
    for line in lines if lines[-1] else lines[:-1]:
        click.echo(printable(line.removesuffix("\r").expandtabs()))
    if shown < len(text.rstrip("\n")):
        click.echo(f"… and {len(text) - shown} characters more; -o FILE keeps all of it")


def _text(data: bytes) -> str | None:
    """The text that it is; None if it is none."""
    if b"\0" in data:
        return None
    try:
        return data.decode()
    except UnicodeDecodeError:
        return None


def _drawing() -> Callable[[bytes], str] | None:
    """How this terminal is told to draw a picture; None if it can't be, or there is none."""
    if not sys.stdout.isatty():
        return None
    if os.environ.get("TERM_PROGRAM") in ("iTerm.app", "WezTerm"):
        return _for_iterm
    if os.environ.get("TERM") in ("xterm-kitty", "xterm-ghostty"):
        return _for_kitty
    return None


def _for_iterm(data: bytes) -> str:
    return f"\x1b]1337;File=inline=1;size={len(data)}:{base64.b64encode(data).decode()}\a"


def _for_kitty(data: bytes) -> str:
    """Empty if the picture can't be made a PNG, the one format that kitty takes."""
    encoded = base64.b64encode(_as_png(data)).decode()
    pieces = [encoded[start : start + _KITTY_PIECE] for start in range(0, len(encoded), _KITTY_PIECE)]
    heads = ["a=T,f=100,"] + [""] * len(pieces)
    return "".join(
        f"\x1b_G{head}m={int(number < len(pieces))};{piece}\x1b\\"
        for number, (head, piece) in enumerate(zip(heads, pieces, strict=False), 1)
    )


def _as_png(data: bytes) -> bytes:
    if data.startswith(_PNG):
        return data
    try:
        from PIL import Image

        with Image.open(io.BytesIO(data)) as picture:
            png = io.BytesIO()
            picture.convert("RGBA").save(png, "PNG")
    except (ImportError, OSError, ValueError):  # no Pillow, or a picture that it can't read
        return b""
    return png.getvalue()
