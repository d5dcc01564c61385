"""How long to wait before the next try."""

import random


def backoff(attempt: int, first: float, longest: float) -> float:
    """Seconds to wait after failed attempt `attempt`, counted from 0: twice as long each time, with jitter."""
    return min(first * 2.0 ** min(attempt, 64), longest) * random.uniform(0.5, 1.0)  # noqa: S311
