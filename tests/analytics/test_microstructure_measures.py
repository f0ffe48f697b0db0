"""Each measure of the tape by hand, against libraries, on simulations of known truth, and on recorded trades."""

import csv
import gzip
import io
import json
import math
from functools import cache

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given
from hypothesis import strategies as st

from analytics.microstructure import (
    LevelLearner,
    amihud,
    cumulative_delta,
    kyle_lambda,
    large_prints,
    lee_ready,
    liquidity_score,
    momentum_quality,
    normal_level,
    order_flow_imbalance,
    quotes_before,
    realised_volatility,
    roll_spread,
    side_accuracy,
    signature_plot,
    taker_flow,
    tape_cells,
    tick_rule,
    tick_velocity,
    trade_sizes,
    volatility_regime,
    vpin,
    vwap_distance_bp,
)
from analytics.resampling import BarColumns
from analytics.volatility import YEAR_S
from data.feeds.binance import decode
from data.trades import Trades
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations

S, DAY = 1_000_000, 86_400_000_000
NAN = math.nan

PRICE = np.array([10.0, 10, 11, 11, 10, 10, 12])
QTY = np.array([1.0, 1, 2, 1, 3, 1, 2])
SOLD = np.array([0, 1, 0, 1, 1, 0, 0])


# --- sides --------------------------------------------------------------------------------------


def test_the_tick_rule_keeps_the_last_direction_and_is_0_before_the_first():
    assert tick_rule(PRICE).tolist() == [0, 0, 1, 1, -1, -1, 1]
    assert tick_rule([5.0, 5.0]).tolist() == [0, 0]
    assert tick_rule([]).size == 0


@given(st.lists(st.integers(1, 4), min_size=1, max_size=60))
def test_the_tick_rule_is_the_sign_of_the_last_change(prices):
    filled = pd.Series(np.sign(np.diff(prices, prepend=prices[0]))).replace(0, NAN).ffill().fillna(0)
    assert tick_rule(np.array(prices, float)).tolist() == filled.tolist()


@given(st.lists(st.integers(1, 4), min_size=2, max_size=60), st.integers(1, 59))
def test_later_trades_do_not_change_a_side(prices, kept):
    assert tick_rule(prices)[:kept].tolist() == tick_rule(prices[:kept]).tolist()


def test_accuracy_is_judged_by_count_by_volume_and_where_the_price_moved():
    found = side_accuracy(tick_rule(PRICE), SOLD, QTY, PRICE)
    assert (found.by_count, found.by_volume, found.where_moved, found.n_obs) == (3 / 5, 7 / 9, 1.0, 5)


def test_nothing_judged_is_nan():
    found = side_accuracy([0, 0], [0, 1], [1.0, 1], [5.0, 5])
    assert math.isnan(found.by_count) and math.isnan(found.by_volume) and math.isnan(found.where_moved)


def test_lee_ready_reads_the_quote_and_falls_back_on_the_tick_rule():
    price = np.array([10.0, 11, 10.5, 10.5, 10.2, 10.2, 9.0])
    bid, ask = np.array([9.0, 10, 10, NAN, 10, 0, 10]), np.array([10.0, 11, 11, NAN, 11, 11, 9])
    assert lee_ready(price, bid, ask).tolist() == [1, 1, -1, -1, -1, -1, -1]


def test_the_quote_before_a_trade_is_of_an_earlier_time():
    bid, ask = quotes_before([4, 5, 6, 20], [5, 10], [1.0, 2], [1.5, 2.5])
    assert np.array_equal(bid, [NAN, NAN, 1, 2], equal_nan=True)
    assert np.array_equal(ask, [NAN, NAN, 1.5, 2.5], equal_nan=True)


# --- flow ---------------------------------------------------------------------------------------


def test_flow_by_hand():
    found = taker_flow(PRICE, QTY, SOLD)
    assert (found.trades, found.buy_qty, found.sell_qty) == (7, 6, 5)
    assert (found.buy_notional, found.sell_notional) == (10 + 22 + 10 + 24, 10 + 11 + 30)
    assert (found.delta, found.imbalance, found.vwap) == (1, pytest.approx(1 / 11), pytest.approx(117 / 11))
    assert order_flow_imbalance(QTY, SOLD) == pytest.approx(1 / 11)
    assert cumulative_delta(QTY, SOLD).tolist() == [1, 0, 2, 1, -2, -1, 1]
    assert vwap_distance_bp(101.0, 100.0) == pytest.approx(100)


def test_a_buyer_who_is_the_maker_means_that_the_taker_sold():
    assert order_flow_imbalance([2.0], [True]) == -1
    assert order_flow_imbalance([2.0], [False]) == 1


@given(st.lists(st.tuples(st.floats(1e-6, 1e6), st.booleans()), min_size=1, max_size=50), st.floats(1e-3, 1e3))
def test_imbalance_stays_in_its_bounds_mirrors_and_has_no_unit(rows, unit):
    qty, sold = (np.array(column) for column in zip(*rows, strict=True))
    found = order_flow_imbalance(qty, sold)
    assert -1 <= found <= 1
    assert order_flow_imbalance(qty, ~sold) == pytest.approx(-found, abs=1e-12)
    assert order_flow_imbalance(unit * qty, sold) == pytest.approx(found, abs=1e-9)


def test_no_trades_have_no_imbalance():
    empty = taker_flow([], [], [])
    assert math.isnan(order_flow_imbalance([], []))
    assert math.isnan(empty.imbalance) and math.isnan(empty.delta) and math.isnan(empty.vwap)


# --- velocity -----------------------------------------------------------------------------------

TEN = np.arange(1, 11) * S


def test_velocity_by_hand():
    found = tick_velocity(TEN, np.full(10, 2.0), np.full(10, 3.0), 10 * S, window_s=5)
    assert (found.trades_per_s, found.notional_per_s, found.window_s) == (1.0, 6.0, 5.0)


def test_a_young_tape_is_fast_over_what_it_covers():
    found = tick_velocity(TEN, np.ones(10), np.ones(10), 10 * S, window_s=60)
    assert (found.trades_per_s, found.window_s) == (1.0, 9.0)
    assert tick_velocity(TEN, np.ones(10), np.ones(10), 10 * S, 60, since_us=-90 * S).trades_per_s == 10 / 60


def test_a_silent_window_is_0_and_an_unknown_one_is_not():
    assert tick_velocity(TEN, np.ones(10), np.ones(10), 100 * S, window_s=5).trades_per_s == 0
    assert math.isnan(tick_velocity([], [], [], 100 * S).trades_per_s)


def test_velocity_ignores_trades_to_come():
    whole = tick_velocity(TEN, np.ones(10), np.ones(10), 6 * S, 3)
    assert whole == tick_velocity(TEN[:6], np.ones(6), np.ones(6), 6 * S, 3)


def half_hours(rates: list[float], days: int) -> BarColumns:
    """Bars of ten minutes; each day trades at its rate (trades/s), at a price of 2."""
    ts = np.arange(days * 144) * 600 * S
    trades = np.repeat(np.array(rates[:days]) * 600, 144)
    flat = np.full(ts.size, 2.0)
    return BarColumns(ts, flat, flat, flat, flat, trades * 0.5, flat, trades, trades * 0, np.ones(ts.size, bool))


RATES = [1.0, 4.0, 2.0, 8.0, 5.0, 3.0]


@pytest.mark.parametrize("days", [3, 4, 6])
def test_the_normal_level_is_the_exponential_mean_of_earlier_days(days):
    found = normal_level(half_hours(RATES, days), days * DAY + 7 * S, half_life_days=2.0)
    expected = pd.Series(RATES[:days]).ewm(halflife=2.0).mean().iloc[-1]
    assert found.trades_per_s == pytest.approx(expected, rel=1e-12)
    assert found.notional_per_s == pytest.approx(expected, rel=1e-12)
    assert found.days == days


def test_days_without_a_capture_age_what_was_learned():
    bars = half_hours(RATES, 6)
    seen = np.flatnonzero(~np.isin(bars.ts_us // DAY, [2, 3]))
    learner = LevelLearner(half_life_days=2.0)
    learner.learn(bars.ts_us[seen], bars.trades[seen], bars.trades[seen] * 1.0, 600)
    times = pd.to_datetime(np.array([0, 1, 4, 5]), unit="D")
    expected = pd.Series([1.0, 4.0, 5.0, 3.0]).ewm(halflife="2D", times=times).mean().iloc[-1]
    assert learner.normal(6 * DAY).trades_per_s == pytest.approx(expected, rel=1e-12)


def test_before_three_days_there_is_no_normal():
    found = normal_level(half_hours(RATES, 2), 2 * DAY + S)
    assert math.isnan(found.trades_per_s) and math.isnan(found.notional_per_s)
    assert found.days == 2


def test_the_normal_level_looks_neither_ahead_nor_at_its_own_slot():
    bars, now = half_hours(RATES, 6), 4 * DAY + 3_700 * S
    known = normal_level(bars, now)
    assert known == normal_level(bars[: 4 * 144 + 7], now) == normal_level(bars[: 4 * 144 + 6], now)
    assert known.days == 4


def test_each_time_of_day_has_its_own_level():
    ts = np.arange(4 * 48) * 1_800 * S
    trades = (ts // (1_800 * S)) % 48 * 1_800.0
    learner = LevelLearner()
    learner.learn(ts, trades, trades, 1_800)
    assert [learner.normal(4 * DAY + k * 1_800 * S).trades_per_s for k in (0, 5, 47)] == pytest.approx([0, 5, 47])


def test_bars_with_holes_teach_nothing():
    bars = half_hours(RATES, 4)
    bars.complete[:144] = False
    assert normal_level(bars, 4 * DAY).days == 3


@pytest.mark.parametrize("slot_s, half_life", [(7, 5.0), (0, 5.0), (1_800, 0.0), (1_800, NAN)])
def test_slots_fill_a_day_and_levels_fade(slot_s, half_life):
    with pytest.raises(InputError):
        LevelLearner(slot_s, half_life)


# --- sizes --------------------------------------------------------------------------------------


def test_sizes_by_hand():
    found = trade_sizes(np.append(np.arange(1.0, 20), 100))
    assert (found.q25, found.median, found.q75, found.q95, found.q99) == (5, 10, 15, 19, 100)
    assert found.large_from == pytest.approx(19 * 19 / 15)
    assert (found.largest, found.large_prints, found.n_obs) == (100, 1, 20)
    assert found.large_share == pytest.approx(100 / 290)
    assert large_prints([5.0, 100], found.large_from).tolist() == [False, True]


@given(st.lists(st.integers(1, 1_000), min_size=20, max_size=200))
def test_sizes_are_numpys_quantiles_that_were_traded(sizes):
    qty, found = np.array(sizes, float), trade_sizes(sizes)
    expected = np.quantile(qty, [0.25, 0.5, 0.75, 0.95, 0.99], method="inverted_cdf")
    assert [found.q25, found.median, found.q75, found.q95, found.q99] == expected.tolist()
    assert math.isnan(found.large_from) or found.large_prints == (qty > found.large_from).sum()


def test_the_largest_twentieth_does_not_move_the_threshold():
    sizes = np.sort(np.random.default_rng(1).lognormal(0, 2, 1_000))
    wild = np.append(sizes[:951], sizes[951:] * 1e4)
    assert trade_sizes(wild).large_from == trade_sizes(sizes).large_from


def test_one_size_and_few_trades_have_no_large_prints():
    assert math.isnan(trade_sizes(np.full(50, 0.001)).large_from)
    assert math.isnan(trade_sizes(np.full(50, 0.001)).large_prints)
    assert math.isnan(trade_sizes(np.ones(19)).median)
    assert not large_prints([1e9], NAN).any()


def test_a_lognormal_tape_has_few_large_prints():
    found = trade_sizes(np.random.default_rng(1).lognormal(-3, 2, 200_000))
    assert found.large_prints / found.n_obs == pytest.approx(0.0044, abs=0.0006)


# --- conditions ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "volume, gap, score", [(1, 1, 50), (2, 0.5, 100), (1, 3, 25), (0, 5, 0), (0.5, math.inf, 0), (0.3, 0.2, 25)]
)
def test_liquidity_by_hand(volume, gap, score):
    assert liquidity_score(volume, gap) == pytest.approx(score)


@given(st.floats(0, 1e9), st.floats(0, 1e9))
def test_liquidity_stays_between_0_and_100(volume, gap):
    assert 0 <= liquidity_score(volume, gap) <= 100


def test_unknown_liquidity_is_nan_and_a_negative_ratio_is_refused():
    assert math.isnan(liquidity_score(NAN, 1)) and math.isnan(liquidity_score(1, NAN))
    with pytest.raises(InputError):
        liquidity_score(-1, 1)


@pytest.mark.parametrize(
    "now, before, name", [(0.69, 1, "low"), (0.7, 1, "normal"), (1.3, 1, "normal"), (1.31, 1, "high"), (0, 1, "low")]
)
def test_regimes_begin_at_their_limits(now, before, name):
    assert volatility_regime(now, before).name == name


@pytest.mark.parametrize("now, before", [(NAN, 1), (1, NAN), (1, 0)])
def test_an_unknown_regime_says_so(now, before):
    found = volatility_regime(now, before)
    assert math.isnan(found.ratio) and found.name == "unknown"


def test_momentum_by_hand():
    assert momentum_quality([1.0, 2, 3]) == 1
    assert momentum_quality([3.0, 2, 1]) == -1
    assert momentum_quality([1.0, 2, 1.5, 2.5]) == pytest.approx(0.6)
    assert math.isnan(momentum_quality([1.0, 1, 1])) and math.isnan(momentum_quality([]))
    with pytest.raises(InputError):
        momentum_quality([1.0, NAN])


def test_a_random_walk_has_little_momentum():
    walks = np.random.default_rng(2).standard_normal((400, 100)).cumsum(axis=1)
    sizes = [abs(momentum_quality(walk)) for walk in walks]
    assert np.mean(sizes) == pytest.approx(1 / np.sqrt(99), rel=0.1)


# --- VPIN ---------------------------------------------------------------------------------------


def test_vpin_by_hand():
    assert vpin([1.0, 1, 2, 4], [0, 1, 0, 1], 2.0, 4).value == 6 / 8
    assert vpin([3.0, 1], [0, 1], 2.0, 2).value == 2 / 4  # the first trade goes on in the second bucket
    assert vpin([1.0, 1, 2, 4, 0.5], [0, 1, 0, 1, 1], 2.0, 2).value == 1  # the newest two; the open one is left out


def plain_vpin(qty, sold, volume, buckets) -> float:
    """By interpolating taker buys on the clock of volume."""
    clock, buys = np.append(0, np.cumsum(qty)), np.append(0, np.cumsum(qty * (sold == 0)))
    edges = np.arange(int(clock[-1] / volume + 1e-9) + 1) * volume
    bought = np.diff(np.interp(edges, clock, buys))[-buckets:]
    return float(np.abs(2 * bought - volume).sum() / volume / buckets)


@given(
    st.lists(st.tuples(st.integers(1, 300), st.booleans()), min_size=30, max_size=150),
    st.integers(1, 40),
    st.integers(1, 9),
)
def test_vpin_equals_interpolated_buckets_and_stays_in_its_bounds(rows, volume, buckets):
    qty, sold = (np.array(column) for column in zip(*rows, strict=True))
    if qty.sum() < volume * buckets:
        with pytest.raises(TooFewObservations):
            vpin(qty, sold, volume, buckets)
        return
    found = vpin(qty, sold, volume, buckets)
    assert 0 <= found.value <= 1
    assert found.value == pytest.approx(plain_vpin(qty, sold, volume, buckets), abs=1e-9)


def test_balanced_flow_has_the_vpin_of_chance():
    sold = np.random.default_rng(3).integers(0, 2, 100 * 2_000)
    assert vpin(np.ones(sold.size), sold, 100.0, 2_000).value == pytest.approx(0.08, rel=0.03)


@pytest.mark.parametrize("volume, buckets", [(0.0, 5), (NAN, 5), (1.0, 0)])
def test_buckets_must_hold_something(volume, buckets):
    with pytest.raises(InputError):
        vpin([1.0], [0], volume, buckets)


# --- impact -------------------------------------------------------------------------------------


def test_kyles_lambda_equals_statsmodels():
    rng = np.random.default_rng(4)
    flow = rng.standard_t(4, 300) * 3
    change = 0.2 * flow + np.abs(flow) * rng.standard_normal(300) + 1
    fit = sm.OLS(change, sm.add_constant(flow)).fit(cov_type="HC1")
    found = kyle_lambda(change, flow)
    expected = (fit.params[1], fit.bse[1], fit.rsquared, 300)
    assert (found.slope, found.stderr, found.r_squared, found.n_obs) == pytest.approx(expected, rel=1e-8)


def impact_tape(slope: float, noise: float, seconds: int, seed: int) -> Trades:
    """Five trades a second; the price answers the net flow of its second, at the last trade of it."""
    rng = np.random.default_rng(seed)
    ts = np.arange(seconds * 5) * (S // 5)
    qty, sold = rng.lognormal(0, 1, ts.size), rng.integers(0, 2, ts.size)
    flow = (qty * (1 - 2 * sold)).reshape(-1, 5).sum(axis=1)
    price = 60_000 + np.cumsum(slope * flow + noise * rng.standard_normal(seconds))
    return Trades.of("BTCUSDT", np.arange(ts.size), ts, np.repeat(price, 5), qty, sold)


def test_a_known_lambda_is_recovered():
    change, _, flow, _ = tape_cells(impact_tape(0.25, 0.5, 3_000, 5)).changes()
    found = kyle_lambda(change, flow)
    assert found.slope == pytest.approx(0.25, abs=3 * found.stderr)
    assert found.stderr < 0.01
    assert found.n_obs == 2_999


def test_no_impact_is_within_its_error_19_times_in_20():
    hits = 0
    for seed in range(200):
        change, _, flow, _ = tape_cells(impact_tape(0.0, 1.0, 60, seed)).changes()
        found = kyle_lambda(change, flow)
        hits += abs(found.slope) < 2 * found.stderr
    assert hits / 200 >= 0.9


def test_amihud_by_hand():
    returns, notional = np.array([0.01, -0.02] * 5), np.array([1e6, 4e6] * 5)
    assert amihud(returns, notional) == pytest.approx((0.01 / 1 + 0.02 / 4) / 2)
    assert amihud(returns, 10 * notional) == pytest.approx(amihud(returns, notional) / 10)


def test_roll_by_hand():
    prices = np.tile([10.0, 11.0], 20)  # changes +1, -1, ...: 38 pairs, product -1, means of -+1 that cancel
    assert roll_spread(prices) == pytest.approx(2.0)


@pytest.mark.parametrize("level, spread", [(100.0, 0.5), (1e5, 0.01)])
def test_a_known_spread_is_recovered(level, spread):
    rng = np.random.default_rng(6)
    value = level + np.cumsum(rng.standard_normal(50_000)) * spread / 5
    prices = value + spread / 2 * rng.choice([-1, 1], value.size)
    change = np.diff(prices)
    assert roll_spread(prices) == pytest.approx(spread, rel=0.03)
    covariance = np.mean(change[1:] * change[:-1]) - change[1:].mean() * change[:-1].mean()
    assert roll_spread(prices) == pytest.approx(2 * np.sqrt(-covariance), rel=1e-8)


def test_a_trending_tape_has_no_roll_spread():
    steps = np.repeat(np.random.default_rng(7).standard_normal(40), 5)
    assert math.isnan(roll_spread(100 + np.cumsum(steps) * 0.1))


# --- realised volatility ------------------------------------------------------------------------


def test_realised_volatility_by_hand():
    ts, price = np.arange(0, 13) * S + 1, np.exp(0.01 * (np.arange(13) % 2))
    # Sampled at 1 s, 2 s, ..., 12 s: eleven returns of +-0.01.
    assert realised_volatility(ts, price, S) == pytest.approx(0.01 * np.sqrt(YEAR_S))


def test_a_known_volatility_is_recovered_at_every_width():
    rng = np.random.default_rng(8)
    ts = np.arange(400_000) * 100_000
    price = 100 * np.exp(np.cumsum(rng.standard_normal(ts.size)) * 1e-5)
    found = signature_plot(ts, price, [0.1, 1, 5, 30])
    assert found.volatility == pytest.approx(1e-5 * np.sqrt(10 * YEAR_S), rel=0.05)
    assert found.n_obs.tolist() == [399_998, 39_998, 7_998, 1_332]


def test_bounce_lifts_the_signature_at_short_widths_as_it_should():
    rng = np.random.default_rng(9)
    ts = np.arange(400_000) * 100_000
    value = np.cumsum(rng.standard_normal(ts.size)) * 1e-5
    half = 2e-5
    found = signature_plot(ts, np.exp(value + half * rng.choice([-1, 1], ts.size)), [0.1, 1, 10])
    variance = 1e-9 * found.width_s + 2 * half**2  # of a return: of the value, and of two bounces
    assert found.volatility == pytest.approx(np.sqrt(variance / found.width_s * YEAR_S), rel=0.03)


def test_few_returns_are_no_volatility():
    with pytest.raises(TooFewObservations):
        realised_volatility(TEN, np.ones(10), S)
    assert np.isnan(signature_plot([], [], [1.0]).volatility).all()


# --- what is no tape ----------------------------------------------------------------------------

BAD = [NAN, 0.0, -1.0, math.inf]


@pytest.mark.parametrize("value", BAD)
def test_a_price_or_quantity_that_is_none_is_refused_with_its_place(value):
    column = np.append(np.arange(1.0, 40), value)
    ones, flag, ts = np.ones(40), np.zeros(40, int), np.arange(40)
    calls = [
        lambda: tick_rule(column),
        lambda: lee_ready(column, ones, ones),
        lambda: side_accuracy(flag, flag, column, ones),
        lambda: side_accuracy(flag, flag, ones, column),
        lambda: taker_flow(column, ones, flag),
        lambda: taker_flow(ones, column, flag),
        lambda: order_flow_imbalance(column, flag),
        lambda: cumulative_delta(column, flag),
        lambda: trade_sizes(column),
        lambda: tick_velocity(ts, column, ones, 50),
        lambda: tick_velocity(ts, ones, column, 50),
        lambda: vpin(column, flag, 1.0, 2),
        lambda: amihud(ones, column),
        lambda: roll_spread(column),
        lambda: realised_volatility(ts, column, 1),
        lambda: tape_cells(Trades.of("A", ts, ts, column, ones, flag)),
    ]
    for call in calls:
        with pytest.raises(InputError, match="at index 39"):
            call()


def test_nan_returns_and_flows_are_refused():
    bad = np.append(np.arange(20.0), NAN)
    with pytest.raises(InputError):
        amihud(bad, np.ones(21))
    for given_ in ((bad, np.arange(21.0)), (np.arange(21.0), bad)):
        with pytest.raises(InputError):
            kyle_lambda(*given_)


def test_lengths_flags_and_times_must_fit():
    for call in (
        lambda: order_flow_imbalance([1.0, 2], [0]),
        lambda: order_flow_imbalance([1.0], [2]),
        lambda: order_flow_imbalance([1.0], [NAN]),
        lambda: tick_velocity([2, 1], [1.0, 1], [1.0, 1], 5),
        lambda: tick_velocity([1.5], [1.0], [1.0], 5),
        lambda: tick_velocity([1], [1.0], [1.0], 5, window_s=0),
        lambda: tick_rule([[1.0]]),
        lambda: side_accuracy([2], [0], [1.0], [1.0]),
        lambda: side_accuracy([NAN], [0], [1.0], [1.0]),
        lambda: signature_plot([1], [1.0], [0.0]),
    ):
        with pytest.raises(InputError):
            call()


def test_too_little_or_nothing_that_varies_is_an_error():
    for call in (
        lambda: vpin([], [], 1.0),
        lambda: amihud([0.1] * 9, [1.0] * 9),
        lambda: roll_spread([]),
        lambda: kyle_lambda([], []),
    ):
        with pytest.raises(TooFewObservations):
            call()
    for call in (lambda: kyle_lambda(np.ones(20), np.arange(20)), lambda: roll_spread(np.ones(50))):
        with pytest.raises(DegenerateSeries):
            call()


def test_arguments_stay_as_they_are():
    columns = [column.copy() for column in (PRICE, QTY, SOLD)]
    taker_flow(*columns)
    side_accuracy(tick_rule(columns[0]), columns[2], columns[1], columns[0])
    vpin(columns[1], columns[2], 2.0, 2)
    trade_sizes(np.tile(columns[1], 4))
    assert all((one == two).all() for one, two in zip((PRICE, QTY, SOLD), columns, strict=True))


# --- recordings ---------------------------------------------------------------------------------

RECORDINGS = ["usdm_btcusdt_20240808.gz", "usdm_ethusdt_20240808.gz", "spot_btcusdt_20240808.gz"]
RECORDINGS += ["spot_ethusdt_20240808.gz", "usdm_btcusdt_20230404.dat.gz"]


@cache
def frames(name: str) -> list[bytes]:
    """The frames of a recording, without their times of receipt."""
    lines = gzip.decompress(market(f"ws/{name}").read_bytes()).splitlines()
    return [line[line.index(b"{") :] for line in lines if b"{" in line]


@cache
def tape(name: str) -> Trades:
    return decode(frames(name)).trades[0]


@pytest.mark.parametrize(
    "name, by_count, by_volume, where_moved",
    [
        ("usdm_btcusdt_20240808.gz", 0.969, 0.973, 0.976),
        ("usdm_ethusdt_20240808.gz", 0.941, 0.928, 0.965),
        ("spot_btcusdt_20240808.gz", 0.969, 0.970, 0.982),
        ("spot_ethusdt_20240808.gz", 0.968, 0.978, 0.976),
    ],
)
def test_the_tick_rule_on_recorded_trades(name, by_count, by_volume, where_moved):
    trades = tape(name)
    found = side_accuracy(tick_rule(trades.price), trades.buyer_is_maker, trades.qty, trades.price)
    assert (found.by_count, found.by_volume, found.where_moved) == pytest.approx(
        (by_count, by_volume, where_moved), abs=0.0005
    )


@pytest.mark.parametrize("name, by_count", [("usdm_btcusdt_20240808.gz", 0.998), ("usdm_ethusdt_20240808.gz", 0.9996)])
def test_quotes_tell_sides_better(name, by_count):
    quotes = [json.loads(frame)["data"] for frame in frames(name) if b'"bookTicker"' in frame]
    quotes.sort(key=lambda quote: (quote["T"], quote["u"]))
    columns = ([q["T"] * 1_000 for q in quotes], [float(q["b"]) for q in quotes], [float(q["a"]) for q in quotes])
    trades = tape(name)
    sides = lee_ready(trades.price, *quotes_before(trades.ts_us, *columns))
    assert side_accuracy(sides, trades.buyer_is_maker, trades.qty, trades.price).by_count == pytest.approx(
        by_count, abs=0.0005
    )


@pytest.mark.parametrize("name", RECORDINGS)
def test_flow_is_the_sum_of_the_frames(name):
    events = [json.loads(frame)["data"] for frame in frames(name) if b'"e":"trade"' in frame]
    buys = math.fsum(float(event["q"]) for event in events if not event["m"])
    sells = math.fsum(float(event["q"]) for event in events if event["m"])
    trades = tape(name)
    found = taker_flow(trades.price, trades.qty, trades.buyer_is_maker)
    assert (found.buy_qty, found.sell_qty, found.trades) == pytest.approx((buys, sells, len(events)), rel=1e-12)
    expected = (buys - sells) / (buys + sells)
    assert order_flow_imbalance(trades.qty, trades.buyer_is_maker) == pytest.approx(expected, rel=1e-9)


def stored() -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Quantity and side of the recorded tables of trades that have them."""
    found = {}
    for name in ("usdm_trxusdt", "spot_trxusdt"):
        text = gzip.decompress(market(f"trades/{name}_trade_stream_20250304.csv.gz").read_bytes()).decode()
        rows = [row for row in csv.DictReader(io.StringIO(text)) if float(row["Quantity"]) > 0]
        sold = [row["IsBuyerMarketMaker"].strip().lower() in ("true", "1") for row in rows]
        found[name] = np.array([float(row["Quantity"]) for row in rows]), np.array(sold)
    return found


@pytest.mark.parametrize("share", [0.000513, 0.00513, 0.0191])
def test_vpin_stays_in_its_bounds_on_all_recordings(share):
    columns = {name: (tape(name).qty, tape(name).buyer_is_maker) for name in RECORDINGS} | stored()
    for name, (qty, sold) in columns.items():
        assert 0 < np.mean(sold) < 1, name
        volume = share * qty.sum()
        found = vpin(qty, sold, volume)
        assert 0 < found.value <= 1, name
        assert found.value == pytest.approx(plain_vpin(qty, sold, volume, 50), rel=1e-6), name
