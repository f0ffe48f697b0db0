"""The ledger of the fake exchange: every trade it made, and its REST answers over them."""

import math
import random
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

from data.feeds.binance import SPOT, Market, plain_decimal
from data.trades import Trade
from utils.clock import US_PER_MS

FIRST_ID = 3_000_000_000  # above 2^31, like the real ones
BASE_PRICES = (60_000.0, 3_000.0, 150.0, 600.0)  # quote currency, by position of the symbol
TICK_SIZE, STEP_SIZE = 0.01, 0.001


class Tape:
    """Trades of cointegrated symbols: one common random walk, and a deviation of each that dies away.

    Price, quantity and side depend on the seed and the order of calls alone; times are given.
    """

    def __init__(self, symbols: Sequence[str], seed: int = 7) -> None:
        self.symbols = tuple(symbols)
        self.trades: dict[str, list[Trade]] = {symbol: [] for symbol in self.symbols}
        self._times: dict[str, list[int]] = {symbol: [] for symbol in self.symbols}
        self._first_id = {symbol: FIRST_ID + 100_000_000 * n for n, symbol in enumerate(self.symbols)}
        self._base = {symbol: BASE_PRICES[n % len(BASE_PRICES)] for n, symbol in enumerate(self.symbols)}
        self._away = dict.fromkeys(self.symbols, 0.0)
        self._walk = 0.0
        self._rng = random.Random(seed)

    def __len__(self) -> int:
        return sum(map(len, self.trades.values()))

    def any_symbol(self) -> str:
        """One of the symbols, at random."""
        return self._rng.choice(self.symbols)

    def make(self, symbol: str, ts_us: int) -> Trade:
        """The next trade of a symbol, entered in the ledger; times never step back and are whole milliseconds."""
        made, times, rng = self.trades[symbol], self._times[symbol], self._rng
        self._walk += rng.gauss(0, 2e-5)
        self._away[symbol] = 0.99 * self._away[symbol] + rng.gauss(0, 5e-5)
        price = round(self._base[symbol] * math.exp(self._walk + self._away[symbol]), 2)
        qty = max(round(rng.lognormvariate(-3, 1.5), 3), STEP_SIZE)
        time = max(ts_us // US_PER_MS * US_PER_MS, times[-1] if times else 0)
        trade = Trade(symbol, self._first_id[symbol] + len(made), time, price, qty, rng.random() < 0.5)
        made.append(trade)
        times.append(time)
        return trade

    def page(self, symbol: str, query: Mapping[str, int]) -> list[Trade]:
        """Trades by `fromId` or by `startTime` and `endTime` (ms, inclusive), else the newest; at most `limit`."""
        made, times = self.trades[symbol], self._times[symbol]
        limit = min(max(query.get("limit", 500), 1), 1000)
        if "fromId" in query:
            start = max(query["fromId"] - self._first_id[symbol], 0)
            return made[start : start + limit]
        end = bisect_right(times, query["endTime"] * US_PER_MS) if "endTime" in query else len(made)
        if "startTime" in query:
            start = bisect_left(times, query["startTime"] * US_PER_MS)
            return made[start : min(start + limit, end)]
        return made[max(end - limit, 0) : end]


def agg_trade_row(trade: Trade, market: Market) -> dict[str, object]:
    """One row of the answer to `aggTrades`."""
    row: dict[str, object] = {"a": trade.trade_id, "p": plain_decimal(trade.price), "q": plain_decimal(trade.qty)}
    row |= {"f": trade.trade_id, "l": trade.trade_id, "T": trade.ts_us // US_PER_MS, "m": trade.buyer_is_maker}
    return row | ({"M": True} if market is SPOT else {"nq": row["q"]})


def exchange_info(symbols: Sequence[str], market: Market) -> dict[str, object]:
    """The answer to `exchangeInfo`, as far as a client of trades reads it."""
    weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1}
    return {
        "timezone": "UTC",
        "rateLimits": [weight | {"limit": 6000 if market is SPOT else 2400}],
        "symbols": [_listed(symbol, market) for symbol in symbols],
    }


def _listed(symbol: str, market: Market) -> dict[str, object]:
    base, quote = symbol.removesuffix("USDT"), "USDT"
    filters = [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": str(TICK_SIZE)},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": str(STEP_SIZE)},
    ]
    listed: dict[str, object] = {"symbol": symbol, "status": "TRADING", "baseAsset": base, "quoteAsset": quote}
    return listed | ({} if market is SPOT else {"pair": symbol, "contractType": "PERPETUAL"}) | {"filters": filters}
