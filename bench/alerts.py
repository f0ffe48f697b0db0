"""What alert rules cost: a round of 1,000 of them, their history at 100,000 rows, and an hour of the past.

The peer of a round is the same conditions as Python text for `eval`; of the history, all rows fetched and cut in
Python; of the past, the analysis that a live bar is judged by, made for each bar.
"""

import math
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count as numbers
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from starlette.testclient import TestClient
from streamlit.logger import set_log_level
from streamlit.testing.v1 import AppTest

import config
import engine as engines
from alerts.alert_engine import AlertEngine
from alerts.rehearsal import rehearse
from alerts.rules import Scope, rule_from
from analytics.pair import PairParams, analyse_pair
from analytics.readings import pair_moments
from analytics.resampling import BarColumns
from api.app import build_api
from bench.frame import START_US, Row, at_least, at_most, count, medians_s, scaled
from data import alert_rows, sqlite
from utils.clock import US_PER_S

RULES, SCOPES = 1_000, 20
ROWS, CALLS = 100_000, 200
HOUR = 3_600
CONDITIONS = (
    "zscore outside 2",
    "zscore > 2 AND pvalue < 0.05",
    "spread < -3 OR volume_spike > 4",
    "zscore crosses above 2",
    "change(price, 60s) > 5",
)
PLAIN = (
    "abs(zscore) > 2",
    "zscore > 2 and pvalue < 0.05",
    "spread < -3 or volume_spike > 4",
    "zscore > 2 and before <= 2",
    "price - before > 5",
)


def run(scale: float = 1.0) -> list[Row]:
    """A round, a page of the history by REST and on the screen, an hour of the past."""
    return [_round(scale), _history(scale), _page(scale), _past(scale)]


def _round(scale: float) -> Row:
    rules = scaled(RULES, scale, SCOPES)
    alerts = AlertEngine()
    for number in range(rules):
        pair = {"symbol_y": f"Y{number % SCOPES}", "symbol_x": "X", "timeframe": "1s"}
        alerts.add({**pair, "expression": CONDITIONS[number % len(CONDITIONS)]})
    random, second = np.random.default_rng(1), numbers(1)

    def ours() -> None:
        values = dict(zip(("zscore", "pvalue", "spread", "volume_spike", "price"), random.random(5), strict=True))
        alerts.evaluate(lambda scope: values, START_US + next(second) * US_PER_S, "bench")

    def peer() -> None:
        values: Mapping[str, float] = {"zscore": 0.5, "pvalue": 0.5, "spread": 0.5, "volume_spike": 0.5, "price": 0.5}
        for number in range(rules):
            eval(PLAIN[number % len(PLAIN)], {"abs": abs}, {**values, "before": 0.1})  # as tools do

    mine, theirs = medians_s(ours, peer)
    found = ("AlertEngine, one round", 1_000 * mine), ("Python's eval of each", 1_000 * theirs)
    return at_most("alerts", *found, "ms", f"{count(rules)} rules, {SCOPES} scopes", 20.0)


def _history(scale: float) -> Row:
    rows = scaled(ROWS, scale)
    with _remembered(rows) as engine:
        mine = _p99_s(TestClient(build_api()), scaled(CALLS, scale, 20))
        theirs = medians_s(lambda: _all_of(engine.settings.database))[0]
    found = ("GET /alerts/history, p99", 1_000 * mine), ("all rows, cut in Python", 1_000 * theirs)
    return at_most("alerts", *found, "ms", f"{count(rows)} rows, 1,000 shown", 300.0)


def _page(scale: float) -> Row:
    """The Alerts page: the script and every number on it, without the browser."""
    rows = scaled(ROWS, scale)
    taken = []
    for held in (rows, 0):
        with _remembered(held) as engine:
            engine.start()
            taken.append(1_000 * medians_s(_open_page)[0])
            engine.stop()
    found = ("Alerts page", taken[0]), ("the same without a history", taken[1])
    return at_most("alerts", *found, "ms", f"{count(rows)} rows", 2_000.0)


def _open_page() -> None:
    set_log_level("ERROR")  # it warns of every page that no browser asked for
    app = AppTest.from_file(str(config.ROOT / "dashboard" / "main.py"), default_timeout=60)
    app.switch_page("pages/alerts.py").run()
    assert not app.exception


@contextmanager
def _remembered(rows: int) -> Iterator[engines.Engine]:
    """An engine, not started, whose file holds so many events."""
    with TemporaryDirectory() as name:
        path = Path(name) / "bench.db"
        connection = sqlite.open_writer(path)
        with sqlite.transaction(connection):
            for number in range(rows):
                alert_rows.put_event(connection, _event(number))
        connection.close()
        engine = engines.Engine(config.load(database=path, source="demo"))
        engines.install(engine)
        try:
            yield engine
        finally:
            engines.install(None)


def _past(scale: float) -> Row:
    bars = scaled(HOUR, scale, 100)
    params = PairParams(window=config.DEFAULT_WINDOW, fee_bps=config.FEE_BPS, **config.ANALYSIS)
    held = max(config.CHART_BARS + params.warm_up, params.bars)
    y, x = _legs(bars + held)
    scope = Scope("Y", "X", "1s")._asdict()
    del scope["intrabar"]
    rule = rule_from({**scope, "metric": "zscore", "condition": "outside", "threshold": 2.0}, "bench")

    def ours() -> None:
        rehearse(
            rule, pair_moments(y, x, US_PER_S, params, held, ["zscore"], int(y.ts_us[held - 1]) + US_PER_S), US_PER_S
        )

    tried = min(bars, 50)

    def peer() -> None:
        for end in range(held, held + tried):
            span = slice(end - held, end)
            analyse_pair(y.close[span], x.close[span], params, ts_us=y.ts_us[span]).reading()

    mine, theirs = medians_s(ours, peer)
    found = ("would it have fired", mine), ("analyse_pair().reading() each bar", theirs * bars / tried)
    return at_least("alerts", *found, "s", f"{count(bars)} bars", 20)


def _event(number: int) -> dict[str, object]:
    return {
        **dict.fromkeys(("name", "metric", "severity", "venue", "symbol_y", "symbol_x", "timeframe"), "bench"),
        "event_id": f"e{number // 2}",
        "rule_id": f"r{number % 50}",
        "state": ("firing", "resolved")[number % 2],
        "at_us": START_US + number,
        "value": math.sin(number),
        "threshold": 2.0,
        "text": f"event {number}",
        "context": {"picture": {"zscore": [0.5] * 60}} if number % 2 == 0 else None,
    }


def _p99_s(api: TestClient, calls: int) -> float:
    taken = []
    for _ in range(calls):
        began_s = time.perf_counter()
        assert api.get("/v1/alerts/history?limit=1000").status_code == 200
        taken.append(time.perf_counter() - began_s)
    return float(np.percentile(taken, 99))


def _all_of(path: Path) -> list[object]:
    with sqlite.reading(path) as connection:
        return connection.execute("select * from alert_history").fetchall()[::-1][:1_000]


def _legs(bars: int) -> tuple[BarColumns, BarColumns]:
    random = np.random.default_rng(1)
    x = 60_000 + random.standard_normal(bars).cumsum()
    return _bars(0.04 * x + random.standard_normal(bars) / 10), _bars(x)


def _bars(close: np.ndarray) -> BarColumns:
    ts_us = START_US // US_PER_S * US_PER_S + US_PER_S * np.arange(close.size)
    ones = np.ones(close.size)
    prices = dict.fromkeys(("open", "high", "low", "close", "vwap"), close)
    volumes = {"volume": ones, "taker_buy_volume": ones / 2}
    return BarColumns(ts_us=ts_us, trades=np.full(close.size, 3), complete=ones > 0, **prices, **volumes)
