import json
from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

from instore import ETLServer


@dataclass(kw_only=True)
class Mark:
    """What is written where.

    Attributes:
        text: the corner's text
    """

    side: Annotated[int, Meta(ge=1, le=4096, description="of the square, in pixels")] = 256
    text: str
    angle: float | None = None


class Marked(ETLServer):
    Args = Mark

    def transform(self, data, path, args):
        return json.dumps([args.side, args.text, args.angle]).encode()
