"""How fast the spread of an entry reverts, as it could be known at that entry."""

import math
from typing import NamedTuple

import numpy as np

from analytics.ar1 import median_curve
from utils.compiled import compiled

NOTHING = np.empty(0)  # where no half-life is asked for


class Curve(NamedTuple):
    """The median estimate of phi at each true phi, both ascending."""

    phi: np.ndarray
    median: np.ndarray


def half_lives(y: np.ndarray, x: np.ndarray, bars: np.ndarray, length: int) -> np.ndarray:
    """Half-life of the spread at each of these bars, in bars; shape of `bars`.

    That which `half_life(y - slope x, fitted=1)` has for the `length` bars that end there, with the slope of least
    squares over them: median-unbiased, inf where nothing speaks for reversion. NaN before there are so many bars, and
    where x does not vary.

    Parameters
    ----------
    y, x : prices or logarithms, shape (n,)
    bars : indices
    length : bars, >= 20
    """
    curve = Curve(*median_curve(length - 1, 1))
    return _half_lives(y, x, bars, length, curve)


def half_lives_beyond(y: np.ndarray, x: np.ndarray, zscore: np.ndarray, entry_z: float, length: int) -> np.ndarray:
    """The same at every bar that may enter, |z| > entry_z; shape (n,), NaN elsewhere."""
    found = np.full(y.size, np.nan)
    bars = np.flatnonzero(np.abs(zscore) > entry_z)
    found[bars] = half_lives(y, x, bars, length)
    return found


@compiled
def _half_lives(y: np.ndarray, x: np.ndarray, bars: np.ndarray, length: int, curve: Curve) -> np.ndarray:
    found, spread = np.full(bars.size, np.nan), np.empty(length)
    for i in range(bars.size):
        end = bars[i] + 1
        if end < length:
            continue
        slope = _slope(x[end - length : end], y[end - length : end])
        for k in range(length):
            spread[k] = (y[end - length + k] - y[end - 1]) - slope * (x[end - length + k] - x[end - 1])
        phi = _slope(spread[:-1], spread[1:])
        if not math.isnan(phi):
            found[i] = _bars(np.interp(phi, curve.median, curve.phi))
    return found


@compiled
def _slope(x: np.ndarray, y: np.ndarray) -> float:
    """Least squares of y on x with a constant, from distances to the first values; NaN where x does not vary."""
    dx, dy = 0.0, 0.0
    for i in range(x.size):
        dx += x[i] - x[0]
        dy += y[i] - y[0]
    dx /= x.size
    dy /= x.size
    sxx, sxy = 0.0, 0.0
    for i in range(x.size):
        away = x[i] - x[0] - dx
        sxx += away * away
        sxy += away * (y[i] - y[0] - dy)
    return sxy / sxx if sxx > 0 else math.nan


@compiled
def _bars(phi: float) -> float:
    if phi >= 1:
        return math.inf
    return -math.log(2) / math.log(phi) if phi > 0 else 0.0
