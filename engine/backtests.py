"""Backtests as jobs: bars from where they are kept, the run with all that doubts it, and runs that were saved."""

import itertools
import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any, Protocol

import msgspec

from data.inventory import Inventory
from data.pair_bars import PairBars, of_file, of_market, of_recordings
from data.recordings import Recordings
from data.session import Session
from data.stored import StoredBars, StoredTrades
from engine.backtest_report import BacktestRequest, Report, report_of
from utils.clock import now_us
from utils.errors import InputError, NotFound
from utils.jobs import CANCELLED, Job, Jobs, Progress

KIND = "backtest"
MARKET, FILE, RECORDING, REPLAYED = "market", "stored:", "recording:", "replay"  # sources, or how they begin
ALL_OF = {"demo": "all runs of demo", "replay": "all replays"}  # venues under whose name bars of many are one
KEPT = 8  # reports, each with some arrays of the length of its bars
SAVED = "backtest run "  # notes that hold a saved run begin with this ...
TRIED = "backtest trials "  # ... and those that count what was tried on some bars with this
MOST_SAVED, MOST_LETTERS = 50, 40
MOST_TRIED = 300  # searches that are told apart; older ones are only counted


@dataclass(frozen=True, slots=True)
class BarSource:
    """Where bars for a backtest can be taken from."""

    key: str  # as a request names it
    title: str
    first_us: int | None  # of what is there, as far as it is known without reading it
    last_us: int | None
    bars: int | None  # stored in the width asked for, of the leg with fewer
    complete: int | None  # of these


@dataclass(slots=True)
class _Asked:
    """A request, and where its bars are from: as it was when asked, and then as they were read."""

    request: BacktestRequest
    place: str


class Notes(Protocol):
    """Small texts kept with the database, by name."""

    def notes(self, prefix: str = "") -> dict[str, str]: ...

    def put_note(self, key: str, value: str) -> None: ...

    def drop_note(self, key: str) -> None: ...


class Backtests:
    """Starts backtests and keeps what came of them; safe from any thread."""

    def __init__(
        self,
        database: Path,
        jobs: Jobs,
        notes: Notes,
        recordings: Recordings,
        session: Callable[[], Session],
        replay_files: Callable[[], tuple[Path, ...]],
    ) -> None:
        self._database, self._jobs, self._notes, self._recordings = database, jobs, notes, recordings
        self._session, self._replay_files = session, replay_files
        self._inventory = Inventory(database)
        self._numbers = itertools.count(1)
        self._reports: OrderedDict[int, Report] = OrderedDict()
        self._asked: dict[str, _Asked] = {}
        self._lock = threading.Lock()

    # --- where bars come from -----------------------------------------------------------------

    def sources(self, symbol_y: str, symbol_x: str, timeframe: str) -> list[BarSource]:
        """Where bars of a pair can be taken from: the open market, the file by venue, recordings.

        Raises
        ------
        StorageError
        """
        venue = self._session().feed.venue
        found = [BarSource(MARKET, f"open market, {venue}", None, None, None, None)]
        found += self._stored(symbol_y, symbol_x, timeframe)
        files = self._replay_files()
        if files:
            names = files[0].name if len(files) == 1 else f"{files[0].name} and {len(files) - 1} more"
            found.append(BarSource(REPLAYED, f"whole replay, {names}", None, None, None, None))
        return found + self._recorded(symbol_y, symbol_x)

    def _stored(self, symbol_y: str, symbol_x: str, timeframe: str) -> list[BarSource]:
        holdings, found = self._inventory.holdings(), []
        rows: list[StoredTrades | StoredBars] = [*holdings.trades, *holdings.bars]
        for venue in dict.fromkeys(row.venue for row in rows):
            own = [row for row in rows if row.venue == venue and row.symbol in (symbol_y, symbol_x)]
            if {row.symbol for row in own} < {symbol_y, symbol_x}:
                continue
            bars = [row for row in own if isinstance(row, StoredBars) and row.timeframe == timeframe]
            counts = (
                (_fewest(row.rows for row in bars), _fewest(row.complete for row in bars))
                if len(bars) == 2
                else (None, None)
            )
            ends = min(row.first_us for row in own), max(row.last_us for row in own)
            found.append(BarSource(f"{FILE}{venue}", f"database, {ALL_OF.get(venue, venue)}", *ends, *counts))
        return found

    def _recorded(self, symbol_y: str, symbol_x: str) -> list[BarSource]:
        """Recordings that hold both legs, all parts of one together, the newest first."""
        parts: dict[str, list[Any]] = {}
        for row in self._recordings.rows():
            if {symbol_y, symbol_x} <= {*row.symbols}:
                parts.setdefault(row.session, []).append(row)
        return [
            BarSource(
                f"{RECORDING}{session}",
                f"recording {rows[-1].name}" + (f" and {len(rows) - 1} more" if len(rows) > 1 else ""),
                min(row.began_us for row in rows),
                max((row.ended_us for row in rows if row.ended_us is not None), default=None),
                None,
                None,
            )
            for session, rows in parts.items()
        ]

    def bars(self, request: BacktestRequest, cancel: Callable[[], bool] | None = None) -> PairBars:
        """The bars that a request names.

        Raises
        ------
        NotFound, InputError, StorageError, RecordingError, Cancelled
        """
        return self._read(request, cancel)[0]

    def _read(self, request: BacktestRequest, cancel: Callable[[], bool] | None) -> tuple[PairBars, str]:
        """The bars, and the place that they are from."""
        pair, asked = (request.symbol_y, request.symbol_x), (request.timeframe, request.bars)
        source, session, replayed = request.source, self._session(), self._replay_files()
        place = _place(source, session.feed.venue, replayed)
        if source == MARKET:
            return of_market(session, _followed(session, pair), *asked), place
        if source.startswith(FILE):
            return of_file(self._database, source.removeprefix(FILE), pair, *asked, cancel), place
        files = replayed if source == REPLAYED else self._files(source)
        if not files:
            raise NotFound(f"there is no source of bars {source[:80]!r}", "source")
        return of_recordings(files, pair, *asked, cancel), place

    def _place_now(self, request: BacktestRequest) -> str:
        return _place(request.source, self._session().feed.venue, self._replay_files())

    def _files(self, source: str) -> tuple[Path, ...]:
        name = source.removeprefix(RECORDING)
        rows = [row for row in self._recordings.rows() if source.startswith(RECORDING) and row.session == name]
        return tuple(self._recordings.path(row.name) for row in reversed(rows))

    # --- runs ---------------------------------------------------------------------------------

    def start(self, request: BacktestRequest) -> Job:
        """Take up a backtest as a job.

        Raises
        ------
        PairscopeError
            Too many jobs wait.
        """

        asked = _Asked(request, self._place_now(request))

        def work(progress: Progress) -> int:
            bars, asked.place = self._read(request, progress.cancelled)
            report = report_of(request, bars, self._tried(request, asked.place), progress)
            if not progress.cancelled():
                self._count(request, asked.place, report)
            return self._keep(report)

        job = self._jobs.start(KIND, f"{request.pair} {request.timeframe}", work)
        with self._lock:
            known = {old.job_id for old in self._jobs.all(KIND)}
            self._asked = {name: old for name, old in self._asked.items() if name in known} | {job.job_id: asked}
        return job

    def jobs(self) -> list[Job]:
        """Backtests, newest first."""
        return self._jobs.all(KIND)

    def job(self, job_id: str) -> Job:
        """How a backtest stands.

        Raises
        ------
        NotFound
        """
        return self._jobs.job(job_id, KIND)

    def request(self, job_id: str) -> BacktestRequest:
        """What a backtest was asked to do.

        Raises
        ------
        NotFound
        """
        self.job(job_id)
        with self._lock:
            return self._asked[job_id].request

    def find(self, request: BacktestRequest) -> Job | None:
        """The newest backtest of just this request, on bars of the market that it names now, that was not cancelled."""
        wanted = _Asked(request, self._place_now(request))
        with self._lock:
            alike = {job_id for job_id, asked in self._asked.items() if asked == wanted}
        return next((job for job in self.jobs() if job.job_id in alike and job.state != CANCELLED), None)

    def report(self, job_id: str) -> Report | None:
        """What came of a backtest; None unless it is done, and once newer ones have taken its place.

        Raises
        ------
        NotFound
        """
        self.job(job_id)
        number = self._jobs.result(job_id)
        with self._lock:
            return self._reports.get(number)

    def _keep(self, report: Report) -> int:
        number = next(self._numbers)
        with self._lock:
            self._reports[number] = report
            while len(self._reports) > KEPT:
                self._reports.popitem(last=False)
        return number

    # --- what was tried -----------------------------------------------------------------------

    def tried(self, request: BacktestRequest) -> int:
        """Parameter sets tried before on this pair, bar width and market; those of this very request left out."""
        return self._tried(request, self._place_now(request))

    def _tried(self, request: BacktestRequest, place: str) -> int:
        return sum(count for search, count in self._searches(request, place).items() if search != _search(request))

    def _searches(self, request: BacktestRequest, place: str) -> dict[str, int]:
        key = _tried_key(request, place)
        text = self._notes.notes(key).get(key)
        return {} if text is None else msgspec.json.decode(text, type=dict[str, int])

    def _count(self, request: BacktestRequest, place: str, report: Report) -> None:
        with self._lock:
            searches = self._searches(request, place)
            searches[_search(request)] = report.trials
            while len(searches) > MOST_TRIED:  # the oldest ones go on as a number
                oldest = next(search for search in searches if search)
                searches = {"": searches.get("", 0) + searches.pop(oldest)} | {k: v for k, v in searches.items() if k}
            self._notes.put_note(_tried_key(request, place), msgspec.json.encode(searches).decode())

    # --- runs that were saved -----------------------------------------------------------------

    def save(self, job_id: str, name: str) -> None:
        """Keep the figures of a run with the database, under a name.

        Raises
        ------
        NotFound
            Its report is not there, or not any more.
        InputError
            No name, one that is too long, or too many runs.
        """
        report = self.report(job_id)
        if report is None:
            raise NotFound(f"the figures of {job_id[:40]!r} are not there: run it again", "backtest")
        name, saved = name.strip(), self._notes.notes(SAVED)
        if not 1 <= len(name) <= MOST_LETTERS:
            raise InputError(f"a name has 1 to {MOST_LETTERS} letters, this has {len(name)}", "name")
        if len(saved) >= MOST_SAVED and SAVED + name not in saved:
            raise InputError(f"at most {MOST_SAVED} runs can be saved: delete one", "name")
        body = {"saved_us": now_us(), **report.summary()}
        self._notes.put_note(SAVED + name, msgspec.json.encode(body).decode())

    def saved(self) -> dict[str, Mapping[str, Any]]:
        """What was saved, by name, the newest first."""
        found = {key.removeprefix(SAVED): msgspec.json.decode(text) for key, text in self._notes.notes(SAVED).items()}
        return dict(sorted(found.items(), key=lambda item: -item[1]["saved_us"]))

    def drop(self, name: str) -> None:
        """Forget a saved run."""
        self._notes.drop_note(SAVED + name)


def _followed(session: Session, pair: tuple[str, str]) -> tuple[str, str]:
    absent = [symbol for symbol in pair if symbol not in session.symbols]
    if absent:
        raise NotFound(f"{', '.join(absent)} is not followed; followed are {', '.join(session.symbols)}", "symbol")
    return pair


def _place(source: str, venue: str, replayed: tuple[Path, ...]) -> str:
    """A source with what it stands for at the time: the venue that is open, the recordings that are replayed."""
    if source == REPLAYED or (source == MARKET and venue == REPLAYED):
        names = [file.name for file in replayed]
        more = "" if len(names) < 2 else f" {blake2b(repr(names).encode(), digest_size=6).hexdigest()}"
        return f"{source} of {names[0]}{more}" if names else source
    return f"{source} of {venue}" if source == MARKET else source


def _fewest(counts: Iterable[int | None]) -> int | None:
    """The lesser count of two legs; None where one is not told."""
    told = [count for count in counts if count is not None]
    return min(told) if len(told) == 2 else None


def _tried_key(request: BacktestRequest, place: str) -> str:
    return f"{TRIED}{request.pair} {request.timeframe} {place}"


def _search(request: BacktestRequest) -> str:
    """The same for requests that try the same parameters."""
    what = (request.params, request.axes, request.funding)
    return blake2b(repr(what).encode(), digest_size=6).hexdigest()
