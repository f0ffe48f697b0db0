"""How large trades are."""

from dataclasses import dataclass

import numpy as np

from analytics.microstructure.columns import positive
from utils.compiled import compiled

QUANTILES = (0.25, 0.5, 0.75, 0.95, 0.99)
FENCE = 1.0  # of normal logarithms, 0.44 % lie beyond
MIN_OBS = 20
BIN_SHIFT = 44  # 8 of the 52 bits after the leading one


@dataclass(frozen=True, slots=True)
class TradeSizes:
    """Distribution of trade sizes, base currency; NaN where there are fewer than 20 trades."""

    n_obs: int
    q25: float = np.nan
    median: float = np.nan
    q75: float = np.nan
    q95: float = np.nan
    q99: float = np.nan
    largest: float = np.nan
    large_from: float = np.nan  # a print of more than this is large; NaN where q95 is q75
    large_prints: float = np.nan  # their number; NaN where `large_from` is
    large_share: float = np.nan  # of the quantity, 0..1


def trade_sizes(qty: object, fence: float = FENCE) -> TradeSizes:
    """Quantiles of trade sizes, base currency, and the prints that stand out, from shape (n,).

        a print is large above q95 (q95 / q75)^fence

    On a logarithmic scale, with a fence of 1, as far above q95 as that is above q75. Sizes spread over five orders of
    magnitude, so a threshold in multiples of a mean or a standard deviation would be set by the very prints it is to
    find; this one stays put whatever the largest twentieth of the prints does. Tukey's fence, from the quartiles, lies
    beyond everything on tapes where half of the prints are crumbs. A quantile is the smallest size that so many
    trades do not exceed, hence a size that was traded.

    Raises
    ------
    InputError
    """
    size = positive(qty, "qty")
    if size.size < MIN_OBS:
        return TradeSizes(size.size)
    ranks = [max(0, int(np.ceil(size.size * p - 1e-9)) - 1) for p in QUANTILES]
    q25, median, q75, q95, q99 = _ranked(size, ranks)
    large_from = q95 * (q95 / q75) ** fence if q75 < q95 else np.nan
    prints, share = _beyond(size, large_from)
    return TradeSizes(size.size, q25, median, q75, q95, q99, float(size.max()), large_from, prints, share)


def large_prints(qty: object, large_from: float) -> np.ndarray:
    """Which prints are large, bool, shape (n,): those above the threshold of trades before them; NaN flags none.

    Raises
    ------
    InputError
    """
    return positive(qty, "qty") > large_from


def _ranked(size: np.ndarray, ranks: list[int]) -> list[float]:
    """The values at these places of the sorted sizes, without sorting: sizes are few numbers many times.

    Bits of positive floats grow with their value, so the upper ones are bins of a 256th of an octave. Most bins hold
    one value, and only where the one sought holds more are its members looked at (ten times faster than a partition).
    """
    bits = size.view(np.int64)
    lowest = int(bits.min()) >> BIN_SHIFT
    bins = (int(bits.max()) >> BIN_SHIFT) - lowest + 1
    counts, least, most = np.zeros(bins, np.int64), np.full(bins, np.inf), np.zeros(bins)
    _count(size, bits, lowest, counts, least, most)
    up_to = counts.cumsum()
    found = []
    for rank in ranks:
        at = int(up_to.searchsorted(rank, "right"))
        if least[at] == most[at]:
            found.append(float(least[at]))
            continue
        members = _members(size, bits, lowest + at, np.empty(counts[at]))
        place = rank - int(up_to[at] - counts[at])
        found.append(float(np.partition(members, place)[place]))
    return found


def _beyond(size: np.ndarray, large_from: float) -> tuple[float, float]:
    """Number of prints beyond the fence and their share of the quantity."""
    if np.isnan(large_from):
        return np.nan, np.nan
    large = size[size > large_from]
    return float(large.size), float(large.sum() / size.sum())


@compiled
def _count(
    size: np.ndarray, bits: np.ndarray, lowest: int, counts: np.ndarray, least: np.ndarray, most: np.ndarray
) -> None:
    """Number, least and largest value of each bin."""
    for k in range(size.size):
        at, value = (bits[k] >> BIN_SHIFT) - lowest, size[k]
        counts[at] += 1
        least[at], most[at] = min(least[at], value), max(most[at], value)


@compiled
def _members(size: np.ndarray, bits: np.ndarray, bin_: int, members: np.ndarray) -> np.ndarray:
    """The sizes of one bin, into an array of their number."""
    n = 0
    for k in range(size.size):
        if bits[k] >> BIN_SHIFT == bin_:
            members[n] = size[k]
            n += 1
    return members
