"""Tests of a single series: does it come back to a mean?"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from analytics.checks import series
from analytics.dickey_fuller import TREND_TERMS, Lags, Trend, dickey_fuller, trends, without_trends
from analytics.long_run import automatic_bandwidth, bartlett_parts
from analytics.null_tables import KPSS_LAWS, KPSS_PROBABILITIES
from analytics.random_walk import Hurst, VarianceRatio, hurst, variance_ratio
from analytics.significance import Law, mackinnon_critical_values, mackinnon_pvalue
from analytics.structural_break import ZivotAndrews, zivot_andrews
from utils.errors import DegenerateSeries, InputError, TooFewObservations

__all__ = [
    "ADF",
    "KPSS",
    "Hurst",
    "PhillipsPerron",
    "VarianceRatio",
    "ZivotAndrews",
    "adf",
    "hurst",
    "kpss",
    "phillips_perron",
    "variance_ratio",
    "zivot_andrews",
]

MIN_OBS = 20
NO_ERROR = 1e-20  # share of a sum of squares that is rounding


@dataclass(frozen=True, slots=True)
class ADF:
    """Augmented Dickey-Fuller test. Null hypothesis: the series has a unit root (it does not come back)."""

    statistic: float
    pvalue: float
    critical_values: dict[str, float]
    lags: int
    n_obs: int  # used in the regression
    trend: str


@dataclass(frozen=True, slots=True)
class PhillipsPerron:
    """Phillips-Perron test, Z_tau. Null hypothesis: the series has a unit root (it does not come back)."""

    statistic: float
    pvalue: float
    critical_values: dict[str, float]
    lags: int  # of the long-run variance
    n_obs: int  # used in the regression
    trend: str


@dataclass(frozen=True, slots=True)
class KPSS:
    """Kwiatkowski-Phillips-Schmidt-Shin test. Null hypothesis: the series is stationary around its trend."""

    statistic: float
    pvalue: float
    pvalue_is_bound: bool  # beyond the table, below 0.0001 or above 0.9999
    critical_values: dict[str, float]
    lags: int  # of the long-run variance
    n_obs: int
    trend: str


def adf(x: np.ndarray, trend: Trend = "c", lags: Lags = "aic") -> ADF:
    """Augmented Dickey-Fuller test with MacKinnon's p-value.

    Regresses the change on the previous level, `trend` terms and lagged changes; the statistic is the t of the level.
    With "aic" or "bic" the number of lags is chosen on one common sample, up to 12 (n/100)^(1/4), then the
    regression is run again on all observations that it leaves.

    Parameters
    ----------
    x : float array, shape (n,), oldest first, n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    S. E. Said and D. A. Dickey, Biometrika 71 (1984); J. G. MacKinnon, Journal of Business & Economic Statistics 12
    (1994).
    """
    values = series(x, "x", MIN_OBS)
    statistic, used, n_obs = dickey_fuller(values, trend, lags)
    return ADF(
        statistic=statistic,
        pvalue=mackinnon_pvalue(statistic, trend),
        critical_values=mackinnon_critical_values(trend),
        lags=used,
        n_obs=n_obs,
        trend=trend,
    )


def phillips_perron(x: np.ndarray, trend: Trend = "c", lags: Literal["auto"] | int = "auto") -> PhillipsPerron:
    """Phillips-Perron test Z_tau with MacKinnon's p-value.

    t of the level in a Dickey-Fuller regression without lags, corrected for memory of its errors u:
    Z = sqrt(g / w) t - n (w - g) / (2 sqrt(w S)), g the variance of u, w its long-run variance with `lags` Bartlett
    weights ("auto": 12 (n/100)^(1/4)), S the sum of squares of the level without its trend. Errors with a large
    negative moving average (a price that bounces between bid and ask) make it reject far too often; ADF less so.

    Parameters
    ----------
    x : float array, shape (n,), oldest first, n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    P. C. B. Phillips and P. Perron, Biometrika 75 (1988).
    """
    values = series(x, "x", MIN_OBS)
    if trend not in ("n", "c", "ct"):
        raise InputError(f"trend must be n, c or ct, was {trend!r}", "trend")
    used = _window(values.size - 1, math.ceil(12 * (values.size / 100) ** 0.25), lags)
    statistic = _phillips_perron(values, TREND_TERMS[trend], used)
    return PhillipsPerron(
        statistic=statistic,
        pvalue=mackinnon_pvalue(statistic, trend),
        critical_values=mackinnon_critical_values(trend),
        lags=used,
        n_obs=values.size - 1,
        trend=trend,
    )


def kpss(x: np.ndarray, trend: Literal["c", "ct"] = "c", lags: Literal["auto"] | int = "auto") -> KPSS:
    """KPSS test of level ("c") or trend ("ct") stationarity: sum of squared partial sums / (n^2 long-run variance).

    "auto" chooses the lags of the long-run variance from the data (Hobijn et al.). The p-value is that of the limit
    law, which is known exactly, in place of the four published values. Under the null of *autocorrelated* noise the
    test rejects too often (AR(1) with coefficient 0.8 at 500 bars: 12 %, with 0.95: 42 %): a slowly reverting spread is
    hardly ever called stationary, so that a small p-value alone says little against it.

    Parameters
    ----------
    x : float array, shape (n,), oldest first, n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    D. Kwiatkowski et al., Journal of Econometrics 54 (1992); B. Hobijn et al., Statistica Neerlandica 58 (2004).
    """
    values = series(x, "x", MIN_OBS)
    if trend not in ("c", "ct"):
        raise InputError(f"trend must be c or ct, was {trend!r}", "trend")
    residual = without_trends(values, TREND_TERMS[trend])
    if not residual @ residual > NO_ERROR * (values @ values):
        raise DegenerateSeries("x is a line: nothing is left around its trend")
    used = _window(values.size, int(automatic_bandwidth(residual, int(values.size ** (2 / 9)))), lags)
    variance, later = bartlett_parts(residual, used)
    sums = np.cumsum(residual)
    statistic = float(sums @ sums / (values.size**2 * (variance + 2 * later)))
    null = Law(KPSS_PROBABILITIES, KPSS_LAWS[trend])
    return KPSS(
        statistic=statistic,
        pvalue=null.above(statistic),
        pvalue_is_bound=null.is_outside(statistic),
        critical_values=null.upper_critical_values(),
        lags=used,
        n_obs=values.size,
        trend=trend,
    )


def _window(n: int, automatic: int, lags: Literal["auto"] | int) -> int:
    """Lags of a long-run variance of n values.

    Raises
    ------
    InputError, TooFewObservations
    """
    if isinstance(lags, str):
        if lags != "auto":
            raise InputError(f"lags must be auto or a number, was {lags!r}", "lags")
        return min(automatic, n - 1)
    if not 0 <= lags < n:
        raise TooFewObservations(have=n, need=lags + 1, what="observations")
    return int(lags)


def _phillips_perron(values: np.ndarray, terms: int, lags: int) -> float:
    """Z_tau.

    Raises
    ------
    DegenerateSeries
    """
    path = without_trends(values, terms)
    if not path @ path > NO_ERROR * (values @ values):
        raise DegenerateSeries("x is a line: nothing is left around its trend")
    change, level = np.diff(path), path[:-1]
    for row in np.linalg.qr(trends(values.size, terms)[:, 1:].T)[0].T:
        change, level = change - row * (row @ change), level - row * (row @ level)
    n, square = change.size, level @ level
    pull = level @ change / square
    error = change - pull * level
    if not error @ error > NO_ERROR * square:
        raise DegenerateSeries("the series follows its own past without any error")
    variance, later = bartlett_parts(error, lags)
    long_run = variance + 2 * later
    stderr = math.sqrt(variance * n / (n - terms - 1) / square)
    return float(math.sqrt(variance / long_run) * pull / stderr - later * n / math.sqrt(long_run * square))
