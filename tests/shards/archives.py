"""Archives as other programs make them, and what is in one, as they read it."""

import gzip
import io
import os
import subprocess
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from instore.shards.stream import zstd

KINDS = ("tar", "tar.gz", "tar.zst", "zip")
FILES = {"a/b.txt": b"first", "a/c.bin": bytes(range(256)) * 5, "empty": b"", "n" * 140 + "/" + "m" * 90: b"long"}


def tar(files: Mapping[str, bytes] = FILES, form: int = tarfile.GNU_FORMAT, mtime: float = 1_700_000_000) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size, info.mtime, info.mode, info.uname = len(content), mtime, 0o640, "someone"
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def shard(kind: str, files: Mapping[str, bytes] = FILES) -> bytes:
    match kind:
        case "tar":
            return tar(files)
        case "tar.gz":
            return gzip.compress(tar(files))
        case "tar.zst":
            compressed: bytes = zstd().compress(tar(files))
            return compressed
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def content(kind: str, data: bytes) -> dict[str, bytes]:
    """What the standard library finds in a shard, in its order; every checksum is checked."""
    if kind == "zip":
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return {name: archive.read(name) for name in archive.namelist()}
    if kind == "tar.gz":
        data = gzip.decompress(data)
    if kind == "tar.zst":
        data = zstd().decompress(data)
    with tarfile.open(fileobj=io.BytesIO(data), ignore_zeros=True) as archive:
        found = {}
        for info in archive:
            file = archive.extractfile(info)
            found[info.name] = file.read() if file is not None else b""
        return found


def by_tar(folder: Path, *options: str) -> bytes:
    """What the program `tar` makes of a folder."""
    command = ["tar", "-C", str(folder), "-cf", "-", "--sort=name", *options, "."]
    return subprocess.run(command, check=True, capture_output=True).stdout


def with_holes(path: Path, holes: int = 1) -> None:
    """A file whose blocks of data stand far apart."""
    with path.open("wb") as file:
        for number in range(holes):
            file.seek(number << 20)
            file.write(b"data")
        file.truncate(holes << 20)
    assert os.stat(path).st_blocks * 512 < holes << 19
