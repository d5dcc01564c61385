"""Links in the documentation, and from the code to it, lead somewhere."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
CODE = [*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "tests").rglob("*.py"))]

_FENCED = re.compile(r"^ *```.*?^ *```", re.MULTILINE | re.DOTALL)
_HEADING = re.compile(r"^#+ +(.*?)\s*$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_CITED = re.compile(r"\bdocs/[\w-]+\.md(?:#[\w-]+)?")


def anchors(page: str) -> set[str]:
    """The anchors that GitHub makes of headings: lower case, hyphens for spaces, a number where one repeats."""
    found: dict[str, int] = {}
    for heading in _HEADING.findall(_FENCED.sub("", page)):
        shown = _LINK.sub("]", heading).replace("`", "")
        name = re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")
        found[name] = found.get(name, -1) + 1
    return {f"{name}-{number}" if number else name for name, last in found.items() for number in range(last + 1)}


def fault(link: str, page: Path) -> str | None:
    """What is wrong with a relative link on a page; None if nothing is."""
    place, _, anchor = link.partition("#")
    file = (page.parent / place).resolve() if place else page
    if not file.exists():
        return f"{page.relative_to(ROOT)}: {link}: there is no such file"
    if anchor and anchor not in anchors(file.read_text(encoding="utf-8")):
        return f"{page.relative_to(ROOT)}: {link}: the page has no such heading"
    return None


def citations(file: Path) -> Iterator[tuple[str, str]]:
    """A link from code to a page, and what is wrong with it or an empty text."""
    for cited in _CITED.findall(file.read_text(encoding="utf-8")):
        yield cited, fault(f"{'../' * len(file.relative_to(ROOT).parent.parts)}{cited}", file) or ""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_relative_link_of_a_page_leads_to_a_file_and_a_heading(page: Path) -> None:
    links = _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8")))
    relative = [link for link in links if not re.match(r"[a-z]+:", link)]
    assert [wrong for link in relative if (wrong := fault(link, page))] == []


def test_every_page_that_code_cites_has_what_is_cited() -> None:
    cited = [pair for file in CODE if file != Path(__file__) for pair in citations(file)]
    assert len(cited) > 40  # the protocol's facts are cited where they are carried out
    assert [wrong for _, wrong in cited if wrong] == []


@pytest.mark.parametrize(
    "link",
    ["no-such-page.md", "serving.md#no-such-heading", "#no-such-heading", "../src/no_such_file.py"],
)
def test_a_link_that_leads_nowhere_is_found(link: str) -> None:
    assert fault(link, ROOT / "docs" / "protocol.md") is not None


def test_anchors_are_those_of_github() -> None:
    page = "# A `b_c`, d: é & f\n## Twice\n```sh\n# not a heading\n```\n## Twice\n### The next hop's answer\n"
    assert anchors(page) == {"a-b_c-d-é--f", "twice", "twice-1", "the-next-hops-answer"}
