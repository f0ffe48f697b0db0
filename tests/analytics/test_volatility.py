"""Volatility: hand values, simulated truth, and what few trades hide."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.volatility import (
    METHODS,
    bar_variance,
    bars_a_year,
    realised,
    rolling_volatility,
    share_seen,
    volatilities,
    volatility,
)
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations

RANGES = ("parkinson", "garman_klass", "rogers_satchell")


def walk_bars(n: int, steps: int, seed: int = 1, sigma: float = 0.01, drift: float = 0.0) -> pd.DataFrame:
    """Bars of a geometric random walk seen at `steps` trades a bar; the first opens one step after its start."""
    moves = sigma / np.sqrt(steps) * np.random.default_rng(seed).standard_normal(n * steps) + drift / steps
    price = 1e5 * np.exp(np.cumsum(moves)).reshape(n, steps)
    ends = {"open": price[:, 0], "high": price.max(axis=1), "low": price.min(axis=1), "close": price[:, -1]}
    return pd.DataFrame(ends | {"volume": 1.0, "trades": steps})


def test_each_formula_is_what_a_hand_computes():
    bars = pd.DataFrame({"open": [100.0, 102.0], "high": [104.0, 110.0], "low": [99.0, 101.0], "close": [103.0, 105.0]})
    o, h, l, c = (np.log(bars.iloc[1][name]) for name in ("open", "high", "low", "close"))  # noqa: E741
    expected = {
        "close": np.log(105 / 103) ** 2,
        "parkinson": np.log(110 / 101) ** 2 / (4 * np.log(2)),
        "garman_klass": 0.5 * (h - l) ** 2 - (2 * np.log(2) - 1) * (c - o) ** 2,
        "rogers_satchell": (h - c) * (h - o) + (l - c) * (l - o),
    }
    for method, value in expected.items():
        assert bar_variance(bars, method)[1] == pytest.approx(value, rel=1e-12)
    assert np.isnan(bar_variance(bars, "close")[0])


def test_yang_zhang_is_its_published_sum():
    bars = walk_bars(60, 20).drop(columns="trades")
    o, h, l, c = (np.log(bars[name].to_numpy()) for name in ("open", "high", "low", "close"))  # noqa: E741
    gap, inside = o[1:] - c[:-1], (c - o)[1:]
    rs = ((h - c) * (h - o) + (l - c) * (l - o))[1:].mean()
    k = 0.34 / (1.34 + (59 + 1) / (59 - 1))
    by_hand = gap.var(ddof=1) + k * inside.var(ddof=1) + (1 - k) * rs
    assert volatility(bars, "yang_zhang", timeframe_s=60).per_bar ** 2 == pytest.approx(by_hand, rel=1e-9)


def test_close_is_the_standard_deviation_of_log_returns():
    bars = walk_bars(100, 5)
    returns = np.diff(np.log(bars["close"]))
    found = volatility(bars, "close", timeframe_s=300)
    assert found.per_bar == pytest.approx(returns.std(ddof=1), rel=1e-10)
    assert found.annual == pytest.approx(returns.std(ddof=1) * np.sqrt(365 * 24 * 12), rel=1e-10)
    assert (found.n_obs, found.method, found.seen) == (99, "close", 1.0)


def test_a_year_has_365_days():
    assert (bars_a_year(60), bars_a_year(86_400)) == (525_600, 365)
    for bad in (0, -1, np.nan, np.inf):
        with pytest.raises(InputError, match="timeframe_s"):
            bars_a_year(bad)


@pytest.mark.parametrize("steps", [2, 3, 5, 8, 30, 300])
def test_variances_are_unbiased_at_any_number_of_trades(steps):
    bars = walk_bars(max(600_000 // steps, 10_000), steps, seed=steps)
    every = volatilities(bars, timeframe_s=60)
    assert [found.method for found in every] == [m for m in METHODS if (m, steps) != ("rogers_satchell", 2)]
    for found in every:
        relative = np.log(found.high / found.low) / 2  # 1.96 standard errors of the root, so 0.98 of the square
        assert abs((found.per_bar / 0.01) ** 2 - 1) < 3.5 * relative + 0.01


@pytest.mark.parametrize("method", RANGES)
def test_ranges_of_few_trades_are_too_small_where_their_number_is_not_known(method):
    few, many = (walk_bars(4_000, steps, seed=2) for steps in (10, 400))
    blind = [volatility(bars.drop(columns="trades"), method, timeframe_s=60) for bars in (few, many)]
    assert (blind[0].per_bar / 0.01) ** 2 < 0.65
    assert 0.87 < (blind[1].per_bar / 0.01) ** 2 < 0.96
    assert blind[0].seen == blind[1].seen == 1
    assert volatility(few, method, timeframe_s=60).seen < 0.6


@given(st.integers(2, 10**7), st.sampled_from(RANGES))
def test_more_trades_show_more(trades, method):
    fewer, more = share_seen(np.array([trades, trades + 1]), method)
    assert 0 <= fewer < more < 1


def test_one_trade_shows_no_range():
    assert (share_seen(np.array([0, 1]), "parkinson") == 0).all()
    assert (share_seen(np.array([0, 1]), "close") == 1).all()


def test_drift_misleads_parkinson_and_not_rogers_satchell():
    bars = walk_bars(3_000, 200, drift=0.02)
    found = {method: (volatility(bars, method, timeframe_s=60).per_bar / 0.01) ** 2 for method in METHODS}
    assert found["parkinson"] > 1.5
    assert all(found[method] == pytest.approx(1, abs=0.08) for method in ("close", "rogers_satchell", "yang_zhang"))


def test_ranges_are_more_precise_than_closes():
    widths = {found.method: found.high / found.low for found in volatilities(walk_bars(300, 200), timeframe_s=60)}
    assert widths["close"] > 1.1 > widths["garman_klass"] > 1
    assert widths["parkinson"] < widths["close"] and set(widths) == set(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_intervals_cover(method):
    found = [volatility(walk_bars(61, 30, seed=seed), method, timeframe_s=60) for seed in range(300)]
    assert np.mean([one.low <= 0.01 <= one.high for one in found]) > 0.91


@pytest.mark.parametrize("method", METHODS)
def test_bars_without_range_count_and_bars_without_any_move_are_refused(method):
    bars = walk_bars(80, 30).drop(columns="trades")
    bars.loc[10:19, ["open", "high", "low", "close"]] = bars.loc[9, "close"]
    found = volatility(bars, method, timeframe_s=60)
    assert found.still == pytest.approx(10 / 80) and found.per_bar > 0
    flat = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close"), np.full(50, 7.0)))
    for ask in (lambda: volatility(flat, method, timeframe_s=60), lambda: volatilities(flat, timeframe_s=60)):
        with pytest.raises(DegenerateSeries, match="no bar moved"):
            ask()
    assert (rolling_volatility(flat, 5, method)[5:] == 0).all()


@pytest.mark.parametrize("method", RANGES)
def test_bars_of_one_trade_say_nothing_by_their_range(method):
    bars = walk_bars(60, 1)
    with pytest.raises(DegenerateSeries, match="no bar moved"):
        volatility(bars, method, timeframe_s=60)
    assert np.isnan(rolling_volatility(bars, 10, method)).all()
    assert volatility(bars, "yang_zhang", timeframe_s=60).per_bar == pytest.approx(0.01, rel=0.3)


@pytest.mark.parametrize("method", METHODS)
def test_the_last_window_is_the_volatility_of_its_bars(method):
    bars = walk_bars(200, 15)
    path = rolling_volatility(bars, 40, method)
    first = 40 if method in ("close", "yang_zhang") else 39
    assert np.isnan(path[:first]).all() and np.isfinite(path[first:]).all()
    newest = bars.iloc[-41:] if first == 40 else bars.iloc[-40:]
    assert path[-1] == pytest.approx(volatility(newest, method, timeframe_s=60).per_bar, rel=1e-9)


@given(st.integers(1, 119), st.sampled_from(METHODS), st.integers(3, 40))
def test_later_bars_change_no_earlier_value(cut, method, window):
    bars = walk_bars(120, 8)
    whole, part = rolling_volatility(bars, window, method), rolling_volatility(bars.iloc[:-cut], window, method)
    np.testing.assert_array_equal(whole[:-cut], part)
    if method != "yang_zhang":
        np.testing.assert_array_equal(bar_variance(bars, method)[:-cut], bar_variance(bars.iloc[:-cut], method))


@given(st.floats(1e-3, 1e6), st.sampled_from(METHODS))
def test_the_unit_of_the_price_does_not_matter(unit, method):
    bars = walk_bars(60, 12)
    scaled = bars.copy()
    scaled[["open", "high", "low", "close"]] *= unit
    before, after = (volatility(one, method, timeframe_s=60).per_bar for one in (bars, scaled))
    assert after == pytest.approx(before, rel=1e-7)


def test_digits_survive_a_high_price_level_and_small_moves():
    bars = walk_bars(50, 20, sigma=1e-7)
    o, h, l, c = (np.log(bars[name].to_numpy().astype(np.longdouble)) for name in ("open", "high", "low", "close"))  # noqa: E741
    exact = ((h - c) * (h - o) + (l - c) * (l - o)).astype(float)
    np.testing.assert_allclose(bar_variance(bars, "rogers_satchell"), exact, rtol=1e-6, atol=1e-22)


def test_arguments_are_left_alone():
    bars = walk_bars(60, 6)
    kept = bars.copy()
    volatilities(bars, timeframe_s=60)
    rolling_volatility(bars, 10)
    pd.testing.assert_frame_equal(bars, kept)


def test_realised_is_the_sum_of_squares_and_covers():
    path = np.cumsum(np.append(0.0, 0.01 / np.sqrt(50) * np.random.default_rng(3).standard_normal(50 * 200)))
    found = realised(np.exp(path), 50, timeframe_s=3_600)
    assert found.volatility.per_bar**2 == pytest.approx(np.sum(np.diff(path) ** 2) / 200, rel=1e-10)
    assert found.volatility.low < 0.01 < found.volatility.high
    assert found.volatility.annual == pytest.approx(found.volatility.per_bar * np.sqrt(365 * 24), rel=1e-12)
    assert found.noise_ratio == pytest.approx(1, abs=0.1)
    longer = np.append(np.exp(path[0] - 0.5), np.exp(path))
    assert realised(longer, 50, timeframe_s=3_600) == found  # an incomplete bar at the beginning


def test_bounce_inflates_realised_volatility_and_two_scales_take_it_away():
    rng = np.random.default_rng(5)
    path = np.cumsum(np.append(0.0, 0.01 / np.sqrt(60) * rng.standard_normal(60 * 400)))
    found = realised(np.exp(path + 0.002 * rng.choice((-1.0, 1.0), path.size)), 60, timeframe_s=60)
    assert found.volatility.per_bar > 0.02 and found.noise_ratio > 3
    assert found.two_scales == pytest.approx(0.01, rel=0.05)


def test_prices_that_only_bounce_leave_nothing_for_two_scales():
    bounce = 100 + 0.01 * (np.arange(50 * 40 + 1) % 2)
    assert np.isnan(realised(bounce, 50, timeframe_s=60).two_scales)


def test_what_is_no_bar_is_named():
    bars = walk_bars(60, 6)
    with pytest.raises(InputError, match="had no high"):
        volatility(bars.drop(columns="high"), timeframe_s=60)
    for column, value in (("high", 1.0), ("low", 1e9), ("low", 0.0), ("close", np.nan), ("open", -5.0)):
        broken = bars.copy()
        broken.loc[7, column] = value
        with pytest.raises(InputError, match="bar 7"):
            volatility(broken, timeframe_s=60)
    with pytest.raises(InputError, match="method must be one of"):
        volatility(bars, "plain", timeframe_s=60)
    with pytest.raises(InputError, match="method must be one of"):
        rolling_volatility(bars, 5, "plain")
    with pytest.raises(InputError, match="method must be one of"):
        bar_variance(bars, "yang_zhang")


def test_too_few_bars_are_said():
    with pytest.raises(TooFewObservations, match="needs 31 bars, has 30"):
        volatility(walk_bars(30, 5), timeframe_s=60)
    with pytest.raises(TooFewObservations, match="needs 30 bars, has 29"):
        realised(np.exp(np.arange(10.0 * 29 + 1) / 1e4), 10, timeframe_s=60)
    with pytest.raises(InputError, match="steps must be >= 5"):
        realised(np.ones(100), 4, timeframe_s=60)


def test_methods_agree_on_real_hours():
    bars = pd.read_csv(market("klines/usdm_1h_202510/BTCUSDT_1h.csv"))
    found = {one.method: one for one in volatilities(bars, timeframe_s=3_600)}
    assert all(0.2 < one.annual < 0.8 for one in found.values())
    # The crash of 10 October is one long wick: ranges hold it, closes hardly do.
    assert found["close"].per_bar < found["rogers_satchell"].per_bar
    assert max(one.low for one in found.values()) < min(one.high for one in found.values())
