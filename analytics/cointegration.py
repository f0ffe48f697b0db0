"""Tests of a pair: does a combination of two wandering prices come back?"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from statsmodels.tsa.adfvalues import mackinnoncrit, mackinnonp

from analytics.checks import pair
from analytics.stationarity import LEVELS, Lags, dickey_fuller
from utils.errors import DegenerateSeries, InputError

MIN_OBS = 30
COLLINEAR = 100 * np.sqrt(np.finfo(float).eps)  # share of unexplained variance below which legs are the same


@dataclass(frozen=True, slots=True)
class EngleGranger:
    """Engle-Granger test. Null hypothesis: y and x are not cointegrated (their spread wanders)."""

    statistic: float
    pvalue: float  # from the tables for residuals of a fitted ratio, which plain ADF ignores
    critical_values: dict[str, float]
    hedge_ratio: float
    intercept: float
    lags: int
    n_obs: int
    trend: str


def engle_granger(y: np.ndarray, x: np.ndarray, trend: Literal["c", "ct"] = "c", lags: Lags = "aic") -> EngleGranger:
    """Engle-Granger test of y on x with MacKinnon's residual-based p-value.

    Fits y = intercept + hedge_ratio x (+ a time trend with "ct"), then runs a Dickey-Fuller regression without
    constant on the residual. The direction matters: test both and double the smaller p-value.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, n >= 30

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        A leg is constant, or the legs are the same up to scale and shift.

    References
    ----------
    R. F. Engle and C. W. J. Granger, Econometrica 55 (1987); MacKinnon (2010), as for `adf`.
    """
    y, x = pair(y, x, MIN_OBS)
    if trend not in ("c", "ct"):
        raise InputError(f"trend must be c or ct, was {trend!r}", "trend")
    columns = [x - x.mean(), np.ones(x.size)]
    if trend == "ct":
        columns.append(np.arange(1.0, x.size + 1))
    design = np.column_stack(columns)
    centred = y - y.mean()
    fitted = np.linalg.lstsq(design, centred, rcond=None)[0]
    residual = centred - design @ fitted
    if residual @ residual < COLLINEAR * (centred @ centred):
        raise DegenerateSeries("the legs are the same up to scale and shift: their spread is rounding")
    statistic, used, _ = dickey_fuller(residual, "n", lags)
    critical = mackinnoncrit(N=2, regression=trend, nobs=y.size - 1)
    return EngleGranger(
        statistic=statistic,
        pvalue=float(mackinnonp(statistic, regression=trend, N=2)),
        critical_values=dict(zip(LEVELS, map(float, critical), strict=True)),
        hedge_ratio=float(fitted[0]),
        intercept=float(fitted[1] + y.mean() - fitted[0] * x.mean()),
        lags=used,
        n_obs=y.size,
        trend=trend,
    )
