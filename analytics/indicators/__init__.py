"""Indicators of one series of bars, and the same carried on bar by bar.

    averages   sma, ema, macd
    wilder     rsi, atr
    bands      bollinger
    anchored   vwap
    columns    what all ask of their input
    kernels    the compiled recursions

Every function returns arrays of the input's length and uses bars up to and including its own. A value that is not
finite is a hole: averages start anew after it, and are NaN until their window is full again, as at the beginning.
What a hole means to a VWAP is told there. Shorter input than the window, or none, is NaN throughout, never an error.

Exponential averages begin with the plain mean of their first window, as Wilder's and TA-Lib's do; starting from the
first value instead, as pandas does, gives that one value the weight of a window. Recursions run on distances from the
first value since the last hole, so that moves of 0.01 keep their digits at a price of 1e5.

Each indicator has a running twin for the bar in progress. It is immutable: `closed = RunningEma(20).after(closes)` has
read the closed bars, and `closed.after(price).value` is what `ema` would end with if the bar in progress closed at
`price`. One such step costs the same however long the history is.

Why no library: TA-Lib 0.8.2 is fast and agrees with every formula here, but calls a series that does not move, and all
that follows a missing value, an RSI of 0, keeps other averages NaN to the end after one hole, and has no sessions. To
guard against that takes as much code as the loops themselves; its values stand in the tests instead.
"""

from analytics.indicators.anchored import RunningVwap, vwap
from analytics.indicators.averages import Macd, RunningEma, RunningMacd, RunningSma, ema, macd, sma
from analytics.indicators.bands import Bollinger, RunningBollinger, bollinger
from analytics.indicators.wilder import RunningAtr, RunningRsi, atr, rsi

__all__ = [
    "Bollinger",
    "Macd",
    "RunningAtr",
    "RunningBollinger",
    "RunningEma",
    "RunningMacd",
    "RunningRsi",
    "RunningSma",
    "RunningVwap",
    "atr",
    "bollinger",
    "ema",
    "macd",
    "rsi",
    "sma",
    "vwap",
]
