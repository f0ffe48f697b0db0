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
from analytics.pair import SERIES, PairAnalysis, PairParams, analyse_pair
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


@settings(max_examples=40, deadline=None)
@given(cut=st.integers(20, 299), window=st.integers(3, 20), seed=st.integers(0, 5))
def test_bars_to_come_change_no_value_of_the_past(cut, window, seed):
    y, x = legs(300, seed)
    params = PairParams(window=window)
    past, whole = analyse_pair(y[:cut], x[:cut], params), analyse_pair(y, x, params)
    for name in SERIES:
        np.testing.assert_array_equal(getattr(past, name), getattr(whole, name)[:cut], err_msg=name)


def test_each_bar_is_a_regression_of_its_own_window():
    y, x = legs(200)
    analysis = analyse_pair(y, x, PairParams(window=40))
    for t in (39, 40, 111, 199):
        window = slice(t - 39, t + 1)
        slope = sm.OLS(y[window], sm.add_constant(x[window] - x[window].mean())).fit().params[1]
        spread = pd.Series(y[window] - slope * x[window])
        assert analysis.hedge_ratio[t] == pytest.approx(slope, rel=1e-9)
        assert analysis.spread[t] == pytest.approx(spread.iloc[-1], rel=1e-9)
        assert analysis.zscore[t] == pytest.approx((spread.iloc[-1] - spread.mean()) / spread.std(), abs=1e-7)
    returns = pd.DataFrame({"y": np.log(y), "x": np.log(x)}).diff()
    assert analysis.correlation == pytest.approx(returns["y"].rolling(40).corr(returns["x"]), abs=1e-9, nan_ok=True)


def test_the_bar_in_progress_counts_as_if_it_closed_there():
    y, x = legs(200)
    ahead = analyse_pair(y[:-1], x[:-1], forming=(y[-1], x[-1])).provisional
    closed = analyse_pair(y, x)
    assert ahead is not None
    for name in SERIES:
        if name != "intercept":
            assert getattr(ahead, name) == pytest.approx(getattr(closed, name)[-1], rel=1e-9), name
    assert closed.with_forming(None, None).provisional is None


def test_tests_rest_on_the_newest_bars_and_look_both_ways():
    y, x = legs(800)
    analysis = analyse_pair(y, x, PairParams(test_bars=300))
    one, other = engle_granger(y[-300:], x[-300:]), engle_granger(x[-300:], y[-300:])
    assert (analysis.engle_granger, analysis.engle_granger_xy) == (one, other)
    assert analysis.cointegration_pvalue == pytest.approx(2 * min(one.pvalue, other.pvalue))
    assert analysis.fit is not None and analysis.fit.n_obs == 300


@pytest.mark.parametrize("n, window", [(60, 60), (99, 60), (100, 60), (600, 60), (25, 20)])
def test_json_has_neither_nan_nor_infinity(n, window):
    y, x = legs(n, phi=1.0)
    analysis = analyse_pair(y, x, PairParams(window=window), ts_us=np.arange(n) * 1_000_000)
    text = json.dumps(analysis.as_dict() | {"rows": analysis.rows()}, allow_nan=False)
    back = json.loads(text)
    assert back["n_obs"] == n and len(back["rows"]) == n
    assert back["last_ts_us"] == (n - 1) * 1_000_000
    assert back["rows"][0]["zscore"] is None and back["rows"][-1]["zscore"] == analysis.zscore[-1]


def test_what_the_data_does_not_support_is_missing_with_its_reason():
    y, x = legs(70)
    analysis = analyse_pair(y, x)
    assert analysis.engle_granger is None and math.isnan(analysis.cointegration_pvalue)
    assert analysis.missing["engle_granger"] == str(TooFewObservations(have=70, need=100))
    assert analysis.half_life is not None and "not tested" in analysis.verdict
    with pytest.raises(TooFewObservations) as caught:
        analyse_pair(y[:40], x[:40])
    assert (caught.value.have, caught.value.need) == (40, 60)


def test_series_without_information_are_refused_by_name():
    y, x = legs(200)
    with pytest.raises(DegenerateSeries, match="x did not move"):
        analyse_pair(y, np.where(np.arange(200) < 100, x, x[100]))
    with pytest.raises(DegenerateSeries, match="same series"):
        analyse_pair(x, x)
    scaled = analyse_pair(2 * x + 5, x)
    assert scaled.engle_granger is None and "same" in scaled.missing["engle_granger"]
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
    assert "are cointegrated (p < 0.001)" in analysis.verdict
    assert f"{abs(analysis.zscore[-1]):.1f} standard deviations" in analysis.verdict
    assert "bars (" in analysis.verdict
    rng = np.random.default_rng(4)
    apart = analyse_pair(100 + rng.normal(size=600).cumsum(), 50 + rng.normal(size=600).cumsum())
    assert "not shown" in apart.verdict
