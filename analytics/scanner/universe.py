"""Every pair of a table of prices: tested, measured, and ranked honestly."""

from collections.abc import Iterable, Sequence
from concurrent.futures import Executor
from typing import Literal

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests

from analytics.ar1 import phi_intervals
from analytics.entry import round_trip_cost
from analytics.mean_reversion import bars_of
from analytics.scanner.chance import corrected
from analytics.scanner.edge import edge_bps
from analytics.scanner.params import ScanParams
from analytics.scanner.ranking import rank
from analytics.scanner.tiles import Columns, joined, tiles, tiles_of
from analytics.scanner.work import Progress, Question, scanned
from analytics.significance import mackinnon_pvalues
from utils.errors import InputError, TooFewObservations

FDR = {"bh": "fdr_bh", "by": "fdr_by"}
COLUMNS = (
    *("y", "x", "n_obs", "coverage", "statistic", "lags", "pvalue_y_on_x"),
    *("other_statistic", "other_lags", "pvalue_x_on_y", "pvalue", "pvalue_corrected"),
    *("qvalue", "found"),
    *("hedge_ratio", "hedge_stderr", "intercept", "ratio_least", "ratio_most", "stable_share"),
    *("half_life", "half_life_low", "half_life_high", "correlation", "spread_std", "zscore"),
    *("cost", "edge_bps", "breakeven_z", "reason"),
)


def scan(
    prices: pd.DataFrame,
    alpha: float = 0.05,
    fdr: Literal["bh", "by"] = "bh",
    *,
    params: ScanParams = ScanParams(),  # noqa: B008 - frozen
    pairs: Iterable[tuple[str, str]] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    cancelled: Question | None = None,
) -> pd.DataFrame:
    """Engle-Granger tests of every pair of columns in both directions, one row an unordered pair, best first.

    `pvalue` is the smaller of the two p-values, doubled, then corrected for short samples; `qvalue` is the share of
    false finds that one accepts by calling this pair and all better ones cointegrated. A pair is tested on the rows in
    which both have a price.

    Columns
    -------
    y, x : y is explained by x, in the direction with the smaller p-value
    n_obs, coverage : rows that both have, and their share of all rows
    statistic, lags, pvalue_y_on_x : the test of y on x; other_statistic, other_lags, pvalue_x_on_y : of x on y
    pvalue, pvalue_corrected : for both directions; raised to how often it comes up by chance in samples of this length
    qvalue, found : of the corrected p-values, over all pairs tested; qvalue < alpha
    hedge_ratio, hedge_stderr, intercept : y = intercept + hedge_ratio x. The error is Newey and West's as of
        `analytics.hedge.ols`: too small where the spread takes its time, and of no meaning where it never returns
    ratio_least, ratio_most, stable_share : over `params.windows` equal parts of the sample: the hedge ratio of each,
        and the share in which the spread falls back to its mean of the whole sample
    half_life, half_life_low, half_life_high : bars, as of `half_life(spread, fitted=1)`
    correlation : of one-bar changes
    spread_std, zscore : price units of y; the last spread less its mean over spread_std
    cost : of a round trip by four fills at the last prices, price units of y
    edge_bps : (|spread now| (1 - 2^(-horizon_bars / half_life)) - cost), over the notional of both legs
    breakeven_z : |z| from which the whole way back to the mean pays the cost
    reason : why a row has no numbers, else empty

    Parameters
    ----------
    prices : one column a symbol, one row a closed bar, oldest first; NaN where a symbol has no bar
    alpha : share of false finds among `found` that is accepted, 0 to 1
    fdr : "bh" Benjamini-Hochberg, or "by" Benjamini-Yekutieli, which holds under any dependence and finds far less
    pairs : names of the two symbols of each pair to test, None for all; the q-values are over those tested
    executor : any of concurrent.futures; None computes in this thread. The result is the same.
    progress : told pairs done and pairs in all, in this thread
    cancelled : asked often; True ends the scan. Of a threading.Event give its `is_set`.

    Raises
    ------
    InputError, TooFewObservations, Cancelled

    References
    ----------
    R. F. Engle and C. W. J. Granger, Econometrica 55 (1987). Y. Benjamini and Y. Hochberg, JRSS B 57 (1995);
    Y. Benjamini and D. Yekutieli, Annals of Statistics 29 (2001).
    """
    if not 0 < alpha < 1:
        raise InputError(f"alpha must be above 0 and below 1, was {alpha:g}", "alpha")
    if fdr not in FDR:
        raise InputError(f"fdr must be one of {', '.join(FDR)}, was {fdr!r}", "fdr")
    columns = _scanned(prices, params, True, pairs, executor, progress, cancelled)
    return rank(_table(columns, prices, params, alpha, FDR[fdr]))


def pair_tests(
    prices: pd.DataFrame,
    params: ScanParams = ScanParams(),  # noqa: B008 - frozen
    *,
    pairs: Iterable[tuple[str, str]] | None = None,
    executor: Executor | None = None,
    progress: Progress | None = None,
    cancelled: Question | None = None,
) -> pd.DataFrame:
    """The tests alone: the columns of `scan` from y to pvalue_corrected, and hedge_ratio, in no certain order of rows.

    Raises
    ------
    InputError, TooFewObservations, Cancelled
    """
    columns = _scanned(prices, params, False, pairs, executor, progress, cancelled)
    return pd.DataFrame(_tests(columns, prices, params))


def _scanned(
    prices: pd.DataFrame,
    params: ScanParams,
    measure: bool,
    pairs: Iterable[tuple[str, str]] | None,
    executor: Executor | None,
    progress: Progress | None,
    cancelled: Question | None,
) -> Columns:
    values = _values(prices, params)
    total, work = len(values) * (len(values) - 1) // 2, tiles(values, params, measure)
    if pairs is not None:
        chosen = _chosen(pairs, [str(name) for name in prices.columns])
        total, work = chosen.shape[1], tiles_of(values, chosen, params, measure)
    return joined(scanned(work, total, executor, progress, cancelled))


def _chosen(pairs: Iterable[tuple[str, str]], symbols: Sequence[str]) -> np.ndarray:
    """Columns of the pairs asked for, each pair once, shape (2, pairs).

    Raises
    ------
    InputError, TooFewObservations
    """
    place = {symbol: at for at, symbol in enumerate(symbols)}
    chosen: set[tuple[int, int]] = set()
    for one, other in pairs:
        unknown = [symbol for symbol in (one, other) if symbol not in place]
        if unknown or one == other:
            raise InputError(f"pairs must be of two columns of prices, was {one}, {other}", "pairs")
        chosen.add((max(place[one], place[other]), min(place[one], place[other])))
    if not chosen:
        raise TooFewObservations(have=0, need=1, what="pairs")
    return np.array(sorted(chosen)).T


def _values(prices: pd.DataFrame, params: ScanParams) -> np.ndarray:
    """The table as it is tested, shape (symbols, bars).

    Raises
    ------
    InputError, TooFewObservations
    """
    symbols = [str(name) for name in prices.columns]
    twice = sorted({name for name in symbols if symbols.count(name) > 1})
    if twice:
        raise InputError(f"prices must have one column a symbol, {twice[0]} has {symbols.count(twice[0])}", "prices")
    if len(symbols) < 2:
        raise TooFewObservations(have=len(symbols), need=2, what="symbols")
    if len(prices) < params.min_bars:
        raise TooFewObservations(have=len(prices), need=params.min_bars)
    if isinstance(prices.index, pd.DatetimeIndex) and not (
        prices.index.is_monotonic_increasing and prices.index.is_unique
    ):
        raise InputError("prices must have rows at increasing times, oldest first", "prices")
    try:
        values = np.ascontiguousarray(prices.to_numpy(np.float64, na_value=np.nan).T)
    except (TypeError, ValueError) as exc:
        raise InputError(f"prices must be numbers: {exc}", "prices") from None
    bad = np.argwhere(np.isinf(values) | ((values <= 0) if params.log_prices else False))
    if bad.size:
        column, row = bad[0]
        limit = "finite and > 0" if params.log_prices else "finite"
        raise InputError(
            f"prices must be {limit}, {symbols[column]} was {values[column, row]:g} in row {row}", "prices"
        )
    return np.log(values) if params.log_prices else values


def _tests(columns: Columns, prices: pd.DataFrame, params: ScanParams) -> Columns:
    symbols = np.array([str(name) for name in prices.columns], object)
    forward, backward = (mackinnon_pvalues(columns[name], params.trend, 2) for name in ("statistic", "other_statistic"))
    doubled = np.minimum(1.0, 2 * np.minimum(forward, backward))
    return {
        "y": symbols[columns["y"]],
        "x": symbols[columns["x"]],
        "n_obs": columns["n_obs"],
        "coverage": columns["n_obs"] / len(prices),
        "statistic": columns["statistic"],
        "lags": _counts(columns["lags"]),
        "pvalue_y_on_x": forward,
        "other_statistic": columns["other_statistic"],
        "other_lags": _counts(columns["other_lags"]),
        "pvalue_x_on_y": backward,
        "pvalue": doubled,
        "pvalue_corrected": corrected(doubled, columns["n_obs"], params.trend, params.lags),
        "hedge_ratio": columns["ratio"],
    }


def _counts(lags: np.ndarray) -> pd.Series:
    """Whole numbers, missing where there is none."""
    return pd.Series(lags, dtype="Int64").mask(lags < 0)


def _table(columns: Columns, prices: pd.DataFrame, params: ScanParams, alpha: float, method: str) -> pd.DataFrame:
    tests = _tests(columns, prices, params)
    tests["qvalue"] = _qvalues(tests["pvalue_corrected"], method)
    tests["found"] = tests["qvalue"] < alpha
    table = pd.DataFrame(tests | _ratio(columns, tests) | _reversion(columns, params))
    return table.assign(reason=_reasons(columns, prices)).loc[:, list(COLUMNS)]


def _qvalues(pvalues: np.ndarray, method: str) -> np.ndarray:
    """Adjusted p-values over the pairs that have one."""
    known, found = np.isfinite(pvalues), np.full(pvalues.size, np.nan)
    if known.any():
        found[known] = multipletests(pvalues[known], method=method)[1]
    return found


def _ratio(columns: Columns, tests: Columns) -> Columns:
    names = ("hedge_stderr", "ratio_least", "ratio_most", "stable_share", "correlation")
    intercept = columns["mean_y"] - tests["hedge_ratio"] * columns["mean_x"]
    return {"intercept": intercept} | {name: columns[name] for name in names}


def _reversion(columns: Columns, params: ScanParams) -> Columns:
    """How fast the spread comes back, and whether the way back pays."""
    low, bars, high = _half_lives(columns)
    ratio, std, spread = columns["ratio"], columns["spread_std"], np.abs(columns["spread"])
    y, x = (np.ones_like(ratio) if params.log_prices else columns[name] for name in ("last_y", "last_x"))
    cost = round_trip_cost(y, x, ratio, params.fee_bps)
    notional = np.abs(y) + np.abs(ratio * x)
    return {
        "half_life": bars,
        "half_life_low": low,
        "half_life_high": high,
        "spread_std": std,
        "zscore": columns["spread"] / std,
        "cost": cost,
        "edge_bps": edge_bps(spread, bars, cost, notional, params.horizon_bars),
        "breakeven_z": cost / std,
    }


def _half_lives(columns: Columns) -> np.ndarray:
    """Lower end, estimate and upper end, shape (3, pairs); samples of one length share their tables."""
    phi = np.full((3, columns["phi"].size), np.nan)
    for n in np.unique(columns["n_obs"][np.isfinite(columns["phi"])]):
        chosen = np.flatnonzero((columns["n_obs"] == n) & np.isfinite(columns["phi"]))
        phi[:, chosen] = phi_intervals(columns["phi"][chosen], int(n) - 1, 1, columns["widening"][chosen])
    return bars_of(phi)


def _reasons(columns: Columns, prices: pd.DataFrame) -> np.ndarray:
    """Why a pair has no numbers; empty where it has."""
    reasons = columns["reason"].copy()
    for pair in np.flatnonzero(columns["still"] >= 0):
        reasons[pair] = f"{prices.columns[columns['still'][pair]]} does not move"
    return reasons
