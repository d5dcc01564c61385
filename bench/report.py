"""From figures to a table: medians, ratios, and whether what was asked for is met."""

import datetime
import os
import platform
import statistics
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table

from bench import peers
from bench.cases import Row
from bench.peers import EVERY, GO, INSTORE, PEERS, ROOT, Kind
from bench.run import Figures, Result

PAGE = ROOT / "docs" / "benchmarks.md"

_BEGIN, _END = "<!-- figures: written by `make bench` -->", "<!-- end of figures -->"
_COLUMNS = (
    "case", "what", "unit", *(kind.name for kind in EVERY), "spread", "ratio", "at least", "aim",
    "to Go", "Go at least", "Go aim", "met",
)  # fmt: skip
_NARROW = ("case", *(kind.name for kind in EVERY), "ratio", "at least", "to Go", "met")
_WIDE = 150
_WORDS = ("case", "what", "unit")  # columns of words; the others have figures
_PACKAGES = ("instore", "uvloop", "httptools", "aiohttp", "websockets")


def lines(results: Sequence[Result]) -> list[list[str]]:
    """The table's cells."""
    return [_line(result) for result in results]


def notes(results: Sequence[Result]) -> list[str]:
    """What is to be said about figures that don't count."""
    said = {(r.case.name, kind.name): f.note for r in results for kind, f in r.figures.items() if ":" in f.note}
    return [f"{case}, {name} {note}" for (case, name), note in said.items()]


def met(result: Result) -> bool | None:
    """Whether the least that was asked for is reached; None when nothing was asked, or nothing is to compare with."""
    row, own = result.row, result.figures[INSTORE].median
    if row.limit is not None:
        return own is not None and own < row.limit
    if row.least is None:
        return None
    if own is None:
        return False
    asked = [(ratio_of(result), row.least), (ratio_of(result, (GO,)), row.least_go)]
    known = [(ratio, least) for ratio, least in asked if ratio is not None and least is not None]
    return all(ratio >= least for ratio, least in known) if known else None


def ratio_of(result: Result, kinds: Sequence[Kind] = PEERS) -> float | None:
    """How many times as good as the best of these instore is; above 1 is better, whatever the unit."""
    own, best = result.figures[INSTORE].median, _best(result, kinds)
    if own is None or best is None:
        return None
    return own / best if result.row.higher else best / own


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table; on a narrow terminal without the columns that can be looked up in the page."""
    wide = console.width >= _WIDE
    chosen = _COLUMNS if wide else _NARROW
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, collapse_padding=True)
    for column in chosen:
        table.add_column(column, justify=_justify(column), no_wrap=True)
    for line in lines(results):
        cells = dict(zip(_COLUMNS, line, strict=True))
        if not wide:
            cells["case"] += f" {cells['unit']}"
        table.add_row(*(cells[column] for column in chosen))
    console.print(table)
    console.print(
        "medians; ratio: instore to the best of the SDK's servers, to Go: to its Go framework; above 1 is better",
        highlight=False,
    )
    for note in notes(results):
        console.print(note, markup=False)


def write(results: Sequence[Result], command: str, load: float, page: Path = PAGE) -> None:
    """Write the table into the page, in the place of the last one; the words around it stay.

    Args:
        results: of all cases.
        command: that measured them.
        load: the machine's load average before it did: what else was going on.
        page: that has the marks between which the table goes.
    """
    figures = "\n".join(
        [_BEGIN, "", *_facts(command, load), "", *_markdown(results), "", *_marked(notes(results)), _END]
    )
    before, _, rest = page.read_text().partition(_BEGIN)
    page.write_text(before + figures + rest.partition(_END)[2])


def machine() -> str:
    """CPU, cores, system and Python."""
    models = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = models[0].partition(": ")[2] if models else platform.machine()
    system = f"{platform.system()} {platform.release().partition('-')[0]}"
    return f"{model}, {os.cpu_count()} cores, {system}, Python {platform.python_version()}"


def _line(result: Result) -> list[str]:
    row, ratio, to_go, status = result.row, ratio_of(result), ratio_of(result, (GO,)), met(result)
    return [
        result.case.name,
        row.label,
        row.unit,
        *(_cell(result, kind) for kind in EVERY),
        _spread(result.figures[INSTORE]),
        "–" if ratio is None else f"{ratio:.2f}",
        *_asked(row),
        "–" if to_go is None else f"{to_go:.2f}",
        *("–" if times is None else f"{times:g}×" for times in (row.least_go, row.aim_go)),
        {None: "–", True: "yes", False: "no"}[status],
    ]


def _justify(column: str) -> Literal["left", "right"]:
    return "left" if column in _WORDS else "right"


def _asked(row: Row) -> tuple[str, str]:
    if row.limit is not None:
        return f"< {row.limit:g}", f"< {row.limit_aim:g}"
    if row.least is not None:
        return f"{row.least:g}×", f"{row.aim:g}×"
    return "–", "–"


def _cell(result: Result, kind: Kind) -> str:
    figures = result.figures.get(kind)
    if figures is None:
        return "–"
    return figures.note.partition(":")[0] if figures.median is None else _number(figures.median)


def _number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def _spread(figures: Figures) -> str:
    """Half the distance from the least to the greatest round, in parts of the median."""
    if figures.median is None or len(figures.values) < 2:
        return "–"
    return f"±{(max(figures.values) - min(figures.values)) / 2 / statistics.median(figures.values):.0%}"


def _best(result: Result, kinds: Sequence[Kind]) -> float | None:
    medians = [figures.median for kind, figures in result.figures.items() if kind in kinds]
    known = [median for median in medians if median is not None]
    choose = max if result.row.higher else min
    return choose(known, default=None)


def _facts(command: str, load: float) -> list[str]:
    own = ", ".join(f"{name} {version(name)}" for name in _PACKAGES)
    return [
        f"- machine: {machine()}",
        f"- date: {datetime.datetime.now(datetime.UTC):%Y-%m-%d}; load average before the run: {load:.2f}",
        f"- command: `{command}`",
        f"- ours: {own}",
        f"- the SDK's: {peers.versions()}",
    ]


def _markdown(results: Sequence[Result]) -> list[str]:
    rule = ["---" if column in _WORDS else "---:" for column in _COLUMNS]
    return [f"| {' | '.join(cells)} |" for cells in (_COLUMNS, rule, *lines(results))]


def _marked(sentences: Sequence[str]) -> list[str]:
    return [*(f"- {sentence}" for sentence in sentences), ""] if sentences else []
