"""What a backtest is asked to do."""

import math
from dataclasses import dataclass

from analytics.mean_reversion import MIN_OBS
from analytics.pair import PairParams
from analytics.signals import SignalParams
from utils.errors import InputError

FILLS = ("taker", "maker")
REENTRIES = ("reset", "free")
HEDGES = ("entry", "rolled")
INCOMPLETE = ("mark", "exclude")
CHOICES = {"fill": FILLS, "reentry": REENTRIES, "hedge": HEDGES, "incomplete": INCOMPLETE}
WHOLE = {"half_life_bars": MIN_OBS, "latency_bars": 0}
MOST_BPS = 1_000.0
MOST_LEVERAGE = 125.0  # no exchange lends more
WITHIN = {
    "leverage": (0.0, MOST_LEVERAGE),
    "lot_y": (0.0, math.inf),
    "lot_x": (0.0, math.inf),
    "roll_share": (0.0, math.inf),
    "taker_bps": (0.0, MOST_BPS),
    "maker_bps": (-MOST_BPS, MOST_BPS),  # some venues pay the maker; nobody is paid for slippage
    "slippage_y_bps": (0.0, MOST_BPS),
    "slippage_x_bps": (0.0, MOST_BPS),
}


@dataclass(frozen=True, slots=True)
class BacktestParams:
    """What a backtest is asked to do.

    Raises
    ------
    InputError
        `field` names the value that is out of its limits.
    """

    # the path of z, as in PairParams
    window: int = 60
    method: str = "ols"
    scale: str = "std"
    log_prices: bool = False
    session_bars: int = 288
    # the rule, as in SignalParams
    entry_z: float = 2.0
    exit_z: float = 0.5
    stop_z: float = 4.0  # inf never gives up
    time_stop: float = math.inf  # half-lives, as known at the entry, after which it gives up; inf never does
    half_life_bars: int = 240  # bars before an entry from which its half-life is estimated
    reentry: str = "reset"  # after a stop: "reset" waits until z was back inside the exit, "free" for nothing
    # the legs
    hedge: str = "entry"  # "entry" keeps the hedge of the entry, "rolled" follows the moving ratio
    roll_share: float = 0.05  # a rolled hedge is traded once it is off by more than this share of itself
    capital: float = 10_000.0  # units of the quote currency
    leverage: float = 1.0  # notional of both legs together at an entry, over the capital; at most 125
    compound: bool = False  # sizes by the equity at the entry rather than by the capital
    lot_y: float = 0.0  # quantities are whole multiples of it; 0 takes any
    lot_x: float = 0.0
    # the costs
    fill: str = "taker"  # a maker pays maker_bps and no slippage, and is taken to be always filled
    taker_bps: float = 5.0  # of the notional of a fill
    maker_bps: float = 2.0
    slippage_y_bps: float = 0.5  # half spread or measured slippage, of the notional of a fill
    slippage_x_bps: float = 0.5
    latency_bars: int = 0  # bars after the first leg at which the second, x, is filled
    incomplete: str = "mark"  # bars that miss trades: "mark" the trades that touch them, or "exclude" the bars

    def __post_init__(self) -> None:
        _ = self.pair, self.signal  # they check their own
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, was {getattr(self, name)!r}", name)
        for name, least in WHOLE.items():
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= least):
                raise InputError(f"{name} must be a whole number >= {least}, was {value}", name)
        for name in ("capital", "leverage", "time_stop"):
            value = getattr(self, name)
            if not (value > 0 and (value < math.inf or name == "time_stop")):
                raise InputError(f"{name} must be > 0 and finite, was {value:g}", name)
        for name, (low, high) in WITHIN.items():
            value = getattr(self, name)
            if not (low <= value <= high and value < math.inf):
                raise InputError(f"{name} must be {low:g} to {high:g}, was {value:g}", name)

    @property
    def pair(self) -> PairParams:
        """What the path of z is asked for: the same as a page asks for."""
        return PairParams(
            window=self.window,
            method=self.method,
            scale=self.scale,
            log_prices=self.log_prices,
            session_bars=self.session_bars,
            entry_z=self.entry_z,
            exit_z=self.exit_z,
        )

    @property
    def signal(self) -> SignalParams:
        """What the rule is asked for: the same as a signal is."""
        full_z = max(SignalParams().full_z, self.entry_z)  # of a score that no backtest reads
        return SignalParams(entry_z=self.entry_z, exit_z=self.exit_z, stop_z=self.stop_z, full_z=full_z)

    @property
    def fee_bps(self) -> float:
        """Of the notional of one fill."""
        return self.taker_bps if self.fill == "taker" else self.maker_bps

    @property
    def slippage_bps(self) -> tuple[float, float]:
        """Of the notional of one fill, in y and in x."""
        return (self.slippage_y_bps, self.slippage_x_bps) if self.fill == "taker" else (0.0, 0.0)
