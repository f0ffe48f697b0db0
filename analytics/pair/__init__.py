"""The one analysis of a pair: what pages, alerts, API, export, replay and backtest show.

    params    what it is asked to do
    path      hedge ratio, spread and z-score of every bar: at bar t they rest on bars up to t, never on later ones
    scores    the z-score by other scales
    evidence  fits, tests and reversion on the newest `test_bars` closes
    watch     sessions: calibrated at fixed times, then judged for all looks together
    analysis  all of it as one value: readings, rows, JSON
    analyse   from closes to that value

With the methods that fit a window, y is regressed on x with a constant over the `window` closes that end at t. The
slope is the hedge ratio, spread = y - hedge_ratio x, and spread_mean, spread_std belong to that same window with that
same slope; zscore = (spread - spread_mean) / spread_std. A moving slope therefore makes no jumps.
"""

from analytics.pair.analyse import analyse_pair, newest_path, with_forming
from analytics.pair.analysis import PairAnalysis
from analytics.pair.evidence import IGNORES_THE_FIT, Evidence
from analytics.pair.params import METHODS, SCALES, PairParams
from analytics.pair.path import SERIES, Provisional, SpreadPath
from analytics.pair.watch import Watch

__all__ = [
    "IGNORES_THE_FIT",
    "METHODS",
    "SCALES",
    "SERIES",
    "Evidence",
    "PairAnalysis",
    "PairParams",
    "Provisional",
    "SpreadPath",
    "Watch",
    "analyse_pair",
    "newest_path",
    "with_forming",
]
