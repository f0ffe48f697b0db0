"""The recursions, compiled. Each goes on from the memory that it left, and gives its newest memory back.

A memory is a tuple of floats, told apart in each docstring. A count of 0 means that nothing has been read since the
last hole, and that the rest of the memory counts for nothing. All loops live in one file: what the compiler keeps on
disk does not notice a change in another.
"""

import numpy as np

from utils.compiled import compiled

LEAST_MOVE = 1e-290  # gains and losses that have faded below have no digits left, and a ratio of them says nothing

Memory = tuple[float, ...]
NEW_EMA: Memory = (0.0, 0.0, 0.0)
NEW_RSI: Memory = (0.0, 0.0, 0.0, 0.0)
NEW_MACD: Memory = (0.0, 0.0, 0.0, 0.0, 0.0)
NEW_ATR: Memory = (0.0, 0.0, 0.0)
NEW_VWAP: Memory = (-1.0, 0.0, 0.0, 0.0)


@compiled
def _mixed(mean: float, value: float, count: float, window: int, weight: float) -> float:
    """An exponential average with its `count`-th value; a plain mean as long as those are at most `window`."""
    return mean + (value - mean) * (1.0 / count if count <= window else weight)


@compiled
def ema(values: np.ndarray, window: int, memory: Memory) -> tuple[np.ndarray, Memory]:
    """Memory: values read since the last hole, the first of them, the average's distance from it."""
    found = np.full(values.size, np.nan)
    count, origin, mean = memory
    for t in range(values.size):
        if not np.isfinite(values[t]):
            count = 0.0
            continue
        if count == 0.0:
            origin, mean = values[t], 0.0
        count += 1.0
        mean = _mixed(mean, values[t] - origin, count, window, 2.0 / (window + 1.0))
        if count >= window:
            found[t] = origin + mean
    return found, (count, origin, mean)


@compiled
def rsi(close: np.ndarray, window: int, memory: Memory) -> tuple[np.ndarray, Memory]:
    """Memory: closes read since the last hole, the newest of them, average gain and loss."""
    found = np.full(close.size, np.nan)
    count, last, gain, loss = memory
    for t in range(close.size):
        if not np.isfinite(close[t]):
            count = 0.0
            continue
        if count == 0.0:
            gain = loss = 0.0
        else:
            change = close[t] - last
            gain = _mixed(gain, max(change, 0.0), count, window, 1.0 / window)
            loss = _mixed(loss, max(-change, 0.0), count, window, 1.0 / window)
        last = close[t]
        count += 1.0
        if count > window and gain + loss > LEAST_MOVE:
            found[t] = 100.0 * (gain / (gain + loss))
    return found, (count, last, gain, loss)


@compiled
def macd(close: np.ndarray, fast: int, slow: int, signal: int, memory: Memory) -> tuple[np.ndarray, np.ndarray, Memory]:
    """Memory: closes read since the last hole, the first of them, both averages' distances from it, the signal."""
    line, smooth = np.full(close.size, np.nan), np.full(close.size, np.nan)
    count, origin, quick, lazy, mean = memory
    for t in range(close.size):
        if not np.isfinite(close[t]):
            count = 0.0
            continue
        if count == 0.0:
            origin = close[t]
            quick = lazy = mean = 0.0
        count += 1.0
        quick = _mixed(quick, close[t] - origin, count, fast, 2.0 / (fast + 1.0))
        lazy = _mixed(lazy, close[t] - origin, count, slow, 2.0 / (slow + 1.0))
        if count >= slow:
            line[t] = quick - lazy
            mean = _mixed(mean, line[t], count - slow + 1.0, signal, 2.0 / (signal + 1.0))
        if count >= slow + signal - 1:
            smooth[t] = mean
    return line, smooth, (count, origin, quick, lazy, mean)


@compiled
def atr(high: np.ndarray, low: np.ndarray, close: np.ndarray, window: int, memory: Memory) -> tuple[np.ndarray, Memory]:
    """Memory: bars read since the last hole, the newest close, the average."""
    found = np.full(close.size, np.nan)
    count, last, mean = memory
    for t in range(close.size):
        if not (np.isfinite(high[t]) and np.isfinite(low[t]) and np.isfinite(close[t])):
            count = 0.0
            continue
        if count == 0.0:
            mean = 0.0
        else:
            mean = _mixed(mean, max(high[t], last) - min(low[t], last), count, window, 1.0 / window)
        last = close[t]
        count += 1.0
        if count > window:
            found[t] = mean
    return found, (count, last, mean)


@compiled
def vwap(price: np.ndarray, volume: np.ndarray, session: np.ndarray, memory: Memory) -> tuple[np.ndarray, Memory]:
    """Memory: number of the session, its first price, its volume, and the sum of volume times distance from that price.

    A number below 0 stands for the time before the first session, a volume of NaN silences the rest of one.
    """
    found = np.full(price.size, np.nan)
    number, origin, total, moment = memory
    for t in range(price.size):
        if session[t] != number:
            number, total, moment = session[t], 0.0, 0.0
        if volume[t] != 0.0:
            if total == 0.0:
                origin = price[t]
            total += volume[t]
            moment += volume[t] * (price[t] - origin)
            if not np.isfinite(moment):
                total = np.nan
        if number >= 0.0 and total > 0.0:
            found[t] = origin + moment / total
    return found, (number, origin, total, moment)
