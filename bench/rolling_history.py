"""Hedge ratio, z-score and correlation of every window of a history, against pandas and statsmodels.

Prices near 1e5 that move by 0.01. pandas' own rolling moments lose digits there; it is timed, not compared.
"""

import numpy as np
import pandas as pd
from statsmodels.regression.rolling import RollingOLS
from statsmodels.tools import add_constant

from analytics.statistics import rolling_fit
from bench.frame import Row, at_least, count, medians_s, named, scaled

WINDOW = 60
SHARE = 20  # of the history that RollingOLS is timed on: a bar costs it the same at any number


def legs(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Two seeded walks that belong together."""
    random = np.random.default_rng(5)
    x = 1e5 + 0.01 * random.standard_normal(size).cumsum()
    return 0.7 * x + 0.01 * random.standard_normal(size).cumsum(), x


def with_pandas(y: pd.Series, x: pd.Series, window: int) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Slope, z-score of its residual and correlation, as a dashboard asks pandas for them."""
    covariance = y.rolling(window).cov(x)
    slope = covariance / x.rolling(window).var()
    intercept = y.rolling(window).mean() - slope * x.rolling(window).mean()
    variance = y.rolling(window).var() - slope * covariance
    return slope, (y - slope * x - intercept) / np.sqrt(variance.clip(lower=0)), y.rolling(window).corr(x)


def run(scale: float = 1.0) -> list[Row]:
    """Against both; milliseconds."""
    y, x = legs(scaled(100_000, scale))
    y_series, x_series = pd.Series(y), pd.Series(x)
    part = max(y.size // SHARE, 3 * WINDOW)
    ours_s, pandas_s, statsmodels_s = medians_s(
        lambda: rolling_fit(y, x, WINDOW),
        lambda: with_pandas(y_series, x_series, WINDOW),
        lambda: RollingOLS(y[:part], add_constant(x[:part]), WINDOW).fit(params_only=True),
    )
    size = count(y.size)
    ours = ("rolling_fit", ours_s * 1e3)
    slow = (f"{named('statsmodels')} RollingOLS, slope only", statsmodels_s * y.size / part * 1e3)
    return [
        at_least("rolling-history", ours, (f"{named('pandas')} rolling", pandas_s * 1e3), "ms", size, 3),
        at_least("rolling-history", ours, slow, "ms", size, 200),
    ]
