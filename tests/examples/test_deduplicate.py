import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from instore import Skip
from instore.errors import ArgumentsError
from instore.server.arguments import decoder_of
from tests.examples.support import gather, load, names_in, photograph, run_command


def kept(seen: Path, data: bytes | str, path: str) -> bool:
    """Whether an object goes through."""
    example: Any = load("deduplicate.py")
    try:
        result = example.transform(data, path, example.Args(str(seen)))
    except Skip:
        return False
    assert result == (data if isinstance(data, bytes) else Path(data).read_bytes())
    return True


def test_of_equal_objects_the_first_goes_through_also_when_it_is_run_again(tmp_path: Path) -> None:
    assert kept(tmp_path, b"cat", "b/1")
    assert not kept(tmp_path, b"cat", "b/2")
    assert kept(tmp_path, b"", "b/3")
    assert [kept(tmp_path, b"cat", f"b/{number}") for number in (2, 1, 2, 1)] == [False, True, False, True]


def test_it_says_whose_bytes_they_are(tmp_path: Path) -> None:
    example: Any = load("deduplicate.py")
    example.transform(b"cat", "b/Käse\udcff", example.Args(str(tmp_path)))
    with pytest.raises(Skip, match="its bytes are those of b/Käse\udcff"):
        example.transform(b"cat", "b/2", example.Args(str(tmp_path)))


def test_one_of_many_at_once_wins(tmp_path: Path) -> None:
    example: Any = load("deduplicate.py")
    owner = type(example).transform.__globals__["owner"]
    for content in range(30):
        digest = hashlib.sha256(b"%d" % content).hexdigest()
        with ThreadPoolExecutor(8) as threads:
            winners = set(threads.map(lambda number, digest=digest: owner(tmp_path, digest, f"b/{number}"), range(8)))
        assert len(winners) == 1


def test_a_folder_keeps_one_of_each_content_and_the_same_ones_in_the_next_run(tmp_path: Path) -> None:
    for copy in range(20):
        gather(tmp_path / "photos" / f"{copy:02}", photograph("rocket.jpg"), photograph("chelsea.png"))
        (tmp_path / "photos" / f"{copy:02}" / "own").write_bytes(b"%d" % copy)
    options = ("--args", f"seen={tmp_path / 'seen'}", "--workers", "2")
    run_command("deduplicate.py", tmp_path / "photos", tmp_path / "unique", *options)
    made = results_in(tmp_path / "unique")
    assert sorted(Path(name).name for name in made) == ["chelsea.png", *["own"] * 20, "rocket.jpg"]
    run_command("deduplicate.py", tmp_path / "photos", tmp_path / "again", *options)
    assert results_in(tmp_path / "again") == made


def results_in(folder: Path) -> list[str]:
    return [name for name in names_in(folder) if not name.startswith(".")]


def test_the_folder_is_asked_for() -> None:
    example: Any = load("deduplicate.py")
    decode = decoder_of("Deduplicate", example.Args)
    with pytest.raises(ArgumentsError, match="seen"):
        decode("")
    with pytest.raises(ArgumentsError, match="seen is 'here'; it takes a folder's whole path, such as /tmp/seen"):
        decode("seen=here")
