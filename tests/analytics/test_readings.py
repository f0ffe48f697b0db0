"""Metrics by name: the newest bar of a live market and any bar of the past read the same."""

import math

import numpy as np
import pytest

from analytics.indicators import rsi
from analytics.pair import PairParams, analyse_pair
from analytics.readings import (
    KEPT,
    OF_LEGS,
    PATH,
    is_known,
    metrics,
    needs_tests,
    pair_moments,
    pair_reading,
    patience_s,
    silent_s,
    symbol_moments,
    symbol_reading,
    tape_names,
)
from analytics.resampling import BarColumns
from utils.errors import InputError

S = 1_000_000
T0 = 1_700_000_000 * S
PARAMS = PairParams(window=20, test_bars=60, session_bars=30)
HELD = 120


def made(close, trades=None, complete=None):
    """Closed bars of one second."""
    close = np.asarray(close, float)
    trades = np.full(close.size, 3) if trades is None else np.asarray(trades)
    volume = 1.0 + np.arange(close.size) % 7
    return BarColumns(
        ts_us=T0 + S * np.arange(close.size),
        open=close,
        high=close + 1,
        low=close - 1,
        close=close,
        volume=np.where(trades > 0, volume, 0.0),
        vwap=np.where(trades > 0, close, np.nan),
        trades=trades,
        taker_buy_volume=volume / 2,
        complete=np.ones(close.size, bool) if complete is None else np.asarray(complete),
    )


def legs(n, seed=1):
    random = np.random.default_rng(seed)
    x = 100 + random.standard_normal(n).cumsum()
    return made(2 * x + random.standard_normal(n)), made(x)


def test_a_symbol_reads_what_its_newest_bars_say():
    bars = made(100 + np.random.default_rng(3).standard_normal(400).cumsum())
    found = symbol_reading(bars, S)
    assert set(found) == set(metrics(False)) - tape_names(False)
    assert (found["price"], found["volume"], found["trades_per_s"]) == (bars.close[-1], bars.volume[-1], 3.0)
    assert found["volume_spike"] == pytest.approx(bars.volume[-1] / bars.volume[-21:-1].mean(), abs=0)
    assert found["rsi"] == rsi(bars.close[-KEPT:])[-1]
    assert (found["coverage"], found["feed_age"]) == (1.0, 0.0)


def test_what_a_symbol_does_not_have_is_nan_or_absent():
    assert symbol_reading(made([]), S) == {}
    young = symbol_reading(made(np.arange(1.0, 11.0)), S)
    assert math.isnan(young["rsi"]) and math.isnan(young["volume_spike"])
    quiet = symbol_reading(made(np.ones(30), trades=[1] * 9 + [0] * 21), S)
    assert math.isnan(quiet["volume_spike"]) and math.isnan(quiet["vwap"]) and quiet["feed_age"] == 21


def test_a_pair_reads_every_metric_by_name():
    y, x = legs(200)
    analysis = analyse_pair(y.close, x.close, PARAMS, ts_us=y.ts_us)
    found = pair_reading(analysis, y, x, S)
    assert set(metrics(True)) - tape_names(True) == set(found)
    assert {name: found[name] for name in analysis.reading()} == pytest.approx(analysis.reading(), nan_ok=True)
    own = symbol_reading(x, S)
    assert all(found[f"{name}_x"] == own[name] for name in OF_LEGS)
    assert found["rsi"] == found["rsi_y"] == symbol_reading(y, S)["rsi"]


@pytest.mark.parametrize("names", [PATH, ("half_life", "pvalue", "coverage")])
def test_the_past_reads_what_a_live_analysis_read_at_each_bar_to_the_last_bit(names):
    y, x = legs(200)
    moments = list(pair_moments(y, x, S, PARAMS, HELD, names, after_us=T0 + 190 * S))
    assert [moment.at_us for moment in moments] == [T0 + i * S for i in range(191, 201)]
    for moment in moments:
        until = (moment.at_us - T0) // S
        live_y, live_x = (leg[max(0, until - HELD) : until] for leg in (y, x))
        live = analyse_pair(live_y.close, live_x.close, PARAMS, ts_us=live_y.ts_us).reading()
        assert [moment.values[name] for name in names] == [live[name] for name in names]


@pytest.mark.parametrize("n", [25, 45, 200])  # too few for a half-life, fewer than tests look at, and enough
def test_the_half_life_of_a_path_alone_comes_later_and_is_the_live_one(n):
    y, x = legs(n)
    (moment,) = pair_moments(y, x, S, PARAMS, HELD, PATH, after_us=T0 + (n - 1) * S)
    live = analyse_pair(y.close[-HELD:], x.close[-HELD:], PARAMS).reading()
    assert "half_life" not in moment.values
    assert moment.whole["half_life"] == pytest.approx(live["half_life"], abs=0, nan_ok=True)
    assert math.isnan(live["half_life"]) is (n < PARAMS.min_bars)


def test_metrics_of_legs_are_the_same_in_the_past():
    y, x = legs(300)
    moments = list(pair_moments(y, x, S, PARAMS, HELD, ("rsi_x", "volume_spike", "feed_age"), after_us=T0 + 298 * S))
    for moment, until in zip(moments, (299, 300), strict=True):
        own_y, own_x = symbol_reading(y[:until], S), symbol_reading(x[:until], S)
        assert (moment.values["rsi_x"], moment.values["volume_spike"]) == (own_x["rsi"], own_y["volume_spike"])
    assert next(iter(symbol_moments(x, S, after_us=T0 + 299 * S))).values == pytest.approx(symbol_reading(x, S))


def test_later_bars_change_no_earlier_moment():
    y, x = legs(150)
    early = list(pair_moments(y[:120], x[:120], S, PARAMS, HELD, PATH))
    late = list(pair_moments(y, x, S, PARAMS, HELD, PATH))
    assert [(m.at_us, repr(m.values)) for m in late[:120]] == [(m.at_us, repr(m.values)) for m in early]


def test_too_few_bars_and_legs_without_variation_have_no_metrics_of_the_pair():
    y, x = legs(30)
    found = list(pair_moments(y, x, S, PARAMS, HELD, PATH))
    assert ["zscore" in moment.values for moment in found] == [False] * 19 + [True] * 11
    flat = made(np.ones(30))
    assert not any("zscore" in moment.values for moment in pair_moments(y, flat, S, PARAMS, HELD, PATH))


def test_legs_on_different_grids_are_refused():
    y, x = legs(30)
    with pytest.raises(InputError, match="same bars"):
        list(pair_moments(y, x[1:], S, PARAMS, HELD, PATH))


@pytest.mark.parametrize("names, tests", [(("zscore", "rsi_y", "price"), False), (("zscore", "pvalue"), True)])
def test_metrics_that_rest_on_tests_are_known(names, tests):
    assert needs_tests(names) is tests


# trades of the newest bars, complete, known
KNOWN = [([3] * 30, [True] * 30, True), ([3] * 30, [True] * 29 + [False], False), ([0] * 30, [True] * 30, True)]


@pytest.mark.parametrize("trades, complete, known", KNOWN)
def test_a_bar_with_a_known_loss_is_not_judged(trades, complete, known):
    assert is_known(made(np.ones(30), trades, complete), S) is known


def test_a_symbol_that_is_silent_for_long_is_not_judged_and_only_tells_of_the_feed():
    quiet = made(np.ones(60), trades=[4] * 45 + [0] * 15)  # about four a second: patience is 5 to 7 s
    silent = [silent_s(quiet[:until], S) for until in (45, 46, 60)]
    assert silent == [0, 1, 15]
    found = list(symbol_moments(quiet, S, after_us=T0 + 45 * S))
    assert ["price" in moment.values for moment in found] == [True] * 5 + [False] * 10
    assert set(found[-1].values) == {"feed_age", "coverage"}


@pytest.mark.parametrize("rate, patience", [(0.0, 300.0), (100.0, 5.0), (1.0, 20.0), (0.01, 300.0)])
def test_patience_follows_the_usual_rate_within_bounds(rate, patience):
    assert patience_s(rate) == patience
