"""Bytes a trade in memory: `TickBuffer` against a deque of dicts with a datetime, as dashboards keep them."""

import tracemalloc
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime

from bench.frame import Row, at_most, count, made_up_trades, scaled
from data.storage import TickBuffer
from data.trades import Trades

BATCH = 1_000


def filled_buffer(trades: Trades) -> TickBuffer:
    """A buffer as large as the trades, full of them."""
    buffer = TickBuffer(len(trades))
    for row in range(0, len(trades), BATCH):
        buffer.append(trades[row : row + BATCH])
    return buffer


def run(scale: float = 1.0) -> list[Row]:
    """One row; the peer is measured on a tenth of the trades, a trade costs it the same at any number."""
    trades = made_up_trades(scaled(1_000_000, scale, least=20_000))
    fewer = trades[: len(trades) // 10]
    ours = _bytes_held(lambda: filled_buffer(trades)) / len(trades)
    peer = _bytes_held(lambda: _deque_of_dicts(fewer)) / len(fewer)
    return [at_most("memory", ("TickBuffer", ours), ("deque of dicts", peer), "B a trade", count(len(trades)), 45)]


def _deque_of_dicts(trades: Trades) -> deque[dict[str, object]]:
    return deque(
        {
            "symbol": trade.symbol,
            "timestamp": datetime.fromtimestamp(trade.ts_us / 1e6, UTC),
            "price": trade.price,
            "size": trade.qty,
            "trade_id": trade.trade_id,
            "is_buyer_maker": trade.buyer_is_maker,
        }
        for trade in trades
    )


def _bytes_held(make: Callable[[], object]) -> int:
    """What Python and numpy have allocated for a value that `make` returns and is still held."""
    tracemalloc.start()
    try:
        held = make()
        size, _ = tracemalloc.get_traced_memory()
        del held
    finally:
        tracemalloc.stop()
    return size
