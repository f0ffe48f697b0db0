"""One Engle-Granger test with lags by AIC on 2,000 bars: the p-value of one pair, as a refresh needs it."""

import numpy as np
from statsmodels.tsa.stattools import coint

from analytics.cointegration import engle_granger
from bench.frame import Row, at_least, count, medians_s, named, scaled

TESTS = 50  # of ours in a round: one alone is shorter than the clock is steady


def run(scale: float = 1.0) -> list[Row]:
    """One row; milliseconds a test."""
    bars = scaled(2_000, scale, least=200)
    x, own = np.random.default_rng(1).standard_normal((2, bars)).cumsum(axis=1)
    y = 0.7 * x + own

    def ours() -> None:
        for _ in range(TESTS):
            engle_granger(y, x)

    ours_s, peer_s = medians_s(ours, lambda: coint(y, x, autolag="aic"), repeats=9)
    peer = f"coint, {named('statsmodels')}"
    size = f"{count(bars)} bars, AIC"
    return [at_least("engle-granger", ("engle_granger()", ours_s / TESTS * 1e3), (peer, peer_s * 1e3), "ms", size, 100)]
