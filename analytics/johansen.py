"""The Johansen test: how many combinations of two prices come back, with neither price taken as the explained one."""

import math
from dataclasses import dataclass

import numpy as np

from analytics.cointegrating_regression import cointegrating_fit
from analytics.dickey_fuller import Lags
from analytics.lagged_products import factored, lagged_products
from analytics.null_tables import JOHANSEN, JOHANSEN_PROBABILITIES
from analytics.significance import Law
from utils.errors import DegenerateSeries, InputError, TooFewObservations

MIN_OBS = 60
SIGNIFICANT = 0.05


@dataclass(frozen=True, slots=True)
class RankTest:
    """One likelihood ratio: is the number of combinations that come back larger than the null hypothesis says?"""

    statistic: float
    pvalue: float
    pvalue_is_bound: bool  # outside of the table: the truth is further out
    critical_values: dict[str, float]


@dataclass(frozen=True, slots=True)
class Johansen:
    """Johansen test. Null hypothesis of `pvalue`: no combination of the two comes back (rank 0)."""

    trace: tuple[RankTest, RankTest]  # null: rank 0; rank at most 1
    max_eigenvalue: tuple[RankTest, RankTest]  # null: rank 0 against 1; rank 1 against 2
    rank: int  # at 5 % by trace: 0 none, 1 cointegrated, 2 both legs are stationary by themselves
    hedge_ratio: float  # of the combination that comes back the most: y - hedge_ratio x
    eigenvalues: tuple[float, float]
    lags: int  # lagged changes
    n_obs: int  # used in the regression
    trend: str

    @property
    def statistic(self) -> float:
        """Trace statistic of rank 0."""
        return self.trace[0].statistic

    @property
    def pvalue(self) -> float:
        """p-value of the trace statistic of rank 0."""
        return self.trace[0].pvalue

    @property
    def critical_values(self) -> dict[str, float]:
        """Critical values of the trace statistic of rank 0."""
        return self.trace[0].critical_values


def johansen(y: np.ndarray, x: np.ndarray, lags: Lags = "aic") -> Johansen:
    """Johansen's trace and maximum-eigenvalue tests of two series, with a constant and lagged changes.

    The eigenvalues are the squared canonical correlations of changes and previous levels beside constant and lags;
    maximum = -n ln(1 - largest), trace = -n sum ln(1 - each). With "aic" or "bic" the lags are chosen on one common
    sample, up to 12 (n/100)^(1/4). Unlike the regressions, it does not matter which leg is y.

    The p-values are those of walks without drift. Most programs print the values of walks with drift beside this
    regression (trace 15.49 at 5 %): without drift, 11 % of unrelated walks exceed them. The right value is 18.04.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, n >= 60

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        A leg is constant, or the legs are the same up to scale and shift.

    References
    ----------
    S. Johansen, Econometrica 59 (1991); M. Osterwald-Lenum, Oxford Bulletin of Economics and Statistics 54 (1992),
    table 1.1*.
    """
    cointegrating_fit(y, x, "c", MIN_OBS)  # for what it refuses
    levels = np.array([np.asarray(leg, np.float64) - np.mean(leg) for leg in (y, x)])
    fixed, changes = np.vstack((np.ones(levels.shape[1] - 1), levels[:, :-1])), np.diff(levels)
    used = _lags(fixed, changes, lags)
    eigenvalues, vectors = _canonical(fixed, changes, used)
    n = changes.shape[1] - used
    largest, smaller = (float(part) for part in -n * np.log1p(-eigenvalues))
    trace = _rank_test(largest + smaller, "trace"), _rank_test(smaller, "last")
    return Johansen(
        trace=trace,
        max_eigenvalue=(_rank_test(largest, "max"), trace[1]),
        rank=_rank(trace),
        hedge_ratio=float(-vectors[1, 0] / vectors[0, 0]),
        eigenvalues=(float(eigenvalues[0]), float(eigenvalues[1])),
        lags=used,
        n_obs=n,
        trend="c",
    )


def _rank_test(statistic: float, kind: str) -> RankTest:
    law = Law(JOHANSEN_PROBABILITIES, JOHANSEN[kind])
    return RankTest(statistic, law.above(statistic), law.is_outside(statistic), law.upper_critical_values())


def _rank(trace: tuple[RankTest, RankTest]) -> int:
    """The first rank that is not rejected."""
    return next((rank for rank, test in enumerate(trace) if test.pvalue >= SIGNIFICANT), 2)


def _lags(fixed: np.ndarray, changes: np.ndarray, lags: Lags) -> int:
    """Lagged changes that a rule or a number asks for.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    n = changes.shape[1] + 1
    room = (n // 2 - 3) // 3
    if not isinstance(lags, str):
        if not 0 <= lags <= room:
            raise TooFewObservations(have=n, need=2 * (3 * lags + 3), what="observations")
        return int(lags)
    if lags not in ("aic", "bic"):
        raise InputError(f"lags must be aic, bic or a number, was {lags!r}", "lags")
    most = min(math.ceil(12 * (n / 100) ** 0.25), room)
    factor, rows = _factor(fixed, changes, most, after=0), changes.shape[1] - most
    shares = factor[-2:, len(fixed) :].reshape(2, most + 1, 2)  # of lag 1, lag 2, ..., and what is left
    left = np.cumsum(np.einsum("ikp,jkp->kij", shares, shares)[::-1], axis=0)[::-1]  # row k: with k lags
    cost = 4 * (2.0 if lags == "aic" else math.log(rows))
    scores = rows * np.log(left[:, 0, 0] * left[:, 1, 1] - left[:, 0, 1] ** 2) + cost * np.arange(most + 1)
    return int(np.argmin(scores))


def _factor(fixed: np.ndarray, changes: np.ndarray, lags: int, after: int) -> np.ndarray:
    """Cholesky factor of all cross products.

    Raises
    ------
    DegenerateSeries
    """
    factor, sound = factored(lagged_products(fixed, changes, lags, after))
    if not sound:
        raise DegenerateSeries("the legs follow each other or their own past without any error")
    return factor


def _canonical(fixed: np.ndarray, changes: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """Squared canonical correlations of changes and levels, largest first, and their combinations of levels as columns.

    The factor's last rows are, on one orthonormal basis, what constant and lags leave of levels and changes.

    Raises
    ------
    DegenerateSeries
    """
    factor = _factor(fixed, changes, lags, after=2)
    level, across, own = factor[-4:-2, -4:-2], factor[-2:, -4:-2], factor[-2:, -2:]
    inside = across @ across.T + own @ own.T
    eigenvalues, vectors = np.linalg.eigh(across.T @ np.linalg.solve(inside, across))
    return eigenvalues[::-1], np.linalg.solve(level.T, vectors[:, ::-1])
