import pytest

from instore.system.backoff import backoff


@pytest.mark.parametrize(("attempt", "longest"), [(0, 1.0), (1, 2.0), (4, 16.0), (5, 30.0), (2000, 30.0)])
def test_a_pause_is_twice_the_one_before_and_has_a_limit(attempt: int, longest: float) -> None:
    pauses = {backoff(attempt, 1.0, 30.0) for _ in range(200)}
    assert len(pauses) > 100, "all who wait would try again at once"
    assert longest / 2 <= min(pauses) <= max(pauses) <= longest
