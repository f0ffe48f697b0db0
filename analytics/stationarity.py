"""Tests of a single series: does it come back to a mean?"""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from statsmodels.tools.sm_exceptions import InterpolationWarning
from statsmodels.tsa.adfvalues import mackinnoncrit, mackinnonp
from statsmodels.tsa.stattools import kpss as statsmodels_kpss

from analytics.checks import series
from utils.errors import DegenerateSeries, InputError, TooFewObservations

Trend = Literal["n", "c", "ct", "ctt"]
Lags = Literal["aic", "bic"] | int
TREND_TERMS = {"n": 0, "c": 1, "ct": 2, "ctt": 3}
LEVELS = ("1%", "5%", "10%")
MIN_OBS = 20


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
class KPSS:
    """Kwiatkowski-Phillips-Schmidt-Shin test. Null hypothesis: the series is stationary around its trend."""

    statistic: float
    pvalue: float
    pvalue_is_bound: bool  # beyond the published table: the truth is further out
    critical_values: dict[str, float]
    lags: int
    n_obs: int
    trend: str


def adf(x: np.ndarray, trend: Trend = "c", lags: Lags = "aic") -> ADF:
    """Augmented Dickey-Fuller test with MacKinnon's p-value and critical values.

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
    J. G. MacKinnon, Critical Values for Cointegration Tests, Queen's University working paper 1227 (2010).
    """
    values = series(x, "x", MIN_OBS)
    statistic, used, n_obs = dickey_fuller(values, trend, lags)
    critical = mackinnoncrit(N=1, regression=trend, nobs=n_obs)
    return ADF(
        statistic=statistic,
        pvalue=float(mackinnonp(statistic, regression=trend, N=1)),
        critical_values=dict(zip(LEVELS, map(float, critical), strict=True)),
        lags=used,
        n_obs=n_obs,
        trend=trend,
    )


def kpss(x: np.ndarray, trend: Literal["c", "ct"] = "c", lags: Literal["auto"] | int = "auto") -> KPSS:
    """KPSS test of level ("c") or trend ("ct") stationarity; statsmodels computes it.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    D. Kwiatkowski et al., Journal of Econometrics 54 (1992).
    """
    values = series(x, "x", MIN_OBS)
    if trend not in ("c", "ct"):
        raise InputError(f"trend must be c or ct, was {trend!r}", "trend")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InterpolationWarning)  # told by pvalue_is_bound
        warnings.simplefilter("ignore", FutureWarning)
        statistic, pvalue, used, critical = statsmodels_kpss(values, regression=trend, nlags=lags)[:4]
    return KPSS(
        statistic=float(statistic),
        pvalue=float(pvalue),
        pvalue_is_bound=bool(pvalue <= 0.01 or pvalue >= 0.1),
        critical_values={level: float(value) for level, value in critical.items()},
        lags=int(used),
        n_obs=values.size,
        trend=trend,
    )


def dickey_fuller(values: np.ndarray, trend: Trend, lags: Lags) -> tuple[float, int, int]:
    """t-statistic of the level, lags used and observations used.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    if trend not in TREND_TERMS:
        raise InputError(f"trend must be one of {', '.join(TREND_TERMS)}, was {trend!r}", "trend")
    most = min(int(np.ceil(12 * (values.size / 100) ** 0.25)), values.size // 2 - TREND_TERMS[trend] - 1)
    if isinstance(lags, str):
        if lags not in ("aic", "bic"):
            raise InputError(f"lags must be aic, bic or a number, was {lags!r}", "lags")
        lags = _best_lags(values, trend, max(most, 0), lags)
    elif not 0 <= lags <= values.size // 2 - TREND_TERMS[trend] - 1:
        raise TooFewObservations(have=values.size, need=2 * (lags + TREND_TERMS[trend] + 1), what="observations")
    change, columns = _regression(values, trend, lags)
    level_last = np.column_stack(
        (columns[:, : -1 - lags], columns[:, columns.shape[1] - lags :], columns[:, -1 - lags])
    )
    q, r = np.linalg.qr(level_last)
    along = q.T @ change
    residual = change - q @ along
    freedom = change.size - level_last.shape[1]
    sigma = np.sqrt(residual @ residual / freedom)
    if not sigma > 1e-14 * np.sqrt(change @ change / change.size):
        raise DegenerateSeries("the series follows its own past without any error")
    return float(along[-1] * np.sign(r[-1, -1]) / sigma), lags, change.size


def _best_lags(values: np.ndarray, trend: Trend, most: int, criterion: str) -> int:
    """Lags with the least information criterion, all judged on the sample that the most lags leave.

    One QR gives the residual sum of squares of every lag: each column takes its own share away.
    """
    change, columns = _regression(values, trend, most)
    q = np.linalg.qr(columns)[0]
    along = q.T @ change
    residual = change - q @ along
    shares = along[::-1] ** 2
    left = float(residual @ residual) + np.concatenate(([0.0], np.cumsum(shares)))[::-1]
    terms = np.arange(left.size)
    cost = 2.0 if criterion == "aic" else np.log(change.size)
    first = columns.shape[1] - most  # terms of the regression without lags
    with np.errstate(divide="ignore"):
        scores = change.size * np.log(left[first:] / change.size) + cost * terms[first:]
    return int(np.argmin(scores))


def _regression(values: np.ndarray, trend: Trend, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Changes, and the columns that explain them: trend terms, previous level, lagged changes."""
    change = np.diff(values)
    n = change.size - lags
    time = np.arange(1.0, n + 1)
    trends = [np.ones(n), time, time**2][: TREND_TERMS[trend]]
    lagged = [change[lags - lag : change.size - lag] for lag in range(1, lags + 1)]
    return change[lags:], np.column_stack((*trends, values[lags:-1], *lagged))
