"""Which packages count as there, and what installing them says."""

import logging
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from instore.errors import ConfigurationError, InstallationError
from instore.shipping.packages.environment import PackageEnvironment
from instore.shipping.packages.pip import Installed, install_packages
from tests.support.wheels import make_wheel, only_from


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with packages: `plain` 2.0, `needy` 1.0 that needs `plain`, `half` whose extra `more` is not there."""
    site = tmp_path / "site"
    for wheel in (
        make_wheel(tmp_path, "plain", "2.0"),
        make_wheel(tmp_path, "needy", requires=["plain>=2", 'absent; sys_platform == "nowhere"']),
        make_wheel(tmp_path, "half", extras={"more": "absent", "plain": "plain"}),
        make_wheel(tmp_path, "broken", requires=["plain<2"]),
        make_wheel(tmp_path, "pre_release", "3.0rc1"),
        make_wheel(tmp_path, "loop", requires=["pool"]),
        make_wheel(tmp_path, "pool", requires=["loop"]),
    ):
        ZipFile(wheel).extractall(site)
    return site


@pytest.mark.parametrize(
    ("requirement", "there"),
    [
        ("plain", True),
        ("Plain", True),
        ("plain>=1,<3", True),
        ("plain<2", False),
        ("plain!=2.0", False),
        ("absent", False),
        ('absent; python_version < "3"', True),
        ("needy", True),
        ("half", True),
        ("half[plain]", True),
        ("half[more]", False),
        ("half[plain,more]", False),
        ("broken", False),
        ("pre-release", True),
        ("pre.release>=2", True),
        ("loop", True),
        ("plain @ https://example.org/plain-2.0-py3-none-any.whl", False),
    ],
)
def test_a_package_is_there_if_pip_would_have_nothing_to_do(site: Path, requirement: str, there: bool) -> None:
    assert Installed([str(site)]).satisfies(Requirement(requirement)) is there


def test_the_first_of_a_name_on_the_path_counts(site: Path, tmp_path: Path) -> None:
    before = tmp_path / "before"
    ZipFile(make_wheel(tmp_path, "plain", "1.0")).extractall(before)
    assert not Installed([str(before), str(site)]).satisfies(Requirement("plain>=2"))
    assert Installed([str(site), str(before)]).satisfies(Requirement("plain>=2"))


def test_what_is_there_is_not_installed_again(site: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    assert not install_packages([Requirement("plain"), Requirement("needy")], "/no/such/python", [str(site)])
    assert caplog.messages == ["packages: all there"]
    assert not install_packages([], "/no/such/python", [str(site)])


def test_a_python_without_pip_is_said(site: Path) -> None:
    with pytest.raises(InstallationError, match=r"can't install absent>1 of PACKAGES: pip is not there"):
        install_packages([Requirement("plain"), Requirement("absent>1")], sys.executable, [str(site)])


@pytest.mark.whole
class TestEnvironment:
    @pytest.fixture(autouse=True)
    def wheels(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        folder = tmp_path / "wheels"
        folder.mkdir()
        for name, value in only_from(folder).items():
            monkeypatch.setenv(name, value)
        return folder

    @pytest.fixture
    def environment(self, tmp_path: Path) -> PackageEnvironment:
        environment = PackageEnvironment(str(tmp_path / "deep" / "environment"))
        with environment.locked():
            environment.prepare()
        return environment

    def install(self, environment: PackageEnvironment, *requirements: str) -> bool:
        wanted = [Requirement(requirement) for requirement in requirements]
        return install_packages(wanted, environment.python, environment.path)

    def test_packages_go_into_the_environment_with_what_they_need_and_once(
        self, environment: PackageEnvironment, wheels: Path, tmp_path: Path
    ) -> None:
        make_wheel(wheels, "hill", requires=["dale"])
        make_wheel(wheels, "dale")
        assert self.install(environment, "hill")
        assert {path.name for path in (tmp_path / "deep" / "environment").glob("lib/*/site-packages/*.py")} == {
            "hill.py",
            "dale.py",
        }
        assert not self.install(environment, "hill", "dale==1.0", "click")

    def test_another_version_takes_the_place_of_the_one_that_is_there(
        self, environment: PackageEnvironment, wheels: Path
    ) -> None:
        make_wheel(wheels, "hill", "1.0")
        assert self.install(environment, "hill")
        make_wheel(wheels, "hill", "2.0")
        assert not self.install(environment, "hill")
        assert self.install(environment, "hill>1")
        assert not self.install(environment, "hill==2.0")

    def test_a_failure_names_the_package_and_the_log_has_what_pip_said(
        self, environment: PackageEnvironment, wheels: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        make_wheel(wheels, "hill")
        with pytest.raises(InstallationError) as failure:
            self.install(environment, "hill", "no-such-mountain>=3")
        assert str(failure.value).startswith("pip can't install no-such-mountain>=3 (exit code 1): ERROR: ")
        assert any("pip: ERROR: No matching distribution found for no-such-mountain>=3" in m for m in caplog.messages)

    def test_what_instore_needs_is_not_replaced_by_what_it_can_not_run_with(
        self, environment: PackageEnvironment, wheels: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        make_wheel(wheels, "click", "2.0")
        with pytest.raises(InstallationError, match=r"pip can't install click==2\.0"):
            self.install(environment, "click==2.0")
        assert any("click>=8" in message for message in caplog.messages)

    def test_an_environment_is_used_again(self, environment: PackageEnvironment, tmp_path: Path) -> None:
        kept = tmp_path / "deep" / "environment" / "kept"
        kept.touch()
        with environment.locked():
            environment.prepare()
        assert kept.exists()

    def test_an_environment_of_another_python_is_made_again(
        self, environment: PackageEnvironment, tmp_path: Path
    ) -> None:
        [link] = (tmp_path / "deep" / "environment").glob("lib/*/site-packages/instore-environment.pth")
        link.write_text("# 3.9.0 /elsewhere\n")
        gone = tmp_path / "deep" / "environment" / "gone"
        gone.touch()
        with environment.locked():
            environment.prepare()
        assert not gone.exists()
        assert Path(environment.python).exists()

    def test_a_folder_with_something_else_in_it_is_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "photos").mkdir()
        (tmp_path / "photos" / "cat.jpg").touch()
        environment = PackageEnvironment(str(tmp_path / "photos"))
        with environment.locked(), pytest.raises(ConfigurationError, match="is not empty and no environment"):
            environment.prepare()
        assert [path.name for path in (tmp_path / "photos").iterdir()] == ["cat.jpg"]

    def test_a_place_that_can_not_be_used_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        environment = PackageEnvironment(str(tmp_path / "file" / "environment"))
        with pytest.raises(ConfigurationError, match="can't use the environment"), environment.locked():
            pass
