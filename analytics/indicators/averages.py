"""Moving averages and the distance between two of them: SMA, EMA, MACD."""

import math
from dataclasses import dataclass, field

import numpy as np

from analytics.indicators import kernels
from analytics.indicators.columns import checked, column, last
from analytics.statistics import rolling_mean_std
from utils.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Macd:
    """Two exponential averages apart, in price units, shape (n,) each."""

    line: np.ndarray  # fast - slow
    signal: np.ndarray  # exponential average of the line
    histogram: np.ndarray  # line - signal


def sma(values: np.ndarray, window: int) -> np.ndarray:
    """Simple moving average, in units of the values, NaN before index window - 1.

    Each mean is summed inside its own window: what has left it leaves no rounding behind.

    Raises
    ------
    InputError
    """
    values = column(values, "values")
    if checked(window) == 1:
        return np.where(np.isfinite(values), values, np.nan)
    return rolling_mean_std(values, window)[0]


def ema(values: np.ndarray, window: int) -> np.ndarray:
    """Exponential moving average, in units of the values, NaN before index window - 1.

    ema[t] = ema[t-1] + 2 / (window + 1) (value[t] - ema[t-1]); the first is the mean of the first `window` values.

    Raises
    ------
    InputError
    """
    return kernels.ema(column(values, "values"), checked(window), kernels.NEW_EMA)[0]


def macd(close: np.ndarray, fast: int = 12, slow: int = 26, signal: int = 9) -> Macd:
    """Moving average convergence/divergence, in price units.

    line = ema(close, fast) - ema(close, slow), NaN before index slow - 1; signal is the exponential average of the
    line, begun with the plain mean of its first `signal` values, NaN before index slow + signal - 2. (TA-Lib begins the
    fast average late, at the bar where the slow one begins: its first lines differ, and are the same by bar 250.)

    Raises
    ------
    InputError
        Also unless fast < slow.
    """
    line, smooth, _ = kernels.macd(column(close, "close"), *_spans(fast, slow, signal), kernels.NEW_MACD)
    return Macd(line, smooth, line - smooth)


@dataclass(frozen=True, slots=True, eq=False)
class RunningSma:
    """`sma`, carried on; a step costs the window."""

    window: int
    value: float = math.nan
    _held: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)  # the newest `window` values

    def after(self, values: float | np.ndarray) -> "RunningSma":
        """The same once these values, oldest first, have followed."""
        held = np.append(self._held, values)[-self.window :]
        return RunningSma(self.window, last(sma(held, self.window)), held)


@dataclass(frozen=True, slots=True)
class RunningEma:
    """`ema`, carried on."""

    window: int
    value: float = math.nan
    _memory: kernels.Memory = field(default=kernels.NEW_EMA, repr=False)

    def after(self, values: float | np.ndarray) -> "RunningEma":
        """The same once these values, oldest first, have followed."""
        found, memory = kernels.ema(column(values, "values"), checked(self.window), self._memory)
        return RunningEma(self.window, last(found, self.value), memory)


@dataclass(frozen=True, slots=True)
class RunningMacd:
    """`macd`, carried on."""

    fast: int = 12
    slow: int = 26
    signal_window: int = 9
    line: float = math.nan
    signal: float = math.nan
    _memory: kernels.Memory = field(default=kernels.NEW_MACD, repr=False)

    @property
    def histogram(self) -> float:
        """line - signal."""
        return self.line - self.signal

    def after(self, close: float | np.ndarray) -> "RunningMacd":
        """The same once these closes, oldest first, have followed."""
        spans = _spans(self.fast, self.slow, self.signal_window)
        line, signal, memory = kernels.macd(column(close, "close"), *spans, self._memory)
        return RunningMacd(*spans, last(line, self.line), last(signal, self.signal), memory)


def _spans(fast: int, slow: int, signal: int) -> tuple[int, int, int]:
    spans = checked(fast, 1, "fast"), checked(slow, 1, "slow"), checked(signal, 1, "signal")
    if not fast < slow:
        raise InputError(f"fast must be < slow, was {fast} and {slow}", "fast")
    return spans
