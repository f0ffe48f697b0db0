"""A universe in tiles: some symbols against some others, small enough for its sums to stay in memory.

A pair is tested on the bars that both of its symbols have. Within a tile, symbols with the same missing bars share
their sums, so late listings cost one more matrix product and not one a pair.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from analytics.cointegrating_regression import COLLINEAR
from analytics.cointegration import both_directions
from analytics.dickey_fuller import TREND_TERMS, Lags, most_lags, without_trends
from analytics.hedge.least_squares import hac_lags
from analytics.scanner.measures import MEASURES, measured
from analytics.scanner.params import ScanParams
from analytics.scanner.shared_sums import engle_granger_statistics
from analytics.stacked_dickey_fuller import FIXED
from utils.errors import AnalysisError

WIDEST = 64  # symbols on a side of a tile
TILE_BYTES = 64e6  # of the bars of a tile and of what is made of them
COPIES = 9  # of a side's bars that are held at a time

Columns = dict[str, np.ndarray]


@dataclass(frozen=True, slots=True, eq=False)
class Tile:
    """Symbols against symbols: what one worker is given."""

    one: np.ndarray  # float, shape (symbols, bars), NaN where a symbol has no price
    other: np.ndarray
    one_at: np.ndarray  # int, shape (symbols,), columns of the table
    other_at: np.ndarray
    params: ScanParams
    measure: bool  # beside the tests

    @property
    def pairs(self) -> int:
        """Pairs in the tile: a symbol is not paired with itself, nor twice with the same."""
        sides = self.one_at.size, self.other_at.size
        return sides[0] * sides[1] if self.one_at[0] != self.other_at[0] else sides[0] * (sides[0] - 1) // 2


def tiles_of(values: np.ndarray, pairs: np.ndarray, params: ScanParams, measure: bool) -> Iterator[Tile]:
    """Some pairs of a table, shape (2, pairs), each once: those with one symbol in common are a tile."""
    for one in np.unique(pairs[0]):
        others = pairs[1, pairs[0] == one]
        for part in np.array_split(others, -(-others.size // _widest(values.shape[1]))):
            yield Tile(values[[one]], values[part], np.array([one]), part, params, measure)


def tiles(values: np.ndarray, params: ScanParams, measure: bool) -> Iterator[Tile]:
    """All pairs of a table, shape (symbols, bars), cut up; symbols with the same missing bars lie side by side."""
    order = np.concatenate([rows for _, rows in _patterns(values)])
    parts = np.array_split(order, -(-order.size // _widest(values.shape[1])))
    for i, one in enumerate(parts):
        for other in parts[: i + 1]:
            if one.size > 1 or one is not other:
                yield Tile(values[one], values[other], one, other, params, measure)


def _widest(bars: int) -> int:
    """Most symbols on a side of a tile."""
    return int(np.clip(TILE_BYTES // (8 * COPIES * bars), 1, WIDEST))


def scan_tile(tile: Tile) -> Columns:
    """What is found out about every pair of a tile, one entry a pair in each column.

    `y` is explained by `x`, both columns of the table, in the direction with the smaller statistic; `other_...` is the
    other one. Numbers that do not exist are NaN: `still` is then the column that does not move, or -1, and `reason`
    says what else it was.
    """
    return joined([_scan_block(block, tile.params, tile.measure) for block in _blocks(tile)])


def joined(parts: Sequence[Columns]) -> Columns:
    """The same columns, one below the other."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


@dataclass(frozen=True, slots=True, eq=False)
class _Block:
    """Symbols that have all of the same bars."""

    one: np.ndarray  # shape (symbols, n)
    other: np.ndarray
    pairs: np.ndarray  # int, shape (2, pairs): row of one, row of other
    at: np.ndarray  # int, shape (2, pairs): their columns of the table

    def legs(self, pair: int) -> tuple[np.ndarray, np.ndarray]:
        """Bars of the two symbols of a pair."""
        return self.one[self.pairs[0, pair]], self.other[self.pairs[1, pair]]


@dataclass(frozen=True, slots=True, eq=False)
class _Tests:
    """Both directions of every pair of a block, shapes (2, pairs): one's symbol on other's, and the reverse."""

    statistic: np.ndarray
    lags: np.ndarray
    ratio: np.ndarray
    reason: np.ndarray  # str, shape (pairs,)


def _blocks(tile: Tile) -> Iterator[_Block]:
    same = tile.one_at[0] == tile.other_at[0]
    for here, one in _patterns(tile.one):
        for there, other in _patterns(tile.other):
            pairs = np.stack(np.meshgrid(np.arange(one.size), np.arange(other.size), indexing="ij")).reshape(2, -1)
            if same:
                pairs = np.ascontiguousarray(pairs[:, one[pairs[0]] > other[pairs[1]]])
            if pairs.size:
                bars, at = here & there, np.stack((tile.one_at[one[pairs[0]]], tile.other_at[other[pairs[1]]]))
                yield _Block(tile.one[np.ix_(one, bars)], tile.other[np.ix_(other, bars)], pairs, at)


def _patterns(values: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Which bars are there, and the rows that have exactly these."""
    there = ~np.isnan(values)
    rows: dict[bytes, list[int]] = {}
    for row, bits in enumerate(np.packbits(there, axis=1)):
        rows.setdefault(bits.tobytes(), []).append(row)
    return [(there[same[0]], np.array(same)) for same in rows.values()]


def _scan_block(block: _Block, params: ScanParams, measure: bool) -> Columns:
    n, count = block.one.shape[1], block.pairs.shape[1]
    need = max(params.min_bars, 0 if isinstance(params.lags, str) else 2 * (params.lags + 1))
    still, tests = np.full(count, -1), _untested(count, f"needs {need} bars that both have, has {n}")
    if n < need:
        return _columns(block, tests, still, np.full((len(MEASURES), count), np.nan))
    terms = TREND_TERMS[params.trend]
    one, other = without_trends(block.one, terms), without_trends(block.other, terms)
    flat = np.stack((~_moves(block.one, one)[block.pairs[0]], ~_moves(block.other, other)[block.pairs[1]]))
    still = np.where(flat.any(axis=0), np.where(flat[0], block.at[0], block.at[1]), -1)
    tests = _tested(block, one, other, still < 0, params)
    return _columns(block, tests, still, _measures(block, one, other, tests, params, measure))


def _moves(bars: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Whether a symbol has more than a level, or a line where one was taken off; shape (symbols,)."""
    whole = ((bars - bars.mean(axis=1, keepdims=True)) ** 2).sum(axis=1)
    return (np.ptp(bars, axis=1) > 0) & ((levels**2).sum(axis=1) > COLLINEAR**2 * whole)


def _untested(count: int, reason: str) -> _Tests:
    none = np.full((2, count), np.nan)
    return _Tests(none, np.full((2, count), -1), none.copy(), np.full(count, reason, object))


def _tested(block: _Block, one: np.ndarray, other: np.ndarray, moving: np.ndarray, params: ScanParams) -> _Tests:
    """Tests by shared sums, and by themselves where those lack digits."""
    tests, chosen = _untested(moving.size, ""), np.flatnonzero(moving)
    n = one.shape[1]
    most, cost = lag_rule(n, params.lags)
    mixed, turned = np.empty((most + 1, len(one), len(other))), np.empty((len(other), n - 1))
    pairs = np.ascontiguousarray(block.pairs[:, chosen])
    found = engle_granger_statistics(one, other, pairs, most, cost, mixed, turned)
    for column, values in zip((tests.statistic, tests.lags, tests.ratio), found, strict=True):
        column[:, chosen] = values
    for pair in chosen[np.isnan(found[0]).any(axis=0)]:
        _test_alone(tests, pair, *block.legs(pair), params)
    return tests


def lag_rule(n: int, lags: Lags) -> tuple[int, float]:
    """Most lags, and what one costs."""
    if not isinstance(lags, str):
        return lags, FIXED
    most = most_lags(n, "n")
    return most, 2.0 if lags == "aic" else math.log(n - 1 - most)


def _test_alone(tests: _Tests, pair: int, one: np.ndarray, other: np.ndarray, params: ScanParams) -> None:
    """Both directions from the bars of the pair itself."""
    try:
        both = both_directions(one, other, params.trend, params.lags)
    except AnalysisError as exc:
        tests.statistic[:, pair], tests.reason[pair] = np.nan, str(exc)
        return
    for row, found in enumerate((both.y_on_x, both.x_on_y)):
        tests.statistic[row, pair], tests.lags[row, pair] = found.statistic, found.lags
        tests.ratio[row, pair] = found.hedge_ratio


def _measures(
    block: _Block, one: np.ndarray, other: np.ndarray, tests: _Tests, params: ScanParams, measure: bool
) -> np.ndarray:
    """MEASURES of each pair in its better direction, shape (measures, pairs)."""
    found = np.full((len(MEASURES), block.pairs.shape[1]), np.nan)
    better, memory = _better(block, tests), hac_lags(one.shape[1])
    for row, (y, x, order) in enumerate(((one, other, [0, 1]), (other, one, [1, 0]))):
        chosen = np.flatnonzero((better == row) & ~np.isnan(tests.statistic[0]) & measure)
        pairs = np.ascontiguousarray(block.pairs[order][:, chosen])
        ratios, lags = tests.ratio[row, chosen], tests.lags[row, chosen]
        found[:, chosen] = measured(y, x, pairs, ratios, lags, params.windows, memory)
    return found


def _better(block: _Block, tests: _Tests) -> np.ndarray:
    """Row of the direction with the smaller statistic; where there is none, y is the first of the table."""
    first, second = tests.statistic
    level = ~(first < second) & ~(second < first)
    return np.where(level, block.at[0] > block.at[1], second < first).astype(np.int64)


def _columns(block: _Block, tests: _Tests, still: np.ndarray, found: np.ndarray) -> Columns:
    pick, better = np.arange(still.size), _better(block, tests)
    bars = np.stack([_ends(side, rows) for side, rows in zip((block.one, block.other), block.pairs, strict=True)])
    columns = {"y": block.at[better, pick], "x": block.at[1 - better, pick], "still": still, "reason": tests.reason}
    columns["n_obs"] = np.full(still.size, block.one.shape[1])
    for name, values in (("statistic", tests.statistic), ("lags", tests.lags), ("ratio", tests.ratio)):
        columns[name], columns[f"other_{name}"] = values[better, pick], values[1 - better, pick]
    for name, row in (("y", better), ("x", 1 - better)):
        columns[f"mean_{name}"], columns[f"last_{name}"] = bars[row, :, pick].T
    return columns | dict(zip(MEASURES, found, strict=True))


def _ends(bars: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Mean and last bar of the leg of each pair, shape (2, pairs); NaN of no bars."""
    if not bars.shape[1]:
        return np.full((2, rows.size), np.nan)
    return np.stack((bars.mean(axis=1), bars[:, -1]))[:, rows]
