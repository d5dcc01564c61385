"""The fault table through our server under the commands of the official SDK's servers: a row of each fault.

What a target concludes is held against the truth, as it is for the official servers in docs/compared.md.
"""

from dataclasses import replace
from pathlib import Path

import pytest

from bench import peers
from tests.faults.bench import Bench
from tests.faults.compare import Foreign, judged, rows_for
from tests.faults.doors import Source
from tests.faults.judge import Harm
from tests.faults.table import MAIN_SHAPES, ROWS, Variant
from tests.support.environments import OWN, need

pytestmark = pytest.mark.whole

_VARIANTS = (Variant.PLAIN, Variant.RETRIES, Variant.ORPHAN)
_PATIENCE = 120.0  # seconds; a server that needs them has hung

_COMMANDS = {
    # the table's rows for a server of this kind, and how it is started
    "uvicorn": ("fastapi", peers.FASTAPI, ""),
    "gunicorn": ("flask", peers.FLASK, ""),
    "gunicorn-threads": ("flask", peers.FLASK, " --worker-class gthread --threads 4"),
    "python": ("threaded", peers.THREADED, ""),
}

# uvicorn hands any request with "Upgrade: websocket" to its WebSocket side and answers none but GET; we never see it.
_THEIR_HANGS = {"uvicorn": "client_asks_for_a_websocket"}


# The official servers have no such door.
_DOWNLOADS = {
    row.fault: row for row in ROWS if row.source is Source.URL and row.shape in MAIN_SHAPES and row.variant in _VARIANTS
}.values()


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_fault_is_told_under_another_command(name: str, tmp_path: Path) -> None:
    need(OWN)
    server, kind, options = _COMMANDS[name]
    command = f"instore exec {OWN.programs}/{kind.command}{options}"
    bench = Bench(tmp_path, Foreign(replace(kind, programs=OWN.programs, command=command)))
    try:
        rows = [*rows_for(server, "one", "", 1), *_DOWNLOADS]
        judgements = [(row, judged(bench, row, _PATIENCE)) for row in rows]
    finally:
        bench.close()
    assert len(rows) > 50
    findings = [
        f"{row.id}: {finding}"
        for row, finding in judgements
        if finding is not None and not (finding.harm is Harm.HANGS and row.fault == _THEIR_HANGS.get(name))
    ]
    assert not findings, "\n".join(findings)
