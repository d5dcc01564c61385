"""What an answer means: the next hop's to us, and an ETL server's to the target (protocol sections 4 and 5).

`judge` is a table. The kind of hop decides what an empty 200 is: from a target "stored", from an ETL server an object
that happens to be empty.
"""

from enum import Enum

from instore.protocol.pipeline import Hop


class Verdict(Enum):
    """What we answer in turn."""

    DELIVERED = "204, with the number of bytes we sent"
    PASSED_ON = "204, with the number of bytes the next hop reports"
    CONTENT = "the next hop's status and its body: the object"
    FAILED = "the next hop's status and its body: an error"
    UNEXPECTED = "502: an answer that no next hop should give"


_VERDICTS: dict[tuple[Hop, int, bool], Verdict] = {
    # (kind of hop, its status, has it a body)
    (Hop.TARGET, 200, False): Verdict.DELIVERED,
    (Hop.TARGET, 204, False): Verdict.PASSED_ON,
    (Hop.ETL, 204, False): Verdict.PASSED_ON,
    (Hop.ETL, 200, True): Verdict.CONTENT,
    (Hop.ETL, 200, False): Verdict.CONTENT,
    (Hop.ETL, 202, True): Verdict.CONTENT,
    (Hop.ETL, 202, False): Verdict.CONTENT,
}


def judge(hop: Hop, status: int, has_body: bool) -> Verdict:
    """The meaning of a next hop's complete answer.

    A status below 400 that the table does not list (a redirect, a target's 200 with a body) would be read as content
    or as success by whoever asked us, and is neither: `UNEXPECTED`.
    """
    if status >= 400:
        return Verdict.FAILED
    return _VERDICTS.get((hop, status, has_body), Verdict.UNEXPECTED)
