"""What is known of a pair beside its z-score: what a signal weighs, as plain values."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from analytics.signals.params import SignalParams
from utils.errors import InputError

if TYPE_CHECKING:
    from analytics.pair import PairAnalysis

NAN = math.nan


@dataclass(frozen=True, slots=True)
class Facts:
    """State of a pair and its market at the newest close. NaN is "not known", which is a reason against, or no score.

    Raises
    ------
    InputError
    """

    price_y: float
    price_x: float
    hedge_ratio: float  # units of x per unit of y
    n_obs: int  # closed bars
    volatility: float = NAN  # of the spread, current over historical
    liquidity: float = NAN  # score of the thinner leg, 0 to 100
    cost: float = NAN  # of a round trip, units of the spread
    cost_measured: bool = False  # by the best quotes of both legs, not by fees alone
    breakeven_z: float = NAN  # |z| that pays the costs, on the scale of the path of z; inf where none does
    pvalue: float = NAN  # of cointegration
    half_life_bars: float = NAN  # inf where nothing speaks for reversion
    coverage: float = NAN  # share of bars without known loss
    stale: tuple[str, ...] = ()  # symbols without fresh trades
    open_gaps: int = 0  # gaps in the trades of either leg that are not filled
    alarm: bool = False  # the relation has broken

    def __post_init__(self) -> None:
        for name in ("price_y", "price_x"):
            value = getattr(self, name)
            if not 0 < value < math.inf:
                raise InputError(f"{name} must be > 0 and finite, was {value:g}", name)
        for name in ("n_obs", "open_gaps", "breakeven_z", "half_life_bars", "pvalue", "coverage"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} must be >= 0, was {getattr(self, name):g}", name)


def facts_of(
    analysis: "PairAnalysis",
    volatility: float,
    liquidity: float,
    stale: tuple[str, ...] = (),
    open_gaps: int = 0,
    params: SignalParams | None = None,
    round_trip: float = NAN,
) -> Facts:
    """The facts that an analysis knows, beside those of the market.

    Its break-even is in stationary standard deviations of the residual, the path of z in those of its window. The
    cost is the same price: breakeven_z = exit_z + cost / spread_std, with the spread_std of the newest bar. The cost
    is `round_trip`, price units of y for one unit of it, where that was measured, else the fees of the analysis.
    """
    y, x = float(analysis.y[-1]), float(analysis.x[-1])
    ratio, life = float(analysis.path.hedge_ratio[-1]), analysis.evidence.half_life
    watched = analysis.watch.monitor
    measured = math.isfinite(round_trip)
    cost = round_trip / (y if analysis.params.log_prices else 1.0) if measured else _fees(analysis)
    return Facts(
        price_y=y,
        price_x=x,
        hedge_ratio=ratio * y / x if analysis.params.log_prices else ratio,  # an elasticity is a ratio of notionals
        n_obs=analysis.n_obs,
        volatility=volatility,
        liquidity=liquidity,
        cost=cost,
        cost_measured=measured,
        breakeven_z=_breakeven(analysis, params or SignalParams(), cost),
        pvalue=analysis.cointegration_pvalue,
        half_life_bars=NAN if life is None else life.bars,
        coverage=analysis.coverage,
        stale=stale,
        open_gaps=open_gaps,
        alarm=watched is not None and watched.status == "alarm",
    )


def _fees(analysis: "PairAnalysis") -> float:
    entry, process = analysis.evidence.entry, analysis.evidence.ornstein_uhlenbeck
    return NAN if entry is None or process is None else (entry.breakeven_z - entry.exit_z) * process.std


def _breakeven(analysis: "PairAnalysis", params: SignalParams, cost: float) -> float:
    width = float(analysis.path.spread_std[-1])
    return params.exit_z + cost / width if width > 0 else NAN
