"""Tests of a pair: does a combination of two wandering prices come back?"""

from dataclasses import dataclass

import numpy as np

from analytics.cointegrating_regression import PairTrend, cointegrating_fit
from analytics.dickey_fuller import Lags, dickey_fuller
from analytics.johansen import Johansen, RankTest, johansen
from analytics.phillips_ouliaris import PhillipsOuliaris, phillips_ouliaris
from analytics.significance import mackinnon_critical_values, mackinnon_pvalue

__all__ = [
    "BothDirections",
    "EngleGranger",
    "Johansen",
    "PhillipsOuliaris",
    "RankTest",
    "both_directions",
    "engle_granger",
    "johansen",
    "phillips_ouliaris",
]

MIN_OBS = 30


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


@dataclass(frozen=True, slots=True)
class BothDirections:
    """Engle-Granger tests of y on x and of x on y. Null hypothesis: the two are not cointegrated."""

    y_on_x: EngleGranger
    x_on_y: EngleGranger

    @property
    def pvalue(self) -> float:
        """The smaller p-value, doubled for having looked twice: an upper bound.

        It calls no more unrelated walks cointegrated than the single test does at that level, and fewer the more
        the two directions are one question: 3.6 to 5.7 %.
        """
        return min(1.0, 2 * min(self.y_on_x.pvalue, self.x_on_y.pvalue))


def engle_granger(y: np.ndarray, x: np.ndarray, trend: PairTrend = "c", lags: Lags = "aic") -> EngleGranger:
    """Engle-Granger test of y on x with MacKinnon's residual-based p-value.

    Fits y = intercept + hedge_ratio x (+ a time trend with "ct"), then runs a Dickey-Fuller regression without
    constant on the residual. The direction matters: see `both_directions`.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, n >= 30

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        A leg is constant or a line, or the legs are the same up to scale and shift.

    References
    ----------
    R. F. Engle and C. W. J. Granger, Econometrica 55 (1987); MacKinnon (1994), as for `adf`.
    """
    fit = cointegrating_fit(y, x, trend, MIN_OBS)
    statistic, used, _ = dickey_fuller(fit.residual, "n", lags)
    return EngleGranger(
        statistic=statistic,
        pvalue=mackinnon_pvalue(statistic, trend, series=2),
        critical_values=mackinnon_critical_values(trend, series=2),
        hedge_ratio=fit.hedge_ratio,
        intercept=fit.intercept,
        lags=used,
        n_obs=fit.residual.size,
        trend=trend,
    )


def both_directions(y: np.ndarray, x: np.ndarray, trend: PairTrend = "c", lags: Lags = "aic") -> BothDirections:
    """Engle-Granger tests of y on x and of x on y, with one p-value for having looked at both.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
        As `engle_granger`.
    """
    return BothDirections(engle_granger(y, x, trend, lags), engle_granger(x, y, trend, lags))
