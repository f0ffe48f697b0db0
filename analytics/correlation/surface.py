"""Correlation of two legs at many bar widths and many lags: who knows of whom, and when."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analytics.correlation.intervals import MIN_OBS
from analytics.correlation.matrix import wide_closes
from analytics.correlation.pearson import CrossCorrelation, cross_correlation
from analytics.returns import log_returns
from utils.errors import AnalysisError, InputError, TooFewObservations

MAX_LAG = 10  # bars


@dataclass(frozen=True, slots=True, eq=False)
class CorrelationSurface:
    """Correlation of y with x so many bars before, one row a bar width; at a positive lag x comes first."""

    widths_us: tuple[int, ...]
    lags: np.ndarray  # bars of the row's own width, shape (k,)
    correlation: np.ndarray  # -1..1, shape (widths, k); a row of NaN where there are too few bars
    band: np.ndarray  # |correlation| that unrelated returns exceed in 5 % of samples, at this one place
    n_obs: np.ndarray  # int64, returns, shape (widths,)
    missing: dict[int, str]  # width -> why its row is not there


def correlation_surface(closes: pd.DataFrame, widths_us: Iterable[int], max_lag: int = MAX_LAG) -> CorrelationSurface:
    """Cross-correlation of log returns over bar widths and lags of bars, dimensionless.

    Each row is `cross_correlation` of closes of that width, made of the narrow ones as `wide_closes` does. The faults
    are those of bars: a leg that trades less often seems to follow (see `lead_lag`), and at widths shorter than the
    legs' reaction the correlation at lag 0 is too small and its neighbours hold what it misses (Epps).

    Parameters
    ----------
    closes : two columns, y and x; one row a closed bar, index their open times, UTC; no bar missing, no NaN
    widths_us : at least one, multiples of the base, microseconds
    max_lag : bars, >= 1

    Raises
    ------
    InputError, TimeframeError
    TooFewObservations, DegenerateSeries
        No width has a row; the reason is that of the first.
    """
    if closes.shape[1] != 2 or closes.isna().any(axis=None) or np.ptp(np.diff(closes.index.asi8)) != 0:
        raise InputError("closes must have two columns, y and x, without NaN and without a missing bar", "closes")
    widths_us = tuple(widths_us)
    shape = len(widths_us), 2 * max_lag + 1
    correlation, band, n_obs = np.full(shape, np.nan), np.full(shape, np.nan), np.zeros(len(widths_us), np.int64)
    missing: dict[int, AnalysisError] = {}
    for row, width_us in enumerate(widths_us):
        wide = wide_closes(closes, width_us).dropna().to_numpy()  # NaN is there only where no wide bar is
        n_obs[row] = max(len(wide) - 1, 0)
        try:
            found = _of_closes(wide, max_lag)
        except AnalysisError as exc:
            missing[width_us] = exc
        else:
            correlation[row], band[row] = found.correlation, found.band
    if len(missing) == len(widths_us):
        raise next(iter(missing.values()))
    reasons = {width_us: str(exc) for width_us, exc in missing.items()}
    return CorrelationSurface(widths_us, np.arange(-max_lag, max_lag + 1), correlation, band, n_obs, reasons)


def _of_closes(closes: np.ndarray, max_lag: int) -> CrossCorrelation:
    """Cross-correlation of the returns of y and x, shape (n, 2)."""
    need = MIN_OBS + max_lag + 1
    if len(closes) < need:
        raise TooFewObservations(have=len(closes), need=need, what="bars")
    y, x = (log_returns(leg) for leg in closes.T)
    return cross_correlation(y, x, max_lag)
