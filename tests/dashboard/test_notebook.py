"""Python of each page, run as it stands: it gives the numbers that the page shows."""

import ast
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest

import config
import engine as engines
from analytics.resampling import bars
from analytics.signals import mean_reversion_signal, momentum_signal
from dashboard import notebook, studies
from dashboard.backtest_choice import Choice
from dashboard.notebook import KEY, SNIPPETS, TITLE, snippet
from dashboard.overview import statistics
from dashboard.scan_view import ScanView
from dashboard.view import INDICATORS, TOPICS, View
from data import sqlite
from data.trades import Trade, Trades
from engine import ScanRequest
from tests.dashboard.test_pages import open_page
from tests.fakes.engine import ScriptedEngine, print_pair, settings, walk
from tests.fakes.feed import T0
from tests.waiting import until

BARS = 420
MINUTE_US = 60_000_000
PAGES = ("", *SNIPPETS)
PAIRS = [
    {},
    {"window": 30, "method": "kalman"},
    {"scale": "robust", "log_prices": True},
    {"timeframe": "5s", "window": 20},
]


@pytest.fixture(scope="module")
def market(tmp_path_factory):
    """An engine with stored trades and bars."""
    engine = ScriptedEngine(settings(tmp_path_factory.mktemp("tape")))
    engine.start()
    print_pair(engine, BARS)
    for symbol, width in product(engine.symbols, ("1s", "5s")):
        engine.bars(symbol, width)
    engine.alerts.add({"metric": "zscore", "condition": "outside", "threshold": 0.01, **engine.rule_defaults()})
    until(lambda: engine.alert_history(), len)
    until(lambda: stored(engine, "1s", "5s"), lambda rows: rows == 2 * (BARS + BARS // 5), 60)
    yield engine
    engine.stop()


def stored(engine: Any, *widths: str) -> int:
    return sum(row.rows for row in engine.holdings().bars if row.timeframe in widths)


@pytest.fixture
def view(market):
    engines.install(market)
    return View.default(market.symbols)


def ran(market: Any, view: View, page: str) -> dict[str, Any]:
    """The names that a snippet leaves behind, and the value of its last line as `_`."""
    lines = ast.parse(snippet(market, view, page))
    *body, last = lines.body
    names: dict[str, Any] = {}
    exec(compile(ast.Module(body, []), page, "exec"), names)
    names["_"] = eval(compile(ast.Expression(last.value), page, "eval"), names)
    return names


def test_the_overview(market, view):
    shown = market.bars(view.symbol, "1s", config.CHART_BARS)[:-1]  # the forming bar is not stored yet
    expected = statistics(shown, "1s")
    change, volatility = ran(market, view, "")["_"]
    assert (change, volatility) == pytest.approx((expected["return"], expected["volatility"]), rel=1e-12)
    drawn = ran(market, replace(view, indicators=tuple(INDICATORS)), "")
    assert drawn["sma"][-1] == pytest.approx(shown["close"].tail(20).mean(), rel=1e-12)


@pytest.mark.parametrize("changed", PAIRS)
def test_the_pair(market, view, changed):
    view = replace(view, **changed)
    expected = market.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params).reading()
    reading = ran(market, view, "pair")["_"]
    assert list(reading) == list(expected)
    np.testing.assert_allclose(list(reading.values()), list(expected.values()), rtol=1e-12)


def test_bars_made_of_stored_minutes(tmp_path):
    """A width that nobody has looked at yet: pages have it of minutes, and so has the notebook."""
    options = settings(tmp_path, source="binance-um", rest_url="http://127.0.0.1:9")
    connection = sqlite.open_writer(options.database)
    begin_us = T0 // MINUTE_US * MINUTE_US - 600 * MINUTE_US
    for seed, symbol in enumerate(options.symbols):
        times, prices = np.linspace(begin_us, T0 - 1, 5_000).astype(int), walk(5_000, seed, 1_000.0)
        rows = [Trade(symbol, at, *row, 1.0, False) for at, row in enumerate(zip(times, prices, strict=True))]
        tape = Trades.from_rows(symbol, rows)
        with sqlite.transaction(connection):
            sqlite.put_bars(connection, "binance-um", symbol, "1m", bars(tape, "1m")[:-1])
    connection.close()
    with ScriptedEngine(options, "binance-um") as engine:
        print_pair(engine, BARS, first_id=5_001)
        view = replace(View.default(engine.symbols), timeframe="3m", window=30)
        expected = engine.analysis(view.symbol_y, view.symbol_x, "3m", view.params)
        assert expected.n_obs > 200
        until(lambda: stored(engine, "3m"), lambda rows: rows >= 2)
        reading = ran(engine, view, "pair")["_"]
        np.testing.assert_allclose(list(reading.values()), list(expected.reading().values()), rtol=1e-9)
        change, _ = ran(engine, view, "")["_"]
        assert change == pytest.approx(statistics(engine.bars(view.symbol, "3m", 600)[:-1], "3m")["return"], rel=1e-12)
        levels = studies.subject_of(engine, replace(view, subject="x")).levels
        prices = ran(engine, replace(view, subject="x", topic="distribution"), "advanced")["prices"]
        assert prices[view.symbol_x].tolist() == levels.tolist()


def test_the_tape(market, view):
    expected, reading = market.tape(view.symbol).reading(), ran(market, view, "microstructure")["_"]
    for name in ("price", "trades_per_s", "ofi", "vwap", "vpin", "kyle_lambda", "tick_rule_accuracy"):
        assert reading[name] == pytest.approx(expected[name], rel=1e-9), name


def test_the_signals(market, view):
    view = replace(view, entry_z=1.5, exit_z=0.25, fast=5, slow=15)
    z = market.analysis(view.symbol_y, view.symbol_x, "1s", view.params).path.zscore
    position, strength = ran(market, view, "signals")["_"]
    assert position == mean_reversion_signal(z, view.rule).position[-1]
    assert strength == pytest.approx(momentum_signal(z, view.rule).strength[-1], rel=1e-12)


def test_a_backtest(market, view, monkeypatch):
    view, choice = replace(view, entry_z=1.0, exit_z=0.25), Choice(shuffles=0, grid=False, walk=False, latency_bars=1)
    monkeypatch.setattr(notebook, "held", lambda: choice)
    for source in ("market", "stored:demo"):
        request = replace(choice, source=source).request(view)
        job = market.backtests.start(request)
        until(lambda job=job: market.jobs.job(job.job_id), lambda job: job.ended, within_s=60)
        expected = market.backtests.report(job.job_id).run.metrics
        found = ran(market, view, "backtest")["_"]
        assert (found.net, found.trades) == (expected.net, expected.trades) and found.trades > 0


def test_a_scan(market, view):
    request = ScanRequest(timeframe="1s", bars=300, lags="bic", alpha=0.1)
    job = market.scans.start(request)
    until(lambda: market.scans.job(job.job_id), lambda job: job.ended, within_s=60)
    expected = market.scans.result(job.job_id).found
    pairs = ran(market, replace(view, scan=ScanView(request).text()), "scanner")["_"]
    assert pairs[["y", "x", "qvalue"]].equals(expected[["y", "x", "qvalue"]])


def test_a_scan_of_stored_bars_and_of_a_table(market, view, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    table = market.closes("1s", 300)
    table.to_csv("closes.csv")
    market.scans.put_table("closes.csv", (tmp_path / "closes.csv").read_bytes())
    for request in (
        ScanRequest(source="stored", timeframe="5s", bars=80),
        ScanRequest(source="table", table="closes.csv", bars=250, symbols=("ETHUSDT", "BTCUSDT")),
    ):
        job = market.scans.start(request)
        market.jobs.wait(job.job_id, 60)
        expected = market.scans.result(job.job_id).found
        pairs = ran(market, replace(view, scan=ScanView(request).text()), "scanner")["_"]
        assert pairs[["y", "x", "qvalue"]].equals(expected[["y", "x", "qvalue"]]) and len(pairs)


def test_a_scan_of_the_exchange_asks_it(market, view):
    request = ScanRequest(source="exchange", timeframe="1h", bars=500, most=30)
    text = snippet(market, replace(view, scan=ScanView(request).text()), "scanner")
    compile(text, "scanner", "exec")
    assert "symbols = served.symbols((), 30)" in text and 'served.closes(symbols, "1h", 500' in text


def test_alerts(market, view):
    history = ran(market, view, "alerts")["_"]
    assert history["event_id"].tolist() == [row["event_id"] for row in market.alert_history()]


def test_correlation(market, view):
    expected = studies.matrix(market, view)
    found = ran(market, replace(view, topic="correlation"), "advanced")["_"]
    by_name = dict(zip(expected.symbols, expected.correlation[0], strict=True))
    assert found.loc[expected.symbols[0], "ETHUSDT"] == pytest.approx(by_name["ETHUSDT"], rel=1e-12)


def test_lead_and_lag(market, view):
    view = replace(view, topic="trades")
    expected, found = market.lead_lag(view.symbol_y, view.symbol_x), ran(market, view, "advanced")["_"]
    assert (found.lag_us, found.n_y, found.n_x) == (expected.lag_us, expected.n_y, expected.n_x)
    assert (found.correlation, found.ratio) == pytest.approx((expected.correlation, expected.ratio), rel=1e-12)


@pytest.mark.parametrize("subject", ["y", "x", "spread"])
def test_distribution_and_season(market, view, subject):
    view = replace(view, topic="distribution", subject=subject)
    series = studies.subject_of(market, view)
    found = ran(market, view, "advanced")["_"]
    assert found.moments.std == pytest.approx(studies.distribution(series).summary.moments.std, rel=1e-12)
    view = replace(view, topic="season")
    period = studies.season_period(view, "minute")
    expected = studies.decomposition(series, period)
    np.testing.assert_allclose(ran(market, view, "advanced")["_"].trend, expected.trend, rtol=1e-12)


def test_data_and_system(market, view):
    assert ran(market, view, "data")["_"]["rows"].sum() == 2 * BARS
    stored = ran(market, view, "system")["_"]
    for symbol, row in market.status().symbols.items():
        assert stored.loc[symbol, "rows"] == row.stored


@pytest.mark.parametrize("page", PAGES)
def test_every_page_offers_it(engine, page):
    app = open_page(page)
    assert TITLE in [each.label for each in app.expander]
    assert not any("from pathlib import Path" in block.value for block in app.code)  # not before it is unfolded
    app.session_state[KEY] = True
    app.run()
    (code,) = [block.value for block in app.code if "from pathlib import Path" in block.value]
    compile(code, page, "exec")
    assert str(config.ROOT) in code


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_has_its_own(market, view, topic):
    texts = {snippet(market, replace(view, topic=name), "advanced") for name in TOPICS}
    assert len(texts) == len(TOPICS)
