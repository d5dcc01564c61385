"""The ETL subsystem of a node: the target's side of the wire, and its REST API."""

from instore.etl.images import Images
from instore.node.api.direct_puts import PREFIX, Door
from instore.node.api.etls import EtlCalls
from instore.node.etls.expected_puts import Deliveries
from instore.node.etls.inline import Inline
from instore.node.etls.manager import Etls
from instore.node.jobs.offline_etl import TransformJobs
from instore.node.request import Node


def add_etls(node: Node, images: Images, redirects: bool) -> None:
    """Give a node its ETLs; before it starts.

    Args:
        node: the node.
        images: what can be run here.
        redirects: whether clients are on this machine, and so can be sent to the ETLs' servers.
    """
    cluster = node.cluster
    etls = Etls(cluster, images)
    deliveries = Deliveries(cluster)
    jobs = TransformJobs(node, etls, deliveries)
    calls = EtlCalls(etls, jobs)
    node.raw[PREFIX] = node.shortcut = Door(cluster, etls, deliveries)
    node.resources["etl"] = calls.resource
    node.actions["POST", "etl-bck"] = calls.transform_bucket
    node.actions["POST", "etl-listrange"] = calls.transform_objects
    node.transforms = Inline(cluster, etls, deliveries, redirects)
    node.starting.append(etls.open)
    node.stopping += [node.jobs.close, etls.close]  # first the jobs, lest they blame their ETLs
