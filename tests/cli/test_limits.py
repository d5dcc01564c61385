"""Every limit is an option and a variable, and stands in docs/limits.md."""

import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from instore.cli.listening import limiting, listening

PAGE = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
OF_BOTH = [
    "head_bytes", "head_fields", "target_bytes", "head_time", "idle_time", "body_bytes", "body_memory", "body_wait",
    "connections", "grace",
]  # fmt: skip
NODE = [*OF_BOTH, "progress_time"]
SERVER = [
    *OF_BOTH, "timeout", "fragments", "max_message", "queue", "object_time", "transform_timeout", "silent_time",
]  # fmt: skip


@click.command()
@listening
def serve(**_options: object) -> None:
    """Say what the options have set."""
    _say()


@click.command()
@limiting
def store() -> None:
    """Say what the options have set."""
    _say()


def _say() -> None:
    for name, value in sorted(os.environ.items()):
        if name.startswith("INSTORE_"):
            click.echo(f"{name}={value}")


def told(command: click.Command, *arguments: str) -> str:
    result = CliRunner().invoke(command, arguments)
    return result.output.strip()


@pytest.fixture(autouse=True)
def unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have what a test sets forgotten after it."""
    for name in [*SERVER, *NODE, "recycle_after", "recycle_above"]:
        monkeypatch.setenv(f"INSTORE_{name.upper()}", "")
        monkeypatch.delenv(f"INSTORE_{name.upper()}")


@pytest.mark.parametrize(("command", "names"), [(serve, SERVER), (store, NODE)], ids=["server", "node"])
def test_each_limit_is_an_option_that_sets_its_variable_and_is_in_the_table(
    command: click.Command, names: list[str]
) -> None:
    for name in names:
        assert f"INSTORE_{name.upper()}=7" in told(command, "--limit", f"{name}=7")
        assert f"`INSTORE_{name.upper()}`" in PAGE
        assert "Invalid value for '--limit': INSTORE_" in told(command, "--limit", f"{name}=0")
    known = told(command, "--limit", "nothing=7").partition("NAME being one of ")[2]
    assert sorted(known.replace(",", " ").split()) == sorted(names)


@pytest.mark.parametrize("command", [serve, store], ids=["server", "node"])
def test_the_grace_has_an_option_of_its_own(command: click.Command) -> None:
    assert "INSTORE_GRACE=7.5" in told(command, "--grace", "7.5")
    assert "INSTORE_GRACE='-1' is not a number of seconds above 0" in told(command, "--grace", "-1")


def test_recycling_is_an_option_and_a_variable() -> None:
    set_by = told(serve, "--recycle-after", "1000", "--recycle-above", "2GiB")
    assert "INSTORE_RECYCLE_AFTER=1000" in set_by
    assert "INSTORE_RECYCLE_ABOVE=2GiB" in set_by
    assert "`INSTORE_RECYCLE_AFTER`" in PAGE
    assert "`INSTORE_RECYCLE_ABOVE`" in PAGE
    assert "INSTORE_RECYCLE_ABOVE much is no size" in told(serve, "--recycle-above", "much")
    assert "INSTORE_RECYCLE_AFTER='0' is not a number" in told(serve, "--recycle-after", "0")
