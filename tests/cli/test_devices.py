"""Which device each worker sees; no accelerator is needed for that."""

import contextlib
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import requests

from instore.errors import ConfigurationError
from instore.etl.devices import parse_devices
from tests.support.node import wait_until
from tests.support.servers import TRANSFORMS, running

PATIENCE = 30.0


def seen_by(url: str) -> tuple[str, str, str]:
    """What the worker that happens to answer sees."""
    seen, device, worker = requests.put(f"{url}/b/o", data=b"cat", timeout=PATIENCE).text.split()
    return seen, device, worker


def test_each_worker_sees_one_device_and_its_successor_the_same(tmp_path: Path) -> None:
    options = ("--devices", "0,1", "--workers-per-device", "2")
    with running(tmp_path, TRANSFORMS / "device.py", options=options) as server:
        workers: dict[str, str] = {}

        def all_seen(count: int) -> bool:
            seen, device, worker = seen_by(server.url)
            assert device == "cuda"
            workers[worker] = seen
            return len(workers) == count

        wait_until(lambda: all_seen(4))
        assert Counter(workers.values()) == {"0": 2, "1": 2}
        with contextlib.suppress(requests.ConnectionError):
            requests.put(f"{server.url}/b/o", data=b"kill", timeout=PATIENCE)
        wait_until(lambda: all_seen(5))
        dead = Counter(workers.values()) - Counter({"0": 2, "1": 2})
        assert sum(dead.values()) == 1  # the fifth sees what the dead one saw


def test_without_devices_all_is_on_the_cpu(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "device.py") as server:
        assert seen_by(server.url)[:2] == ("none", "cpu")


def test_one_device_is_seen_before_anything_is_imported(tmp_path: Path) -> None:
    with running(tmp_path, TRANSFORMS / "device.py", options=("--devices", "3")) as server:
        assert seen_by(server.url)[:2] == ("3", "cuda")


def test_a_folder_is_transformed_on_every_device(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(40):
        (tmp_path / "in" / str(number)).write_bytes(b"cat")
    command = [sys.executable, "-m", "instore", "transform", str(TRANSFORMS / "device.py"), "in", "out"]
    subprocess.run([*command, "--devices", "0,1", "--args", "slow"], cwd=tmp_path, check=True, capture_output=True)
    seen = {tuple(path.read_text().split()[:2]) for path in (tmp_path / "out").iterdir() if path.name.isdigit()}
    assert seen == {("0", "cuda"), ("1", "cuda")}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "write numbers with commas between"),
        ("a", "write numbers"),
        ("0,", "write numbers"),
        ("1,1", "names one twice; --workers-per-device has several share it"),
    ],
)
def test_what_names_no_devices_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        parse_devices(text)


def test_auto_is_what_this_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,GPU-8f1b")
    assert parse_devices("auto") == ["2", "GPU-8f1b"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert parse_devices("auto") == []


def test_the_arguments_of_a_class_are_told() -> None:
    command = [sys.executable, "-m", "instore", "serve", str(TRANSFORMS / "with_args.py"), "--help-args"]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert told.splitlines() == [
        "side: int = 256",
        "quality: float = 0.8",
        "mode: Literal['fit', 'fill'] = 'fit'",
        "crop: bool = False",
        "tags: list[str] = []",
    ]


def test_arguments_that_do_not_fit_end_a_job_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "o").write_bytes(b"cat")
    command = [sys.executable, "-m", "instore", "transform", str(TRANSFORMS / "with_args.py"), "in", "out"]
    done = subprocess.run([*command, "--args", "sied=3"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "there is no argument 'sied'; there are side, quality, mode, crop, tags" in done.stderr
    assert not list((tmp_path / "out").glob("o"))
