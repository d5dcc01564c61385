"""/metrics of the node: requests, ETLs, jobs (docs/operating.md#metrics)."""

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from starlette.responses import Response

from instore.http.exposition import expose
from instore.http.request import Request
from instore.node.request import Answer, Node, NodeRequest
from instore.version import __version__

if TYPE_CHECKING:
    from prometheus_client import Metric

_METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE")


class NodeMetrics:
    """What one node counts, in its event loop's thread.

    Attributes:
        in_progress: requests under way.
        body_memory: bytes of all bodies that are in memory whole.
    """

    def __init__(self, node: Node) -> None:
        self.in_progress = 0
        self.body_memory = 0
        self._node = node
        self._requests: Counter[tuple[str, int]] = Counter()

    def ended(self, request: Request) -> None:
        """A request is over."""
        method = request.method if request.method in _METHODS else "other"
        self._requests[method, request.status] += 1

    async def answer(self, call: NodeRequest) -> Answer:
        """Answer a request for the metrics."""
        text, media_type = await expose(self._families, call.incoming.headers)
        return Response(text, headers={"content-type": media_type})

    def _families(self) -> "Iterator[Metric]":
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily

        yield InfoMetricFamily("instore_build", "The version of instore", {"version": __version__})
        requests = CounterMetricFamily(
            "instore_node_requests", "Requests, by status; 0: no answer began", labels=["method", "status"]
        )
        for (method, status), number in list(self._requests.items()):
            requests.add_metric([method, str(status)], number)
        yield requests
        yield GaugeMetricFamily("instore_node_requests_in_progress", "Requests under way", self.in_progress)
        yield GaugeMetricFamily(
            "instore_body_memory_bytes", "Bytes of all bodies that are in memory whole", self.body_memory
        )
        objects = CounterMetricFamily("instore_node_etl_objects", "Objects that an ETL has transformed", labels=["etl"])
        results = CounterMetricFamily("instore_node_etl_result_bytes", "Bytes of an ETL's results", labels=["etl"])
        for etl, (number, size) in self._node.etl_totals().items():
            objects.add_metric([etl], number)
            results.add_metric([etl], size)
        yield objects
        yield results
        jobs = GaugeMetricFamily("instore_node_jobs", "Jobs that run", labels=["kind"])
        for kind, number in Counter(job.kind for job in self._node.jobs.find(running=True)).items():
            jobs.add_metric([kind], number)
        yield jobs
