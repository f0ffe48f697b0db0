"""All measures of one tape at one moment."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from analytics.microstructure.cells import (
    AFTER,
    BEFORE,
    BUY,
    JUDGED,
    PAIRS,
    PRODUCT,
    SELL,
    SELL_NOTIONAL,
    TRADES,
    Cells,
)
from analytics.microstructure.conditions import VolatilityRegime, liquidity_score, momentum_quality, volatility_regime
from analytics.microstructure.flow import TakerFlow, vwap_distance_bp
from analytics.microstructure.impact import KyleLambda, amihud, kyle_lambda, roll_of
from analytics.microstructure.sides import SideAccuracy, accuracy_of
from analytics.microstructure.signature import MIN_RETURNS, WIDTHS_S, Signature, signature_of_closes
from analytics.microstructure.sizes import FENCE, MIN_OBS, TradeSizes
from analytics.microstructure.toxicity import BUCKETS, Vpin
from analytics.microstructure.velocity import LEAST_DAYS, NormalLevel, TickVelocity, velocity_of
from utils.clock import US_PER_S
from utils.errors import AnalysisError, DegenerateSeries, InputError, TooFewObservations

LEAST_HISTORY = 3  # windows before the window, before it can be called unlike them
LEAST_PAIRS = 28  # of price changes, those of 30 trades
MAX_WINDOW_S, MAX_HISTORY_S = 3_600, 86_400

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class TapeParams:
    """Over what a tape is read.

    Raises
    ------
    InputError
        `field` names the value that is out of its limits.
    """

    window_s: int = 60  # whole seconds before the one in progress
    history_s: int = 3_600  # seconds before the window: what it is compared with
    buckets: int = BUCKETS  # of VPIN
    bucket_volume: float | None = None  # base currency; None: by the volume of the window, see `tape_reading`
    fence: float = FENCE  # of large prints
    widths_s: tuple[int, ...] = WIDTHS_S  # of the signature plot

    def __post_init__(self) -> None:
        limits = {"window_s": (10, MAX_WINDOW_S), "history_s": (1, MAX_HISTORY_S), "buckets": (1, 10_000)}
        for name, (least, most) in limits.items():
            value = getattr(self, name)
            if not least <= value <= most:
                raise InputError(f"{name} must be {least} to {most}, was {value}", name)
        if self.bucket_volume is not None and not 0 < self.bucket_volume < np.inf:
            raise InputError(f"bucket_volume must be > 0, was {self.bucket_volume:g}", "bucket_volume")
        if not 0 < self.fence < np.inf:
            raise InputError(f"fence must be > 0, was {self.fence:g}", "fence")
        if not self.widths_s or min(self.widths_s) < 1:
            raise InputError(f"widths_s must be whole seconds >= 1, were {self.widths_s}", "widths_s")


@dataclass(frozen=True, slots=True, eq=False)
class TapeReading:
    """All measures of one tape at one moment, over the window unless said otherwise; NaN is undefined or not yet known.

    Sums hold the whole seconds of the window and the one in progress. What compares seconds with each other (Kyle,
    Amihud, volatility, momentum) takes whole seconds only.
    """

    now_us: int
    price: float  # of the last trade
    velocity: TickVelocity
    normal: NormalLevel  # at this time of day
    flow: TakerFlow
    cumulative_delta: float  # taker buys - taker sells since the tape began, base currency
    vwap_distance_bp: float  # of the last price above the VWAP of the window
    sizes: TradeSizes
    liquidity: float  # 0 to 100, against the history
    volatility: float  # realised over seconds, fraction a year
    regime: VolatilityRegime  # against the history
    momentum: float  # efficiency ratio with the sign of the move, -1..1
    vpin: Vpin  # over the newest buckets, whatever the window
    kyle: KyleLambda
    amihud: float  # |return| per million of quote currency
    roll_spread: float  # quote currency
    signature: Signature  # of the whole seconds of history and window together
    tick_rule: SideAccuracy  # of the tick rule against the exchange's flag
    history_s: float  # seconds of history there were
    missing: Mapping[str, str]  # measure -> why it is NaN

    def reading(self) -> dict[str, float]:
        """One number a metric name; NaN where undefined."""
        return {
            "price": self.price,
            "trades_per_s": self.velocity.trades_per_s,
            "notional_per_s": self.velocity.notional_per_s,
            "velocity_ratio": self.velocity.trades_per_s / self.normal.trades_per_s,
            "taker_buy": self.flow.buy_qty if self.flow.trades else np.nan,
            "taker_sell": self.flow.sell_qty if self.flow.trades else np.nan,
            "ofi": self.flow.imbalance,
            "delta": self.flow.delta,
            "cumulative_delta": self.cumulative_delta,
            "vwap": self.flow.vwap,
            "vwap_distance_bp": self.vwap_distance_bp,
            "median_size": self.sizes.median,
            "large_prints": self.sizes.large_prints,
            "large_share": self.sizes.large_share,
            "liquidity": self.liquidity,
            "volatility": self.volatility,
            "volatility_ratio": self.regime.ratio,
            "momentum": self.momentum,
            "momentum_quality": abs(self.momentum),
            "vpin": self.vpin.value,
            "kyle_lambda": self.kyle.slope,
            "amihud": self.amihud,
            "roll_spread": self.roll_spread,
            "roll_spread_bp": 1e4 * self.roll_spread / self.price,
            "tick_rule_accuracy": self.tick_rule.by_count,
        }


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Cells, and the seconds of them that the tape covers."""

    cells: Cells
    seconds: float

    @property
    def sums(self) -> np.ndarray:
        """Of each column; that of closes means nothing."""
        return self.cells.table.sum(axis=0)


@dataclass(frozen=True, slots=True, eq=False)
class Carried:
    """What a reading holds that does not come from cells."""

    cumulative_delta: float
    sizes: TradeSizes
    vpin: Vpin
    normal: NormalLevel


def read_cells(now_us: int, window: Stretch, history: Stretch, carried: Carried, params: TapeParams) -> TapeReading:
    """The reading from cells of a second; the last one of the window is the second in progress."""
    missing = _not_yet(carried, params)

    def attempt(name: str, compute: Callable[[], Part], otherwise: Part) -> Part:
        try:
            return compute()
        except AnalysisError as exc:
            missing[name] = str(exc)
            return otherwise

    sums, closed = window.sums, window.cells[:-1]
    flow = TakerFlow(int(sums[TRADES]), *sums[BUY : SELL_NOTIONAL + 1].tolist())
    change, returns, signed, notional = closed.changes()
    price = float(window.cells.close[-1])
    volatility = attempt("volatility", lambda: _volatility(closed), np.nan)
    unknown = VolatilityRegime(np.nan, "unknown")
    return TapeReading(
        now_us=now_us,
        price=price,
        velocity=velocity_of(flow.trades, flow.buy_notional + flow.sell_notional, window.seconds),
        normal=carried.normal,
        flow=flow,
        cumulative_delta=carried.cumulative_delta,
        vwap_distance_bp=vwap_distance_bp(price, flow.vwap),
        sizes=carried.sizes,
        liquidity=attempt("liquidity", lambda: _liquidity(window, history, params), np.nan),
        volatility=volatility,
        regime=attempt("regime", lambda: _regime(volatility, history, params), unknown),
        momentum=momentum_quality(closed.close),
        vpin=carried.vpin,
        kyle=attempt("kyle", lambda: kyle_lambda(change, signed), KyleLambda(np.nan, np.nan, np.nan, change.size)),
        amihud=attempt("amihud", lambda: amihud(returns, notional), np.nan),
        roll_spread=attempt("roll_spread", lambda: _roll(sums), np.nan),
        signature=_signature(history.cells, closed, params),
        tick_rule=accuracy_of(*sums[JUDGED:].tolist()),
        history_s=history.seconds,
        missing=missing,
    )


def _not_yet(carried: Carried, params: TapeParams) -> dict[str, str]:
    """What has not been seen often enough, with the reason."""
    counts = {
        "normal": (carried.normal.days, LEAST_DAYS, "days at this time of day"),
        "vpin": (carried.vpin.buckets, params.buckets, "full buckets"),
        "sizes": (carried.sizes.n_obs, MIN_OBS, "trades"),
    }
    return {
        name: str(TooFewObservations(have=have, need=need, what=what))
        for name, (have, need, what) in counts.items()
        if have < need
    }


def _enough(history: Stretch, params: TapeParams) -> None:
    """Nothing, where the history is long beside the window."""
    need = min(LEAST_HISTORY * params.window_s, params.history_s)
    if history.seconds < need:
        raise TooFewObservations(have=int(history.seconds), need=need, what="seconds before the window")


def _liquidity(window: Stretch, history: Stretch, params: TapeParams) -> float:
    """Volume a second and time between trades, each against the history."""
    _enough(history, params)
    now, before = window.sums, history.sums
    if not before[TRADES] > 0 or not window.seconds > 0:
        raise DegenerateSeries("nothing traded before the window")
    volume, volume_before = now[BUY] + now[SELL], before[BUY] + before[SELL]
    volume_ratio = volume / window.seconds / (volume_before / history.seconds)
    gap_before = history.seconds / before[TRADES]
    gap = window.seconds / now[TRADES] if now[TRADES] > 0 else np.inf
    return liquidity_score(volume_ratio, gap / gap_before)


def _volatility(cells: Cells) -> float:
    """Realised volatility of the seconds, fraction a year."""
    found = signature_of_closes(cells.close, cells.first, (1,), cells.width_us / US_PER_S)
    if found.n_obs[0] < MIN_RETURNS:
        raise TooFewObservations(have=int(found.n_obs[0]), need=MIN_RETURNS, what="returns of a second")
    return float(found.volatility[0])


def _regime(now: float, history: Stretch, params: TapeParams) -> VolatilityRegime:
    _enough(history, params)
    return volatility_regime(now, _volatility(history.cells))


def _roll(sums: np.ndarray) -> float:
    """Roll's spread from the pairs of successive price changes that end in the window."""
    pairs = int(sums[PAIRS])
    if pairs < LEAST_PAIRS:
        raise TooFewObservations(have=pairs, need=LEAST_PAIRS, what="pairs of price changes")
    return roll_of(float(sums[BEFORE]), float(sums[AFTER]), float(sums[PRODUCT]), pairs)


def _signature(history: Cells, closed: Cells, params: TapeParams) -> Signature:
    """Of history and window together: wide samples need a long stretch."""
    closes = np.concatenate((history.close, closed.close))
    return signature_of_closes(closes, closed.first - len(history), params.widths_s, closed.width_us / US_PER_S)
