"""Render each page of a PDF as a picture: `report.pdf` becomes `report/0001.png`, `report/0002.png` and so on.

    instore transform examples/pages.py documents pages --args dpi=150

Argument: `dpi`, points per inch (150). Either all pages of a document are there or none. A request for one object can
carry one result, so this is for jobs: `instore transform`, `instore.run`, the bucket jobs of `instore node`.
"""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pypdfium2

from instore import ETLServer, Result

MOST = 100_000_000  # points of a page: 0.4 GB of memory


@dataclass
class Options:
    dpi: int = 150

    def __post_init__(self) -> None:
        if not 10 <= self.dpi <= 2400:
            raise ValueError(f"dpi is {self.dpi}; it takes points per inch, from 10 to 2400")


class Pages(ETLServer):
    Args = Options

    def transform_many(self, data: bytes | str, path: str, args: Options) -> Iterator[Result]:
        name = PurePosixPath(self.object.name).with_suffix("")
        with opened(data if isinstance(data, bytes) else Path(data).read_bytes()) as document:
            for number, page in enumerate(document, 1):
                yield Result(rendered(page, number, args.dpi), name=f"{name}/{number:04}.png")

    def get_mime_type(self) -> str:
        return "image/png"


def opened(data: bytes) -> pypdfium2.PdfDocument:
    if b"%%EOF" not in data[-1024:]:  # PDFium makes what it can of one that breaks off
        raise ValueError("this is not a whole PDF: its end is missing")
    try:
        document = pypdfium2.PdfDocument(data)
    except pypdfium2.PdfiumError as error:
        raise ValueError(f"this is not a PDF that can be read: {error}") from None
    document.init_forms()  # what is filled in is shown
    return document


def rendered(page: pypdfium2.PdfPage, number: int, dpi: int) -> bytes:
    scale = dpi / 72
    width, height = page.get_size()
    if width * height * scale**2 > MOST:
        raise ValueError(
            f"page {number} has {width / 72:.0f} by {height / 72:.0f} inches, which is too large for {dpi} dpi"
        )
    file = io.BytesIO()
    page.render(scale=scale).to_pil().save(file, "PNG")
    return file.getvalue()
