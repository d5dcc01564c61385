"""Whether there are spans of OpenTelemetry, and what the server asks of them."""

from collections.abc import MutableMapping
from typing import Any, Protocol

from instore.protocol.environment import Environment
from instore.server.entry import AccessLogEntry


class Spans(Protocol):
    """Makes a span for each object."""

    def inject(self, entry: AccessLogEntry, headers: MutableMapping[str, str]) -> None:
        """Add to a next hop's headers what makes its span one below this object's."""

    def ended(self, entry: AccessLogEntry, fields: dict[str, Any]) -> None:
        """An object's way is over; `fields` are those of its outcome line."""

    async def close(self) -> None:
        """Send what has not been sent."""


def tracing(environment: Environment, service_name: str) -> Spans | None:
    """What makes the spans, if they are asked for; it comes with the extra `otel`."""
    if not environment.traces:
        return None
    from instore.server.tracing import Tracing

    return Tracing(service_name)
