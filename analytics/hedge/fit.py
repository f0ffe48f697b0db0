"""The fitted line and its uncertainty."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from analytics.hedge.serial import serial_error

MIN_OBS = 10
HOLDS_FROM = 100  # observations from which the coverage of the interval is calibrated
FLAT = 1e-12  # residuals below this share of the price are rounding


@dataclass(frozen=True, slots=True)
class HedgeFit:
    """A fitted line y = intercept + hedge_ratio x, with its uncertainty."""

    hedge_ratio: float
    intercept: float  # price units of y
    stderr: float  # of the hedge ratio, the method's own: see each method for what it assumes
    stderr_classical: float  # of the hedge ratio, for independent errors of one variance
    intercept_stderr: float
    r_squared: float
    n_obs: int
    method: str
    low: float  # lower end of the 95 % interval of the hedge ratio: holds for errors that remember
    high: float  # upper end
    memory: float  # of the errors, 0 (none) .. 1 (they never come back); NaN where the method has its own errors
    interval_holds: bool  # whether the interval's promise was calibrated for a sample and errors like these


def margin(slope_std: float, stderr: float, n: int) -> float:
    """Half of the width of a 95 % interval: Student's t with n - 2 degrees, times the larger of the two errors."""
    return float(stdtrit(n - 2, 0.975)) * max(slope_std, stderr)


def fitted(
    y: np.ndarray,
    x: np.ndarray,
    slope: float,
    intercept: float,
    stderr: float,
    weights: np.ndarray,
    errors: np.ndarray,
    method: str,
    *,
    classical: float | None = None,
    intercept_stderr: float | None = None,
    doubt: float = 0.0,
    most_memory: float = 1.0,
) -> HedgeFit:
    """A fit with the interval that follows from slope = truth + sum(weights * errors).

    Without other word the errors of the intercept are for independent residuals. `doubt` is a part of the slope that
    may be wrong altogether and widens the interval; from `most_memory` on the method's interval is not vouched for.
    """
    residual, dy = y - y.mean() - slope * (x - x.mean()), y - y.mean()
    rss, serial = float(residual @ residual), serial_error(weights, errors)
    if intercept_stderr is None:
        intercept_stderr = math.sqrt(rss / (y.size - 2) / y.size + (stderr * float(x.mean())) ** 2)
    half = math.hypot(margin(serial.std, stderr, y.size), doubt)
    return HedgeFit(
        hedge_ratio=float(slope),
        intercept=float(intercept),
        stderr=float(stderr),
        stderr_classical=float(stderr if classical is None else classical),
        intercept_stderr=float(intercept_stderr),
        r_squared=1 - rss / float(dy @ dy),
        n_obs=y.size,
        method=method,
        low=float(slope - half),
        high=float(slope + half),
        memory=serial.memory,
        interval_holds=y.size >= HOLDS_FROM and serial.memory < most_memory,
    )
