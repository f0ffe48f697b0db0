"""Correlation of returns, and over lags of bars."""

from dataclasses import dataclass

import numpy as np

from analytics.checks import pair
from analytics.correlation.intervals import MIN_OBS, SAME, block_count, block_starts, interval
from analytics.normal import Z_95
from utils.errors import DegenerateSeries, InputError


@dataclass(frozen=True, slots=True)
class Correlation:
    """A correlation, -1..1, with its 95 % interval."""

    correlation: float
    low: float
    high: float
    n_obs: int
    blocks: int  # left out in turn for the interval


@dataclass(frozen=True, slots=True, eq=False)
class CrossCorrelation:
    """Correlation of y with x so many bars before; at a positive lag x comes first."""

    lags: np.ndarray  # bars, shape (2 max_lag + 1,)
    correlation: np.ndarray  # of the same shape
    band: np.ndarray  # |correlation| that unrelated returns exceed in 5 % of samples, at this one lag
    n_obs: int


def pearson(y: np.ndarray, x: np.ndarray) -> Correlation:
    """Pearson correlation of two series of returns, dimensionless, with a 95 % interval.

    r = S_xy / sqrt(S_xx S_yy), centred; the interval leaves out blocks in turn (see `intervals`). It holds under
    heavy tails, volatility that comes in clusters and autocorrelation shorter than a block. Of prices instead of
    returns no interval is honest: their correlation settles nowhere.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, n >= 25

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        A series is constant, or both are one series in two units.
    """
    y, x = pair(y, x, MIN_OBS)
    sums = np.add.reduceat(_moments(_centred(y), _centred(x)), block_starts(y.size), axis=1)
    whole = sums.sum(axis=1)
    correlation = float(from_moments(whole))
    if abs(correlation) >= 1 - SAME:
        raise DegenerateSeries("the two series are the same but for their units")
    low, high = interval(correlation, from_moments(whole[:, None] - sums))
    return Correlation(correlation, low, high, y.size, block_count(y.size))


def cross_correlation(y: np.ndarray, x: np.ndarray, max_lag: int) -> CrossCorrelation:
    """Correlation of y[t] with x[t - lag] for each lag from -max_lag to max_lag bars.

    c(k) = sum u[t] v[t - k] / (n s_u s_v). The band is 1.96 sqrt(sum u[t]^2 v[t - k]^2) / (n s_u s_v): it asks for no
    constant variance, but for returns that do not predict themselves, and it is of one lag: of 41 lags two leave
    it by chance. A leg that trades less often seems to follow the other one (its bars end at older prices);
    `lead_lag` on trades does not have that fault.

    Parameters
    ----------
    y, x : float arrays of returns, shape (n,), oldest first, n >= 25 + max_lag

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    A. W. Lo and A. C. MacKinlay, Journal of Econometrics 45 (1990), on the fault.
    """
    if max_lag < 1:
        raise InputError(f"max_lag must be >= 1, was {max_lag}", "max_lag")
    y, x = pair(y, x, MIN_OBS + max_lag)
    u, v = _centred(y), _centred(x)
    scale = y.size * u.std() * v.std()
    lags = np.arange(-max_lag, max_lag + 1)
    both = [(u[max(k, 0) : u.size + min(k, 0)], v[max(-k, 0) : v.size - max(k, 0)]) for k in lags.tolist()]
    correlation = np.array([a @ b for a, b in both]) / scale
    band = Z_95 * np.sqrt([(a * a) @ (b * b) for a, b in both]) / scale
    return CrossCorrelation(lags, correlation, band, y.size)


def from_moments(sums: np.ndarray) -> np.ndarray:
    """Correlation from n, sum y, sum x, sum yy, sum xx, sum yx along the first axis; NaN where one is flat."""
    n, sy, sx, syy, sxx, sxy = sums
    with np.errstate(divide="ignore", invalid="ignore"):
        product = (syy - sy * sy / n) * (sxx - sx * sx / n)
        return np.where(product > 0, (sxy - sy * sx / n) / np.sqrt(product), np.nan)


def _moments(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """What `from_moments` sums, of each observation: shape (6, n)."""
    return np.stack((np.ones(y.size), y, x, y * y, x * x, y * x))


def _centred(values: np.ndarray) -> np.ndarray:
    """Without its mean and in its own largest units: sums then keep their digits at any level."""
    moves = values - values.mean()
    return moves / np.abs(moves).max()
