"""Azure's emulator, where it is installed."""

import base64
import contextlib
import email.utils
import hmac
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.node import wait_until

AZURE = {
    "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
    "AZURE_STORAGE_ACCOUNT_KEY": (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # every emulator's
    ),
}


@contextlib.contextmanager
def running_azurite(tmp_path: Path) -> Iterator[str]:
    """Azure's emulator on a free port until the context ends; its endpoint. The test is skipped where there is none."""
    command = shutil.which("azurite-blob")
    if command is None:
        pytest.skip("Azure's emulator is not here: npm install --global azurite")
    place = ("--inMemoryPersistence", "--blobHost", "127.0.0.1", "--blobPort", "0")
    log = tmp_path / "azurite.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            [command, *place, "--skipApiVersionCheck", "--disableTelemetry"], cwd=tmp_path, stdout=file
        )
    try:
        wait_until(lambda: "listens on" in log.read_text())
        found = re.search(r"listens on (http://\S+)", log.read_text())
        assert found is not None
        yield f"{found[1]}/{AZURE['AZURE_STORAGE_ACCOUNT_NAME']}"
    finally:
        process.kill()
        process.wait()


def make_container(endpoint: str, name: str) -> None:
    """Make a container in Azure's emulator: the only thing here that obstore can't."""
    account = AZURE["AZURE_STORAGE_ACCOUNT_NAME"]
    date, version = email.utils.formatdate(usegmt=True), "2020-10-02"
    what = f"x-ms-date:{date}\nx-ms-version:{version}\n/{account}/{account}/{name}\nrestype:container"
    key = base64.b64decode(AZURE["AZURE_STORAGE_ACCOUNT_KEY"])
    signature = base64.b64encode(hmac.digest(key, ("PUT" + "\n" * 12 + what).encode(), "sha256")).decode()
    headers = {"x-ms-date": date, "x-ms-version": version, "Authorization": f"SharedKey {account}:{signature}"}
    answer = requests.put(f"{endpoint}/{name}?restype=container", headers=headers, timeout=60)
    assert answer.status_code in (201, 409), answer.text
