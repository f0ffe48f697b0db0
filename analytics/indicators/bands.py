"""Bollinger bands: how far a price is from its average, in its own deviations."""

import math
from dataclasses import dataclass, field

import numpy as np

from analytics.indicators.columns import checked, column, last
from analytics.statistics import rolling_mean_std
from utils.errors import InputError


@dataclass(frozen=True, slots=True, eq=False)
class Bollinger:
    """Bands around a moving average, shape (n,) each; the first three in price units."""

    middle: np.ndarray
    upper: np.ndarray
    lower: np.ndarray
    bandwidth: np.ndarray  # (upper - lower) / middle; 0 where the price did not move, NaN where middle <= 0
    percent_b: np.ndarray  # (price - lower) / (upper - lower): 0 at the lower, 1 at the upper band; NaN where they meet


def bollinger(close: np.ndarray, window: int = 20, width: float = 2.0) -> Bollinger:
    """Bollinger bands: the moving average, and `width` standard deviations above and below it.

    The standard deviation is that of the window as a population (ddof 0), as Bollinger and TA-Lib take it.

    Parameters
    ----------
    close : float array, shape (n,), oldest first
    window : bars, >= 2
    width : standard deviations, > 0

    Raises
    ------
    InputError

    References
    ----------
    J. Bollinger, Bollinger on Bollinger Bands (2001).
    """
    close, window = column(close, "close"), checked(window, 2)
    if not 0 < width < math.inf:
        raise InputError(f"width must be a positive number, was {width:g}", "width")
    middle, sample_std = rolling_mean_std(close, window)
    reach = width * math.sqrt((window - 1) / window) * sample_std
    with np.errstate(divide="ignore", invalid="ignore"):
        bandwidth = np.where(middle > 0, 2 * reach / middle, np.nan)
        percent_b = np.where(reach > 0, 0.5 + (close - middle) / (2 * reach), np.nan)
    return Bollinger(middle, middle + reach, middle - reach, bandwidth, percent_b)


@dataclass(frozen=True, slots=True, eq=False)
class RunningBollinger:
    """`bollinger`, carried on; a step costs the window."""

    window: int = 20
    width: float = 2.0
    middle: float = math.nan
    upper: float = math.nan
    lower: float = math.nan
    bandwidth: float = math.nan
    percent_b: float = math.nan
    _held: np.ndarray = field(default_factory=lambda: np.empty(0), repr=False)  # the newest `window` closes

    def after(self, close: float | np.ndarray) -> "RunningBollinger":
        """The same once these closes, oldest first, have followed."""
        held = np.append(self._held, close)[-self.window :]
        bands = bollinger(held, self.window, self.width)
        return RunningBollinger(
            self.window,
            self.width,
            last(bands.middle),
            last(bands.upper),
            last(bands.lower),
            last(bands.bandwidth),
            last(bands.percent_b),
            held,
        )
