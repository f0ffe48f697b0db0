"""All 79,800 pairs of 400 symbols, 2,000 bars, both directions, on two cores, against what bounds it from below.

That is the multiplication of the cross moments: every symbol's changes with every symbol's changes at each lag, which
any method that shares them between pairs has to make; on the same two threads, one thread of linear algebra each. The
time of the whole `scan()`, memory and the start without compiled kernels are told beside it.
"""

import json
import math
import os
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import psutil

from analytics.scanner import pair_tests, scan
from bench.frame import Row, count, grows_at_most, medians_s, scaled
from bench.scan import alone
from bench.universes import made_up_universe

CORES = 2
SYMBOLS, BARS = 400, 2_000
MOST = 8.0  # times the multiplication


def run(scale: float = 1.0) -> list[Row]:
    """Seconds on two cores; what only tells has no target."""
    symbols, bars = scaled(SYMBOLS, scale, least=8), scaled(BARS, scale, least=200)
    tests_s, scan_s, multiply_s, peak_mb, table_mb, warm_s = alone("bench.scan_400", symbols, bars)
    size = f"{count(symbols * (symbols - 1) // 2)} pairs, {count(bars)} bars, {CORES} cores"
    multiply = ("multiplication of the moments", multiply_s)
    rows = [
        grows_at_most("scan-400", ("pair_tests()", tests_s), multiply, "s", size, MOST),
        _told(("scan(), with all its columns", scan_s), multiply, "s", size),
        _told(("peak memory above the imports", peak_mb), ("prices and result", table_mb), "MB", size),
    ]
    if scale >= 1:  # compiling takes its time: not in a trial
        rows.append(
            _told(
                ("first scan, kernels compiled", _cold_s()), ("first scan, kernels on disk", warm_s), "s", "2 symbols"
            )
        )
    return rows


def _told(ours: tuple[str, float], peer: tuple[str, float], unit: str, size: str) -> Row:
    """A row without a target; its ratio is ours / peer."""
    return Row("scan-400", *ours, *peer, unit, size, ours[1] / peer[1], "told", True)


def _cold_s() -> float:
    """Seconds of the first scan where no kernel was ever compiled."""
    kept = os.environ.get("NUMBA_CACHE_DIR")
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NUMBA_CACHE_DIR"] = folder
        try:
            return alone("bench.scan_400")[0]
        finally:
            del os.environ["NUMBA_CACHE_DIR"]
            if kept is not None:
                os.environ["NUMBA_CACHE_DIR"] = kept


def first_scan_s() -> float:
    """Seconds of the first scan of a process, its imports apart."""
    prices = made_up_universe(2, 100)
    began = time.perf_counter()
    scan(prices)
    return time.perf_counter() - began


def measure(symbols: int, bars: int) -> list[float]:
    """Seconds of tests, scan and multiplication; MB at the peak and of prices and result; seconds of the first scan."""
    first_s, process = first_scan_s(), psutil.Process()
    prices = made_up_universe(symbols, bars)
    changes = np.diff(prices.to_numpy().T)
    with ThreadPoolExecutor(CORES) as executor:
        before = process.memory_info().rss
        found = scan(prices, executor=executor)
        peak_mb = (_peak_bytes(process) - before) / 1e6
        table_mb = (prices.memory_usage().sum() + found.memory_usage(deep=True).sum()) / 1e6
        tests_s, scan_s, multiply_s = medians_s(
            lambda: pair_tests(prices, executor=executor),
            lambda: scan(prices, executor=executor),
            lambda: list(executor.map(partial(multiply, changes), range(CORES))),
        )
    return [tests_s, scan_s, multiply_s, peak_mb, table_mb, first_s]


def multiply(changes: np.ndarray, part: int) -> None:
    """One core's part of the cross moments at all lags."""
    bars = changes.shape[1] + 1
    most = math.ceil(12 * (bars / 100) ** 0.25)
    mine = np.ascontiguousarray(np.array_split(changes, CORES)[part][:, most:])
    for lag in range(most + 1):
        mine @ changes[:, most - lag : bars - 1 - lag].T


def _peak_bytes(process: psutil.Process) -> int:
    """Most memory that this process ever had, where the system keeps count; else what it has now."""
    try:
        import resource
    except ImportError:  # Windows counts it elsewhere
        return int(process.memory_info().peak_wset)
    unit = 1 if sys.platform == "darwin" else 1024
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit)


if __name__ == "__main__":
    asked = [int(text) for text in sys.argv[1:]]
    print(json.dumps(measure(*asked) if asked else [first_scan_s()]))
