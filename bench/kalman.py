"""A Kalman hedge ratio over 100,000 observations, from two arrays to its path: ours against statsmodels.

Both are given the same noise and the same first state, check their input, and hold states, variances and innovations
at the end. The peer is a state space model of its own filter, built over the legs, as each refresh would have to.
"""

import numpy as np
from statsmodels.tsa.statespace.mlemodel import MLEModel

from analytics.hedge import KalmanNoise, kalman_path
from bench.frame import Row, at_least, count, medians_s, named, scaled

NOISE = KalmanNoise(observation=0.5, hedge_ratio=1e-6, intercept=1e-4)
ROUNDS = 10  # replays timed together: one is too short for the clock


def run(scale: float = 1.0) -> list[Row]:
    """From arrays to path."""
    y, x = made_up_legs(scaled(100_000, scale))
    ours_s, peer_s = medians_s(
        lambda: [kalman_path(y, x, NOISE) and None for _ in range(ROUNDS)], lambda: peer_filter(y, x), repeats=9
    )
    ours = ("kalman_path, noise set", ours_s / ROUNDS * 1e3)
    peer = (f"{named('statsmodels')} MLEModel.filter", peer_s * 1e3)
    return [at_least("kalman", ours, peer, "ms", count(y.size), 40)]


def made_up_legs(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Two legs whose ratio and level walk with NOISE."""
    random = np.random.default_rng(seed)
    x = 100 + 0.1 * random.standard_normal(n).cumsum()
    ratio = 2 + NOISE.hedge_ratio**0.5 * random.standard_normal(n).cumsum()
    level = NOISE.intercept**0.5 * random.standard_normal(n).cumsum()
    return level + ratio * x + NOISE.observation**0.5 * random.standard_normal(n), x


def peer_filter(y: np.ndarray, x: np.ndarray) -> object:
    """The same model in statsmodels, on the legs less their first prices."""
    model = MLEModel(y - y[0], k_states=2)
    model["design"] = np.stack((np.ones(y.size), x - x[0]))[None]
    model["transition"] = model["selection"] = np.eye(2)
    model["state_cov"] = np.diag((NOISE.intercept, NOISE.hedge_ratio))
    model["obs_cov"] = np.array([[NOISE.observation]])
    model.initialize_known(np.zeros(2), 1e7 * np.eye(2))
    return model.filter(np.empty(0), cov_type="none")
