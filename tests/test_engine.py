"""The engine as a whole: markets open and close, numbers agree, nothing received is lost."""

import json
import math
import sqlite3
from contextlib import closing

import numpy as np
import pytest

import config
from analytics.correlation.lead_lag import lead_lag
from analytics.correlation.widths import correlation_by_width
from analytics.microstructure import tape_reading
from analytics.pair import PairAnalysis, PairParams
from analytics.resampling import bars
from analytics.signals import SignalParams, facts_of, signal, spread_volatility
from data import session as session_module
from data.quotes import Quotes
from engine import Engine, current
from tests.fakes.engine import ScriptedEngine, print_pair, settings, walk
from tests.fakes.exchange import FakeExchange
from tests.fakes.feed import T0, S
from tests.market import market
from tests.waiting import until
from utils.errors import InputError, PairscopeError, TooFewObservations

PARAMS = PairParams(window=20)


@pytest.fixture
def scripted(tmp_path):
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    yield engine
    engine.stop()


def assert_conserved(engine: Engine) -> None:
    for row in engine.status().symbols.values():
        settled = row.stored + row.deduped + sum(row.rejected.values()) + sum(row.dropped.values())
        assert row.received == settled + row.queued


def test_what_was_received_is_on_disk_after_the_stop(tmp_path):
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    print_pair(engine, 300)
    assert_conserved(engine)
    engine.stop()
    engine.stop()
    with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
        rows = file.execute("select symbol, count(*), min(trade_id), max(trade_id) from trades group by symbol")
        assert rows.fetchall() == [("BTCUSDT", 300, 1, 300), ("ETHUSDT", 300, 1, 300)]


def test_a_repeated_trade_is_counted_and_stored_once(scripted):
    for _ in range(3):
        scripted.scripted.print("BTCUSDT", [100.0, 101.0])
    row = until(lambda: scripted.status().symbols["BTCUSDT"], lambda row: row.queued == 0)
    assert (row.received, row.stored, row.deduped) == (6, 2, 4)
    assert_conserved(scripted)


def test_bars_of_the_engine_are_the_batch_bars_of_its_trades(scripted):
    print_pair(scripted, 200)
    expected = bars(scripted.ticks("BTCUSDT", limit=1_000), "5s")
    found = scripted.bars("BTCUSDT", "5s", 1_000)
    columns = ["open", "high", "low", "close", "volume", "vwap", "trades", "taker_buy_volume"]
    np.testing.assert_array_equal(found[columns].iloc[: len(expected)], expected[columns])


def test_closed_bars_are_in_the_file_with_the_same_numbers(tmp_path):
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    print_pair(engine, 300)
    shown = engine.bars("BTCUSDT", "1m", 10)
    engine.stop()
    with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
        query = "select ts_us, open, high, low, close, volume, trades from bars where symbol = ? and timeframe = ?"
        stored = file.execute(f"{query} order by ts_us", ("BTCUSDT", "1m")).fetchall()
    closed = shown[shown.index.asi8 + 60 * S <= T0 + 300 * S]
    columns = closed[["open", "high", "low", "close", "volume", "trades"]].to_numpy()
    np.testing.assert_array_equal(np.array(stored)[:, 1:], columns)
    assert [row[0] for row in stored] == closed.index.asi8.tolist()


def test_an_analysis_is_made_once_a_bar_and_only_its_provisional_part_moves(scripted):
    print_pair(scripted, 100)
    first = scripted.analysis("ETHUSDT", "BTCUSDT", "1s", PARAMS)
    scripted.scripted.print("ETHUSDT", [2_600.0], first_id=101, at_us=T0 + 100 * S)
    scripted.scripted.clock_us = T0 + 100 * S + S // 2
    second = scripted.analysis("ETHUSDT", "BTCUSDT", "1s", PARAMS)
    assert second.path.zscore is first.path.zscore
    assert second.provisional.zscore != first.provisional.zscore
    scripted.scripted.clock_us = T0 + 101 * S
    third = scripted.analysis("ETHUSDT", "BTCUSDT", "1s", PARAMS)
    assert third.n_obs == second.n_obs + 1


def test_lead_and_lag_rest_on_the_trades_of_both_legs_and_are_looked_at_each_few_seconds(scripted):
    print_pair(scripted, 400)
    first = scripted.lead_lag("ETHUSDT", "BTCUSDT")
    y, x = (scripted.ticks(symbol) for symbol in ("ETHUSDT", "BTCUSDT"))
    np.testing.assert_array_equal(first.contrast, lead_lag(x.ts_us, x.price, y.ts_us, y.price).contrast)
    rows = scripted.correlation_by_width("ETHUSDT", "BTCUSDT")
    assert rows == correlation_by_width(x.ts_us, x.price, y.ts_us, y.price)
    scripted.scripted.clock_us = scripted.now_us() // (5 * S) * 5 * S + 4 * S
    assert scripted.lead_lag("ETHUSDT", "BTCUSDT") is scripted.lead_lag("ETHUSDT", "BTCUSDT")
    before = scripted.lead_lag("ETHUSDT", "BTCUSDT")
    scripted.scripted.clock_us += S
    assert scripted.lead_lag("ETHUSDT", "BTCUSDT") is not before


def test_closes_of_all_symbols_are_those_of_their_bars(scripted):
    print_pair(scripted, 100)
    found = scripted.closes("5s", 10)
    assert list(found) == list(scripted.symbols)
    for symbol in found:
        np.testing.assert_array_equal(found[symbol], scripted.bars(symbol, "5s", 11)["close"].iloc[:-1])
    assert list(scripted.closes("5s", 10, ["ETHUSDT"])) == ["ETHUSDT"]


def test_what_rests_on_trades_wants_two_symbols_that_are_followed(scripted):
    with pytest.raises(InputError, match="two different symbols"):
        scripted.lead_lag("BTCUSDT", "BTCUSDT")
    with pytest.raises(InputError, match="not followed"):
        scripted.correlation_by_width("BTCUSDT", "FOOUSDT")
    with pytest.raises(InputError, match="not followed"):
        scripted.closes("1s", 10, ["FOOUSDT"])
    with pytest.raises(TooFewObservations):
        scripted.lead_lag("ETHUSDT", "BTCUSDT")


def test_too_few_bars_are_said_with_their_number(scripted):
    print_pair(scripted, 10)
    with pytest.raises(TooFewObservations) as caught:
        scripted.analysis("ETHUSDT", "BTCUSDT", "1s", PARAMS)
    assert (caught.value.have, caught.value.need) == (10, 20)


def test_rows_at_trade_times_use_the_last_price_of_each_leg(scripted):
    print_pair(scripted, 50)
    analysis = scripted.analysis("ETHUSDT", "BTCUSDT", "tick", PARAMS)
    assert analysis.ts_us.tolist() == [T0 + i * S for i in range(50)]
    np.testing.assert_array_equal(analysis.x, walk(50, 1, 60_000.0))


def test_a_symbol_or_pair_that_cannot_be_analysed_is_named(scripted):
    with pytest.raises(InputError, match="FOOUSDT"):
        scripted.analysis("FOOUSDT", "BTCUSDT", "1s", PARAMS)
    with pytest.raises(InputError, match="two different"):
        scripted.analysis("BTCUSDT", "BTCUSDT", "1s", PARAMS)


def test_a_rule_fires_without_any_page_and_its_history_is_kept(scripted):
    print_pair(scripted, 100)
    z = scripted.analysis("ETHUSDT", "BTCUSDT", "1s", PairParams(window=60)).path.zscore[-1]
    rule = {**scripted.rule_defaults(), "metric": "zscore", "condition": ">", "threshold": float(z) - 0.1}
    made = scripted.alerts.add(rule)
    (event,) = until(lambda: scripted.alerts.events_after(0), len)
    assert (event.state, event.rule_id, event.value) == ("firing", made.rule_id, pytest.approx(z))
    (row,) = until(lambda: scripted.alert_history(), len)
    assert (row["event_id"], row["state"]) == (event.event_id, "firing")


def test_rules_are_in_force_again_after_a_restart(tmp_path):
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    made = engine.alerts.add({**engine.rule_defaults(), "metric": "zscore", "condition": ">", "threshold": 2})
    engine.stop()
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    assert engine.alerts.rules() == [made]
    engine.stop()


def test_a_live_session_resumes_where_the_last_one_ended_and_marks_the_hole(tmp_path):
    options = settings(tmp_path, source="binance-um")
    engine = ScriptedEngine(options, "binance-um")
    engine.start()
    engine.scripted.print("BTCUSDT", [100.0, 101.0, 102.0])
    engine.stop()
    engine = ScriptedEngine(options, "binance-um")
    engine.start()
    assert engine.ticks("BTCUSDT").trade_id.tolist() == [1, 2, 3]
    engine.scripted.print("BTCUSDT", [110.0, 111.0], first_id=10, at_us=T0 + 9 * S)
    (gap,) = until(engine.gaps, len)
    assert (gap.symbol, gap.first_id, gap.last_id, gap.cause, gap.filled_us) == ("BTCUSDT", 4, 9, "offline", None)
    frame = until(lambda: engine.bars("BTCUSDT", "1s", 20), lambda frame: not frame["complete"].iloc[5])
    assert frame["complete"].tolist()[2:10] == [False] * 8
    engine.stop()


def has_z(analysis: PairAnalysis) -> bool:
    return math.isfinite(analysis.path.zscore[-1])


def test_the_demo_market_shows_a_pair_at_once(tmp_path):
    engine = Engine(settings(tmp_path, demo_rate=200))
    engine.start()
    status = until(engine.status, lambda status: len(status.symbols) == 2)
    assert (status.mode, status.venue, status.status) == ("DEMO", "demo", "ok")
    analysis = until(lambda: engine.analysis("ETHUSDT", "BTCUSDT", "1s", PairParams()), has_z)
    assert analysis.n_obs > 100
    for _ in range(20):
        assert_conserved(engine)
    engine.stop()
    assert sum(row.queued for row in engine.status().symbols.values()) == 0


def test_auto_opens_the_demo_market_and_says_why_and_goes_live_when_asked_again(tmp_path):
    with FakeExchange() as exchange:
        url = exchange.ws_url
    engine = Engine(settings(tmp_path, source="auto", ws_url=url, live_deadline_s=1))
    engine.start()
    status = until(engine.status, lambda status: status.mode == "DEMO")
    assert "refuses connections" in status.detail
    assert 0 < status.retry_in_s <= 60
    port = int(url.rsplit(":", 1)[1])
    with FakeExchange(port=port, rate=200):
        engine.retry_live()
        status = until(engine.status, lambda status: status.mode == "LIVE" and len(status.symbols) == 2)
        assert status.venue == "binance-um"
        assert_conserved(engine)
        engine.stop()


def test_trades_of_the_exchange_are_those_of_its_ledger(tmp_path):
    with FakeExchange(rate=500) as exchange:
        engine = Engine(settings(tmp_path, source="binance-um", ws_url=exchange.ws_url))
        engine.start()
        until(engine.status, lambda s: s.mode == "LIVE" and all(r.received > 50 for r in s.symbols.values()))
        engine.set_symbols(["BTCUSDT"])
        assert engine.symbols == ("BTCUSDT",)
        engine.stop()
        seen = engine.ticks("BTCUSDT", limit=10_000)
        ledger = {trade.trade_id: trade for trade in exchange.tape.trades["BTCUSDT"]}
        assert len(seen) > 50
        assert all(ledger[trade.trade_id] == trade for trade in seen)


def test_a_recording_is_stored_whole_and_its_bars_equal_a_batch(tmp_path):
    files = (market("ws/usdm_btcusdt_20240808.gz"), market("ws/usdm_ethusdt_20240808.gz"))
    engine = Engine(settings(tmp_path, source="replay", replay=files, speed=0))
    engine.start()
    until(lambda: engine.session.feed.state.mode, lambda mode: mode == "ENDED", 60)
    status = until(engine.status, lambda status: all(row.queued == 0 for row in status.symbols.values()), 30)
    assert {symbol: row.stored for symbol, row in status.symbols.items()} == {"BTCUSDT": 21_313, "ETHUSDT": 14_076}
    for symbol, first_id, last_id in (("BTCUSDT", 5266583935, 5266605247), ("ETHUSDT", 4308068523, 4308082598)):
        trades = engine.ticks(symbol, limit=30_000)
        assert trades.trade_id.tolist() == list(range(first_id, last_id + 1))
        expected = bars(trades, "1s")
        found = engine.bars(symbol, "1s", 1_000)
        columns = [name for name in expected.columns if name != "complete"]
        np.testing.assert_allclose(found[columns][: len(expected)], expected[columns], rtol=1e-12)
    engine.stop()


def test_a_recording_without_ids_keeps_equal_rows_and_counts_zero_prices(tmp_path):
    files = (market("ticks/ticks_2025-11-04T10-24-59.033Z.ndjson.gz"),)
    engine = Engine(settings(tmp_path, source="replay", replay=files, speed=0))
    engine.start()
    until(lambda: engine.session.feed.state.mode, lambda mode: mode == "ENDED", 60)
    status = until(engine.status, lambda status: all(row.queued == 0 for row in status.symbols.values()), 30)
    engine.stop()
    counts = {symbol: (row.stored, row.rejected) for symbol, row in status.symbols.items()}
    assert counts == {"BTCUSDT": (12_208, {"price": 29}), "ETHUSDT": (16_219, {"price": 13})}


def test_switching_the_source_is_checked_and_keeps_the_markets_apart(tmp_path):
    engine = Engine(settings(tmp_path, demo_rate=500))
    engine.start()
    until(engine.status, lambda status: len(status.symbols) == 2)
    with pytest.raises(InputError, match="no recording"):
        engine.switch("replay")
    with pytest.raises(InputError, match="kraken"):
        engine.switch("kraken")
    engine.stop()


def test_there_is_no_engine_before_one_is_installed():
    with pytest.raises(PairscopeError, match="not started"):
        current()


# --- the file -------------------------------------------------------------------------------------


def test_a_damaged_database_is_told_until_it_is_dismissed(tmp_path):
    (tmp_path / "tape.db").write_bytes(b"SQLite format 3\0" + bytes(5_000))
    for dismissed in (False, True, None):
        engine = ScriptedEngine(settings(tmp_path))
        engine.start()
        print_pair(engine, 10)
        status = engine.status()
        assert (status.status, status.storage_error, status.sqlite_writers) == ("ok", None, "one")
        assert (status.storage_note is None) == (dismissed is None)
        if dismissed is not None:
            assert "it is kept as tape.db.corrupt-" in status.storage_note
        if dismissed:
            engine.dismiss_storage_note()
            assert engine.status().storage_note is None
        engine.stop()


def test_a_locked_database_fails_the_status_and_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("data.sqlite.BUSY_MS", 20)
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    with closing(sqlite3.connect(tmp_path / "tape.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        print_pair(engine, 10)
        status = until(engine.status, lambda status: status.status == "failing")
        assert "locked" in status.storage_error
        until(engine.status, lambda status: any(row.queued for row in status.symbols.values()))
        with pytest.raises(InputError, match="wait for the database"):
            engine.switch("demo")
        assert_conserved(engine)
    until(engine.health, lambda reason: reason is None)
    engine.stop()
    assert {row.stored for row in engine.status().symbols.values()} == {10}


def test_retention_follows_the_settings(tmp_path):
    for days, left in [(0, 20), (1, 0)]:
        engine = ScriptedEngine(settings(tmp_path, retention_days=days))
        engine.start()
        if not days:
            print_pair(engine, 10)
        with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
            until(lambda: file.execute("select count(*) from trades").fetchone()[0], lambda rows: rows == left)  # noqa: B023
        engine.stop()


def test_a_symbol_without_a_trade_has_no_tape_yet(scripted):
    with pytest.raises(TooFewObservations):
        scripted.tape("ETHUSDT")


def test_the_tape_is_read_as_a_batch_over_its_trades_would_be(scripted):
    print_pair(scripted, 200)
    for more in range(3):
        found = scripted.tape("BTCUSDT").reading()
        expected = tape_reading(scripted.ticks("BTCUSDT", limit=1_000), scripted.now_us()).reading()
        np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=1e-9)
        scripted.scripted.print("BTCUSDT", walk(20, more, 60_000.0), 201 + 20 * more, T0 + (200 + 20 * more) * S)
    with pytest.raises(InputError, match="not followed"):
        scripted.tape("XRPUSDT")


@pytest.mark.parametrize("venue, days", [("binance-um", 3), ("demo", 0)])  # of the demo market the file has all runs
def test_stored_bars_tell_what_is_usual_at_this_time_of_day(tmp_path, monkeypatch, venue, days):
    monkeypatch.setattr(session_module, "RESUME_TRADES", 10)
    engine = ScriptedEngine(settings(tmp_path), venue)
    engine.start()
    full_hour_us = T0 - 800 * S  # 22:00
    for day in range(4):
        engine.scripted.print("BTCUSDT", walk(1_800, day, 60_000.0), 1 + 1_800 * day, full_hour_us + day * 86_400 * S)
    until(lambda: engine.status().symbols["BTCUSDT"].queued, lambda queued: queued == 0)
    engine.stop()
    again = ScriptedEngine(settings(tmp_path), venue)
    again.start()
    again.scripted.print("BTCUSDT", walk(100, 9, 60_000.0), 10_000, full_hour_us + 4 * 86_400 * S)
    normal = again.tape("BTCUSDT").normal
    again.stop()
    assert (normal.days >= 3) is (days >= 3)
    if days:
        assert normal.trades_per_s == pytest.approx(1.0, rel=0.05)


def test_a_signal_rests_on_the_analysis_the_tapes_and_the_capture(scripted):
    print_pair(scripted, 400)
    rule = SignalParams()
    analysis = scripted.analysis("ETHUSDT", "BTCUSDT", "1s", PARAMS)
    found = scripted.signal("ETHUSDT", "BTCUSDT", "1s", PARAMS, rule)
    liquidity = min(scripted.tape(symbol).liquidity for symbol in ("ETHUSDT", "BTCUSDT"))
    facts = facts_of(analysis, spread_volatility(analysis).ratio, liquidity, params=rule)
    assert found == signal(analysis.path.zscore, facts, rule) and not found.cost_measured
    terms = {term.name: term.value for term in found.opportunity.terms}
    assert terms["liquidity"] == liquidity and terms["zscore"] == abs(analysis.path.zscore[-1])


def test_notes_outlive_the_process(tmp_path):
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    engine.put_note("view mine", "pair?tf=5s")
    engine.put_note("view other", "?")
    engine.drop_note("view other")
    assert engine.notes("view ") == {"view mine": "pair?tf=5s"}
    engine.stop()
    again = ScriptedEngine(settings(tmp_path))
    again.start()
    assert again.notes("view ") == {"view mine": "pair?tf=5s"}
    again.stop()


def test_what_a_round_trip_costs_is_measured_where_there_are_quotes(scripted):
    print_pair(scripted, 400)
    for symbol, bid in (("BTCUSDT", 60_000.0), ("ETHUSDT", 2_500.0)):
        quote = Quotes.of(symbol, [1], [scripted.now_us() - 1], [bid], [1e6], [bid + 1], [1e6])
        scripted.session.quotes.offer(quote)
    ratio = float(scripted.analysis("ETHUSDT", "BTCUSDT", "1s", PARAMS).path.hedge_ratio[-1])
    cost = scripted.pair_cost(("ETHUSDT", "BTCUSDT"), ratio)
    fees = 2 * config.FEE_BPS / 1e4 * (2_500.5 + abs(ratio) * 60_000.5)
    assert cost.per_unit == pytest.approx(fees + 1 + abs(ratio))
    found = scripted.signal("ETHUSDT", "BTCUSDT", "1s", PARAMS, SignalParams())
    assert found.cost_measured and found.cost == pytest.approx(cost.per_unit)
    logs = PairParams(window=20, log_prices=True)
    in_logs = scripted.signal("ETHUSDT", "BTCUSDT", "1s", logs, SignalParams())
    assert in_logs.cost == pytest.approx(2 * config.FEE_BPS / 1e4 * 2, rel=2)


def test_a_pair_without_quotes_has_no_measured_cost(scripted):
    print_pair(scripted, 50)
    with pytest.raises(TooFewObservations, match="quotes"):
        scripted.pair_cost(("ETHUSDT", "BTCUSDT"), 0.04)


def test_the_system_tells_every_part_and_no_secret(tmp_path):
    secret = "a-token-long-enough"
    engine = ScriptedEngine(settings(tmp_path, api_token=secret, retention_gb=5))
    engine.start()
    try:
        print_pair(engine, 120)
        until(engine.status, lambda status: all(row.stored == 120 for row in status.symbols.values()))
        found = engine.system()
        body = json.loads(json.dumps(found.as_dict(), allow_nan=False))
        assert body["status"]["symbols"]["BTCUSDT"]["received"] == 120
        assert {worker.name: worker.state for worker in found.workers} == {
            "demo": "dead",  # a scripted feed has no thread
            "mirror": "running",
            "evaluator": "running",
        }
        assert found.delays["stored"].count == 240
        assert found.disk.retention_gb == 5
        assert secret not in json.dumps(body) and body["settings"]["api_token"] == "*" * 10
        assert {"pairscope", "python", "sqlite", "streamlit", "plotly", "numpy", "pandas", "numba"} <= set(
            found.versions
        )
        assert until(lambda: engine.holdings().trades, len)[0].venue == "demo"
        assert engine.coverage(["BTCUSDT"], 3_600 * S, 60 * S).symbols[0].symbol == "BTCUSDT"
    finally:
        engine.stop()


def test_channels_of_alerts_are_among_connections_threads_and_queues(tmp_path):
    engine = ScriptedEngine(settings(tmp_path, channels="desk=json://example.invalid/a-secret"))
    engine.start()
    try:
        found = engine.system()
        assert [(each.name, each.mode) for each in found.connections] == [("demo", "LIVE"), ("channel desk", "OK")]
        assert found.workers[-1].name == "notifier-desk" and found.workers[-1].state == "running"
        assert (found.queues[-1].name, found.queues[-1].waiting) == ("for channels", 0)
        assert "a-secret" not in json.dumps(found.as_dict())
    finally:
        engine.stop()
