"""The Dickey-Fuller regression: a series' change on its level, trend terms and lagged changes."""

from typing import Literal

import numpy as np

from analytics.lagged_products import factored, lagged_products
from utils.compiled import compiled
from utils.errors import DegenerateSeries, InputError, TooFewObservations

Trend = Literal["n", "c", "ct", "ctt"]
Lags = Literal["aic", "bic"] | int
TREND_TERMS = {"n": 0, "c": 1, "ct": 2, "ctt": 3}
NO_ERROR = 1e-14  # standard error of the change, as a share of its size, that is rounding


def dickey_fuller(values: np.ndarray, trend: Trend, lags: Lags) -> tuple[float, int, int]:
    """t-statistic of the level, lags used and observations used.

    With "aic" or "bic" the number of lags is chosen on the sample that the most lags leave, then the regression is
    run on all observations that the chosen lags leave.

    Parameters
    ----------
    values : float array, shape (n,), oldest first, finite

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    if trend not in TREND_TERMS:
        raise InputError(f"trend must be one of {', '.join(TREND_TERMS)}, was {trend!r}", "trend")
    fixed, change = _arranged(values, trend)
    used = lags_used(values, trend, lags, fixed, change)
    statistic = _level_t(fixed, change, used)
    if np.isnan(statistic):
        statistic = _careful_level_t(fixed, change, used)
    return statistic, used, change.shape[1] - used


def lags_used(
    values: np.ndarray,
    trend: Trend,
    lags: Lags,
    fixed: np.ndarray | None = None,
    change: np.ndarray | None = None,
) -> int:
    """Lagged changes that a rule or a number asks for: at most 12 (n/100)^(1/4) by rule.

    Raises
    ------
    InputError, TooFewObservations
    """
    room = _room(values.size, trend)
    if not isinstance(lags, str):
        if not 0 <= lags <= room:
            raise TooFewObservations(have=values.size, need=2 * (lags + TREND_TERMS[trend] + 1), what="observations")
        return int(lags)
    if lags not in ("aic", "bic"):
        raise InputError(f"lags must be aic, bic or a number, was {lags!r}", "lags")
    most = most_lags(values.size, trend)
    if fixed is None or change is None:
        fixed, change = _arranged(values, trend)
    cost = 2.0 if lags == "aic" else float(np.log(change.shape[1] - most))
    best = _best_lags(fixed, change, most, cost)
    return best if best >= 0 else _careful_best_lags(fixed, change, most, cost)


def most_lags(n: int, trend: Trend) -> int:
    """Lagged changes that a rule may choose from on n observations: 12 (n/100)^(1/4), at least 0."""
    return max(0, min(int(np.ceil(12 * (n / 100) ** 0.25)), _room(n, trend)))


def trends(n: int, terms: int) -> np.ndarray:
    """Constant, line and parabola over n bars, shape (terms, n): centred and scaled, so that they keep their digits."""
    time = np.linspace(-1.0, 1.0, n)
    return np.array([np.ones(n), time, time**2 - np.mean(time**2)][:terms]).reshape(terms, n)


def without_trends(values: np.ndarray, terms: int) -> np.ndarray:
    """The part of a series that trend terms leave; of many series, shape (series, n), of each by itself."""
    if terms == 0:
        return values
    values = values - values.mean(axis=-1, keepdims=True)
    for row in trends(values.shape[-1], terms)[1:]:  # orthogonal by construction
        values = values - np.multiply.outer(values @ row / (row @ row), row)
    return values


def _room(n: int, trend: Trend) -> int:
    """Most lagged changes of which n observations leave enough rows."""
    return n // 2 - TREND_TERMS[trend] - 1


def _arranged(values: np.ndarray, trend: Trend) -> tuple[np.ndarray, np.ndarray]:
    """Trend terms and previous level as rows, and the changes as one row.

    The level comes without its trends: the regression has them anyway, and the cross products keep their digits.
    """
    terms = TREND_TERMS[trend]
    level = without_trends(values, terms)
    return np.vstack((trends(values.size, terms)[:, 1:], level[:-1])), np.diff(level)[None]


@compiled
def _best_lags(fixed: np.ndarray, change: np.ndarray, most: int, cost: float) -> int:
    """Lags with the least information criterion; -1 where the cross products lack digits."""
    first = fixed.shape[0]
    factor, sound = factored(lagged_products(fixed, change, most, 0))
    if not sound:
        return -1
    n = change.shape[1] - most
    shares = factor[first + most]
    left = shares[first + most] ** 2
    best, least = most, n * np.log(left / n) + cost * (first + most)
    for lags in range(most - 1, -1, -1):
        left += shares[first + lags] ** 2
        score = n * np.log(left / n) + cost * (first + lags)
        if score <= least:
            best, least = lags, score
    return best


@compiled
def _level_t(fixed: np.ndarray, change: np.ndarray, lags: int) -> float:
    """t-statistic of the level; NaN where the cross products lack digits."""
    factor, sound = factored(lagged_products(fixed, change, lags, 1))
    if not sound:
        return np.nan
    last = factor.shape[0] - 1
    freedom = change.shape[1] - lags - last
    return factor[last, last - 1] / np.sqrt(factor[last, last] ** 2 / freedom)


def _careful_level_t(fixed: np.ndarray, change: np.ndarray, lags: int) -> float:
    """The same t-statistic by orthogonal columns, for series that follow their own past almost without error.

    Raises
    ------
    DegenerateSeries
    """
    columns = _columns(fixed, change, lags)
    columns = np.column_stack((np.delete(columns, len(fixed) - 1, axis=1), columns[:, len(fixed) - 1]))
    q, r = np.linalg.qr(columns)
    target = change[0, lags:]
    along = q.T @ target
    residual = target - q @ along
    sigma = np.sqrt(residual @ residual / (target.size - columns.shape[1]))
    if not sigma > NO_ERROR * np.sqrt(target @ target / target.size) or sigma == 0:
        raise DegenerateSeries("the series follows its own past without any error")
    return float(along[-1] * np.sign(r[-1, -1]) / sigma)


def _careful_best_lags(fixed: np.ndarray, change: np.ndarray, most: int, cost: float) -> int:
    """The same lags by orthogonal columns: each takes its own share of the sum of squares away."""
    q = np.linalg.qr(_columns(fixed, change, most))[0]
    target = change[0, most:]
    along = q.T @ target
    residual = target - q @ along
    left = float(residual @ residual) + np.concatenate(([0.0], np.cumsum(along[::-1] ** 2)))[::-1]
    with np.errstate(divide="ignore"):
        scores = target.size * np.log(left / target.size) + cost * np.arange(left.size)
    return int(np.argmin(scores[len(fixed) :]))


def _columns(fixed: np.ndarray, change: np.ndarray, lags: int) -> np.ndarray:
    n = change.shape[1]
    lagged = [change[0, lags - lag : n - lag] for lag in range(1, lags + 1)]
    return np.column_stack((*fixed[:, lags:], *lagged))
