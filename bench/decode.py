"""One aggTrade frame to typed fields: `decode`, checks and columns included, against `json.loads` and two `float`."""

import json
import platform

from bench.frame import Row, at_least, count, made_up_trades, medians_s, scaled
from data.feeds.binance import USDM, decode, format_trade

BATCH = 200  # frames a 64 KiB read holds, about


def run(scale: float = 1.0) -> list[Row]:
    """One row; nanoseconds a frame."""
    trades = made_up_trades(scaled(20_000, scale))
    frames = [format_trade(trade, USDM, "aggTrade").encode() for trade in trades]
    batches = [frames[row : row + BATCH] for row in range(0, len(frames), BATCH)]

    def ours() -> None:
        for batch in batches:
            decode(batch, "aggTrade")  # as the feed does: it knows what it asked for

    def peer() -> None:
        for frame in frames:
            event = json.loads(frame)["data"]
            float(event["p"]), float(event["q"])

    ours_s, peer_s = (seconds / len(frames) * 1e9 for seconds in medians_s(ours, peer, repeats=9))
    python = f"json, Python {platform.python_version()}"
    return [at_least("decode", ("decode()", ours_s), (python, peer_s), "ns", count(len(frames)), 5)]
