"""VPIN: how one-sided trading is, on a clock of volume."""

from dataclasses import dataclass

import numpy as np

from analytics.microstructure.columns import flags, positive, same_length
from utils.compiled import compiled
from utils.errors import InputError, TooFewObservations

BUCKETS = 50

FILLED, BOUGHT, SIZE, POSITION, DONE = range(5)  # the bucket in progress, where the next one goes, how many are full


@dataclass(frozen=True, slots=True)
class Vpin:
    """Volume-synchronised probability of informed trading; it cannot leave 0..1."""

    value: float  # mean of |taker buys - taker sells| / volume over the buckets, weighted by their volume
    bucket_volume: float  # mean of the buckets, base currency
    buckets: int


def vpin(qty: object, buyer_is_maker: object, bucket_volume: float, buckets: int = BUCKETS) -> Vpin:
    """VPIN, dimensionless, 0..1, over the newest full buckets of equal volume.

        sum over buckets |buys - sells| / (buckets * bucket_volume)

    Sides are the exchange's, not guessed from price moves as in the paper. A trade that overfills a bucket goes on in
    the next one. It is high where the flow is one-sided, which also happens by chance: without any imbalance, buckets
    of k trades of one size have a VPIN of 0.8 / sqrt(k).

    Parameters
    ----------
    qty, buyer_is_maker : shape (n,), oldest first
    bucket_volume : base currency; the paper takes a fiftieth of a day's mean volume
    buckets : number of buckets that the mean is taken over

    Raises
    ------
    InputError
    TooFewObservations
        Fewer full buckets than `buckets`.

    References
    ----------
    D. Easley, M. López de Prado and M. O'Hara, Review of Financial Studies 25 (2012).
    """
    size, sold = positive(qty, "qty"), flags(buyer_is_maker)
    same_length(qty=size, buyer_is_maker=sold)
    if not 0 < bucket_volume < np.inf:
        raise InputError(f"bucket_volume must be > 0, was {bucket_volume:g}", "bucket_volume")
    state, ring = new_buckets(buckets)
    for_all = np.full(1, float(bucket_volume))
    fill_buckets(state, ring, size, sold, np.zeros(size.size, np.int64), for_all)
    if state[DONE] < buckets:
        raise TooFewObservations(have=int(state[DONE]), need=buckets, what="full buckets")
    return of_buckets(state, ring)


def new_buckets(buckets: int) -> tuple[np.ndarray, np.ndarray]:
    """State of `fill_buckets` before the first trade, and room for |buys - sells| and volume of each bucket.

    Raises
    ------
    InputError
    """
    if buckets < 1:
        raise InputError(f"buckets must be >= 1, was {buckets}", "buckets")
    return np.zeros(5), np.zeros((2, int(buckets)))


def of_buckets(state: np.ndarray, ring: np.ndarray) -> Vpin:
    """VPIN of full buckets; NaN before there are as many as asked for."""
    buckets = ring.shape[1]
    if state[DONE] < buckets:
        return Vpin(np.nan, np.nan, int(state[DONE]))
    imbalance, volume = ring.sum(axis=1).tolist()
    return Vpin(min(1.0, imbalance / volume), volume / buckets, buckets)  # the two sums round apart


@compiled
def fill_buckets(
    state: np.ndarray, ring: np.ndarray, qty: np.ndarray, sold: np.ndarray, row: np.ndarray, sizes: np.ndarray
) -> None:
    """Pour trades into buckets; a bucket that begins with trade k is of size sizes[row[k]], and none begins if NaN.

    A bucket keeps its size until it is full.
    """
    buckets = ring.shape[1]
    for k in range(qty.size):
        left = qty[k]
        while left > 0:
            if state[SIZE] == 0:
                size = sizes[row[k]]
                if not size > 0:
                    break
                state[SIZE] = size
                # So large a trade fills every bucket that counts: those before them need not be filled one by one.
                skipped = max(0.0, left // size - buckets - 1)
                left -= skipped * size
                state[DONE] += skipped
            taken = min(left, state[SIZE] - state[FILLED])
            full = left >= state[SIZE] - state[FILLED]
            left -= taken
            state[FILLED] += taken
            state[BOUGHT] += 0.0 if sold[k] else taken
            if full:
                at = int(state[POSITION])
                ring[0, at] = abs(2 * state[BOUGHT] - state[SIZE])
                ring[1, at] = state[SIZE]
                state[POSITION] = (at + 1) % buckets
                state[DONE] += 1
                state[FILLED] = state[BOUGHT] = state[SIZE] = 0.0
