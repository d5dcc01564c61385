"""Compute each file's SHA-256, in constant memory, as the line that the command sha256sum prints.

    instore transform examples/checksums.py photos checksums

The lines name the files as they lie under `photos`, so all of them together check the folder:

    find checksums -type f -exec cat {} + > SHA256SUMS
    cd photos && sha256sum --check ../SHA256SUMS
"""

import hashlib
import re
from collections.abc import Iterator
from typing import BinaryIO

from instore import ETLServer

PIECE = 1024 * 1024
BUCKET = re.compile(r"((ais|aws|gcp|azure|oci|ht)/@[^/]*/)?[^/]*/")  # what stands before the object's own name


class Checksums(ETLServer):
    def transform_stream(self, reader: BinaryIO, path: str, etl_args: str) -> Iterator[bytes]:
        digest = hashlib.sha256()
        while piece := reader.read(PIECE):
            digest.update(piece)
        has_bucket = bool(self.object.bucket)  # over WebSocket none comes
        yield line(digest.hexdigest(), BUCKET.sub("", path, count=1) if has_bucket else path)

    def get_mime_type(self) -> str:
        return "text/plain"


def line(checksum: str, name: str) -> bytes:
    """A line of sha256sum: a name that would break it is escaped, and a backslash in front says so."""
    escaped = name.replace("\\", r"\\").replace("\n", r"\n").replace("\r", r"\r")
    mark = "\\" if escaped != name else ""
    return f"{mark}{checksum}  {escaped}\n".encode(errors="surrogateescape")
