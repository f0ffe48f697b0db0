"""What the newest bars say of the pair as a whole: fits, tests, reversion; where they cannot, why not."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import numpy as np

from analytics import hedge
from analytics.cointegration import (
    BothDirections,
    EngleGranger,
    Johansen,
    PhillipsOuliaris,
    both_directions,
    johansen,
    phillips_ouliaris,
)
from analytics.correlation.distance import DistanceCorrelation, distance_correlation
from analytics.correlation.exponential import ewm_correlation
from analytics.correlation.pearson import Correlation, pearson
from analytics.entry import CostAwareEntry, cost_aware_entry, round_trip_cost
from analytics.hedge import HedgeFit
from analytics.mean_reversion import HalfLife, half_life, spread
from analytics.ornstein_uhlenbeck import ExitTime, OrnsteinUhlenbeck, expected_exit, ornstein_uhlenbeck
from analytics.pair.params import PairParams
from analytics.pair.path import leg_returns
from analytics.stationarity import (
    ADF,
    KPSS,
    Hurst,
    PhillipsPerron,
    VarianceRatio,
    ZivotAndrews,
    adf,
    hurst,
    kpss,
    phillips_perron,
    variance_ratio,
    zivot_andrews,
)
from utils.errors import AnalysisError, TooFewObservations

MOST_POINTS = 500  # bars that Theil-Sen looks at
MOST_NOISE = 250  # bars from which Kalman's noise is found
IGNORES_THE_FIT = "ignores that the ratio was fitted"

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Leg:
    """Whether a leg by itself wanders, as cointegration takes for granted."""

    adf: ADF | None
    kpss: KPSS | None


@dataclass(frozen=True, slots=True)
class Together:
    """How the returns of the legs go together; None for what the data does not support."""

    pearson: Correlation | None
    fading: float  # with weights that halve every third of the window; NaN where undefined
    distance: DistanceCorrelation | None  # dependence of any shape


@dataclass(frozen=True, slots=True)
class Evidence:
    """Fits and tests on one sample; None for what the data does not support, with the reason in `missing`."""

    n_obs: int
    fit: HedgeFit | None  # ordinary least squares
    other_fits: tuple[HedgeFit, ...]  # by other methods on the same bars, for comparison
    directions: BothDirections | None
    phillips_ouliaris: PhillipsOuliaris | None
    johansen: Johansen | None
    adf: ADF | None  # of the residual of `fit`, as the following: see IGNORES_THE_FIT
    kpss: KPSS | None
    phillips_perron: PhillipsPerron | None
    zivot_andrews: ZivotAndrews | None
    variance_ratio: VarianceRatio | None
    hurst: Hurst | None
    half_life: HalfLife | None
    ornstein_uhlenbeck: OrnsteinUhlenbeck | None
    residual_z: float  # of the newest residual, in stationary standard deviations
    exit_time: ExitTime | None  # from there
    entry: CostAwareEntry | None
    leg_y: Leg
    leg_x: Leg
    returns: Together
    missing: dict[str, str] = field(default_factory=dict)

    @property
    def engle_granger(self) -> EngleGranger | None:
        """y on x."""
        return None if self.directions is None else self.directions.y_on_x

    @property
    def engle_granger_xy(self) -> EngleGranger | None:
        """x on y."""
        return None if self.directions is None else self.directions.x_on_y


class _Attempts:
    """Runs what the data may not support, and keeps the reasons."""

    def __init__(self, n_obs: int) -> None:
        self.n_obs = n_obs
        self.missing: dict[str, str] = {}

    def __call__(self, name: str, need: int, compute: Callable[[], Part]) -> Part | None:
        """What `compute` gives; None with the reason where it cannot."""
        try:
            if self.n_obs < need:
                raise TooFewObservations(have=self.n_obs, need=need)
            return compute()
        except AnalysisError as exc:
            self.missing[name] = str(exc)
            return None


def evidence(y: np.ndarray, x: np.ndarray, params: PairParams) -> Evidence:
    """Everything that rests on these bars as a whole, shape (n,) each, oldest first."""
    attempt, least = _Attempts(y.size), params.min_bars_coint
    fit = attempt("fit", params.min_bars, lambda: hedge.ols(y, x))
    return Evidence(
        n_obs=y.size,
        fit=fit,
        other_fits=() if fit is None else _other_fits(y, x),
        directions=attempt("engle_granger", least, lambda: both_directions(y, x)),
        phillips_ouliaris=attempt("phillips_ouliaris", least, lambda: phillips_ouliaris(y, x)),
        johansen=attempt("johansen", least, lambda: johansen(y, x)),
        leg_y=_leg(attempt, "leg_y", y, least),
        leg_x=_leg(attempt, "leg_x", x, least),
        returns=_together(attempt, y, x, params),
        **_of_residual(attempt, y, x, fit, params),
        missing=attempt.missing,
    )


def _other_fits(y: np.ndarray, x: np.ndarray) -> tuple[HedgeFit, ...]:
    """The other methods on the same bars; a comparison that the data does not support is left out."""
    silent = _Attempts(y.size)
    found = [silent(method.__name__, 0, partial(method, y, x)) for method in OTHER_METHODS]
    return tuple(fit for fit in found if fit is not None)


def _theil_sen(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Theil-Sen, of more than MOST_POINTS bars on every k-th: it looks at all pairs of them."""
    step = -(-y.size // MOST_POINTS)
    return hedge.theil_sen(y[::step], x[::step])


def _kalman(y: np.ndarray, x: np.ndarray) -> HedgeFit:
    """Kalman's ratio at the last bar; its noise is that of the newest MOST_NOISE bars."""
    return hedge.kalman(y, x, hedge.kalman_noise(y[-MOST_NOISE:], x[-MOST_NOISE:]))


OTHER_METHODS = (hedge.huber, _theil_sen, hedge.tls, hedge.dols, hedge.fmols, _kalman)


def _leg(attempt: _Attempts, name: str, prices: np.ndarray, least: int) -> Leg:
    return Leg(
        adf=attempt(f"{name}_adf", least, lambda: adf(prices)),
        kpss=attempt(f"{name}_kpss", least, lambda: kpss(prices)),
    )


def _together(attempt: _Attempts, y: np.ndarray, x: np.ndarray, params: PairParams) -> Together:
    legs = leg_returns(y, x, params)
    if legs is None:
        attempt.missing["returns"] = "prices are not positive: they have no log returns"
        return Together(None, math.nan, None)
    fading = attempt("fading", params.min_bars, lambda: ewm_correlation(*legs, params.window / 3).last.correlation)
    return Together(
        pearson=attempt("pearson", params.min_bars, lambda: pearson(*legs)),
        fading=math.nan if fading is None else fading,
        distance=attempt("distance", params.min_bars, lambda: distance_correlation(*legs)),
    )


def _of_residual(
    attempt: _Attempts, y: np.ndarray, x: np.ndarray, fit: HedgeFit | None, params: PairParams
) -> dict[str, Any]:
    """Half-life and tests of the residual of the fit."""
    tests: dict[str, Callable[[np.ndarray], Any]] = {
        "adf": adf,
        "kpss": kpss,
        "phillips_perron": phillips_perron,
        "zivot_andrews": zivot_andrews,
        "variance_ratio": variance_ratio,
        "hurst": hurst,
    }
    if fit is None:
        attempt.missing |= dict.fromkeys(("half_life", *tests), attempt.missing["fit"])
        nothing = _reversion(attempt, y, None, 0.0, params)
        return dict.fromkeys(("half_life", *tests)) | nothing
    residual = spread(y, x, fit.hedge_ratio, fit.intercept)
    least = params.min_bars_coint
    found = {name: attempt(name, least, partial(test, residual)) for name, test in tests.items()}
    life = attempt("half_life", params.min_bars, lambda: half_life(residual, fitted=1))
    return found | {"half_life": life} | _reversion(attempt, residual, life, _cost(y, x, fit, params), params)


def _cost(y: np.ndarray, x: np.ndarray, fit: HedgeFit, params: PairParams) -> float:
    """Of a round trip, in units of the spread: of logarithms these are shares of the notional of y."""
    prices = (1.0, 1.0) if params.log_prices else (float(y[-1]), float(x[-1]))
    return round_trip_cost(*prices, fit.hedge_ratio, params.fee_bps)


def _reversion(
    attempt: _Attempts, residual: np.ndarray, life: HalfLife | None, cost: float, params: PairParams
) -> dict[str, Any]:
    """The process that the residual follows, how long it takes from where it is, and where it pays its cost."""
    process = None
    if life is not None:
        process = attempt("ornstein_uhlenbeck", 0, lambda: ornstein_uhlenbeck(residual, life.phi))
    if life is None or process is None:
        return {"ornstein_uhlenbeck": None, "residual_z": math.nan, "exit_time": None, "entry": None}
    z = abs(process.zscore(float(residual[-1])))
    return {
        "ornstein_uhlenbeck": process,
        "residual_z": process.zscore(float(residual[-1])),
        "exit_time": attempt("exit_time", 0, lambda: expected_exit(z, params.exit_z, life)),
        "entry": attempt("entry", 0, lambda: cost_aware_entry(process.theta, process.std, cost, exit_z=params.exit_z)),
    }
