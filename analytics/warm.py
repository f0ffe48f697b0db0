"""Compiles every kernel that a live page calls: `python -m analytics.warm`, once a version, before the start."""

import numpy as np

from analytics.pair import METHODS, SCALES, PairParams, analyse_pair


def warm() -> None:
    """Analyse a made-up pair by every method and every scale."""
    random = np.random.default_rng(1)
    x = 100 + random.standard_normal(900).cumsum()
    y = 2 * x + random.standard_normal(900)
    for method in METHODS:
        for scale in SCALES:
            analyse_pair(y, x, PairParams(method=method, scale=scale), forming=(y[-1], x[-1]))


if __name__ == "__main__":
    warm()
