import os
import random
import threading
from pathlib import Path

import pytest

from instore.system import sorted_names as module
from instore.system.sorted_names import SortedNames

STRANGE = ["", "a\0b", "a\nb", "a/b", "é", "日", "bytes-\udcff", "half \ud83d", "😀", "\xff"]


@pytest.fixture(params=[1, 2, 7, 10_000])
def _run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RUN", request.param)
    monkeypatch.setattr(module, "_BLOCK", 5)


@pytest.mark.usefixtures("_run")
def test_names_come_in_order_each_once_and_again(tmp_path: Path) -> None:
    names = [*STRANGE, *(f"{number % 30}" for number in range(50))] * 2
    random.Random(1).shuffle(names)
    kept = SortedNames(iter(names), str(tmp_path))
    assert list(kept) == list(kept) == sorted(set(names))
    assert os.listdir(tmp_path) == []


@pytest.mark.usefixtures("_run")
def test_threads_go_through_them_at_once() -> None:
    names = [f"{number:03}" for number in range(500)]
    kept = SortedNames(reversed(names))
    found: list[list[str]] = []
    threads = [threading.Thread(target=lambda: found.append(list(kept))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [names] * 4


@pytest.mark.usefixtures("_run")
def test_their_file_goes_with_them() -> None:
    before = os.listdir("/proc/self/fd")
    kept = SortedNames(map(str, range(20)))
    some = iter(kept)
    next(some)
    del kept, some
    assert os.listdir("/proc/self/fd") == before
