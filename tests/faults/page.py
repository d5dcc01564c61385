"""Writes docs/compared.md from the results that `tests.faults.compare` keeps."""

import json
import subprocess
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from tests.compat.differences import DIFFERENCES, OTHER_DIFFERENCES
from tests.compat.table import transformers
from tests.faults.judge import Finding, Harm
from tests.faults.table import ROWS

_ROOT = Path(__file__).parents[2]
PAGE = _ROOT / "docs" / "compared.md"
SAVED = _ROOT / ".bench" / "compared"
CHECKED = "## What `instore check` says of them"

_TITLES = {
    "fastapi": "FastAPIServer, under uvicorn",
    "flask": "FlaskServer, under gunicorn",
    "threaded": "HTTPMultiThreadedServer",
}
_PACKAGES = ("aistore", "fastapi", "uvicorn", "httpx", "flask", "gunicorn", "requests")
_VERSIONS = "import sys, importlib.metadata as m; print(', '.join(f'{n} {m.version(n)}' for n in sys.argv[1:]))"
_MEANINGS = {
    Harm.LOST: "the target takes the object for good, and it is missing, cut short or a wrong one",
    Harm.STORED: "the destination has got a complete request with something else than the result",
    Harm.GROUNDLESS: "the object may be there, but the next hop has answered otherwise or not at all",
    Harm.NEEDLESS: "an error, where nothing was wrong",
    Harm.HANGS: "nothing within 5 seconds",
    Harm.UNREADABLE: "the next hop's 201, 206 or 304, say, is passed on; what a target makes of it is not settled, so "
    "they count as no disagreement",
    Harm.FOREIGN: "a difference in what is allowed, see below, and no disagreement",
}
_APART = (Harm.UNREADABLE, Harm.FOREIGN)
_FIXED = """## Differences that are no faults

Each was tried on the servers that it names, with the transforms of the table.

- **Files that are no objects: 403.** The SDK's servers serve what `etl_fqn` names, `/proc/self/environ` too: they trust
  whoever reaches the port. instore refuses what is not an object's file, since the environment holds the token. The
  rows are counted by themselves, as files that are no objects.
- **`Content-Length` on a small streamed result.** instore holds a small streamed result back, so that a failure can
  still be told as a status, and then knows its length. FastAPIServer and FlaskServer send it in chunks,
  HTTPMultiThreadedServer with neither: the end of the connection ends it. A target reads all of them.
- **A chunked body.** HTTPMultiThreadedServer answers 501; its rows with a chunked body were
  left out, and so were those whose client waits for `100 Continue`, which it does not send.
- **`POST /download`.** The SDK's servers do not have it (405, 405 and 501); instore does.
- **Streaming classes over WebSocket.** FastAPIServer closes the connection with 1000; instore serves them, since a
  reader over the message and a joined result do. Their rows were left out. FlaskServer and HTTPMultiThreadedServer have
  no WebSocket.
- **Transforms that are `async`.** The SDK's classes have none (500 in most cases); instore runs them. Their rows were
  left out.
- **A time-out that can be chosen.** The rows with `INSTORE_TIMEOUT` were left out: the SDK has no such variable.
"""


@dataclass(frozen=True)
class Result:
    """What came of a server's rows.

    Attributes:
        server: its name.
        rows: how many were run.
        faults: how many of them had each fault.
        findings: where they disagree: the row's name, its fault and what is false.
    """

    server: str
    rows: int
    faults: dict[str, int]
    findings: list[tuple[str, str, Finding]]

    @property
    def untrue(self) -> int:
        """The rows in which a target concludes what is not so."""
        return sum(finding.harm not in _APART for _, _, finding in self.findings)


def write(peer_python: Path) -> None:
    """Write the page from every result that is there."""
    results = [
        _read(path) for path in sorted(SAVED.glob("*.json"), key=lambda path: (path.stem != "instore", path.stem))
    ]
    checked = kept_section(PAGE.read_text()).rstrip("\n") + "\n"  # `tests.faults.checked` writes it
    PAGE.write_text("\n".join([*_introduction(results, peer_python), checked, *_all_sections(results)]))


def kept_section(page: str) -> str:
    """The part of the page that is about `instore check`, up to the next heading."""
    start = page.index(CHECKED)
    return page[start : page.index("\n## ", start) + 1]


def _read(path: Path) -> Result:
    saved = json.loads(path.read_text())
    findings = [
        (row, fault, Finding(Harm(found["harm"]), found["said"], found["true"]))
        for row, (fault, found) in saved["findings"].items()
    ]
    return Result(saved["server"], saved["rows"], saved["faults"], findings)


def _introduction(results: list[Result], peer_python: Path) -> Iterator[str]:
    answer = subprocess.run([peer_python, "-c", _VERSIONS, *_PACKAGES], check=True, capture_output=True, text=True)
    yield "# The fault table, beside the official SDK's servers\n"
    yield (
        f"Written by `make compare` on {datetime.now(UTC):%Y-%m-%d}. The fault table of `tests/faults/` runs an object "
        "through a server while something goes wrong, and asks what a target concludes from the answer. Here the same "
        "rows, with the same transforms, are run against the servers of the official Python SDK, and the conclusion is "
        "held against the truth and nothing else: how an error is worded, and with which status, does not count.\n"
    )
    yield f"- instore {version('instore')}; the SDK's: {answer.stdout.strip()}; one worker each."
    yield (
        f"- The table has {len(ROWS)} rows. Run were those that a server has the means to serve (see the list of "
        "differences): without a fault at every size, and at the smallest size of each combination of door, source, "
        "shape, next hop and fault. Rows in which the server is told to stop, or waits less than it would, are "
        "ours alone."
    )
    yield (
        "- A row without an answer within 5 seconds counts as no answer; the server is then started anew. Where "
        "the client has left, nobody waits, and only what is stored counts. Some rows are "
        "races: from one run to the next a few of them come out otherwise."
    )
    yield (
        "- What is true is what `tests/faults/table.py` says: a target that answers a GET with 201, 204 or 206, for "
        "instance, has not given the object.\n"
    )
    yield from _summary(results)


def _summary(results: list[Result]) -> Iterator[str]:
    yield "| | " + " | ".join(result.server for result in results) + " |"
    yield "| --- |" + " ---: |" * len(results)
    yield "| rows run | " + " | ".join(f"{result.rows}" for result in results) + " |"
    yield "| **rows that disagree** | " + " | ".join(f"**{result.untrue}**" for result in results) + " |"
    for harm in Harm:
        counts = [sum(finding.harm is harm for _, _, finding in result.findings) for result in results]
        if any(counts):
            yield f"| {harm} | " + " | ".join(map(str, counts)) + " |"
    yield ""
    for harm in Harm:
        if any(finding.harm is harm for result in results for _, _, finding in result.findings):
            yield f"- *{harm}*: {_MEANINGS[harm]}."
    yield ""


def _all_sections(results: list[Result]) -> Iterator[str]:
    for result in results:
        if result.findings:
            yield from _section(result)
    yield _FIXED
    yield from answers_section()
    yield "## Every row that disagrees\n"
    yield (
        "A row's name: door, source, shape of the transform, next hop, fault, and the size where it is not 1000 bytes. "
        "The rows that count as no disagreement are left out; the tables above have them.\n"
    )
    for result in results:
        if result.findings:
            yield from _list(result)


def answers_section() -> Iterator[str]:
    """The same requests, without faults: what of an answer differs, and why."""
    yield "## The same requests, the same answers\n"
    yield (
        f"{len(transformers())} transformers written in the SDK's style (`tests/compat/transformers/`) run under the "
        "three official servers, by their documented commands, and the same files and commands under `instore exec`. "
        "Both are asked the same over PUT with and without a length, file, pull and WebSocket, with and without direct "
        "put, and `tests/compat/test_same_answers.py` compares status, headers, body, and what the target was asked to "
        "read and to store. Left out are `Date`, `Server`, `Connection` and `Keep-Alive`, which are the HTTP servers' "
        "own. What may differ, each under the condition that `tests/compat/differences.py` has for it:\n"
    )
    for title, reason in (*((one.title, one.reason) for one in DIFFERENCES), *OTHER_DIFFERENCES):
        yield f"- **{title}** {reason}"
    yield ""


def _section(result: Result) -> Iterator[str]:
    yield f"## {_TITLES.get(result.server, result.server)}\n"
    yield "| fault | disagree | of | which | an example | the target concludes | the truth |"
    yield "| --- | ---: | ---: | --- | --- | --- | --- |"
    groups: dict[tuple[Harm, str], list[tuple[str, Finding]]] = defaultdict(list)
    for row, fault, finding in result.findings:
        groups[finding.harm, fault].append((row, finding))
    for (harm, fault), found in sorted(groups.items(), key=lambda group: (list(Harm).index(group[0][0]), group[0][1])):
        row, finding = found[0]
        cells = [f"`{fault}`", str(len(found)), str(result.faults[fault]), harm, f"`{row}`", finding.said, finding.true]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _list(result: Result) -> Iterator[str]:
    yield f"### {_TITLES.get(result.server, result.server)}: {result.untrue} rows\n"
    groups: dict[tuple[Harm, str, str], list[str]] = defaultdict(list)
    for row, _, finding in result.findings:
        if finding.harm not in _APART:
            groups[finding.harm, finding.said, finding.true].append(row)
    for (harm, said, true), rows in sorted(groups.items(), key=lambda group: list(Harm).index(group[0][0])):
        yield f"{harm}: {said}; {true} ({len(rows)}):\n"
        yield "```text"
        yield from sorted(rows)
        yield "```\n"
