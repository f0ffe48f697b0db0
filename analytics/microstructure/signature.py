"""Realised volatility, and how it hangs on the width of sampling."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analytics.microstructure.columns import positive, same_length, times
from analytics.volatility import YEAR_S
from utils.clock import US_PER_S
from utils.errors import InputError, TooFewObservations

MIN_RETURNS = 10
WIDTHS_S = (1, 2, 5, 10, 15, 30, 60)


@dataclass(frozen=True, slots=True, eq=False)
class Signature:
    """Realised volatility by sampling width, shape (k,); flat where prices move without bounce and without trend.

    It rises towards short widths where trades bounce between bid and ask, and falls where price answers late.
    """

    width_s: np.ndarray
    volatility: np.ndarray  # a year of 365 days, fraction; NaN below ten returns
    n_obs: np.ndarray  # returns


def realised_volatility(ts_us: object, price: object, width_us: int) -> float:
    """Realised volatility, fraction a year of 365 days: sqrt(mean r^2 * widths a year), r log returns over one width.

    Prices are sampled at multiples of the width since the epoch; a sample is the last price before its time, as the
    close of a bar is. The mean return is taken as 0: over minutes it is far below its own error.

    Raises
    ------
    InputError
    TooFewObservations
        Fewer than ten returns.

    References
    ----------
    T. Andersen, T. Bollerslev, F. Diebold and P. Labys, Econometrica 71 (2003).
    """
    found = signature_plot(ts_us, price, [width_us / US_PER_S])
    if found.n_obs[0] < MIN_RETURNS:
        raise TooFewObservations(
            have=int(found.n_obs[0]), need=MIN_RETURNS, what=f"returns of {width_us / US_PER_S:g} s"
        )
    return float(found.volatility[0])


def signature_plot(ts_us: object, price: object, widths_s: Sequence[float] = WIDTHS_S) -> Signature:
    """Realised volatility at several sampling widths, fraction a year, see `realised_volatility`.

    Parameters
    ----------
    ts_us, price : shape (n,), trades, oldest first
    widths_s : seconds, each at least a microsecond

    Raises
    ------
    InputError

    References
    ----------
    T. Andersen, T. Bollerslev, F. Diebold and P. Labys, Risk 13 (2000).
    """
    when, prices = times(ts_us), positive(price, "price")
    same_length(ts_us=when, price=prices)
    widths = np.asarray(widths_s, np.float64)
    if not (widths * US_PER_S >= 1).all():
        raise InputError("widths_s must be at least a microsecond", "widths_s")
    return _signature(widths, [_sampled(when, prices, round(width * US_PER_S)) for width in widths])


def signature_of_closes(closes: np.ndarray, first: int, widths: Sequence[int], width_s: float) -> Signature:
    """The same from closes of consecutive cells that begin with number `first`; widths count cells."""
    samples = [closes[(-1 - first) % width :: width] for width in widths]
    return _signature(np.asarray(widths, np.float64) * width_s, samples)


def _sampled(ts_us: np.ndarray, price: np.ndarray, width_us: int) -> np.ndarray:
    """Last price before each multiple of the width between the first and the last trade."""
    if not ts_us.size:
        return price
    grid = np.arange(ts_us[0] // width_us + 1, ts_us[-1] // width_us + 1) * width_us
    return price[np.searchsorted(ts_us, grid, "left") - 1]


def _signature(width_s: np.ndarray, samples: list[np.ndarray]) -> Signature:
    returns = [np.diff(np.log(sample)) for sample in samples]
    counts = np.array([r.size for r in returns], np.int64)
    squares = np.array([float(r @ r) / r.size if r.size >= MIN_RETURNS else np.nan for r in returns])
    return Signature(width_s, np.sqrt(squares * YEAR_S / width_s), counts)
