"""Quotes through the whole engine: by setting, beside the trades, and never at their cost."""

import pytest

from analytics.microstructure import QuoteParams, quote_reading
from data.feeds.socket import QuoteFeed
from engine import Engine
from tests.fakes.engine import settings
from tests.fakes.exchange import FakeExchange
from tests.market import market
from tests.waiting import until


@pytest.fixture
def exchange():
    with FakeExchange(rate=200) as made:
        made.quoting = True
        yield made


def started(folder, exchange: FakeExchange, **options: object) -> Engine:
    live = {"source": "binance-um", "ws_url": exchange.ws_url, "rest_url": exchange.rest_url, "backfill": 0}
    engine = Engine(settings(folder, **live | options))
    engine.start()
    return engine


def test_with_the_setting_quotes_come_over_a_second_connection(tmp_path, exchange):
    engine = started(tmp_path, exchange, quotes=True)
    try:
        until(lambda: engine.status().quotes, lambda rows: len(rows) == 2 and all(r.kept > 5 for r in rows.values()))
        assert {peer.route for peer in exchange.peers} == {"/market", "/public"}
        held, printed = engine.quotes("BTCUSDT"), {quote.update_id: quote for quote in list(exchange.quotes)}
        assert all(printed[quote.update_id] == quote for quote in held)
        assert len(engine.quotes("BTCUSDT", limit=3)) == 3
        status = engine.status()
        row = status.quotes["BTCUSDT"]
        assert row.received == row.kept and row.bid < row.ask and row.quotes_per_s > 0 and row.last_quote_age_s < 5
        assert (status.quote_feed["mode"], status.mode, row.reconnects) == ("LIVE", "LIVE", 0)
        assert status.as_dict()["quotes"]["BTCUSDT"]["ask"] >= row.bid
        engine.set_symbols(["ETHUSDT"])
        public = [peer for peer in exchange.peers if peer.route == "/public"]
        until(lambda: list(public[0].streams), lambda names: names == ["ethusdt@bookTicker"])
    finally:
        engine.stop()
    until(lambda: exchange.open_peers, lambda peers: not peers)  # the other end hears of it a moment later


def test_without_the_setting_there_is_no_second_connection(tmp_path, exchange):
    engine = started(tmp_path, exchange)
    try:
        until(lambda: engine.status().symbols, lambda rows: rows and all(row.received > 20 for row in rows.values()))
        assert {peer.route for peer in exchange.peers} == {"/market"}
        assert (engine.status().quotes, engine.status().quote_feed, len(engine.quotes("BTCUSDT"))) == ({}, None, 0)
    finally:
        engine.stop()


def test_trades_are_unharmed_while_quotes_are_refused(tmp_path, exchange):
    exchange.refuse_route("/public", 451)
    engine = started(tmp_path, exchange, quotes=True)
    try:
        until(lambda: engine.status().quote_feed, lambda feed: feed["mode"] == "BLOCKED")
        before = engine.status().symbols
        until(lambda: engine.status().symbols, lambda rows: rows and all(r.received > 50 for r in rows.values()))
        status = engine.status()
        assert (status.mode, status.reconnects, status.status) == ("LIVE", 0, "ok"), before
        assert "451" in status.quote_feed["detail"] and status.quotes == {}
        exchange.admit()
        feed = engine.session.quote_feed
        assert isinstance(feed, QuoteFeed)
        feed.retry_now()
        until(lambda: engine.status().quotes, bool)
    finally:
        engine.stop()


def test_quotes_that_break_off_come_back_while_trades_go_on(tmp_path, exchange):
    engine = started(tmp_path, exchange, quotes=True)
    try:
        until(lambda: "BTCUSDT" in engine.status().quotes, bool)
        exchange.close_route("/public")
        row = until(lambda: engine.status().quotes["BTCUSDT"], lambda row: row.reconnects == 1)
        until(lambda: engine.status().quotes["BTCUSDT"], lambda later: later.kept > row.kept)
        assert engine.status().reconnects == 0
    finally:
        engine.stop()


@pytest.mark.parametrize("source", ["demo", "replay"])
def test_the_demo_market_and_recordings_have_quotes_without_the_setting(tmp_path, source):
    recordings = (market("ws/usdm_btcusdt_20230404.dat.gz"),) if source == "replay" else ()
    engine = Engine(settings(tmp_path, source=source, replay=recordings, speed=0))
    engine.start()
    try:
        row = until(lambda: engine.status().quotes.get("BTCUSDT"), lambda row: row and row.kept > 500)
        trades = until(lambda: engine.ticks("BTCUSDT", 100_000), lambda rows: len(rows) > 500)
        assert engine.status().quote_feed is None and row.reconnects == 0
        quotes = engine.quotes("BTCUSDT", 100_000)
        found = quote_reading(quotes, trades, int(quotes.ts_us[-1]), QuoteParams(window_s=600))
        assert found.quoted.price == pytest.approx(0.1, rel=0.2)
        assert found.effective.n_obs > 100
    finally:
        engine.stop()
