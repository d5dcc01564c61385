"""The object in pieces, unchanged."""

from collections.abc import Iterator
from typing import BinaryIO

from instore import ETLServer


class Transform(ETLServer):
    def transform_stream(self, reader: BinaryIO, path: str, etl_args: str) -> Iterator[bytes]:
        while piece := reader.read(1 << 20):
            yield piece
