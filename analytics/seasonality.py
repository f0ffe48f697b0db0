"""A series taken apart: slow trend, repeating season, and what is left."""

from dataclasses import dataclass

import numpy as np
from statsmodels.tsa.seasonal import STL

from analytics.checks import series
from utils.errors import InputError

DAY_S = 86_400
SEASONS = 2  # fewer, and what repeats cannot be told from what happened once


@dataclass(frozen=True, slots=True, eq=False)
class Decomposition:
    """observed = trend + seasonal + residual, each of shape (n,), units of the data.

    For looking back only: every value rests on bars before and after it, so none may make a signal.
    """

    observed: np.ndarray
    trend: np.ndarray
    seasonal: np.ndarray
    residual: np.ndarray
    period: int  # bars
    trend_strength: float  # 1 - var(residual) / var(trend + residual), not below 0
    seasonal_strength: float  # likewise; a season fitted to noise has some too, see `decompose`
    n_obs: int


def decompose(x: np.ndarray, period: int) -> Decomposition:
    """Seasonal-trend decomposition by loess (STL), robust to outliers; statsmodels computes it.

    The season may change slowly (loess over 7 seasons). Smoothers are evaluated at every tenth of the period and
    interpolated between, as their authors advise: 15 times faster at a period of 288, the same picture. A season is
    always found: independent noise has a seasonal strength of 0.2 to 0.35, a random walk over two periods 0.7.

    Parameters
    ----------
    x : float array, shape (n,), oldest first, n >= 2 period
    period : bars of one season, >= 2; `bars_a_day` gives that of the time of day

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    R. B. Cleveland et al., Journal of Official Statistics 6 (1990); X. Wang, K. Smith and R. Hyndman, Data Mining
    and Knowledge Discovery 13 (2006), on strength.
    """
    if period < 2:
        raise InputError(f"period must be >= 2 bars, was {period}", "period")
    values = series(x, "x", SEASONS * period)
    jump = max(1, period // 10)
    parts = STL(values, period=int(period), robust=True, trend_jump=jump, low_pass_jump=jump).fit()
    return Decomposition(
        observed=values.copy(),
        trend=parts.trend,
        seasonal=parts.seasonal,
        residual=parts.resid,
        period=int(period),
        trend_strength=_strength(parts.trend, parts.resid),
        seasonal_strength=_strength(parts.seasonal, parts.resid),
        n_obs=values.size,
    )


def bars_a_day(timeframe_s: float) -> int:
    """Period of the time of day, bars.

    Raises
    ------
    InputError
        Bars that do not fill a day evenly, or fewer than two a day.
    """
    bars = DAY_S / timeframe_s if timeframe_s > 0 else 0
    if bars < 2 or bars != int(bars):
        raise InputError(f"timeframe_s must divide a day of {DAY_S} s in two parts or more, was {timeframe_s:g}")
    return int(bars)


def _strength(part: np.ndarray, residual: np.ndarray) -> float:
    """Share of a part in what it and the residual vary together, 0..1."""
    whole = float(np.var(part + residual))
    return max(0.0, 1 - float(np.var(residual)) / whole) if whole > 0 else 0.0
