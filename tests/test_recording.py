"""Real recorded trades through the real path, watched in a real browser: every number is the recording's own."""

import csv
import gzip
import io
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from analytics.resampling import bars
from config import ROOT
from data.trades import Trade, Trades
from tests.browsing import chromium, needs_browser
from tests.market import market
from tests.running import running
from tests.waiting import until

pytestmark = needs_browser

FILES = {"BTCUSDT": "ws/usdm_btcusdt_20240808.gz", "ETHUSDT": "ws/usdm_ethusdt_20240808.gz"}
# symbol -> trades, first id, last id: as the recordings' own description states them
KNOWN = {"BTCUSDT": (21_313, 5_266_583_935, 5_266_605_247), "ETHUSDT": (14_076, 4_308_068_523, 4_308_082_598)}
SHOTS = ROOT / "var" / "screenshots"


def read_directly(path: Path) -> list[Trade]:
    """The trades of a recording by the plainest means, apart from all of our own reading."""
    rows = []
    with gzip.open(path, "rt") as lines:
        for line in lines:
            event = json.loads(line.split(" ", 1)[1]).get("data", {})
            if event.get("e") == "trade" and event["X"] == "MARKET":
                price, qty = float(event["p"]), float(event["q"])
                rows.append(Trade(event["s"], event["t"], event["T"] * 1_000, price, qty, event["m"]))
    return rows


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """Pairscope at the end of the replay, and a page that watched it."""
    files = [market(name) for name in FILES.values()]
    database = tmp_path_factory.mktemp("recording") / "tape.db"
    replay = ",".join(map(str, files))
    with running(source="replay", replay=replay, speed=20, database=database) as app, chromium() as browser:
        context = browser.new_context(viewport={"width": 1440, "height": 1400}, color_scheme="dark")
        page = context.new_page()
        page.goto(f"{app.url}/pair")
        page.wait_for_selector(".js-plotly-plot .trace path", state="attached", timeout=60_000)
        until(app.status, _is_over, 60)
        yield app, page
        context.close()


def _is_over(status) -> bool:
    stored = {symbol: row["stored"] for symbol, row in status["symbols"].items()}
    return stored == {symbol: count for symbol, (count, _, _) in KNOWN.items()}


def test_every_trade_is_stored_once_with_contiguous_ids(recording):
    app, _ = recording
    for symbol, (count, first_id, last_id) in KNOWN.items():
        ids = [row["trade_id"] for row in app.get(f"/api/v1/ticks/{symbol}?limit=50000")]
        assert ids == list(range(first_id, last_id + 1)) and len(ids) == count
    status = app.status()
    assert status["mode"] == "REPLAY"
    assert all(row["rejected"] == {} and row["dropped"] == {} for row in status["symbols"].values())


@pytest.mark.parametrize("symbol", FILES)
def test_one_second_bars_equal_a_batch_over_the_file(recording, symbol):
    app, _ = recording
    expected = bars(Trades.from_rows(symbol, read_directly(market(FILES[symbol]))), "1s")
    found = app.get(f"/api/v1/bars/{symbol}/1s?limit=2000")[: len(expected)]
    assert [row["ts_us"] for row in found] == expected.index.asi8.tolist()
    for name in ("open", "high", "low", "close", "volume", "vwap", "trades", "taker_buy_volume"):
        column = np.array([row[name] for row in found], float)
        np.testing.assert_allclose(column, expected[name].to_numpy(float), rtol=1e-12, err_msg=name)


def test_the_pair_page_shows_the_pair_with_the_numbers_of_the_api(recording):
    app, page = recording
    page.wait_for_selector("text=ETHUSDT / BTCUSDT")
    page.wait_for_selector("text=REPLAY")
    zscore = app.get("/api/v1/pair/BTCUSDT/ETHUSDT/1s")["reading"]["zscore"]
    shown = f"{zscore:+.2f}".replace("-", "−")
    page.wait_for_selector(f"text={shown}")
    page.wait_for_selector("text=What this says")
    SHOTS.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=SHOTS / "recording-pair.png")


def test_the_csv_that_a_user_downloads_parses_back_to_the_same_numbers(recording):
    app, page = recording
    with page.expect_download() as download:
        page.get_by_role("button", name="CSV").first.click()
    text = Path(download.value.path()).read_text()
    table = defaultdict(list)
    for row in csv.DictReader(io.StringIO(text)):
        for name, cell in row.items():
            table[name].append(cell)
    rows = app.get(f"/api/v1/analytics/BTCUSDT/ETHUSDT/1s?limit={len(table['ts_us'])}")
    assert [int(cell) for cell in table["ts_us"]] == [row["ts_us"] for row in rows]
    for name in ("hedge_ratio", "spread", "zscore", "correlation"):
        assert [float(cell) if cell else None for cell in table[name]] == [row[name] for row in rows], name


def test_the_overview_shows_both_symbols(recording):
    app, page = recording
    page.goto(app.url)
    page.wait_for_selector(".js-plotly-plot .trace path", state="attached", timeout=60_000)
    for symbol, row in app.status()["symbols"].items():
        page.wait_for_selector(f"text={symbol}")
        page.wait_for_selector(f"text={row['last_price']:,.1f}")
    page.screenshot(path=SHOTS / "recording-overview.png")
