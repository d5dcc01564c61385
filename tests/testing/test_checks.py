"""`instore.testing.check`: it passes what is right, and says what is wrong with the rest."""

import re
from pathlib import Path

import pytest

from instore.testing import Answer, Server, check
from tests.support.servers import TRANSFORMS
from tests.testing.transforms import (
    ByPath,
    Counts,
    Described,
    DescribesByPath,
    FailsMessages,
    NamesBodies,
    NamesMessages,
    Pads,
    Picky,
    Reverses,
    Skips,
    SkipsBodies,
    SkipsFiles,
    SkipsMessages,
    SkipsStreams,
    SkipsTogether,
    Splits,
    SplitsByPath,
)


@pytest.mark.parametrize("name", [pytest.param("buffered", marks=pytest.mark.whole), "streamed"])
def test_a_transform_that_is_right_passes(name: str) -> None:
    check(TRANSFORMS / f"{name}.py", {"b/empty": b"", "b/x": b"x", "b/long": b"ab" * 100_000})


@pytest.mark.whole
def test_files_are_samples_too(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"a")
    check(TRANSFORMS / "buffered.py", [tmp_path / "a.txt"], args="args")


@pytest.mark.parametrize("cls", [Splits, Reverses, Described, Skips, SkipsStreams])
def test_what_is_skipped_or_has_several_results_passes_too(cls: type) -> None:
    named = {"b/small": b"small", "b/none": b"", "b/typed": b"typed", "b/metadata": b"with metadata"}
    check(cls, named | {"b/" + "long" * 40: b"ab" * 10})


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


@pytest.mark.parametrize(
    ("cls", "args", "sentence"),
    [
        (SkipsBodies, "", "b/o, pull: a result of 3 bytes, but by put skipped: it is a body"),
        (SplitsByPath, "number", "b/o, pull: 4 results, but by put 2 results"),
        (SplitsByPath, "", "b/o, pull: result 2: another result than by put: 2 bytes against 1, the first difference"),
        (SkipsMessages, "", "b/o, websocket: skipped: it is a message, but by put a result of 3 bytes"),
        (NamesBodies, "", "b/o, websocket: another name than by put: '' against 'copy'"),
        (NamesMessages, "", "b/o, websocket: no result: the transform of 'o' gave its result the name 'copy'"),
        (FailsMessages, "", "b/o, websocket: no result: the transform of 'o' failed: ValueError: it is a message"),
        (DescribesByPath, "name", "b/o, pull: another name than by put: 'ais' against 'b'"),
        (DescribesByPath, "type", "b/o, pull: another content type than by put: 'text/ais' against 'text/b'"),
        (DescribesByPath, "metadata", "b/o, pull: other metadata than by put: {'of': 'ais'} against {'of': 'b'}"),
    ],
)
def test_whatever_of_an_outcome_differs_is_said(cls: type, args: str, sentence: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(sentence)):
        check(cls, {"b/o": b"xyz"}, args)


def test_an_object_that_is_skipped_as_a_file_alone_is_said() -> None:
    with pytest.raises(AssertionError, match="b/o, file: skipped: it is a file, but by put a result of 3 bytes"):
        check(SkipsFiles, {"b/o": b"xyz"}, environment={"ETL_DIRECT_FQN": "true"})


@pytest.mark.parametrize(
    ("cls", "sentence"),
    [
        (Pads, "b/short, group: another result than by put: 4 bytes against 1, the first difference at byte 1"),
        (SkipsTogether, "b/short, group: skipped: it has company, but by put a result of 1 bytes"),
    ],
)
def test_objects_that_change_each_other_s_results_in_a_batch_are_said(cls: type, sentence: str) -> None:
    with pytest.raises(AssertionError, match=re.escape(sentence)):
        check(cls, {"b/short": b"s", "b/long": b"long"})


def test_what_is_alike_can_be_said() -> None:
    check(Pads, {"b/short": b"s", "b/long": b"long"}, same=lambda one, other: one.strip() == other.strip())
    with pytest.raises(AssertionError, match="b/o, put again: another result than by put: 3 bytes against 3"):
        check(TRANSFORMS / "buffered.py", {"b/o": b"x"}, same=lambda one, other: False)


def test_no_samples_are_an_error() -> None:
    with pytest.raises(ValueError, match="at least one sample"):
        check(TRANSFORMS / "buffered.py", {})


@pytest.mark.parametrize(
    ("transform", "what"),
    [(TRANSFORMS / "buffered.py", "a result of 4 bytes"), (Splits, "2 results")],
    ids=["one", "several"],
)
def test_a_result_of_a_part_is_said(monkeypatch: pytest.MonkeyPatch, transform: type | Path, what: str) -> None:
    class Uncut(Server):
        """Sends all of the object where a part was to be sent: as if the server had made a result of that."""

        def pull(self, name: str, data: bytes, args: str = "", *, cut: bool = False, results: bool = False) -> Answer:
            return super().pull(name, data, args, results=results)

    monkeypatch.setattr("instore.testing.checks.Server", Uncut)
    with pytest.raises(AssertionError, match=f"b/o, pull: the object was cut off in its middle, and {what} came of it"):
        check(transform, {"b/o": b"xy"})
