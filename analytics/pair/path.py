"""Hedge ratio, spread and z-score of every bar, by the method and the scale that the reader chose."""

import math
from collections.abc import Callable
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np

from analytics.hedge import (
    KalmanPath,
    RatioPath,
    ewm_ols,
    kalman_noise,
    kalman_path,
    kalman_step,
    rolling_huber,
    rolling_theil_sen,
    rolling_tls,
)
from analytics.hedge.rolling import EwmState, ewm_decay, ewm_state, ewm_step, forecasts
from analytics.hedge.state_space import MIN_TRAIN, TRAIN, Consistency
from analytics.pair.params import PairParams
from analytics.pair.scores import Scores, ewm_scores, robust_scores
from analytics.returns import log_returns
from analytics.statistics import rolling_correlation, rolling_fit
from utils.errors import AnalysisError

SERIES = (
    "hedge_ratio",
    "hedge_ratio_stderr",
    "intercept",
    "spread",
    "spread_mean",
    "spread_std",
    "zscore",
    "correlation",
)
NUMBERS = ("hedge_ratio", "spread", "spread_mean", "spread_std", "zscore", "correlation")  # of the bar in progress

State = EwmState | KalmanPath | None
Fitted = Callable[[np.ndarray, np.ndarray, int], RatioPath]
Scored = Callable[[np.ndarray, np.ndarray, np.ndarray, int], Scores]


@dataclass(frozen=True, slots=True, eq=False)
class SpreadPath:
    """Arrays of one value a bar, NaN where undefined; see SERIES."""

    hedge_ratio: np.ndarray
    hedge_ratio_stderr: np.ndarray  # the method's own
    intercept: np.ndarray
    spread: np.ndarray
    spread_mean: np.ndarray
    spread_std: np.ndarray
    zscore: np.ndarray
    correlation: np.ndarray  # of log returns over the window
    state: State  # from which a recursive method goes on

    @property
    def consistency(self) -> Consistency | None:
        """Whether Kalman's surprises are as large and as independent as it says."""
        return self.state.consistency if isinstance(self.state, KalmanPath) else None


@dataclass(frozen=True, slots=True)
class Provisional:
    """The numbers of the bar in progress, should it close where it stands; NaN where they do not exist."""

    y: float  # prices
    x: float
    hedge_ratio: float
    spread: float
    spread_mean: float
    spread_std: float
    zscore: float
    correlation: float


def session_starts(numbers: np.ndarray, session_bars: int) -> list[int]:
    """Indices of the first bar of each session: those whose number is the first of so many.

    numbers: bars since 1970, or since the first one; shape (n,), increasing.
    """
    sessions = np.asarray(numbers) // session_bars
    return [0, *(np.flatnonzero(np.diff(sessions)) + 1).tolist()]


def rolling_ols(y: np.ndarray, x: np.ndarray, window: int) -> RatioPath:
    """Least squares over the `window` closes that end at each bar."""
    fits = rolling_fit(y, x, window)
    return RatioPath(fits.hedge_ratio, fits.intercept, fits.stderr, fits.intercept, fits.spread_std, fits.zscore)


def _ewm(y: np.ndarray, x: np.ndarray, window: int) -> tuple[RatioPath, State]:
    return ewm_ols(y, x, span=window), ewm_state(y, x, ewm_decay(span=window)[0])


def _kalman(y: np.ndarray, x: np.ndarray, numbers: np.ndarray, params: PairParams) -> tuple[RatioPath, State]:
    """Forecasts of the filter, whose noise is found anew before each session, on the TRAIN bars that end there.

    The filter begins with those bars, so that a value rests on a bounded history: what lies further back, or how much
    of it was asked for, moves nothing.
    """
    starts = [*session_starts(numbers, params.session_bars), y.size]
    columns, newest = np.full((len(fields(RatioPath)), y.size), np.nan), None
    for start, end in pairwise(starts):
        since = max(0, start - TRAIN)
        newest = None
        if start - since < MIN_TRAIN:
            continue
        try:
            noise = kalman_noise(y[since:start], x[since:start])
            newest = kalman_path(y[since:end], x[since:end], noise)
        except AnalysisError:  # nothing to learn from: no values in this session
            continue
        found = forecasts(newest)
        for column, field in zip(columns, fields(RatioPath), strict=True):
            column[start:end] = getattr(found, field.name)[start - since :]
    return RatioPath(*columns), newest


WINDOWED: dict[str, Fitted] = {
    "ols": rolling_ols,
    "huber": rolling_huber,
    "theil_sen": rolling_theil_sen,
    "tls": rolling_tls,
}
BY_SCALE: dict[str, Scored] = {"ewm": ewm_scores, "robust": robust_scores}  # "std" is the method's own


def spread_path(y: np.ndarray, x: np.ndarray, numbers: np.ndarray, params: PairParams) -> SpreadPath:
    """The path over all bars. y, x: prices or their logarithms; numbers: of the bars; shape (n,), oldest first."""
    path, (mean, width, zscore), state = scored_path(y, x, numbers, params)
    return SpreadPath(
        hedge_ratio=path.hedge_ratio,
        hedge_ratio_stderr=path.stderr,
        intercept=path.intercept,
        spread=y - path.hedge_ratio * x,
        spread_mean=mean,
        spread_std=width,
        zscore=zscore,
        correlation=return_correlation(y, x, params),
        state=state,
    )


def scored_path(
    y: np.ndarray, x: np.ndarray, numbers: np.ndarray, params: PairParams
) -> tuple[RatioPath, Scores, State]:
    """The ratio of every bar, the mean, width and z-score of its spread, and the state: all that a rule on z needs."""
    path, state = _fitted(y, x, numbers, params)
    return path, _scored(y, x, path, params), state


def _fitted(y: np.ndarray, x: np.ndarray, numbers: np.ndarray, params: PairParams) -> tuple[RatioPath, State]:
    """Ratio and z-score of every bar by the method asked for, and the state from which it goes on."""
    if params.method == "kalman":
        return _kalman(y, x, numbers, params)
    if params.method == "ewm":
        return _ewm(y, x, params.window)
    return WINDOWED[params.method](y, x, params.window), None


def _scored(y: np.ndarray, x: np.ndarray, path: RatioPath, params: PairParams) -> Scores:
    """Mean, width and z-score of the spread by the scale asked for."""
    if params.scale not in BY_SCALE:
        return path.spread_mean, path.spread_std, path.zscore
    return BY_SCALE[params.scale](y, x, path.hedge_ratio, params.window)


def provisional(
    path: SpreadPath, y: np.ndarray, x: np.ndarray, bar: tuple[float, float], params: PairParams
) -> dict[str, float]:
    """NUMBERS of a bar in progress at these closes, which follow y and x, the newest REACH windows of the path."""
    y, x = np.append(y, bar[0]), np.append(x, bar[1])
    ratio, mean, width, zscore = _ahead(path.state, y, x, params)
    if params.scale in BY_SCALE:
        ratios = np.full(y.size, np.nan)
        ratios[-1] = ratio
        mean, width, zscore = (float(v[-1]) for v in BY_SCALE[params.scale](y, x, ratios, params.window))
    newest = slice(-params.window - 1, None)
    correlation = float(return_correlation(y[newest], x[newest], params)[-1])
    values = ratio, float(y[-1] - ratio * x[-1]), mean, width, zscore, correlation
    return dict(zip(NUMBERS, values, strict=True))


def _ahead(state: State, y: np.ndarray, x: np.ndarray, params: PairParams) -> tuple[float, float, float, float]:
    """Ratio, mean, width and z-score of the last of these bars, by the method's own scale."""
    bar = float(y[-1]), float(x[-1])
    if isinstance(state, EwmState):
        fit = ewm_step(state, *bar, ewm_decay(span=params.window)[0])[1]
        return fit.hedge_ratio, fit.spread_mean, fit.spread_std, fit.zscore
    if state is not None:
        known = state.state
        surprise = kalman_step(known, *bar, state.noise)
        return known.hedge_ratio, known.intercept, surprise.innovation_std, surprise.zscore
    if params.method not in WINDOWED:  # it has nothing to go on from yet
        return math.nan, math.nan, math.nan, math.nan
    one = WINDOWED[params.method](y[-params.window :], x[-params.window :], params.window)
    ratio, mean, width, zscore = (float(v[-1]) for v in (one.hedge_ratio, one.spread_mean, one.spread_std, one.zscore))
    return ratio, mean, width, zscore


def return_correlation(y: np.ndarray, x: np.ndarray, params: PairParams) -> np.ndarray:
    """Rolling correlation of log returns over `window` returns; NaN where a price is not positive."""
    legs = leg_returns(y, x, params)
    if legs is None:
        return np.full(y.size, np.nan)
    return np.concatenate(([np.nan], rolling_correlation(*legs, params.window)))


def leg_returns(y: np.ndarray, x: np.ndarray, params: PairParams) -> tuple[np.ndarray, np.ndarray] | None:
    """Log returns of both legs, given as prices or as their logarithms; None where a price is not positive."""
    if params.log_prices:
        return np.diff(y), np.diff(x)
    return (log_returns(y), log_returns(x)) if min(y.min(), x.min()) > 0 else None
