"""A real browser without a window: Chromium, driven by Playwright.

Playwright comes from this environment, or else from one of its own (`environments.BROWSER`). Chromium is the one that
is installed, as by `apt-get install chromium`, or else Playwright's own. Where either can't be had, the test is skipped
with a line that says so.
"""

import contextlib
import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support.environments import BROWSER, need

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_WAIT = 20_000.0  # milliseconds until a wait is given up as hung; no measurement


@dataclass
class Complaints:
    """What a page has complained of: errors of its scripts, and lines of its console."""

    lines: list[str] = field(default_factory=list)

    def watch(self, page: Any) -> None:
        """Note everything that a page says."""
        page.on("pageerror", lambda error: self.lines.append(str(error)))
        page.on("console", lambda line: self.lines.append(line.text) if line.type in ("error", "warning") else None)


@contextlib.contextmanager
def running_browser() -> Iterator[Any]:
    """A browser; Playwright's `Browser`."""
    if importlib.util.find_spec("playwright") is None:
        need(BROWSER)
        sys.path += map(str, BROWSER.programs.parent.glob("lib/python*/site-packages"))
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        program = _chromium(playwright.chromium.executable_path)
        # Chromium's sandbox needs a user other than root.
        options = ["--no-sandbox"] if os.geteuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=program, args=options)
        try:
            yield browser
        finally:
            browser.close()


def new_page(browser: Any, complaints: Complaints, **options: Any) -> Any:
    """A tab of its own; Playwright's `Page`."""
    page = browser.new_context(**options).new_page()
    page.set_default_timeout(_WAIT)
    complaints.watch(page)
    return page


def _chromium(bundled: str) -> str:
    for name in _NAMES:
        if found := shutil.which(name):
            return found
    if not Path(bundled).exists():
        python = BROWSER.python if BROWSER.python.exists() else Path(sys.executable)
        command = [str(python), "-m", "playwright", "install", "chromium"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip("there is no browser: install Chromium, for example by apt-get install chromium")
    return bundled
