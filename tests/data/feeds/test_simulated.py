"""The demo market: reproducible, numbered without holes, on the grid, cointegrated, clustered, and cheap."""

import threading
import time
from collections.abc import Iterable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.stattools import coint

from analytics.microstructure import lee_ready, microprice, quote_reading, quotes_before
from data.feeds import simulated
from data.feeds.simulated import Instrument, SimulatedFeed, SimulatedMarket
from data.quotes import QuoteBook, Quotes
from data.trades import Trades
from utils.clock import US_PER_S
from utils.errors import InputError

START_US = 1_700_000_000_000_000
PAIR = ("BTCUSDT", "ETHUSDT")
HOUR_S = 3_600


class Tape:
    """A sink that keeps what it is offered and says when it has enough."""

    def __init__(self, enough: int = 1) -> None:
        self.parts: list[Trades] = []
        self.full = threading.Event()
        self._left = enough

    def offer(self, trades: Trades) -> None:
        self.parts.append(trades)
        self._left -= len(trades)
        if self._left <= 0:
            self.full.set()

    def reject(self, symbol: str | None, reason: str, count: int = 1) -> None:
        raise AssertionError(f"the demo market rejects nothing, got {symbol} {reason} {count}")


def by_symbol(parts: Iterable[Trades]) -> dict[str, Trades]:
    groups: dict[str, list[Trades]] = {}
    for part in parts:
        groups.setdefault(part.symbol, []).append(part)
    return {symbol: Trades.concat(symbol, group) for symbol, group in groups.items()}


def tape(seconds: int, **options: object) -> dict[str, Trades]:
    market = SimulatedMarket(**{"symbols": PAIR, "start_us": START_US} | options)
    return by_symbol(market.advance(START_US + seconds * US_PER_S))


def closes(trades: Trades, seconds: int) -> np.ndarray:
    """Last price before the end of each second, from the first minute on (every symbol has traded by then)."""
    ends = START_US + US_PER_S * np.arange(60, seconds + 1)
    return trades.price[np.searchsorted(trades.ts_us, ends, "left") - 1]


def same(one: Trades, two: Trades) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(one.columns, two.columns, strict=True))


@pytest.fixture(scope="module")
def hour() -> dict[str, Trades]:
    """An hour without breaks."""
    return tape(HOUR_S, breaks=False)


@pytest.fixture(scope="module")
def legs(hour: dict[str, Trades]) -> tuple[np.ndarray, np.ndarray]:
    return closes(hour["ETHUSDT"], HOUR_S), closes(hour["BTCUSDT"], HOUR_S)


def test_the_same_seed_and_start_give_the_same_tape() -> None:
    one, two = tape(120), tape(120)
    assert all(same(one[symbol], two[symbol]) for symbol in PAIR)


def test_another_seed_gives_another_tape() -> None:
    assert not same(tape(60)["BTCUSDT"], tape(60, seed=8)["BTCUSDT"])


def test_a_later_start_gives_the_same_prices_and_larger_ids() -> None:
    early = tape(60)["BTCUSDT"]
    later_us = START_US + HOUR_S * US_PER_S
    later = by_symbol(SimulatedMarket(PAIR, start_us=later_us).advance(later_us + 60 * US_PER_S))["BTCUSDT"]
    assert np.array_equal(early.price, later.price)
    assert later.trade_id[0] > early.trade_id[-1]


@settings(max_examples=20)
@given(cuts=st.lists(st.integers(0, 30 * US_PER_S), max_size=20))
def test_the_tape_does_not_depend_on_how_time_is_cut(cuts: list[int]) -> None:
    market = SimulatedMarket(PAIR, start_us=START_US)
    parts = [part for cut in [*sorted(cuts), 30 * US_PER_S] for part in market.advance(START_US + cut)]
    whole, cut_up = tape(30), by_symbol(parts)
    assert all(same(whole[symbol], cut_up[symbol]) for symbol in PAIR)


def test_nothing_is_delivered_before_its_time() -> None:
    market = SimulatedMarket(PAIR, start_us=START_US)
    for until_us in range(START_US, START_US + 5 * US_PER_S, 70_000):
        for trades in market.advance(until_us):
            assert until_us - 70_000 < trades.ts_us[0]
            assert trades.ts_us[-1] <= until_us


def test_ids_begin_at_the_start_and_have_no_holes(hour: dict[str, Trades]) -> None:
    for trades in hour.values():
        assert trades.trade_id[0] == START_US
        assert np.all(np.diff(trades.trade_id) == 1)


def test_times_never_step_back_and_are_whole_milliseconds(hour: dict[str, Trades]) -> None:
    for trades in hour.values():
        assert np.all(np.diff(trades.ts_us) >= 0)
        assert np.all(trades.ts_us % 1_000 == 0)


@pytest.mark.parametrize("symbol, decimals", [("BTCUSDT", 1), ("ETHUSDT", 2)])
def test_prices_are_positive_decimals_on_the_tick_grid(hour: dict[str, Trades], symbol: str, decimals: int) -> None:
    prices = hour[symbol].price
    assert np.all(np.isfinite(prices) & (prices > 0))
    assert prices.tolist() == [float(f"{price:.{decimals}f}") for price in prices.tolist()]


def test_quantities_are_positive_decimals_on_the_step_grid(hour: dict[str, Trades]) -> None:
    for trades in hour.values():
        assert np.all(trades.qty > 0)
        assert trades.qty.tolist() == [float(f"{qty:.3f}") for qty in trades.qty.tolist()]
        sizes = np.log(trades.qty[trades.qty > 0.02])
        assert sizes.std() > 0.5  # spread over orders of magnitude


@given(st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_", min_size=1, max_size=32))
def test_any_name_has_a_plausible_price_and_a_tick_far_below_it(symbol: str) -> None:
    instrument = Instrument.of(symbol)
    assert 0.01 < instrument.price < 100_000
    assert 1e-7 < 1 / instrument.price_scale / instrument.price < 2e-5
    assert instrument == Instrument.of(symbol)


@pytest.mark.parametrize("rate", [0.5, 20.0, 333.3, 5_000.0])
def test_the_rate_is_met_in_any_minute(rate: float) -> None:
    trades = tape(180, rate=rate)
    times = np.concatenate([part.ts_us for part in trades.values()]) - START_US
    for first_s in (0, 31, 77, 120):
        within = np.count_nonzero((times >= first_s * US_PER_S) & (times < (first_s + 60) * US_PER_S))
        assert within == pytest.approx(60 * rate, rel=0.05, abs=2)


def test_arrivals_are_clustered(hour: dict[str, Trades]) -> None:
    seconds = (hour["BTCUSDT"].ts_us - START_US) // US_PER_S
    counts = np.bincount(seconds, minlength=HOUR_S)[:HOUR_S]
    assert counts.var() > 2 * counts.mean()  # 1 for a Poisson process
    short = np.bincount((hour["BTCUSDT"].ts_us - START_US) // 100_000).astype(float)
    assert np.corrcoef(short[1:], short[:-1])[0, 1] > 0.1  # one busy moment is followed by another


def test_several_prints_share_a_millisecond_and_then_a_side(hour: dict[str, Trades]) -> None:
    trades = hour["BTCUSDT"]
    together = np.diff(trades.ts_us) == 0
    assert 0.2 < together.mean() < 0.8
    assert np.mean(np.diff(trades.buyer_is_maker.astype(int))[together] == 0) > 0.95


def test_prices_bounce_between_bid_and_ask(hour: dict[str, Trades]) -> None:
    trades = hour["ETHUSDT"]
    ticks = np.rint(trades.price * 100).astype(int)
    near = (np.diff(trades.ts_us) < 5_000) & (np.diff(trades.buyer_is_maker.astype(int)) == 1)
    assert np.median(np.diff(ticks)[near]) < 0  # from a buy to a sell of the same moment: down to the bid


def test_takers_go_with_the_move(legs: tuple[np.ndarray, np.ndarray], hour: dict[str, Trades]) -> None:
    trades = hour["BTCUSDT"]
    seconds = (trades.ts_us - START_US) // US_PER_S
    signs = 1.0 - 2.0 * trades.buyer_is_maker
    flow = np.bincount(seconds, weights=signs, minlength=HOUR_S)[60:HOUR_S]
    moves = np.diff(np.log(legs[1]))
    assert np.corrcoef(flow, moves)[0, 1] > 0.2


def test_an_unbroken_pair_is_cointegrated(legs: tuple[np.ndarray, np.ndarray]) -> None:
    eth, btc = legs
    assert coint(eth, btc, maxlag=5)[1] < 0.01


def test_one_second_returns_of_the_legs_are_correlated(legs: tuple[np.ndarray, np.ndarray]) -> None:
    eth, btc = (np.diff(np.log(leg)) for leg in legs)
    assert 0.5 < np.corrcoef(eth, btc)[0, 1] < 0.8


def test_the_zscore_leaves_two_sigma_every_minute_or_two(legs: tuple[np.ndarray, np.ndarray]) -> None:
    y, x = (np.lib.stride_tricks.sliding_window_view(leg, 60) for leg in legs)
    x_dev, y_dev = x - x.mean(1, keepdims=True), y - y.mean(1, keepdims=True)
    slope = (x_dev * y_dev).sum(1) / (x_dev**2).sum(1)
    residual = y_dev - slope[:, None] * x_dev
    zscore = residual[:, -1] / residual.std(1, ddof=1)
    excursions, armed = 0, True
    for z in np.abs(zscore).tolist():
        excursions += armed and z >= 2
        armed = z < 0.5 or (armed and z < 2)
    assert 20 <= excursions <= 150  # in an hour


def test_volatility_changes_slowly(legs: tuple[np.ndarray, np.ndarray]) -> None:
    returns = np.diff(np.log(legs[1]))
    minutes = returns[: returns.size // 60 * 60].reshape(-1, 60).std(1)
    assert minutes.max() > 1.8 * minutes.min()
    assert np.corrcoef(minutes[1:], minutes[:-1])[0, 1] > 0.3


def test_the_relation_breaks_now_and_then() -> None:
    hours, seconds = 4, 4 * HOUR_S
    ranges = []
    for breaks in (False, True):
        trades = tape(hours * HOUR_S, rate=4, breaks=breaks)
        spread = np.log(closes(trades["ETHUSDT"], seconds)) - 1.15 * np.log(closes(trades["BTCUSDT"], seconds))
        ranges.append(spread.std())
    assert ranges[1] > 2 * ranges[0]


@pytest.mark.parametrize("options", [{"symbols": ()}, {"rate": 0.0}, {"rate": float("nan")}])
def test_a_market_without_symbols_or_rate_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(InputError):
        SimulatedMarket(**{"symbols": PAIR} | options)


# --- the feed ---------------------------------------------------------------------------------------


def test_the_feed_begins_with_ten_minutes_of_history_and_goes_on_without_a_hole() -> None:
    feed, sink = SimulatedFeed(PAIR, rate=100.0, start_us=START_US), Tape(enough=60_050)
    feed.start(sink)
    assert sink.full.wait(20), "no live trade after the history"
    feed.stop()
    first_us = START_US - 600 * US_PER_S
    for trades in by_symbol(sink.parts).values():
        assert trades.trade_id[0] == first_us
        assert trades.ts_us[0] < first_us + 10 * US_PER_S
        assert np.all(np.diff(trades.trade_id) == 1)
        assert trades.ts_us[-1] <= feed.market_us()
        assert trades.ts_us[-1] > START_US


def test_the_history_is_shorter_at_a_high_rate() -> None:
    feed, sink = SimulatedFeed(PAIR, rate=20_000.0, start_us=START_US), Tape()
    feed.start(sink)
    assert sink.full.wait(20)
    feed.stop()
    assert min(trades.trade_id[0] for trades in sink.parts) == START_US - 10 * US_PER_S


def test_the_market_clock_is_the_wall_clock() -> None:
    feed = SimulatedFeed(PAIR)
    assert abs(feed.market_us() - time.time_ns() // 1_000) < US_PER_S


def test_stop_is_quick_and_nothing_comes_afterwards() -> None:
    feed, sink = SimulatedFeed(PAIR), Tape()
    feed.start(sink)
    assert sink.full.wait(20)
    began = time.monotonic()
    feed.stop()
    feed.stop()
    assert time.monotonic() - began < 1
    assert feed.state.mode == "ENDED"
    count = len(sink.parts)
    assert not any(thread.name == "demo" for thread in threading.enumerate())
    assert len(sink.parts) == count


def test_a_running_feed_leaves_the_processor_alone() -> None:
    feed, sink = SimulatedFeed(PAIR, rate=1_000.0, history_s=0), Tape(enough=500)
    cpu_s, wall_s = time.process_time(), time.monotonic()
    feed.start(sink)
    assert sink.full.wait(20)
    cpu_s, wall_s = time.process_time() - cpu_s, time.monotonic() - wall_s
    feed.stop()
    assert feed.state.mode == "ENDED"
    assert cpu_s < 0.5 * wall_s


def test_a_feed_that_was_never_started_can_be_stopped() -> None:
    feed = SimulatedFeed(PAIR)
    assert feed.state.mode == "CONNECTING"
    feed.stop()


# --- quotes -------------------------------------------------------------------------------------


def quoted(seconds: int, step_s: int, **options: object) -> tuple[dict[str, Trades], dict[str, Quotes]]:
    """Trades and quotes of a market that is asked every `step_s` seconds."""
    market = SimulatedMarket(**{"symbols": PAIR, "start_us": START_US} | options)
    market.quoting = True
    trades: list[Trades] = []
    quotes: dict[str, list[Quotes]] = {symbol: [] for symbol in PAIR}
    for at_s in range(step_s, seconds + 1, step_s):
        trades += market.advance(START_US + at_s * US_PER_S)
        for part in market.quotes():
            quotes[part.symbol].append(part)
    return by_symbol(trades), {symbol: Quotes.concat(symbol, parts) for symbol, parts in quotes.items()}


def test_quotes_are_reproducible_and_leave_the_trades_as_they_are():
    trades, quotes = quoted(120, 60)
    again, quotes_again = quoted(120, 5)
    for symbol in PAIR:
        assert same(trades[symbol], tape(120)[symbol]) and same(trades[symbol], again[symbol])
        assert same(quotes[symbol], quotes_again[symbol])


@pytest.mark.parametrize("rate", [20.0, 2_000.0])
def test_trades_print_at_bid_or_ask_of_the_quote_before_them_or_beyond(rate):
    trades, quotes = quoted(60, 60, rate=rate)
    for symbol in PAIR:
        tape, book = trades[symbol], quotes[symbol]
        tick = 1 / Instrument.of(symbol).price_scale
        assert (np.diff(book.update_id) == 1).all() and (np.diff(book.ts_us) >= 0).all()
        assert np.allclose(book.ask - book.bid, tick) and (book.bid_qty > 0).all() and (book.ask_qty > 0).all()
        bid, ask = quotes_before(tape.ts_us, book.ts_us, book.bid, book.ask)
        first = np.diff(tape.ts_us, prepend=0) > 0  # of each millisecond
        sold = tape.buyer_is_maker.astype(bool)
        assert (tape.price[first & sold] == bid[first & sold]).all()
        assert (tape.price[first & ~sold] == ask[first & ~sold]).all()
        assert np.mean((lee_ready(tape.price, bid, ask) < 0) == sold) > (0.99 if rate < 100 else 0.9)
        found = quote_reading(book, tape, int(book.ts_us[-1]))
        assert tick == pytest.approx(found.quoted.price) and found.effective.price >= 0.99 * tick


def test_the_microprice_is_the_price_behind_the_quotes(monkeypatch):
    monkeypatch.setattr(simulated, "VOLATILITY", 1e-8)  # the price stands between two ticks
    _, quotes = quoted(120, 120)
    book = quotes["BTCUSDT"]
    assert np.ptp((book.bid + book.ask) / 2) == pytest.approx(0.1)
    assert np.ptp(microprice(*book.columns[2:])) < 0.02
    assert microprice(*book.columns[2:]).mean() == pytest.approx(60_000.0, abs=0.01)


def test_the_demo_feed_delivers_quotes_where_somebody_takes_them():
    feed, sink, book = SimulatedFeed(PAIR, history_s=60), Tape(enough=50), QuoteBook()
    feed.quote_sink = book
    feed.start(sink)
    assert sink.full.wait(5)
    feed.stop()
    for symbol, trades in by_symbol(sink.parts).items():
        counts, held = book.counts()[symbol], book.snapshot(symbol)
        assert counts.kept == counts.received == len(held) > 60
        assert held.ts_us[-1] <= trades.ts_us[-1] + 60 * US_PER_S
