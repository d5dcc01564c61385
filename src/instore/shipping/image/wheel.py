"""A wheel of the instore that is running, so that an image gets the very one that wrote its Dockerfile.

It is made from the installed files, which takes no network and no build tool: instore is Python throughout.
"""

import base64
import hashlib
import importlib.metadata
import zipfile
from collections.abc import Iterator
from pathlib import Path

from instore.errors import ConfigurationError
from instore.version import __version__

_LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the same files make the same wheel
_TAG = "py3-none-any"


def build_wheel(folder: Path) -> Path:
    """Write the wheel."""
    name = f"instore-{__version__}"
    files = {f"instore/{path}": data for path, data in _sources(Path(__file__).parents[2])}
    files |= {f"{name}.dist-info/{path}": data for path, data in _metadata()}
    record = f"{name}.dist-info/RECORD"
    lines = [f"{path},sha256={_digest(data)},{len(data)}\n" for path, data in files.items()]
    files[record] = "".join([*lines, f"{record},,\n"]).encode()
    wheel = folder / f"{name}-{_TAG}.whl"
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, data in files.items():
            entry = zipfile.ZipInfo(path, _LONG_AGO)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return wheel


def _sources(folder: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path.relative_to(folder).as_posix(), path.read_bytes()


def _metadata() -> Iterator[tuple[str, bytes]]:
    try:
        installed = importlib.metadata.distribution("instore")
    except importlib.metadata.PackageNotFoundError as error:
        raise ConfigurationError("instore is not installed here; give a wheel of it with --wheel") from error
    for name in ("METADATA", "entry_points.txt"):
        text = installed.read_text(name)
        if text is None:
            raise ConfigurationError(f"this instore has no {name}; give a wheel of it with --wheel")
        yield name, text.encode()
    yield "WHEEL", f"Wheel-Version: 1.0\nGenerator: instore\nRoot-Is-Purelib: true\nTag: {_TAG}\n".encode()


def _digest(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
