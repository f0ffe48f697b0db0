"""One import: read a file, keep nothing until all of it was read, then add what is new.

Trades go to day files (`data.archive`) and, as bars of a minute, to the database; bars go to the database. What was
read is staged beside the day files. An import that was killed goes on from there when it is started again with the
same file; one that was cancelled, or whose file turns out to be broken, leaves nothing.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from data.archive import Archive, day_name, day_number
from data.importers.day_bars import WIDTH, Beside, at_edges, bars_of_day
from data.importers.days import Day, Key, Staging, join
from data.importers.layout import TICKS
from data.importers.plan import DAY_IN_NAME, Plan
from data.importers.rows import Rejected
from utils.errors import Cancelled, InputError, StorageError

CHECKPOINT_ROWS = 4_000_000  # after so many rows what was staged is noted, so that a kill costs no more
REJECTED_KEPT = 10_000  # rows with their reason; all are counted
READING = 900  # of 1000 parts of the work
JOURNAL = "journal.json"

PutBars = Callable[[str, str, str, pd.DataFrame], tuple[int, int]]  # venue, symbol, width -> bars new, bars bettered
Tell = Callable[[int, int], None]


@dataclass(frozen=True, slots=True)
class Result:
    """What an import did."""

    name: str
    kind: str  # "ticks" or "bars"
    venue: str
    stream: str
    timeframe: str
    symbols: tuple[str, ...]
    rows: int  # of the file
    added: int
    known: int  # were there already, or came twice
    bettered: int  # bars that replaced one which missed trades
    rejected_rows: int
    reasons: dict[str, int]
    rejected: list[Rejected]  # the first REJECTED_KEPT
    days: int  # day files that were written
    bars: int  # bars of a minute that were made of trades and are new
    resumed: bool  # went on where an earlier one was interrupted


@dataclass(slots=True)
class _State:
    """How far the reading is; kept in the journal."""

    parts: int = 0
    rows: int = 0
    twice: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    rejected: list[list[Any]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    days: dict[str, list[int]] = field(default_factory=dict)  # done: symbol/day -> new, known, bars
    read: bool = False

    def reject(self, rows: Iterable[Rejected]) -> None:
        """Count rows that are not taken, and keep the first of them."""
        counts = Counter(self.reasons)
        for row in rows:
            counts[row.reason] += 1
            if len(self.rejected) < REJECTED_KEPT:
                self.rejected.append([row.line, row.reason, row.text])
        self.reasons = dict(counts)


def run(
    plan: Plan,
    archive: Archive,
    put: PutBars,
    beside: Beside,
    tell: Tell = lambda done, total: None,
    cancelled: Callable[[], bool] = lambda: False,
) -> Result:
    """Carry out an import.

    Parameters
    ----------
    put : stores bars, and says how many were new and how many took the place of one that missed trades
    beside : the trades of the database, for bars that trades of both fill
    tell : told how much is done, in thousandths

    Raises
    ------
    InputError
        The file is broken, no row of it can be taken, or one cannot where all are wanted; nothing was stored.
    Cancelled, StorageError
    """
    if plan.columns.kind != TICKS:
        return _bars(plan, put, tell, cancelled)
    work = _Work(plan, archive, put, beside, tell, cancelled)
    try:
        return work.run()
    except OSError as exc:
        raise StorageError(f"{archive.folder} cannot be written: {exc}; start the import again to go on") from exc


class _Work:
    """An import of trades."""

    def __init__(
        self, plan: Plan, archive: Archive, put: PutBars, beside: Beside, tell: Tell, cancelled: Callable[[], bool]
    ) -> None:
        self._plan, self._archive, self._put, self._beside = plan, archive, put, beside
        self._tell, self._cancelled = tell, cancelled
        self._folder = archive.folder / f".import-{_fingerprint(plan)}"
        self._journal = self._folder / JOURNAL
        self._state = _State()
        self._staging = Staging(self._folder)

    def run(self) -> Result:
        """All of it."""
        resumed = self._take_up()
        try:
            if not self._state.read:
                self._read()
            self._check()
        except (InputError, Cancelled):
            self._discard()
            raise
        finally:
            self._staging.stop()
        self._commit()
        self._discard()
        return self._result(resumed)

    def _take_up(self) -> bool:
        """Go on where an earlier import of the same file ended; whether there is such a place."""
        try:
            self._state = _State(**json.loads(self._journal.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            self._discard()
            self._folder.mkdir(parents=True)
            return False
        kept = set(self._state.files)
        if not self._state.days:  # nothing was joined yet: what the journal does not know was cut off
            for path in self._folder.glob("*/*/*.parquet"):
                if path.relative_to(self._folder).as_posix() not in kept:
                    path.unlink()
        return True

    def _read(self) -> None:
        state, ticks, since = self._state, self._plan.ticks(), 0
        size = max(self._plan.source.size, 1)
        for batch in self._plan.read(state.parts, lambda: not self._cancelled()):
            if self._cancelled():
                raise Cancelled(self._plan.source.consumed, size)
            found, rejected = ticks.take(batch)
            state.parts += 1
            state.rows += len(batch) + len(batch.rejected)
            since += len(batch)
            state.reject(batch.rejected)
            state.reject(rejected)
            for trades in found:
                state.twice += self._staging.add(trades)
            self._tell(READING * self._plan.source.consumed // size, 1_000)
            if since >= CHECKPOINT_ROWS and self._plan.resumable:
                self._note()
                since = 0
        state.read = True
        self._note()

    def _note(self) -> None:
        """Write down what is staged, and where to go on."""
        self._staging.close()
        self._state.files = [path.relative_to(self._folder).as_posix() for path in self._folder.glob("*/*/*.parquet")]
        self._save()

    def _save(self) -> None:
        part = self._journal.with_suffix(".part")
        part.write_text(json.dumps(asdict(self._state)), "utf-8")
        part.replace(self._journal)

    def _check(self) -> None:
        """Refuse what is not to be kept."""
        _check_rows(self._plan, self._state, bool(self._state.files))

    def _commit(self) -> None:
        """Add every day, and the bars that come of it; each day is done before it is noted as done."""
        keys = {_key(name) for name in self._state.files}
        left = sorted(key for key in keys if f"{key[0]}/{day_name(key[1])}" not in self._state.days)
        parts = self._staging.parts()
        for number, key in enumerate(left):
            done = self._day(key, parts.get(key, []))
            bars = self._bars_of(done)
            self._state.days[f"{key[0]}/{day_name(key[1])}"] = [done.new, done.known, bars]
            self._save()
            self._tell(READING + (1_000 - READING) * (number + 1) // len(left), 1_000)

    def _day(self, key: Key, parts: list[Path]) -> Day:
        options = self._plan.options
        owner = (options.venue, options.stream, key[0])
        return join(self._archive, owner, key[1], parts) if parts else Day(owner, key[1], 0, 0)

    def _bars_of(self, done: Day) -> int:
        bars = bars_of_day(self._archive, done.owner, done.day, self._plan.whole_days)
        venue, _, symbol = done.owner
        new, _ = self._put(venue, symbol, WIDTH, bars.frame())
        edges = at_edges(self._archive, done.owner, bars, self._beside)
        return new + (self._put(venue, symbol, WIDTH, edges)[0] if len(edges) else 0)

    def _discard(self) -> None:
        """Leave nothing behind."""
        self._staging.abandon()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _result(self, resumed: bool) -> Result:
        state = self._state
        new, known, bars = (sum(day[i] for day in state.days.values()) for i in range(3))
        symbols = tuple(sorted({name.partition("/")[0] for name in state.days}))
        return _result(
            self._plan, state, symbols, added=new, known=known + state.twice, days=len(state.days), bars=bars,
            resumed=resumed,
        )  # fmt: skip


def _bars(plan: Plan, put: PutBars, tell: Tell, cancelled: Callable[[], bool]) -> Result:
    """An import of bars: all rows are looked at before the first one is kept."""
    state = _State()
    last_us: dict[str, int] = {}
    size = max(plan.source.size, 1)

    def read(from_: int) -> Iterable[tuple[str, pd.DataFrame]]:
        bars = plan.bars()
        state.rows, state.reasons, state.rejected = 0, {}, []
        for batch in plan.read(0, lambda: not cancelled()):
            if cancelled():
                raise Cancelled(plan.source.consumed, size)
            found, rejected = bars.take(batch)
            state.rows += len(batch) + len(batch.rejected)
            state.reject(batch.rejected)
            state.reject(rejected)
            tell(from_ + 500 * plan.source.consumed // size, 1_000)
            yield from found

    for symbol, frame in read(0):
        last_us[symbol] = max(last_us.get(symbol, 0), int(frame.index.asi8.max()))
    _check_rows(plan, state, bool(last_us))
    told = "complete" in plan.columns.roles or DAY_IN_NAME.search(plan.source.path.name) is not None
    new = bettered = taken = 0
    for symbol, frame in read(500):
        if not told:  # a download of the newest bars ends with one that was still open
            frame["complete"] &= frame.index.asi8 != last_us[symbol]
        some = put(plan.options.venue, symbol, plan.options.timeframe, frame)
        new, bettered, taken = new + some[0], bettered + some[1], taken + len(frame)
    known = taken - new - bettered
    return _result(plan, state, tuple(sorted(last_us)), added=new, known=known, bettered=bettered)


def _check_rows(plan: Plan, state: _State, any_good: bool) -> None:
    """Refuse a file without a good row, and where all rows are wanted one with a bad row."""
    name, bad = plan.source.path.name, sum(state.reasons.values())
    state.rejected.sort()
    first = f": line {state.rejected[0][0]:,}, {state.rejected[0][1]}" if state.rejected else ""
    if not any_good:
        raise InputError(f"{name}: none of its {state.rows:,} rows can be taken{first}", "file")
    if bad and plan.options.whole:
        raise InputError(f"{name}: {bad:,} of {state.rows:,} rows cannot be taken{first}; nothing was stored", "file")


def _result(
    plan: Plan,
    state: _State,
    symbols: tuple[str, ...],
    *,
    added: int,
    known: int,
    bettered: int = 0,
    days: int = 0,
    bars: int = 0,
    resumed: bool = False,
) -> Result:
    options = plan.options
    return Result(
        name=plan.source.path.name,
        kind=plan.columns.kind,
        venue=options.venue,
        stream=options.stream,
        timeframe=options.timeframe,
        symbols=symbols,
        rows=state.rows,
        added=added,
        known=known,
        bettered=bettered,
        rejected_rows=sum(state.reasons.values()),
        reasons=state.reasons,
        rejected=[Rejected(*row) for row in state.rejected],
        days=days,
        bars=bars,
        resumed=resumed,
    )


def _fingerprint(plan: Plan) -> str:
    """What a file and what is wanted of it have in common with an earlier attempt."""
    status = plan.source.path.stat()
    told = [str(plan.source.path.resolve()), status.st_size, status.st_mtime_ns, asdict(plan.options)]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _key(name: str) -> Key:
    symbol, day, _ = name.split("/")
    number = day_number(day)
    assert number is not None
    return symbol, number


def rejected_frame(rejected: Iterable[Rejected]) -> pd.DataFrame:
    """Rows that were not taken, as a table."""
    return pd.DataFrame([asdict(row) for row in rejected], columns=["line", "reason", "text"])
