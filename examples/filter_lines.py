"""Keep the lines that match a regular expression, as grep does, in constant memory however large the file is.

    instore transform examples/filter_lines.py logs errors --args 'ERROR|FATAL'

`etl_args` is the pattern, in Python's syntax. It is searched for anywhere in the line; `(?i)` in front ignores case.
Lines come out byte for byte as they went in, also where they are not UTF-8.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO

from instore import ETLServer


class FilterLines(ETLServer):
    def transform_stream(self, reader: BinaryIO, path: str, etl_args: str) -> Iterator[bytes]:
        pattern = read_pattern(etl_args)
        for line in reader:
            if pattern.search(line.rstrip(b"\r\n").decode(errors="surrogateescape")):
                yield line

    def get_mime_type(self) -> str:
        return "text/plain"


def read_pattern(etl_args: str) -> re.Pattern[str]:
    if not etl_args:
        raise ValueError("etl_args is empty; give the pattern to look for, for example 'ERROR|FATAL'")
    try:
        return re.compile(etl_args)
    except re.error as error:
        raise ValueError(f"etl_args is {etl_args!r}, which is not a regular expression: {error}") from None
