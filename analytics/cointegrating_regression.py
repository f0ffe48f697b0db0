"""The regression under every residual-based test of a pair: y on x with constant, and with a line where asked."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analytics.checks import pair
from analytics.dickey_fuller import TREND_TERMS, without_trends
from utils.errors import DegenerateSeries, InputError

PairTrend = Literal["c", "ct"]
COLLINEAR = 100 * np.sqrt(np.finfo(float).eps)  # share of unexplained variance below which legs are the same


@dataclass(frozen=True, slots=True, eq=False)
class CointegratingFit:
    """Least squares of y on x: what is left is a spread that may or may not come back."""

    hedge_ratio: float
    intercept: float  # at the first bar, where there is a line
    residual: np.ndarray  # shape (n,)


def cointegrating_fit(y: np.ndarray, x: np.ndarray, trend: PairTrend, need: int) -> CointegratingFit:
    """y = intercept + hedge_ratio x (+ slope t) + residual, over all bars.

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        A leg is constant or a line, or the legs are the same up to scale and shift.
    """
    y, x = pair(y, x, need)
    if trend not in ("c", "ct"):
        raise InputError(f"trend must be c or ct, was {trend!r}", "trend")
    free_y, free_x = (without_trends(leg, TREND_TERMS[trend]) for leg in (y, x))
    if free_x @ free_x < COLLINEAR**2 * ((x - x.mean()) @ (x - x.mean())):
        raise DegenerateSeries("x is a line: nothing is left to explain y with")
    hedge_ratio = float(free_x @ free_y / (free_x @ free_x))
    residual = free_y - hedge_ratio * free_x
    if residual @ residual < COLLINEAR * ((y - y.mean()) @ (y - y.mean())):
        raise DegenerateSeries("the legs are the same up to scale and shift: their spread is rounding")
    return CointegratingFit(hedge_ratio, float(y[0] - hedge_ratio * x[0] - residual[0]), residual)
