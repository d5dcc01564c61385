"""One run: every case, its rounds, the servers in turn, and what came of it."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from bench.cases import Case, Pace, Row
from bench.peers import Kind
from bench.processes import BenchError
from bench.site import Site, WrongAnswerError
from bench.websocket import NotServedError

Tell = Callable[[str], None]


@dataclass
class Figures:
    """What one kind of server reached in one row; a note in place of figures that don't count."""

    values: list[float] = field(default_factory=list)
    note: str = ""

    @property
    def median(self) -> float | None:
        return None if self.note or not self.values else statistics.median(self.values)


@dataclass
class Result:
    """A row of the table, filled."""

    case: Case
    row: Row
    figures: dict[Kind, Figures]


def run(site: Site, cases: Sequence[Case], pace: Pace, tell: Tell) -> list[Result]:
    """Measure `cases`; `tell` hears before each step what comes next."""
    return [result for case in cases for result in _run_case(site, case, pace, tell)]


def steps(cases: Sequence[Case], pace: Pace) -> int:
    """How often `run` tells."""
    return sum(pace.rounds * len(case.kinds) for case in cases)


def _run_case(site: Site, case: Case, pace: Pace, tell: Tell) -> list[Result]:
    results = [Result(case, row, {kind: Figures() for kind in case.kinds}) for row in case.rows]
    out: dict[Kind, str] = {}
    for number in range(pace.rounds):
        for kind in case.kinds:
            tell(f"{case.name} {number + 1}/{pace.rounds} {kind.name}")
            if kind not in out and (note := _turn(site, case, kind, pace, results)):
                out[kind] = note
    for result in results:
        for kind, note in out.items():
            result.figures[kind].note = note
    return results


def _turn(site: Site, case: Case, kind: Kind, pace: Pace, results: Sequence[Result]) -> str:
    """One server's turn; a note when it can't take part any more."""
    try:
        values = case.measure(site, kind, pace)
    except NotServedError:
        return "not served"
    except (WrongAnswerError, BenchError) as error:
        site.restart()
        return f"failed: {error}"
    for result, value in zip(results, values, strict=True):
        result.figures[kind].values.append(value)
    return ""
