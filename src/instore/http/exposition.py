"""Metrics in the forms that Prometheus reads.

The library is imported when metrics are first asked for: a tenth of a second that no start has to wait.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from instore.http.request import Headers

if TYPE_CHECKING:
    from prometheus_client import Metric

Collect = Callable[[], "Iterable[Metric]"]


async def expose(collect: Collect, headers: Headers) -> tuple[bytes, str]:
    """What `collect` gives, called in a thread, in the form that a request's `headers` ask for; and its media type."""
    accept = b",".join(value for name, value in headers if name == b"accept").decode("latin-1")
    return await asyncio.get_running_loop().run_in_executor(None, exposition, collect, accept)


def exposition(collect: Collect, accept: str = "") -> tuple[bytes, str]:
    """The same, at once."""
    from prometheus_client.exposition import choose_encoder
    from prometheus_client.registry import Collector, CollectorRegistry

    class Collected(Collector):
        def collect(self) -> "Iterable[Metric]":
            return collect()

    registry = CollectorRegistry(auto_describe=False)
    registry.register(Collected())
    try:
        encode, media_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is none
        encode, media_type = choose_encoder("")
    return encode(registry), media_type
