"""Evidence of cointegration while somebody watches: what a test that is run again at every bar may claim.

A test with 5 % false positives has them at each look: run again after every bar, it calls unrelated walks cointegrated
at least once in 288 looks in 87 % of sessions on the newest 100 bars, in 42 % on the newest 500. Here the lowest
statistic of a session is judged by what the lowest statistic of unrelated walks does in as many looks.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from analytics.checks import pair
from utils.compiled import compiled
from utils.errors import DegenerateSeries, InputError

LEVEL = 0.05
FEWEST, WIDEST, MOST_LOOKS = 100, 2_000, 1_440
SHARES = (0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9)
SURFACE = np.array(  # k, b0 to b5 of `_quantiles`, one row a share
    [
        (400, -4.7833, -0.0407, -0.0209, -0.1749, -0.1620, 0.0243),
        (200, -4.2946, -0.1378, -0.0117, -0.1686, -0.0829, 0.0087),
        (100, -4.1058, -0.1903, -0.0088, -0.1886, -0.0560, 0.0055),
        (60, -3.7943, -0.2479, -0.0064, -0.2049, -0.0290, 0.0032),
        (45, -3.5567, -0.2772, -0.0062, -0.1388, -0.0428, 0.0048),
        (28, -3.2951, -0.3540, 0.0021, -0.0744, -0.0384, 0.0017),
        (16, -2.8663, -0.4706, 0.0137, -0.0339, -0.0242, -0.0008),
        (11, -2.4157, -0.5727, 0.0215, -0.0015, -0.0223, -0.0008),
        (8, -2.0023, -0.6867, 0.0316, 0.0264, -0.0257, 0.0001),
        (6, -1.6583, -0.8201, 0.0484, 0.0400, -0.0262, 0.0004),
    ]
)
COLLINEAR = 100 * math.sqrt(np.finfo(float).eps)  # as for `engle_granger`


@dataclass(frozen=True, slots=True, eq=False)
class SessionEvidence:
    """Engle-Granger at every bar of a session. Null hypothesis, of the session: the legs are unrelated walks.

    Arrays have one value a look, oldest first.
    """

    statistic: np.ndarray  # the smaller one of the two directions, on the newest `window` bars
    pvalue: np.ndarray  # of the lowest statistic so far, for the whole session; never rises
    boundary: float  # statistic that unrelated walks ever reach in 5 % of sessions
    crossed_at: int | None  # index of the bar at which it was first reached
    began: int  # index of the bar of the first look
    looks: int  # so far
    horizon: int  # looks that the session may have
    window: int
    level: float


def session_evidence(y: np.ndarray, x: np.ndarray, window: int, began: int, horizon: int = 288) -> SessionEvidence:
    """Engle-Granger at every bar from `began` on, on the newest `window` bars, with a p-value for all looks together.

    At each look the test of `engle_granger` (constant, AIC lags) runs in both directions and the smaller statistic
    counts. pvalue = P(the lowest statistic of `horizon` looks at unrelated walks is at most the lowest so far), so it
    may be read after every bar, and acting on pvalue <= 0.05 is wrong in 5 % of sessions. Bars after the horizon are
    not looked at.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first
    window : bars of each test, >= 100; beyond 2,000 the boundary is that of 2,000, which is the stricter
    began : index of the bar of the first look, >= window - 1
    horizon : looks of the session, 1 to 1,440

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        In one window a leg is constant, or the legs are the same up to scale and shift.

    References
    ----------
    R. F. Engle and C. W. J. Granger, Econometrica 55 (1987); the boundary is simulated, see `session_boundary`.
    """
    _check(window, horizon)
    if began < window - 1:
        raise InputError(f"began must be >= window - 1, was {began} with a window of {window}", "began")
    y, x = pair(y, x, began + 1)
    newest = slice(began + 1 - window, began + horizon)
    statistic = both_directions(y[newest], x[newest], window)
    lowest = np.minimum.accumulate(statistic)
    boundary = session_boundary(window, horizon)
    crossed = np.flatnonzero(lowest <= boundary)
    return SessionEvidence(
        statistic=statistic,
        pvalue=session_pvalue(lowest, window, horizon),
        boundary=boundary,
        crossed_at=began + int(crossed[0]) if crossed.size else None,
        began=began,
        looks=statistic.size,
        horizon=horizon,
        window=window,
        level=LEVEL,
    )


def both_directions(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """The smaller Engle-Granger statistic of the two directions in each window of n bars, shape (n - window + 1,).

    Equal to `engle_granger` with a constant and AIC lags, without its checks of the input.

    Raises
    ------
    DegenerateSeries
    """
    most = min(math.ceil(12 * (window / 100) ** 0.25), window // 2 - 1)
    found = _rolling(np.ascontiguousarray(y), np.ascontiguousarray(x), window, most, COLLINEAR)
    if np.isnan(found).any():
        raise DegenerateSeries("in one window a leg is constant, or the legs are the same up to scale and shift")
    return found.min(axis=0)


def _check(window: int, horizon: int) -> None:
    if window < FEWEST:
        raise InputError(f"window must be >= {FEWEST}, was {window}", "window")
    if not 1 <= horizon <= MOST_LOOKS:
        raise InputError(f"horizon must be 1 to {MOST_LOOKS}, was {horizon}", "horizon")


@compiled
def _rolling(y: np.ndarray, x: np.ndarray, window: int, most: int, collinear: float) -> np.ndarray:
    """Statistic of y on x and of x on y in each window, shape (2, looks); NaN where there is none."""
    looks = y.size - window + 1
    found = np.full((2, looks), np.nan)
    for look in range(looks):
        dy = y[look : look + window] - y[look : look + window].mean()
        dx = x[look : look + window] - x[look : look + window].mean()
        sxy, sxx, syy = np.dot(dx, dy), np.dot(dx, dx), np.dot(dy, dy)
        if sxx * syy - sxy * sxy > collinear * sxx * syy:
            found[0, look] = level_statistic(dy - sxy / sxx * dx, most)
            found[1, look] = level_statistic(dx - sxy / syy * dy, most)
    return found


@compiled
def level_statistic(residual: np.ndarray, most: int) -> float:
    """Dickey-Fuller t-statistic of a residual, no constant, lags by AIC up to `most`; NaN where it has no error.

    One Cholesky factor gives the squared error of every lag. The products of lagged changes follow from those of lag
    0 by taking one row away and adding one, so the cost is `most` products of length n.
    """
    change = np.diff(residual)
    rows = change.size
    products = np.empty((most + 1, most + 1))  # of changes i and j bars back, i >= j; rows from `most` on
    for lag in range(most + 1):
        products[lag, 0] = np.dot(change[most:], change[most - lag : rows - lag])
    with_level = np.empty(most + 1)  # of the previous level and the change i bars back
    with_level[0] = np.dot(residual[most:rows], change[most:])
    for k in range(most):
        first, last = change[most - 1 - k], change[rows - 1 - k]
        with_level[k + 1] = with_level[k] + products[k, 0] + residual[most] * first - residual[rows] * last
        for lag in range(most - k):
            gone, come = change[rows - 1 - k - lag], change[most - 1 - k - lag]
            products[k + lag + 1, k + 1] = products[k + lag, k] + first * come - last * gone
    level = np.dot(residual[most:rows], residual[most:rows])
    lags = _aic_lags(products, with_level, level, rows - most)
    if lags < 0:
        return np.nan
    for t in range(lags, most):  # the rows that fewer lags leave
        level += residual[t] * residual[t]
        for i in range(lags + 1):
            with_level[i] += residual[t] * change[t - i]
            for j in range(i + 1):
                products[i, j] += change[t - i] * change[t - j]
    return _level_t(products, with_level, level, lags, rows - lags)


@compiled
def _aic_lags(products: np.ndarray, with_level: np.ndarray, level: float, n: int) -> int:
    """Lags with the least AIC; -1 where the changes follow their past without error."""
    terms = with_level.size
    gram = np.empty((terms, terms))
    gram[1:, 1:] = products[1:, 1:]
    gram[:, 0] = with_level
    gram[0, 0] = level
    along = products[:, 0].copy()
    along[0] = with_level[0]
    left, best, lags = products[0, 0], np.inf, -1
    if not _solve(gram, along):
        return -1
    for i in range(terms):
        left -= along[i] * along[i]
        if left <= 0:
            return -1
        score = n * math.log(left / n) + 2.0 * (i + 1)
        if score < best:
            best, lags = score, i
    return lags


@compiled
def _level_t(products: np.ndarray, with_level: np.ndarray, level: float, lags: int, n: int) -> float:
    """t-statistic of the level, which stands last in the factor."""
    gram = np.empty((lags + 1, lags + 1))
    gram[:lags, :lags] = products[1 : lags + 1, 1 : lags + 1]
    gram[lags, :lags] = with_level[1 : lags + 1]
    gram[lags, lags] = level
    along = np.append(products[1 : lags + 1, 0], with_level[0])
    if not _solve(gram, along):
        return np.nan
    left = products[0, 0] - np.dot(along, along)
    return along[lags] / math.sqrt(left / (n - lags - 1)) if left > 0 else np.nan


@compiled
def _solve(gram: np.ndarray, along: np.ndarray) -> bool:
    """Cholesky factor in place of the lower half of `gram`, factor^-1 along in place of `along`; whether it exists."""
    for i in range(along.size):
        for j in range(i + 1):
            total = gram[i, j]
            for k in range(j):
                total -= gram[i, k] * gram[j, k]
            if j < i:
                gram[i, j] = total / gram[j, j]
            elif total > 0:
                gram[i, i] = math.sqrt(total)
            else:
                return False
        for k in range(i):
            along[i] -= gram[i, k] * along[k]
        along[i] /= gram[i, i]
    return True


def session_boundary(window: int, horizon: int) -> float:
    """Statistic that the lowest of `horizon` looks at unrelated walks falls below in 5 % of sessions.

    The response surface of `_quantiles` at 0.05.
    """
    _check(window, horizon)
    return float(_quantiles(window, horizon)[SHARES.index(LEVEL)])


def session_pvalue(lowest: np.ndarray, window: int, horizon: int) -> np.ndarray:
    """Chance that the lowest of `horizon` looks at unrelated walks is at most `lowest`, same shape; >= 0.0001.

    Between the simulated quantiles the normal score of the chance is linear in the statistic, and beyond them too.
    """
    _check(window, horizon)
    at, scores = _quantiles(window, horizon), ndtri(SHARES)
    upper = np.clip(np.searchsorted(at, lowest), 1, at.size - 1)
    slope = (scores[upper] - scores[upper - 1]) / (at[upper] - at[upper - 1])
    return np.maximum(ndtr(scores[upper] + slope * (np.asarray(lowest) - at[upper])), 1e-4)


def _quantiles(window: int, horizon: int) -> np.ndarray:
    """Quantiles of the lowest statistic at SHARES.

        b0 + b1 g + b2 g^2 + (b3 + b4 ln L + b5 ln(L)^2) 100 / n,  g = ln(1 + k L / n)

    with n the window, at most 2,000, and L the horizon: what counts is how far the window moves on, L / n, beside an
    effect of small samples in which the chosen lags jump from look to look. Recipe: 10,000 pairs of independent normal
    random walks for each n of 100, 250, 500, 1000, 2000 (correlated steps make the two directions more alike and the
    lowest statistic higher, so independent steps are the strict case); running minimum of `both_directions` at L = 1,
    3, 10, 30, 60, 96, 144, 288, 576, 1008, 1440; quantiles; least squares with k set by share. At 0.05 the surface is
    crossed in 4.5 to 5.5 % of the simulated sessions, at every n and L.
    """
    n, looks = min(window, WIDEST), math.log(horizon)
    g, small = np.log1p(SURFACE[:, 0] * horizon / n), 100 / n
    terms = np.stack((np.ones(g.size), g, g * g, *(np.full(g.size, small * looks**power) for power in range(3))))
    return np.einsum("ij,ji->i", SURFACE[:, 1:], terms)
