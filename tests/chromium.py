"""Debian's Chromium without a head, for tests and benches that look at pages as a user does."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
OPTIONS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium(*options: str) -> Iterator[Any]:
    """A browser without a head."""
    from playwright.sync_api import sync_playwright  # not needed where there is no browser to drive

    with sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=[*OPTIONS, *options])
        try:
            yield browser
        finally:
            browser.close()
