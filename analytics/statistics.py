"""Rolling statistics of one and two series, centred inside their windows.

Sums of raw prices near 1e5 that move by 0.01 leave no digits: each block of `window` bars is centred on a reference
of its own, and cumulative sums run over that block and the one before it only. Every value rests on the window that
ends at its own bar: none looks ahead.
"""

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from utils.errors import InputError

FLAT_SHARE = 1e-12  # a centred sum of squares below this share of its uncentred one is rounding, not variation


@dataclass(frozen=True, slots=True, eq=False)
class RollingFit:
    """Least squares of y on x with a constant over each window; NaN until the first window is full.

    Also NaN where x does not vary in the window (no slope), and zscore where the residual does not.
    """

    hedge_ratio: np.ndarray  # slope
    intercept: np.ndarray  # mean of y - slope * x over the window
    spread_std: np.ndarray  # standard deviation (ddof 1) of y - slope * x over the window
    zscore: np.ndarray  # (y - slope * x - intercept) / spread_std at the window's last bar


@dataclass(frozen=True, slots=True)
class LastFit:
    """The newest window of `RollingFit` alone."""

    hedge_ratio: float
    intercept: float
    spread_std: float
    zscore: float


def rolling_fit(y: np.ndarray, x: np.ndarray, window: int) -> RollingFit:
    """Slope, intercept, residual spread and z-score of y on x over each window, in one causal pass.

    slope = S_xy / S_xx, spread = y - slope x, z = (spread - mean(spread)) / std(spread), all over one window, so
    that z is the z-score of the spread that the bar's own slope makes.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, finite
    window : bars, >= 3

    Raises
    ------
    InputError
    """
    y, x = _pair(y, x)
    _check_window(window, 3)
    sums = _Sums.over(y, x, window)
    columns = _solved(sums, y[window - 1 :], x[window - 1 :], window)
    return RollingFit(*(_led(column, y.size, window) for column in columns))


def last_fit(y: np.ndarray, x: np.ndarray, window: int) -> LastFit:
    """The newest window of `rolling_fit`; costs the window, whatever the history.

    Raises
    ------
    InputError
        Also where there are fewer than `window` bars.
    """
    y, x = _pair(y, x)
    _check_window(window, 3)
    if y.size < window:
        raise InputError(f"window must be <= {y.size} bars, was {window}", "window")
    sums = _Sums.over(y[-window:], x[-window:], window)
    fit = _solved(sums, y[-1:], x[-1:], window)
    return LastFit(*(float(column[0]) for column in fit))


def rolling_beta(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """Slope of y on x with a constant over each window, shape (n,), NaN until the first is full.

    Raises
    ------
    InputError
    """
    return rolling_fit(y, x, window).hedge_ratio


def rolling_correlation(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """Pearson correlation over each window, shape (n,), within -1..1; NaN until full or where a series is flat.

    Raises
    ------
    InputError
    """
    y, x = _pair(y, x)
    _check_window(window, 2)
    sums = _Sums.over(y, x, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        both = _varies(sums.sxx, sums.x_scale) & _varies(sums.syy, sums.y_scale)
        correlation = np.where(both, sums.sxy / np.sqrt(sums.sxx * sums.syy), np.nan)
    return _led(np.clip(correlation, -1.0, 1.0), y.size, window)


def rolling_mean_std(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation (ddof 1) over each window, shape (n,) each; NaN until the first is full.

    Raises
    ------
    InputError
    """
    values = np.asarray(values, np.float64)
    _check_window(window, 2)
    sums = _Sums.over(values, values, window)
    std = np.sqrt(np.where(_varies(sums.syy, sums.y_scale), sums.syy, 0.0) / (window - 1))
    return _led(sums.y_mean, values.size, window), _led(std, values.size, window)


def _solved(sums: "_Sums", y: np.ndarray, x: np.ndarray, window: int) -> tuple[np.ndarray, ...]:
    """Slope, intercept, residual std and z of each window, whose last bars are y and x."""
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(_varies(sums.sxx, sums.x_scale), sums.sxy / sums.sxx, np.nan)
        rest = sums.syy - slope * sums.sxy
        std = np.sqrt(np.where(_varies(rest, sums.y_scale), rest, np.nan) / (window - 1))
        # Never y - a - b x: the intercept carries the price level and takes the digits with it.
        last = (y - sums.y_mean) - slope * (x - sums.x_mean)
        return slope, sums.y_mean - slope * sums.x_mean, std, last / std


@dataclass(frozen=True, slots=True, eq=False)
class _Sums:
    """Means and centred second moments of every full window."""

    y_mean: np.ndarray
    x_mean: np.ndarray
    sxx: np.ndarray
    sxy: np.ndarray
    syy: np.ndarray
    y_scale: np.ndarray  # largest square that went into syy: what its rounding is measured by
    x_scale: np.ndarray

    @classmethod
    def over(cls, y: np.ndarray, x: np.ndarray, window: int) -> "_Sums":
        if y.size < window:
            nothing = np.empty(0)
            return cls(*([nothing] * 7))
        (ys, y_ref), (xs, x_ref) = _blocks(y, window), _blocks(x, window)
        sy, sx, sxx, sxy, syy = (_window_sums(a, window) for a in (ys, xs, xs * xs, xs * ys, ys * ys))
        flat = slice(window - 1, y.size)
        my, mx = sy / window, sx / window
        moments = (my + y_ref, mx + x_ref, sxx - sx * mx, sxy - sx * my, syy - sy * my, syy, sxx)
        return cls(*(moment.reshape(-1)[flat] for moment in moments))


def _blocks(values: np.ndarray, window: int) -> tuple[np.ndarray, np.ndarray]:
    """Each block of `window` values behind the block before it, centred on its own first value."""
    blocks = -(-values.size // window)
    pad = blocks * window - values.size
    padded = np.concatenate((np.full(window, values[0]), values, np.full(pad, values[-1])))
    pieces = sliding_window_view(padded, 2 * window)[::window]
    reference = pieces[:, window : window + 1]
    return pieces - reference, reference


def _window_sums(pieces: np.ndarray, window: int) -> np.ndarray:
    """Sums over the window that ends at each value of the second half of each piece."""
    sums = np.cumsum(pieces, axis=1)
    return sums[:, window:] - sums[:, :window]


def _varies(moment: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Whether a sum of squares is more than the rounding of numbers of this scale."""
    return moment > FLAT_SHARE * scale


def _led(values: np.ndarray, n: int, window: int) -> np.ndarray:
    """With NaN before the first full window."""
    return np.concatenate((np.full(min(window - 1, n), np.nan), values))


def _pair(y: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    if y.shape != x.shape or y.ndim != 1:
        raise InputError(f"y and x must be one-dimensional and of one length, were {y.shape} and {x.shape}")
    return y, x


def _check_window(window: int, least: int) -> None:
    if window < least:
        raise InputError(f"window must be >= {least}, was {window}", "window")
