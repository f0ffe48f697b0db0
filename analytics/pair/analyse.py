"""`analyse_pair`: from closes to the one analysis."""

from dataclasses import replace
from typing import Any

import numpy as np

from analytics.checks import pair
from analytics.pair.analysis import PairAnalysis
from analytics.pair.evidence import evidence
from analytics.pair.params import PairParams
from analytics.pair.path import SERIES, Provisional, provisional, spread_path
from analytics.pair.scores import REACH
from analytics.pair.watch import watch
from utils.errors import DegenerateSeries, InputError, TooFewObservations
from utils.later import Later

LARGEST = 1e100  # squares and their sums stay finite


def analyse_pair(
    y: np.ndarray,
    x: np.ndarray,
    params: PairParams | None = None,
    *,
    ts_us: np.ndarray | None = None,
    complete: np.ndarray | None = None,
    forming: tuple[float, float] | None = None,
) -> PairAnalysis:
    """The analysis of y, explained by x.

    Parameters
    ----------
    y, x : closes of closed bars on one grid, shape (n,), oldest first; leading NaN are left out
    params : PairParams() by default
    ts_us : opens of the bars, microseconds
    complete : whether each bar is without known loss; all are by default
    forming : closes of the bar in progress

    Raises
    ------
    TooFewObservations
        Fewer bars than the window: not one z-score exists.
    DegenerateSeries
        A leg is constant, or the legs are the same.
    InputError
        A value is not finite, or not positive where logarithms are asked for, or the arrays do not fit together.
    """
    params = params or PairParams()
    y, x, ts_us, complete = _checked(y, x, params, ts_us, complete)
    in_y, in_x = in_units(y, x, params)
    numbers, newest = bar_numbers(ts_us, y.size), slice(-params.test_bars, None)
    analysis = PairAnalysis(
        params=params,
        n_obs=y.size,
        ts_us=ts_us,
        complete=complete,
        y=y,
        x=x,
        path=spread_path(in_y, in_x, numbers, params),
        later_evidence=Later(lambda: evidence(in_y[newest], in_x[newest], params)),
        later_watch=Later(lambda: watch(in_y, in_x, numbers, params)),
    )
    return analysis if forming is None else with_forming(analysis, *forming)


def newest_path(
    y: np.ndarray, x: np.ndarray, params: PairParams | None = None, ts_us: np.ndarray | None = None
) -> dict[str, float]:
    """SERIES of the last bar, as `analyse_pair` gives them, without its tests: for many bars one after another.

    Raises
    ------
    TooFewObservations, DegenerateSeries, InputError
        As `analyse_pair`.
    """
    params = params or PairParams()
    y, x, ts_us, _ = _checked(y, x, params, ts_us, None)
    path = spread_path(*in_units(y, x, params), bar_numbers(ts_us, y.size), params)
    return {name: float(getattr(path, name)[-1]) for name in SERIES}


def _checked(
    y: np.ndarray, x: np.ndarray, params: PairParams, ts_us: np.ndarray | None, complete: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """Trimmed arrays that can be analysed."""
    y, x, ts_us, complete = trimmed(y, x, ts_us, complete)
    if y.size < params.window:
        raise TooFewObservations(have=y.size, need=params.window)
    y, x = pair(y, x, params.window)
    for name, leg in (("y", y), ("x", x)):
        if np.abs(leg).max() > LARGEST:
            raise InputError(f"{name} must be within {LARGEST:g}, was {leg[np.abs(leg).argmax()]:g}", name)
    if np.array_equal(y, x):
        raise DegenerateSeries("both legs are the same series")
    return y, x, ts_us, complete


def with_forming(analysis: PairAnalysis, y: float | None, x: float | None) -> PairAnalysis:
    """The same analysis beside the provisional numbers of a bar in progress; costs one window."""
    if y is None or x is None:
        return replace(analysis, provisional=None)
    tail = slice(-REACH * analysis.params.window, None)
    legs = in_units(analysis.y[tail], analysis.x[tail], analysis.params)
    bar = in_units(np.array([y]), np.array([x]), analysis.params)
    numbers = provisional(analysis.path, *legs, (float(bar[0][0]), float(bar[1][0])), analysis.params)
    return replace(analysis, provisional=Provisional(y=y, x=x, **numbers))


def in_units(y: np.ndarray, x: np.ndarray, params: PairParams) -> tuple[np.ndarray, np.ndarray]:
    """Prices, or their logarithms."""
    if not params.log_prices:
        return y, x
    for name, leg in (("y", y), ("x", x)):
        if leg.min() <= 0:
            raise InputError(f"{name} must be positive for logarithms, was {leg.min():g}", name)
    return np.log(y), np.log(x)


def bar_numbers(ts_us: np.ndarray | None, n: int) -> np.ndarray:
    """Number of each bar since 1970, or since the first one where times are not known."""
    if ts_us is None or n < 2:
        return np.arange(n)
    return np.asarray(ts_us) // int(np.diff(ts_us).min())


def trimmed(
    y: Any, x: Any, ts_us: np.ndarray | None, complete: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """Arrays of one length without the bars before both legs have a price."""
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    if y.ndim != 1:
        raise InputError(f"y must have one dimension, had {y.ndim}", "y")
    complete = np.ones(y.shape, bool) if complete is None else np.asarray(complete, bool)
    ts_us = None if ts_us is None else np.asarray(ts_us)
    for name, array in (("x", x), ("ts_us", ts_us), ("complete", complete)):
        if array is not None and array.shape != y.shape:
            raise InputError(f"{name} must have the shape of y, {y.shape}, had {array.shape}", name)
    if ts_us is not None and ts_us.size > 1 and np.diff(ts_us).min() <= 0:
        raise InputError("ts_us must increase from bar to bar", "ts_us")
    known = np.flatnonzero(~(np.isnan(y) | np.isnan(x)))
    start = int(known[0]) if known.size else y.size
    return y[start:], x[start:], None if ts_us is None else ts_us[start:], complete[start:]
