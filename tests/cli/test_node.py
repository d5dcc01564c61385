"""The command `instore node`."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.node import running_node


def fail(*options: str, **environment: str) -> str:
    """Run a node that can't start; its one line."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith("AIS_")}
    command = [sys.executable, "-m", "instore", "node", *options]
    done = subprocess.run(command, env={**variables, **environment}, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    return done.stderr


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_it_with_code_0_and_without_a_word(tmp_path: Path, stop: signal.Signals) -> None:
    with running_node(tmp_path) as node:
        node.client().cluster().get_info()
        node.process.send_signal(stop)
        assert node.process.wait(timeout=60) == 0
        assert node.log.read_text() == ""


def test_a_port_in_use_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert "choose another" in fail("--dir", str(tmp_path / "d"), "--port", str(taken.getsockname()[1]))


def test_targets_have_the_ports_behind_the_proxy_s(tmp_path: Path) -> None:
    with running_node(tmp_path, targets=3) as node:
        smap = node.client().cluster().get_info()
        ports = [int(target.public_net.daemon_port) for target in smap.tmap.values()]
        assert len({*ports, int(smap.proxy_si.public_net.daemon_port)}) == 4


@pytest.mark.parametrize("folder", ["/proc/nowhere", "/dev/null/x"])
def test_a_folder_that_can_not_be_made_is_told(folder: str) -> None:
    assert "--dir" in fail("--dir", folder, "--port", "0")


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("precious")
    assert "not a node's folder" in fail("--dir", str(tmp_path), "--port", "0")
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "node.lock") == ["thesis.txt"]


def test_another_number_of_targets_is_refused(tmp_path: Path) -> None:
    with running_node(tmp_path, targets=2):
        pass
    assert "--targets 2" in fail("--dir", str(tmp_path / "node"), "--port", "0", "--targets", "3")


def test_two_nodes_do_not_share_a_folder(tmp_path: Path) -> None:
    with running_node(tmp_path):
        assert "another node" in fail("--dir", str(tmp_path / "node"), "--port", "0")


def test_a_damaged_state_is_told(tmp_path: Path) -> None:
    with running_node(tmp_path):
        pass
    (tmp_path / "node" / "node.json").write_text("{")
    assert "damaged" in fail("--dir", str(tmp_path / "node"), "--port", "0")


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_an_address_for_others_demands_a_token(tmp_path: Path, host: str) -> None:
    assert "AIS_AUTHN_TOKEN" in fail("--dir", str(tmp_path / "d"), "--port", "0", "--host", host)
    assert not (tmp_path / "d").exists()
