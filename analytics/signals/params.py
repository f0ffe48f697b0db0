"""What a signal is asked to do: thresholds, weights and caps."""

import math
from dataclasses import asdict, dataclass
from typing import Any, Self

from utils.errors import InputError

ROUNDING = 1e-9  # of the sum of the weights


@dataclass(frozen=True, slots=True)
class Weights:
    """Shares of the terms in the opportunity score; each 0 to 1, together 1.

    Raises
    ------
    InputError
    """

    zscore: float = 0.30
    volatility: float = 0.25
    momentum: float = 0.25
    liquidity: float = 0.20

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 1:
                raise InputError(f"weight of {name} must be 0 to 1, was {value:g}", name)
        total = math.fsum(asdict(self).values())
        if abs(total - 1) > ROUNDING:
            raise InputError(f"weights must sum to 1, summed to {total:g}", "weights")


@dataclass(frozen=True, slots=True)
class Caps:
    """The most that the score may be while a reason stands, 0 to 100; 0 voids score and entry.

    What makes a trade impossible, sure to lose, or blind is void. What is only not shown is capped: a test that finds
    nothing is not proof of the contrary.

    Raises
    ------
    InputError
    """

    too_few_bars: float = 0.0
    stale_leg: float = 0.0
    open_gap: float = 0.0
    break_alarm: float = 0.0
    no_hedge_ratio: float = 0.0
    beyond_stop: float = 0.0  # an entry here would be stopped at once
    stopped: float = 0.0  # not back inside the exit since the last stop
    below_cost: float = 0.0
    cost_unknown: float = 25.0
    not_cointegrated: float = 25.0
    half_life_unknown: float = 25.0
    incomplete_bars: float = 50.0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if not 0 <= value <= 100:
                raise InputError(f"cap of {name} must be 0 to 100, was {value:g}", name)


@dataclass(frozen=True, slots=True)
class SignalParams:
    """What a signal is asked to do.

    Raises
    ------
    InputError
        `field` names the value that is out of its limits.
    """

    entry_z: float = 2.0  # enter at |z| above it
    exit_z: float = 0.5  # leave below it, on the side of the entry
    stop_z: float = 4.0  # give up above it; inf never does
    full_z: float = 3.0  # |z| from which its term is 100; it is 0 up to exit_z
    fast: int = 12  # bars of the averages of the momentum
    slow: int = 26
    hysteresis: float = 0.1  # strength of momentum that turns a signal; below it the last one stands
    full_momentum: float = (
        0.3  # strength from which its term is 100, or 0; a random walk is beyond it a tenth of the time
    )
    low_volatility: float = 0.7  # current over historical; the term is 0 up to here
    high_volatility: float = 1.3  # and 100 from here
    alpha: float = 0.05  # a p-value below it counts as evidence of cointegration
    min_bars: int = 100  # closed bars
    min_coverage: float = 0.95  # share of bars without known loss
    weights: Weights = Weights()
    caps: Caps = Caps()

    def __post_init__(self) -> None:
        self._ordered("exit_z", "entry_z", 0.0)
        if not self.entry_z < self.stop_z:
            raise InputError(f"stop_z must be > entry_z ({self.entry_z:g}), was {self.stop_z:g}", "stop_z")
        self._ordered("exit_z", "full_z", 0.0)
        self._ordered("low_volatility", "high_volatility", 0.0)
        self._ordered("fast", "slow", 1)
        self._within("hysteresis", 0.0, 1.0)
        if not 0 < self.full_momentum < math.inf:
            raise InputError(f"full_momentum must be > 0 and finite, was {self.full_momentum:g}", "full_momentum")
        self._within("alpha", 0.0, 1.0)
        self._within("min_bars", 2, math.inf)
        self._within("min_coverage", 0.0, 1.0)

    @classmethod
    def around(cls, entry_z: float, exit_z: float, stop_z: float, **more: Any) -> Self:
        """The rule of thresholds that people set: the z term is full at one and a half times the entry, 3 for 2.

        Raises
        ------
        InputError
        """
        return cls(entry_z=entry_z, exit_z=exit_z, stop_z=stop_z, full_z=1.5 * entry_z, **more)

    def _ordered(self, low: str, high: str, least: float) -> None:
        """least <= low < high, finite."""
        below, above = getattr(self, low), getattr(self, high)
        if not least <= below:
            raise InputError(f"{low} must be >= {least:g}, was {below:g}", low)
        if not below < above < math.inf:
            raise InputError(f"{high} must be > {low} ({below:g}) and finite, was {above:g}", high)

    def _within(self, name: str, least: float, most: float) -> None:
        value = getattr(self, name)
        if not least <= value <= most:
            raise InputError(f"{name} must be {least:g} to {most:g}, was {value:g}", name)
