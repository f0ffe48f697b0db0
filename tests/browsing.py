"""Debian's Chromium for tests that look at pages as a user does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

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

# In continuous integration a missing browser is a failure, not a reason to skip.
needs_browser = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine"),
]


@contextmanager
def chromium() -> Iterator[Any]:
    """A browser without a head."""
    from playwright.sync_api import sync_playwright  # not needed where there is no browser to drive

    with sync_playwright() as runner:
        browser = runner.chromium.launch(executable_path=CHROMIUM, args=OPTIONS)
        try:
            yield browser
        finally:
            browser.close()
