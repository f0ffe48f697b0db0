"""Hedge ratios as paths: at each bar the method's answer from the bars up to it, and the z-score that answer makes.

The windowed methods fit each window by itself, in the order of its bars: a value depends on its own window alone, to
the bit, so that the bar in progress costs one window (`rolling_huber(y[-window:], x[-window:], window)`). The weighted
and the filtered ratio carry a state (`EwmState`, `KalmanState`) that one step brings to the next bar.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from analytics.hedge.fit import FLAT
from analytics.hedge.robust import TUNING, huber_line, huber_stderr
from analytics.hedge.selection import kth, median
from analytics.hedge.state_space import TRAIN, KalmanNoise, KalmanPath, kalman_path
from analytics.normal import Z_95
from utils.compiled import compiled
from utils.errors import InputError

LEAST_WINDOW = 10
ROWS = 6  # of a path: the fields of RatioPath
PAD = 0.25  # of the width of Sen's interval, on either side of the band in which the next window's ranks are sought


@dataclass(frozen=True, slots=True, eq=False)
class RatioPath:
    """One value a bar, shape (n,), NaN where the method has none: before its window is full, or without variation."""

    hedge_ratio: np.ndarray
    intercept: np.ndarray  # the method's own, price units of y
    stderr: np.ndarray  # of the hedge ratio, for independent errors
    spread_mean: np.ndarray  # of y - hedge_ratio x
    spread_std: np.ndarray
    zscore: np.ndarray  # (y - hedge_ratio x - spread_mean) / spread_std


def rolling_huber(y: np.ndarray, x: np.ndarray, window: int, tuning: float = TUNING) -> RatioPath:
    """Huber's line over each window; see `huber`. spread_std has ddof 1.

    NaN also where more than half of a window lies on one line: there is no scale.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, finite
    window : bars, >= 10

    Raises
    ------
    InputError
    """
    y, x = _legs(y, x, window)
    if not tuning > 0:
        raise InputError(f"tuning must be > 0, was {tuning:g}", "tuning")
    rows = _rows(y.size)
    _huber_path(y, x, window, tuning, rows)
    return RatioPath(*rows)


def rolling_theil_sen(y: np.ndarray, x: np.ndarray, window: int) -> RatioPath:
    """Median slope over each window, exact; see `theil_sen`. stderr is the width of Sen's interval / (2 * 1.96).

    The slopes of a window's pairs are kept from bar to bar: one bar replaces those of the point that leaves, and the
    ranks are sought near where they were. spread_std has ddof 1.

    Raises
    ------
    InputError
    """
    y, x = _legs(y, x, window)
    rows = _rows(y.size)
    if y.size >= window:
        _theil_sen_path(y, x, window, rows)
    return RatioPath(*rows)


def rolling_tls(y: np.ndarray, x: np.ndarray, window: int) -> RatioPath:
    """Total least squares over each window; see `tls`. The stderr leaves each bar out once; spread_std has ddof 1.

    Raises
    ------
    InputError
    """
    y, x = _legs(y, x, window)
    rows = _rows(y.size)
    _tls_path(y, x, window, rows)
    return RatioPath(*rows)


def rolling_kalman(y: np.ndarray, x: np.ndarray, noise: KalmanNoise | None = None, train: int = TRAIN) -> RatioPath:
    """The Kalman filter as a path of forecasts: what was known one bar before.

    spread_mean is the forecast's intercept and spread_std the innovation's standard deviation, so that zscore is the
    standardised innovation. The bar in progress: `kalman_step(path.state, y, x, noise)`.

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    return forecasts(kalman_path(y, x, noise, train))


def forecasts(path: KalmanPath) -> RatioPath:
    """A filtered path as what was known one bar before."""
    before = [np.concatenate(([np.nan], values[:-1])) for values in (path.hedge_ratio, path.intercept, path.stderr)]
    std = np.where(np.isnan(before[0]), np.nan, path.innovation_std)
    ratio, intercept, stderr = before
    stderr = np.sqrt(stderr**2 + path.noise.hedge_ratio)
    return RatioPath(ratio, intercept, stderr, intercept.copy(), std, path.innovation / std)


# --- exponentially weighted -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class EwmState:
    """Weighted means and centred sums after a bar; the newest bar weighs 1."""

    weight: float  # sum of weights
    weight_squares: float  # sum of their squares
    y_mean: float
    x_mean: float
    sxx: float
    sxy: float
    syy: float


@dataclass(frozen=True, slots=True)
class EwmFit:
    """One value of the path: what `RatioPath` holds at a bar."""

    hedge_ratio: float
    intercept: float
    stderr: float
    spread_mean: float
    spread_std: float
    zscore: float


def ewm_ols(
    y: np.ndarray,
    x: np.ndarray,
    *,
    half_life: float | None = None,
    span: float | None = None,
    window: int | None = None,
) -> RatioPath:
    """Least squares with weights that halve every `half_life` bars, or decay by 1 - 2 / (span + 1) a bar.

    hedge_ratio = cov / var as pandas' ewm(adjust=True) gives them. spread_std is the weighted standard deviation of
    the residual with the correction that ddof 1 is without weights (pandas' bias=False). With n_eff =
    (sum w)^2 / sum w^2, at most `span`, stderr = spread_std sqrt((n_eff - 1) / (n_eff - 2) / n_eff) / std(x): for
    independent errors. Means and centred sums are carried from bar to bar, never raw sums.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, finite
    half_life, span : bars; exactly one of them
    window : bars seen before there is a value; the span, rounded up, by default

    Raises
    ------
    InputError

    References
    ----------
    D. H. D. West, Communications of the ACM 22 (1979), for the update.
    """
    keep, reach = ewm_decay(half_life=half_life, span=span)
    window = max(math.ceil(reach - 1e-9), LEAST_WINDOW) if window is None else window
    y, x = _legs(y, x, window)
    rows = _rows(y.size)
    if y.size:
        _ewm_path(y, x, keep, window, rows)
    return RatioPath(*rows)


def ewm_decay(*, half_life: float | None = None, span: float | None = None) -> tuple[float, float]:
    """What a bar's weight is multiplied by at each later bar, and the span that goes with it.

    Raises
    ------
    InputError
    """
    if (half_life is None) == (span is None):
        raise InputError("needs half_life or span, and not both", "half_life")
    if half_life is not None:
        if not 0 < half_life < math.inf:
            raise InputError(f"half_life must be > 0 bars, was {half_life:g}", "half_life")
        keep = 0.5 ** (1 / half_life)
        return keep, (1 + keep) / (1 - keep)
    if span is None or not 1 < span < math.inf:
        raise InputError(f"span must be > 1 bar, was {span}", "span")
    return 1 - 2 / (span + 1), span


def ewm_state(y: np.ndarray, x: np.ndarray, keep: float) -> EwmState:
    """The state after the last of these bars, from which `ewm_step` goes on.

    Raises
    ------
    InputError
    """
    y, x = _legs(y, x, LEAST_WINDOW)
    if not y.size:
        raise InputError("needs one bar", "y")
    return EwmState(*_ewm_path(y, x, keep, y.size + 1, _rows(y.size)))


def ewm_step(state: EwmState, y: float, x: float, keep: float) -> tuple[EwmState, EwmFit]:
    """The state and the fit after one more bar, in plain floats; the same bits as the path."""
    known = state.weight, state.weight_squares, state.y_mean, state.x_mean, state.sxx, state.sxy, state.syy
    after = _ewm_step(*known, float(y), float(x), keep)
    return EwmState(*after), EwmFit(*_ewm_fit(*after, float(y), float(x)))


def _ewm_step(
    weight: float,
    squares: float,
    y_mean: float,
    x_mean: float,
    sxx: float,
    sxy: float,
    syy: float,
    y: float,
    x: float,
    keep: float,
) -> tuple[float, float, float, float, float, float, float]:
    """The fields of `EwmState` after one more bar."""
    old = keep * weight
    weight = old + 1.0
    dy, dx = y - y_mean, x - x_mean
    share = old / weight  # of the squared step that enters the centred sums
    return (
        weight,
        keep * keep * squares + 1.0,
        y_mean + dy / weight,
        x_mean + dx / weight,
        keep * sxx + share * dx * dx,
        keep * sxy + share * dx * dy,
        keep * syy + share * dy * dy,
    )


def _ewm_fit(
    weight: float,
    squares: float,
    y_mean: float,
    x_mean: float,
    sxx: float,
    sxy: float,
    syy: float,
    y: float,
    x: float,
) -> tuple[float, float, float, float, float, float]:
    """The fields of `EwmFit` at a bar."""
    n_eff = weight * weight / squares
    if n_eff <= 2.0 or sxx <= weight * (FLAT * abs(x_mean)) ** 2:
        return math.nan, math.nan, math.nan, math.nan, math.nan, math.nan
    slope = sxy / sxx
    intercept = y_mean - slope * x_mean
    rest = (syy - slope * sxy) / weight
    if rest <= (FLAT * (abs(y_mean) + abs(slope * x_mean))) ** 2 or rest <= FLAT * syy / weight:
        return slope, intercept, math.nan, intercept, math.nan, math.nan
    std = math.sqrt(rest * n_eff / (n_eff - 1.0))
    stderr = math.sqrt(rest / (n_eff - 2.0) / (sxx / weight))
    return slope, intercept, stderr, intercept, std, ((y - y_mean) - slope * (x - x_mean)) / std


_compiled_ewm_step, _compiled_ewm_fit = compiled(_ewm_step), compiled(_ewm_fit)


@compiled
def _ewm_path(
    y: np.ndarray, x: np.ndarray, keep: float, window: int, rows: np.ndarray
) -> tuple[float, float, float, float, float, float, float]:
    """The fits from the window-th bar on into `rows`; the last state."""
    state = (0.0, 0.0, y[0], x[0], 0.0, 0.0, 0.0)
    for t in range(y.size):
        weight, squares, y_mean, x_mean, sxx, sxy, syy = state
        state = _compiled_ewm_step(weight, squares, y_mean, x_mean, sxx, sxy, syy, y[t], x[t], keep)
        if t + 1 >= window:
            weight, squares, y_mean, x_mean, sxx, sxy, syy = state
            fit = _compiled_ewm_fit(weight, squares, y_mean, x_mean, sxx, sxy, syy, y[t], x[t])
            rows[0, t], rows[1, t], rows[2, t], rows[3, t], rows[4, t], rows[5, t] = fit
    return state


# --- windows --------------------------------------------------------------------------------------------------


@compiled
def _centre(y: np.ndarray, x: np.ndarray, dy: np.ndarray, dx: np.ndarray) -> tuple[float, float, float, float, float]:
    """The window less its means into dy, dx; both means and the centred sums S_yy, S_xx, S_xy."""
    n, y_sum, x_sum = y.size, 0.0, 0.0
    for i in range(n):  # less the first value: sums of prices would keep the level and lose the moves
        y_sum += y[i] - y[0]
        x_sum += x[i] - x[0]
    y_sum /= n
    x_sum /= n
    syy, sxx, sxy = 0.0, 0.0, 0.0
    for i in range(n):
        dy[i], dx[i] = (y[i] - y[0]) - y_sum, (x[i] - x[0]) - x_sum
        syy += dy[i] * dy[i]
        sxx += dx[i] * dx[i]
        sxy += dx[i] * dy[i]
    return y[0] + y_sum, x[0] + x_sum, syy, sxx, sxy


@compiled
def _spread(dy: np.ndarray, dx: np.ndarray, slope: float, y_mean: float, x_mean: float) -> tuple[float, float, float]:
    """Mean and standard deviation (ddof 1) of y - slope x over the window, and its z-score at the last bar."""
    n, total = dy.size, 0.0
    for i in range(n):
        total += dy[i] - slope * dx[i]
    shift, squares = total / n, 0.0
    for i in range(n):
        rest = dy[i] - slope * dx[i] - shift
        squares += rest * rest
    std = math.sqrt(squares / (n - 1))
    mean = y_mean - slope * x_mean + shift
    if std <= FLAT * (abs(y_mean) + abs(slope * x_mean)):
        return mean, math.nan, math.nan
    return mean, std, (dy[n - 1] - slope * dx[n - 1] - shift) / std


@compiled
def _varies(sum_of_squares: float, n: int, mean: float) -> bool:
    """Whether a window moves by more than the rounding of its level."""
    return sum_of_squares > n * (FLAT * mean) ** 2


@compiled
def _huber_path(y: np.ndarray, x: np.ndarray, window: int, tuning: float, rows: np.ndarray) -> None:
    dy, dx = np.empty(window), np.empty(window)
    for t in range(window - 1, y.size):
        legs = slice(t + 1 - window, t + 1)
        y_mean, x_mean, _, sxx, _ = _centre(y[legs], x[legs], dy, dx)
        if not _varies(sxx, window, x_mean):
            continue
        slope, level, scale = huber_line(dy, dx, tuning, FLAT * abs(y_mean))
        if math.isnan(scale):
            continue
        limit, squares, inside = tuning * scale, 0.0, 0
        for i in range(window):
            rest = dy[i] - level - slope * dx[i]
            inside += abs(rest) <= limit
            rest = min(max(rest, -limit), limit)
            squares += rest * rest
        rows[0, t], rows[1, t] = slope, y_mean + level - slope * x_mean
        rows[2, t] = huber_stderr(squares, inside / window, window, sxx)
        rows[3, t], rows[4, t], rows[5, t] = _spread(dy, dx, slope, y_mean, x_mean)


@compiled
def _tls_path(y: np.ndarray, x: np.ndarray, window: int, rows: np.ndarray) -> None:
    dy, dx = np.empty(window), np.empty(window)
    without = np.empty(window)
    shrink = window / (window - 1)
    for t in range(window - 1, y.size):
        legs = slice(t + 1 - window, t + 1)
        y_mean, x_mean, syy, sxx, sxy = _centre(y[legs], x[legs], dy, dx)
        if not (_varies(sxx, window, x_mean) and _varies(syy, window, y_mean)):
            continue
        if abs(sxy) <= FLAT * math.sqrt(sxx * syy):
            continue
        slope, mean, squares = _nearest_slope(syy, sxx, sxy), 0.0, 0.0
        for i in range(window):
            u, v = dy[i], dx[i]
            without[i] = _nearest_slope(syy - shrink * u * u, sxx - shrink * v * v, sxy - shrink * u * v)
            mean += without[i]
        mean /= window
        for i in range(window):
            squares += (without[i] - mean) ** 2
        rows[0, t], rows[1, t] = slope, y_mean - slope * x_mean
        rows[2, t] = math.sqrt(squares / shrink)
        rows[3, t], rows[4, t], rows[5, t] = _spread(dy, dx, slope, y_mean, x_mean)


@compiled
def _nearest_slope(syy: float, sxx: float, sxy: float) -> float:
    """Slope of the nearest line from centred sums, as `tls` has it; NaN where there is no direction."""
    difference = syy - sxx
    root = math.sqrt(difference * difference + 4 * sxy * sxy)
    if difference >= 0:
        return (difference + root) / (2 * sxy) if sxy != 0 else math.nan
    return 2 * sxy / (root - difference)


@compiled
def _theil_sen_path(y: np.ndarray, x: np.ndarray, window: int, rows: np.ndarray) -> None:
    """The window's slopes lie in `slopes` by the places of their two points; the newest point takes the oldest's."""
    places = window * (window - 1) // 2
    slopes, band = np.full(places, np.inf), np.empty(places + 1)
    point_y, point_x = y[:window].copy(), x[:window].copy()
    equal_x, equal_y = 0, 0
    for one in range(1, window):
        for other in range(one):
            slopes[one * (one - 1) // 2 + other] = _slope(point_y[one], point_x[one], point_y[other], point_x[other])
            equal_x += point_x[one] == point_x[other]
            equal_y += point_y[one] == point_y[other]
    low, high = np.inf, -np.inf  # of the band
    dy, dx, rest = np.empty(window), np.empty(window), np.empty(window)
    for t in range(window - 1, y.size):
        if t >= window:
            place = t % window
            for other in range(window):
                if other == place:
                    continue
                equal_x += (x[t] == point_x[other]) - (point_x[place] == point_x[other])
                equal_y += (y[t] == point_y[other]) - (point_y[place] == point_y[other])
                at = place * (place - 1) // 2 + other if other < place else other * (other - 1) // 2 + place
                slopes[at] = _slope(y[t], x[t], point_y[other], point_x[other])
            point_y[place], point_x[place] = y[t], x[t]
        count = places - equal_x
        legs = slice(t + 1 - window, t + 1)
        y_mean, x_mean, _, sxx, _ = _centre(y[legs], x[legs], dy, dx)
        if count == 0 or not _varies(sxx, window, x_mean):
            low, high = np.inf, -np.inf
            continue
        variance = window * (window - 1) * (2 * window + 5) / 18
        if equal_x + equal_y > 0:
            variance -= (_tie_term(y[legs]) + _tie_term(x[legs])) / 18
        reach = Z_95 * math.sqrt(max(variance, 0.0))
        bottom, top = round((count - reach) / 2) - 1, round((count + reach) / 2)
        bottom, top = max(int(bottom), 0), min(int(top), count - 1)
        below, kept = _within(slopes, low, high, band)
        if not (below <= bottom and top < below + kept):
            below, kept = _within(slopes, -np.inf, np.finfo(np.float64).max, band)
        found, half = band[:kept], count // 2 - below  # each search orders the band for the next ones
        slope = kth(found, half, 0, kept - 1)
        if count % 2 == 0:
            slope = (slope + found[:half].max()) / 2
        left, right = kth(found, bottom - below, 0, half), kth(found, top - below, half, kept - 1)
        low, high = left - PAD * (right - left), right + PAD * (right - left)
        for i in range(window):
            rest[i] = dy[i] - slope * dx[i]
        rows[0, t], rows[1, t] = slope, y_mean - slope * x_mean + median(rest)
        rows[2, t] = (right - left) / (2 * Z_95) if variance > 0 else math.nan
        rows[3, t], rows[4, t], rows[5, t] = _spread(dy, dx, slope, y_mean, x_mean)


@compiled
def _slope(y: float, x: float, other_y: float, other_x: float) -> float:
    """Between two points; infinite, which no rank reaches, where x is equal."""
    return (y - other_y) / (x - other_x) if x != other_x else math.inf


@compiled
def _within(values: np.ndarray, low: float, high: float, found: np.ndarray) -> tuple[int, int]:
    """The values in low..high into `found`, which has room for one more; how many lie below, and how many inside."""
    below, kept = 0, 0
    for i in range(values.size):
        value = values[i]
        found[kept] = value  # written always and kept by counting: no branch to guess wrong
        kept += int(value >= low) & int(value <= high)
        below += int(value < low)
    return below, kept


@compiled
def _tie_term(values: np.ndarray) -> int:
    """Sum of k (k - 1) (2 k + 5) over the groups of k equal values."""
    ordered = np.sort(values)
    total, run = 0, 1
    for i in range(1, ordered.size + 1):
        if i < ordered.size and ordered[i] == ordered[i - 1]:
            run += 1
        else:
            total += run * (run - 1) * (2 * run + 5)
            run = 1
    return total


# --- input ----------------------------------------------------------------------------------------------------


def _rows(n: int) -> np.ndarray:
    return np.full((ROWS, n), np.nan)


def _legs(y: np.ndarray, x: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.ascontiguousarray(y, np.float64), np.ascontiguousarray(x, np.float64)
    if y.shape != x.shape or y.ndim != 1:
        raise InputError(f"y and x must be one-dimensional and of one length, were {y.shape} and {x.shape}", "x")
    if window < LEAST_WINDOW:
        raise InputError(f"window must be >= {LEAST_WINDOW} bars, was {window}", "window")
    for name, leg in (("y", y), ("x", x)):
        bad = np.flatnonzero(~np.isfinite(leg))
        if bad.size:
            raise InputError(f"{name} must be finite, was {leg[bad[0]]} at index {bad[0]}", name)
    return y, x


PATHS: dict[str, Callable[[np.ndarray, np.ndarray, int], RatioPath]] = {
    "huber": rolling_huber,
    "theil_sen": rolling_theil_sen,
    "tls": rolling_tls,
}
