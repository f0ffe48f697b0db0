"""One tape, many bar widths: what correlation means at each of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

import numpy as np

from analytics.correlation.intervals import MIN_OBS
from analytics.correlation.pearson import pearson
from analytics.microstructure import hayashi_yoshida, tick_returns
from utils.clock import US_PER_MS, US_PER_S
from utils.errors import AnalysisError, InputError, TooFewObservations

WIDTHS_US = tuple(round(s * US_PER_S) for s in (0.1, 0.25, 0.5, 1, 5, 10, 30, 60))
THINNED_US = (0, 250 * US_PER_MS, 500 * US_PER_MS)
MAX_RETURNS = 2_000_000


@dataclass(frozen=True, slots=True)
class WidthCorrelation:
    """Correlation of two legs by one method at one width."""

    method: str  # "bars" or "hayashi-yoshida"
    width_us: int  # of the bars or of the thinning; 0: every trade
    correlation: float  # NaN where there are too few returns
    low: float  # 95 % interval
    high: float
    n_obs: int  # returns; of two legs with their own times the smaller number
    reason: str  # why there is no number; else empty


def correlation_by_width(
    ts_x_us: np.ndarray,
    price_x: np.ndarray,
    ts_y_us: np.ndarray,
    price_y: np.ndarray,
    widths_us: Iterable[int] = WIDTHS_US,
    thinned_us: Iterable[int] = THINNED_US,
) -> tuple[WidthCorrelation, ...]:
    """Pearson correlation of bar returns at each width, then Hayashi-Yoshida at each thinning, dimensionless.

    Bars are aligned to the epoch, close at the last trade before their end, and count where both legs had traded
    before and trade after. Short bars understate: a leg that has not traded yet has not moved (Epps). Where the rows
    level off is the width at which the legs know of each other; Hayashi-Yoshida, thinned, should agree with it there.

    Parameters
    ----------
    ts_x_us, price_x, ts_y_us, price_y : as `hayashi_yoshida` takes them

    Raises
    ------
    InputError
    TooFewObservations
        The legs did not trade over a common stretch of time at all.

    References
    ----------
    T. W. Epps, Journal of the American Statistical Association 74 (1979).
    """
    x, y = _checked(ts_x_us, price_x, "x"), _checked(ts_y_us, price_y, "y")
    x, y = _within(x, y), _within(y, x)
    bars = [_row("bars", width, partial(_by_bars, *x, *y, width)) for width in widths_us]
    ticks = [_row("hayashi-yoshida", thin, partial(_by_ticks, *x, *y, thin)) for thin in thinned_us]
    return (*bars, *ticks)


def bar_returns(ts_us: np.ndarray, price: np.ndarray, edges_us: np.ndarray) -> np.ndarray:
    """Log returns between the ends of bars: at each end counts the last trade before it. The first trade is earlier."""
    return np.diff(np.log(price[np.searchsorted(ts_us, edges_us, "left") - 1]))


def _by_bars(
    ts_x_us: np.ndarray, price_x: np.ndarray, ts_y_us: np.ndarray, price_y: np.ndarray, width_us: int
) -> tuple[float, float, float, int]:
    if width_us < 1:
        raise InputError(f"a width must be >= 1 microsecond, was {width_us}", "widths_us")
    first = max(ts_x_us[0], ts_y_us[0]) // width_us + 1
    last = min(ts_x_us[-1], ts_y_us[-1]) // width_us
    if last - first > MAX_RETURNS:
        raise InputError(f"at most {MAX_RETURNS} bars, these are {last - first}: choose wider ones", "widths_us")
    edges = np.arange(first, last + 1) * width_us
    if edges.size < 2:
        raise TooFewObservations(have=0, need=2, what="bars")
    found = pearson(bar_returns(ts_y_us, price_y, edges), bar_returns(ts_x_us, price_x, edges))
    return found.correlation, found.low, found.high, found.n_obs


def _by_ticks(
    ts_x_us: np.ndarray, price_x: np.ndarray, ts_y_us: np.ndarray, price_y: np.ndarray, thin_us: int
) -> tuple[float, float, float, int]:
    found = hayashi_yoshida(ts_x_us, price_x, ts_y_us, price_y, thin_us)
    n_obs = min(found.n_x, found.n_y)
    if n_obs < MIN_OBS:
        raise TooFewObservations(have=n_obs, need=MIN_OBS, what="returns")
    if np.isnan(found.low):
        raise AnalysisError("the estimate leaves -1..1 once a stretch of time is left out: there is no interval")
    return found.correlation, found.low, found.high, n_obs


def _row(method: str, width_us: int, of: Callable[[], tuple[float, float, float, int]]) -> WidthCorrelation:
    try:
        return WidthCorrelation(method, width_us, *of(), reason="")
    except AnalysisError as exc:
        have = exc.have if isinstance(exc, TooFewObservations) else 0
        return WidthCorrelation(method, width_us, np.nan, np.nan, np.nan, have, str(exc))


def _checked(ts_us: np.ndarray, price: np.ndarray, leg: str) -> tuple[np.ndarray, np.ndarray]:
    tick_returns(ts_us, price, 0, leg)
    return np.asarray(ts_us, np.int64), np.asarray(price, np.float64)


def _within(leg: tuple[np.ndarray, np.ndarray], other: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """The trades of one leg from the last one before the other begins to the last one before it ends."""
    (ts_us, price), (other_us, _) = leg, other
    first = max(int(np.searchsorted(ts_us, other_us[0], "right")) - 1, 0)
    last = int(np.searchsorted(ts_us, other_us[-1], "right"))
    if last - first < 2:
        raise TooFewObservations(have=last - first, need=2, what="trades of a leg while the other traded")
    return ts_us[first:last], price[first:last]
