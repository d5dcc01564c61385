"""`instore.testing.check`: it passes what is right, and says what is wrong with the rest."""

from pathlib import Path

import pytest

from instore.testing import Answer, Server, check
from tests.support.servers import TRANSFORMS
from tests.testing.transforms import ByPath, Counts, Picky


@pytest.mark.parametrize("name", [pytest.param("buffered", marks=pytest.mark.whole), "streamed"])
def test_a_transform_that_is_right_passes(name: str) -> None:
    check(TRANSFORMS / f"{name}.py", {"b/empty": b"", "b/x": b"x", "b/long": b"ab" * 100_000})


@pytest.mark.whole
def test_files_are_samples_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    check(TRANSFORMS / "buffered.py", [tmp_path / "a.txt"], args="args")


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (ByPath, r"b/o, pull: another result than by put: 10 bytes against 3, the first difference at byte 0"),
        pytest.param(Counts, r"b/o, put again: .* b'2' against b'1'", marks=pytest.mark.whole),
        pytest.param(Picky, r"b/o, put: no result: .*: too long\n  at .*transforms.py", marks=pytest.mark.whole),
    ],
)
def test_what_is_wrong_is_said_with_its_sample_and_its_way(cls: type, sentence: str) -> None:
    with pytest.raises(AssertionError, match=sentence):
        check(cls, {"b/o": b"xyz"})


def test_no_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        check(TRANSFORMS / "buffered.py", {})


def test_a_result_of_a_part_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    class Uncut(Server):
        """Sends all of the object where a part was to be sent: as if the server had made a result of that."""

        def pull(self, name: str, data: bytes, args: str = "", *, cut: bool = False) -> Answer:
            return super().pull(name, data, args)

    monkeypatch.setattr("instore.testing.checks.Server", Uncut)
    with pytest.raises(AssertionError, match="b/o, pull: the object was cut off in its middle, and a result of 3 byte"):
        check(TRANSFORMS / "buffered.py", {"b/o": b"x"})
