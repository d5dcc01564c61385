"""A node on a disk that is full: what can't be written is said, what is there stays readable, also after a start."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.node.test_durability import content_of
from tests.support.node import RunningNode, running_node

pytestmark = pytest.mark.whole


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def fill(node: RunningNode, turn: int, stored: dict[str, bytes]) -> None:
    """Put objects until none of 16 KiB has room."""
    for number in range(1000):
        name = f"{turn}/{number}"
        data = content_of(name)[: 500_000 if number % 2 else 16_000]
        answer = requests.put(f"{node.endpoint}/v1/objects/b/{name}", data=data)
        if answer.ok:
            stored[name] = data
        else:
            assert answer.status_code == 507, answer.text
            assert "No space left on device" in answer.json()["message"]
            if len(data) <= 16_000:
                return
    raise AssertionError("the disk does not get full")


def test_a_node_on_a_full_disk_says_so_and_starts_again(tmp_path: Path, small: Path) -> None:
    stored: dict[str, bytes] = {}
    for turn in range(4):
        with running_node(small, targets=2) as node:
            url = f"{node.endpoint}/v1"
            if not turn:
                requests.post(f"{url}/buckets/b", json={"action": "create-bck"}).raise_for_status()
            for name, data in stored.items():
                assert requests.get(f"{url}/objects/b/{name}").content == data
            fill(node, turn, stored)
            with open(small / "rest", "ab", buffering=0) as rest:
                try:
                    while rest.write(b"x" * 4096):
                        pass
                except OSError:
                    pass
            create = requests.post(f"{url}/buckets/c{turn}", json={"action": "create-bck"})
            assert create.status_code == 507, create.text
            append = requests.put(f"{url}/objects/b/y", params={"append_type": "append"}, data=b"x" * 100_000)
            assert append.status_code == 507, append.text
            message = {"action": "copy-bck", "value": {}}
            copy = requests.post(f"{url}/buckets/b", json=message, params={"bck_to": f"ais/@#/copy{turn}/"})
            assert copy.status_code == 507, copy.text
            if turn % 2:
                node.kill()
            else:
                assert node.stop() == 0
        if turn == 1:  # room again, outside of the node
            (small / "rest").unlink()
    with running_node(small, targets=2) as node:
        for name in stored:
            assert requests.delete(f"{node.endpoint}/v1/objects/b/{name}").status_code == 204
        (small / "rest").unlink(missing_ok=True)
        requests.post(f"{node.endpoint}/v1/buckets/after", json={"action": "create-bck"}).raise_for_status()
