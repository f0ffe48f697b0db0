"""Watching honestly: equality with the single test, truncation, and the truth of simulated sessions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.api import OLS

from analytics import monitoring
from analytics.cointegration import engle_granger
from analytics.monitoring import monitor
from analytics.session import both_directions, session_boundary, session_evidence, session_pvalue
from utils.errors import DegenerateSeries, InputError, TooFewObservations


def pair_of(
    seed: int, n: int, half_life: float = 5, broken: int | None = None, how: str = "", size: float = 0
) -> tuple[np.ndarray, np.ndarray]:
    """y = 2 x + 5 + AR(1); from bar `broken` on the spread wanders, or its level or the ratio jumps by `size`."""
    rng = np.random.default_rng(seed)
    x, shocks = rng.standard_normal(n).cumsum(), rng.standard_normal(n)
    phi, spread = 0.5 ** (1 / half_life), np.zeros(n)
    for t in range(1, n):
        wanders = how == "wander" and broken is not None and t >= broken
        spread[t] = (1.0 if wanders else phi) * spread[t - 1] + shocks[t]
    if how == "level":
        spread[broken:] += size / math.sqrt(1 - phi**2)
    if how == "ratio":
        spread[broken:] += size * (x[broken:] - x[broken])
    return 2 * x + 5 + spread, 100 + x


STEADY = pair_of(1, 788)
WALKS = np.random.default_rng(3).standard_normal((2, 900)).cumsum(axis=1)


@pytest.mark.parametrize("window", [100, 137, 500])
def test_each_look_is_the_single_test_of_its_window(window):
    for legs in (WALKS, STEADY):
        y, x = (leg[: window + 40] for leg in legs)
        found = both_directions(y, x, window)
        for look in range(0, 41, 8):
            one, other = y[look : look + window], x[look : look + window]
            expected = min(engle_granger(one, other).statistic, engle_granger(other, one).statistic)
            assert found[look] == pytest.approx(expected, abs=1e-8)


def test_looks_agree_with_the_single_test_where_many_lags_are_chosen_and_at_a_huge_price():
    rng = np.random.default_rng(4)
    x, shocks = rng.standard_normal(320).cumsum(), rng.standard_normal(320)
    error = shocks.copy()
    error[7:] -= 0.8 * shocks[:-7]
    y, x = 6e4 + 0.02 * x + 0.01 * error, 3e3 + 0.01 * x
    assert engle_granger(y[:300], x[:300]).lags >= 7
    expected = min(engle_granger(y[-300:], x[-300:]).statistic, engle_granger(x[-300:], y[-300:]).statistic)
    assert both_directions(y, x, 300)[-1] == pytest.approx(expected, abs=1e-6)


def single_tests(y, x, window, look):
    one, other = y[look : look + window], x[look : look + window]
    return min(engle_granger(one, other).statistic, engle_granger(other, one).statistic)


@pytest.mark.parametrize("lag", [1, 12, 24])
def test_looks_agree_with_the_single_test_on_wide_windows_at_the_edges_of_the_shared_blocks(lag):
    rng = np.random.default_rng(lag)
    x, error = rng.standard_normal((2, 2_100))
    error[lag:] -= 0.8 * error[:-lag]
    y, x = 2 * x.cumsum() + error, x.cumsum()
    found = both_directions(y, x, 2_000)
    for look in (0, 1, 46, 47, 48, 49, 95, 96, 100):
        assert found[look] == pytest.approx(single_tests(y, x, 2_000, look), abs=1e-8)


@pytest.mark.parametrize("move", [0.01, 1, 20])
@pytest.mark.parametrize("share", [1e-2, 2e-5])
def test_looks_agree_with_the_single_test_at_a_high_price_where_the_legs_are_nearly_one(move, share):
    rng = np.random.default_rng(8)
    x, spread = 3e3 + move * rng.standard_normal(560).cumsum(), rng.standard_normal(560)
    y = 6e4 + x + math.sqrt(share) * x.std() * spread
    found = both_directions(y, x, 500)
    for look in range(0, 61, 15):
        assert found[look] == pytest.approx(single_tests(y, x, 500, look), abs=1e-6)


@pytest.mark.parametrize("noise", [1e-2, 1e-4, 1e-6])
def test_looks_agree_with_the_single_test_where_the_residual_all_but_follows_its_past(noise):
    rng = np.random.default_rng(9)
    x = rng.standard_normal(560).cumsum()
    y = x + np.sin(np.arange(560) / 40) + noise * rng.standard_normal(560)
    found = both_directions(y, x, 500)
    for look in range(0, 61, 15):
        assert found[look] == pytest.approx(single_tests(y, x, 500, look), abs=1e-8)


@pytest.mark.parametrize("at", [0, 20, 250, 530])
def test_a_wild_bar_leaves_no_rounding_behind(at):
    y, x = (leg[:560].copy() for leg in WALKS)
    y[at] += 1e8
    found = both_directions(y, x, 500)
    for look in (0, 1, 21, 29, 30, 31, 60):
        assert found[look] == pytest.approx(single_tests(y, x, 500, look), abs=1e-7)


@pytest.mark.parametrize("until", [1, 47, 48, 49, 130])
def test_looks_are_bit_for_bit_the_same_when_later_bars_are_appended(until):
    y, x = WALKS[:, :450]
    part = both_directions(y[: 299 + until], x[: 299 + until], 300)
    np.testing.assert_array_equal(part, both_directions(y, x, 300)[:until])


def test_a_leg_that_stands_still_in_one_window_only_is_named():
    y, x = (leg[:700].copy() for leg in WALKS)
    x[250:560] = 0.1  # no sum of it is exact
    with pytest.raises(DegenerateSeries, match="in one window a leg is constant"):
        both_directions(y, x, 300)


@settings(max_examples=20)
@given(until=st.integers(1, 199), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3))
def test_session_evidence_is_settled_at_its_bar_and_has_no_units(until, scale, shift):
    y, x = WALKS[:, :500]
    whole = session_evidence(y, x, 300, 299, 200)
    part = session_evidence(scale * y[: 299 + until] + shift, x[: 299 + until], 300, 299, 200)
    assert part.looks == until
    np.testing.assert_allclose(part.statistic, whole.statistic[:until], rtol=1e-6)
    np.testing.assert_allclose(part.pvalue, whole.pvalue[:until], rtol=1e-5)


def test_session_evidence_ends_with_its_horizon_and_its_pvalue_never_rises():
    found = session_evidence(*WALKS, 300, 299, 100)
    assert found.looks == found.pvalue.size == 100
    assert (np.diff(found.pvalue) <= 0).all()
    assert session_pvalue(np.array([found.boundary]), 300, 100)[0] == pytest.approx(0.05)


def test_a_tight_pair_is_seen_and_the_bar_is_named():
    y, x = pair_of(2, 700, half_life=2)
    found = session_evidence(y, x, 400, 500)
    assert found.crossed_at == 500
    assert found.pvalue[-1] < 0.001


def test_one_look_is_judged_as_two_single_tests_are():
    # 5 % in both directions together lies between the 5 % and the 2.5 % value of one test (MacKinnon: -3.34, -3.62)
    assert -3.70 < session_boundary(2_000, 1) < -3.34


def test_the_boundary_is_stricter_for_more_looks_and_smaller_windows():
    for window in (100, 180, 500, 1_200, 2_000):
        looks = [session_boundary(window, looks) for looks in (1, 5, 20, 80, 288, 700, 1_440)]
        assert (np.diff(looks) < 0).all()
    for looks in (12, 96, 288, 1_440):
        assert (np.diff([session_boundary(window, looks) for window in (100, 180, 500, 1_200, 2_000)]) > 0).all()
    assert session_boundary(5_000, 288) == session_boundary(2_000, 288)


def test_watching_unrelated_walks_every_bar_is_wrong_in_one_session_of_twenty():
    rng = np.random.default_rng(6)
    lowest = [both_directions(*rng.standard_normal((2, 387)).cumsum(axis=1), 100).min() for _ in range(400)]
    assert np.mean(np.array(lowest) <= session_boundary(100, 288)) <= 0.09  # 0.05 and 3.5 standard errors
    assert np.mean(np.array(lowest) <= session_boundary(100, 1)) >= 0.5  # what looking without a boundary does


@pytest.mark.parametrize("until", [500, 501, 504, 600, 788])
def test_the_detector_is_settled_at_its_bar(until):
    for legs in (STEADY, pair_of(5, 788, broken=560, how="level", size=5)):
        y, x = legs
        whole, part = monitor(y, x, 500), monitor(y[:until], x[:until], 500)
        assert part.looks == until - 500
        np.testing.assert_array_equal(part.detector, whole.detector[: part.looks])
        if whole.alarm_at is not None and whole.alarm_at < until:
            assert (part.alarm_at, part.break_at, part.reason) == (whole.alarm_at, whole.break_at, whole.reason)
        else:
            assert (part.status, part.alarm_at, part.break_at) == ("steady", None, None)


@settings(max_examples=20)
@given(scales=st.tuples(*[st.floats(1e-3, 1e3)] * 2), shifts=st.tuples(*[st.floats(-1e3, 1e3)] * 2))
def test_the_detector_has_no_units(scales, shifts):
    y, x = STEADY
    found = monitor(scales[0] * y + shifts[0], scales[1] * x + shifts[1], 500)
    np.testing.assert_allclose(found.detector, monitor(y, x, 500).detector, rtol=1e-5, atol=1e-7)
    assert found.hedge_ratio == pytest.approx(scales[0] / scales[1] * monitor(y, x, 500).hedge_ratio, rel=1e-6)


def test_the_frozen_line_is_that_of_least_squares():
    y, x = STEADY
    found = monitor(y, x, 500)
    intercept, slope = OLS(y[:500], np.column_stack((np.ones(500), x[:500]))).fit().params
    assert (found.hedge_ratio, found.intercept) == (pytest.approx(slope), pytest.approx(intercept))
    assert (found.calibrated_at, found.horizon, found.level, found.holds) == (499, 288, 0.05, True)


def test_forecast_errors_are_recursive_residuals(monkeypatch):
    """Without clipping and with a constant variance they are those of statsmodels' regressions on all bars before."""
    monkeypatch.setattr(monitoring, "_lags", lambda change, columns: 1)
    y, x = STEADY
    spread = y - y[:500].mean() - 2 * (x - x[:500].mean())
    errors = monitoring._forecast_errors(spread, x, 500)
    change, columns = monitoring._regression(spread / spread[:500].std(), (x - x[:500].mean()) / x[:500].std(), 1)
    before = 500 - 2  # rows of the calibration with one lag
    for bar in (0, 1):  # the first errors: no clip has been reached
        fit = OLS(change[: before + bar], columns[: before + bar]).fit()
        row = columns[before + bar]
        error = change[before + bar] - row @ fit.params
        width = math.sqrt(1 + row @ fit.normalized_cov_params @ row)
        scale = error / width / errors.scaled[bar]
        if bar == 0:
            first, scaled = scale, errors.scaled[0]
    assert first == pytest.approx(math.sqrt(OLS(change[:before], columns[:before]).fit().mse_resid), rel=0.25)
    assert scale**2 == pytest.approx(first**2 * (1 + monitoring.MEMORY * (scaled**2 - 1)), rel=1e-9)


# how it breaks, size, least share of sessions found within 250 bars, most bars of mean delay; 500 bars of calibration,
# half-life 2, break 38 bars into the session
BREAKS = [("wander", 0, 0.9, 60), ("level", 4, 0.9, 25), ("ratio", 1, 0.9, 60)]


@pytest.mark.parametrize("how, size, least, most", BREAKS)
def test_a_break_is_found_and_dated(how, size, least, most):
    found = [monitor(*pair_of(seed, 788, 2, 538, how, size), 500) for seed in range(60)]
    alarms = [(each.alarm_at - 538, each.break_at - 538) for each in found if each.alarm_at and each.alarm_at >= 538]
    assert len(alarms) >= least * len(found)
    delay, dated = np.array(alarms).T
    assert delay.mean() <= most
    assert np.median(np.abs(dated)) <= 25
    assert (dated <= delay).all()


def test_the_reason_names_what_broke():
    level = monitor(*pair_of(1, 788, 2, 600, "level", 5), 500)
    ratio = monitor(*pair_of(1, 788, 5, 550, "ratio", 2), 500)
    assert level.status == ratio.status == "alarm"
    assert level.reason in (monitoring.BROKEN[0], monitoring.BROKEN[2])
    assert ratio.reason == monitoring.BROKEN[1]


def test_steady_pairs_raise_an_alarm_in_few_sessions():
    found = [monitor(*pair_of(seed, 788), 500) for seed in range(300)]
    alarms = np.mean([each.status == "alarm" for each in found])
    assert 0.005 <= alarms <= 0.09  # 0.05 and three standard errors


def test_one_odd_price_and_a_busier_market_are_no_break():
    y, x = (leg.copy() for leg in STEADY)
    y[600] += 20
    assert monitor(y, x, 500).status == "steady"
    y, x = (leg.copy() for leg in STEADY)
    line = monitor(y, x, 500)
    spread = y - line.hedge_ratio * x
    spread[500:] = spread[500] + 3 * (spread[500:] - spread[500])
    x[500:] = x[500] + 3 * (x[500:] - x[500])
    assert monitor(line.hedge_ratio * x + spread, x, 500).detector[60:].max() < 1.3


def test_unrelated_walks_are_not_monitored():
    found = monitor(*WALKS[:, :788], 500)
    assert (found.status, found.reason) == ("not calibrated", "not cointegrated at calibration")
    assert (found.looks, found.detector.size, found.alarm_at, found.holds) == (0, 0, None, False)
    assert found.pvalue > 0.05


def test_a_session_ends_with_its_horizon_and_may_be_empty():
    y, x = STEADY
    assert monitor(y, x, 500, 100).looks == 100
    assert monitor(y[:500], x[:500], 500).looks == 0
    assert monitor(*pair_of(1, 240, 1), 120, 100).holds is False


def test_what_cannot_be_watched_is_named():
    y, x = STEADY
    flat = x.copy()
    flat[:500] = 7.0
    with pytest.raises(TooFewObservations, match="needs 500"):
        monitor(y[:400], x[:400], 500)
    with pytest.raises(InputError, match="trained must be >= 100, was 50"):
        monitor(y, x, 50)
    with pytest.raises(InputError, match="horizon must be 1 to 1440"):
        monitor(y, x, 500, 3_000)
    with pytest.raises(InputError, match="finite"):
        monitor(np.where(np.arange(788) == 700, np.nan, y), x, 500)
    with pytest.raises(DegenerateSeries, match="x is constant"):
        monitor(y, flat, 500)
    with pytest.raises(DegenerateSeries, match="legs are the same"):
        monitor(3 * x + 1, x, 500)
    with pytest.raises(DegenerateSeries, match="a leg is constant"):
        session_evidence(y, flat, 300, 299)
    with pytest.raises(InputError, match="began must be >= window - 1, was 100 with a window of 300"):
        session_evidence(y, x, 300, 100)
    with pytest.raises(InputError, match="window must be >= 100"):
        session_evidence(y, x, 50, 100)
    with pytest.raises(TooFewObservations):
        session_evidence(y, x, 300, 1_000)


def test_the_arguments_are_left_as_they_were():
    y, x = (leg.copy() for leg in STEADY)
    y.flags.writeable = x.flags.writeable = False
    monitor(y, x, 500)
    session_evidence(y, x, 300, 299)
    np.testing.assert_array_equal((y, x), STEADY)
