"""A fake engine for tests of pages, and one browser and one server over one for all browser tests."""

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import engine as engines
from config import ROOT
from tests.browsing import chromium
from tests.dashboard.fake_engine import FakeEngine

LAPTOP, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
PATIENCE_MS = 180_000  # for what comes within seconds where nothing else runs
DRAWN = "() => Number(document.querySelector('[data-live=chart]')?.dataset.seq) > 0"


class Served:
    """A running `served.py`."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def state(self, name: str) -> None:
        """Bring the market into a state of `states.STATES`."""
        self._get(f"/test/state/{name}")

    def bars(self, every_ms: int) -> None:
        """Close a bar each so many milliseconds; 0 stops the market."""
        self._get(f"/test/bars/{every_ms}")

    def judge(self, z: float) -> None:
        """Have all rules judged at a z-score."""
        self._get(f"/test/judge/{z}")

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)  # the pages answer to unknown paths too, but not in JSON


@contextmanager
def served(port: int = 0) -> Iterator[Served]:
    """A server of its own."""
    script = Path(__file__).parent / "served.py"
    process = subprocess.Popen([sys.executable, str(script), str(port)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("http://127.0.0.1:")
        yield Served(process, address)
    finally:
        process.kill()
        process.wait(5)
        process.stdout.close()


@pytest.fixture
def engine():
    """A fake engine, which is the engine of the process meanwhile."""
    fake = FakeEngine()
    engines.install(fake)
    yield fake
    engines.install(None)
    fake.jobs.stop()


@pytest.fixture(scope="session")
def shared_server():
    with served() as server:
        yield server


@pytest.fixture
def server(shared_server):
    """The shared server, with a live market that moves on twice a second."""
    shared_server.state("live")
    shared_server.bars(500)
    return shared_server


@pytest.fixture(scope="module")  # while it is open its event loop is the thread's: no other test could run one
def browser():
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser):
    """What tabs of one browser share; notes faults of its pages and what they ask of other hosts."""
    made = browser.new_context(viewport=LAPTOP, color_scheme="dark")
    made.set_default_timeout(PATIENCE_MS)
    made.faults, made.outside = [], []
    made.on("weberror", lambda error: made.faults.append(str(error.error)))
    made.on("request", lambda request: made.outside.append(request.url) if is_outside(request.url) else None)
    yield made
    made.close()
    assert made.faults == []


def is_outside(url: str) -> bool:
    return not url.startswith(("http://127.0.0.1:", "ws://127.0.0.1:", "blob:", "data:"))


@pytest.fixture
def page(server, context):
    """The Pair page with its chart drawn."""
    return open_page(context, f"{server.url}/pair")


def open_page(context: Any, url: str) -> Any:
    """A new tab, its chart drawn, its sidebar there, and keys heard."""
    page = context.new_page()
    page.goto(url)
    page.wait_for_function(DRAWN)
    page.wait_for_selector(".st-key-swap button", state="attached")
    page.wait_for_function("() => document.querySelector('.ps-frame')?.ready")
    return page
