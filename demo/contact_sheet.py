"""A contact sheet: each original above, fitted into a box, and its result below, pixel for pixel."""

from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

COLUMNS = 6
BOX = 220
GAP = 28
HEADING, CAPTION = ImageFont.load_default(24), ImageFont.load_default(15)
HEADING_ROOM, CAPTION_ROOM = 72, 58
PAPER, INK, PALE, RULE = "#fafaf7", "#1c1c1c", "#6f6f68", "#d8d8d0"


class ContactSheet:
    """Pairs of pictures in rows of `COLUMNS`.

    Args:
        heading: what stands above them all.
        pairs: how many there will be.
        result_side: the largest side of a result, in pixels.
    """

    def __init__(self, heading: str, pairs: int, result_side: int) -> None:
        self.result_side = result_side
        self.row_height = BOX + CAPTION_ROOM + result_side + CAPTION_ROOM + GAP
        rows = -(-pairs // COLUMNS)
        size = (GAP + COLUMNS * (BOX + GAP), HEADING_ROOM + rows * self.row_height)
        self.picture = Image.new("RGB", size, PAPER)
        self._draw = ImageDraw.Draw(self.picture)
        self._draw.text((GAP, HEADING_ROOM // 2), heading, INK, HEADING, anchor="lm")
        self._filled = 0

    def add(self, original: Path, original_name: str, result: Path, result_name: str) -> None:
        """Put one pair in the next free place."""
        row, column = divmod(self._filled, COLUMNS)
        left, top = GAP + column * (BOX + GAP), HEADING_ROOM + row * self.row_height
        if column == 0:
            self._draw.line((GAP, top - GAP // 2, self.picture.width - GAP, top - GAP // 2), RULE)
        self._place(original, original_name, left, top, BOX)
        self._place(result, result_name, left, top + BOX + CAPTION_ROOM, self.result_side)
        self._filled += 1

    def _place(self, file: Path, name: str, left: int, top: int, height: int) -> None:
        """Put a picture at the foot of a place `BOX` wide and `height` high, and its caption below."""
        with Image.open(file) as picture:
            shown = picture.convert("RGB")
        width, full_height = shown.size
        shown.thumbnail((BOX, height), Image.Resampling.LANCZOS)
        middle, foot = left + BOX // 2, top + height
        self.picture.paste(shown, (middle - shown.width // 2, foot - shown.height))
        detail = f"{width} x {full_height}, {readable_size(file.stat().st_size)}"
        self._draw.text((middle, foot + 8), name, INK, CAPTION, anchor="ma")
        self._draw.text((middle, foot + 28), detail, PALE, CAPTION, anchor="ma")


def readable_size(size: float) -> str:
    """A number of bytes for a person: `112.5 kB`."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"
