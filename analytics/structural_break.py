"""The Zivot-Andrews test: a unit root, or a stationary series whose level or trend broke once at an unknown bar?

Every possible break is tried. Done plainly that is one regression for each; here everything but the break's dummy is
taken out of the series once, and the cross products of a step or a kinked line with anything are suffix sums, so that
all breaks together cost O(n lags).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analytics.checks import series
from analytics.dickey_fuller import Lags, lags_used, trends, without_trends
from analytics.null_tables import ZIVOT_ANDREWS, ZIVOT_ANDREWS_PROBABILITIES
from analytics.significance import law
from utils.errors import DegenerateSeries, InputError

MIN_OBS = 60
TRIM = 0.15  # share of the series at each end in which no break is looked for; the tables hold for this one
ROUNDING = 1e-20  # share of a sum of squares that is no variation

BreakIn = Literal["c", "t", "ct"]


@dataclass(frozen=True, slots=True)
class ZivotAndrews:
    """Zivot-Andrews test. Null hypothesis: the series has a unit root and no break."""

    statistic: float
    pvalue: float
    pvalue_is_bound: bool  # outside of the table: the truth is further out
    critical_values: dict[str, float]
    break_index: int  # the last bar before the break that speaks most against the null
    lags: int
    n_obs: int  # used in each regression
    trend: str  # what breaks: the level "c", the slope "t", or both "ct"


def zivot_andrews(x: np.ndarray, trend: BreakIn = "c", lags: Lags = "aic") -> ZivotAndrews:
    """Zivot-Andrews test: the least Dickey-Fuller t-statistic over all single breaks in the middle 70 % of the bars.

    Each regression has a constant, a line, the break's step and/or kinked line, the previous level and lagged changes;
    their number is chosen once, without break. The p-value comes from a simulation of unit roots without break under
    this same rule at sizes from 60 to 4,000 (`null_tables`).

    Parameters
    ----------
    x : float array, shape (n,), oldest first, n >= 60

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    E. Zivot and D. W. K. Andrews, Journal of Business & Economic Statistics 10 (1992).
    """
    values = series(x, "x", MIN_OBS)
    if trend not in ZIVOT_ANDREWS:
        raise InputError(f"trend must be c, t or ct, was {trend!r}", "trend")
    used = lags_used(values, "ct", lags)
    statistics, first = _statistics(values, trend, used)
    best = int(np.argmin(statistics))
    null = law(ZIVOT_ANDREWS_PROBABILITIES, ZIVOT_ANDREWS[trend], values.size)
    statistic = float(statistics[best])
    return ZivotAndrews(
        statistic=statistic,
        pvalue=null.below(statistic),
        pvalue_is_bound=null.is_outside(statistic),
        critical_values=null.lower_critical_values(),
        break_index=first + best,
        lags=used,
        n_obs=values.size - 1 - used,
        trend=trend,
    )


def _statistics(values: np.ndarray, trend: BreakIn, lags: int) -> tuple[np.ndarray, int]:
    """t-statistic of the level for each break, and the last bar before the first of them."""
    change, level, basis = _without_common(values, lags)
    edge = int(values.size * TRIM)
    first = max(edge, lags + 2)  # an earlier step would be the constant
    starts = np.arange(first, values.size - edge) - lags  # row of the regression in which each break begins
    steps = _suffix_sums(np.column_stack((basis, change, level)))
    dummies = []
    if trend != "t":
        dummies.append((steps[starts], (change.size - starts).astype(float)))
    if trend != "c":
        kinks, begin = _suffix_sums(steps), starts - (trend == "t")
        count = (change.size - begin).astype(float)
        dummies.append((kinks[begin], count * (count + 1) * (2 * count + 1) / 6))
    overlap = (count * (count + 1) / 2) if trend == "ct" else None
    moments = _moments_beside(dummies, overlap, change, level)
    freedom = change.size - basis.shape[1] - len(dummies) - 1
    return _t_statistics(*moments, freedom), first


def _without_common(values: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Change and previous level without what all regressions share, and an orthonormal basis of that.

    Raises
    ------
    DegenerateSeries
    """
    path = without_trends(values, 2)
    change = np.diff(path)
    lagged = [change[lags - lag : change.size - lag] for lag in range(1, lags + 1)]
    basis = np.linalg.qr(np.column_stack((*trends(values.size, 2)[:, 1 + lags :], *lagged)))[0]
    left = []
    for column in (change[lags:], path[lags:-1]):
        rest = column - basis @ (basis.T @ column)
        if not rest @ rest > ROUNDING * (values @ values):
            raise DegenerateSeries("the series is a line, or follows its own past without any error")
        left.append(rest)
    return left[0], left[1], basis


def _suffix_sums(columns: np.ndarray) -> np.ndarray:
    """Sum of each row and all later ones: the cross product with a step that begins there."""
    return np.cumsum(columns[::-1], axis=0)[::-1]


def _moments_beside(
    dummies: list[tuple[np.ndarray, np.ndarray]], overlap: np.ndarray | None, change: np.ndarray, level: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Squares of change and level and their product, beside the dummies of each break.

    Each dummy comes as its products with (basis, change, level) and its square; `overlap` is the raw product of the
    two where there are two. Gram and Schmidt: the second is made orthogonal to the first.
    """
    sums, square = dummies[0]
    square = square - np.einsum("ij,ij->i", sums[:, :-2], sums[:, :-2])
    pairs = [(sums[:, -2:], square)]
    if overlap is not None:
        more, raw = dummies[1]
        shared = (overlap - np.einsum("ij,ij->i", sums[:, :-2], more[:, :-2])) / square
        own = raw - np.einsum("ij,ij->i", more[:, :-2], more[:, :-2]) - shared**2 * square
        pairs.append((more[:, -2:] - shared[:, None] * sums[:, -2:], own))
    changes = change @ change - sum(p[:, 0] ** 2 / s for p, s in pairs)
    both = change @ level - sum(p[:, 0] * p[:, 1] / s for p, s in pairs)
    levels = level @ level - sum(p[:, 1] ** 2 / s for p, s in pairs)
    return changes, both, levels


def _t_statistics(changes: np.ndarray, both: np.ndarray, levels: np.ndarray, freedom: int) -> np.ndarray:
    """t of the level from the moments.

    Raises
    ------
    DegenerateSeries
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        found = both / np.sqrt(levels * (changes - both**2 / levels) / freedom)
    if not np.isfinite(found).any():
        raise DegenerateSeries("the series follows its own past without any error")
    return np.where(np.isfinite(found), found, np.inf)
