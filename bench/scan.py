"""Engle-Granger tests of a whole universe, lags by AIC, both directions, on one thread: ours against `coint` in a loop.

The peer is timed on a few pairs, a test costs it the same in any universe. The threads of linear algebra are switched
off for both; `python run.py bench` does so by itself, and here it is done by a process of its own.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

from statsmodels.tsa.stattools import coint

from analytics.scanner import pair_tests, scan
from bench.frame import Row, at_least, count, medians_s, named, scaled
from bench.universes import made_up_universe

ROOT = Path(__file__).resolve().parents[1]
SYMBOLS, PEER_PAIRS = 100, 2


def run(scale: float = 1.0) -> list[Row]:
    """Milliseconds a test at 1,000 and 2,000 bars; the last row has everything that a scan tells beside the tests."""
    rows = []
    symbols = scaled(SYMBOLS, scale, least=6)
    for bars in (scaled(1_000, scale, least=100), scaled(2_000, scale, least=200)):
        numbers = alone("bench.scan", symbols, bars) if scale >= 1 else measure(symbols, bars)
        tests_ms, scan_ms, peer_ms = numbers
        peer, size = (f"coint, {named('statsmodels')}", peer_ms), f"{symbols} symbols, {count(bars)} bars, AIC"
        rows.append(at_least("scan", ("pair_tests()", tests_ms), peer, "ms a test", size, 2_000))
    rows.append(at_least("scan", ("scan(), with all its columns", scan_ms), peer, "ms a test", size, 1_000))
    return rows


def alone(module: str, *arguments: int) -> list[float]:
    """The numbers that a module prints in a process of its own, which has one thread of linear algebra."""
    env = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", module, *map(str, arguments)]
    printed = subprocess.run(command, cwd=ROOT, env=env, check=True, stdout=subprocess.PIPE).stdout
    numbers: list[float] = json.loads(printed)
    return numbers


def measure(symbols: int, bars: int) -> list[float]:
    """Milliseconds a test: tests alone, whole scan, peer."""
    prices = made_up_universe(symbols, bars)
    legs = prices.to_numpy().T
    tests = symbols * (symbols - 1)

    def peer() -> None:
        for k in range(PEER_PAIRS):
            coint(legs[k], legs[k + 1], autolag="aic")
            coint(legs[k + 1], legs[k], autolag="aic")

    tests_s, scan_s, peer_s = medians_s(lambda: pair_tests(prices), lambda: scan(prices), peer)
    return [tests_s / tests * 1e3, scan_s / tests * 1e3, peer_s / (2 * PEER_PAIRS) * 1e3]


if __name__ == "__main__":
    print(json.dumps(measure(int(sys.argv[1]), int(sys.argv[2]))))
