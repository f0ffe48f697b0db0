"""Spread, z-score and half-life: how far from the mean, and how fast back."""

from dataclasses import dataclass

import numpy as np

from analytics.checks import series
from analytics.statistics import rolling_mean_std

MIN_OBS = 20
Z_95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class HalfLife:
    """How fast a spread closes half of its gap to the mean, in bars, with a 95 % interval."""

    bars: float  # bias-corrected; inf when the spread does not revert
    low: float
    high: float  # inf is an honest end: the data does not exclude a spread that never comes back
    uncorrected: float  # what the plain regression says: too short in small samples
    phi: float  # bias-corrected first-order autocorrelation
    stderr: float  # of phi
    n_obs: int


def spread(y: np.ndarray, x: np.ndarray, hedge_ratio: float, intercept: float = 0.0) -> np.ndarray:
    """y - hedge_ratio x - intercept, price units of y, shape (n,)."""
    return np.asarray(y, np.float64) - hedge_ratio * np.asarray(x, np.float64) - intercept


def zscore(spread: np.ndarray, window: int) -> np.ndarray:
    """(spread - rolling mean) / rolling standard deviation (ddof 1), shape (n,).

    NaN until the window is full, and where the spread does not vary in it.

    Raises
    ------
    InputError
    """
    values = np.asarray(spread, np.float64)
    mean, std = rolling_mean_std(values, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(std > 0, (values - mean) / std, np.nan)


def half_life(spread: np.ndarray) -> HalfLife:
    """Half-life of mean reversion, in bars, corrected for the small-sample bias.

    Regresses s[t] - s[t-1] on s[t-1] with a constant: slope lambda, phi = 1 + lambda. The estimate of phi is too
    small by about (1 + 3 phi) / n, which is added back; half-life = -ln 2 / ln(phi). The interval transforms
    phi -+ 1.96 standard errors; from phi = 1 on it is infinite.

    Parameters
    ----------
    spread : float array, shape (n,), oldest first, n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    M. G. Kendall, Biometrika 41 (1954); E. P. Chan, Algorithmic Trading (2013), ch. 2.
    """
    values = series(spread, "spread", MIN_OBS)
    level, change = values[:-1] - values[:-1].mean(), np.diff(values)
    n = level.size
    slope = float(level @ (change - change.mean()) / (level @ level))
    residual = change - change.mean() - slope * level
    stderr = float(np.sqrt(residual @ residual / (n - 2) / (level @ level)))
    plain = 1 + slope
    phi = plain + (1 + 3 * plain) / n
    return HalfLife(
        bars=_bars(phi),
        low=_bars(phi - Z_95 * stderr),
        high=_bars(phi + Z_95 * stderr),
        uncorrected=_bars(plain),
        phi=phi,
        stderr=stderr,
        n_obs=values.size,
    )


def _bars(phi: float) -> float:
    """-ln 2 / ln(phi): 0 where the spread turns round within one bar, inf where it does not revert."""
    if phi >= 1:
        return float("inf")
    return float(-np.log(2) / np.log(phi)) if phi > 0 else 0.0
