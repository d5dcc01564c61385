"""System packages, with managers that are small programs of the test's own."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from instore.errors import ConfigurationError
from instore.shipping.packages.system import install_system_packages

DPKG_QUERY = """
    for last; do :; done
    case "$last" in
        bash) echo "installed 5.2-1" ;;
        removed) echo "config-files 1.0" ;;
        *) echo "dpkg-query: no packages found matching $last" >&2; exit 1 ;;
    esac
"""
APT_GET = """
    echo "$@" >> "$CALLS"
    case "$*" in
        *update*) exit "${UPDATE:-0}" ;;
        *nosuch*) echo "Reading package lists..."; echo "E: Unable to locate package nosuch"; exit 100 ;;
    esac
"""
APK = """
    case "$*" in
        "info --installed bash") exit 0 ;;
        info*) exit 1 ;;
        *nosuch*) echo "ERROR: unable to select packages:"; echo "  nosuch (no such package):"; exit 1 ;;
    esac
    echo "$@" >> "$CALLS"
"""
INSTALL = """
    import logging, os, sys
    from instore.errors import ConfigurationError
    from instore.shipping.packages.system import install_system_packages
    logging.basicConfig(level="INFO", format="%(message)s")
    if len(sys.argv) > 2:
        os.setuid(int(sys.argv[2]))
    try:
        install_system_packages(sys.argv[1].split(","))
    except ConfigurationError as error:
        sys.exit(str(error))
"""


class Machine:
    """A PATH with some package managers, and a note of what they were asked to do."""

    def __init__(self, folder: Path, **programs: str) -> None:
        self._folder = folder
        self.programs = folder / "bin"
        self.programs.mkdir()
        for name, script in programs.items():
            program = self.programs / name.replace("_", "-")
            program.write_text("#!/bin/sh\n" + textwrap.dedent(script))
            program.chmod(0o755)

    def install(self, names: str, *, user: int | None = None, **variables: str) -> tuple[int, str]:
        """Install packages in a process whose PATH this is; its exit code and what it said."""
        environment = {
            **{name: value for name, value in os.environ.items() if name != "PATH"},
            "PATH": str(self.programs),
            "CALLS": str(self._folder / "calls"),
            **variables,
        }
        arguments = [names] if user is None else [names, str(user)]
        command = [sys.executable, "-c", textwrap.dedent(INSTALL), *arguments]
        run = subprocess.run(command, env=environment, capture_output=True, text=True)
        return run.returncode, run.stderr

    @property
    def calls(self) -> list[str]:
        calls = self._folder / "calls"
        return calls.read_text().splitlines() if calls.exists() else []


@pytest.fixture
def debian(tmp_path: Path) -> Machine:
    return Machine(tmp_path, dpkg_query=DPKG_QUERY, apt_get=APT_GET)


as_root = pytest.mark.skipif(os.geteuid() != 0, reason="installing takes root")


@pytest.mark.parametrize("names", ["bash", "bash=5.2-1", "bash/stable"])
def test_what_is_there_costs_nothing(debian: Machine, names: str) -> None:
    code, said = debian.install(names)
    assert (code, said, debian.calls) == (0, "system packages: all there\n", [])


@as_root
@pytest.mark.parametrize("name", ["ffmpeg", "removed", "bash=6.0-1", "libfoo2.0-dev", "g++", "zlib1g:amd64"])
def test_what_is_missing_is_installed_after_the_lists_were_fetched(debian: Machine, name: str) -> None:
    code, said = debian.install(f"bash,{name}")
    assert code == 0, said
    assert [call.split()[-1] for call in debian.calls] == ["update", name]
    assert f"apt-get installs {name}\n" in said


@as_root
def test_lists_that_can_not_be_fetched_are_a_warning_only(debian: Machine) -> None:
    code, said = debian.install("ffmpeg", UPDATE="100")
    assert code == 0
    assert "apt-get could not fetch the lists of packages: code 100" in said


@as_root
def test_a_failure_names_the_package_and_the_log_has_the_managers_words(debian: Machine) -> None:
    code, said = debian.install("ffmpeg,nosuch")
    lines = said.splitlines()
    assert code == 1
    assert "apt-get: Reading package lists..." in lines
    assert lines[-1] == "apt-get can't install nosuch (exit code 100): E: Unable to locate package nosuch"


@as_root
def test_alpine_has_its_own_manager(tmp_path: Path) -> None:
    alpine = Machine(tmp_path, apk=APK)
    assert alpine.install("bash") == (0, "system packages: all there\n")
    assert alpine.install("bash,ffmpeg")[0] == 0
    assert alpine.calls == ["add --no-cache -- ffmpeg"]
    code, said = alpine.install("nosuch,ffmpeg")
    assert code == 1
    assert "apk: " in said
    assert said.splitlines()[-1] == "apk can't install nosuch (exit code 1): nosuch (no such package):"


def test_a_machine_without_a_manager_that_we_know_is_said(tmp_path: Path) -> None:
    code, said = Machine(tmp_path).install("ffmpeg")
    assert code == 1
    assert "can't install ffmpeg of OS_PACKAGES: neither apt-get nor apk is here" in said


def test_whoever_is_not_root_is_told_so(debian: Machine) -> None:
    user = 65534 if os.geteuid() == 0 else None
    debian_for_all(debian)
    code, said = debian.install("bash,ffmpeg", user=user)
    assert code == 1
    assert f"can't install ffmpeg of OS_PACKAGES: apt-get needs root, and this is user {user or os.geteuid()}" in said


def debian_for_all(machine: Machine) -> None:
    """Let any user reach the machine's programs: the folders of a test are its user's own."""
    for folder in [machine.programs, *machine.programs.parents]:
        if folder.stat().st_uid == os.geteuid() and len(folder.parts) > 2:
            folder.chmod(folder.stat().st_mode | 0o011)


@pytest.mark.parametrize("name", ["--allow-unauthenticated", "-y", "ffmpeg-", "a;b", "a$(b)", "", "../x", "a b"])
def test_what_is_no_name_of_a_package_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="which is not a valid package name"):
        install_system_packages(["bash", name])
