"""The tables beside the pair: what is there, what is not and why, in words that a reader needs."""

import re

import numpy as np
import pytest

from analytics.pair import METHODS, PairAnalysis, PairParams, analyse_pair
from dashboard import evidence
from dashboard.explain import EXPLAIN
from dashboard.view import METHODS as METHOD_TEXTS
from dashboard.view import SCALES, View

VIEW = View("ETHUSDT", "BTCUSDT", "BTCUSDT", timeframe="1m")
TS_US = 1_700_000_000_000_000 // 60_000_000 * 60_000_000


def analysis(bars: int, *, phi: float = 0.8, jump: float = 0.0, **params: object) -> PairAnalysis:
    """Of a pair at the prices of ETH and BTC, whose spread jumps in the last 160 bars."""
    random = np.random.default_rng(1)
    x = 60_000 + random.normal(0, 20, bars).cumsum()
    error = np.zeros(bars)
    for t in range(1, bars):
        error[t] = phi * error[t - 1] + random.normal()
    error[-160:] += jump
    ts_us = TS_US + 60_000_000 * np.arange(bars)
    return analyse_pair(0.04 * x + error, x, PairParams(**params), ts_us=ts_us)


def tables(found: PairAnalysis, view: View = VIEW) -> str:
    """All of them, without markup."""
    markup = "".join(
        (
            evidence.verdict(found),
            evidence.watching(found, VIEW),
            evidence.tests(found, view),
            evidence.hedge(found, view),
            evidence.reversion(found, view),
            evidence.residual_tests(found, view),
            evidence.legs(found, view),
            evidence.together(found, view),
        )
    )
    return re.sub(r"<[^>]+>", " ", markup)


def test_a_whole_analysis_names_every_test_and_method():
    text = tables(analysis(900))
    for name in (
        "Engle-Granger ETH on BTC",
        "Engle-Granger BTC on ETH",
        "either direction",
        "Phillips-Ouliaris",
        "Johansen, trace",
        "plain ADF would say",
        "OLS, 500 bars",
        *(name for name in evidence.FIT_NAMES.values() if name != "OLS"),
        "half-life",
        "cost of a round trip",
        "5 bp a fill",
        "Hurst",
        "ignores that the ratio was fitted",
        "break monitor",
        "steady",
        "wanders",
        "distance correlation",
    ):
        assert name in text, name
    assert "nan" not in text and "inf" not in text.replace("infinit", "")


def test_an_alarm_is_told_with_its_times():
    text = tables(analysis(900, jump=40.0))
    assert "alarm" in text and "break, about" in text and "has broken" in text


@pytest.mark.parametrize("bars", [60, 70, 99, 100, 101, 260])
def test_what_is_missing_is_said_in_its_place(bars):
    found = analysis(bars)
    text = tables(found)
    assert "nan" not in text
    if bars < 100:
        assert text.count(f"needs 100 bars, has {bars}") == 4  # verdict, tests of pair and spread, legs
    assert "This session" in text and "Tests of the pair" in text


@pytest.mark.parametrize("phi", [0.999, 1.0])
def test_a_spread_that_may_never_return_pays_no_promise(phi):
    found = analysis(900, phi=phi)
    text = tables(found)
    assert "There is no evidence of reversion." in text
    assert "round trip pays" not in text


def test_logarithms_are_named_as_the_unit():
    assert "standard deviation, log" in tables(analysis(600, log_prices=True))
    assert "standard deviation, USDT" in tables(analysis(600))


def test_every_choice_has_its_text_and_every_row_its_explanation():
    assert tuple(METHOD_TEXTS) == METHODS
    assert {*evidence.FIT_NAMES} <= {*EXPLAIN}
    assert {"std", "ewm", "robust"} == {*SCALES}
    for name in ("Phillips-Ouliaris", "Johansen, trace"):
        assert evidence.test_metric(name) in EXPLAIN
