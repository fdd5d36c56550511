"""A browser without a window; what needs it is skipped where there is none."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = ("chromium", "chromium-browser", "google-chrome")
WATCH = """
    window.violations = [];
    document.addEventListener('securitypolicyviolation', (event) =>
        window.violations.push(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`));
"""


class Visit:
    """A page that is open, and what went wrong on it."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.requests: list[str] = []
        page.on("console", lambda message: self.said.append(message.text))
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("request", lambda request: self.requests.append(request.url))
        page.add_init_script(WATCH)

    def open(self, path: Path) -> None:
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-drawn]", timeout=60_000)

    def violations(self) -> list[str]:
        found: list[str] = self.page.evaluate("window.violations")
        return found


@contextmanager
def browser() -> Iterator[Any]:
    """Chromium of the system, by Playwright."""
    playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
    path = os.environ.get("CT_GUARD_CHROMIUM") or next(
        filter(None, map(shutil.which, CHROMIUM)), ""
    )
    if not path:
        pytest.skip("needs chromium: apt-get install chromium, or CT_GUARD_CHROMIUM=/path/to/it")
    with playwright.sync_playwright() as started:
        made = started.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        yield made
        made.close()
