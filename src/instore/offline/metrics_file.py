"""How a job ended, in a file that Prometheus' node exporter reads (its textfile collector)."""

import os
import time
from collections.abc import Iterator, Mapping

from prometheus_client import Metric, write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from instore.errors import ConfigurationError
from instore.offline.tally import JobReport
from instore.system.printable import printable

_OUTCOMES = ("done", "already_there", "skipped", "failed")
_SUFFIX = ".prom"


class MetricsFile(Collector):
    """A file that is replaced when a job has ended.

    Args:
        path: the file.
        source, destination: of the job. They are its metrics' labels, for several jobs may have a file each.
    """

    def __init__(self, path: str, source: str, destination: str) -> None:
        self._path = path
        self._labels = {"source": printable(source), "destination": printable(destination)}
        self._report: JobReport
        folder = os.path.dirname(os.path.abspath(path))
        if not path.endswith(_SUFFIX):
            raise ConfigurationError(
                f"--metrics {printable(path)}: the node exporter reads only files that end in {_SUFFIX}"
            )
        if os.path.isdir(path) or not os.access(folder, os.W_OK | os.X_OK):
            raise ConfigurationError(f"--metrics {printable(path)} can't be written; name a file in a folder that can")

    def write(self, report: JobReport) -> None:
        """Replace the file."""
        self._report = report
        write_to_textfile(self._path, self)

    def collect(self) -> Iterator[Metric]:
        """The metrics of the job."""
        report = self._report
        outcomes = {outcome: getattr(report, outcome) for outcome in _OUTCOMES}
        yield self._gauge("objects", "Objects of the last job, by outcome", "outcome", outcomes)
        sizes = {"in": report.source_bytes, "out": report.result_bytes}
        yield self._gauge("bytes", "Bytes of the objects that it did, and of their results", "direction", sizes)
        yield self._gauge("seconds", "How long it took", "", {"": report.seconds})
        yield self._gauge("complete", "1: nothing is left to be done", "", {"": float(report.ok)})
        yield self._gauge("ended_timestamp_seconds", "When it ended", "", {"": time.time()})

    def _gauge(self, name: str, documentation: str, label: str, values: Mapping[str, float]) -> Metric:
        names = [*self._labels, *([label] if label else [])]
        family = GaugeMetricFamily(f"instore_transform_{name}", documentation, labels=names)
        for key, value in values.items():
            family.add_metric([*self._labels.values(), *([key] if label else [])], value)
        return family
