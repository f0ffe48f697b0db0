"""What best bid and ask tell: quoted and effective spread, microprice, and the flow of orders into the book.

A quote counts where both sides are there: 0 < bid <= ask and both sizes > 0, all finite. One that is one-sided (the
exchange prints 0) or crossed says nothing: every measure is NaN at it and no time or change is counted over it. A
quote is in force until the next one, but not longer than `max_age_s`: after that nobody knows whether it still holds.
"""

from dataclasses import dataclass

import numpy as np

from analytics.microstructure.columns import flags, one_dimension, positive, same_length, times
from utils.clock import US_PER_S
from utils.errors import InputError

MAX_AGE_S = 30.0

Four = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class QuotedSpread:
    """Gap between best ask and best bid; NaN where no quote counts."""

    price: float  # mean over time, quote currency
    bp: float  # mean over time of the spread over its own mid, basis points
    newest: float  # of the quote in force now, quote currency
    newest_bp: float
    seconds: float  # over which a quote that counts was in force


@dataclass(frozen=True, slots=True)
class EffectiveSpread:
    """What takers paid for crossing, twice the distance to the mid before; NaN without a trade that has a quote."""

    price: float  # mean weighted by quantity, quote currency
    bp: float  # the same over each mid, basis points
    n_obs: int  # trades with a quote that counts before them


@dataclass(frozen=True, slots=True)
class QuoteOfi:
    """Order flow imbalance of the best quotes; NaN where no change between two quotes counts."""

    value: float  # base currency: > 0 where bids were added or raised, asks taken or raised
    depth: float  # mean of (bid size + ask size) / 2 over the quotes, base currency
    normalised: float  # value / depth: how many times the best level was added or taken away
    n_obs: int  # changes between quotes


def usable_quotes(bid: object, bid_qty: object, ask: object, ask_qty: object) -> Four:
    """Bid, bid size, ask and ask size, float64, shape (n,), NaN in all four where a quote does not count.

    Raises
    ------
    InputError
    """
    named = {"bid": bid, "bid_qty": bid_qty, "ask": ask, "ask_qty": ask_qty}
    columns = [np.asarray(one_dimension(values, name), np.float64) for name, values in named.items()]
    same_length(**dict(zip(named, columns, strict=True)))
    bids, bid_sizes, asks, ask_sizes = columns
    counts = (bids > 0) & (asks >= bids) & (asks < np.inf) & _is_size(bid_sizes) & _is_size(ask_sizes)
    bids, bid_sizes, asks, ask_sizes = (np.where(counts, column, np.nan) for column in columns)
    return bids, bid_sizes, asks, ask_sizes


def microprice(bid: object, bid_qty: object, ask: object, ask_qty: object) -> np.ndarray:
    """Mid leaning to the thinner side, quote currency, shape (n,); NaN where a quote does not count.

    (bid * ask size + ask * bid size) / (bid size + ask size): the side with less of it is taken away first. It is the
    first step of Stoikov's estimate, without his adjustment by the history of one market.

    Raises
    ------
    InputError

    References
    ----------
    S. Stoikov, The micro-price, Quantitative Finance 18 (2018).
    """
    bids, bid_sizes, asks, ask_sizes = usable_quotes(bid, bid_qty, ask, ask_qty)
    return bids + (asks - bids) * (bid_sizes / (bid_sizes + ask_sizes))


def quote_imbalance(bid: object, bid_qty: object, ask: object, ask_qty: object) -> np.ndarray:
    """(bid size - ask size) / (bid size + ask size), -1..1, shape (n,); NaN where a quote does not count.

    Raises
    ------
    InputError
    """
    _, bid_sizes, _, ask_sizes = usable_quotes(bid, bid_qty, ask, ask_qty)
    return (bid_sizes - ask_sizes) / (bid_sizes + ask_sizes)


def quoted_spread(
    ts_us: object,
    bid: object,
    ask: object,
    now_us: int,
    since_us: int | None = None,
    max_age_s: float = MAX_AGE_S,
) -> QuotedSpread:
    """ask - bid, by the time for which each quote was in force between `since_us` and `now_us`.

    Parameters
    ----------
    ts_us, bid, ask : shape (n,), oldest first; quotes after `now_us` count for nothing
    since_us : the first quote where None

    Raises
    ------
    InputError
    """
    when = times(ts_us)
    bids, _, asks, _ = usable_quotes(bid, np.ones(when.size), ask, np.ones(when.size))
    age_us = whole_age_us(max_age_s)
    size = int(np.searchsorted(when, now_us, "right"))
    when, bids, spread = when[:size], bids[:size], (asks - bids)[:size]
    share = spread / (bids + spread / 2)
    since = when[:1].sum() if since_us is None else since_us
    ends = np.minimum(np.append(when[1:], now_us), when + age_us)[:size]
    in_force = np.where(np.isnan(spread), 0, np.maximum(ends - np.maximum(when, since), 0)) / US_PER_S
    seconds = float(in_force.sum())
    fresh = size > 0 and now_us - when[-1] <= age_us
    return QuotedSpread(
        price=_mean(spread, in_force),
        bp=1e4 * _mean(share, in_force),
        newest=float(spread[-1]) if fresh else np.nan,
        newest_bp=1e4 * float(share[-1]) if fresh else np.nan,
        seconds=seconds,
    )


def effective_spread(price: object, qty: object, buyer_is_maker: object, bid: object, ask: object) -> EffectiveSpread:
    """2 * side * (price - mid), weighted by quantity; side +1 where the taker bought, by the exchange's flag.

    Parameters
    ----------
    price, qty, buyer_is_maker : of trades, shape (n,)
    bid, ask : in force before each trade, as `quotes_before` finds them; NaN where there is none

    Raises
    ------
    InputError
    """
    prices, size, sold = positive(price, "price"), positive(qty, "qty"), flags(buyer_is_maker)
    bids, _, asks, _ = usable_quotes(bid, np.ones(prices.size), ask, np.ones(prices.size))
    same_length(price=prices, qty=size, buyer_is_maker=sold, bid=bids)
    mid = bids + (asks - bids) / 2
    paid = 2 * np.where(sold, -1.0, 1.0) * (prices - mid)
    weights = np.where(np.isnan(mid), 0.0, size)
    return EffectiveSpread(_mean(paid, weights), 1e4 * _mean(paid / mid, weights), int(np.count_nonzero(weights)))


def quote_ofi(bid: object, bid_qty: object, ask: object, ask_qty: object) -> QuoteOfi:
    """Sum of the events e_n between successive best quotes, base currency, and over the mean depth.

    e_n = [bid_n >= bid_n-1] bid_qty_n - [bid_n <= bid_n-1] bid_qty_n-1
        - [ask_n <= ask_n-1] ask_qty_n + [ask_n >= ask_n-1] ask_qty_n-1, with 1 for a claim that holds.

    Columns have shape (n,), oldest first; next to a quote that does not count there is no event.

    Raises
    ------
    InputError

    References
    ----------
    R. Cont, A. Kukanov and S. Stoikov, The price impact of order book events, J. Financial Econometrics 12 (2014).
    """
    bids, bid_sizes, asks, ask_sizes = usable_quotes(bid, bid_qty, ask, ask_qty)
    up, down = np.diff(bids), np.diff(asks)
    bought = np.where(up >= 0, bid_sizes[1:], 0) - np.where(up <= 0, bid_sizes[:-1], 0)
    sold = np.where(down <= 0, ask_sizes[1:], 0) - np.where(down >= 0, ask_sizes[:-1], 0)
    counted = (bought - sold)[~np.isnan(up)]
    sizes = ((bid_sizes + ask_sizes) / 2)[~np.isnan(bids)]
    return ofi_of(float(counted.sum()), counted.size, float(sizes.sum()), sizes.size)


def ofi_of(total: float, events: int, depth: float, quotes: int) -> QuoteOfi:
    """The imbalance from sums: of events, and of depth over quotes."""
    mean = depth / quotes if quotes else np.nan
    value = total if events else np.nan
    return QuoteOfi(value, mean, value / mean, events)


def whole_age_us(max_age_s: float) -> int:
    """The age in microseconds.

    Raises
    ------
    InputError
    """
    if not 0 < max_age_s <= 3_600:
        raise InputError(f"max_age_s must be > 0 and at most 3600, was {max_age_s:g}", "max_age_s")
    return round(max_age_s * US_PER_S)


def _is_size(column: np.ndarray) -> np.ndarray:
    return (column > 0) & (column < np.inf)


def _mean(values: np.ndarray, weights: np.ndarray) -> float:
    """Weighted mean over the rows that have a weight; NaN without any."""
    rows = weights > 0
    total = float(weights[rows].sum())
    return float(values[rows] @ weights[rows]) / total if total > 0 else np.nan
