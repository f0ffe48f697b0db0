"""The one analysis: never ahead of its time, sound as JSON, plain about what is not there."""

import json
import math

import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.cointegration import engle_granger
from analytics.correlation.distance import distance_correlation
from analytics.correlation.pearson import pearson
from analytics.pair import METHODS, SCALES, SERIES, PairAnalysis, PairParams, analyse_pair, with_forming
from analytics.pair.path import NUMBERS
from analytics.returns import log_returns
from utils.errors import DegenerateSeries, InputError, TooFewObservations


def legs(n: int, seed: int = 1, phi: float = 0.8) -> tuple[np.ndarray, np.ndarray]:
    """Prices of a pair whose spread comes back, with the level and ticks of BTC and ETH."""
    rng = np.random.default_rng(seed)
    x = 2_400 + rng.normal(0, 0.5, n).cumsum()
    error = np.zeros(n)
    for t in range(1, n):
        error[t] = phi * error[t - 1] + rng.normal(0, 2)
    return np.round(25 * x + error, 1), np.round(x, 2)


def same(one: object, other: object) -> bool:
    return one == other or (isinstance(one, float) and math.isnan(one) and math.isnan(other))


@settings(max_examples=40)
@given(
    cut=st.integers(20, 319),
    window=st.integers(10, 20),
    seed=st.integers(0, 5),
    method=st.sampled_from(METHODS),
    scale=st.sampled_from(SCALES),
    log_prices=st.booleans(),
)
def test_bars_to_come_change_no_value_of_the_past(cut, window, seed, method, scale, log_prices):
    y, x = legs(320, seed)
    params = PairParams(window=window, method=method, scale=scale, log_prices=log_prices, session_bars=50)
    cut = max(cut, params.warm_up + 2)
    past, whole = analyse_pair(y[:cut], x[:cut], params), analyse_pair(y, x, params)
    for name in SERIES:
        np.testing.assert_array_equal(getattr(past.path, name), getattr(whole.path, name)[:cut], err_msg=name)


def test_each_bar_is_a_regression_of_its_own_window():
    y, x = legs(200)
    analysis = analyse_pair(y, x, PairParams(window=40))
    for t in (39, 40, 111, 199):
        window = slice(t - 39, t + 1)
        slope = sm.OLS(y[window], sm.add_constant(x[window] - x[window].mean())).fit().params[1]
        spread = pd.Series(y[window] - slope * x[window])
        assert analysis.path.hedge_ratio[t] == pytest.approx(slope, rel=1e-9)
        assert analysis.path.spread[t] == pytest.approx(spread.iloc[-1], rel=1e-9)
        assert analysis.path.zscore[t] == pytest.approx((spread.iloc[-1] - spread.mean()) / spread.std(), abs=1e-7)
    returns = pd.DataFrame({"y": np.log(y), "x": np.log(x)}).diff()
    assert analysis.path.correlation == pytest.approx(
        returns["y"].rolling(40).corr(returns["x"]), abs=1e-9, nan_ok=True
    )


@pytest.mark.parametrize("log_prices", [False, True])
@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("method", METHODS)
def test_the_bar_in_progress_counts_as_if_it_closed_there(method, scale, log_prices):
    y, x = legs(320)
    params = PairParams(window=30, method=method, scale=scale, log_prices=log_prices)
    ahead = analyse_pair(y[:-1], x[:-1], params, forming=(y[-1], x[-1])).provisional
    closed = analyse_pair(y, x, params)
    assert ahead is not None
    for name in NUMBERS:
        assert getattr(ahead, name) == pytest.approx(getattr(closed.path, name)[-1], rel=1e-8), name
    assert with_forming(closed, None, None).provisional is None


def test_logarithms_are_the_analysis_of_logarithms():
    y, x = legs(400)
    logs, plain = analyse_pair(y, x, PairParams(log_prices=True)), analyse_pair(np.log(y), np.log(x))
    for name in ("hedge_ratio", "spread", "zscore"):
        np.testing.assert_array_equal(getattr(logs.path, name), getattr(plain.path, name), err_msg=name)
    assert logs.cointegration_pvalue == plain.cointegration_pvalue
    assert logs.reading()["price_y"] == y[-1]
    np.testing.assert_allclose(logs.path.correlation, analyse_pair(y, x).path.correlation)
    with pytest.raises(InputError, match=r"x must be positive for logarithms"):
        analyse_pair(y, x - 2 * x.max(), PairParams(log_prices=True))


def test_every_method_is_shown_on_the_same_bars():
    y, x = legs(600)
    found = analyse_pair(y, x).evidence
    assert [fit.method for fit in found.other_fits] == ["huber", "theil_sen", "tls", "dols", "fmols", "kalman"]
    assert {fit.n_obs for fit in found.other_fits} == {500}
    for fit in (found.fit, *found.other_fits):
        assert fit.low < 25 < fit.high, fit.method


def test_returns_go_together_by_the_functions_of_their_own():
    y, x = legs(700)
    found = analyse_pair(y, x).evidence.returns
    returns = log_returns(y[-500:]), log_returns(x[-500:])
    assert found.pearson == pearson(*returns) and found.distance == distance_correlation(*returns)
    assert found.fading == pytest.approx(pd.Series(returns[0]).ewm(halflife=20).corr(pd.Series(returns[1])).iloc[-1])
    below = analyse_pair(y - 2 * y.max(), x)
    assert below.evidence.returns.pearson is None and "no log returns" in below.missing["returns"]


def test_a_session_is_calibrated_at_fixed_times_and_told_in_times():
    y, x = legs(900)
    ts_us = 1_700_000_000_000_000 + np.arange(900) * 1_000_000
    analysis = analyse_pair(y, x, ts_us=ts_us)
    began = analysis.watch.began
    assert int(ts_us[began]) // 1_000_000 % 288 == 0 and 900 - began <= 288
    assert analysis.watch.monitor.status == "steady" and analysis.session_pvalue < 0.05
    later = analyse_pair(y[50:], x[50:], ts_us=ts_us[50:])
    assert later.watch.began == began - 50
    assert later.session_pvalue == analysis.session_pvalue and later.monitor == analysis.monitor
    told = analysis.as_dict()["watch"]
    assert told["began_ts_us"] == ts_us[began] and told["calibrated_bars"] == 500 and told["alarm_ts_us"] is None


def test_a_pair_that_breaks_is_told_with_the_time():
    y, x = legs(1_100)
    broken = 940
    y = np.where(np.arange(1_100) >= broken, y + 60, y)
    analysis = analyse_pair(y, x)
    assert analysis.watch.monitor.status == "alarm"
    assert broken <= analysis.watch.alarm_at < broken + 30 and abs(analysis.watch.break_at - broken) <= 3
    assert "has broken" in analysis.verdict and analysis.reading()["monitor"] >= 1
    assert analysis.as_dict()["watch"]["status"] == "alarm"


def test_too_few_bars_before_the_session_are_said():
    y, x = legs(300)
    analysis = analyse_pair(y, x, PairParams(session_bars=240, min_bars_coint=250))
    assert analysis.watch.monitor is None and math.isnan(analysis.session_pvalue)
    assert analysis.missing["monitor"] == "needs 250 bars before the session, has 240"


def test_a_filter_that_is_surprised_too_much_is_said():
    y, x = legs(700)
    rng = np.random.default_rng(3)
    y = y + np.where(np.arange(700) > 600, rng.normal(0, 20, 700), 0)
    analysis = analyse_pair(y, x, PairParams(method="kalman"))
    assert not analysis.path.consistency.consistent
    assert any("not consistent" in text for text in analysis.caveats)
    assert analyse_pair(y, x).path.consistency is None


def test_how_much_history_is_asked_for_moves_no_kalman_value():
    y, x = legs(1_400)
    ts_us = np.arange(1_400) * 1_000_000
    params = PairParams(method="kalman")
    whole = analyse_pair(y, x, params, ts_us=ts_us).path
    for bars in (1_138, 1_100, 853):
        part = analyse_pair(y[-bars:], x[-bars:], params, ts_us=ts_us[-bars:]).path
        known = slice(-300, None)
        np.testing.assert_allclose(part.zscore[known], whole.zscore[known], rtol=1e-9, err_msg=str(bars))


def test_an_alarm_stays_one():
    y, x = legs(860)
    y = y + np.where((np.arange(860) >= 600) & (np.arange(860) < 640), 60, 0)
    analysis = analyse_pair(y, x)
    assert analysis.watch.monitor.status == "alarm" and analysis.monitor >= 1


def test_bars_that_miss_trades_count_wherever_they_are_used():
    y, x = legs(800)
    complete = np.arange(800) != 120  # before the tested bars, and within the calibration of the session
    assert analyse_pair(y, x, complete=complete).coverage < 1


@pytest.mark.parametrize(
    "ts_us, y, field",
    [
        (np.zeros(200, int), None, "ts_us"),
        (np.arange(200)[::-1], None, "ts_us"),
        (None, 5.0, "y"),
        (None, np.ones((2, 3)), "y"),
    ],
)
def test_wrong_arrays_are_named(ts_us, y, field):
    right, x = legs(200)
    with pytest.raises(InputError) as caught:
        analyse_pair(right if y is None else y, x, ts_us=ts_us)
    assert caught.value.field == field


def test_numbers_beyond_all_prices_are_refused():
    y, x = legs(200)
    with pytest.raises(InputError, match=r"within 1e\+100"):
        analyse_pair(1e200 * y, x)


@pytest.mark.parametrize(
    "params", [{"min_bars_coint": 30}, {"session_bars": 1_440, "test_bars": 100}, {"exit_z": 7.9, "entry_z": 9.0}]
)
@pytest.mark.parametrize("bars", [150, 300, 1_700])
def test_odd_settings_leave_parts_out_and_break_nothing(params, bars):
    y, x = legs(bars)
    json.dumps(analyse_pair(y, x, PairParams(**params)).as_dict(), allow_nan=False)


def test_tests_rest_on_the_newest_bars_and_look_both_ways():
    y, x = legs(800)
    analysis = analyse_pair(y, x, PairParams(test_bars=300))
    one, other = engle_granger(y[-300:], x[-300:]), engle_granger(x[-300:], y[-300:])
    assert (analysis.evidence.engle_granger, analysis.evidence.engle_granger_xy) == (one, other)
    assert analysis.cointegration_pvalue == pytest.approx(2 * min(one.pvalue, other.pvalue))
    assert analysis.evidence.fit is not None and analysis.evidence.fit.n_obs == 300


@pytest.mark.parametrize("n, window", [(60, 60), (99, 60), (100, 60), (600, 60), (25, 20)])
def test_json_has_neither_nan_nor_infinity(n, window):
    y, x = legs(n, phi=1.0)
    analysis = analyse_pair(y, x, PairParams(window=window), ts_us=np.arange(n) * 1_000_000)
    text = json.dumps(analysis.as_dict() | {"rows": analysis.rows()}, allow_nan=False)
    back = json.loads(text)
    assert back["n_obs"] == n and len(back["rows"]) == n
    assert back["last_ts_us"] == (n - 1) * 1_000_000
    assert back["rows"][0]["zscore"] is None and back["rows"][-1]["zscore"] == analysis.path.zscore[-1]


def test_what_the_data_does_not_support_is_missing_with_its_reason():
    y, x = legs(70)
    analysis = analyse_pair(y, x)
    assert analysis.evidence.engle_granger is None and math.isnan(analysis.cointegration_pvalue)
    assert analysis.missing["engle_granger"] == str(TooFewObservations(have=70, need=100))
    assert analysis.evidence.half_life is not None and "not tested" in analysis.verdict
    with pytest.raises(TooFewObservations) as caught:
        analyse_pair(y[:40], x[:40])
    assert (caught.value.have, caught.value.need) == (40, 60)


def test_series_without_information_are_refused_by_name():
    y, x = legs(200)
    with pytest.raises(DegenerateSeries, match="x is constant"):
        analyse_pair(y, np.full(200, x[100]))
    still = analyse_pair(y, np.where(np.arange(200) < 100, x, x[100]))  # only of late: the rest is still known
    assert math.isnan(still.path.zscore[-1]) and "no z-score" in still.verdict and still.evidence.fit is not None
    with pytest.raises(DegenerateSeries, match="same series"):
        analyse_pair(x, x)
    scaled = analyse_pair(2 * x + 5, x)
    assert scaled.evidence.engle_granger is None and "same" in scaled.missing["engle_granger"]
    with pytest.raises(InputError, match="index 150"):
        analyse_pair(np.where(np.arange(200) == 150, np.inf, y), x)
    with pytest.raises(InputError, match="complete"):
        analyse_pair(y, x, complete=np.ones(3, bool))


def test_bars_before_both_legs_have_a_price_are_left_out():
    y, x = legs(200)
    late = np.where(np.arange(200) < 37, np.nan, x)
    trimmed, direct = analyse_pair(y, late), analyse_pair(y[37:], x[37:])
    assert trimmed.n_obs == 163
    assert all(same(trimmed.reading()[name], direct.reading()[name]) for name in direct.reading())


def test_loss_is_counted_and_said():
    y, x = legs(200)
    analysis = analyse_pair(y, x, complete=np.arange(200) % 50 != 0)
    assert analysis.coverage == pytest.approx(0.98)
    assert analysis.caveats[0].startswith("4 of 200 bars are incomplete")
    assert analyse_pair(y, x, complete=np.arange(200) != 7).caveats[0].startswith("1 of 200 bars is incomplete")
    assert analysis.frame(10)["complete"].tolist() == [True] * 10


@pytest.mark.parametrize(
    "wrong, field",
    [
        ({"window": 2}, "window"),
        ({"test_bars": 5}, "test_bars"),
        ({"min_bars": 3}, "min_bars"),
        ({"min_bars_coint": 5}, "min_bars_coint"),
        ({"method": "magic"}, "method"),
        ({"method": "huber", "window": 5}, "window"),
        ({"scale": "feet"}, "scale"),
        ({"session_bars": 3}, "session_bars"),
        ({"fee_bps": -1.0}, "fee_bps"),
        ({"window": 30.5}, "window"),
        ({"session_bars": 2_000}, "session_bars"),
        ({"exit_z": 9.0, "entry_z": 10.0}, "entry_z"),
        ({"fee_bps": math.nan}, "fee_bps"),
        ({"entry_z": 0.4}, "entry_z"),
        ({"entry_z": math.nan}, "entry_z"),
        ({"exit_z": -1.0}, "entry_z"),
    ],
)
def test_a_wrong_parameter_is_named(wrong, field):
    with pytest.raises(InputError) as caught:
        PairParams(**wrong)
    assert caught.value.field == field


def test_the_verdict_tells_place_evidence_and_speed():
    y, x = legs(600)
    analysis: PairAnalysis = analyse_pair(y, x)
    assert "the last 500 bars show cointegration (p < 0.001)" in analysis.verdict
    assert f"{abs(analysis.path.zscore[-1]):.1f} standard deviations" in analysis.verdict
    assert "bars (" in analysis.verdict
    rng = np.random.default_rng(4)
    apart = analyse_pair(100 + rng.normal(size=600).cumsum(), 50 + rng.normal(size=600).cumsum())
    assert "do not show cointegration" in apart.verdict
