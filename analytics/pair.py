"""The one analysis of a pair: what pages, alerts, API, export, replay and backtest show.

At bar t, y is regressed on x with a constant over the `window` closes that end at t. The slope is the hedge ratio,
spread = y - hedge_ratio x, and spread_mean, spread_std are its mean and standard deviation (ddof 1) over that same
window with that same slope; zscore = (spread - spread_mean) / spread_std. A moving slope therefore makes no jumps,
and nothing looks ahead. Tests and half-life rest on one fit over the newest `test_bars` closes.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from analytics.checks import pair
from analytics.cointegration import EngleGranger, engle_granger
from analytics.hedge import HedgeFit, huber, ols, theil_sen, tls
from analytics.mean_reversion import HalfLife, half_life, spread
from analytics.stationarity import ADF, adf
from analytics.statistics import last_fit, rolling_correlation, rolling_fit
from analytics.verdict import caveats, verdict
from utils.errors import AnalysisError, DegenerateSeries, InputError, TooFewObservations

METHODS = ("ols",)
OTHER_METHODS = (huber, theil_sen, tls)
PLAIN_ADF_NOTE = "ignores that the ratio was fitted"
SERIES = ("hedge_ratio", "intercept", "spread", "spread_mean", "spread_std", "zscore", "correlation")


@dataclass(frozen=True, slots=True)
class PairParams:
    """What an analysis is asked to do.

    Raises
    ------
    InputError
        `field` names the value that is out of its limits.
    """

    window: int = 60  # bars of the rolling statistics
    method: str = "ols"
    test_bars: int = 500  # newest bars on which tests and half-life rest
    min_bars: int = 30  # least bars for fit and half-life
    min_bars_coint: int = 100  # least bars for a cointegration test
    entry_z: float = 2.0  # |z| that counts as stretched
    exit_z: float = 0.5

    def __post_init__(self) -> None:
        for name, least in (("window", 3), ("test_bars", 30), ("min_bars", 20), ("min_bars_coint", 30)):
            value = getattr(self, name)
            if value < least:
                raise InputError(f"{name} must be >= {least}, was {value}", name)
        if self.method not in METHODS:
            raise InputError(f"method must be one of {', '.join(METHODS)}, was {self.method!r}", "method")
        if not 0 <= self.exit_z < self.entry_z < math.inf:
            raise InputError(f"needs 0 <= exit_z < entry_z, was {self.exit_z:g} and {self.entry_z:g}", "entry_z")


@dataclass(frozen=True, slots=True)
class Provisional:
    """The numbers of the bar in progress, should it close where it stands; NaN where they do not exist."""

    y: float
    x: float
    hedge_ratio: float
    spread: float
    spread_mean: float
    spread_std: float
    zscore: float
    correlation: float


@dataclass(frozen=True, slots=True, eq=False)
class PairAnalysis:
    """Everything known of one pair; arrays have one value a closed bar, oldest first, NaN where undefined."""

    params: PairParams
    n_obs: int  # closed bars
    ts_us: np.ndarray | None  # opens of the bars
    complete: np.ndarray  # bool: no trade is known to be missing in either leg
    y: np.ndarray
    x: np.ndarray
    hedge_ratio: np.ndarray
    intercept: np.ndarray
    spread: np.ndarray
    spread_mean: np.ndarray
    spread_std: np.ndarray
    zscore: np.ndarray
    correlation: np.ndarray  # of log returns
    fit: HedgeFit | None
    other_fits: tuple[HedgeFit, ...]  # by other methods on the same bars, for comparison
    engle_granger: EngleGranger | None  # y on x
    engle_granger_xy: EngleGranger | None  # x on y
    adf: ADF | None  # plain, on the residual of `fit`: see PLAIN_ADF_NOTE
    half_life: HalfLife | None  # of the residual of `fit`
    coverage: float  # share of the bars used that are complete
    missing: dict[str, str] = field(default_factory=dict)  # what is not there, and why
    provisional: Provisional | None = None

    @property
    def cointegration_pvalue(self) -> float:
        """The smaller p-value of the two directions, doubled for having looked twice; NaN where undefined."""
        found = [test.pvalue for test in (self.engle_granger, self.engle_granger_xy) if test is not None]
        return min(1.0, 2 * min(found)) if len(found) == 2 else math.nan

    @property
    def verdict(self) -> str:
        """What the numbers say, in plain words."""
        return verdict(self)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What to keep in mind about them."""
        return caveats(self)

    def with_forming(self, y: float | None, x: float | None) -> "PairAnalysis":
        """The same analysis beside the provisional numbers of a bar in progress; costs one window."""
        return replace(self, provisional=None if y is None or x is None else _provisional(self, y, x))

    def reading(self) -> dict[str, float]:
        """The newest closed values by metric name; NaN where undefined."""
        tests = {
            "pvalue": self.cointegration_pvalue,
            "adf_pvalue": self.adf.pvalue if self.adf else math.nan,
            "half_life": self.half_life.bars if self.half_life else math.nan,
            "half_life_low": self.half_life.low if self.half_life else math.nan,
            "half_life_high": self.half_life.high if self.half_life else math.nan,
            "hedge_ratio_stderr": self.fit.stderr if self.fit else math.nan,
        }
        newest = {name: float(getattr(self, name)[-1]) for name in SERIES if name != "intercept"}
        prices = {"price_y": float(self.y[-1]), "price_x": float(self.x[-1])}
        return prices | newest | tests | {"coverage": self.coverage, "n_obs": float(self.n_obs)}

    def frame(self, limit: int | None = None) -> pd.DataFrame:
        """One row a bar: ts_us where known, prices, SERIES and complete."""
        columns: dict[str, np.ndarray] = {} if self.ts_us is None else {"ts_us": self.ts_us}
        columns |= {"y": self.y, "x": self.x} | {name: getattr(self, name) for name in SERIES}
        table = pd.DataFrame(columns | {"complete": self.complete})
        return table if limit is None else table.tail(limit)

    def rows(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The same rows as dictionaries, with None for what is undefined."""
        table = self.frame(limit)
        columns = [_plain(table[name].to_numpy()) for name in table]
        return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the rows, ready for JSON: None for what is undefined or infinite."""
        parts = ("params", "fit", "engle_granger", "engle_granger_xy", "adf", "half_life", "provisional")
        body: dict[str, Any] = {name: None if (part := getattr(self, name)) is None else asdict(part) for name in parts}
        body["other_fits"] = [asdict(fit) for fit in self.other_fits]
        head = {
            "n_obs": self.n_obs,
            "last_ts_us": None if self.ts_us is None else int(self.ts_us[-1]),
            "reading": self.reading(),
            "cointegration_pvalue": self.cointegration_pvalue,
            "plain_adf_note": PLAIN_ADF_NOTE,
            "coverage": self.coverage,
            "missing": self.missing,
            "verdict": self.verdict,
            "caveats": list(self.caveats),
        }
        return _finite(head | body)


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
        A leg is constant over the newest window, or the legs are the same.
    InputError
        A value is not finite, or the arrays do not fit together.
    """
    params = params or PairParams()
    y, x, ts_us, complete = _trimmed(y, x, ts_us, complete)
    if y.size < params.window:
        raise TooFewObservations(have=y.size, need=params.window)
    y, x = pair(y, x, params.window)
    _check_newest(y, x, params.window)
    fits = rolling_fit(y, x, params.window)
    analysis = PairAnalysis(
        params=params,
        n_obs=y.size,
        ts_us=ts_us,
        complete=complete,
        y=y,
        x=x,
        hedge_ratio=fits.hedge_ratio,
        intercept=fits.intercept,
        spread=y - fits.hedge_ratio * x,
        spread_mean=fits.intercept,
        spread_std=fits.spread_std,
        zscore=fits.zscore,
        correlation=_return_correlation(y, x, params.window),
        coverage=float(complete[-params.test_bars :].mean()),
        **_tested(y[-params.test_bars :], x[-params.test_bars :], params),
    )
    return analysis if forming is None else analysis.with_forming(*forming)


def _trimmed(
    y: Any, x: Any, ts_us: np.ndarray | None, complete: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, np.ndarray]:
    """Arrays of one length without the bars before both legs have a price."""
    y, x = np.asarray(y, np.float64), np.asarray(x, np.float64)
    complete = np.ones(y.shape, bool) if complete is None else np.asarray(complete, bool)
    for name, array in (("x", x), ("ts_us", ts_us), ("complete", complete)):
        if array is not None and array.shape != y.shape:
            raise InputError(f"{name} must have the shape of y, {y.shape}, had {array.shape}", name)
    known = np.flatnonzero(~(np.isnan(y) | np.isnan(x)))
    start = int(known[0]) if known.size else y.size
    return y[start:], x[start:], None if ts_us is None else np.asarray(ts_us)[start:], complete[start:]


def _check_newest(y: np.ndarray, x: np.ndarray, window: int) -> None:
    for name, leg in (("y", y), ("x", x)):
        if np.ptp(leg[-window:]) == 0:
            raise DegenerateSeries(f"{name} did not move in the newest {window} bars")
    if np.array_equal(y, x):
        raise DegenerateSeries("both legs are the same series")


def _return_correlation(y: np.ndarray, x: np.ndarray, window: int) -> np.ndarray:
    """Rolling correlation of log returns over `window` returns; NaN where a price is not positive."""
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = np.diff(np.log(y)), np.diff(np.log(x))
    if not all(np.isfinite(leg).all() for leg in returns):
        return np.full(y.size, np.nan)
    return np.concatenate(([np.nan], rolling_correlation(returns[0], returns[1], window)))


def _tested(y: np.ndarray, x: np.ndarray, params: PairParams) -> dict[str, Any]:
    """Fit, tests and half-life on one sample; what the data does not support is None, with the reason."""
    missing: dict[str, str] = {}

    def attempt(name: str, need: int, compute: Any) -> Any:
        try:
            if y.size < need:
                raise TooFewObservations(have=y.size, need=need)
            return compute()
        except AnalysisError as exc:
            missing[name] = str(exc)
            return None

    fit = attempt("fit", params.min_bars, lambda: ols(y, x))
    residual = None if fit is None else spread(y, x, fit.hedge_ratio, fit.intercept)
    if residual is None:
        missing |= dict.fromkeys(("half_life", "adf"), missing["fit"])
    return {
        "fit": fit,
        "other_fits": () if fit is None else tuple(filter(None, (_fitted(method, y, x) for method in OTHER_METHODS))),
        "half_life": None if residual is None else attempt("half_life", params.min_bars, lambda: half_life(residual)),
        "adf": None if residual is None else attempt("adf", params.min_bars_coint, lambda: adf(residual)),
        "engle_granger": attempt("engle_granger", params.min_bars_coint, lambda: engle_granger(y, x)),
        "engle_granger_xy": attempt("engle_granger_xy", params.min_bars_coint, lambda: engle_granger(x, y)),
        "missing": missing,
    }


def _fitted(method: Callable[[np.ndarray, np.ndarray], HedgeFit], y: np.ndarray, x: np.ndarray) -> HedgeFit | None:
    try:
        return method(y, x)
    except AnalysisError:
        return None  # a comparison that the data does not support is left out


def _provisional(analysis: PairAnalysis, y: float, x: float) -> Provisional:
    window = analysis.params.window
    legs = np.append(analysis.y[-window:], y), np.append(analysis.x[-window:], x)
    fit = last_fit(*legs, window)
    with np.errstate(divide="ignore", invalid="ignore"):
        returns = [np.diff(np.log(leg)) for leg in legs]
    finite = all(np.isfinite(leg).all() for leg in returns)
    correlation = float(rolling_correlation(returns[0], returns[1], window)[-1]) if finite else math.nan
    return Provisional(
        y=y,
        x=x,
        hedge_ratio=fit.hedge_ratio,
        spread=y - fit.hedge_ratio * x,
        spread_mean=fit.intercept,
        spread_std=fit.spread_std,
        zscore=fit.zscore,
        correlation=correlation,
    )


def _plain(values: np.ndarray) -> list[Any]:
    """A column as Python values, None for NaN."""
    if values.dtype.kind != "f":
        return values.tolist()
    return [None if math.isnan(value) else value for value in values.tolist()]


def _finite(value: Any) -> Any:
    """The same nesting with None for NaN and infinities."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
