"""What every bench shares: the row, the clock, made-up trades, and the table.

Both sides of a row are timed in turn in one process, so that whatever else the machine does hits both; values are
medians. A ratio above 1 means ours is the better side, except where the row says what else it compares.
"""

import gc
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import numpy as np

from data.trades import Trades

REPEATS = 5  # of what is timed, where a bench says nothing else
ALIGNED = "<<><><>><<"  # side of each column of the table
START_US = 1_700_000_000_000_000

Step = Callable[[], object]


class Skipped(Exception):
    """A bench cannot run on this machine; the text says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """One comparison: ours against a named peer, and the target it is held to."""

    bench: str
    ours: str
    ours_value: float
    peer: str
    peer_value: float
    unit: str
    size: str
    ratio: float
    target: str
    holds: bool


def at_least(
    bench: str,
    ours: tuple[str, float],
    peer: tuple[str, float],
    unit: str,
    size: str,
    least: float,
    *,
    more: bool = False,
) -> Row:
    """A row whose target is a ratio: peer / ours where less is better, ours / peer where `more` is."""
    ratio = ours[1] / peer[1] if more else peer[1] / ours[1]
    return Row(bench, *ours, *peer, unit, size, ratio, f">= {least:g}x", ratio >= least)


def at_most(bench: str, ours: tuple[str, float], peer: tuple[str, float], unit: str, size: str, most: float) -> Row:
    """A row whose target is an absolute limit of our value, in `unit`; the peer is shown for scale."""
    return Row(bench, *ours, *peer, unit, size, peer[1] / ours[1], f"<= {most:g} {unit}", ours[1] <= most)


def grows_at_most(
    bench: str, large: tuple[str, float], small: tuple[str, float], unit: str, size: str, most: float
) -> Row:
    """A row that compares our own cost at two sizes: large / small stays below `most`."""
    ratio = large[1] / small[1]
    return Row(bench, *large, *small, unit, size, ratio, f"<= {most:g}x", ratio <= most)


def medians_s(*steps: Step, repeats: int | None = None) -> list[float]:
    """Median seconds of each step; one untimed run of each, then all of them in turn, `repeats` times."""
    for step in steps:
        step()
    taken: list[list[float]] = [[] for _ in steps]
    for _ in range(REPEATS if repeats is None else repeats):
        for step, seconds in zip(steps, taken, strict=True):
            gc.collect()  # the garbage of one side is not the other's cost
            began = time.perf_counter()
            step()
            seconds.append(time.perf_counter() - began)
    return [statistics.median(seconds) for seconds in taken]


def named(package: str) -> str:
    """A package with its version: `pandas 3.1.1`."""
    return f"{package} {version(package)}"


def scaled(size: int, scale: float, least: int = 1_000) -> int:
    """The size of a run, made smaller for a trial."""
    return max(least, round(size * scale))


def count(size: int) -> str:
    """A size for people: `10,000,000`."""
    return f"{size:,}"


def made_up_trades(size: int, symbol: str = "BTCUSDT", seed: int = 1) -> Trades:
    """A seeded random tape: about ten trades a second, ticks of 0.1, lognormal sizes, some in one millisecond."""
    random = np.random.default_rng(seed)
    ts_us = START_US + np.cumsum(random.integers(0, 200, size)) * 1_000
    price = np.round(60_000 + np.cumsum(random.integers(-1, 2, size)) * 0.1, 1)
    qty = np.round(random.lognormal(-3, 1, size) + 0.001, 3)
    return Trades.of(symbol, np.arange(1, size + 1), ts_us, np.maximum(price, 1), qty, random.integers(0, 2, size))


def told(row: Row) -> str:
    """One row by itself, for who waits for the others."""
    return "  ".join(_cells(row))


def table(rows: Sequence[Row]) -> str:
    """The rows as aligned text."""
    lines = [("bench", "ours", "", "peer", "", "unit", "size", "ratio", "target", "holds"), *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(_aligned, line, widths, ALIGNED)).rstrip() for line in lines)


def _cells(row: Row) -> tuple[str, ...]:
    values = f"{row.ours_value:,.4g}", row.peer, f"{row.peer_value:,.4g}", row.unit, row.size
    return row.bench, row.ours, *values, f"{row.ratio:,.3g}x", row.target, "yes" if row.holds else "NO"


def _aligned(text: str, width: int, side: str) -> str:
    return f"{text:{side}{width}}"
