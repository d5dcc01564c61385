"""The ETL subsystem of a node: the target's side of the wire, and its REST API."""

from instore.etl.images import Images
from instore.node.api.direct_puts import PREFIX, DirectPutHandler
from instore.node.api.etls import ETLHandlers
from instore.node.etls.expected_puts import ExpectedPuts
from instore.node.etls.inline import Inline
from instore.node.etls.manager import ETLManager
from instore.node.jobs.offline_etl import TransformJobs
from instore.node.request import Node


def add_etls(node: Node, images: Images, redirects: bool) -> None:
    """Give a node its ETLs; before it starts."""
    cluster = node.cluster
    etls = ETLManager(cluster, images)
    expected_puts = ExpectedPuts(cluster)
    jobs = TransformJobs(node, etls, expected_puts)
    calls = ETLHandlers(etls, jobs)
    node.raw[PREFIX] = DirectPutHandler(cluster, etls, expected_puts).serve
    node.resources["etl"] = calls.resource
    node.actions["POST", "etl-bck"] = calls.transform_bucket
    node.actions["POST", "etl-listrange"] = calls.transform_objects
    node.transforms = Inline(cluster, etls, expected_puts, redirects)
    node.etl_totals = etls.totals
    node.starting.append(etls.open)
    node.stopping += [node.jobs.close, etls.close]  # first the jobs, lest they blame their ETLs
