"""What an analysis of a pair is asked to do."""

import math
from dataclasses import dataclass

from analytics.entry import FARTHEST
from analytics.hedge import rolling
from analytics.hedge.state_space import TRAIN
from analytics.session import MOST_LOOKS
from utils.errors import InputError

METHODS = ("ols", "huber", "theil_sen", "tls", "ewm", "kalman")  # of the moving hedge ratio
SCALES = ("std", "ewm", "robust")  # of the z-score
LEAST_WINDOW = {"ols": 3, "kalman": 3}  # bars; the other methods need more to say anything
LEAST = {"window": 3, "test_bars": 30, "min_bars": 20, "min_bars_coint": 30, "session_bars": 20}


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
    scale: str = "std"
    log_prices: bool = False  # ratio and spread of logarithms: the ratio is then an elasticity
    test_bars: int = 500  # newest bars on which tests and half-life rest
    session_bars: int = 288  # bars that are watched after each calibration
    min_bars: int = 30  # least bars for fit and half-life
    min_bars_coint: int = 100  # least bars for a cointegration test
    entry_z: float = 2.0  # |z| that counts as stretched
    exit_z: float = 0.5
    fee_bps: float = 5.0  # of the notional, each of the four fills of a round trip

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            value = getattr(self, name)
            if not (isinstance(value, int) and value >= least):
                raise InputError(f"{name} must be a whole number >= {least}, was {value}", name)
        if self.session_bars > MOST_LOOKS:
            raise InputError(f"session_bars must be <= {MOST_LOOKS}, was {self.session_bars}", "session_bars")
        for name, known in (("method", METHODS), ("scale", SCALES)):
            if getattr(self, name) not in known:
                raise InputError(f"{name} must be one of {', '.join(known)}, was {getattr(self, name)!r}", name)
        least = LEAST_WINDOW.get(self.method, rolling.LEAST_WINDOW)
        if self.window < least:
            raise InputError(f"window must be >= {least} with {self.method}, was {self.window}", "window")
        if not (0 <= self.exit_z < self.entry_z < math.inf and self.exit_z < FARTHEST):
            limit = f"needs 0 <= exit_z < entry_z and exit_z < {FARTHEST:g}"
            raise InputError(f"{limit}, was {self.exit_z:g} and {self.entry_z:g}", "entry_z")
        if not 0 <= self.fee_bps <= 1_000:
            raise InputError(f"fee_bps must be 0 to 1000, was {self.fee_bps:g}", "fee_bps")

    @property
    def bars(self) -> int:
        """Closed bars with which tests and session have what they ask for."""
        return self.test_bars + self.session_bars

    @property
    def warm_up(self) -> int:
        """Bars before the first one that has every value."""
        return TRAIN + self.session_bars if self.method == "kalman" else self.window + 1
