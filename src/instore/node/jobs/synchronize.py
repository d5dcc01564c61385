"""What a job that synchronizes deletes: results whose objects are gone from the source."""

from collections.abc import Mapping
from typing import Any

from instore.errors import InvalidRequestError, ObjectNotFoundError
from instore.node.cluster import Cluster
from instore.offline.naming import Naming
from instore.offline.selection import Selection
from instore.store.names import Bucket


def check_synchronize(source: Bucket, destination: Bucket, message: Mapping[str, Any]) -> None:
    """See whether a job may synchronize, if it is to."""
    if message.get("synchronize") and source == destination:
        raise InvalidRequestError(
            f"synchronizing {source} with itself would delete objects that no job has made; name another bucket"
        )


def remove_stale(cluster: Cluster, source: Bucket, destination: Bucket, selection: Selection, naming: Naming) -> None:
    """Delete results in the destination whose objects are gone from the source. It blocks.

    Only names that the job itself could have given are looked at, and only where a name tells its object: an
    extension that was mapped is looked for under all that lead to it.
    """
    start = naming.prepend + (selection.prefix if selection.by_prefix else "")
    given = None if selection.by_prefix else set(selection.given())
    for result, target in list(cluster.walk(destination, start)):
        origins = [name for name in naming.origins(result) if given is None or name in given]
        if origins and not any(_is_there(cluster, source, name) for name in origins):
            target.store.delete(destination, result)


def _is_there(cluster: Cluster, bucket: Bucket, name: str) -> bool:
    try:
        cluster.owner(bucket, name).store.stat(bucket, name)
    except ObjectNotFoundError:
        return False
    return True
