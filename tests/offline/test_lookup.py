import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from instore.errors import RemoteStoreError
from instore.offline.lookup import ListedObject, Lookup
from instore.offline.remote_bucket import RemoteBucket
from tests.support.node import running_node


class Listed:
    """A bucket that counts how often a listing of it is begun, and how many names it gave."""

    def __init__(self, names: list[str], heeds_after: bool = True) -> None:
        self.listings = self.given = 0
        self._names = names
        self._heeds_after = heeds_after

    def exists(self) -> bool:
        return True

    def names(self, prefix: str, after: str = "") -> Iterator[ListedObject]:
        self.listings += 1
        for name in self._names:
            if name.startswith(prefix) and (name > after or not self._heeds_after):
                self.given += 1
                yield ListedObject(name, 0)

    def lookup(self, prefix: str = "", page: int = 10_000) -> Lookup:
        return Lookup(self, prefix, page)


NAMES = st.text("ab/.\U0001f600\uffff", min_size=1, max_size=4)


@given(st.sets(NAMES), st.lists(NAMES), st.integers(1, 5), st.booleans())
def test_it_knows_every_name_in_whatever_order_they_are_asked_for(
    there: set[str], asked: list[str], page: int, heeds_after: bool
) -> None:
    lookup = Listed(sorted(there), heeds_after).lookup(page=page)
    assert [name in lookup for name in asked] == [name in there for name in asked]


def test_names_in_order_take_one_listing() -> None:
    names = [f"{number:05}" for number in range(0, 10_000, 2)]
    bucket = Listed(names)
    lookup = bucket.lookup(page=100)
    assert [number for number in range(10_000) if f"{number:05}" in lookup] == list(range(0, 10_000, 2))
    assert (bucket.listings, bucket.given) == (1, len(names))


def test_names_that_jump_back_a_little_begin_no_listing_anew() -> None:
    names = [f"{number:05}" for number in range(5_000)]
    bucket = Listed(names)
    asked = [f"{number + random.Random(number).randrange(-40, 40):05}" for number in range(50, 4_950)]
    lookup = bucket.lookup(page=100)
    assert "00001" in lookup
    assert all(name in lookup for name in asked)
    assert bucket.listings == 1


def test_a_name_far_back_begins_a_listing_near_it() -> None:
    bucket = Listed([f"{number:05}" for number in range(5_000)])
    lookup = bucket.lookup(page=100)
    assert "04000" in lookup
    given_before = bucket.given
    assert "01000" in lookup
    assert (bucket.listings, bucket.given - given_before) == (2, 100)


@pytest.mark.parametrize("prefix", ["", "a", "é/"])
def test_a_node_lists_as_it_counts_on(prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"a-b", "a/b", "a/b.c", "a0", "a0.jpg", "a0.json", "b", "é/日", "é/\uffff", "é/\U0001f600"}
    asked = sorted(name for name in there | {"a", "a/", "a0.png", "c", "é/", "é/\U0001f601"} if name.startswith(prefix))
    with running_node(tmp_path, targets=3) as node:
        made = node.client().bucket("some").create()
        for name in there:
            made.object(name).get_writer().put_content(b"")
        monkeypatch.setenv("AIS_ENDPOINT", node.endpoint)
        bucket = RemoteBucket("ais://some")
        for page in (1, 2, 3, 10):
            lookup = Lookup(bucket, prefix, page)
            for names in (asked, asked[::-1]):
                assert [name in lookup for name in names] == [name in there for name in names]
        assert "a" not in Lookup(RemoteBucket("ais://none"), prefix)


def test_a_listing_out_of_order_is_an_error() -> None:
    lookup = Listed(["b", "a", "c"]).lookup()
    with pytest.raises(RemoteStoreError, match="'a' comes after 'b', out of order"):
        assert "a" in lookup
