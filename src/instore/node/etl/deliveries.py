"""Results that servers are asked to put to a target themselves.

A server's word that a result is delivered is not taken for it: each destination carries a number that nobody else
knows, what arrives under it is noted, and what arrives when nobody waits for it any more is refused. So an object that
was reported as failed does not turn up later, and one that was reported as done is there.
"""

import secrets
from dataclasses import dataclass

from instore.errors import AnswerError
from instore.node.cluster import Cluster, Target
from instore.protocol.pipeline import destination_entry
from instore.target.bucket import Bucket

NUMBER = "part"
_OWT_TRANSFORM = "4"  # what AIStore's targets tell each other of a put's origin; ours don't ask


@dataclass(slots=True)
class Expected:
    """A result that is to arrive.

    Attributes:
        bucket, name: what it is to be.
        owner: the target that is to keep it.
        number: what its destination carries.
        size: its bytes, once it is there; None before.
    """

    bucket: Bucket
    name: str
    owner: Target
    number: str
    size: int | None = None

    def entry(self, job_id: str) -> str:
        """The destination as the last entry of a pipeline."""
        query = {"uuid": job_id, "owt": _OWT_TRANSFORM, NUMBER: self.number}
        return destination_entry(self.owner.url, str(self.bucket.uname(self.name)), query)


class Deliveries:
    """All results that are expected.

    Args:
        cluster: who keeps which object.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._expected: dict[str, Expected] = {}

    def expect(self, bucket: Bucket, name: str) -> Expected:
        """Expect an object, until `settle`."""
        expected = Expected(bucket, name, self._cluster.owner(bucket, name), secrets.token_hex(8))
        self._expected[expected.number] = expected
        return expected

    def find(self, number: str, bucket: Bucket, name: str) -> Expected | None:
        """What a put with this number is for; None if nobody waits for it."""
        expected = self._expected.get(number)
        return expected if expected is not None and (expected.bucket, expected.name) == (bucket, name) else None

    def settle(self, expected: Expected) -> None:
        """Expect it no longer."""
        self._expected.pop(expected.number, None)


def size_of(expected: Expected) -> int:
    """Bytes of a result that a server says it has delivered.

    Raises:
        AnswerError: it has not.
    """
    if expected.size is None:
        raise AnswerError(
            f"the server says that {expected.bucket.object(expected.name)} is delivered, and nothing has arrived"
        )
    return expected.size
