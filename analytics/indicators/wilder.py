"""Wilder's two: relative strength and the average true range."""

import math
from dataclasses import dataclass, field

import numpy as np

from analytics.indicators import kernels
from analytics.indicators.columns import checked, column, columns, last
from utils.errors import InputError


def rsi(close: np.ndarray, window: int = 14) -> np.ndarray:
    """Relative strength index, 0 to 100, NaN before index `window`.

    100 gain / (gain + loss): Wilder's averages (weight 1 / window for the newest) of rises and of falls between closes,
    which begin with the plain means of the first `window` changes. NaN where nothing has moved since the beginning or
    the last hole: neither 50, 0 nor 100 would be true.

    Raises
    ------
    InputError

    References
    ----------
    J. W. Wilder, New Concepts in Technical Trading Systems (1978), sec. 6.
    """
    return kernels.rsi(column(close, "close"), checked(window, 2), kernels.NEW_RSI)[0]


def atr(high: np.ndarray, low: np.ndarray, close: np.ndarray, window: int = 14) -> np.ndarray:
    """Average true range, in price units, NaN before index `window`.

    Wilder's average of max(high, previous close) - min(low, previous close), begun with the plain mean of the first
    `window` of them. The first bar has no previous close and no true range, as in TA-Lib.

    Raises
    ------
    InputError
        Also where a high lies below its low.

    References
    ----------
    J. W. Wilder, New Concepts in Technical Trading Systems (1978), sec. 3.
    """
    return kernels.atr(*_ranges(high, low, close), checked(window), kernels.NEW_ATR)[0]


@dataclass(frozen=True, slots=True)
class RunningRsi:
    """`rsi`, carried on."""

    window: int = 14
    value: float = math.nan
    _memory: kernels.Memory = field(default=kernels.NEW_RSI, repr=False)

    def after(self, close: float | np.ndarray) -> "RunningRsi":
        """The same once these closes, oldest first, have followed."""
        found, memory = kernels.rsi(column(close, "close"), checked(self.window, 2), self._memory)
        return RunningRsi(self.window, last(found, self.value), memory)


@dataclass(frozen=True, slots=True)
class RunningAtr:
    """`atr`, carried on."""

    window: int = 14
    value: float = math.nan
    _memory: kernels.Memory = field(default=kernels.NEW_ATR, repr=False)

    def after(self, high: float | np.ndarray, low: float | np.ndarray, close: float | np.ndarray) -> "RunningAtr":
        """The same once these bars, oldest first, have followed."""
        found, memory = kernels.atr(*_ranges(high, low, close), checked(self.window), self._memory)
        return RunningAtr(self.window, last(found, self.value), memory)


def _ranges(high: object, low: object, close: object) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """High, low and close of bars that can be."""
    high, low, close = columns(high=high, low=low, close=close)
    wrong = np.flatnonzero(high < low)
    if wrong.size:
        at = wrong[0]
        raise InputError(f"high must be >= low, was {high[at]:g} below {low[at]:g} at index {at}", "high")
    return high, low, close
