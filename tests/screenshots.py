"""The pictures of the README, taken anew: `python -m tests.screenshots`, in the environment of the tests.

The demo market with its own seed, in a window as laptops have it, dark and light, and as wide as a phone.
"""

import json
from contextlib import AbstractContextManager
from io import BytesIO
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.request import Request, urlopen

from PIL import Image

from config import ROOT
from tests.browsing import chromium
from tests.running import Running, running
from tests.waiting import until

FOLDER = ROOT / "docs" / "screenshots"
SIZES = {"laptop": {"width": 1440, "height": 1000}, "phone": {"width": 390, "height": 844}}
SCHEMES = ("dark", "light")
PAGES = {
    "overview": "/",
    "pair": "/pair",
    "microstructure": "/microstructure",
    "signals": "/signals",
    "scanner": "/scanner?scan=timeframe.1s",
    "backtest": "/backtest",
    "alerts": "/alerts",
    "advanced": "/advanced?topic=distribution",
    "data": "/data",
    "system": "/system",
}
SYMBOLS = "BTCUSDT,ETHUSDT,BNBUSDT,SOLUSDT,XRPUSDT,ADAUSDT"
RULES = (
    {"metric": "zscore", "condition": "outside", "threshold": 1.0, "recovery": 0.25, "timeframe": "1s"},
    {"metric": "correlation", "condition": "<", "threshold": 0.3, "for_s": 30, "severity": "info", "timeframe": "1s"},
    {"expression": "volume_spike_y > 3 AND abs(zscore) > 1", "severity": "critical", "timeframe": "1s"},
)
RUN = {"scanner": "Scan", "backtest": "Run backtest"}  # what has to be pressed before there is something to see
COLOURS = 128  # of a picture: text and lines stay sharp, and it is a quarter of the size


def main() -> None:
    """Save every page in both schemes and sizes."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, _demo(Path(folder)) as app:
        until(app.status, lambda status: all(row["stored"] > 1_000 for row in status["symbols"].values()), 60)
        for rule in RULES:
            _post(f"{app.url}/api/v1/alerts", rule)
        with chromium() as browser:
            _greet(browser, app.url)
            for (name, path), scheme, (size, viewport) in product(PAGES.items(), SCHEMES, SIZES.items()):
                page = browser.new_page(viewport=viewport, color_scheme=scheme)
                page.goto(app.url + path)
                page.wait_for_selector(".ps-head h2", timeout=60_000)
                if name in RUN:
                    page.get_by_role("button", name=RUN[name], exact=True).first.click()
                page.wait_for_timeout(5_000)  # a few refreshes, so that what moves has settled
                _save(page.screenshot(), FOLDER / f"{name}-{scheme}-{size}.png")
                page.close()


def _demo(folder: Path) -> AbstractContextManager[Running]:
    return running(source="demo", symbols=SYMBOLS, database=folder / "demo.db")


def _post(url: str, body: dict[str, Any]) -> None:
    request = Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urlopen(request, timeout=10):
        pass


def _save(picture: bytes, path: Path) -> None:
    """Store a picture with few colours."""
    with Image.open(BytesIO(picture)) as image:
        image.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


def _greet(browser: Any, url: str) -> None:
    """Dismiss the guide of the first visit."""
    page = browser.new_page()
    page.goto(url)
    page.get_by_role("button", name="Got it").click(timeout=60_000)
    page.get_by_text("Five things to know").wait_for(state="hidden")
    page.close()


if __name__ == "__main__":
    main()
