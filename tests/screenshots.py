"""The pictures of the README, taken anew: `python -m tests.screenshots`, in the environment of the tests.

The demo market with its own seed, in a window as laptops have it, dark and light, and as wide as a phone.
"""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from config import ROOT
from tests.browsing import chromium
from tests.running import running
from tests.waiting import until

FOLDER = ROOT / "docs" / "screenshots"
LAPTOP, PHONE = {"width": 1440, "height": 1000}, {"width": 420, "height": 900}
SHOTS = [
    ("overview-dark", "/", "dark", LAPTOP),
    ("pair-dark", "/pair", "dark", LAPTOP),
    ("pair-light", "/pair", "light", LAPTOP),
    ("pair-phone", "/pair", "dark", PHONE),
    ("microstructure-dark", "/microstructure", "dark", LAPTOP),
    ("microstructure-light", "/microstructure", "light", LAPTOP),
    ("signals-dark", "/signals", "dark", LAPTOP),
    ("signals-light", "/signals", "light", LAPTOP),
    ("alerts-dark", "/alerts", "dark", LAPTOP),
    ("advanced-dark", "/advanced?topic=distribution", "dark", LAPTOP),
    ("data-dark", "/data", "dark", LAPTOP),
    ("system-dark", "/system", "dark", LAPTOP),
]


def main() -> None:
    """Save every picture of SHOTS."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, running(source="demo", database=Path(folder) / "demo.db") as app:
        until(app.status, lambda status: all(row["stored"] > 1_000 for row in status["symbols"].values()), 60)
        with chromium() as browser:
            _greet(browser, app.url)
            for name, path, scheme, size in SHOTS:
                page = browser.new_page(viewport=size, color_scheme=scheme)
                page.goto(app.url + path)
                page.wait_for_selector(".ps-head h2", timeout=60_000)
                page.wait_for_timeout(8_000)  # a few refreshes, so that what moves has settled
                page.screenshot(path=FOLDER / f"{name}.png")
                page.close()


def _greet(browser: Any, url: str) -> None:
    """Dismiss the guide of the first visit."""
    page = browser.new_page()
    page.goto(url)
    page.get_by_role("button", name="Got it").click(timeout=60_000)
    page.get_by_text("Five things to know").wait_for(state="hidden")
    page.close()


if __name__ == "__main__":
    main()
