"""What came of an alert on a pair: did the spread revert, how far did it go against, in how many half-lives.

The spread is taken with the hedge ratio, mean and deviation of the moment of the alert, which stand still from then
on: those of later windows move towards the price and would call any spread reverted in the end.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

EXIT_Z = 0.5  # |z| at which a spread counts as back
HALF_LIVES = 5.0  # after so many it has not reverted
LEAST_BARS, MOST_BARS = 30, 2_000  # bounds of that time; the longer one where no half-life is known


@dataclass(frozen=True, slots=True)
class Followed:
    """A firing whose outcome is not known yet."""

    began_us: int
    hedge_ratio: float
    mean: float
    std: float
    half_life: float | None  # bars, as it was then
    start_z: float
    worst_z: float  # farthest from the mean so far, on the side of the start


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it, in deviations of the spread at the firing."""

    reverted: bool
    bars: int
    half_lives: float | None
    worst_z: float  # how much farther than at the firing it went; 0 = it turned at once
    ended_us: int


def followed(reading: Mapping[str, float], at_us: int) -> Followed | None:
    """What to follow after a firing; None where there is no pair, or where its spread is not stretched."""
    numbers = [reading.get(name, math.nan) for name in ("hedge_ratio", "spread_mean", "spread_std", "zscore")]
    if not all(map(math.isfinite, numbers)) or abs(numbers[3]) <= EXIT_Z or numbers[2] <= 0:
        return None
    half_life = reading.get("half_life", math.nan)
    ratio, mean, std, start = numbers
    return Followed(at_us, ratio, mean, std, half_life if math.isfinite(half_life) else None, start, abs(start))


def follow(start: Followed, reading: Mapping[str, float], at_us: int, width_us: int) -> tuple[Followed, Outcome | None]:
    """The same one bar later, and the outcome once it is known; a bar without prices changes nothing."""
    y, x = reading.get("price_y", math.nan), reading.get("price_x", math.nan)
    z = math.copysign(1.0, start.start_z) * (y - start.hedge_ratio * x - start.mean) / start.std
    bars = round((at_us - start.began_us) / width_us)
    if not math.isnan(z):
        start = replace(start, worst_z=max(start.worst_z, z))
        if z <= EXIT_Z:
            return start, _outcome(start, True, bars, at_us)
    return start, (_outcome(start, False, bars, at_us) if bars >= patience_bars(start.half_life) else None)


def patience_bars(half_life: float | None) -> float:
    """Bars after which a spread counts as not reverted."""
    return MOST_BARS if half_life is None else min(max(HALF_LIVES * half_life, LEAST_BARS), MOST_BARS)


def _outcome(start: Followed, reverted: bool, bars: int, at_us: int) -> Outcome:
    return Outcome(
        reverted=reverted,
        bars=bars,
        half_lives=bars / start.half_life if start.half_life else None,
        worst_z=start.worst_z - abs(start.start_z),
        ended_us=at_us,
    )
