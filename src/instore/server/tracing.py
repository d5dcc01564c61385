"""A span of OpenTelemetry for each object, with its stages (docs/operating.md#traces); for the extra `otel`."""

import asyncio
import threading
import time
from collections.abc import MutableMapping
from typing import Any

from instore.errors import ConfigurationError
from instore.protocol.environment import INSTORE_TRACES
from instore.server.entry import AccessLogEntry

try:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
except ImportError as error:
    raise ConfigurationError(
        f"{INSTORE_TRACES} needs OpenTelemetry, which is not installed: pip install 'instore[otel]' ({error})"
    ) from error

_LAST = 2.0  # seconds for what has not been sent at the end
_POLL = 0.02


class Tracing:
    """The spans of one process, sent where OpenTelemetry's own variables say."""

    def __init__(self, service_name: str) -> None:
        # A name that OpenTelemetry's own variables give comes before ours.
        resource = Resource({SERVICE_NAME: service_name}).merge(Resource(OTELResourceDetector().detect().attributes))
        self._provider = TracerProvider(resource=Resource.create().merge(resource), shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer("instore")
        self._propagator = TraceContextTextMapPropagator()

    def inject(self, entry: AccessLogEntry, headers: MutableMapping[str, str]) -> None:
        """Have the next hop's span be below this object's."""
        self._propagator.inject(headers, trace.set_span_in_context(self._span(entry)))

    def ended(self, entry: AccessLogEntry, fields: dict[str, Any]) -> None:
        """An object's way is over; `fields` are those of its outcome line."""
        span, now, clock = self._span(entry), time.perf_counter(), _clock()
        span.set_attributes({f"instore.{name}": value for name, value in fields.items()})
        if "error" in fields:
            span.set_status(trace.StatusCode.ERROR, fields["error"])
        if made := entry.made:
            context = trace.set_span_in_context(span)
            for stage, begin, end in (
                ("reading", entry.came, entry.asked),
                ("waiting", entry.asked, entry.begun),
                ("reading", entry.begun, entry.loaded),
                ("transforming", entry.loaded, made),
                ("delivering", entry.ready or made, now),
            ):
                child = self._tracer.start_span(stage, context, start_time=clock + _nanoseconds(begin))
                child.end(clock + _nanoseconds(end))
        span.end(clock + _nanoseconds(now))

    async def close(self) -> None:
        """Send what has not been sent, for as long as that may take."""
        sending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        sending.start()
        until = time.monotonic() + _LAST
        while sending.is_alive() and time.monotonic() < until:  # noqa: ASYNC110 - a thread can't be awaited
            await asyncio.sleep(_POLL)

    def _span(self, entry: AccessLogEntry) -> trace.Span:
        if entry.span is None:
            carrier = {name.decode("latin-1"): value.decode("latin-1") for name, value in entry.headers}
            entry.span = self._tracer.start_span(
                f"{entry.method} object",
                self._propagator.extract(carrier),
                trace.SpanKind.SERVER,
                start_time=_clock() + _nanoseconds(entry.began),
            )
        span: trace.Span = entry.span
        return span


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _clock() -> int:
    """What is added to a time by `perf_counter` to have one of the day, in nanoseconds."""
    return time.time_ns() - time.perf_counter_ns()
