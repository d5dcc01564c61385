"""The documentation as a site: `make docs` writes `.site/html`, which asks nothing of elsewhere.

The pages are those of `docs/`, the README as the first, and the examples and what users import as pages of their own.
A link that leads nowhere, or any other warning, ends the build.
"""

import ast
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from tests.support.environments import DOCS, UnavailableError

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".site"
PUBLIC = ("instore", "instore.testing")

_LINK = re.compile(r"\]\(([^)\s:]+)\)")
_ELSEWHERE = {"README.md": "index.md", "CHANGELOG.md": "changelog.md", "examples": "examples.md", "demo": "examples.md"}


class BrokenSiteError(Exception):
    """What the builder complains of."""


def write_pages(folder: Path) -> None:
    """Write what the site is built from."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = folder / "pages"
    (pages / "examples").mkdir(parents=True)
    (folder / "zensical.toml").write_text(_settings())
    for file in (ROOT / "docs").iterdir():
        if file.suffix == ".md":
            (pages / file.name).write_text(_moved(file, "docs"))
        elif file.suffix == ".json":
            shutil.copyfile(file, pages / file.name)
    for picture in (ROOT / "docs" / "pictures").glob("*"):
        (pages / "pictures").mkdir(exist_ok=True)
        shutil.copyfile(picture, pages / "pictures" / picture.name)
    (pages / "index.md").write_text(_moved(ROOT / "README.md", ""))
    (pages / "changelog.md").write_text(_moved(ROOT / "CHANGELOG.md", ""))
    for example in (ROOT / "examples").glob("*.py"):
        text = f"# {example.name}\n\n```python\n{example.read_text()}```\n"
        (pages / "examples" / f"{example.stem}.md").write_text(text)
    (pages / "api.md").write_text(_api())


def _settings() -> str:
    """The settings, with pages that the navigation doesn't name in a group of their own."""
    text = Path(__file__).with_name("zensical.toml").read_text()
    named = {page for group in tomllib.loads(text)["project"]["nav"] for pages in group.values() for page in pages}
    more = sorted(file.name for file in (ROOT / "docs").glob("*.md") if file.name not in named)
    text = text.replace('paths = ["src"]', f"paths = [{json.dumps(str(ROOT / 'src'))}]")
    return text.replace("\n]\n", f'\n  {{"More" = {json.dumps(more)}}},\n]\n', 1) if more else text


def _moved(page: Path, place: str) -> str:
    """A page with its links as they lead on the site."""
    return _LINK.sub(lambda found: f"]({_target(found[1], place)})", page.read_text())


def _target(link: str, place: str) -> str:
    path, mark, anchor = link.partition("#")
    if not path:
        return link
    inside = Path(place, path).as_posix()
    while "/../" in f"/{inside}":
        inside = re.sub(r"[^/]+/\.\./", "", inside, count=1)
    inside = _ELSEWHERE.get(inside, inside).removeprefix("docs/")
    return re.sub(r"\.py$", ".md", inside) + mark + anchor


def _api() -> str:
    """A page of everything that the public modules name."""
    parts = ["# API", "What users import. Names that are not here may change."]
    for module in PUBLIC:
        parts.append(f"## {module}")
        parts += [f"::: {module}.{name}" for name in _public(module) if not name.startswith("__")]
    parts += ["## instore.errors", "::: instore.errors\n    options:\n      show_root_heading: false"]
    return "\n\n".join(parts) + "\n"


def _public(module: str) -> list[str]:
    file = ROOT / "src" / Path(*module.split(".")) / "__init__.py"
    for statement in ast.parse(file.read_text()).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return list(ast.literal_eval(statement.value))
    raise LookupError(f"{file} has no __all__")


def build(folder: Path = FOLDER) -> Path:
    """Build the site beneath `folder`; the folder of its files.

    Raises:
        UnavailableError: what builds it can't be installed.
        BrokenSiteError: a link leads nowhere, or there is another warning; it has been printed.
    """
    DOCS.make()
    write_pages(folder)
    command = [str(DOCS.programs / "zensical"), "build", "--strict", "--clean"]
    done = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    print(done.stdout, file=sys.stderr)
    if done.returncode or "griffe: " in done.stdout:  # what is wrong with a docstring is no issue to it
        raise BrokenSiteError(done.stdout)
    return folder / "html"


if __name__ == "__main__":
    try:
        print(f"The site is {build()}/index.html")
    except UnavailableError as error:
        sys.exit(str(error))
    except BrokenSiteError:
        sys.exit("the site is not built: see the warnings above")
