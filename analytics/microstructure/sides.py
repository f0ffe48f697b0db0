"""Who was the taker: inferred where the tape does not tell, and measured where it does.

A side is +1 where the taker bought, -1 where the taker sold and 0 where nothing can be said.
"""

from dataclasses import dataclass

import numpy as np

from analytics.microstructure.columns import flags, one_dimension, positive, same_length, times
from utils.compiled import compiled
from utils.errors import InputError


@dataclass(frozen=True, slots=True)
class SideAccuracy:
    """Share of inferred sides that agree with the exchange's flag, 0..1; NaN where no trade can be judged."""

    by_count: float
    by_volume: float  # trades weighted by quantity
    where_moved: float  # of trades whose price differs from that of the trade before
    n_obs: int  # trades with an inferred side


def tick_rule(prices: object) -> np.ndarray:
    """Inferred side of each trade, -1, 0 or +1, shape (n,), int8.

    The sign of the last change of price up to and including this trade; 0 before the first change. Trades must stand
    in the order in which they happened, which is that of their ids.

    Raises
    ------
    InputError

    References
    ----------
    C. Lee and M. Ready, Journal of Finance 46 (1991).
    """
    return _last_signs(positive(prices, "prices"))


def lee_ready(prices: object, bid: object, ask: object) -> np.ndarray:
    """Inferred side of each trade from the quote in force before it, -1, 0 or +1, shape (n,), int8.

    +1 above the middle of bid and ask, -1 below it; the tick rule at the middle and where the quote is NaN, one-sided
    (0) or crossed. `quotes_before` finds the quotes.

    Raises
    ------
    InputError

    References
    ----------
    C. Lee and M. Ready, Journal of Finance 46 (1991); without their delay of five seconds, which clocks of today do
    not need.
    """
    price = positive(prices, "prices")
    bids, asks = (np.asarray(one_dimension(side, name), np.float64) for side, name in ((bid, "bid"), (ask, "ask")))
    same_length(prices=price, bid=bids, ask=asks)
    above = price - (bids + asks) / 2
    usable = (bids > 0) & (asks >= bids) & (above != 0)
    return np.where(usable, np.sign(np.where(usable, above, 0)), _last_signs(price)).astype(np.int8)


def quotes_before(ts_us: object, quote_ts_us: object, bid: object, ask: object) -> tuple[np.ndarray, np.ndarray]:
    """Bid and ask in force just before each trade, shape (n,); NaN before the first quote.

    The last quote of an earlier time: one of the same microsecond may be what the trade left behind.

    Raises
    ------
    InputError
    """
    quoted = times(quote_ts_us, "quote_ts_us")
    at = np.searchsorted(quoted, times(ts_us), "left") - 1
    columns = []
    for values, name in ((bid, "bid"), (ask, "ask")):
        column = np.asarray(one_dimension(values, name), np.float64)
        same_length(quote_ts_us=quoted, **{name: column})
        columns.append(np.append(column, np.nan)[at])  # -1, before the first quote, is the NaN
    return columns[0], columns[1]


def side_accuracy(sides: object, buyer_is_maker: object, qty: object, prices: object) -> SideAccuracy:
    """How often inferred sides are right, 0..1, against the flag of the exchange.

    Trades without an inferred side (0) are not judged. All columns have shape (n,).

    Raises
    ------
    InputError
    """
    said, sold = one_dimension(sides, "sides"), flags(buyer_is_maker)
    size, price = positive(qty, "qty"), positive(prices, "prices")
    same_length(sides=said, buyer_is_maker=sold, qty=size, prices=price)
    if not (np.abs(said) <= 1).all():
        raise InputError("sides must be -1, 0 or 1", "sides")
    return accuracy_of(*_judged(said.astype(np.int8), sold, size, price))


def accuracy_of(
    judged: float, right: float, qty: float, right_qty: float, moved: float, right_moved: float
) -> SideAccuracy:
    """The three shares from their sums."""
    return SideAccuracy(
        by_count=right / judged if judged > 0 else np.nan,
        by_volume=right_qty / qty if qty > 0 else np.nan,
        where_moved=right_moved / moved if moved > 0 else np.nan,
        n_obs=int(judged),
    )


@compiled
def _last_signs(price: np.ndarray) -> np.ndarray:
    """Sign of the last change up to each price."""
    signs = np.empty(price.size, np.int8)
    sign = 0
    for k in range(price.size):
        if k and price[k] != price[k - 1]:
            sign = 1 if price[k] > price[k - 1] else -1
        signs[k] = sign
    return signs


@compiled
def _judged(
    sides: np.ndarray, sold: np.ndarray, qty: np.ndarray, price: np.ndarray
) -> tuple[float, float, float, float, float, float]:
    """Number, quantity and moved number of judged trades, each followed by the right ones among them."""
    judged = right = volume = right_volume = moved = right_moved = 0.0
    for k in range(price.size):
        if sides[k] == 0:
            continue
        hit = (sides[k] < 0) == sold[k]
        judged += 1
        right += hit
        volume += qty[k]
        right_volume += hit * qty[k]
        if k and price[k] != price[k - 1]:
            moved += 1
            right_moved += hit
    return judged, right, volume, right_volume, moved, right_moved
