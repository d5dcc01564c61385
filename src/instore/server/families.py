"""The metrics of an ETL server, made of what all workers of its port have counted (docs/operating.md#metrics)."""

from collections.abc import Iterator, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily

from instore.server.metrics import (
    BEATS,
    BOUNDS,
    BYTES_IN,
    BYTES_OUT,
    HISTOGRAMS,
    IN_PROGRESS,
    MEMORY,
    OBJECTS,
    QUEUED,
    RECYCLED,
    REFUSED,
    RESTARTS,
    RETRIES,
    SUM,
    Page,
)
from instore.version import __version__

_WAYS = frozenset(
    {
        ("PUT", "body"),
        ("PUT", "file"),
        ("GET", "target"),
        ("GET", "file"),
        ("POST", "url"),
        ("WS", "body"),
        ("WS", "file"),
    }
)
"""The methods and sources that there are from the start, so that the first object of one is seen as an increase."""
_COUNTERS = {
    "instore_direct_put_retries": (RETRIES, "Direct puts that were tried again"),
    "instore_worker_restarts": (RESTARTS, "Worker processes that had died, or were stuck, and were replaced"),
    "instore_workers_recycled": (RECYCLED, "Worker processes that were replaced while they served"),
    "instore_refused": (REFUSED, "Requests answered 503 because too many objects waited"),
}
_GAUGES = {
    "instore_objects_in_progress": (IN_PROGRESS, "Objects that have come and have no outcome yet"),
    "instore_objects_waiting": (QUEUED, "Objects that wait for a thread"),
    "instore_body_memory_bytes": (MEMORY, "Bytes of all bodies that are in memory whole"),
}
_STAGES = {
    "waiting": "Seconds that an object waited for a thread",
    "reading": "Seconds until an object's bytes were there; of a stream: until it was opened",
    "transforming": "Seconds in the transform; of a stream: with its reading and sending",
    "delivering": "Seconds from a result, or its beginning, until it was where it belongs",
}


def families(pages: Sequence[Page]) -> Iterator[Metric]:
    """All metrics."""
    total = [sum(numbers) for numbers in zip(*pages, strict=True)]
    yield InfoMetricFamily("instore_build", "The version of instore", {"version": __version__})
    serving = sum(page[BEATS] > 0 for page in pages)
    yield GaugeMetricFamily("instore_workers", "Worker processes that serve this port", serving)
    yield _objects(total)
    moved = CounterMetricFamily("instore_bytes", "Bytes of objects read, and of results sent", labels=["direction"])
    moved.add_metric(["in"], total[BYTES_IN])
    moved.add_metric(["out"], total[BYTES_OUT])
    yield moved
    for stage, documentation in _STAGES.items():
        yield _histogram(stage, documentation, total[HISTOGRAMS[stage] :])
    for name, (number, documentation) in _COUNTERS.items():
        yield CounterMetricFamily(name, documentation, total[number])
    for name, (number, documentation) in _GAUGES.items():
        yield GaugeMetricFamily(name, documentation, total[number])


def _objects(total: Sequence[float]) -> Metric:
    family = CounterMetricFamily("instore_objects", "Objects, by outcome", labels=["method", "source", "outcome"])
    for labels, number in OBJECTS.items():
        if total[number] or labels[:2] in _WAYS:
            family.add_metric(labels, total[number])
    return family


def _histogram(stage: str, documentation: str, numbers: Sequence[float]) -> Metric:
    buckets, so_far = [], 0.0
    for bound, number in zip((*map(str, BOUNDS), "+Inf"), numbers, strict=False):
        so_far += number
        buckets.append((bound, so_far))
    return HistogramMetricFamily(f"instore_{stage}_seconds", documentation, buckets, numbers[SUM])
