"""What every example's class needs to be made in a test's own process."""

import pytest


@pytest.fixture(autouse=True)
def target_url(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIS_TARGET_URL", "http://127.0.0.1:1/v1/etl/_object/example/secret")
