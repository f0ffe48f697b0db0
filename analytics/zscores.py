"""z-scores of a spread: how many standard deviations it stands from where it has been lately.

Each comes as a path (one value a closed bar, NaN until its window is full, nothing looks ahead) and for one more bar:
the value that the path would show, should the bar in progress close where it stands. A path may begin with NaN, as a
rolling spread does; a gap later on is an error.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from analytics.normal import MAD_NORMAL
from analytics.statistics import rolling_mean_std
from utils.compiled import compiled
from utils.errors import InputError

FLAT = 1e-14  # a deviation below this share of the level is rounding: some fifty units in the last place


def zscore(spread: np.ndarray, window: int) -> np.ndarray:
    """(spread - rolling mean) / rolling standard deviation (ddof 1), dimensionless, shape (n,).

    NaN until the window is full, and where the spread does not vary in it.

    Raises
    ------
    InputError
    """
    values, start = _path(spread)
    mean, std = rolling_mean_std(values, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        return _led(np.where(std > 0, (values - mean) / std, np.nan), start)


def forming_zscore(closed: np.ndarray, value: float, window: int) -> float:
    """The next value of `zscore`, should the bar in progress close at `value`; costs one window.

    Raises
    ------
    InputError
    """
    return float(zscore(_newest(closed, value, window), window)[-1])


def robust_zscore(spread: np.ndarray, window: int) -> np.ndarray:
    """(spread - rolling median) / (rolling MAD / 0.6745), dimensionless, shape (n,).

    MAD is the median distance to the median; divided by 0.6745 it is the standard deviation of normal data. One bad
    price moves neither. NaN until the window is full, and where half of it or more is one value.

    Parameters
    ----------
    spread : float array, shape (n,), oldest first
    window : bars, >= 3

    Raises
    ------
    InputError

    References
    ----------
    F. R. Hampel, JASA 69 (1974).
    """
    if window < 3:
        raise InputError(f"window must be >= 3, was {window}", "window")
    values, start = _path(spread)
    return _led(_robust(values, window), start)


def forming_robust_zscore(closed: np.ndarray, value: float, window: int) -> float:
    """The next value of `robust_zscore`, should the bar in progress close at `value`; costs one window.

    Raises
    ------
    InputError
    """
    return float(robust_zscore(_newest(closed, value, window), window)[-1])


@dataclass(frozen=True, slots=True)
class EwmMoments:
    """Exponentially weighted mean and standard deviation of a path, up to its newest bar."""

    span: float  # bars; the weight of a bar falls by 1 - 2 / (span + 1) each bar
    n_obs: int
    last: float
    mean: float
    weight: float  # sum of the weights
    weight_squares: float  # sum of their squares
    squares: float  # weighted sum of squares around the mean

    def after(self, value: float) -> "EwmMoments":
        """The moments one bar later; costs the same at any history."""
        moments = _ewm_step(value, self.mean, self.weight, self.weight_squares, self.squares, _decay(self.span))
        return replace(
            self,
            n_obs=self.n_obs + 1,
            last=value,
            **dict(zip(("mean", "weight", "weight_squares", "squares"), moments, strict=True)),
        )

    @property
    def std(self) -> float:
        """Unbiased standard deviation, in the units of the path."""
        return float(_ewm_std(self.weight, self.weight_squares, self.squares))

    @property
    def zscore(self) -> float:
        """(last - mean) / std; NaN before `span` bars, and where the path does not vary."""
        if self.n_obs < self.span:
            return math.nan
        return float(_ratio(self.last, self.mean, self.std))


def ewm_zscore(spread: np.ndarray, span: float) -> np.ndarray:
    """(spread - exponentially weighted mean) / exponentially weighted standard deviation, dimensionless, shape (n,).

    Weights (1 - 2 / (span + 1))^age, as pandas' `ewm(span=span, min_periods=ceil(span))` has them (adjusted,
    unbiased). NaN before `span` bars, and where the spread does not vary. The recursion moves the mean by each bar's
    distance to it, so that a high price level costs no digits.

    Parameters
    ----------
    spread : float array, shape (n,), oldest first
    span : bars, >= 2

    Raises
    ------
    InputError

    References
    ----------
    D. H. D. West, Communications of the ACM 22 (1979).
    """
    _check_span(span)
    values, start = _path(spread)
    path, _ = _ewm(values, span, _decay(span))
    return _led(path, start)


def ewm_moments(spread: np.ndarray, span: float) -> EwmMoments:
    """The moments behind the newest value of `ewm_zscore`, ready for `after`.

    Raises
    ------
    InputError
    """
    _check_span(span)
    values, _ = _path(spread)
    _, moments = _ewm(values, span, _decay(span))
    return EwmMoments(span, values.size, float(values[-1]) if values.size else math.nan, *moments)


def span_of(half_life_bars: float) -> float:
    """The span whose weights halve every so many bars: 2 / (1 - 2^(-1 / half_life_bars)) - 1."""
    return -2 / math.expm1(-math.log(2) / half_life_bars) - 1


@compiled
def _robust(values: np.ndarray, window: int) -> np.ndarray:
    """The window is kept in order: one value leaves it and one enters, each by its place."""
    found = np.full(values.size, np.nan)
    if values.size < window:
        return found
    ordered = np.sort(values[:window])
    for t in range(window - 1, values.size):
        if t >= window:
            _exchange(ordered, values[t - window], values[t])
        middle = _median(ordered)
        scale = _middle_distance(ordered, middle) / MAD_NORMAL
        found[t] = _ratio(values[t], middle, scale)
    return found


@compiled
def _exchange(ordered: np.ndarray, gone: float, come: float) -> None:
    """Replaces one value of an ordered array and keeps the order."""
    at = np.searchsorted(ordered, gone)
    while at + 1 < ordered.size and ordered[at + 1] < come:
        ordered[at] = ordered[at + 1]
        at += 1
    while at > 0 and ordered[at - 1] > come:
        ordered[at] = ordered[at - 1]
        at -= 1
    ordered[at] = come


@compiled
def _median(ordered: np.ndarray) -> float:
    half = ordered.size // 2
    if ordered.size % 2:
        return float(ordered[half])
    return float(ordered[half - 1] + (ordered[half] - ordered[half - 1]) / 2)


@compiled
def _middle_distance(ordered: np.ndarray, middle: float) -> float:
    """Median of |value - middle|: walks outwards from the middle, the nearer side first."""
    right = np.searchsorted(ordered, middle)
    left = right - 1
    before = distance = 0.0
    for _ in range(ordered.size // 2 + 1):
        before = distance
        if left < 0 or (right < ordered.size and ordered[right] - middle < middle - ordered[left]):
            distance = ordered[right] - middle
            right += 1
        else:
            distance = middle - ordered[left]
            left -= 1
    return distance if ordered.size % 2 else (before + distance) / 2


@compiled
def _ewm(values: np.ndarray, span: float, decay: float) -> tuple[np.ndarray, tuple[float, float, float, float]]:
    found = np.full(values.size, np.nan)
    mean = weight = weight_squares = squares = 0.0
    for t in range(values.size):
        mean, weight, weight_squares, squares = _ewm_step(values[t], mean, weight, weight_squares, squares, decay)
        if t + 1 >= span:
            found[t] = _ratio(values[t], mean, _ewm_std(weight, weight_squares, squares))
    return found, (mean, weight, weight_squares, squares)


@compiled
def _ewm_step(
    value: float, mean: float, weight: float, weight_squares: float, squares: float, decay: float
) -> tuple[float, float, float, float]:
    weight = decay * weight + 1
    moved = mean + (value - mean) / weight
    return moved, weight, decay * decay * weight_squares + 1, decay * squares + (value - mean) * (value - moved)


@compiled
def _ewm_std(weight: float, weight_squares: float, squares: float) -> float:
    spare = weight - weight_squares / weight if weight > 0 else 0.0
    return math.sqrt(squares / spare) if spare > 0 else math.nan


@compiled
def _ratio(value: float, middle: float, scale: float) -> float:
    """(value - middle) / scale; NaN where the scale is rounding."""
    return (value - middle) / scale if scale > FLAT * max(abs(value), abs(middle)) else math.nan


def _decay(span: float) -> float:
    return 1 - 2 / (span + 1)


def _check_span(span: float) -> None:
    if not 2 <= span < math.inf:
        raise InputError(f"span must be >= 2 bars and finite, was {span:g}", "span")


def _newest(closed: np.ndarray, value: float, window: int) -> np.ndarray:
    closed = np.asarray(closed, np.float64)
    return np.append(closed[max(0, closed.size - window + 1) :], value)


def _path(spread: np.ndarray) -> tuple[np.ndarray, int]:
    """The values from the first that is not NaN on, and how many NaN are before it."""
    values = np.asarray(spread, np.float64)
    if values.ndim != 1:
        raise InputError(f"spread must have one dimension, had {values.ndim}", "spread")
    known = np.flatnonzero(~np.isnan(values))
    start = int(known[0]) if known.size else values.size
    bad = start + np.flatnonzero(~np.isfinite(values[start:]))
    if bad.size:
        raise InputError(f"spread must be finite, was {values[bad[0]]} at index {bad[0]}", "spread")
    return np.ascontiguousarray(values[start:]), start


def _led(values: np.ndarray, start: int) -> np.ndarray:
    return np.concatenate((np.full(start, np.nan), values)) if start else values
