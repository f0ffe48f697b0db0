"""A capture that proves itself complete: gaps repaired, refusals obeyed, silence seen, and marks on every number."""

import sqlite3
from contextlib import closing, contextmanager

import numpy as np
import pytest

from analytics.resampling import bars
from data.trades import Trades
from engine import Engine
from tests.fakes.engine import settings
from tests.fakes.exchange import FakeExchange
from tests.waiting import until
from utils.errors import InputError


@contextmanager
def capturing(folder, exchange: FakeExchange, **options):
    """An engine at the exchange, live."""
    urls = {"ws_url": exchange.ws_url, "rest_url": exchange.rest_url}
    engine = Engine(settings(folder, source="binance-um", **urls, **options))
    engine.start()
    try:
        until(engine.status, lambda status: status.mode == "LIVE" and len(status.symbols) == 2)
        yield engine
    finally:
        engine.stop()


def hide(exchange: FakeExchange, symbol: str, count: int) -> list[int]:
    """Trades that happen and are never sent live, between others that are; their ids."""
    exchange.emit(3, symbol)
    exchange.mute(symbol)
    hidden = [trade.trade_id for trade in exchange.emit(count, symbol)]
    exchange.unmute(symbol)
    exchange.emit(3, symbol)
    return hidden


def rows(engine: Engine):
    return engine.status().symbols


def test_what_was_never_sent_live_is_fetched_by_id_and_its_gap_closed(tmp_path):
    with FakeExchange(rate=200) as exchange, capturing(tmp_path, exchange) as engine:
        hidden = hide(exchange, "BTCUSDT", 2_500)
        until(engine.gaps, lambda gaps: gaps and all(gap.filled_us for gap in gaps))
        (gap,) = engine.gaps()
        assert gap.first_id <= hidden[0] and gap.last_id >= hidden[-1] and gap.cause == "missed"
        exchange.rate = 0
        made = exchange.tape.trades["BTCUSDT"]
        until(lambda: engine.ticks("BTCUSDT", limit=10_000), lambda held: held.trade_id[-1] == made[-1].trade_id)
        seen = list(engine.ticks("BTCUSDT", limit=10_000))
        assert seen == made[-len(seen) :]
        until(lambda: rows(engine)["BTCUSDT"].queued, lambda queued: queued == 0)
        engine.session.housekeep()
        found = engine.bars("BTCUSDT", "1s", 1_000)
        expected = bars(Trades.from_rows("BTCUSDT", seen), "1s")
        columns = ["open", "high", "low", "close", "volume", "trades"]
        np.testing.assert_allclose(found[columns][: len(expected)], expected[columns], rtol=1e-12)
        assert found["complete"][1 : len(expected) - 1].all()


def test_with_rest_refusing_the_gap_stays_open_exact_and_marked(tmp_path):
    with FakeExchange(rate=100) as exchange, capturing(tmp_path, exchange) as engine:
        until(lambda: engine.bars("BTCUSDT", "1s", 100), lambda frame: frame["complete"].any())
        exchange.refuse_rest(503)
        exchange.rate = 0
        until(
            lambda: rows(engine)["BTCUSDT"].last_trade_id, lambda i: i == exchange.tape.trades["BTCUSDT"][-1].trade_id
        )
        hidden = hide(exchange, "BTCUSDT", 40)
        (gap,) = until(engine.gaps, lambda gaps: gaps)
        assert (gap.first_id, gap.last_id, gap.filled_us) == (hidden[0], hidden[-1], None)
        until(engine.status, lambda status: "503" in status.backfill["detail"])
        assert engine.status().backfill["missing"] == 40
        assert not set(hidden) & set(engine.ticks("BTCUSDT", limit=10_000).trade_id.tolist())
        lost_us = exchange.tape.trades["BTCUSDT"][-10].ts_us
        exchange.rate = 100
        until(
            lambda: engine.bars("BTCUSDT", "1s", 100),
            lambda frame: frame.index.asi8[-1] > lost_us + 3_000_000 and frame["complete"].iloc[-2],
        )
        frame = engine.bars("BTCUSDT", "1s", 100)
        touched = (frame.index.asi8 <= lost_us) & (lost_us < frame.index.asi8 + 1_000_000)
        assert touched.sum() == 1 and not frame["complete"][touched].any()
        exchange.admit_rest()
        until(engine.gaps, lambda gaps: gaps[0].filled_us)
        until(
            lambda: engine.bars("BTCUSDT", "1s", 100),
            lambda frame: frame["complete"][frame.index.asi8 == lost_us // 1_000_000 * 1_000_000].all(),
        )
        frame = engine.bars("BTCUSDT", "1s", 100)
        assert frame["revised"][frame.index.asi8 == lost_us // 1_000_000 * 1_000_000].all()


def test_a_restart_closes_the_hole_between_and_goes_on_repairing_what_was_open(tmp_path):
    with FakeExchange(rate=200) as exchange:
        exchange.refuse_rest(503)
        with capturing(tmp_path, exchange) as engine:
            hide(exchange, "ETHUSDT", 30)
            until(engine.gaps, lambda gaps: gaps)
            until(lambda: rows(engine)["BTCUSDT"].stored, lambda stored: stored > 50)
        exchange.emit(300)
        exchange.admit_rest()
        with capturing(tmp_path, exchange) as engine:
            until(engine.gaps, lambda gaps: len(gaps) == 3 and all(gap.filled_us for gap in gaps))
            assert sorted(gap.cause for gap in engine.gaps()) == ["missed", "offline", "offline"]
        with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
            query = "select count(*), max(trade_id) - min(trade_id) + 1 from trades group by symbol"
            assert all(count == span for count, span in file.execute(query))
            assert file.execute("select count(*) from gaps where filled_us is null").fetchone() == (0,)


@pytest.mark.parametrize("status", [429, 418])
def test_a_pause_that_the_exchange_asks_for_is_kept_over_a_restart(tmp_path, status):
    with FakeExchange(rate=200) as exchange:
        exchange.refuse_rest(status, {"Retry-After": "600"})
        with capturing(tmp_path, exchange) as engine:
            until(lambda: exchange.rest_log, lambda log: log)
            hide(exchange, "BTCUSDT", 30)
            until(engine.gaps, lambda gaps: gaps)
            received = rows(engine)["BTCUSDT"].received
            until(lambda: rows(engine)["BTCUSDT"].received, lambda now: now > received + 100)
        with capturing(tmp_path, exchange) as engine:
            until(engine.gaps, lambda gaps: len(gaps) >= 2)
            assert 500 < engine.status().backfill["retry_in_s"] <= 600
            received = rows(engine)["BTCUSDT"].received
            until(lambda: rows(engine)["BTCUSDT"].received, lambda now: now > received + 100)
        assert [code for _, _, code in exchange.rest_log] == [status]


def test_a_symbol_that_falls_silent_is_stale_and_gets_another_connection(tmp_path, monkeypatch):
    monkeypatch.setattr("engine.status.STALE_LEAST_S", 0.8)
    with FakeExchange(rate=200) as exchange, capturing(tmp_path, exchange) as engine:
        until(lambda: rows(engine)["ETHUSDT"].received, lambda received: received > 100)
        exchange.mute("ETHUSDT")
        status = until(engine.status, lambda status: status.mode == "STALE")
        assert "ETHUSDT" in status.detail and "BTCUSDT" not in status.detail
        until(lambda: engine.session.feed.reliefs, lambda reliefs: reliefs == 1)
        exchange.unmute("ETHUSDT")
        until(engine.status, lambda status: status.mode == "LIVE")
        until(engine.gaps, lambda gaps: gaps and all(gap.filled_us for gap in gaps))


def test_a_name_that_the_exchange_does_not_list_is_said(tmp_path):
    with (
        FakeExchange(rate=200) as exchange,
        capturing(tmp_path, exchange, symbols="BTCUSDT,ETHUSDT,TYPOUSDT") as engine,
    ):
        status = until(engine.status, lambda status: "TYPOUSDT" in status.detail)
        assert "not traded on binance-um" in status.detail
        with pytest.raises(InputError, match="WRONGUSDT is not traded"):
            engine.set_symbols(["BTCUSDT", "WRONGUSDT"])


def test_raw_futures_trades_have_legitimate_holes_and_ask_for_nothing(tmp_path):
    with FakeExchange(rate=200) as exchange, capturing(tmp_path, exchange, stream="trade") as engine:
        hide(exchange, "BTCUSDT", 30)
        received = rows(engine)["BTCUSDT"].received
        until(lambda: rows(engine)["BTCUSDT"].received, lambda now: now > received + 50)
        assert engine.gaps() == [] and exchange.rest_log == [] and engine.status().backfill is None


def test_a_second_numbering_is_refused_and_said(tmp_path):
    with FakeExchange(rate=200) as exchange, capturing(tmp_path, exchange) as engine:
        until(lambda: rows(engine)["BTCUSDT"].received, lambda received: received > 20)
        exchange.relist("BTCUSDT")
        until(lambda: rows(engine)["BTCUSDT"].rejected.get("renumbered", 0), lambda count: count > 5)
