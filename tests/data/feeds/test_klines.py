"""Bars of many symbols over REST: whole, by time, and within the budget of the exchange."""

import json
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest

from data.feeds import klines as klines_module
from data.feeds import rest as rest_module
from data.feeds.binance import SPOT, USDM, parse_klines, parse_volumes
from data.feeds.klines import Klines
from data.feeds.rest import BUDGET_SHARE, Rest
from tests.fakes import rest as fake_rest
from tests.fakes.exchange import FakeExchange
from utils.errors import Cancelled, FeedBlocked, FeedError, FrameError, InputError

HOUR_MS = 3_600_000
NOW_US = 1_791_382_950_000_000
NEWEST_MS = NOW_US // 1_000 // HOUR_MS * HOUR_MS  # the bar that forms
SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT")


class Clock:
    """The wall clock of client and exchange, moved on by whoever waits."""

    def __init__(self, monkeypatch) -> None:
        self.now_us, self.waited_s = NOW_US, 0.0
        for module in (rest_module, fake_rest, klines_module):
            monkeypatch.setattr(module, "now_us", lambda: self.now_us)
        monkeypatch.setattr(rest_module, "monotonic_s", lambda: self.now_us / 1e6)

    def pause(self, seconds: float) -> None:
        self.waited_s += seconds
        self.now_us += round(seconds * 1e6)


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def exchange():
    with FakeExchange(symbols=SYMBOLS) as fake:
        for place, symbol in enumerate(SYMBOLS):
            prices = 100 + place + np.random.default_rng(place).standard_normal(1_300).round(2)
            opens = NEWEST_MS - HOUR_MS * np.arange(1_300)
            fake.rest.klines[symbol, "1h"] = dict(zip(opens.tolist(), prices.tolist(), strict=True))
        yield fake


def client(exchange, clock, market=USDM, **more) -> Klines:
    return Klines(Rest(market, exchange.rest_url), pause=clock.pause, **more)


def asked(exchange) -> list[tuple[str, int]]:
    queries = [parse_qs(urlsplit(path).query) for path in exchange.rest_calls if "/klines" in path]
    return [(query["symbol"][0], int(query["limit"][0])) for query in queries]


@pytest.mark.parametrize("market, pages", [(USDM, [499, 499, 202]), (SPOT, [1_000, 200])])
def test_a_table_of_closes_is_what_the_exchange_printed_without_the_bar_that_forms(exchange, clock, market, pages):
    told = []
    table = client(exchange, clock, market).closes(SYMBOLS, "1h", 1_200, lambda *done: told.append(done))
    assert list(table.columns) == list(SYMBOLS) and len(table) == 1_200
    assert table.index.asi8[-1] // 1_000 == NEWEST_MS - HOUR_MS
    for symbol in SYMBOLS:
        printed = exchange.rest.klines[symbol, "1h"]
        assert table[symbol].tolist() == [printed[at] for at in (table.index.asi8 // 1_000).tolist()]
    assert [count for _, count in asked(exchange)] == pages * len(SYMBOLS)
    total = len(pages) * len(SYMBOLS)
    assert told[-1] == (total, total) and [done for done, _ in told] == sorted(done for done, _ in told)


def test_a_symbol_that_was_listed_late_has_holes_before(exchange, clock):
    young = exchange.rest.klines["ETHUSDT", "1h"]
    for at in sorted(young)[:900]:
        del young[at]
    table = client(exchange, clock).closes(("BTCUSDT", "ETHUSDT"), "1h", 1_000, lambda done, total: None)
    assert table["ETHUSDT"].count() == 399 and table["ETHUSDT"].iloc[-399:].notna().all()
    assert table["BTCUSDT"].count() == 1_000


def test_the_budget_is_never_passed_and_waits_are_told(exchange, clock):
    exchange.rest.minute_weight["binance-um"] = 100  # half of it is ours
    words = []
    worker = client(exchange, clock, told=words.append)
    worker.symbols(SYMBOLS, most=3)
    worker.closes(SYMBOLS * 1, "1h", 499 * 2, lambda done, total: None)
    for _ in range(4):
        worker.closes(SYMBOLS, "1h", 499 * 2, lambda done, total: None)
    assert {status for _, _, status in exchange.rest_log} == {200}
    assert exchange.rest._used["binance-um"][1] <= BUDGET_SHARE * 100
    assert any("budget is spent" in text for text in words)
    assert 0 < clock.waited_s < 120


def test_a_pause_that_the_exchange_asks_for_is_kept_and_the_work_goes_on(exchange, clock):
    worker = client(exchange, clock)
    exchange.refuse_rest(429, {"Retry-After": "37"}, times=1)
    table = worker.closes(("BTCUSDT", "ETHUSDT"), "1h", 100, lambda done, total: None)
    assert table.notna().all(axis=None)
    assert [status for _, _, status in exchange.rest_log] == [429, 200, 200]
    assert clock.waited_s == pytest.approx(37, abs=1)


def test_who_is_refused_stops_and_an_answer_that_fails_is_tried_again(exchange, clock):
    exchange.refuse_rest(503, times=2)
    assert len(client(exchange, clock).closes(("BTCUSDT", "ETHUSDT"), "1h", 50, lambda *_: None)) == 50
    exchange.refuse_rest(503)
    with pytest.raises(FeedError, match="503"):
        client(exchange, clock).closes(("BTCUSDT", "ETHUSDT"), "1h", 50, lambda *_: None)
    exchange.refuse_rest(451)
    before = len(exchange.rest_log)
    with pytest.raises(FeedBlocked):
        client(exchange, clock).closes(("BTCUSDT", "ETHUSDT"), "1h", 50, lambda *_: None)
    assert len(exchange.rest_log) == before + 1


def test_the_most_traded_that_trade_are_chosen(exchange, clock):
    exchange.rest.volumes = {"BTCUSDT": 5.0, "ETHUSDT": 9.0, "SOLUSDT": 7.0, "GONEUSDT": 99.0, "ETHBTC": 100.0}
    exchange.rest.statuses["SOLUSDT"] = "SETTLING"
    assert client(exchange, clock).symbols((), most=2) == ("ETHUSDT", "BTCUSDT")
    with pytest.raises(InputError, match="NOPE is not traded on binance-um"):
        client(exchange, clock).symbols(("BTCUSDT", "NOPE"), most=2)


def test_a_wait_can_be_cancelled(exchange, clock):
    worker = client(exchange, clock, cancelled=lambda: clock.waited_s > 1)
    exchange.refuse_rest(418, {"Retry-After": "120"})
    with pytest.raises(Cancelled):
        worker.closes(SYMBOLS, "1h", 100, lambda done, total: None)
    assert clock.waited_s < 2 and len(exchange.rest_log) == 1


def test_a_width_that_is_not_served_is_refused_before_a_call(exchange, clock):
    with pytest.raises(InputError, match=r"binance-um serves bars of 1m, .*, not of '1s'"):
        client(exchange, clock).closes(SYMBOLS, "1s", 100, lambda done, total: None)
    assert exchange.rest_log == []


@pytest.mark.parametrize("body", [b"{}", b'[[1,"1","1","1","x"]]', b'[[1,"1"]]', b"\xff"])
def test_answers_that_are_no_bars_are_errors(body):
    with pytest.raises(FrameError):
        parse_klines(body)


def test_rows_as_the_exchange_prints_them_are_read():
    row = [1_499_040_000_000, "0.01634790", "0.8", "0.01575800", "0.01577100", "148976.1", 1_499_644_799_999]
    row += ["2434.19055334", 308, "1756.87402397", "28.46694368", "17928899.62484339"]
    times, closes = parse_klines(json.dumps([row]).encode())
    assert (times.tolist(), closes.tolist()) == ([1_499_040_000_000_000], [0.015771])
    assert parse_volumes(b'[{"symbol":"BTCUSDT","quoteVolume":"15.3","count":3}]') == {"BTCUSDT": 15.3}
