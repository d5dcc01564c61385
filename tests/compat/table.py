"""The transformers that are compared, and what each is asked."""

import gzip
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache

from PIL import Image

from tests.compat.asks import Ask, Way
from tests.compat.commands import Kind

_TEXT = b"three\none\ntwo\n"
_LINES = "\n".join(json.dumps({"id": n, "naïve": "ß", "text": "x" * n}) for n in range(3)).encode()
_MANIFEST = b"\n".join(json.dumps({"name": f"m/{n}.txt", "content": "0123456789" * n}).encode() for n in range(40))
_OPTIONS = '{"keep": {"id": "a&b=c+d", "naïve": "1 % 41, \\"two\\""}}'


def _picture() -> bytes:
    out = io.BytesIO()
    Image.radial_gradient("L").resize((64, 48)).save(out, format="PNG")
    return out.getvalue()


@dataclass(frozen=True)
class Transformer:
    """A file of `transformers/`.

    Attributes:
        cls: its class.
        samples: objects and `etl_args` that it is given, each in every way.
        variables: further environment.
        streamed: it overrides `transform_stream`.
        client: it uses the official client.
    """

    cls: str
    samples: tuple[tuple[bytes, str], ...]
    variables: Mapping[str, str] = field(default_factory=dict)
    streamed: bool = False
    client: bool = False


@cache
def transformers() -> dict[str, Transformer]:
    """All of them, by their files' names."""
    return {
        "echo": Transformer("Echo", ((_TEXT, ""), (bytes(range(256)) * 8192, ""))),
        "md5": Transformer("MD5", ((_TEXT, ""),)),
        "seeded_hash": Transformer("SeededHash", ((_TEXT, ""), (_TEXT, "99")), {"SEED_DEFAULT": "13"}),
        "compress": Transformer(
            "Compress",
            (
                (_TEXT, ""),
                (_TEXT, '{"compression": "bz2"}'),
                (gzip.compress(_TEXT), '{"mode": "decompress"}'),
                (_TEXT, '{"mode": "decompress"}'),
            ),
        ),
        "json_options": Transformer("JSONOptions", ((_LINES, _OPTIONS), (_LINES, "{not json"))),
        "command": Transformer("Command", ((_TEXT, ""), (_TEXT, "-u -r")), {"ETL_DIRECT_FQN": "true"}),
        "tar_members": Transformer("TarMembers", ((_MANIFEST, ""), (_MANIFEST, "500")), streamed=True),
        "resize": Transformer("Resize", ((_picture(), ""), (_picture(), '{"width": 20, "height": 30}'))),
        "rename": Transformer("Rename", ((_TEXT, ""),), client=True),
        "heavy_start": Transformer(
            "HeavyStart", ((_TEXT, ""),), {"DIRECT_PUT": "true", "AIS_AUTHN_TOKEN": "t0ken-t0ken"}
        ),
        "failing": Transformer(
            "Failing", tuple((_TEXT, how) for how in ("", "key", "file", "pipeline", "transient", "bail"))
        ),
        "sleeping": Transformer("Sleeping", ((_TEXT, ""), (_TEXT, "0.2"))),
    }


def asks(transformer: Transformer, kind: Kind) -> Iterator[Ask]:
    """Everything that a server of `kind` is asked."""
    ways = [Way.PUT, Way.CHUNKED, Way.FILE, Way.FILE_GET, Way.PULL]
    if kind.websocket:
        ways += [Way.WS, Way.WS_FILE]
    for data, args in transformer.samples:
        for way in ways:
            yield Ask(way, data, args)
            yield Ask(way, data, args, "target")
    for way in ways:
        yield Ask(way, b"")
        yield Ask(way, b"", next="target")
    yield Ask(Way.PUT, _TEXT, next="http://a:1,,http://b:2")
    for way in (Way.FILE, Way.PULL):
        yield Ask(way, None)
