from instore.offline.interfaces import Item, ItemResult, ItemState
from instore.offline.tally import Tally


def failed(name: str, error: str) -> ItemResult:
    return ItemResult(Item(name, ItemState.TODO), error)


def test_objects_of_one_cause_are_named_once() -> None:
    tally = Tally()
    said = [
        name
        for name in ("d/bad1.jpg", "bad2.jpg", "e/bad3.jpg", "other")
        if tally.add(failed(name, f"ValueError: {name} is bad" if "bad" in name else "no more memory"))
    ]
    assert said == ["d/bad1.jpg", "other"]
    assert list(tally.lines()) == ["2 more failed: ValueError: … is bad", "  bad2.jpg", "  e/bad3.jpg"]


def test_causes_that_differ_in_numbers_are_one() -> None:
    tally = Tally()
    for name, size in (("a", 5), ("b", 17), ("c", 17)):
        tally.add(failed(name, f"it broke off after {size} bytes"))
    assert next(tally.lines()) == "2 more failed: it broke off after N bytes"


def test_a_number_that_all_of_them_have_is_shown() -> None:
    tally = Tally()
    for name in "ab":
        tally.add(failed(name, "it took longer than 60 s"))
    assert next(tally.lines()) == "1 more failed: it took longer than 60 s"


def test_however_many_fail_the_lines_are_bounded() -> None:
    tally = Tally()
    for cause in range(100):
        for number in range(100):
            tally.add(failed(f"x{number}", f"cause {'abcdefghij'[cause // 10] * (1 + cause % 10)}"))
    lines = list(tally.lines())
    assert len(lines) == 20 * 12 + 1
    assert lines[:2] == ["99 more failed: cause a", "  x1"]
    assert lines[11] == "  and 89 more; a --report names all of them"
    assert lines[-1] == "8000 more failed, for other reasons; a --report names all of them"
