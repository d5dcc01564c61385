"""Packages that a class asks for, on a node. They come from a folder, so that no registry is needed."""

import shutil
import socket
from pathlib import Path
from typing import Any

import pytest
from aistore.sdk.errors import AISError
from aistore.sdk.etl import ETLConfig
from aistore.sdk.etl.webserver.http_multi_threaded_server import HTTPMultiThreadedServer

from tests.node.processes import descendants
from tests.support.node import RunningNode, running_node, wait_until
from tests.support.wheels import make_wheel, only_from

pytestmark = pytest.mark.whole


def versions() -> type:
    class Versions(HTTPMultiThreadedServer):  # type: ignore[misc]
        def transform(self, data: bytes, path: str, etl_args: str) -> bytes:
            import tiny_needy  # type: ignore[import-not-found]
            import tiny_package  # type: ignore[import-not-found]

            return f"{tiny_package.VERSION} {tiny_needy.VERSION} {tiny_package.__file__}".encode()

    return Versions


def read(node: RunningNode) -> str:
    """What the object is through the ETL: two versions, and where the package lies."""
    return str(node.client().bucket("b").object("o").get_reader(etl=ETLConfig("tiny-etl")).read_all().decode())


def logs(etl: Any) -> str:
    return "".join(log.logs for log in etl.logs())


def states(node: RunningNode) -> dict[str, str]:
    return {info.id: info.stage for info in node.client().cluster().list_etls(["Running", "Aborted", "Initializing"])}


def test_they_are_installed_once_below_the_nodes_folder_and_go_with_the_etl(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "tiny_package", "1.5")
    make_wheel(wheels, "tiny_package", "2.0")
    make_wheel(wheels, "tiny_needy", "3.0", requires=["tiny-package"])
    with running_node(tmp_path, 2, environment=only_from(wheels)) as node:
        node.client().bucket("b").create().object("o").get_writer().put_content(b"x")
        etl = node.client().etl("tiny-etl")
        etl.init_class(dependencies=["tiny-needy", "tiny-package<2"])(versions())
        environment = node.folder / "etl" / "tiny-etl.packages"
        first = read(node)
        assert first.startswith(f"1.5 3.0 {environment}/")
        assert logs(etl).count(f"environment {environment} made") == 1
        shutil.rmtree(wheels)  # from here on, nothing can be installed
        etl.stop()
        etl.start()
        assert read(node) == first
        assert node.stop() == 0
    with running_node(tmp_path, 2, environment=only_from(wheels)) as node:
        assert read(node) == first
        etl = node.client().etl("tiny-etl")
        assert logs(etl).count(f"environment {environment} made") == 1
        etl.stop()
        etl.delete()
        assert list((node.folder / "etl").iterdir()) == []


def test_one_that_does_not_exist_is_told_in_pips_words(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "tiny_package")
    make_wheel(wheels, "tiny_needy")
    pips = "Could not find a version that satisfies the requirement {}"
    with running_node(tmp_path, 2, environment=only_from(wheels)) as node:
        etl = node.client().etl("tiny-etl")
        with pytest.raises(AISError, match=pips.format("tiny-absent")):
            etl.init_class(dependencies=["tiny-package", "tiny-absent"], init_timeout="60s")(versions())
        assert states(node) == {"tiny-etl": "Aborted"}
        etl.delete()
        assert list((node.folder / "etl").iterdir()) == []
        node.client().bucket("b").create().object("o").get_writer().put_content(b"x")
        etl.init_class(dependencies=["tiny-package", "tiny-needy"])(versions())
        assert read(node).startswith("1.0 1.0 ")
        etl.stop()
        shutil.rmtree(node.folder / "etl" / "tiny-etl.packages")
        (wheels / "tiny_package-1.0-py3-none-any.whl").unlink()
        with pytest.raises(AISError, match=pips.format("tiny-package")):
            etl.start()
        assert states(node) == {"tiny-etl": "Aborted"}
        with pytest.raises(AISError, match=f"is Aborted: it could not be started: .*{pips.format('tiny-package')}"):
            read(node)
        wait_until(lambda: descendants(node.process.pid) == [])


def test_an_installation_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    """The registry takes the connection and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        index = f"http://127.0.0.1:{silent.getsockname()[1]}/simple"
        environment = {"PIP_INDEX_URL": index, "PIP_CONFIG_FILE": "/dev/null", "PIP_EXTRA_INDEX_URL": ""}
        with running_node(tmp_path, environment=environment) as node:
            etl = node.client().etl("tiny-etl")
            with pytest.raises(AISError, match=r"within init_timeout, 5 s.*its log ends:"):
                etl.init_class(dependencies=["tiny-absent"], init_timeout="5s")(versions())
            assert descendants(node.process.pid) == []
            etl.delete()
            assert list((node.folder / "etl").iterdir()) == []
