"""The Phillips-Ouliaris test: Engle-Granger's question with memory of the errors taken out by their long-run variance.

No lags enter the regression, so that no lag rule has to be right; a moving-average error with a large negative weight
misleads it instead (false cointegration).
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr

from analytics.cointegrating_regression import PairTrend, cointegrating_fit
from analytics.long_run import automatic_bandwidth, bartlett_parts
from analytics.significance import LEVELS
from utils.errors import DegenerateSeries

MIN_OBS = 30
NO_ERROR = 1e-20  # share of the residual's square that is no change
KINDS = {"Zt": (-15.0, 0.0), "Za": (-250.0, 0.0)}  # of statistic: between these lies every level


@dataclass(frozen=True, slots=True)
class PhillipsOuliaris:
    """Phillips-Ouliaris test. Null hypothesis: y and x are not cointegrated (their spread wanders)."""

    statistic: float  # Z_tau, of the kind of a t-statistic
    pvalue: float
    critical_values: dict[str, float]
    z_alpha: float  # of the kind of n (coefficient - 1)
    z_alpha_pvalue: float
    z_alpha_critical_values: dict[str, float]
    hedge_ratio: float
    intercept: float
    lags: float  # bandwidth of Bartlett's weights, chosen by the data
    n_obs: int
    trend: str


def phillips_ouliaris(y: np.ndarray, x: np.ndarray, trend: PairTrend = "c") -> PhillipsOuliaris:
    """Phillips-Ouliaris tests Z_tau and Z_alpha of y on x.

    The residual u of y on x is regressed on its past, u[t] = a u[t-1] + k[t]; z = a - 1 - n lambda / sum u[t-1]^2,
    where lambda is the weighted sum of k's autocovariances. Z_alpha = n z and Z_tau = z / sqrt(omega / sum u[t-1]^2),
    where omega is the long-run variance of k. The direction matters, as in `engle_granger`.

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
    P. C. B. Phillips and S. Ouliaris, Econometrica 58 (1990); p-values: the simulation of arch (25 million runs).
    """
    fit = cointegrating_fit(y, x, trend, MIN_OBS)
    z_tau, z_alpha, bandwidth = _statistics(fit.residual)
    return PhillipsOuliaris(
        statistic=z_tau,
        pvalue=_pvalue(z_tau, "Zt", trend),
        critical_values=_critical_values("Zt", trend),
        z_alpha=z_alpha,
        z_alpha_pvalue=_pvalue(z_alpha, "Za", trend),
        z_alpha_critical_values=_critical_values("Za", trend),
        hedge_ratio=fit.hedge_ratio,
        intercept=fit.intercept,
        lags=bandwidth,
        n_obs=fit.residual.size,
        trend=trend,
    )


def _statistics(residual: np.ndarray) -> tuple[float, float, float]:
    """Z_tau, Z_alpha and the bandwidth.

    Raises
    ------
    DegenerateSeries
    """
    n, past = residual.size, residual[:-1]
    square = past @ past
    change = np.diff(residual)
    pull = (past @ change) / square
    error = change - pull * past
    if not error @ error > NO_ERROR * square:
        raise DegenerateSeries("the spread follows its own past without any error")
    bandwidth = automatic_bandwidth(error, math.ceil(4 * (error.size / 100) ** (2 / 9)))
    variance, later = bartlett_parts(error, bandwidth)
    z = pull - (n - 1) * later / square
    omega = (n - 1) / n * (variance + 2 * later)
    return float(z / np.sqrt(omega / square)), float(n * z), bandwidth


def _critical_values(kind: str, trend: str) -> dict[str, float]:
    return dict(zip(LEVELS, _quantiles(kind, trend), strict=True))


@lru_cache
def _quantiles(kind: str, trend: str) -> tuple[float, ...]:
    """The statistics at which the p-value is 1, 5 and 10 %."""
    return tuple(
        float(brentq(lambda at, level=level: _pvalue(at, kind, trend) - level, *KINDS[kind], xtol=1e-12))
        for level in LEVELS.values()
    )


def _pvalue(statistic: float, kind: str, trend: str) -> float:
    """Asymptotic probability of a smaller statistic for two unrelated walks: arch's polynomials of the normal score."""
    low, high, turn, small, large = _polynomials(kind, trend)
    if not low < statistic < high:
        return float(statistic >= high)
    return float(ndtr(np.polynomial.polynomial.polyval(statistic, large if statistic > turn else small)))


@lru_cache
def _polynomials(kind: str, trend: str) -> tuple[float, float, float, tuple[float, ...], tuple[float, ...]]:
    from arch.unitroot.critical_values import phillips_ouliaris as tables  # 0.3 s, paid by whom it serves

    at = kind, trend, 2
    small, large = tuple(tables.PVAL_SMALL_P[at]), tuple(tables.PVAL_LARGE_P[at])
    return tables.PVAL_TAU_MIN[at], tables.PVAL_TAU_MAX[at], tables.PVAL_TAU_STAR[at], small, large
