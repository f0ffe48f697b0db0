"""What a round trip in a pair costs at the best quotes of both legs."""

import math
from dataclasses import dataclass

from utils.errors import InputError

ASSUMES = (
    "Four fills by crossing, both entry and exit at the quotes of now. What exceeds the size at the best price is "
    "filled on further levels that are each as large as the best one and one quoted spread apart: best quotes do not "
    "tell what lies behind them. Without funding, borrowing, and what the order itself moves."
)


@dataclass(frozen=True, slots=True)
class BestQuote:
    """Best bid and ask of one symbol; prices in quote currency, sizes in base currency."""

    bid: float
    bid_qty: float
    ask: float
    ask_qty: float

    @property
    def counts(self) -> bool:
        """Whether both sides are there and not crossed."""
        sizes = 0 < self.bid_qty < math.inf and 0 < self.ask_qty < math.inf
        return sizes and 0 < self.bid <= self.ask < math.inf

    @property
    def mid(self) -> float:
        """Middle of bid and ask; NaN where the quote does not count."""
        return self.bid + (self.ask - self.bid) / 2 if self.counts else math.nan


@dataclass(frozen=True, slots=True)
class LegCost:
    """One leg, bought once and sold once; NaN where its quote is missing."""

    notional: float  # of one fill at the mid, quote currency
    qty: float  # base currency
    fee: float  # of both fills, quote currency
    spread: float  # two half spreads, quote currency
    depth: float  # by which both fills run beyond the best price, quote currency
    beyond_bid: float  # share of the size that the best bid does not hold, 0..1
    beyond_ask: float

    @property
    def total(self) -> float:
        """Quote currency."""
        return self.fee + self.spread + self.depth

    @property
    def fee_bp(self) -> float:
        """Basis points of the leg's notional, as are the next ones; NaN for a leg of no size."""
        return self._bp(self.fee)

    @property
    def spread_bp(self) -> float:
        """Two half spreads."""
        return self._bp(self.spread)

    @property
    def depth_bp(self) -> float:
        """What the size costs beyond the best prices."""
        return self._bp(self.depth)

    @property
    def total_bp(self) -> float:
        """All of it."""
        return self._bp(self.total)

    def _bp(self, cost: float) -> float:
        return 1e4 * cost / self.notional if self.notional > 0 else math.nan


@dataclass(frozen=True, slots=True)
class PairCost:
    """A round trip in both legs; `ASSUMES` says what stands behind it."""

    y: LegCost
    x: LegCost
    total: float  # quote currency
    bp: float  # of y's notional, basis points
    per_unit: float  # price units of y for one unit of it: what a spread has to earn


def pair_cost(
    notional: float, hedge_ratio: float, y: BestQuote, x: BestQuote, fee_bps: float, log_prices: bool = False
) -> PairCost:
    """Expected cost of entering and leaving a pair once, quote currency: fees, spreads and depth of both legs.

    A leg of q units pays 2 fee q mid + q (ask - bid), and what exceeds best bid and best ask a spread more for each
    further level: see `ASSUMES`. y trades notional / mid units; x |hedge_ratio| times as many units or, with
    `log_prices`, |hedge_ratio| times the notional of y. Each leg is bought once and sold once, whichever comes first.

    Parameters
    ----------
    notional : of y, quote currency, > 0
    fee_bps : of one fill, hundredths of a percent of its notional

    Raises
    ------
    InputError
    """
    if not 0 < notional < math.inf:
        raise InputError(f"notional must be finite and > 0, was {notional:g}", "notional")
    if not 0 <= fee_bps < math.inf:
        raise InputError(f"fee_bps must be finite and >= 0, was {fee_bps:g}", "fee_bps")
    if not math.isfinite(hedge_ratio):
        raise InputError(f"hedge_ratio must be finite, was {hedge_ratio:g}", "hedge_ratio")
    units = notional / y.mid
    of_x = abs(hedge_ratio) * (notional / x.mid if log_prices else units)
    leg_y, leg_x = _leg(units, y, fee_bps), _leg(of_x, x, fee_bps)
    total = leg_y.total + leg_x.total
    return PairCost(leg_y, leg_x, total, 1e4 * total / notional, total / units)


def _leg(qty: float, quote: BestQuote, fee_bps: float) -> LegCost:
    if not quote.counts or math.isnan(qty):
        known = qty * quote.mid
        return LegCost(known, qty, *([math.nan] * 5))
    spread, notional = quote.ask - quote.bid, qty * quote.mid
    return LegCost(
        notional=notional,
        qty=qty,
        fee=2 * fee_bps / 1e4 * notional,
        spread=qty * spread,
        depth=_beyond(qty, quote.bid_qty, spread) + _beyond(qty, quote.ask_qty, spread),
        beyond_bid=_excess(qty, quote.bid_qty),
        beyond_ask=_excess(qty, quote.ask_qty),
    )


def _beyond(qty: float, level: float, step: float) -> float:
    """Cost of a fill beyond the best price: its k-th level of `level` units lies k steps away.

    NaN where the size exceeds the best level and the quote is locked: then nothing tells how far the next one is.
    """
    if qty <= level:
        return 0.0
    if step == 0:
        return math.nan
    whole = math.floor(qty / level)
    return step * whole * (level * (whole - 1) / 2 + (qty - whole * level))


def _excess(qty: float, level: float) -> float:
    return max(0.0, 1 - level / qty) if qty > 0 else 0.0
