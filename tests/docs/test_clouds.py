"""Every command of docs/clouds.md does what the page says, against stores on this machine."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.test_links import ROOT
from tests.offline.support import fill
from tests.support.clouds import Cloud, google_key
from tests.support.faulty_cloud import faulty_cloud
from tests.support.web import web_server

_COMMANDS = re.findall(r"^```sh\n(.*?)^```", (ROOT / "docs" / "clouds.md").read_text(), re.MULTILINE | re.DOTALL)
_EXAMPLE = re.search(r"^cat > upper\.py .*?^EOT$", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.whole
def test_each_command_of_the_page_runs(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(_COMMANDS) > 5
    assert _EXAMPLE is not None
    for bucket in ("photos", "archive", "opendata"):
        cloud.client.create_bucket(Bucket=bucket)
    cloud.put("opendata", {"2024/a": b"public"}, ACL="public-read")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "first.txt").write_text("hello, store\n")
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}:{os.environ['PATH']}")
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", google_key(tmp_path))

    fill(tmp_path / "site", ["public/a"])

    def run(command: str) -> str:
        command = command.replace("http://localhost:9000", cloud.endpoint).replace("open-data", "opendata")
        command = command.replace("http://localhost:9001", web.endpoint)
        done = subprocess.run(["bash", "-ec", command], cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, f"{command}\n{done.stderr}"
        return done.stdout + done.stderr

    with faulty_cloud(cloud.endpoint) as google, web_server(tmp_path / "site") as web:
        run(_EXAMPLE[0])
        google.is_google = True
        monkeypatch.setenv("GOOGLE_BASE_URL", google.endpoint)
        said = [run(command) for command in _COMMANDS]
        said_again = run(_COMMANDS[0])
    assert cloud.content("photos") == dict.fromkeys(
        ["loud/first.txt", "louder/loud/first.txt", "own/first.txt"], b"HELLO, STORE\n"
    )
    assert cloud.content("archive") == {"loud/first.txt": b"HELLO, STORE\n"}
    assert (tmp_path / "results" / "2024" / "a").read_bytes() == b"PUBLIC"
    assert (tmp_path / "fetched" / "a").read_bytes() == b"OBJECT PUBLIC/A"
    assert "to do: loud/first.txt -> loud/first.txt" in said[4]
    assert "0 done, 1 already there" in said_again
