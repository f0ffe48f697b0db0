"""Pairscope under open tabs, with its real engine: a signal ends it within five seconds, and nothing is lost."""

import signal
import sqlite3
from contextlib import closing

from tests.browsing import needs_browser
from tests.fakes.exchange import FakeExchange
from tests.running import running
from tests.waiting import until

pytestmark = needs_browser


def test_a_signal_ends_it_within_five_seconds_under_three_tabs_and_loses_nothing(context, tmp_path):
    with FakeExchange(rate=200) as exchange:
        options = {"source": "binance-um", "ws_url": exchange.ws_url, "rest_url": exchange.rest_url}
        with running(**options, database=tmp_path / "tape.db") as app:
            for name in ("", "pair", "microstructure"):
                page = context.new_page()
                page.goto(f"{app.url}/{name}")
                page.wait_for_selector(".ps-live:not([data-state=loading])", state="attached")
            rows = until(app.status, _all_stored_some)["symbols"]
            assert app.stop(signal.SIGTERM, within_s=5) == 0
    with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
        for symbol, row in rows.items():
            ids = [i for (i,) in file.execute("select trade_id from trades where symbol = ? order by 1", (symbol,))]
            assert len(ids) >= row["stored"] + row["queued"]
            assert ids == list(range(ids[0], ids[-1] + 1))


def _all_stored_some(status) -> bool:
    return all(row["stored"] > 100 for row in status["symbols"].values())
