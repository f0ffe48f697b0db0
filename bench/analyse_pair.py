"""The whole analysis of a pair on 2,000 bars, against three of its numbers by statsmodels on the same bars."""

import numpy as np
import statsmodels.api as sm
from statsmodels.tsa.stattools import adfuller, coint

from analytics.pair import PairParams, analyse_pair
from bench.frame import Row, at_least, count, medians_s, named, scaled


def legs(bars: int) -> tuple[np.ndarray, np.ndarray]:
    """A pair that comes back, at the price level of BTC and ETH."""
    random = np.random.default_rng(1)
    x = 60_000 + 20 * random.standard_normal(bars).cumsum()
    error = np.zeros(bars)
    for t in range(1, bars):
        error[t] = 0.95 * error[t - 1] + random.standard_normal()
    return 0.04 * x + 100 + error, x


def run(scale: float = 1.0) -> list[Row]:
    """One row: everything on, all tests on all bars."""
    bars = scaled(2_000, scale, least=400)
    y, x = legs(bars)
    params = PairParams(test_bars=bars)
    design = sm.add_constant(x)

    def peer() -> None:
        coint(y, x)
        adfuller(y - 0.04 * x, result_object=True)
        sm.RLM(y, design).fit()

    ours_s, peer_s = medians_s(lambda: analyse_pair(y, x, params).reading(), peer)
    return [
        at_least(
            "analyse-pair",
            ("analyse_pair", ours_s * 1e3),
            (f"{named('statsmodels')} coint + adfuller + RLM", peer_s * 1e3),
            "ms",
            count(bars),
            5,
        )
    ]
