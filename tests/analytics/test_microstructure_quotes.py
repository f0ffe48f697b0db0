"""Each measure of best quotes by hand, on simulations of known truth, however it was fed, and on recorded quotes."""

import json
import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.entry import round_trip_cost
from analytics.microstructure import (
    BestQuote,
    QuoteMeter,
    QuoteParams,
    QuoteReading,
    effective_spread,
    lee_ready,
    microprice,
    pair_cost,
    quote_imbalance,
    quote_ofi,
    quote_reading,
    quoted_spread,
    quotes_before,
    side_accuracy,
    usable_quotes,
)
from data.quotes import Quotes
from data.trades import Trades
from tests.analytics.test_microstructure_measures import frames, tape
from utils.errors import InputError, TooFewObservations

S = 1_000_000
START = 1_700_000_000 * S + 400_000
NAN = math.nan
SMALL = settings(max_examples=60)
PARAMS = QuoteParams(window_s=5, max_age_s=3)

# Good, one-sided, crossed, without a size, locked.
BID = np.array([100.0, 0.0, 102.0, 100.0, 101.0])
BID_QTY = np.array([3.0, 0.0, 1.0, 0.0, 1.0])
ASK = np.array([102.0, 103.0, 101.0, 102.0, 101.0])
ASK_QTY = np.array([1.0, 5.0, 1.0, 2.0, 4.0])


def quotes_of(rows: list[tuple[float, float, float, float, float]], first_id: int = 10) -> Quotes:
    """Columns of times (s after START), bids, sizes, asks and sizes."""
    when, *columns = (np.array(column, float) for column in zip(*rows, strict=True))
    ts_us = START + np.rint(when * S).astype(np.int64)
    return Quotes("BTCUSDT", first_id + 2 * np.arange(len(rows)), ts_us, *columns)


def trades_of(rows: list[tuple[float, float, float, bool]], first_id: int = 1) -> Trades:
    """Columns of times (s after START), prices, quantities and whether the taker sold."""
    when, price, qty, sold = (np.array(column) for column in zip(*rows, strict=True))
    return Trades.of("BTCUSDT", first_id + np.arange(len(rows)), START + np.rint(when * S), price, qty, sold)


# --- which quotes count -----------------------------------------------------------------------------


def test_one_sided_crossed_and_sizeless_quotes_do_not_count():
    for column in usable_quotes(BID, BID_QTY, ASK, ASK_QTY):
        assert np.isnan(column).tolist() == [False, True, True, True, False]
    for bad in (np.nan, np.inf, -1.0):
        assert np.isnan(usable_quotes([bad], [1.0], [2.0], [1.0])[0]).all()
        assert np.isnan(usable_quotes([1.0], [1.0], [2.0], [bad])[0]).all()


def test_columns_of_different_length_are_refused():
    with pytest.raises(InputError, match="one length"):
        microprice([1.0], [1.0], [2.0, 3.0], [1.0])
    with pytest.raises(InputError, match="max_age_s must be > 0"):
        quoted_spread([START], [1.0], [2.0], START, max_age_s=0)


# --- microprice and imbalance -----------------------------------------------------------------------


def test_the_microprice_leans_to_the_thinner_side():
    found = microprice(BID, BID_QTY, ASK, ASK_QTY)
    assert found.tolist() == pytest.approx([(100 * 1 + 102 * 3) / 4, NAN, NAN, NAN, 101.0], nan_ok=True)
    assert quote_imbalance(BID, BID_QTY, ASK, ASK_QTY).tolist() == pytest.approx(
        [0.5, NAN, NAN, NAN, -0.6], nan_ok=True
    )


positive = st.floats(1e-3, 1e6)


@given(positive, positive, st.floats(0, 0.01), positive)
def test_the_microprice_lies_between_bid_and_ask_and_mirrors(bid, bid_qty, gap, ask_qty):
    ask = bid * (1 + gap)
    (found,) = microprice([bid], [bid_qty], [ask], [ask_qty])
    (mirrored,) = microprice([bid], [ask_qty], [ask], [bid_qty])
    assert bid <= found <= ask * (1 + 1e-12)
    assert found + mirrored == pytest.approx(bid + ask)
    assert quote_imbalance([bid], [bid_qty], [ask], [ask_qty])[0] == pytest.approx(
        -quote_imbalance([bid], [ask_qty], [ask], [bid_qty])[0]
    )


# --- quoted spread ----------------------------------------------------------------------------------


def test_the_quoted_spread_weighs_each_quote_by_its_time():
    found = quoted_spread([START, START + S, START + 4 * S], [99, 98, 99.5], [101, 102, 100.5], START + 5 * S)
    assert found.price == pytest.approx((2 * 1 + 4 * 3 + 1 * 1) / 5)
    assert found.bp == pytest.approx(100 * (2 * 1 + 4 * 3 + 1 * 1) / 5)  # every mid is 100
    assert (found.newest, found.newest_bp, found.seconds) == (1.0, pytest.approx(100.0), 5.0)


def test_a_quote_counts_only_while_it_is_in_force():
    times = [START, START + S, START + 10 * S]
    found = quoted_spread(times, [99, 0, 98], [101, 102, 102], START + 20 * S, max_age_s=4)
    assert (found.price, found.seconds) == (pytest.approx((2 * 1 + 4 * 4) / 5), 5.0)
    assert math.isnan(found.newest) and math.isnan(found.newest_bp)
    found = quoted_spread(times, [99, 0, 98], [101, 102, 102], START + 12 * S, since_us=START + 11 * S)
    assert (found.price, found.newest, found.seconds) == (4.0, 4.0, 1.0)


def test_without_a_quote_or_time_the_spread_is_nan():
    for found in (quoted_spread([], [], [], START), quoted_spread([START + 1], [1.0], [2.0], START)):
        assert math.isnan(found.price) and math.isnan(found.newest) and found.seconds == 0
    found = quoted_spread([START], [1.0], [2.0], START)
    assert math.isnan(found.price) and found.newest == 1.0


# --- effective spread -------------------------------------------------------------------------------


def test_the_effective_spread_is_twice_the_distance_to_the_mid_before():
    found = effective_spread([101, 99, 100.5, 7], [1, 2, 1, 5], [0, 1, 1, 0], [99, 99, 99, NAN], [101, 101, 101, NAN])
    assert found.price == pytest.approx((2 * 1 + 2 * 2 - 1 * 1) / 4)
    assert (found.bp, found.n_obs) == (pytest.approx(1e4 * 5 / 4 / 100), 3)


def test_without_quotes_the_effective_spread_is_nan():
    found = effective_spread([101.0], [1.0], [0], [0.0], [101.0])
    assert math.isnan(found.price) and math.isnan(found.bp) and found.n_obs == 0


# --- order flow imbalance of the quotes -------------------------------------------------------------


@pytest.mark.parametrize(
    "before, after, event",
    [
        ((100, 5, 101, 7), (100, 8, 101, 7), 3),  # bids added
        ((100, 5, 101, 7), (100, 5, 101, 3), 4),  # asks taken
        ((100, 5, 101, 7), (100.5, 2, 101, 7), 2),  # a better bid
        ((100, 5, 101, 7), (99.5, 9, 101, 7), -5),  # the bid taken away
        ((100, 5, 101, 7), (100, 5, 100.5, 2), -2),  # a better ask
        ((100, 5, 101, 7), (100, 5, 101.5, 9), 7),  # the ask taken away
        ((100, 5, 101, 7), (101, 2, 102, 3), 9),  # both move up
    ],
)
def test_each_event_of_the_book_by_hand(before, after, event):
    found = quote_ofi(*zip(before, after, strict=True))
    depth = (before[1] + before[3] + after[1] + after[3]) / 4
    assert (found.value, found.depth, found.n_obs) == (event, depth, 1)
    assert found.normalised == pytest.approx(event / depth)


def test_no_event_counts_beside_a_quote_that_does_not():
    found = quote_ofi([100, 100, 0, 100], [5, 6, 0, 50], [101, 101, 101, 101], [7, 7, 7, 7])
    assert (found.value, found.n_obs, found.depth) == (1, 1, (12 + 13 + 57) / 6)
    assert math.isnan(quote_ofi([100], [5], [101], [7]).value)
    assert math.isnan(quote_ofi([], [], [], []).depth)


def test_flow_explains_the_move_of_a_book_built_from_it():
    """Each event adds or takes `step` at one side of a book of constant depth: price moves by OFI / (2 depth) ticks."""
    rng = np.random.default_rng(5)
    depth, step, levels = 10.0, 1.0, rng.choice((-1.0, 1.0), 40_000).cumsum()
    ticks, rest = np.divmod(levels * step, depth)
    bid = 100 + 0.01 * ticks
    found = quote_ofi(bid, 0.5 + rest, bid + 0.01, depth + 0.5 - rest)
    moved = (bid[-1] - bid[0]) / 0.01
    assert found.value / (2 * depth) == pytest.approx(moved, abs=0.15 * abs(moved) + 2)


# --- cost of a round trip ---------------------------------------------------------------------------

Y, X = BestQuote(99.0, 50.0, 101.0, 20.0), BestQuote(9.9, 1_000.0, 10.1, 1_000.0)


def test_the_cost_of_a_pair_by_hand():
    found = pair_cost(1_000.0, 2.0, Y, X, fee_bps=5.0)  # 10 of y at 100, 20 of x at 10
    assert (found.y.qty, found.y.notional, found.x.qty, found.x.notional) == (10.0, 1_000.0, 20.0, 200.0)
    assert (found.y.fee, found.y.spread, found.y.depth) == (1.0, 20.0, 0.0)
    assert (found.x.fee, found.x.spread, found.x.depth) == pytest.approx((0.2, 4.0, 0.0))
    assert (found.y.fee_bp, found.y.spread_bp, found.y.total_bp) == pytest.approx((10.0, 200.0, 210.0))
    assert (found.total, found.bp, found.per_unit) == pytest.approx((25.2, 252.0, 2.52))
    assert found.per_unit == pytest.approx(round_trip_cost(100.0, 10.0, 2.0, 5.0, 1.0, 0.1))


def test_logarithms_size_x_by_notional_and_the_sign_of_the_ratio_does_not_matter():
    found = pair_cost(1_000.0, 0.5, Y, X, 5.0, log_prices=True)
    assert found.x.notional == pytest.approx(500.0)
    assert pair_cost(1_000.0, -2.0, Y, X, 5.0) == pair_cost(1_000.0, 2.0, Y, X, 5.0)


def test_what_exceeds_the_best_level_pays_a_spread_more_for_each_level():
    found = pair_cost(5_000.0, 0.0, Y, X, 0.0)  # 50 of y: all of the best bid; 20 + 20 + 10 of asks
    assert found.y.depth == pytest.approx(20 * 0 + 20 * 2 + 10 * 4)
    assert (found.y.beyond_bid, found.y.beyond_ask) == (0.0, pytest.approx(0.6))
    assert (found.x.total, found.total) == (0.0, pytest.approx(found.y.total))
    assert math.isnan(found.x.total_bp)


def test_a_missing_quote_or_a_locked_one_without_depth_is_nan():
    for missing in (BestQuote(0.0, 0.0, 101.0, 1.0), BestQuote(102.0, 1.0, 101.0, 1.0), BestQuote(NAN, NAN, NAN, NAN)):
        found = pair_cost(1_000.0, 2.0, Y, missing, 5.0)
        assert math.isnan(found.total) and math.isnan(found.per_unit) and math.isnan(found.x.fee)
        assert found.y.total == pytest.approx(21.0)
        assert math.isnan(pair_cost(1_000.0, 2.0, missing, X, 5.0).x.notional)
    locked = BestQuote(100.0, 1.0, 100.0, 1.0)
    assert math.isnan(pair_cost(1_000.0, 0.0, locked, X, 0.0).total)
    assert pair_cost(100.0, 0.0, locked, X, 0.0).total == 0.0


@pytest.mark.parametrize("name, value", [("notional", 0.0), ("notional", NAN), ("fee_bps", -1.0), ("hedge_ratio", NAN)])
def test_a_bad_size_fee_or_ratio_is_named(name, value):
    given_values = {"notional": 1_000.0, "hedge_ratio": 1.0, "y": Y, "x": X, "fee_bps": 5.0} | {name: value}
    with pytest.raises(InputError) as caught:
        pair_cost(**given_values)
    assert caught.value.field == name


@given(st.floats(10, 1e7), st.floats(0.01, 5), st.floats(1.01, 10))
def test_a_larger_size_never_costs_less_for_each_unit(notional, ratio, more):
    assert pair_cost(notional * more, ratio, Y, X, 5.0).bp >= pair_cost(notional, ratio, Y, X, 5.0).bp * (1 - 1e-9)


# --- the reading ------------------------------------------------------------------------------------

gap = st.sampled_from([0.0, 0.001, 0.09, 0.7, 1.3, 3.5, 9.0])
sides = st.tuples(
    st.sampled_from([0, 99, 100, 101]), st.integers(0, 4), st.sampled_from([0, 101, 102]), st.integers(0, 4)
)
books = st.lists(st.tuples(gap, sides), min_size=1, max_size=25)
prints = st.lists(st.tuples(gap, st.sampled_from([99.0, 100.5, 102.0]), st.integers(1, 9), st.booleans()), max_size=25)


def made(book, printed) -> tuple[Quotes, Trades]:
    """Quotes and trades of waits."""
    times = np.cumsum([wait for wait, _ in book])
    quotes = quotes_of([(when, *four) for when, (_, four) in zip(times, book, strict=True)])
    if not printed:
        return quotes, Trades.empty("BTCUSDT")
    times = np.cumsum([wait for wait, *_ in printed])
    return quotes, trades_of([(when, *rest) for when, (_, *rest) in zip(times, printed, strict=True)])


def newest_us(quotes: Quotes, trades: Trades) -> int:
    return max([*quotes.ts_us.tolist(), *trades.ts_us.tolist()])


def numbers(reading: QuoteReading) -> dict[str, float]:
    counts = {"trades": reading.trades, "matched": reading.effective.n_obs, "events": reading.ofi.n_obs}
    return reading.reading() | counts | {"quoted_s": reading.quoted.seconds, "window_s": reading.window_s}


@SMALL
@given(books, prints, st.sampled_from([-2.0, -0.7, 0.0, 0.7, 2.0]), st.sampled_from([0.25, 1.0]), st.floats(0, 20))
def test_a_meter_reads_the_same_however_it_is_fed(book, printed, lag_s, step_s, wait_s):
    quotes, trades = made(book, printed)
    end_us = newest_us(quotes, trades)
    meter = QuoteMeter(PARAMS)
    for at_us in range(START, end_us + 3 * S, int(step_s * S)):  # quotes come before or after trades of their time
        meter.feed_trades(trades[trades.ts_us <= at_us])
        meter.feed_quotes(quotes[quotes.ts_us <= at_us - int(lag_s * S)])
        if meter.late_quotes:  # some were fed
            meter.reading(0)
    now_us = end_us + int(wait_s * S)
    assert numbers(meter.reading(now_us)) == pytest.approx(
        numbers(quote_reading(quotes, trades, now_us, PARAMS)), nan_ok=True, rel=1e-9, abs=1e-9
    )


@SMALL
@given(books, prints, st.floats(0, 8))
def test_a_reading_is_the_measures_of_its_window(book, printed, wait_s):
    quotes, trades = made(book, printed)
    now_us = newest_us(quotes, trades) + int(wait_s * S)
    found = quote_reading(quotes, trades, now_us, PARAMS)
    opens_us = (now_us // S - PARAMS.window_s) * S
    four = usable_quotes(*quotes.columns[2:])
    expected = quoted_spread(quotes.ts_us, four[0], four[2], now_us, opens_us, PARAMS.max_age_s)
    for name in ("price", "bp", "newest", "newest_bp", "seconds"):
        assert getattr(found.quoted, name) == pytest.approx(getattr(expected, name), nan_ok=True, abs=1e-9), name
    rows = trades.ts_us >= opens_us
    before = np.searchsorted(quotes.ts_us, trades.ts_us, "left") - 1
    fresh = (before >= 0) & (trades.ts_us - quotes.ts_us[before] <= PARAMS.max_age_s * S)
    bid, ask = (np.where(fresh, side, NAN) for side in quotes_before(trades.ts_us, quotes.ts_us, four[0], four[2]))
    one = trades[rows]
    paid = effective_spread(one.price, one.qty, one.buyer_is_maker, bid[rows], ask[rows])
    assert (found.effective.price, found.effective.bp) == pytest.approx((paid.price, paid.bp), nan_ok=True, abs=1e-9)
    assert (found.effective.n_obs, found.trades) == (paid.n_obs, len(one))
    events = [
        quote_ofi(*(column[k : k + 2] for column in four)).value
        for k in range(len(quotes) - 1)
        if quotes.ts_us[k + 1] >= opens_us and quotes.ts_us[k + 1] - quotes.ts_us[k] <= PARAMS.max_age_s * S
    ]
    counted = [event for event in events if not math.isnan(event)]
    assert found.ofi.n_obs == len(counted)
    assert found.ofi.value == pytest.approx(sum(counted) if counted else NAN, nan_ok=True)


@SMALL
@given(books, prints, st.floats(0, 60))
def test_quotes_and_trades_to_come_change_nothing(book, printed, at_s):
    quotes, trades = made(book, printed)
    now_us = int(quotes.ts_us[0]) + int(at_s * S)
    known = quotes[quotes.ts_us <= now_us], trades[trades.ts_us <= now_us]
    one, two = quote_reading(quotes, trades, now_us, PARAMS), quote_reading(*known, now_us, PARAMS)
    assert numbers(one) == pytest.approx(numbers(two), nan_ok=True)


def test_a_trade_waits_for_the_quotes_of_its_time():
    meter = QuoteMeter(QuoteParams(window_s=10, max_age_s=2))
    meter.feed_quotes(quotes_of([(0, 99, 1, 101, 1)]))
    meter.feed_trades(trades_of([(1.0, 105.0, 1.0, False)]))
    assert meter.reading(START + S).effective.price == 10.0  # with what is known so far
    meter.feed_quotes(quotes_of([(0.9, 103, 1, 105, 1), (1.0, 106, 1, 107, 1)], first_id=20))
    assert meter.reading(START + S).effective.price == 2.0  # the quote of the same instant is not before it
    meter.feed_trades(trades_of([(1.5, 108.0, 1.0, False), (4.0, 108.0, 1.0, False)], first_id=5))
    meter.feed_quotes(quotes_of([(1.4, 90, 1, 91, 1)], first_id=30))  # too late: that trade has been settled
    assert meter.reading(START + 4 * S).effective.n_obs == 2


def test_repeats_and_older_rows_are_left_out_and_counted():
    meter = QuoteMeter()
    quotes, trades = quotes_of([(0, 99, 1, 101, 1), (1, 99, 2, 101, 1)]), trades_of([(1.5, 101.0, 1.0, False)])
    for _ in range(2):
        meter.feed_quotes(quotes)
        meter.feed_trades(trades)
    assert (meter.late_quotes, meter.late_trades) == (2, 1)
    found = meter.reading(START + 2 * S)
    assert (found.trades, found.ofi.value, found.quotes_per_s) == (1, 1.0, 1.0)


def test_what_is_undefined_says_why():
    with pytest.raises(TooFewObservations):
        QuoteMeter().reading(START)
    meter = QuoteMeter(PARAMS)
    meter.feed_quotes(quotes_of([(0, 0, 0, 101, 1)]))
    found = meter.reading(START + S)
    assert all(
        math.isnan(found.reading()[name]) for name in ("bid", "mid", "quoted_spread_bp", "microprice", "quote_ofi")
    )
    assert found.missing.keys() == {"quoted_spread", "effective_spread", "microprice", "quote_ofi"}
    meter.feed_quotes(quotes_of([(1, 99, 1, 101, 1)], first_id=20))
    assert "4 s old" in meter.reading(START + 5 * S).missing["microprice"]
    with pytest.raises(InputError, match="window_s must be 1 to"):
        QuoteParams(window_s=0)


def test_a_known_spread_is_recovered():
    """A mid that walks, quotes half a spread around it, trades at them: quoted = effective = spread, on both sides."""
    rng = np.random.default_rng(3)
    mid = 1_000 + 0.05 * rng.standard_normal(20_000).cumsum()
    when = np.cumsum(rng.exponential(0.002, mid.size))
    sizes = rng.uniform(1, 9, (2, mid.size))
    quotes = quotes_of(list(zip(when, mid - 0.2, sizes[0], mid + 0.2, sizes[1], strict=True)))
    sold = rng.random(mid.size) < 0.5
    price, qty = mid + np.where(sold, -0.2, 0.2), rng.lognormal(size=mid.size)
    trades = trades_of(list(zip(when + 1e-6, price, qty, sold, strict=True)))
    found = quote_reading(quotes, trades, int(quotes.ts_us[-1]))
    assert (found.quoted.price, found.effective.price) == pytest.approx((0.4, 0.4), rel=1e-4)
    assert found.effective.bp == pytest.approx(1e4 * 0.4 / mid.mean(), rel=0.01)


# --- recorded quotes --------------------------------------------------------------------------------


@cache
def recorded(name: str) -> Quotes:
    """The quotes of a recording of futures, read without our decoder."""
    rows = [json.loads(frame)["data"] for frame in frames(name) if b'"bookTicker"' in frame]
    rows.sort(key=lambda row: row["u"])
    ids, times = (np.array([row[key] for row in rows]) for key in ("u", "T"))
    return Quotes("", ids, times * 1_000, *(np.array([float(row[key]) for row in rows]) for key in "bBaA"))


# name, tick, mean effective spread by quantity: sweeps through many levels hold a third of it; Lee-Ready's accuracy
RECORDED = [("usdm_btcusdt_20240808.gz", 0.1, 21.072, 0.998), ("usdm_ethusdt_20240808.gz", 0.01, 0.4392, 0.9996)]


@pytest.mark.parametrize("name, tick, effective, accuracy", RECORDED)
def test_recorded_spreads_are_a_tick_and_most_takers_pay_it(name, tick, effective, accuracy):
    quotes, trades = recorded(name), tape(name)
    found = quote_reading(quotes, trades, int(quotes.ts_us[-1]), QuoteParams(window_s=600))
    assert found.quoted.price == pytest.approx(tick, rel=0.15)
    assert found.effective.price == pytest.approx(effective, rel=1e-3)
    assert found.effective.n_obs == found.trades == len(trades)
    bid, ask = quotes_before(trades.ts_us, quotes.ts_us, quotes.bid, quotes.ask)
    columns = zip(trades.price, trades.qty, trades.buyer_is_maker, bid, ask, strict=True)
    each = [effective_spread(*([value] for value in row)).price for row in list(columns)[::20]]
    assert np.median(each) == pytest.approx(tick, rel=1e-6)
    judged = side_accuracy(lee_ready(trades.price, bid, ask), trades.buyer_is_maker, trades.qty, trades.price)
    assert judged.by_count == pytest.approx(accuracy, abs=0.0005)


@pytest.mark.parametrize("name", [name for name, *_ in RECORDED])
def test_recorded_flow_of_quotes_moves_with_the_price(name):
    quotes = recorded(name)
    ten_s = (quotes.ts_us - quotes.ts_us[0]) // (10 * S)
    flows, moves = [], []
    for stretch in np.unique(ten_s):
        rows = quotes[ten_s == stretch]
        flows.append(quote_ofi(*rows.columns[2:]).value)
        moves.append((rows.bid[-1] + rows.ask[-1]) - (rows.bid[0] + rows.ask[0]))
    assert np.corrcoef(flows, moves)[0, 1] > 0.6
