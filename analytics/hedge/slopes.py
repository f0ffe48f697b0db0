"""Order statistics of the slopes between all pairs of points, without making all of them.

There are n (n - 1) / 2 slopes; their k-th is wanted, exactly. For points in order of x, the pairs with a slope below s
are the inversions of y - s x: a merge sort counts them in n log n. A random sample of slopes gives a bracket; the
counts at its ends say which order statistics lie inside; and only the pairs that change places between the two ends
are written out, by the same merge, and selected among. Pairs with equal x have no slope and are never counted.

J. Matousek, Information Processing Letters 39 (1991); M. B. Dillencourt, D. M. Mount, N. S. Netanyahu, International
Journal of Computational Geometry & Applications 2 (1992).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from utils.compiled import compiled

SAMPLE = 6_000  # random slopes that place the first brackets
NEAR = 3.5  # standard errors of a sample quantile on either side of a bracket
FEW = 20_000  # slopes that are simply written out
NARROW = 6  # times n: slopes in a bracket that is narrow enough
STEPS = 12  # of narrowing; more would meet equal slopes, which no bracket separates
ROOM = 400_000  # slopes held at a time


def slope_count(x: np.ndarray) -> int:
    """Pairs of points that have a slope: those with different x."""
    _, repeats = np.unique(x, return_counts=True)
    return (x.size * (x.size - 1) - int((repeats * (repeats - 1)).sum())) // 2


@dataclass(frozen=True, slots=True)
class _Bracket:
    """Two slopes, and how many of all slopes lie below each."""

    low: float
    high: float
    below: int
    above: int

    @property
    def held(self) -> int:
        return self.above - self.below


@dataclass(frozen=True, slots=True, eq=False)
class Slopes:
    """The slopes of all pairs of points with different x, ready to be asked for order statistics."""

    count: int
    y: np.ndarray  # in order of x, equal x by y: no slope ever turns those round
    x: np.ndarray
    y_centred: np.ndarray
    x_centred: np.ndarray
    sample: np.ndarray  # of slopes, sorted; empty where all of them are few

    @classmethod
    def of(cls, y: np.ndarray, x: np.ndarray) -> "Slopes":
        """From two finite arrays of one length; x varies."""
        order = np.lexsort((y, x))
        y, x, count = y[order], x[order], slope_count(x)
        sample = np.sort(_sampled(y, x, SAMPLE)) if count > FEW else np.empty(0)
        return cls(count, y, x, y - y[y.size // 2], x - x[x.size // 2], sample)

    def at(self, ranks: Sequence[int]) -> list[float]:
        """The slopes with these ranks, exactly; 0 is the smallest, `count` - 1 the largest."""
        found: dict[int, float] = {}
        for group in self._groups(sorted(set(ranks))):
            found |= self._selected(self._narrow(self._bracket(group), group), group)
        return [found[rank] for rank in ranks]

    def _groups(self, ranks: list[int]) -> list[list[int]]:
        """Neighbouring ranks that one bracket can hold."""
        groups = [[ranks[0]]]
        for rank in ranks[1:]:
            if self.count <= FEW or rank - groups[-1][0] <= self.x.size:
                groups[-1].append(rank)
            else:
                groups.append([rank])
        return groups

    def _bracket(self, ranks: list[int]) -> _Bracket:
        """Two slopes around some ranks, from the sample."""
        share, spread = self.sample.size / self.count, NEAR * np.sqrt(self.sample.size) / 2
        while True:
            low = _outwards(self.sample, ranks[0] * share - spread, -1)
            high = _outwards(self.sample, ranks[-1] * share + spread, 1)
            bracket = _Bracket(low, high, self._below(low), self._below(high))
            if bracket.below <= ranks[0] and ranks[-1] < bracket.above:
                return bracket
            spread = 4 * spread + 1

    def _narrow(self, bracket: _Bracket, ranks: list[int]) -> _Bracket:
        """A bracket of few slopes, by interpolating between counts; as it is where an end is infinite."""
        enough = NARROW * self.x.size
        for _ in range(STEPS):
            if bracket.held <= max(enough, FEW) or not np.isfinite(bracket.high - bracket.low):
                break
            for rank in (ranks[0] - enough // 4, ranks[-1] + enough // 4):
                share = min(max((rank - bracket.below) / bracket.held, 0.0), 1.0)
                slope = bracket.low + share * (bracket.high - bracket.low)
                below = self._below(slope)
                if below <= ranks[0] and slope > bracket.low:
                    bracket = _Bracket(slope, bracket.high, below, bracket.above)
                elif below > ranks[-1] and slope < bracket.high:
                    bracket = _Bracket(bracket.low, slope, bracket.below, below)
        return bracket

    def _selected(self, bracket: _Bracket, ranks: list[int]) -> dict[int, float]:
        """The slopes of some ranks inside a bracket."""
        if bracket.held > ROOM:
            return {rank: self._sifted(bracket, rank - bracket.below) for rank in ranks}
        inside = np.empty(bracket.held)
        self._collect(bracket, -np.inf, np.inf, 1, inside)
        places = [rank - bracket.below for rank in ranks]
        inside.partition(places)
        return {rank: float(inside[place]) for rank, place in zip(ranks, places, strict=True)}

    def _sifted(self, bracket: _Bracket, place: int) -> float:
        """The place-th slope of a bracket that holds too many to write out, as equal slopes make it."""
        least, most, under, held = -np.inf, np.inf, 0, bracket.held
        while held > ROOM:
            stride = -(-held // ROOM)
            some = np.empty(-(-held // stride))
            self._collect(bracket, least, most, stride, some)
            some.sort()
            low, high, fewer, count = self._band(bracket, some, (place - under) // stride, place)
            if low == high:
                return low
            if count == held:  # a stride in time with the pairs shows no middle: hold them all, once
                break
            least, most, under, held = low, high, fewer, count
        inside = np.empty(held)
        self._collect(bracket, least, most, 1, inside)
        return float(np.partition(inside, place - under)[place - under])

    def _band(self, bracket: _Bracket, some: np.ndarray, middle: int, place: int) -> tuple[float, float, int, int]:
        """Two slopes of a sorted part of the bracket around a place, how many lie below and how many inside."""
        spread = 8 * np.sqrt(some.size)
        while True:
            low = some[max(int(middle - spread), 0)] if middle >= spread or spread < some.size else -np.inf
            high = some[min(int(middle + spread), some.size - 1)] if spread < some.size else np.inf
            fewer, count = self._collect(bracket, low, high, 1, np.empty(0))
            if fewer <= place < fewer + count:
                return float(low), float(high), fewer, count
            spread *= 4

    def _collect(self, bracket: _Bracket, least: float, most: float, stride: int, found: np.ndarray) -> tuple[int, int]:
        ends = bracket.low, bracket.high
        return _collect(self.y, self.x, self.y_centred, self.x_centred, *ends, least, most, stride, found)

    def _below(self, slope: float) -> int:
        """Pairs with a slope below this one."""
        if np.isinf(slope):
            return self.count if slope > 0 else 0
        return int(_inversions(self.y_centred - slope * self.x_centred))


def _outwards(ordered: np.ndarray, place: float, side: int) -> float:
    """The value at a place of a sorted sample, a hair further out; infinite beyond its ends."""
    if not 0 <= place < ordered.size:
        return side * np.inf
    value = float(ordered[int(place)])
    return value + side * (1e-9 * abs(value) + np.finfo(float).tiny)


@compiled
def _sampled(y: np.ndarray, x: np.ndarray, size: int) -> np.ndarray:
    """Slopes of random pairs with different x; fewer where most x are equal; the same ones each time."""
    found, state, n = np.empty(size), np.uint64(88172645463325252), np.uint64(x.size)
    kept = 0
    for _ in range(4 * size):
        state ^= state << np.uint64(13)
        state ^= state >> np.uint64(7)
        state ^= state << np.uint64(17)
        one = np.int64((state >> np.uint64(8)) % n)
        other = np.int64((state >> np.uint64(36)) % n)
        if x[one] != x[other]:
            found[kept] = (y[one] - y[other]) / (x[one] - x[other])
            kept += 1
            if kept == size:
                break
    return found[:kept]


@compiled
def _inversions(values: np.ndarray) -> int:
    """Pairs in falling order, by a merge sort from the bottom; the values are sorted in place."""
    n, total, other = values.size, 0, np.empty_like(values)
    for start in range(0, n, 8):
        for i in range(start + 1, min(start + 8, n)):
            value, j = values[i], i
            while j > start and values[j - 1] > value:
                values[j] = values[j - 1]
                j -= 1
            values[j] = value
            total += i - j
    width = 8
    while width < n:
        for start in range(0, n, 2 * width):
            middle, stop = min(start + width, n), min(start + 2 * width, n)
            left, right, out = start, middle, start
            while left < middle and right < stop:  # without a branch: which side is smaller cannot be guessed
                one, two = values[left], values[right]
                falls = int(two < one)
                other[out] = two if falls else one
                total += falls * (middle - left)
                right += falls
                left += 1 - falls
                out += 1
            other[out : out + middle - left] = values[left:middle]
            other[out + middle - left : stop] = values[right:stop]
        values, other = other, values
        width *= 2
    return total


@compiled
def _collect(
    y: np.ndarray,
    x: np.ndarray,
    y_centred: np.ndarray,
    x_centred: np.ndarray,
    low: float,
    high: float,
    least: float,
    most: float,
    stride: int,
    found: np.ndarray,
) -> tuple[int, int]:
    """Slopes of the pairs that change places between `low` and `high` and lie in least..most, each stride-th kept.

    Returns how many lie below `least`, and how many inside.
    """
    n = x.size
    ids = np.arange(n) if low == -np.inf else np.argsort(y_centred - low * x_centred, kind="mergesort")
    values = (-x_centred if high == np.inf else y_centred - high * x_centred)[ids]
    others, other_ids = np.empty_like(values), np.empty_like(ids)
    fewer, inside, kept, width = 0, 0, 0, 1
    while width < n:
        for start in range(0, n, 2 * width):
            middle, stop = min(start + width, n), min(start + 2 * width, n)
            left, right = start, middle
            for out in range(start, stop):
                if left < middle and (right == stop or values[left] <= values[right]):
                    others[out], other_ids[out] = values[left], ids[left]
                    left += 1
                    continue
                others[out], other_ids[out] = values[right], ids[right]
                one_y, one_x = y[ids[right]], x[ids[right]]
                for before in range(left, middle):
                    run = one_x - x[ids[before]]
                    slope = (one_y - y[ids[before]]) / run if run != 0 else np.inf
                    if slope < least:
                        fewer += 1
                    elif slope <= most:
                        if kept < found.size and inside % stride == 0:
                            found[kept] = slope
                            kept += 1
                        inside += 1
                right += 1
        values, others, ids, other_ids = others, values, other_ids, ids
        width *= 2
    return fewer, inside
