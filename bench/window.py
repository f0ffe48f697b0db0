"""A million trades to a DataFrame: a window of `TickBuffer` against a deque of tuples."""

from collections import deque

import pandas as pd

from bench.frame import Row, at_least, count, grows_at_most, made_up_trades, medians_s, named, scaled
from bench.memory import filled_buffer
from data.storage import TickBuffer

COLUMNS = ("trade_id", "ts_us", "price", "qty", "buyer_is_maker")
ROUNDS = 20  # windows timed together: one is too short for the clock


def run(scale: float = 1.0) -> list[Row]:
    """Against the deque, and our own cost at a million over ten thousand."""
    trades = made_up_trades(scaled(1_000_000, scale, least=2_000))
    small = trades[: max(len(trades) // 100, 1_000)]
    held = deque(zip(*(column.tolist() for column in trades.columns), strict=True))
    large_buffer, small_buffer = filled_buffer(trades), filled_buffer(small)
    ours_s, small_s, peer_s = medians_s(
        lambda: _windows(large_buffer, trades.symbol),
        lambda: _windows(small_buffer, trades.symbol),
        lambda: pd.DataFrame(list(held), columns=list(COLUMNS)),
    )
    ours_ms, small_ms = ours_s / ROUNDS * 1e3, small_s / ROUNDS * 1e3
    peer = (f"deque of tuples, {named('pandas')}", peer_s * 1e3)
    size = count(len(trades))
    return [
        at_least("window", ("TickBuffer.snapshot, DataFrame", ours_ms), peer, "ms", size, 500),
        grows_at_most(
            "window", (f"the same at {size}", ours_ms), (f"the same at {count(len(small))}", small_ms), "ms", size, 1.5
        ),
    ]


def _windows(buffer: TickBuffer, symbol: str) -> None:
    for _ in range(ROUNDS):
        window = buffer.snapshot(symbol)
        pd.DataFrame(dict(zip(COLUMNS, window.columns, strict=True)), copy=False)
