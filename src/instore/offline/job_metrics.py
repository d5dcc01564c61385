"""How a job ended, for Prometheus: in a file that its node exporter reads, or sent to a push gateway."""

import os
import time
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from prometheus_client import Metric, push_to_gateway, write_to_textfile
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from instore.errors import ConfigurationError
from instore.offline.tally import JobReport
from instore.system.printable import printable

_OUTCOMES = ("done", "already_there", "skipped", "failed")
_SUFFIX = ".prom"
_GROUP = "instore_transform"  # the `job` of what the gateway keeps
_SECONDS = 10.0  # for the gateway to answer


class JobMetrics(Collector):
    """A job's metrics, which are told when it has ended.

    Args:
        place: file (`….prom`), or the gateway's URL.
        source, destination: of the job. They are its metrics' labels, for several jobs may be told of in one place.
    """

    def __init__(self, place: str, source: str, destination: str) -> None:
        self._place = place
        self._labels = {"source": printable(source), "destination": printable(destination)}
        self._report: JobReport
        self._is_pushed = "://" in place
        if self._is_pushed:
            _check_gateway(place)
        else:
            _check_file(place)

    def write(self, report: JobReport) -> None:
        """Tell them, in place of those of the same job before.

        Raises:
            ConfigurationError: the gateway didn't take them.
            OSError: the file can't be written.
        """
        self._report = report
        if not self._is_pushed:
            write_to_textfile(self._place, self)
            return
        try:
            push_to_gateway(self._place, _GROUP, self, self._labels, _SECONDS)
        except OSError as error:
            raise ConfigurationError(
                f"the job is over, but --metrics {printable(self._place)} was not told: {error}"
            ) from error

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


def _check_gateway(url: str) -> None:
    parts = urlsplit(url)
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        or parts.query
        or parts.fragment
        or parts.username is not None
    ):
        raise ConfigurationError(
            "--metrics: a push gateway's URL is a host and perhaps a path, as http://gateway:9091, without a password"
        )


def _check_file(path: str) -> None:
    folder = os.path.dirname(os.path.abspath(path))
    if not path.endswith(_SUFFIX):
        raise ConfigurationError(
            f"--metrics {printable(path)}: the node exporter reads only files that end in {_SUFFIX}; "
            "a push gateway is named by its URL, http://…"
        )
    if os.path.isdir(path) or not os.access(folder, os.W_OK | os.X_OK):
        raise ConfigurationError(f"--metrics {printable(path)} can't be written; name a file in a folder that can")
