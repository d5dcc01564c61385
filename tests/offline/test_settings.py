import pytest

from instore.errors import ConfigurationError
from instore.offline.settings import FailureLimit, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("0.5", 0.5), ("1.5m", 90), ("2h", 7200), (" 5 m ", 300)]
)
def test_a_time_is_a_number_with_or_without_a_unit(text: str, seconds: float) -> None:
    assert parse_duration("--timeout", text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "5d", "1e3", "m", "1m30s", "inf"])
def test_what_is_no_time_is_said(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--timeout .*is no time; write seconds, or 90s"):
        parse_duration("--timeout", text)


@pytest.mark.parametrize(
    ("text", "objects", "most"), [("0", 9, 0), ("10", 9, 10), ("5%", 99, 4), ("100%", 7, 7), ("0.5%", 1000, 5)]
)
def test_a_limit_is_a_number_or_a_share(text: str, objects: int, most: int) -> None:
    assert FailureLimit.parse("--max-failures", text).of(objects) == most


@pytest.mark.parametrize("text", ["", "-1", "5.5", "101%", "%", "many"])
def test_what_is_no_limit_is_said(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^--max-failures .*is no limit; write a number"):
        FailureLimit.parse("--max-failures", text)
