"""One refresh with 200 new trades: `Resampler` against a pandas resample of the whole history.

Ours takes the trades in and hands out the newest 600 bars, the most a page draws. The peer adds the 200 rows to its
ready frame and resamples it; without the adding, which it cannot do without, it is shown as a row of its own.
"""

from collections.abc import Iterator

import pandas as pd

from bench.frame import Row, at_least, count, grows_at_most, made_up_trades, medians_s, named, scaled
from bench.peers import resampled, tick_frame
from data.resampler import Resampler
from data.trades import Trades

NEW = 200
DRAWN = 600
ROUNDS = 50  # refreshes timed together: one is too short for the clock


class _Live:
    """A resampler with a history, and the trades that are still to come."""

    def __init__(self, trades: Trades, held: int) -> None:
        self._resampler = Resampler("1m")
        self._resampler.update(trades[:held])
        self._batches: Iterator[Trades] = (trades[row : row + NEW] for row in range(held, len(trades), NEW))

    def refresh(self) -> None:
        for _ in range(ROUNDS):
            new = next(self._batches)
            self._resampler.update(new)
            self._resampler.columns(int(new.ts_us[-1]), DRAWN)


def run(scale: float = 1.0) -> list[Row]:
    """Against pandas at a million held, with and without adding the rows; and our cost at ten million over 100,000."""
    million, small, large = (scaled(size, scale) for size in (1_000_000, 100_000, 10_000_000))
    repeats = 9
    trades = made_up_trades(large + NEW * ROUNDS * (repeats + 1))
    held, new = tick_frame(trades[:million]), tick_frame(trades[million : million + NEW])
    steps = [_Live(trades[: size + NEW * ROUNDS * (repeats + 1)], size).refresh for size in (million, small, large)]
    *ours_s, adding_s, ready_s = medians_s(
        *steps,
        lambda: resampled(pd.concat([held, new]), "1min"),
        lambda: resampled(held, "1min"),
        repeats=repeats,
    )
    at_million, at_small, at_large = (seconds / ROUNDS * 1e6 for seconds in ours_s)
    ours, pandas = ("Resampler, 200 trades in, 600 bars out", at_million), named("pandas")
    return [
        at_least("bars-refresh", ours, (f"{pandas} concat, resample", adding_s * 1e6), "us", count(million), 100),
        at_least("bars-refresh", ours, (f"{pandas} resample only", ready_s * 1e6), "us", count(million), 50),
        grows_at_most(
            "bars-refresh",
            (f"Resampler at {count(large)}", at_large),
            (f"Resampler at {count(small)}", at_small),
            "us",
            count(large),
            1.5,
        ),
    ]
