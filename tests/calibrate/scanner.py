"""What a scan of a whole universe promises: its finds are mostly true, and where nothing is true it finds nothing."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from analytics.scanner import scan
from tests.analytics.universes import families, memory, table
from tests.table import Row, Size, at_most, shown

LEVEL = 0.05
MOST = 6.0  # percent: of scans with a false find, and of false ones among the finds
SYMBOLS = 32  # 496 pairs
FAMILIES = [5] * 5 + [1] * 7  # 50 true pairs among 496
METHODS = ("bh", "by")


def universes_without_a_pair(size: Size) -> Iterator[Row]:
    """Scans of walks: any find at q < 0.05 is a false one."""
    for bars in (250, 100, 500, 1_000, 2_000)[: size.count(1, 5)]:
        count = size.count(60, 1_200 if bars <= 250 else 200)  # short samples are the hard ones, and cheap
        for correlation in (0.0, 0.7)[: size.count(1, 2)]:
            hits, usual = dict.fromkeys(METHODS, 0), 0
            for seed in range(count):
                prices = _walks(bars, correlation, seed)
                for method in METHODS:
                    found = scan(prices, fdr=method)
                    hits[method] += bool(found["found"].any())
                usual += int((found["pvalue_y_on_x"] < LEVEL).sum())
            condition = f"{SYMBOLS} walks, step correlation {correlation:g}, {bars:,} bars"
            for method, number in hits.items():
                yield at_most(
                    "no pair", f"{condition}, {method}, with a find", _limit(size, count), 100 * number / count, "%"
                )
            yield shown("no pair", f"{condition}, better p below 0.05", f"{usual / count:.0f} of 496 pairs")


def true_pairs_among_many(size: Size) -> Iterator[Row]:
    """50 pairs that come back, with a half-life of 20 bars, and 450 of unrelated walks."""
    count = size.count(4, 100)
    truth, finds = np.arange(500) < 50, {method: [] for method in METHODS}
    for seed in range(count):
        prices = _five_hundred_pairs(1_000, seed)
        for method in METHODS:
            found = scan(prices, fdr=method, pairs=[(f"S{2 * k:03d}", f"S{2 * k + 1:03d}") for k in range(500)])
            numbers = found.loc[found["found"], "y"].str[1:].astype(int).to_numpy() // 2
            finds[method].append(truth[numbers])
    for method, each in finds.items():
        false = np.mean([np.mean(~hits) if hits.size else 0.0 for hits in each])
        what = f"50 of 500 pairs, half-life 20, 1,000 bars, {method}"
        yield at_most("true pair", f"{what}, false among finds", _limit(size, 50 * count), 100 * false, "%")
        yield shown("true pair", f"{what}, found", f"{2 * np.mean([hits.sum() for hits in each]):.0f} %")


def families_in_a_universe(size: Size) -> Iterator[Row]:
    """Where the test itself errs: a symbol with noise that fades is no walk, and looks related to others too often."""
    count = size.count(3, 60)
    for half_life in (20, 10, 5)[: size.count(1, 3)]:
        false, power = [], []
        for seed in range(count):
            found = scan(families(FAMILIES, 1_000, half_life, seed)).query("found")
            true = np.array([_family(y) == _family(x) for y, x in zip(found["y"], found["x"], strict=True)], bool)
            false.append(np.mean(~true) if true.size else 0.0)
            power.append(true.sum() / 50)
        what = f"5 families of 5 with noise of half-life {half_life}, 7 others, 1,000 bars"
        yield shown("families", f"{what}, false among finds", f"{np.mean(false):.0%}; {np.mean(power):.0%} found")


def _walks(bars: int, correlation: float, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    own, shared = rng.standard_normal((bars, SYMBOLS)), rng.standard_normal((bars, 1))
    return table(100 + (np.sqrt(1 - correlation) * own + np.sqrt(correlation) * shared).cumsum(axis=0))


def _five_hundred_pairs(bars: int, seed: int) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    columns = []
    for k in range(500):
        x, shocks = rng.standard_normal(bars).cumsum(), rng.standard_normal(bars)
        columns += [1.5 * x + memory(shocks, 0.5 ** (1 / 20) if k < 50 else 1.0), x]
    prices = table(100 + np.transpose(columns))
    return prices.set_axis([f"S{k:03d}" for k in range(1_000)], axis=1)


def _family(symbol: str) -> int:
    return int(np.repeat(np.arange(len(FAMILIES)), FAMILIES)[int(symbol[1:])])


def _limit(size: Size, count: int) -> float:
    """In the short form the limit gives way by three standard errors of its smaller sample; in full by nothing."""
    return round(MOST + (300 * np.sqrt(LEVEL * (1 - LEVEL) / count) if size.short else 0.0), 1)
