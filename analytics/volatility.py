"""Volatility of bars: five measures of the variance of one bar, their mean with an interval, their rolling path.

All are standard deviations of log returns, dimensionless: 0.01 is about 1 %. The range of a bar tells more of its
variance than its two ends do, but only of what was traded: between few trades the price is not seen, and the way from
the close before to the open lies outside. On a random walk of 100 trades a bar Parkinson's variance is 13 % too small,
the others' 18 %. Where bars carry their number of trades, ranges are therefore divided by the share that so many trades
show (`share_seen`). Variances are then unbiased on a geometric random walk; their roots too small by about 1 / (4 n).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pandas as pd
from scipy import stats

from analytics.returns import log_returns
from analytics.statistics import rolling_mean_std
from utils.errors import DegenerateSeries, InputError, TooFewObservations

YEAR_S = 365 * 86_400  # the exchange never closes
MIN_OBS = 30
MIN_RETURNS = 5  # inside a bar, for its realised variance
SLOW = 10  # steps of the slower of two scales
LOG_2 = math.log(2)
PRICES = ("open", "high", "low", "close")

# What a range misses of the variance of a random walk seen at k trades only, times sqrt(k), at 1 / sqrt(k): half a
# million walks or more a size (numpy PCG64, seed 11) for k = 40, 10, 6, 4, 3 and 2; the limit by Siegmund's constant
# 0.5826.
FEW = np.append(0.0, 1 / np.sqrt([40, 10, 6, 4, 3, 2]))
MISSED = {
    "parkinson": (1.341, 1.338, 1.305, 1.283, 1.253, 1.220, 1.159),
    "garman_klass": (1.859, 1.791, 1.690, 1.621, 1.543, 1.469, 1.334),
    "rogers_satchell": (1.859, 1.818, 1.743, 1.685, 1.616, 1.548, math.sqrt(2)),
}

Method = Literal["close", "parkinson", "garman_klass", "rogers_satchell", "yang_zhang"]
METHODS: tuple[Method, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Volatility:
    """Volatility over these bars, with a 95 % interval; not of the bars to come."""

    per_bar: float  # standard deviation of the log return of one bar
    low: float
    high: float
    annual: float  # per_bar sqrt(bars a year), 365 days
    annual_low: float
    annual_high: float
    method: str
    timeframe_s: float
    n_obs: int  # variances averaged
    still: float  # share of bars without any range
    seen: float  # share of the variance that ranges of so few trades show, made good; 1 where not known or not needed


def bars_a_year(timeframe_s: float) -> float:
    """Bars of this width in 365 days: variances of bars times this are variances of years.

    Raises
    ------
    InputError
    """
    if not 0 < timeframe_s < math.inf:
        raise InputError(f"timeframe_s must be > 0, was {timeframe_s:g}", "timeframe_s")
    return YEAR_S / timeframe_s


def bar_variance(bars: pd.DataFrame, method: Method = "parkinson") -> np.ndarray:
    """Variance of the log return of each bar, shape (n,), from that bar alone (and the close before it).

    With o, h, l, c the logarithms of open, high, low and close:

        close            (c_t - c_(t-1))^2, NaN at the first bar
        parkinson        (h - l)^2 / (4 ln 2), 5 times as precise as close; for a price without drift
        garman_klass     (h - l)^2 / 2 - (2 ln 2 - 1) (c - o)^2, 7 times; likewise
        rogers_satchell  (h - c) (h - o) + (l - c) (l - o), 6 times; whatever the drift

    Yang-Zhang's is a variance of many bars and has no value for one: see `volatility`.

    Parameters
    ----------
    bars : columns open, high, low, close, oldest first

    Raises
    ------
    InputError
        A column is missing, a price not finite or not positive, a high below or a low above its open or close.

    References
    ----------
    M. Parkinson, Journal of Business 53 (1980); M. B. Garman and M. J. Klass, same volume; L. C. G. Rogers and
    S. E. Satchell, Annals of Applied Probability 1 (1991).
    """
    moves = _moves(bars)
    if method not in _OF_ONE_BAR:
        raise InputError(f"method must be one of {', '.join(_OF_ONE_BAR)}, was {method!r}", "method")
    return _OF_ONE_BAR[method](moves)


def share_seen(trades: np.ndarray, method: Method) -> np.ndarray:
    """Share of a bar's variance that a range over so many trades shows, 0..1, shape (n,); 0 below two trades.

    For independent moves of one size from trade to trade. Trades of one order often share a price: then fewer were
    seen than counted, and the share is a little too large. 1 for "close", which looks at no range.

    Raises
    ------
    InputError

    References
    ----------
    Garman and Klass (1980), table 2; D. Siegmund, Sequential Analysis (1985), ch. 10.
    """
    k = np.maximum(np.asarray(trades, np.float64), 1.0)
    if method == "close":
        return np.ones(k.shape)
    if method not in MISSED:
        raise InputError(f"method must be one of close, {', '.join(MISSED)}, was {method!r}", "method")
    missed = np.interp(1 / np.sqrt(k), FEW, MISSED[method])
    return np.where(k >= 2, 1 - missed / np.sqrt(k), 0.0)


def volatility(bars: pd.DataFrame, method: Method = "yang_zhang", *, timeframe_s: float) -> Volatility:
    """Volatility over the bars: the root of the mean of their variances, per bar and per year of 365 days.

    Ranges are made good for the number of trades where the bars have a column `trades`: the mean variance is divided by
    the mean of `share_seen`.

    Yang-Zhang: V_gap + k V_(open-close) + (1 - k) V_rs, V sample variances (ddof 1) and the mean of rogers_satchell,
    k = 0.34 / (1.34 + (m + 1) / (m - 1)) over m bars with a close before them: for any drift, and with gaps.
    "close" takes the mean off its returns (ddof 1).

    The interval is exp(ln v -+ t stderr(v) / v), v the mean variance, stderr by the scatter of the bars' own
    variances, t Student's quantile. It asks for no distribution: it covers the volatility of these bars also where that
    changes and tails are heavy, and is wider than needed there.

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        No bar moved.

    References
    ----------
    D. Yang and Q. Zhang, Journal of Business 73 (2000); others as for `bar_variance`.
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, was {method!r}", "method")
    moves = _moves(bars)
    if moves.close.size - 1 < MIN_OBS:
        raise TooFewObservations(have=moves.close.size, need=MIN_OBS + 1)
    if method == "close":
        returns = moves.gap[1:] + moves.close[1:]
        variances = _about_mean(returns)
    elif method == "yang_zhang":
        variances = _yang_zhang(moves)
    else:
        variances = _OF_ONE_BAR[method](moves)
    seen = float(_seen(bars, method, variances.size)[-variances.size :].mean())
    return _mean(variances, method, timeframe_s, float(np.mean(moves.high == moves.low)), seen)


def volatilities(bars: pd.DataFrame, *, timeframe_s: float) -> tuple[Volatility, ...]:
    """All methods on the same bars, to be read beside each other; one that these bars say nothing to is left out.

    Ranges far below close mean few trades a bar; far above it, wicks: prices that came back within their bar.

    Raises
    ------
    InputError, TooFewObservations
    DegenerateSeries
        No bar moved.
    """
    found = []
    for method in METHODS:
        try:
            found.append(volatility(bars, method, timeframe_s=timeframe_s))
        except DegenerateSeries:
            continue
    if not found:
        raise DegenerateSeries("no bar moved: there is no volatility")
    return tuple(found)


def rolling_volatility(bars: pd.DataFrame, window: int, method: Method = "yang_zhang") -> np.ndarray:
    """Volatility of one bar over each window of bars, shape (n,), causal; NaN until the window is full.

    Windows of "close" and "yang_zhang" need the close before them, too. 0 where no bar of the window moved, NaN where
    ranges of less than two trades a bar show nothing.

    Raises
    ------
    InputError
    """
    if method not in METHODS:
        raise InputError(f"method must be one of {', '.join(METHODS)}, was {method!r}", "method")
    moves = _moves(bars)
    if method == "close":
        return rolling_mean_std(moves.gap + moves.close, window)[1]
    if method == "yang_zhang":
        weight = _open_close_weight(window)
        gap, inside = (rolling_mean_std(move, window)[1] ** 2 for move in (moves.gap, moves.close))
        ranges = rolling_mean_std(_OF_ONE_BAR["rogers_satchell"](moves), window)[0]
        variance = gap + weight * inside + (1 - weight) * ranges
    else:
        variance = rolling_mean_std(_OF_ONE_BAR[method](moves), window)[0]
    seen = rolling_mean_std(_seen(bars, method, window), window)[0]
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.sqrt(np.maximum(variance, 0.0) / np.where(seen > 0, seen, np.nan))


@dataclass(frozen=True, slots=True)
class Realised:
    """Realised volatility: from the many returns inside the bars."""

    volatility: Volatility  # "realised": returns of every step
    two_scales: float  # per bar, less the noise of single prices; NaN where that leaves nothing
    noise_ratio: float  # variance by single steps over that by ten at a time: above 1 prices bounce, below they trend
    steps: int  # returns a bar


def realised(closes: np.ndarray, steps: int, *, timeframe_s: float) -> Realised:
    """Realised volatility of bars from the closes of `steps` shorter bars in each.

    v = mean over bars of the sum of squared log returns. Trades bounce between bid and ask, and over short steps v
    measures the bounce; its interval then covers the bounce, too. `two_scales` takes it away: squared returns over ten
    steps (all that overlap) and over one hold the same bounce, so that steps * (mean r_ten^2 - mean r_one^2) / 9 holds
    none, if it is independent from trade to trade.

    Parameters
    ----------
    closes : float array, shape (bars * steps + 1,), oldest first, positive: the first is the close before the first
        bar; an incomplete bar at the beginning is left out
    steps : returns a bar, >= 5
    timeframe_s : seconds of the bar, not of the step

    Raises
    ------
    InputError
    TooFewObservations
        Fewer than 30 bars.
    DegenerateSeries

    References
    ----------
    L. Zhang, P. A. Mykland and Y. Ait-Sahalia, Journal of the American Statistical Association 100 (2005).
    """
    if steps < MIN_RETURNS:
        raise InputError(f"steps must be >= {MIN_RETURNS}, was {steps}", "steps")
    returns = log_returns(closes)
    bars = returns.size // steps
    if bars < MIN_OBS:
        raise TooFewObservations(have=bars, need=MIN_OBS)
    returns = returns[-bars * steps :]
    variances = np.sum(returns.reshape(bars, steps) ** 2, axis=1)
    found = _mean(variances, "realised", timeframe_s, float(np.mean(variances == 0)), 1.0)
    single = float(np.mean(returns**2))
    # All overlapping returns over ten steps: every offset at once.
    ten = float(np.mean(np.convolve(returns, np.ones(SLOW), "valid") ** 2))
    clean = (ten - single) / (SLOW - 1)
    return Realised(
        volatility=found,
        two_scales=math.sqrt(clean * steps) if clean > 0 else math.nan,
        noise_ratio=SLOW * single / ten if ten > 0 else math.inf,
        steps=steps,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Moves:
    """Logarithms of each bar's prices over its open, and of its open over the close before (NaN at the first)."""

    gap: np.ndarray
    high: np.ndarray
    low: np.ndarray
    close: np.ndarray


def _moves(bars: pd.DataFrame) -> _Moves:
    absent = [name for name in PRICES if name not in bars]
    if absent:
        raise InputError(f"bars need the columns {', '.join(PRICES)}, had no {', '.join(absent)}", absent[0])
    opens, highs, lows, closes = (bars[name].to_numpy(np.float64) for name in PRICES)
    whole = np.isfinite(opens) & np.isfinite(highs) & np.isfinite(lows) & np.isfinite(closes) & (lows > 0)
    wrong = np.flatnonzero(~(whole & (highs >= np.maximum(opens, closes)) & (lows <= np.minimum(opens, closes))))
    if wrong.size:
        row = wrong[0]
        prices = f"{opens[row]}, {highs[row]}, {lows[row]}, {closes[row]}"
        raise InputError(f"0 < low <= open, close <= high must hold, bar {row} had open, high, low, close {prices}")
    # log1p of the share: the difference of two logarithms of prices near 1e5 loses eight digits of a small move.
    high, low, close = (np.log1p((prices - opens) / opens) for prices in (highs, lows, closes))
    gap = np.log1p((opens[1:] - closes[:-1]) / closes[:-1])
    return _Moves(np.concatenate(([np.nan], gap))[: opens.size], high, low, close)


_OF_ONE_BAR: dict[str, Callable[[_Moves], np.ndarray]] = {
    "close": lambda moves: (moves.gap + moves.close) ** 2,
    "parkinson": lambda moves: (moves.high - moves.low) ** 2 / (4 * LOG_2),
    "garman_klass": lambda moves: (moves.high - moves.low) ** 2 / 2 - (2 * LOG_2 - 1) * moves.close**2,
    "rogers_satchell": lambda moves: moves.high * (moves.high - moves.close) + moves.low * (moves.low - moves.close),
}


def _seen(bars: pd.DataFrame, method: Method, averaged: int) -> np.ndarray:
    """What each bar shows of its variance, Yang and Zhang's sum of `averaged` bars too; 1 without number of trades."""
    if "trades" not in bars:
        return np.ones(len(bars))
    trades = bars["trades"].to_numpy()
    if method != "yang_zhang":
        return share_seen(trades, method)
    gap = 1 / np.maximum(trades, 1)  # one move of them; the rest lies between open and close
    weight = _open_close_weight(averaged)
    return gap + weight * (1 - gap) + (1 - weight) * share_seen(trades, "rogers_satchell")


def _yang_zhang(moves: _Moves) -> np.ndarray:
    """What each bar adds to Yang and Zhang's variance, which is the mean; shape (n - 1,)."""
    weight = _open_close_weight(moves.close.size - 1)
    ranges = _OF_ONE_BAR["rogers_satchell"](moves)[1:]
    return _about_mean(moves.gap[1:]) + weight * _about_mean(moves.close[1:]) + (1 - weight) * ranges


def _about_mean(values: np.ndarray) -> np.ndarray:
    """Squares about the mean, whose mean is the sample variance (ddof 1)."""
    return (values - values.mean()) ** 2 * (values.size / (values.size - 1))


def _open_close_weight(bars: int) -> float:
    """Yang and Zhang's k: the share of open-to-close that makes the sum most precise."""
    return 0.34 / (1.34 + (bars + 1) / (bars - 1))


def _mean(variances: np.ndarray, method: str, timeframe_s: float, still: float, seen: float) -> Volatility:
    """The root of the mean of these variances, made good for what is not seen, with its interval."""
    a_year = math.sqrt(bars_a_year(timeframe_s))
    n, mean = variances.size, float(variances.mean())
    if not mean > 0:
        raise DegenerateSeries("no bar moved: there is no volatility")
    if not seen > 0:
        raise DegenerateSeries(f"the bars have too few trades for {method}: a range of one or two shows nothing")
    relative = float(variances.std(ddof=1)) / math.sqrt(n) / mean
    apart = math.exp(float(stats.t.ppf(0.975, n - 1)) * relative / 2)  # half: of the root
    per_bar = math.sqrt(mean / seen)
    low, high = per_bar / apart, per_bar * apart
    return Volatility(
        per_bar=per_bar,
        low=low,
        high=high,
        annual=per_bar * a_year,
        annual_low=low * a_year,
        annual_high=high * a_year,
        method=method,
        timeframe_s=timeframe_s,
        n_obs=n,
        still=still,
        seen=seen,
    )
