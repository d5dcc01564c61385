"""The ETL subsystem of a node: the target's side of the wire, and its REST API."""

from instore.node.calls import Node
from instore.node.etl.calls import EtlCalls
from instore.node.etl.deliveries import Deliveries
from instore.node.etl.door import PREFIX, Door
from instore.node.etl.inline import Inline
from instore.node.etl.jobs import TransformJobs
from instore.node.etl.lifecycle import Etls
from instore.target.images import Images


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
