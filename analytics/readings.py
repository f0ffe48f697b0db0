"""Readings: every metric by its name, at the close of a bar, as rules, alerts and their rehearsal see it.

A metric added here, or to `PairAnalysis.reading()`, can be watched by name; alerts/ knows no metric of its own. The
same code reads the newest bar of a live market and every bar of a stored one, on the same number of bars before it,
so that both give the same number to the last bit.
"""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from analytics.hedge import ols
from analytics.indicators import rsi
from analytics.mean_reversion import half_life, spread
from analytics.pair import PairAnalysis, PairParams, analyse_pair, newest_path
from analytics.pair.analyse import in_units, trimmed
from analytics.resampling import BarColumns
from utils.clock import US_PER_S
from utils.errors import AnalysisError, InputError
from utils.later import Later

KEPT = 250  # newest bars of a symbol that its own metrics rest on
SPIKE_BARS = 20  # bars before, whose mean volume is the usual one
RSI_BARS = 14
FLOW_BARS = 20
STALE_TRADES = 20  # a symbol is silent after so many of its usual intervals ...
STALE_LEAST_S, STALE_MOST_S = 5.0, 300.0  # ... but within these bounds
OF_THE_FEED = ("feed_age", "coverage")  # known while a feed is silent: they tell of it

SYMBOL_METRICS = {
    "price": "close, quote currency",
    "volume": "of the bar, base currency",
    "volume_spike": f"volume of the bar / mean volume of the {SPIKE_BARS} bars before",
    "trades_per_s": "trades of the bar a second",
    "vwap": "of the bar, quote currency",
    "ofi": f"order flow imbalance of {FLOW_BARS} bars, -1..1",
    "rsi": f"Wilder's, of {RSI_BARS} bars, 0 to 100",
    "coverage": f"share of the newest {KEPT} bars without a known loss",
    "feed_age": "seconds since the last trade",
}
PAIR_METRICS = {
    "zscore": "(spread - mean) / standard deviation over the window",
    "spread": "y - hedge ratio * x, price units of y",
    "hedge_ratio": "units of x per unit of y",
    "hedge_ratio_stderr": "of the hedge ratio",
    "spread_mean": "over the window",
    "spread_std": "over the window",
    "correlation": "of log returns over the window",
    "half_life": "bars until half the gap to the mean is closed",
    "half_life_low": "lower end of its 95 % interval",
    "half_life_high": "upper end of its 95 % interval",
    "pvalue": "Engle-Granger in both directions, one look",
    "session_pvalue": "the same for all looks of the session together",
    "monitor": "how far the detector of a break has come to its boundary; 1 is an alarm",
    "adf_pvalue": "ADF of the spread",
    "ou_theta": "speed of reversion a bar, Ornstein-Uhlenbeck",
    "ou_std": "stationary deviation, Ornstein-Uhlenbeck",
    "residual_z": "z of the residual of the whole fit",
    "exit_bars": "expected bars until the exit",
    "breakeven_z": "|z| that pays the costs",
    "price_y": "close of y",
    "price_x": "close of x",
    "n_obs": "closed bars the analysis rests on",
    "coverage": "share of the bars without a known loss",
    "feed_age": "seconds since the last trade of the more silent leg",
}
# Read from the live tape, quotes and signal at the moment of a round: no bar holds them, so the past cannot be tried.
TAPE_METRICS = {
    "velocity_ratio": "trades/s over what is usual at this time of day",
    "liquidity": "score against the hour before, 0 to 100",
    "volatility_ratio": "realised volatility of the last minute over that of the hour before",
    "momentum_quality": "efficiency of the last minute's moves, 0..1",
    "cumulative_delta": "taker buys - sells since the tape began, base currency",
    "vpin": "one-sidedness of 50 buckets of volume, 0..1",
    "kyle_lambda": "price change a unit bought net",
    "amihud": "|return| a million of quote currency",
    "roll_spread_bp": "spread that the bounce of prices speaks for, basis points",
    "large_share": "share of large prints in the quantity, 0..1",
    "tick_rule_accuracy": "share of sides that the tick rule guesses right",
    "quoted_spread_bp": "mean over the last minute, basis points",
    "effective_spread_bp": "mean over the last minute's quantity, basis points",
    "microprice_distance_bp": "microprice off the middle, basis points",
    "quote_imbalance": "bid size - ask size over both, -1..1",
}
SIGNAL_METRICS = {
    "opportunity": "score of the moment, 0 to 100",
    "signal": "entry: 1 buys the spread, -1 sells it, 0 none",
    "momentum": "strength of the trend of z",
}
OF_LEGS = tuple(name for name in SYMBOL_METRICS if name not in (*OF_THE_FEED, "price"))
PATH = ("zscore", "spread", "hedge_ratio", "hedge_ratio_stderr", "spread_mean", "spread_std", "correlation")


def metrics(is_pair: bool) -> dict[str, str]:
    """Every metric of a pair or of a symbol, with a few words; of a pair's legs as `volume_y`, `rsi_x`.

    The plain name of a leg's metric, `price` or `volume`, means y in a pair.
    """
    if not is_pair:
        return SYMBOL_METRICS | TAPE_METRICS
    both = {name: SYMBOL_METRICS[name] for name in OF_LEGS} | TAPE_METRICS
    legs = {f"{name}_{leg}": f"{words}, of {leg}" for name, words in both.items() for leg in "yx"}
    plain = {name: f"{SYMBOL_METRICS[name]}, of y" for name in ("price", *OF_LEGS)}
    return PAIR_METRICS | SIGNAL_METRICS | legs | plain


def tape_names(is_pair: bool) -> frozenset[str]:
    """Metrics that only the live tape, quotes and signal can tell."""
    if not is_pair:
        return frozenset(TAPE_METRICS)
    return frozenset({f"{name}_{leg}" for name in TAPE_METRICS for leg in "yx"} | set(SIGNAL_METRICS))


@dataclass(frozen=True, slots=True, eq=False)
class Moment:
    """What was known at the close of one bar; a metric that is not there, or NaN, does not exist."""

    at_us: int  # close of the bar
    values: Mapping[str, float]
    later: Later[dict[str, float]] | None = None  # more of them, which cost too much to be known of every bar

    @property
    def whole(self) -> Mapping[str, float]:
        """All values, also those that are computed when they are asked for."""
        return self.values if self.later is None else {**self.values, **self.later()}


def symbol_reading(bars: BarColumns, width_us: int) -> dict[str, float]:
    """SYMBOL_METRICS at the close of the last of these closed bars, on the newest KEPT of them; none gives {}."""
    bars = bars[-KEPT:]
    if not len(bars):
        return {}
    before = bars.volume[-SPIKE_BARS - 1 : -1]
    usual = float(before.mean()) if before.size == SPIKE_BARS else math.nan
    return {
        "price": float(bars.close[-1]),
        "volume": float(bars.volume[-1]),
        "volume_spike": float(bars.volume[-1]) / usual if usual > 0 else math.nan,
        "trades_per_s": float(bars.trades[-1]) * US_PER_S / width_us,
        "vwap": float(bars.vwap[-1]),
        "ofi": _imbalance(bars[-FLOW_BARS:]),
        "rsi": float(rsi(bars.close, RSI_BARS)[-1]),
        "coverage": float(bars.complete.mean()),
        "feed_age": silent_s(bars, width_us),
    }


def _imbalance(bars: BarColumns) -> float:
    """(taker buys - taker sells) / volume; NaN for fewer bars, and where nothing traded."""
    volume = float(bars.volume.sum())
    if len(bars) < FLOW_BARS or not volume > 0:
        return math.nan
    return float(2 * bars.taker_buy_volume.sum() - volume) / volume


def pair_reading(analysis: PairAnalysis | None, y: BarColumns, x: BarColumns, width_us: int) -> dict[str, float]:
    """PAIR_METRICS and those of the legs, at the close of the last of these closed bars; without an analysis, those."""
    own_y, own_x = symbol_reading(y, width_us), symbol_reading(x, width_us)
    prices = {"price_y": own_y["price"], "price_x": own_x["price"]}
    found = prices if analysis is None else analysis.reading()
    return _of_legs(own_y, own_x) | found | {"feed_age": _worst(own_y, own_x, "feed_age")}


def silent_s(bars: BarColumns, width_us: int) -> float:
    """Seconds for which nothing was traded up to the last close, counted in whole bars."""
    traded = np.flatnonzero(bars.trades)
    silent = len(bars) if not traded.size else len(bars) - 1 - int(traded[-1])
    return silent * width_us / US_PER_S


def patience_s(trades_per_s: float) -> float:
    """Seconds without a trade after which a symbol of this usual rate is silent."""
    usual = STALE_TRADES / trades_per_s if trades_per_s > 0 else STALE_MOST_S
    return min(max(usual, STALE_LEAST_S), STALE_MOST_S)


def is_known(bars: BarColumns, width_us: int) -> bool:
    """Whether the last of these bars can be judged: without a known loss, and its symbol not silent for long."""
    bars = bars[-KEPT:]
    if not len(bars) or not bars.complete[-1]:
        return False
    if bars.trades[-1]:
        return True
    silent = silent_s(bars, width_us)
    traded_s = len(bars) * width_us / US_PER_S - silent  # the usual rate is that before the silence
    return silent <= patience_s(float(bars.trades.sum()) / traded_s if traded_s else 0.0)


def only_of_the_feed(values: Mapping[str, float]) -> dict[str, float]:
    """What is left of a reading where the bar cannot be judged."""
    return {name: values[name] for name in OF_THE_FEED if name in values}


def symbol_moments(bars: BarColumns, width_us: int, after_us: int = 0) -> Iterator[Moment]:
    """A moment for each of these closed bars that closed after a time."""
    for row in _rows(bars, width_us, after_us):
        known = bars[max(0, row + 1 - KEPT) : row + 1]
        values = symbol_reading(known, width_us)
        kept = values if is_known(known, width_us) else only_of_the_feed(values)
        yield Moment(int(bars.ts_us[row]) + width_us, kept)


def pair_moments(
    y: BarColumns,
    x: BarColumns,
    width_us: int,
    params: PairParams,
    held: int,
    names: Collection[str],
    after_us: int = 0,
) -> Iterator[Moment]:
    """A moment for each closed bar of both legs that closed after a time, with the metrics named.

    `held` bars up to each are analysed, as many as a live analysis holds. The hedge ratio, the spread and what is
    scaled from them cost a twentieth of a millisecond a bar; tests cost ten. The half-life, which an outcome is judged
    by, comes later: at the few bars where a rule fires.

    Raises
    ------
    InputError
        The legs are not on one grid.
    """
    if not np.array_equal(y.ts_us, x.ts_us):
        raise InputError("both legs must have the same bars", "symbol_x")
    path_alone = not needs_tests(names)
    legs_too = bool(set(names) - {*PATH, "price", "price_y", "price_x"})
    for row in _rows(y, width_us, after_us):
        until = row + 1
        own = [leg[max(0, until - KEPT) : until] for leg in (y, x)]
        values = {"price": float(y.close[row]), "price_y": float(y.close[row]), "price_x": float(x.close[row])}
        if legs_too:
            of_y, of_x = (symbol_reading(leg, width_us) for leg in own)
            values |= _of_legs(of_y, of_x) | {"feed_age": _worst(of_y, of_x, "feed_age")}
        held_y, held_x = (leg[max(0, until - held) : until] for leg in (y, x))
        values |= _analysed(held_y, held_x, params, path_alone)
        if not all(is_known(leg, width_us) for leg in own):
            values = only_of_the_feed(values)
        later = Later(partial(_half_life, held_y.close, held_x.close, params)) if path_alone else None
        yield Moment(int(y.ts_us[row]) + width_us, values, later if "zscore" in values else None)


def needs_tests(names: Collection[str]) -> bool:
    """Whether metrics of a pair rest on more than its path: on tests, which cost ten milliseconds a bar."""
    return not set(names) <= {*PATH, *OF_LEGS, "price", "price_y", "price_x", "feed_age"} | _suffixed()


def _analysed(y: BarColumns, x: BarColumns, params: PairParams, path_alone: bool) -> dict[str, float]:
    """Metrics of the pair at the last of these bars; none where the data does not support them."""
    try:
        if path_alone:
            path = newest_path(y.close, x.close, params, y.ts_us)
            return {name: path[name] for name in PATH}
        return analyse_pair(y.close, x.close, params, ts_us=y.ts_us, complete=y.complete & x.complete).reading()
    except (AnalysisError, InputError):
        return {}


def _half_life(y: np.ndarray, x: np.ndarray, params: PairParams) -> dict[str, float]:
    """The half-life as `analyse_pair` has it, without its tests."""
    y, x, _, _ = trimmed(y, x, None, None)
    try:
        y, x = in_units(y[-params.test_bars :], x[-params.test_bars :], params)
        if y.size < params.min_bars:
            return {"half_life": math.nan}
        fit = ols(y, x)
        return {"half_life": half_life(spread(y, x, fit.hedge_ratio, fit.intercept), fitted=1).bars}
    except AnalysisError:
        return {"half_life": math.nan}


def _of_legs(y: Mapping[str, float], x: Mapping[str, float]) -> dict[str, float]:
    plain = {name: y[name] for name in ("price", *OF_LEGS) if name in y}
    return plain | {f"{name}_{leg}": own[name] for leg, own in (("y", y), ("x", x)) for name in OF_LEGS if name in own}


def _suffixed() -> set[str]:
    return {f"{name}_{leg}" for name in OF_LEGS for leg in "yx"}


def _worst(y: Mapping[str, float], x: Mapping[str, float], name: str) -> float:
    return max(y.get(name, math.inf), x.get(name, math.inf))


def _rows(bars: BarColumns, width_us: int, after_us: int) -> range:
    """Indices of the bars that closed after a time."""
    return range(int(np.searchsorted(bars.ts_us + width_us, after_us, side="right")), len(bars))
