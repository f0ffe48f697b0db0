"""The tape: each measure over a million trades against a copy of them, and the live update of ten symbols."""

import time

from analytics.microstructure import (
    TapeMeter,
    amihud,
    cumulative_delta,
    kyle_lambda,
    order_flow_imbalance,
    roll_spread,
    side_accuracy,
    signature_plot,
    taker_flow,
    tape_cells,
    tape_reading,
    tick_rule,
    tick_velocity,
    trade_sizes,
    vpin,
)
from bench.frame import Row, Step, count, made_up_trades, medians_s, scaled
from data.trades import Trades
from utils.clock import US_PER_S

MOST_COPIES = 15
SYMBOLS, RATE, LIVE_S, WARM_S = 10, 1_000, 20, 400
MOST_SHARE = 2.0  # percent of one core


def run(scale: float = 1.0) -> list[Row]:
    """A row a measure, one of all of them together, and the share of a core that live readings take."""
    trades = made_up_trades(scaled(1_000_000, scale, least=5_000))
    return [*_measures(trades), _live(scale)]


def _measures(trades: Trades) -> list[Row]:
    sides, volume = tick_rule(trades.price), float(trades.qty.sum()) / 100
    qty, sold, price, now_us = trades.qty, trades.buyer_is_maker, trades.price, int(trades.ts_us[-1])
    steps: dict[str, Step] = {
        "tick_velocity()": lambda: tick_velocity(trades.ts_us, price, qty, now_us, 1e9),
        "taker_flow(), VWAP": lambda: taker_flow(price, qty, sold),
        "order_flow_imbalance()": lambda: order_flow_imbalance(qty, sold),
        "cumulative_delta()": lambda: cumulative_delta(qty, sold),
        "trade_sizes()": lambda: trade_sizes(qty),
        "vpin()": lambda: vpin(qty, sold, volume),
        "kyle_lambda()": lambda: kyle_lambda(*tape_cells(trades).changes()[::2]),
        "amihud()": lambda: amihud(*tape_cells(trades).changes()[1::2]),
        "roll_spread()": lambda: roll_spread(price),
        "signature_plot()": lambda: signature_plot(trades.ts_us, price),
        "tick_rule()": lambda: tick_rule(price),
        "side_accuracy()": lambda: side_accuracy(sides, sold, qty, price),
        "tape_reading(): all": lambda: tape_reading(trades, now_us),
    }
    *ours, copy_s = medians_s(*steps.values(), lambda: [column.copy() for column in trades.columns])
    return [_against_copy(name, seconds, copy_s, count(len(trades))) for name, seconds in zip(steps, ours, strict=True)]


def _against_copy(name: str, seconds: float, copy_s: float, size: str) -> Row:
    ratio, peer = seconds / copy_s, ("a copy of the trades", copy_s * 1e3)
    most = f"<= {MOST_COPIES}x"
    return Row("microstructure", name, seconds * 1e3, *peer, "ms", size, ratio, most, ratio <= MOST_COPIES)


def _live(scale: float) -> Row:
    """Ten tapes of a thousand trades/s each, fed ten times and read once a second, by the clock of the tape."""
    rate, seconds = scaled(RATE, scale, least=10), scaled(LIVE_S, scale, least=1)
    tapes = [_fast(rate, WARM_S + seconds, seed) for seed in range(SYMBOLS)]
    meters = [TapeMeter() for _ in tapes]
    for meter, tape in zip(meters, tapes, strict=True):
        meter.feed(tape[: WARM_S * rate])
    began = time.perf_counter()
    for start in range(WARM_S * rate, (WARM_S + seconds) * rate, rate):
        for meter, tape in zip(meters, tapes, strict=True):
            for part in range(10):
                meter.feed(tape[start + part * rate // 10 : start + (part + 1) * rate // 10])
            meter.reading(int(tape.ts_us[start + rate - 1]))
    share = 100 * (time.perf_counter() - began) / seconds
    ours = (f"TapeMeter, {SYMBOLS} symbols, read each second", share)
    size, target = f"{count(rate)} trades/s each", f"<= {MOST_SHARE:g} %"
    return Row("microstructure", *ours, "one core", 100.0, "%", size, 100 / share, target, share <= MOST_SHARE)


def _fast(rate: int, seconds: int, seed: int) -> Trades:
    """Made-up trades at an even rate."""
    trades = made_up_trades(rate * seconds, seed=seed)
    even = trades.ts_us[0] // US_PER_S * US_PER_S + trades.trade_id * (US_PER_S // rate)
    return Trades(trades.symbol, trades.trade_id, even, *trades.columns[2:])
