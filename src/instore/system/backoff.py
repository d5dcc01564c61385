"""Exponential back-off with jitter."""

import random


def backoff(attempt: int, first: float, most: float) -> float:
    """Seconds to wait after the failed attempt number `attempt`, counted from 0.

    Args:
        attempt: which.
        first: seconds after the first; each further pause is twice as long.
        most: seconds at most.
    """
    return min(first * 2.0**attempt, most) * random.uniform(0.5, 1.0)  # noqa: S311
