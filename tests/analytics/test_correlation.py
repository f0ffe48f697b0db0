"""Correlations against pandas, numpy, their definitions, and simulated truths."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.correlation.distance import distance_correlation
from analytics.correlation.exponential import Fading, ewm_correlation
from analytics.correlation.intervals import block_starts, interval
from analytics.correlation.lead_lag import lead_lag
from analytics.correlation.matrix import (
    alike,
    correlation_by_timeframe,
    correlation_matrix,
    rolling_correlations,
    wide_closes,
)
from analytics.correlation.pearson import cross_correlation, pearson
from analytics.correlation.surface import correlation_surface
from analytics.correlation.widths import bar_returns, correlation_by_width
from analytics.microstructure import hayashi_yoshida
from analytics.resampling import aggregate, bars
from analytics.statistics import rolling_correlation
from data.trades import Trades
from tests.analytics.test_microstructure import naive, recorded
from tests.calibrate.correlation import trades
from utils.errors import DegenerateSeries, InputError, TimeframeError, TooFewObservations

MS, S = 1_000, 1_000_000


def legs(n: int, rho: float = 0.6, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two related series of heavy-tailed returns."""
    one, two = np.random.default_rng(seed).standard_t(4, (2, n)) * 1e-4
    return one, rho * one + np.sqrt(1 - rho**2) * two


Y, X = legs(400)


# --- Pearson ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [25, 99, 100, 2_000])
def test_pearson_equals_numpy_and_its_interval_holds_it(n):
    y, x = legs(n)
    found = pearson(y, x)
    assert found.correlation == pytest.approx(np.corrcoef(y, x)[0, 1], abs=1e-13)
    assert found.low < found.correlation < found.high
    assert found.n_obs == n


def test_the_interval_is_the_jackknife_over_blocks():
    starts = block_starts(Y.size)
    without = [
        np.corrcoef(np.delete(Y, block), np.delete(X, block))[0, 1] for block in np.split(np.arange(400), starts[1:])
    ]
    assert starts.size == len(without) == 20
    whole = np.arctanh(np.corrcoef(Y, X)[0, 1])
    stderr = np.sqrt(19 / 20 * np.sum((np.arctanh(without) - whole) ** 2))
    ends = np.tanh(whole + np.array([-1, 1]) * 2.093024054408263 * stderr)  # t(19), 97.5 %, from a printed table
    found = pearson(Y, X)
    assert (found.low, found.high) == pytest.approx(tuple(ends), abs=1e-12)


def test_of_normal_returns_the_interval_is_as_wide_as_fishers():
    rng = np.random.default_rng(4)
    ratios = []
    for _ in range(100):
        found = pearson(*rng.standard_normal((2, 1_000)))
        ratios.append((np.arctanh(found.high) - np.arctanh(found.low)) / (2 * 1.96 / np.sqrt(997)))
    assert np.mean(ratios) == pytest.approx(2.093 / 1.96, rel=0.05)


def test_no_interval_without_correlations_inside_one():
    assert np.isnan(interval(0.5, np.array([0.4, 1.0, 0.6]))).all()
    assert np.isnan(interval(0.5, np.array([0.4, np.nan, 0.6]))).all()
    assert np.isnan(interval(1.2, np.array([0.4, 0.5, 0.6]))).all()


@given(st.floats(1e-6, 1e6), st.floats(-1e6, -1e-6), st.floats(-10, 10))
def test_pearson_ignores_units_and_turns_with_the_sign(one, two, shift):
    found, plain = pearson(one * Y, two * X + shift * abs(two) * 1e-4), pearson(Y, X)
    ends = (-plain.correlation, -plain.high, -plain.low)
    assert (found.correlation, found.low, found.high) == pytest.approx(ends, abs=1e-9)


def test_pearson_keeps_its_digits_at_a_high_level():
    found = pearson(1e5 + Y, 1e5 + X)
    assert found.correlation == pytest.approx(np.corrcoef((1e5 + Y) - 1e5, (1e5 + X) - 1e5)[0, 1], abs=1e-10)


@pytest.mark.parametrize(
    "y, x, error",
    [
        (Y[:24], X[:24], TooFewObservations),
        (Y, X[:-1], InputError),
        (np.where(np.arange(400) == 3, np.nan, Y), X, InputError),
        (Y * 0 + 2, X, DegenerateSeries),
        (Y, 3 * Y + 1, DegenerateSeries),
        (Y, -Y, DegenerateSeries),
    ],
)
def test_pearson_refuses_what_has_no_correlation(y, x, error):
    with pytest.raises(error):
        pearson(y, x)


# --- over lags of bars --------------------------------------------------------------------------------


def test_cross_correlation_finds_the_lag_and_equals_the_sum():
    rng = np.random.default_rng(2)
    x = rng.standard_normal(500)
    y = np.roll(x, 3) + 0.1 * rng.standard_normal(500)
    found = cross_correlation(y, x, 10)
    assert found.lags[np.argmax(found.correlation)] == 3
    u, v = y - y.mean(), x - x.mean()
    for lag, value in zip(found.lags, found.correlation, strict=True):
        pairs = [u[t] * v[t - lag] for t in range(500) if 0 <= t - lag < 500]
        assert value == pytest.approx(sum(pairs) / (500 * y.std() * x.std()), abs=1e-12)
    mirrored = cross_correlation(x, y, 10)
    np.testing.assert_allclose(mirrored.correlation, found.correlation[::-1], atol=1e-12)


def test_unrelated_returns_leave_the_band_at_one_lag_in_twenty():
    rng = np.random.default_rng(5)
    outside = []
    for _ in range(200):
        found = cross_correlation(*rng.standard_t(4, (2, 300)), 10)
        outside.append(np.abs(found.correlation) > found.band)
    assert 0.04 <= np.mean(outside) <= 0.06


def test_cross_correlation_wants_lags_and_bars():
    with pytest.raises(InputError):
        cross_correlation(Y, X, 0)
    with pytest.raises(TooFewObservations):
        cross_correlation(Y[:40], X[:40], 20)


# --- exponentially weighted ---------------------------------------------------------------------------


@pytest.mark.parametrize("half_life", [1.0, 10.0, 250.0])
def test_the_fading_correlation_equals_pandas(half_life):
    expected = pd.Series(Y).ewm(halflife=half_life).corr(pd.Series(X)).to_numpy()
    path = ewm_correlation(Y, X, half_life).path
    assert np.isnan(path[:9]).all()
    np.testing.assert_allclose(path[9:], expected[9:], atol=1e-9)


@given(st.integers(20, 399), st.floats(0.5, 100))
def test_later_bars_leave_the_fading_path_as_it_is(n, half_life):
    part, whole = ewm_correlation(Y[:n], X[:n], half_life), ewm_correlation(Y, X, half_life)
    np.testing.assert_array_equal(part.path, whole.path[:n])
    assert part.last.correlation == pytest.approx(part.path[-1], abs=1e-14)
    forming = part.last.then(float(Y[n]), float(X[n]))
    assert forming.correlation == pytest.approx(whole.path[n], abs=1e-12)
    assert part.last.n_obs == n  # the state of closed bars stays


def test_the_fading_correlation_is_nan_until_a_leg_moves():
    y, x = np.r_[np.full(50, 1e-3), Y[:50]], X[:100]
    found = ewm_correlation(y, x, 20)
    assert np.isnan(found.path[:50]).all()
    assert np.isfinite(found.path[50:]).all()
    still = Fading(0.9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0)
    for _ in range(30):
        still = still.then(1e5, 2.0)
    assert np.isnan(still.correlation)
    assert np.isnan(replace(found.last, n_obs=9).correlation)


def test_the_fading_correlation_keeps_its_digits_at_a_high_level():
    shifted = ewm_correlation(1e5 + Y, 1e5 + X, 30).path
    exact = ewm_correlation((1e5 + Y) - 1e5, (1e5 + X) - 1e5, 30).path
    np.testing.assert_allclose(shifted, exact, atol=1e-5)
    pandas = pd.Series(1e5 + Y).ewm(halflife=30).corr(pd.Series(1e5 + X)).to_numpy()
    assert np.nanmax(np.abs(shifted - exact)[9:]) <= np.nanmax(np.abs(pandas - exact)[9:])


@pytest.mark.parametrize("half_life", [0, -1, np.inf, np.nan])
def test_a_half_life_is_a_positive_number(half_life):
    with pytest.raises(InputError):
        ewm_correlation(Y, X, half_life)


# --- distance correlation -----------------------------------------------------------------------------


def by_definition(y: np.ndarray, x: np.ndarray) -> tuple[float, float]:
    """Distance correlation and its bias-corrected square, from the two n x n matrices."""
    n = y.size
    plain, corrected = [], []
    for values in (y, x):
        distance = np.abs(values[:, None] - values)
        rows = distance.mean(axis=0)
        plain.append(distance - rows - rows[:, None] + distance.mean())
        rows = distance.sum(axis=0) / (n - 2)
        matrix = distance - rows - rows[:, None] + distance.sum() / ((n - 1) * (n - 2))
        np.fill_diagonal(matrix, 0)
        corrected.append(matrix)

    def ratio(a: np.ndarray, b: np.ndarray) -> float:
        return float(np.sum(a * b) / np.sqrt(np.sum(a * a) * np.sum(b * b)))

    return np.sqrt(max(ratio(*plain), 0.0)), ratio(*corrected)


@settings(max_examples=40)
@given(st.integers(20, 200), st.integers(0, 10_000), st.sampled_from(["normal", "ties", "square", "high"]))
def test_distance_correlation_equals_its_definition(n, seed, kind):
    y, x = legs(n, 0.3, seed)
    if kind == "ties":
        y, x = np.round(y * 1e4), np.round(x * 2e4)
    if kind == "square":
        y = x * x
    if kind == "high":
        y, x = 1e5 + 0.01 * np.round(1e4 * y), 50 + x
    found = distance_correlation(y, x)
    assert (found.correlation, found.corrected) == pytest.approx(by_definition(y, x), abs=1e-10)
    assert 0 <= found.pvalue <= 1


def test_distance_correlation_of_many_bars_equals_its_definition():
    y, x = legs(1_500, 0.2)
    found = distance_correlation(y, x)
    assert (found.correlation, found.corrected) == pytest.approx(by_definition(y, x), abs=1e-10)


def test_distance_correlation_sees_what_correlation_does_not():
    x = np.random.default_rng(6).standard_normal(300)
    y = np.abs(x)
    assert pearson(y, x).low < 0 < pearson(y, x).high
    assert distance_correlation(y, x).pvalue < 1e-6
    assert distance_correlation(x, x).correlation == pytest.approx(1, abs=1e-12)
    assert distance_correlation(x, -3 * x + 1).corrected == pytest.approx(1, abs=1e-12)


def test_the_pvalue_is_that_of_permutations():
    y, x = legs(150, 0.25, seed=5)
    rng = np.random.default_rng(7)
    found = distance_correlation(y, x)
    drawn = np.array([distance_correlation(rng.permutation(y), x).corrected for _ in range(3_000)])
    expected = float(np.mean(drawn >= found.corrected))
    assert 0.005 < expected < 0.5
    assert found.pvalue == pytest.approx(expected, abs=0.2 * expected + 0.003)


@given(st.floats(1e-5, 1e5), st.floats(-1e5, -1e-5))
def test_distance_correlation_ignores_units_and_order(one, two):
    order = np.random.default_rng(0).permutation(100)
    plain = distance_correlation(Y[:100], X[:100])
    found = distance_correlation(X[:100][order] * two, Y[:100][order] * one)
    numbers = (plain.correlation, plain.corrected, plain.pvalue)
    assert (found.correlation, found.corrected, found.pvalue) == pytest.approx(numbers, rel=1e-7)


def test_distance_correlation_refuses_series_without_distances():
    with pytest.raises(TooFewObservations):
        distance_correlation(Y[:19], X[:19])
    with pytest.raises(DegenerateSeries):
        distance_correlation(np.ones(50), X[:50])
    with pytest.raises(DegenerateSeries):
        distance_correlation(np.eye(50)[0], X[:50])


# --- by width -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("venue", ["usdm", "spot"])
def test_recorded_legs_agree_once_bars_are_wide_and_ticks_are_thinned(venue):
    rows = correlation_by_width(*recorded(venue))
    by = {(row.method, row.width_us): row for row in rows}
    assert len(by) == 11
    assert by["bars", 100 * MS].correlation < by["bars", S].correlation
    assert by["hayashi-yoshida", 0].correlation < 0.15
    for thin in (250 * MS, 500 * MS):
        assert 0.63 <= by["hayashi-yoshida", thin].correlation <= 0.72
        assert by["bars", S].low < by["hayashi-yoshida", thin].correlation < by["bars", S].high
    for row in rows:
        if row.reason:
            assert row.width_us >= 30 * S and row.reason == f"needs 25 observations, has {row.n_obs}"
            assert np.isnan([row.correlation, row.low, row.high]).all()
        else:
            assert row.low < row.correlation < row.high and row.n_obs >= 25


def test_rows_by_width_are_those_of_the_house_bars():
    """Closes of `bars` on the same trades, wherever both legs have one."""
    tx, px, ty, py = trades(np.random.default_rng(8), 300, (9.0, 6.0), 0.7, 0.0)
    closes = [
        bars(Trades.of("A", np.arange(ts.size), ts, price, np.ones(ts.size), np.zeros(ts.size)), "5s")["close"]
        for ts, price in ((tx, px), (ty, py))
    ]
    both = np.log(pd.concat(closes, axis=1, join="inner").to_numpy()[:-1])  # the last bar still forms
    y, x = np.diff(both[:, 1]), np.diff(both[:, 0])
    row = correlation_by_width(tx, px, ty, py, widths_us=[5 * S], thinned_us=[])[0]
    assert row.n_obs == y.size
    assert row.correlation == pytest.approx(pearson(y, x).correlation, abs=1e-12)


def test_a_bar_ends_at_the_last_trade_before_its_end():
    ts, price = np.array([0, 9, 10, 15]), np.exp([0.0, 1.0, 3.0, 7.0])
    assert bar_returns(ts, price, np.array([10, 11, 16])) == pytest.approx([2.0, 4.0])


def test_too_few_returns_are_told_with_their_number():
    legs_ = trades(np.random.default_rng(1), 40, (2.0, 0.2), 0.5, 0.0)
    rows = correlation_by_width(*legs_, widths_us=[10 * S, 3_600 * S])
    assert all(np.isnan(row.correlation) and row.reason for row in rows if row.method == "bars")
    assert rows[0].reason == f"needs 25 observations, has {rows[0].n_obs}" and rows[0].n_obs > 0
    assert (rows[1].reason, rows[1].n_obs) == ("needs 2 bars, has 0", 0)
    ticks = rows[2]
    assert ticks.reason == f"needs 25 returns, has {ticks.n_obs}"


def test_legs_that_never_trade_at_one_time_have_no_rows():
    tx, px, ty, py = trades(np.random.default_rng(1), 40, (2.0, 2.0), 0.5, 0.0)
    with pytest.raises(TooFewObservations):
        correlation_by_width(tx, px, ty + 100 * S, py)
    with pytest.raises(InputError):
        correlation_by_width(tx, px, ty, py, widths_us=[0])


# --- lead and lag -------------------------------------------------------------------------------------


@pytest.mark.parametrize("thin_us", [0, 20 * MS])
def test_the_contrast_is_hayashi_yoshida_of_moved_times(thin_us):
    tx, px, ty, py = trades(np.random.default_rng(2), 100, (4.0, 3.0), 0.8, 0.2)
    found = lead_lag(tx, px, ty, py, max_lag_us=S, step_us=50 * MS, thin_us=thin_us)
    if thin_us:
        keep = [np.append(np.diff(ts // thin_us) > 0, True) for ts in (tx, ty)]
        tx, px, ty, py = tx[keep[0]], px[keep[0]], ty[keep[1]], py[keep[1]]
    for lag, value in zip(found.lags_us, found.contrast, strict=True):
        cov, vx, vy, n_x, n_y = naive(tx, px, ty - lag, py)
        assert value == pytest.approx(cov / np.sqrt(vx * vy), abs=1e-10)
    assert (found.n_x, found.n_y) == (n_x, n_y)
    assert found.correlation == np.max(found.contrast)
    assert found.contrast[20] == pytest.approx(hayashi_yoshida(tx, px, ty, py).correlation, abs=1e-12)


@pytest.mark.parametrize("lag_s", [0.0, 0.2, -0.2, 1.0, -1.0])
def test_a_known_lag_is_found(lag_s):
    found = lead_lag(*trades(np.random.default_rng(9), 400, (10.0, 5.0), 0.8, lag_s))
    assert found.low_us <= lag_s * S <= found.high_us
    assert found.lag_us == pytest.approx(lag_s * S, abs=50 * MS)
    assert found.leader == ("x" if lag_s > 0 else "y" if lag_s < 0 else "")
    if lag_s:
        assert (found.ratio > 1) == (lag_s > 0)
        assert found.text.startswith(f"{found.leader} leads")
    else:
        assert found.text == "no lead shown"


def test_legs_that_change_places_change_the_sign():
    tx, px, ty, py = trades(np.random.default_rng(9), 400, (10.0, 5.0), 0.8, 0.2)
    one, two = lead_lag(tx, px, ty, py), lead_lag(ty, py, tx, px)
    np.testing.assert_allclose(one.contrast, two.contrast[::-1], atol=1e-12)
    assert one.lag_us == -two.lag_us
    assert one.ratio == pytest.approx(1 / two.ratio)
    assert one.text == f"x leads y by {one.lag_us // MS} ms ({one.low_us // MS} to {one.high_us // MS})"
    assert two.text == f"y leads x by {one.lag_us // MS} ms ({-two.high_us // MS} to {-two.low_us // MS})"


def test_legs_that_move_against_each_other_have_a_lag_too():
    tx, px, ty, py = trades(np.random.default_rng(9), 400, (10.0, 5.0), 0.8, 0.2)
    same, against = lead_lag(tx, px, ty, py), lead_lag(tx, px, ty, 1 / py)
    assert (against.lag_us, against.low_us, against.high_us) == (same.lag_us, same.low_us, same.high_us)
    assert against.correlation == pytest.approx(-same.correlation)


def test_unrelated_legs_show_no_lead():
    rng = np.random.default_rng(10)
    found = [lead_lag(*trades(rng, 400, (5.0, 3.0), 0.0, 0.0)) for _ in range(30)]
    assert sum(bool(f.leader) for f in found) <= 4
    assert np.median([f.high_us - f.low_us for f in found]) > 2 * S  # it could be anywhere


def test_recorded_bitcoin_leads_ether_by_some_ten_milliseconds():
    """What the research saw as a doubled correlation once ETH is moved 20 ms earlier."""
    found = lead_lag(*recorded("usdm"))
    assert 10 * MS <= found.low_us <= found.lag_us <= 50 * MS
    assert found.leader == "x"


def test_lead_lag_is_the_same_each_time_and_leaves_its_arguments():
    columns = trades(np.random.default_rng(9), 400, (10.0, 5.0), 0.8, 0.2)
    copies = [column.copy() for column in columns]
    one, two = lead_lag(*columns), lead_lag(*columns)
    assert (one.low_us, one.high_us) == (two.low_us, two.high_us)
    assert all((a == b).all() for a, b in zip(columns, copies, strict=True))


def test_lead_lag_wants_a_stretch_of_time_and_moves():
    tx, px, ty, py = trades(np.random.default_rng(9), 200, (2.0, 2.0), 0.8, 0.0)
    with pytest.raises(TooFewObservations, match="needs 400 seconds"):
        lead_lag(tx, px, ty, py, max_lag_us=5 * S)
    with pytest.raises(TooFewObservations, match="has 0"):
        lead_lag(tx, px, ty + 900 * S, py)
    with pytest.raises(DegenerateSeries):
        lead_lag(tx, px, ty, py * 0 + 5)
    for step in (0, 3 * S, 1):
        with pytest.raises(InputError):
            lead_lag(tx, px, ty, py, step_us=step)


# --- many symbols, many timeframes, many windows ------------------------------------------------------


def prices(rows: int, symbols: int = 4, seed: int = 3) -> pd.DataFrame:
    """Related log walks as closes of 1-minute bars."""
    rng = np.random.default_rng(seed)
    moves = 1e-3 * (rng.standard_t(4, (rows, symbols)) + rng.standard_normal((rows, 1)))
    index = pd.date_range("2024-03-01 10:07", periods=rows, freq="1min", tz="UTC", unit="us")
    return pd.DataFrame(100 * np.exp(moves.cumsum(axis=0)), index, [f"S{i}" for i in range(symbols)])


def test_each_entry_of_the_matrix_is_pearson_of_its_pair():
    frame = prices(500)
    found = correlation_matrix(frame)
    returns = np.diff(np.log(frame.to_numpy()), axis=0)
    for i in range(4):
        for j in range(4):
            if i == j:
                assert found.correlation[i, i] == 1 and np.isnan(found.low[i, i])
                continue
            one = pearson(returns[:, i], returns[:, j])
            entry = (found.correlation[i, j], found.low[i, j], found.high[i, j])
            assert entry == pytest.approx((one.correlation, one.low, one.high), abs=1e-11)
    assert (found.n_obs == 499).all()
    assert found.frame().loc["S1", "S2"] == found.correlation[1, 2]


def test_holes_leave_out_their_own_rows_of_their_own_pairs():
    frame = prices(600)
    frame.iloc[100:350, 1] = np.nan
    frame.iloc[::7, 2] = np.nan
    found = correlation_matrix(frame)
    returns = np.log(frame).diff().iloc[1:]
    np.testing.assert_allclose(found.correlation, returns.corr().to_numpy(), atol=1e-12)
    present = returns.notna().astype(int)
    np.testing.assert_array_equal(found.n_obs, present.T @ present)
    off = ~np.eye(4, dtype=bool)
    assert ((found.low < found.correlation) & (found.correlation < found.high))[off].all()
    np.testing.assert_array_equal(found.low, found.low.T)


def test_symbols_without_moves_or_bars_are_nan_and_the_others_are_not():
    frame = prices(200, 6)
    frame["S1"] = 7.0
    frame["S2"] = np.nan
    frame.loc[frame.index[:-20], "S3"] = np.nan
    frame["S5"] = frame["S4"] ** 2
    found = correlation_matrix(frame)
    for i in (1, 2, 3):
        assert np.isnan(found.correlation[i]).all() and np.isnan(found.correlation[:, i]).all()
        assert np.isnan(found.low[i]).all()
    assert found.n_obs[3, 0] == 19 and found.n_obs[2].sum() == 0
    assert np.isfinite(found.low[0, 4]) and found.correlation[4, 5] == pytest.approx(1)
    assert np.isnan(found.low[4, 5])  # the same series twice
    only = correlation_matrix(frame[["S0", "S4"]])
    np.testing.assert_allclose(found.correlation[np.ix_([0, 4], [0, 4])], only.correlation, atol=1e-13)


def test_a_matrix_of_pairs_from_different_days_need_not_be_one_of_correlations():
    frame, one = prices(300, 3), np.random.default_rng(1).standard_normal((300, 3)).cumsum(axis=0) * 1e-3
    shared = (slice(0, 100), (0, 1), 1), (slice(100, 200), (1, 2), 1), (slice(200, 300), (0, 2), -1)
    values = np.full((300, 3), np.nan)
    for rows, (i, j), sign in shared:
        values[rows, i] = one[rows, 0]
        values[rows, j] = sign * one[rows, 0] + 1e-5 * one[rows, 1]
    found = correlation_matrix(pd.DataFrame(np.exp(values), columns=frame.columns))
    assert np.linalg.eigvalsh(found.correlation).min() < -0.5


def test_the_matrix_refuses_prices_that_are_none():
    frame = prices(100)
    frame.iloc[50, 1] = 0.0
    with pytest.raises(InputError, match="S1 was 0 in row 50"):
        correlation_matrix(frame)
    with pytest.raises(InputError, match="two rows"):
        correlation_matrix(prices(1))


def test_wide_bars_are_those_of_the_house():
    frame = prices(1_000)
    found = correlation_by_timeframe(frame, ("1m", "5m", "15m"))
    assert found.correlation.shape == (3, 4, 4)
    np.testing.assert_allclose(found.matrices[0].correlation, correlation_matrix(frame).correlation, atol=1e-13)
    for timeframe, matrix in zip(("5m", "15m"), found.matrices[1:], strict=True):
        wide = {}
        for symbol in frame:
            narrow = pd.DataFrame(dict.fromkeys(("open", "high", "low", "close", "vwap"), frame[symbol]))
            narrow = narrow.assign(volume=1.0, trades=1, taker_buy_volume=0.0, complete=True)
            order = ["open", "high", "low", "close", "volume", "vwap", "trades", "taker_buy_volume", "complete"]
            table = aggregate(narrow[order].rename_axis("time"), timeframe)
            # The first wide bar began before the frame did, but it closed within it; the last one may still form.
            wide[symbol] = table["close"].iloc[: None if table["complete"].iloc[-1] else -1]
        expected = correlation_matrix(pd.DataFrame(wide))
        np.testing.assert_allclose(matrix.correlation, expected.correlation, atol=1e-12)
        np.testing.assert_array_equal(matrix.n_obs, expected.n_obs)
    table = found.of("S0", "S3")
    assert table.loc["5m", "correlation"] == found.correlation[1, 0, 3]
    assert table.loc["15m", "n_obs"] == found.matrices[2].n_obs[0, 3]


@settings(max_examples=20)
@given(st.integers(400, 899))
def test_a_wide_bar_that_still_forms_changes_nothing(rows):
    """Up to the end of the last wide bar, later narrow bars leave every number as it is."""
    frame = prices(900)
    ends = frame.index[:rows].as_unit("us").asi8 + 60 * S
    closed = int(np.flatnonzero(ends % (900 * S) == 0)[-1]) + 1
    one = correlation_by_timeframe(frame.iloc[:rows], ("15m",)).matrices[0]
    two = correlation_by_timeframe(frame.iloc[:closed], ("15m",)).matrices[0]
    np.testing.assert_array_equal(one.correlation, two.correlation)
    np.testing.assert_array_equal(one.low, two.low)


def test_a_missing_narrow_bar_costs_the_wide_bar_that_it_would_close():
    frame = prices(900)
    last = np.flatnonzero((frame.index.as_unit("us").asi8 + 60 * S) % (300 * S) == 0)
    whole = correlation_by_timeframe(frame, ("5m",)).matrices[0].n_obs
    holed = correlation_by_timeframe(frame.drop(frame.index[last[50]]), ("5m",)).matrices[0].n_obs
    np.testing.assert_array_equal(holed, whole - 2)  # the return into it, and the one out of it
    inside = correlation_by_timeframe(frame.drop(frame.index[last[50] - 1]), ("5m",)).matrices[0].n_obs
    np.testing.assert_array_equal(inside, whole)


def test_timeframes_have_to_fit_and_times_to_be_times():
    frame = prices(900)
    with pytest.raises(TimeframeError):
        correlation_by_timeframe(frame, ("90s",))
    with pytest.raises(TimeframeError):
        correlation_by_timeframe(frame, ("5 minutes",))
    for broken in (frame.reset_index(drop=True), frame.tz_localize(None), frame[::-1], frame[:1]):
        with pytest.raises(InputError):
            correlation_by_timeframe(broken, ("5m",))
    empty = correlation_by_timeframe(frame[:3], ("1d",))
    assert np.isnan(empty.correlation).all() and not empty.matrices[0].n_obs.any()


def test_the_surface_of_windows_is_the_rolling_correlation_of_each():
    surface = rolling_correlations(Y, X, (20, 50, 500))
    assert surface.shape == (3, 400)
    for row, window in zip(surface, (20, 50, 500), strict=True):
        np.testing.assert_array_equal(row, rolling_correlation(Y, X, window))
    assert np.isnan(surface[2]).all()
    np.testing.assert_array_equal(rolling_correlations(Y[:300], X[:300], (20, 50)), surface[:2, :300])


def test_symbols_that_move_alike_stand_beside_each_other():
    """Two groups, dealt out in turn, become two blocks whatever order the symbols come in."""
    rng = np.random.default_rng(8)
    common = rng.standard_normal((2, 300))
    moves = np.stack([common[i % 2] + 0.5 * rng.standard_normal(300) for i in range(6)])
    for order in (np.arange(6), np.array([5, 0, 3, 2, 4, 1])):
        found = order[alike(np.corrcoef(moves[order]))]
        assert {*(found[:3] % 2)} in ({0}, {1}) and {*(found[3:] % 2)} in ({0}, {1})
        assert order[0] in found[:3]


def test_the_order_is_the_one_of_least_distance_between_neighbours():
    """Of a chain in which each symbol resembles the next, all orders tried: the chain itself is the best."""
    places = np.array([3.0, 0.0, 1.0, 4.0, 2.0])
    correlation = np.exp(-np.abs(places[:, None] - places) / 3)
    assert places[alike(correlation)].tolist() in ([0, 1, 2, 3, 4], [4, 3, 2, 1, 0])


def test_the_order_is_of_all_symbols_also_of_those_without_a_number():
    frame = prices(300).assign(S9=1.0)
    plain = correlation_matrix(frame)
    found = plain.ordered(alike(plain.correlation)[::-1])
    assert sorted(found.symbols) == sorted(frame)
    i, j = found.symbols.index("S0"), found.symbols.index("S3")
    for name in ("correlation", "low", "high", "n_obs"):
        assert getattr(found, name)[i, j] == getattr(plain, name)[0, 3]
    assert np.isnan(found.correlation[found.symbols.index("S9")]).all()
    assert alike(np.eye(2)).tolist() == [0, 1]


def test_a_row_of_the_surface_is_the_cross_correlation_of_its_bars():
    frame = prices(900)[["S0", "S3"]]
    found = correlation_surface(frame, (60 * S, 300 * S, 900 * S), max_lag=4)
    assert found.correlation.shape == found.band.shape == (3, 9)
    for row, width_us in enumerate(found.widths_us):
        y, x = np.diff(np.log(wide_closes(frame, width_us).to_numpy()), axis=0).T
        assert found.n_obs[row] == y.size
        for lag, value in zip(found.lags, found.correlation[row], strict=True):
            u, v = y - y.mean(), x - x.mean()
            expected = sum(u[t] * v[t - lag] for t in range(y.size) if 0 <= t - lag < y.size)
            assert value == pytest.approx(expected / (y.size * y.std() * x.std()), abs=1e-12)
    assert found.missing == {}


def test_the_surface_peaks_where_the_follower_lags():
    closes = prices(700)["S0"].to_numpy()
    late = pd.DataFrame({"y": closes[:-3], "x": closes[3:]}, index=prices(697).index)  # y is three bars behind
    found = correlation_surface(late, (60 * S,), max_lag=5)
    assert found.lags[np.argmax(found.correlation[0])] == 3


def test_a_width_with_too_few_bars_says_so_and_the_others_stay():
    frame = prices(300)[["S0", "S1"]]
    found = correlation_surface(frame, (60 * S, 3_600 * S))
    assert np.isfinite(found.correlation[0]).all() and np.isnan(found.correlation[1]).all()
    assert found.missing == {3_600 * S: "needs 36 bars, has 5"}
    with pytest.raises(TooFewObservations, match="needs 36 bars, has 30"):
        correlation_surface(frame[:30], (60 * S, 300 * S))
    with pytest.raises(DegenerateSeries):
        correlation_surface(frame.assign(S1=1.0), (60 * S,))


def test_the_surface_wants_two_legs_without_holes():
    frame = prices(300)
    holed = frame[["S0", "S1"]].drop(frame.index[100])
    for broken in (frame, holed, frame[["S0", "S1"]].where(frame["S0"] != frame["S0"].iloc[5])):
        with pytest.raises(InputError, match="two columns"):
            correlation_surface(broken, (60 * S,))


def test_nothing_changes_its_arguments():
    y, x, frame = Y.copy(), X.copy(), prices(300)
    before = frame.copy()
    for of in (pearson, distance_correlation):
        of(y, x)
    cross_correlation(y, x, 5), ewm_correlation(y, x, 5), rolling_correlations(y, x, (20,))
    correlation_matrix(frame), correlation_by_timeframe(frame, ("5m",))
    np.testing.assert_array_equal((y, x), (Y, X))
    pd.testing.assert_frame_equal(frame, before)
