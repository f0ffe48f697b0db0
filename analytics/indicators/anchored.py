"""The price that was paid on average since a session began: VWAP."""

import math
from dataclasses import dataclass, field

import numpy as np

from analytics.indicators import kernels
from analytics.indicators.columns import columns, last
from utils.clock import US_PER_S
from utils.errors import InputError

US_PER_DAY = 86_400 * US_PER_S


def vwap(price: np.ndarray, volume: np.ndarray, ts_us: np.ndarray, anchors_us: np.ndarray | None = None) -> np.ndarray:
    """Volume-weighted average price since the session began, in price units.

    sum(price * volume) / sum(volume) over the rows of the session so far. NaN before its first trade; rows without
    volume add nothing, whatever their price. A traded row of unknown price or volume leaves the rest of its session
    NaN: the average of what was not seen is not known.

    Parameters
    ----------
    price : of trades, or the VWAP of bars, which makes the result exact
    volume : >= 0
    ts_us : int array, not decreasing
    anchors_us : times at which a session begins, increasing; nothing is known before the first
        Each UTC midnight by default.

    Raises
    ------
    InputError
    """
    times = _times(ts_us, "ts_us")
    return kernels.vwap(*_traded(price, volume, times), _sessions(times, anchors_us), kernels.NEW_VWAP)[0]


@dataclass(frozen=True, slots=True, eq=False)
class RunningVwap:
    """`vwap`, carried on."""

    anchors_us: np.ndarray | None = None
    value: float = math.nan
    ts_us: int | None = None  # of the newest row read
    _memory: kernels.Memory = field(default=kernels.NEW_VWAP, repr=False)

    def after(self, price: float | np.ndarray, volume: float | np.ndarray, ts_us: int | np.ndarray) -> "RunningVwap":
        """The same once these rows, oldest first, have followed; none may be older than the newest row read."""
        times = _times(ts_us, "ts_us", self.ts_us)
        found, memory = kernels.vwap(*_traded(price, volume, times), _sessions(times, self.anchors_us), self._memory)
        newest_us = int(times[-1]) if times.size else self.ts_us
        return RunningVwap(self.anchors_us, last(found, self.value), newest_us, memory)


def _traded(price: object, volume: object, times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Prices with volumes that can be, one for each time."""
    price, volume = columns(price=price, volume=volume)
    if price.size != times.size:
        raise InputError(f"price and ts_us must have one length, had {price.size} and {times.size}", "ts_us")
    wrong = np.flatnonzero(volume < 0)
    if wrong.size:
        raise InputError(f"volume must be >= 0, was {volume[wrong[0]]:g} at index {wrong[0]}", "volume")
    return price, volume


def _times(values: object, name: str, before_us: int | None = None) -> np.ndarray:
    """Integer times that do not step back, not behind `before_us` either."""
    times = np.atleast_1d(np.asarray(values))
    if times.size and (times.ndim != 1 or times.dtype.kind not in "iu"):
        raise InputError(f"{name} must be integers in one dimension, were {times.dtype} in {times.ndim}", name)
    times = times.astype(np.int64)
    steps = np.diff(times if before_us is None else np.append(before_us, times))
    if (steps < 0).any():
        raise InputError(f"{name} must not decrease: a time follows a later one", name)
    return times


def _sessions(times: np.ndarray, anchors_us: object) -> np.ndarray:
    """Number of each time's session, as a float; below 0 before the first."""
    if anchors_us is None:
        return (times // US_PER_DAY).astype(np.float64)
    anchors = _times(anchors_us, "anchors_us")
    return (np.searchsorted(anchors, times, "right") - 1).astype(np.float64)
