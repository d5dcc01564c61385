"""Results that servers are asked to put to a target themselves.

A server's word that a result is delivered is not taken for it: each destination carries a number that nobody else
knows, what arrives under it is noted, and what arrives when nobody waits for it any more is refused. So an object that
was reported as failed does not turn up later, and one that was reported as done is there.
"""

import itertools
import re
import secrets
import threading
from dataclasses import dataclass, field

from instore.errors import AnswerError, NobodyWaitsError
from instore.node.cluster import Cluster, Target
from instore.protocol.pipeline import destination_entry
from instore.store.names import Bucket
from instore.store.writing import Upload

_NUMBER = "part"
_NUMBERED = re.compile(rf"(?:^|&){_NUMBER}=([0-9a-f]+)(?:&|$)".encode())
_OWT_TRANSFORM = "4"  # what AIStore's targets tell each other of a put's origin; ours don't ask


@dataclass(slots=True)
class ExpectedPut:
    """A result that is to arrive.

    Attributes:
        bucket, name: what it is to be.
        uname: these in one.
        owner: the target that is to keep it.
        number: what its destination carries.
        size: its bytes, once it is there; None before.
        over: nobody waits for it any more.
    """

    bucket: Bucket
    name: str
    uname: str
    owner: Target
    number: str
    size: int | None = None
    over: bool = False
    _mutex: threading.Lock = field(default_factory=threading.Lock)

    def keep(self, upload: Upload) -> None:
        """Give what has arrived its name, unless it has come too late. It blocks."""
        with self._mutex:
            if self.over:
                raise NobodyWaitsError(f"nobody waits for {self.bucket.object(self.name)} any more")
            self.size = upload.commit().size

    def give_up(self) -> int | None:
        """Wait no longer."""
        with self._mutex:
            self.over = True
        return self.size

    def entry(self, job_id: str) -> str:
        """The destination as the last entry of a pipeline."""
        query = f"uuid={job_id}&owt={_OWT_TRANSFORM}&{_NUMBER}={self.number}"
        return destination_entry(self.owner.url, self.uname, query)


class ExpectedPuts:
    """All results that are expected."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._expected: dict[str, ExpectedPut] = {}
        self._start = secrets.token_hex(8)  # another one for each node: no number means two things
        self._numbers = itertools.count()

    def expect(self, bucket: Bucket, name: str) -> ExpectedPut:
        """Expect an object, until `settle`."""
        uname, owner = self._cluster.placed(bucket, name)
        expected = ExpectedPut(bucket, name, uname, owner, f"{self._start}{next(self._numbers):x}")
        self._expected[expected.number] = expected
        return expected

    def find(self, uname: str, query: bytes) -> ExpectedPut:
        """What a put is for."""
        number = _NUMBERED.search(query)
        expected = self._expected.get(number[1].decode()) if number else None
        if expected is None or expected.uname != uname:
            raise NobodyWaitsError(f"nobody waits for {uname}, or not any more")
        return expected

    def settle(self, expected: ExpectedPut) -> int | None:
        """Expect it no longer."""
        self._expected.pop(expected.number, None)
        return expected.give_up()


def size_of(expected: ExpectedPut) -> int:
    """Bytes of a result that a server says it has delivered."""
    if expected.size is None:
        raise AnswerError(
            f"the server says that {expected.bucket.object(expected.name)} is delivered, and nothing has arrived"
        )
    return expected.size
