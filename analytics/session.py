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
from analytics.rolling_engle_granger import both_directions
from utils.errors import InputError

__all__ = ["SessionEvidence", "both_directions", "session_boundary", "session_evidence", "session_pvalue"]

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


def _check(window: int, horizon: int) -> None:
    if window < FEWEST:
        raise InputError(f"window must be >= {FEWEST}, was {window}", "window")
    if not 1 <= horizon <= MOST_LOOKS:
        raise InputError(f"horizon must be 1 to {MOST_LOOKS}, was {horizon}", "horizon")


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
