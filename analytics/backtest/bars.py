"""The bars of a run: checked once, in prices and in the units of the regression, with the funding of each."""

from dataclasses import dataclass, fields, replace

import numpy as np

from analytics.backtest.params import BacktestParams
from analytics.checks import pair
from analytics.pair.analyse import LARGEST, bar_numbers, in_units, trimmed
from utils.errors import DegenerateSeries, InputError, TooFewObservations

EIGHT_HOURS_US = 8 * 3_600 * 1_000_000
Funding = tuple[float | np.ndarray, float | np.ndarray]  # of y and x: rate per 8 hours, a share of the notional


@dataclass(frozen=True, slots=True, eq=False)
class Bars:
    """Closes of both legs on one grid, shape (n,) each, oldest first."""

    y: np.ndarray  # prices
    x: np.ndarray
    in_y: np.ndarray  # prices, or their logarithms
    in_x: np.ndarray
    numbers: np.ndarray  # of the bars since 1970, or since the first
    index: np.ndarray  # of each bar in what was given
    complete: np.ndarray  # bool
    ts_us: np.ndarray | None
    rates: (
        np.ndarray
    )  # funding due on a long position of each leg at the open of each bar, shape (2, n); (2, 0) unknown

    @property
    def n(self) -> int:
        return int(self.y.size)

    def between(self, start: int, end: int) -> "Bars":
        """The bars from `start` to before `end`."""
        known = {field.name: getattr(self, field.name) for field in fields(self)}
        cut = {name: np.ascontiguousarray(part[..., start:end]) for name, part in known.items() if part is not None}
        return replace(self, **cut)


def bars_of(
    y: object,
    x: object,
    params: BacktestParams,
    ts_us: np.ndarray | None,
    complete: np.ndarray | None,
    funding: Funding | None,
) -> Bars:
    """The bars that a run may use: leading ones without both prices left out, incomplete ones where that is chosen.

    Raises
    ------
    TooFewObservations, DegenerateSeries, InputError
    """
    size = np.asarray(y).size
    y, x, ts_us, complete = trimmed(y, x, ts_us, complete)
    index = np.arange(size - y.size, size)
    rates = _rates(funding, size, ts_us, size - y.size)
    kept = complete if params.incomplete == "exclude" else np.ones(y.size, bool)
    if np.count_nonzero(kept) < params.window:
        raise TooFewObservations(have=int(np.count_nonzero(kept)), need=params.window)
    y, x = pair(y[kept], x[kept], params.window)
    for name, leg in (("y", y), ("x", x)):
        if not 0 < leg.min() <= leg.max() <= LARGEST:
            value = leg.min() if leg.min() <= 0 else leg.max()
            raise InputError(f"{name} must be > 0 and at most {LARGEST:g} to be traded, was {value:g}", name)
    if np.array_equal(y, x):
        raise DegenerateSeries("both legs are the same series")
    ts_us = None if ts_us is None else np.asarray(ts_us, np.int64)
    numbers = np.asarray(bar_numbers(ts_us, kept.size), np.int64)[kept]
    times = None if ts_us is None else ts_us[kept]
    y, x = (np.require(leg, np.float64, ["C", "W"]) for leg in (y, x))
    legs = y, x, *in_units(y, x, params.pair)
    return Bars(*legs, numbers, index[kept], complete[kept], times, _due(rates, times, kept))


def _rates(funding: Funding | None, size: int, ts_us: np.ndarray | None, skipped: int) -> np.ndarray:
    """Rates of both legs a bar, shape (2, n); (2, 0) where they are not known."""
    if funding is None:
        return np.empty((2, 0))
    if ts_us is None:
        raise InputError("funding needs ts_us: it falls due every 8 hours", "funding")
    rates = np.empty((2, size))
    for row, rate in zip(rates, funding, strict=True):
        array = np.asarray(rate, np.float64)
        if array.shape not in ((), (size,)):
            raise InputError(f"funding must be one rate or one a bar, {(size,)}, had {array.shape}", "funding")
        row[:] = array
    if not np.isfinite(rates).all():
        raise InputError("funding must be finite; give none where it is not known", "funding")
    return rates[:, skipped:]


def _due(rates: np.ndarray, ts_us: np.ndarray | None, kept: np.ndarray) -> np.ndarray:
    """What falls due at the open of each bar: its rate, once for each 00, 08 and 16 h UTC since the bar before."""
    if ts_us is None or not rates.shape[1]:
        return rates
    passed = np.diff(ts_us // EIGHT_HOURS_US, prepend=ts_us[0] // EIGHT_HOURS_US)
    return np.ascontiguousarray(rates[:, kept] * passed)
