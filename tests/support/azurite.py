"""Azure's emulator, where it is installed."""

import base64
import contextlib
import email.utils
import hmac
import re
import shutil
import subprocess
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest

from tests.support.node import wait_until

AZURE = {
    "AZURE_STORAGE_ACCOUNT_NAME": "devstoreaccount1",
    "AZURE_STORAGE_ACCOUNT_KEY": (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # every emulator's
    ),
}

_NO_HEADERS = "\n" * 9  # those that are signed by their place, and that we don't send


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
    """Make a container in Azure's emulator, which obstore can't."""
    status = _put(endpoint, f"/{name}", "restype=container")
    assert status in (201, 409), status


def put_blob(endpoint: str, container: str, name: str, data: bytes) -> None:
    """Put an object there whose name obstore may refuse."""
    status = _put(endpoint, f"/{container}/{quote(name)}", data=data, blob_type="BlockBlob")
    assert status == 201, status


def _put(endpoint: str, path: str, query: str = "", data: bytes = b"", blob_type: str = "") -> int:
    """A signed request, whose path goes as it is: a client of more comfort would tidy it up. The answer's status."""
    account, place = AZURE["AZURE_STORAGE_ACCOUNT_NAME"], urlsplit(endpoint)
    headers = {"x-ms-blob-type": blob_type} if blob_type else {}
    headers |= {"x-ms-date": email.utils.formatdate(usegmt=True), "x-ms-version": "2020-10-02"}
    of_headers = "".join(f"{name}:{value}\n" for name, value in headers.items())
    length = str(len(data)) if data else ""
    of_query = f"\n{query.replace('=', ':')}" if query else ""
    what = f"PUT\n\n\n{length}{_NO_HEADERS}{of_headers}/{account}{place.path}{path}{of_query}"
    key = base64.b64decode(AZURE["AZURE_STORAGE_ACCOUNT_KEY"])
    signature = base64.b64encode(hmac.digest(key, what.encode(), "sha256")).decode()
    with contextlib.closing(HTTPConnection(place.netloc, timeout=60)) as connection:
        url = f"{place.path}{path}?{query}" if query else f"{place.path}{path}"
        connection.request("PUT", url, data, {**headers, "Authorization": f"SharedKey {account}:{signature}"})
        return connection.getresponse().status
