"""The command: `python -m bench [CASE]... [--quick] [--list]`."""

import os
import shutil
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import peers, report
from bench.cases import CASES, FULL, QUICK, Case, Pace
from bench.load import require_wrk
from bench.processes import LOAD_CORE, BenchError
from bench.run import Result, run, steps
from bench.site import Site


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", metavar="[CASE]...", nargs=-1)
@click.option("--quick", is_flag=True, help="One short round, without the slowest cases; under two minutes.")
@click.option("--list", "listing", is_flag=True, help="Show the cases and end.")
def main(names: Sequence[str], quick: bool, listing: bool) -> None:
    """Measure instore beside the official SDK's servers.

    Without a CASE all are measured, and the table is written to docs/benchmarks.md; with --quick, or with single
    cases, it is only printed.
    """
    if listing:
        _list()
        return
    load = os.getloadavg()[0]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        cases = _chosen(names, quick)
        results = _measure(cases, QUICK if quick else FULL)
    except BenchError as error:
        raise click.ClickException(str(error)) from error
    report.show(results, Console(width=None if sys.stdout.isatty() else 200))
    if not names and not quick:
        report.write(results, "make bench", load)
        click.echo(f"written to {report.PAGE.relative_to(peers.ROOT)}")


def _measure(cases: Sequence[Case], pace: Pace) -> list[Result]:
    _require_machine()
    require_wrk()
    peers.install()
    if missing := peers.build_go():
        click.echo(missing, err=True)
        cases = [replace(case, kinds=tuple(kind for kind in case.kinds if kind is not peers.GO)) for case in cases]
    os.sched_setaffinity(0, {LOAD_CORE})
    console = Console(stderr=True)
    columns = (TextColumn("{task.description:40}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with (
        Site() as site,
        Progress(*columns, console=console, disable=not console.is_terminal, refresh_per_second=2) as bar,
    ):
        task = bar.add_task("", total=steps(cases, pace))

        def tell(step: str) -> None:
            bar.update(task, description=step, advance=1)
            if bar.disable:
                click.echo(step, err=True)

        return run(site, cases, pace, tell)


def _require_machine() -> None:
    if not hasattr(os, "sched_setaffinity") or shutil.which("taskset") is None:
        raise BenchError("servers and load are pinned to cores, which takes Linux and taskset (util-linux)")
    if len(os.sched_getaffinity(0)) < 2:
        raise BenchError("two cores are needed: one for the server, one for the load")


def _chosen(names: Sequence[str], quick: bool) -> list[Case]:
    known = {case.name: case for case in CASES}
    if unknown := [name for name in names if name not in known]:
        raise BenchError(f"no case {', '.join(unknown)}; the cases are {', '.join(known)}")
    if names:
        return [known[name] for name in names]
    return [case for case in CASES if case.quick or not quick]


def _list() -> None:
    for case in CASES:
        for row in case.rows:
            click.echo(f"{case.name:16} {row.label:60} {row.unit}")


if __name__ == "__main__":
    main(prog_name="python -m bench")
