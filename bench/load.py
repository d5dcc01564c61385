"""HTTP load: one request whose every byte is checked, and windows of wrk that count only without an error."""

import http.client
import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.processes import BenchError
from bench.site import HOST, Server, Site, WrongAnswerError

CONNECTIONS = 16

_NODE_URL = "Ais-Node-Url"

_ONE = """\
wrk.method = {method}
{headers}
{body}
"""

_MANY = """\
local requests, number = {{}}, 0
function init()
  for line in io.lines({file}) do
    local method, path, node_url = line:match("^(%S+) (%S+) (%S*)$")
    requests[#requests + 1] = wrk.format(method, path, {{[{header}] = node_url}})
  end
end
function request()
  number = number % #requests + 1
  return requests[number]
end
"""

_DONE = """\
function done(summary)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %d, "microseconds": %d, "errors": %d}\\n', summary.requests,
    summary.duration, e.connect + e.read + e.write + e.status + e.timeout))
end
"""


@dataclass(frozen=True)
class Request:
    """One HTTP request, and what has to come of it.

    Attributes:
        delivers: the result goes to the target by direct put and the answer is 204; otherwise it is the answer's body.
        size: bytes of the result, which is the object of that size.
    """

    method: str
    path: str
    size: int
    body: Path | None = None
    headers: dict[str, str] = field(default_factory=dict)
    delivers: bool = False


def require_wrk() -> None:
    """Raises BenchError when wrk isn't there."""
    if shutil.which("wrk") is None:
        raise BenchError("wrk is missing, the load generator for HTTP: apt-get install wrk")


def check(site: Site, server: Server, request: Request) -> None:
    """Send `request` once and look at every byte of what comes of it.

    Raises:
        WrongAnswerError: it is not the object.
    """
    before = site.delivered()
    connection = http.client.HTTPConnection(HOST, server.port, timeout=30)
    try:
        body = request.body.read_bytes() if request.body else None
        connection.request(request.method, request.path, body, request.headers)
        answer = connection.getresponse()
        content = answer.read()
    except (OSError, http.client.HTTPException) as error:
        raise WrongAnswerError(f"{server.kind.name}: {type(error).__name__}: {error}") from error
    finally:
        connection.close()
    expected = (204, b"") if request.delivers else (200, site.object(request.size).read_bytes())
    if (answer.status, content) != expected:
        raise WrongAnswerError(f"{server.kind.name} answered {answer.status}, {len(content)} bytes: {content[:100]!r}")
    if request.delivers:
        site.require_delivered(before, 1)


def wrk(site: Site, server: Server, request: Request, seconds: float, connections: int = CONNECTIONS) -> float:
    """Requests per second in a window of at least `seconds`, with so many at once.

    Raises:
        WrongAnswerError: a request failed, or not all that was counted has reached the target right.
    """
    headers = "\n".join(
        f"wrk.headers[{json.dumps(name)}] = {json.dumps(value)}" for name, value in request.headers.items()
    )
    body = f'wrk.body = io.open({json.dumps(str(request.body))}, "rb"):read("*a")' if request.body else ""
    script = _ONE.format(method=json.dumps(request.method), headers=headers, body=body)
    return _wrk(site, server, request, script, seconds, connections)


def wrk_in_turn(site: Site, server: Server, requests: Sequence[Request], seconds: float) -> float:
    """As `wrk`, with one request after the other; none has a body, nor a header but where its result goes."""
    listed = site.folder / "wrk.requests"
    listed.write_text("".join(f"{one.method} {one.path} {one.headers.get(_NODE_URL, '')}\n" for one in requests))
    script = _MANY.format(file=json.dumps(str(listed)), header=json.dumps(_NODE_URL))
    return _wrk(site, server, requests[0], script, seconds)


def _wrk(
    site: Site, server: Server, request: Request, script: str, seconds: float, connections: int = CONNECTIONS
) -> float:
    path = site.folder / "wrk.lua"
    path.write_text(script + _DONE)
    before = site.delivered()
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--timeout", "30s", "-s", str(path)]
    run = subprocess.run(
        [*command, f"http://{HOST}:{server.port}{request.path}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=seconds + 60,
    )
    _, mark, result = run.stdout.partition("RESULT ")
    if not mark:
        raise BenchError(f"wrk failed: {run.stdout}{run.stderr}")
    figures = json.loads(result)
    if figures["errors"]:
        raise WrongAnswerError(f"{server.kind.name}: {figures['errors']} of {figures['requests']} requests failed")
    if request.delivers:
        site.require_delivered(before, figures["requests"])
    return float(figures["requests"] / figures["microseconds"] * 1e6)
