"""What the next hop's answer means (docs/protocol.md#the-next-hops-answer)."""

import pytest

from instore.protocol.pipeline import Hop
from instore.protocol.responses import (
    LONGEST_ERROR,
    NextHopOutcome,
    ResponseMeaning,
    error_text,
    judge,
    read_response,
    split_frames,
    with_frames,
)


@pytest.mark.parametrize("has_body", [False, True])
@pytest.mark.parametrize("status", [200, 202])
def test_content_of_an_etl_server_is_the_object_even_if_empty(status: int, has_body: bool) -> None:
    assert judge(Hop.ETL, status, has_body) is NextHopOutcome.CONTENT


def test_an_empty_200_of_a_target_means_stored() -> None:
    assert judge(Hop.TARGET, 200, has_body=False) is NextHopOutcome.DELIVERED


@pytest.mark.parametrize("hop", Hop)
def test_a_204_is_passed_on(hop: Hop) -> None:
    assert judge(hop, 204, has_body=False) is NextHopOutcome.PASSED_ON


@pytest.mark.parametrize("hop", Hop)
@pytest.mark.parametrize("has_body", [False, True])
def test_every_status_from_400_on_is_a_failure(hop: Hop, has_body: bool) -> None:
    for status in range(400, 1000):
        assert judge(hop, status, has_body) is NextHopOutcome.FAILED, status


LISTED = {(Hop.TARGET, 200, False), *((hop, 204, False) for hop in Hop)} | {
    (Hop.ETL, status, has_body) for status in (200, 202) for has_body in (False, True)
}


@pytest.mark.parametrize("hop", Hop)
@pytest.mark.parametrize("has_body", [False, True])
def test_no_other_status_passes_as_success(hop: Hop, has_body: bool) -> None:
    for status in range(100, 400):
        if (hop, status, has_body) not in LISTED:
            assert judge(hop, status, has_body) is NextHopOutcome.UNEXPECTED, status


@pytest.mark.parametrize(
    ("status", "reason", "reading"),
    [
        (200, "", ResponseMeaning.OBJECT),
        (202, "", ResponseMeaning.OBJECT),
        (204, "", ResponseMeaning.DELIVERED),
        (503, "direct-put-transient", ResponseMeaning.REPLAY),
        (503, "", ResponseMeaning.ERROR),
        (503, "something else", ResponseMeaning.ERROR),
        (502, "direct-put-transient", ResponseMeaning.ERROR),
        (404, "", ResponseMeaning.ERROR),
        (201, "", ResponseMeaning.UNEXPECTED),
        (307, "", ResponseMeaning.UNEXPECTED),
    ],
)
def test_the_target_reads_an_etl_servers_answer(status: int, reason: str, reading: ResponseMeaning) -> None:
    assert read_response(status, reason) is reading


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", ""),
        (b" no such object\n", "no such object"),
        (b"\xff", "\ufffd"),
        (b"x" * (LONGEST_ERROR + 1), "x" * LONGEST_ERROR),
    ],
    ids=["nothing", "a line", "not UTF-8", "too long"],
)
def test_the_text_of_an_error_is_stripped_and_bounded(body: bytes, text: str) -> None:
    assert error_text(body) == text


@pytest.mark.parametrize("frames", [[], ["a.py:1 in f"], ["a.py:1 in f: x = 1", "b.py:2 in g"]])
@pytest.mark.parametrize("sentence", ["", "ValueError: no", "two\nlines"])
def test_the_places_behind_an_errors_sentence_are_found_again(sentence: str, frames: list[str]) -> None:
    assert split_frames(with_frames(sentence, frames)) == (sentence, frames)
