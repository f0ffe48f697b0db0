"""What takers bought and sold."""

from dataclasses import dataclass

import numpy as np

from analytics.microstructure.columns import flags, positive, same_length


@dataclass(frozen=True, slots=True)
class TakerFlow:
    """Sums over some trades, by the side of the taker."""

    trades: int
    buy_qty: float  # base currency
    sell_qty: float
    buy_notional: float  # quote currency
    sell_notional: float

    @property
    def delta(self) -> float:
        """Taker buys - taker sells, base currency; NaN without trades."""
        return self.buy_qty - self.sell_qty if self.trades else np.nan

    @property
    def imbalance(self) -> float:
        """Order flow imbalance, (taker buys - taker sells) / total quantity, -1..1; NaN without trades."""
        total = self.buy_qty + self.sell_qty
        return (self.buy_qty - self.sell_qty) / total if total > 0 else np.nan

    @property
    def vwap(self) -> float:
        """Volume-weighted average price, quote currency: notional / quantity; NaN without trades."""
        total = self.buy_qty + self.sell_qty
        return (self.buy_notional + self.sell_notional) / total if total > 0 else np.nan


def taker_flow(price: object, qty: object, buyer_is_maker: object) -> TakerFlow:
    """Taker buys and sells by the exchange's flag, over all trades given; columns of shape (n,).

    Raises
    ------
    InputError
    """
    prices, size, sold = positive(price, "price"), positive(qty, "qty"), flags(buyer_is_maker)
    same_length(price=prices, qty=size, buyer_is_maker=sold)
    sells = sold.astype(np.float64)
    buys = 1 - sells
    value = prices * size
    return TakerFlow(size.size, *(float(a @ b) for a in (size, value) for b in (buys, sells)))


def order_flow_imbalance(qty: object, buyer_is_maker: object) -> float:
    """(taker buys - taker sells) / total quantity, dimensionless, -1..1; NaN without trades.

    The sides are the exchange's: where the buyer is the maker the taker sold. Columns of shape (n,).

    Raises
    ------
    InputError
    """
    size, sold = positive(qty, "qty"), flags(buyer_is_maker)
    same_length(qty=size, buyer_is_maker=sold)
    sells = sold.astype(np.float64)
    bought, gone = float(size @ (1 - sells)), float(size @ sells)
    return (bought - gone) / (bought + gone) if size.size else np.nan


def cumulative_delta(qty: object, buyer_is_maker: object) -> np.ndarray:
    """Taker buys - taker sells from the first trade up to and including each, base currency, shape (n,).

    Raises
    ------
    InputError
    """
    size, sold = positive(qty, "qty"), flags(buyer_is_maker)
    same_length(qty=size, buyer_is_maker=sold)
    return np.cumsum(np.where(sold, -size, size))


def vwap_distance_bp(price: float, vwap: float) -> float:
    """How far a price lies above the VWAP, basis points of the VWAP: 1e4 (price - vwap) / vwap; NaN stays NaN."""
    return 1e4 * (price - vwap) / vwap
