"""Mean and width of the spread that each bar's own hedge ratio makes of the bars before it, by other scales."""

import numpy as np

from analytics.hedge.fit import FLAT
from analytics.normal import MAD_NORMAL
from utils.compiled import compiled

WIDER_NORMAL = 1.1503493803760079  # what three quarters of a standard normal are nearer than
LEAST_WIDTH = 0.1  # of the width by three quarters
REACH = 5  # windows back to which exponential weights reach: what is older weighs less than 5 in 100,000

Scores = tuple[np.ndarray, np.ndarray, np.ndarray]  # mean, width, z-score


def robust_scores(y: np.ndarray, x: np.ndarray, hedge_ratio: np.ndarray, window: int) -> Scores:
    """Median, MAD / 0.6745 and z-score of y - hedge_ratio[t] x over the `window` bars that end at t, shape (n,) each.

    One bad price moves neither. NaN until the window is full, and where the MAD is less than a tenth of the width that
    the nearest three quarters of the window have: then half of it stands on one tick.
    """
    return _placed(y, x, hedge_ratio, *_robust(y, x, hedge_ratio, window))


def ewm_scores(y: np.ndarray, x: np.ndarray, hedge_ratio: np.ndarray, window: int) -> Scores:
    """Exponentially weighted mean, standard deviation and z-score of y - hedge_ratio[t] x, shape (n,) each.

    A bar k bars old weighs (1 - a)^k, a = 2 / (window + 1); weights are normalised, nothing is corrected for bias.
    NaN before `window` bars.
    """
    return _placed(y, x, hedge_ratio, *_ewm(y, x, hedge_ratio, window, REACH * window))


def _placed(y: np.ndarray, x: np.ndarray, hedge_ratio: np.ndarray, centre: np.ndarray, width: np.ndarray) -> Scores:
    """The mean in units of the spread from its distance to the newest bar, so that no digits are lost on the way."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return y - hedge_ratio * x + centre, width, -centre / width


@compiled
def _robust(y: np.ndarray, x: np.ndarray, slope: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    centre, width = np.full(y.size, np.nan), np.full(y.size, np.nan)
    for t in range(window - 1, y.size):
        if not np.isfinite(slope[t]):
            continue
        first = t + 1 - window
        errors = (y[first : t + 1] - y[t]) - slope[t] * (x[first : t + 1] - x[t])
        middle = np.median(errors)
        away = np.sort(np.abs(errors - middle))
        spread = np.median(away) / MAD_NORMAL
        centre[t] = middle
        wider = away[3 * window // 4] / WIDER_NORMAL
        if spread > max(FLAT * (abs(y[t]) + abs(slope[t] * x[t])), LEAST_WIDTH * wider):
            width[t] = spread
    return centre, width


@compiled
def _ewm(y: np.ndarray, x: np.ndarray, slope: np.ndarray, window: int, reach: int) -> tuple[np.ndarray, np.ndarray]:
    keep = 1 - 2 / (window + 1)
    centre, width = np.full(y.size, np.nan), np.full(y.size, np.nan)
    for t in range(window - 1, y.size):
        if not np.isfinite(slope[t]):
            continue
        weight, total, first, second = 1.0, 0.0, 0.0, 0.0
        for i in range(t, max(-1, t - reach), -1):
            error = (y[i] - y[t]) - slope[t] * (x[i] - x[t])
            total += weight
            first += weight * error
            second += weight * error * error
            weight *= keep
        middle = first / total
        variance = second / total - middle * middle
        centre[t] = middle
        if variance > (FLAT * (abs(y[t]) + abs(slope[t] * x[t]))) ** 2:
            width[t] = np.sqrt(variance)
    return centre, width
