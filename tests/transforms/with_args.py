from dataclasses import dataclass, field
from typing import Literal

from instore import ETLServer


@dataclass
class Size:
    side: int = 256
    quality: float = 0.8
    mode: Literal["fit", "fill"] = "fit"
    crop: bool = False
    tags: list[str] = field(default_factory=list)

    def __post_init__(self):
        if self.side < 1:
            raise ValueError("side must be at least 1")


class WithArgs(ETLServer):
    Args = Size

    def transform(self, data, path, args):
        told = f"{args.side} {args.quality} {args.mode} {args.crop} {args.tags}"
        args.side = -1  # what one object does to its arguments is nobody else's
        args.tags.append("changed")
        return told.encode()
