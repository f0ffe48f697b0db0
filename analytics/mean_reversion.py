"""Spread and half-life: how far from the mean, and how fast back. The z-scores are in `analytics.zscores`."""

from dataclasses import dataclass

import numpy as np

from analytics.ar1 import phi_interval, regression
from analytics.checks import series
from analytics.zscores import zscore
from utils.errors import DegenerateSeries

__all__ = ["MIN_OBS", "HalfLife", "half_life", "spread", "zscore"]

MIN_OBS = 20


@dataclass(frozen=True, slots=True)
class HalfLife:
    """How fast a spread closes half of its gap to the mean, in bars, with a 95 % interval."""

    bars: float  # median-unbiased; inf when the data speaks no more for reversion than for a random walk
    low: float
    high: float  # inf is an honest end: the data does not exclude a spread that never comes back
    uncorrected: float  # what the plain regression says: too short in small samples
    phi: float  # median-unbiased first-order autocorrelation, at most 1
    stderr: float  # of the plain estimate of phi
    n_obs: int
    fitted: int = 0  # regressors that were fitted to make the spread

    @property
    def reverts(self) -> bool:
        """Whether the interval excludes a spread that never comes back."""
        return bool(np.isfinite(self.high))


def spread(y: np.ndarray, x: np.ndarray, hedge_ratio: float, intercept: float = 0.0) -> np.ndarray:
    """y - hedge_ratio x - intercept, price units of y, shape (n,)."""
    return np.asarray(y, np.float64) - hedge_ratio * np.asarray(x, np.float64) - intercept


def half_life(spread: np.ndarray, fitted: int = 0) -> HalfLife:
    """Half-life of mean reversion, in bars, median-unbiased, with a 95 % interval.

    Regresses s[t] on s[t-1] with a constant; half-life = -ln 2 / ln(phi). The slope is too small in small samples, and
    more so where the spread is itself the residual of a regression. So phi is not read off but looked up: `bars` is
    the half-life at which half of all samples would show a larger slope than this one, `low` and `high` those at which
    2.5 % would show a larger and a smaller one. From phi = 1 on the half-life is infinite. Volatility that comes in
    clusters makes the slope less certain than it looks: the interval is widened by the ratio of White's standard error
    to the classical one, where that is above 1.

    Parameters
    ----------
    spread : float array, shape (n,), oldest first, n >= 20
    fitted : 0 for a spread whose hedge ratio was given; 1 for the residual of y on x and a constant over these bars

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    D. W. K. Andrews, Econometrica 61 (1993), exactly median-unbiased estimation; the distribution is simulated, see
    `analytics.ar1`. H. White, Econometrica 48 (1980). E. P. Chan, Algorithmic Trading (2013), ch. 2.
    """
    values = series(spread, "spread", MIN_OBS)
    # Centred by one value first: a price level of 1e9 must not take the digits of the moves.
    slope, stderr, widening = regression(values - values[0])
    if np.isnan(slope):
        raise DegenerateSeries("spread moves at its last bar only")
    low, phi, high = phi_interval(slope, values.size - 1, fitted, widening)
    bars = bars_of(np.array([phi, low, high, slope])).tolist()
    return HalfLife(
        bars=bars[0],
        low=bars[1],
        high=bars[2],
        uncorrected=bars[3],
        phi=phi,
        stderr=stderr,
        n_obs=values.size,
        fitted=fitted,
    )


def bars_of(phi: np.ndarray) -> np.ndarray:
    """Half-lives of first-order autocorrelations: 0 where a spread turns round within one bar, inf where it stays.

    -ln 2 / ln(phi); NaN stays NaN.
    """
    phi = np.asarray(phi, np.float64)
    known = np.where((phi > 0) & (phi < 1), phi, 0.5)
    return np.where(
        phi >= 1, np.inf, np.where(phi <= 0, 0.0, np.where(np.isnan(phi), np.nan, -np.log(2) / np.log(known)))
    )
