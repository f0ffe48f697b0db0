"""How long something takes: counts in fixed buckets, of all times and of the last minutes, at a fixed size."""

import math
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass

PER_DECADE = 10  # buckets; a percentile is exact to a bucket, a factor of 1.26
BOUNDS_S = tuple(10 ** (power / PER_DECADE) for power in range(-5 * PER_DECADE, 3 * PER_DECADE + 1))  # 10 us to 1000 s
SLOT_S = 60
SLOTS = 5  # minutes that a percentile looks back, the one in progress included


@dataclass(frozen=True, slots=True)
class Delay:
    """Percentiles of the last minutes, seconds; NaN without an observation, infinite beyond the last bucket."""

    p50_s: float
    p99_s: float
    count: int


class Delays:
    """One thread adds, any thread reads; about 0.8 us an observation and 5 kB in all."""

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS_S) + 1)  # since the start; the last one is of those beyond every bound
        self.sum_s = 0.0
        self._slots: deque[tuple[int, list[int]]] = deque(maxlen=SLOTS)

    def add(self, seconds: float, now_s: float, count: int = 1) -> None:
        """Note that `count` things took so long; `now_s` is monotonic time."""
        slot = int(now_s // SLOT_S)
        if not self._slots or self._slots[-1][0] != slot:
            self._slots.append((slot, [0] * len(self.counts)))
        bucket = bisect_left(BOUNDS_S, seconds)
        self._slots[-1][1][bucket] += count
        self.counts[bucket] += count
        self.sum_s += seconds * count

    def lately(self, now_s: float) -> Delay:
        """Median and 99th percentile of the last minutes."""
        oldest = int(now_s // SLOT_S) - SLOTS
        recent = [counts for slot, counts in list(self._slots) if slot > oldest]
        counts = [sum(column) for column in zip(*recent, strict=True)]
        return Delay(percentile(counts, 0.5), percentile(counts, 0.99), sum(counts))


def percentile(counts: list[int], share: float) -> float:
    """The value, seconds, that a share of the observations does not exceed: by ratio within its bucket."""
    wanted = share * sum(counts)
    if not wanted:
        return math.nan
    below = 0
    for bucket, count in enumerate(counts[:-1]):
        if count and below + count >= wanted:
            high = BOUNDS_S[bucket]
            low = BOUNDS_S[bucket - 1] if bucket else high
            return float(low * (high / low) ** ((wanted - below) / count))
        below += count
    return math.inf
