"""Live bars of one symbol and timeframe: a refresh costs what the new trades cost, whatever the history.

Kept are the parts of bars that have trades (`analytics.resampling.Parts`), by increasing bar number. New trades are
summed by the code that builds a whole history and joined to the rows they touch; a frame fills the newest rows.
"""

import threading
from collections import Counter
from collections.abc import Iterator

import numpy as np
import pandas as pd

from analytics.resampling import CLOSE, NUMBER, TRADES, BarColumns, Parts, fill, join, summarise, timeframe_us
from data.trades import Trades
from utils.errors import InputError

SPARE_ROWS = 256  # least room for new bars; a quarter of those kept where that is more

Gap = tuple[int, int]  # times of the first and last missing trade, as far as known, microseconds


class Resampler:
    """Bars of one timeframe, kept up to date by trades in any order; safe to share between threads.

    The newest `keep` bars are held; a trade that arrives for an older one is counted in `ignored`. Trades must not
    repeat from one update to the next: identity is the ingestion's business. A bar is closed when the clock given to a
    reader, or a trade, has passed its end; a late trade still amends it.

    Parameters
    ----------
    timeframe : width of a bar, such as `15s`
    keep : bars held, at least 1
    since_us : every trade from this time on is expected to arrive, so a bar that opened earlier is never complete.
        None: the time of the first trade seen, as for a feed that was joined in mid-market. A market that starts now,
        or a history loaded before, begins where its owner says; `capture_began` says it later.
    version : the least that readers get to see: that of what this stands in for

    Raises
    ------
    TimeframeError, InputError
    """

    def __init__(self, timeframe: str, keep: int = 20_000, since_us: int | None = None, version: int = 0) -> None:
        if keep < 1:
            raise InputError(f"keep must be >= 1 bar, was {keep}", "keep")
        self.timeframe = timeframe
        self.width_us = timeframe_us(timeframe)
        self.keep = keep
        self.ignored = 0  # trades that came for bars no longer kept
        self.version = version  # grows at each change of any bar
        self.closed_version = version  # the version at which a bar that was handed out as closed last changed
        self._since_us = since_us
        self._lock = threading.Lock()
        self._kept = _KeptParts()
        self._handed_out = -1  # number of the newest bar that a reader was given as closed
        self._revised: dict[int, int] = {}  # bar number -> version of its newest change after that
        self._gaps: Counter[Gap] = Counter()

    def update(self, trades: Trades) -> None:
        """Take trades in, in any order. Cost: theirs, and that of the bars between the oldest and newest of them."""
        if not len(trades):
            return
        parts = summarise(trades, self.width_us)
        with self._lock:
            if self._since_us is None:
                self._since_us = int(trades.ts_us.min())
            parts = self._without_old(parts)
            if len(parts):
                self.version += 1
                self._note_revisions(parts.number)
                self._kept.merge(parts)
                self._kept.forget_before(self._kept.last + 1 - self.keep)

    def begin_with(self, parts: Parts, since_us: int) -> None:
        """Put older bars before those held, as parts that share no trade with them; nothing is missing from then on."""
        with self._lock:
            self._kept.merge(join(parts))
            self._kept.forget_before(self._kept.last + 1 - self.keep)
            self._since_us = since_us
            self.closed_version = self.version = self.version + 1

    def capture_began(self, since_us: int) -> None:
        """Say from when on every trade is expected to be here: after older trades were loaded, say."""
        with self._lock:
            self._since_us = since_us
            self.closed_version = self.version = self.version + 1

    def mark_incomplete(self, first_us: int, last_us: int) -> None:
        """Trades are missing between these two times (both included): no bar that they touch is complete.

        Raises
        ------
        InputError
            The gap ends before it begins.
        """
        if last_us < first_us:
            raise InputError(f"a gap must not end before it begins: {first_us} to {last_us}")
        with self._lock:
            forgotten_us = (self._kept.last - self.keep) * self.width_us
            self._gaps = Counter({gap: n for gap, n in self._gaps.items() if gap[1] >= forgotten_us})
            self._gaps[first_us, last_us] += 1
            self.closed_version = self.version = self.version + 1

    def mark_complete(self, first_us: int, last_us: int) -> None:
        """The gap marked with these times is filled; if none was, everything marked between them is.

        A bar that also holds another gap, or the rest of this one, stays incomplete.
        """
        filled = (first_us, last_us)
        with self._lock:
            if self._gaps[filled]:
                self._gaps[filled] -= 1
            else:
                self._gaps = Counter(rest for gap in self._gaps.elements() for rest in _outside(gap, filled))
            self.closed_version = self.version = self.version + 1

    def frame(self, now_us: int, limit: int | None = None) -> pd.DataFrame:
        """The newest `limit` bars up to the one that contains `now_us`, as `analytics.resampling.bars` makes them.

        The newest is forming (`complete` False); a silent symbol has empty bars up to now. A bar is `complete` when it
        is closed, opened since the capture began, and no gap is marked in it.
        """
        return self.columns(now_us, limit).frame()

    def columns(self, now_us: int, limit: int | None = None) -> BarColumns:
        """The same bars as plain arrays, which the caller owns: for paths that need no pandas."""
        with self._lock:
            if not self._kept:
                return fill(self._kept.parts, 0, -1, self.width_us)
            current = self._current(now_us)
            first = max(current + 1 - self._limited(limit), self._oldest())
            parts, before = self._kept.since(first)
            since_us, gaps = self._since_us, list(self._gaps.elements())
            self._handed_out = max(self._handed_out, current - 1)
        bars = fill(parts, first, current, self.width_us, before)
        bars.complete[:] = bars.ts_us >= (since_us or 0)
        bars.complete[-1:] = False
        for first_us, last_us in gaps:
            low, high = first_us // self.width_us - first, last_us // self.width_us - first
            bars.complete[max(low, 0) : max(high + 1, 0)] = False
        return bars

    @property
    def forgotten_us(self) -> float:
        """Open time of the newest bar that is not kept any more; -inf while all are."""
        with self._lock:
            oldest = self._kept.last - self.keep
            return oldest * self.width_us if self._kept and int(self._kept.parts.number[0]) <= oldest else -np.inf

    def closed_through(self, now_us: int) -> int:
        """Open time of the newest closed bar: of the bar before that of `now_us` or, if later, of the last trade."""
        with self._lock:
            return (self._current(now_us) - 1) * self.width_us

    def revised(self, after_version: int = 0) -> np.ndarray:
        """Open times, increasing, of bars that a reader was given as closed and that trades changed afterwards.

        Only changes later than `after_version`. The empty bars behind such a bar carry its close: they are listed too.
        """
        with self._lock:
            changed = [number for number, version in self._revised.items() if version > after_version]
            bars = {bar for number in changed for bar in range(number, self._next_traded(number))}
        return np.array(sorted(bars), np.int64) * self.width_us

    # Everything below is called with the lock held.

    def _current(self, now_us: int) -> int:
        # A trade ahead of the local clock has closed the bars before its own.
        return max(now_us // self.width_us, self._kept.last)

    def _oldest(self) -> int:
        """Number of the oldest bar shown: one older row is kept for its close."""
        return max(int(self._kept.parts.number[0]), self._kept.last + 1 - self.keep)

    def _limited(self, limit: int | None) -> int:
        return self.keep if limit is None else min(max(limit, 0), self.keep)

    def _without_old(self, parts: Parts) -> Parts:
        """The parts that belong to bars kept before this update, or newer; the trades of the others are counted."""
        old = int(parts.number.searchsorted(self._kept.last - self.keep, side="right"))
        if not old:
            return parts
        self.ignored += int(parts.whole[TRADES, :old].sum())
        return parts[old:]

    def _note_revisions(self, numbers: np.ndarray) -> None:
        late = numbers[: numbers.searchsorted(self._handed_out, side="right")].tolist()
        if not late:
            return
        self.closed_version = self.version
        self._revised.update(dict.fromkeys(late, self.version))
        if len(self._revised) > 2 * self.keep:
            self._revised = {n: version for n, version in self._revised.items() if n >= self._oldest()}

    def _next_traded(self, number: int) -> int:
        """Number of the next bar with trades, or the first one no reader was given as closed."""
        later = self._kept.parts.number[self._kept.row(number + 1) :]
        return int(later[0]) if later.size else max(self._handed_out, number) + 1


class _KeptParts:
    """Parts by increasing bar number in a table with room behind them; not safe to share."""

    def __init__(self) -> None:
        self._table = Parts.empty(SPARE_ROWS)
        self._begin, self._end = 0, 0

    def __len__(self) -> int:
        return self._end - self._begin

    @property
    def parts(self) -> Parts:
        """All rows: a view, changed by the next merge."""
        return self._table[self._begin : self._end]

    @property
    def last(self) -> int:
        """Number of the newest bar; -1 before the first."""
        return int(self._table.whole[NUMBER, self._end - 1]) if self._end else -1

    def row(self, number: int) -> int:
        """The first row whose bar is `number` or later."""
        return int(self._table.whole[NUMBER, self._begin : self._end].searchsorted(number))

    def since(self, number: int) -> tuple[Parts, float]:
        """Rows of bar `number` and later, copied, and the close before them (NaN where unknown)."""
        row = self._begin + self.row(number)
        before = float(self._table.real[CLOSE, row - 1]) if row > self._begin else np.nan
        return self._table[row : self._end].copy(), before

    def merge(self, parts: Parts) -> None:
        """Join parts to the rows; those outside the parts' bars are touched only to make room between them."""
        low, high = self.row(int(parts.number[0])), self.row(int(parts.number[-1]) + 1)
        joined = join(Parts.concat(self.parts[low:high], parts)) if high > low else parts
        grown = len(joined) - (high - low)
        if self._end + grown > len(self._table):
            self._move(grown)
        rows = self._begin + low, self._begin + high
        if grown and rows[1] < self._end:  # a late trade for a bar that had none
            self._write(rows[1] + grown, self._table[rows[1] : self._end].copy())
        self._write(rows[0], joined)
        self._end += grown

    def forget_before(self, number: int) -> None:
        """Drop the rows of earlier bars but one: its close goes on through empty bars."""
        self._begin += max(self.row(number) - 1, 0)
        if self._begin > len(self) + SPARE_ROWS:  # after a long history was loaded: give its memory back
            self._move(0)

    def _move(self, grown: int) -> None:
        kept = self.parts
        size = len(kept) + grown
        self._table = Parts.empty(size + max(size // 4, SPARE_ROWS))
        self._begin, self._end = 0, len(kept)
        self._write(0, kept)

    def _write(self, row: int, parts: Parts) -> None:
        self._table.whole[:, row : row + len(parts)] = parts.whole
        self._table.real[:, row : row + len(parts)] = parts.real


def _outside(gap: Gap, filled: Gap) -> Iterator[Gap]:
    """What is left of a gap once the trades between two times are here."""
    if gap[0] < filled[0]:
        yield gap[0], min(gap[1], filled[0] - 1)
    if gap[1] > filled[1]:
        yield max(gap[0], filled[1] + 1), gap[1]
