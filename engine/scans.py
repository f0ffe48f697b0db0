"""Scans of the universe: prices from where they are asked for, every pair as a job, what changed, again by time."""

import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from analytics.correlation.matrix import CorrelationMatrix, correlation_matrix
from analytics.scanner import changes, scan
from analytics.scanner.changes import FOLLOWED
from config import Settings
from data import sqlite
from data.closes import read_closes, stored_closes
from data.feeds.binance import MARKETS, USDM
from data.feeds.klines import Klines
from data.feeds.rest import Rest
from data.inventory import Holdings
from data.session import Session
from engine.last_scans import LastScan, LastScans
from engine.scan_request import EXCHANGE, LIVE, STORED, TABLE, ScanRequest, ScanResult
from utils import logger
from utils.clock import monotonic_s, now_us
from utils.cluster import cluster_executor
from utils.errors import Cancelled, InputError, NotFound, PairscopeError, TooFewObservations
from utils.jobs import Job, Jobs, Progress

LOG = logger.get("scans")

KIND = "scan"  # of the jobs
RESULTS_KEPT, ROWS_KEPT = 8, 1_000_000  # results, and pairs of all of them; the newest is kept whatever its size
TABLES_KEPT = 4
REPEAT_S = (60.0, 7 * 86_400.0)  # limits of what is between two scans of a plan
MOST_PLANS = 10
PLANS = "scan plans"  # note that holds them
COMPARED: dict[str, type] = {"y": str, "x": str, "found": bool} | dict.fromkeys(FOLLOWED, float)


class Host(Protocol):
    """What scans need of the engine."""

    settings: Settings

    @property
    def session(self) -> Session: ...
    @property
    def symbols(self) -> tuple[str, ...]: ...
    @property
    def venue(self) -> str: ...
    def closes(self, timeframe: str, limit: int, symbols: Iterable[str] | None = None) -> pd.DataFrame: ...
    def holdings(self) -> Holdings: ...
    def notes(self, prefix: str = "") -> dict[str, str]: ...
    def put_note(self, key: str, value: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Plan:
    """A scan that is made again and again."""

    request: ScanRequest
    every_s: float
    due_s: float  # monotonic


class _Stage:
    """What a scan is doing, in plain words."""

    def __init__(self) -> None:
        self.scan_id = ""
        self.words = ""

    def tell(self, words: str) -> None:
        self.words = words


class Scans:
    """The scans of a process; any thread may call."""

    def __init__(self, host: Host, jobs: Jobs) -> None:
        self._host, self._jobs = host, jobs
        self._lock = threading.Lock()
        self._stages: dict[str, _Stage] = {}
        self._requests: dict[str, ScanRequest] = {}
        self._results: OrderedDict[str, ScanResult] = OrderedDict()
        self._last = LastScans(host.settings.database.parent / "scans", COMPARED)
        self._tables: OrderedDict[str, pd.DataFrame] = OrderedDict()
        self._rests: dict[str, Rest] = {}
        self._plans: dict[str, Plan] | None = None  # by place; None until the notes are read

    # --- one scan -----------------------------------------------------------------------------

    def start(self, request: ScanRequest) -> Job:
        """Take up a scan.

        Raises
        ------
        NotFound
            A table that was not handed in.
        PairscopeError
            Too many jobs wait.
        """
        if request.source == TABLE:
            self.table(request.table)
        stage = _Stage()
        with self._lock:  # the job asks for its id under the same lock
            job = self._jobs.start(KIND, title(request), lambda progress: self._scan(request, progress, stage))
            stage.scan_id = job.job_id
            known = {job.job_id for job in self._jobs.all(KIND)}
            self._stages = {key: kept for key, kept in self._stages.items() if key in known} | {job.job_id: stage}
            self._requests = {key: kept for key, kept in self._requests.items() if key in known} | {job.job_id: request}
        return job

    def jobs(self) -> list[Job]:
        """All scans that are known, newest first."""
        return self._jobs.all(KIND)

    def job(self, scan_id: str) -> Job:
        """How a scan stands.

        Raises
        ------
        NotFound
        """
        return self._jobs.job(scan_id, KIND)

    def cancel(self, scan_id: str) -> Job:
        """Ask a scan to end.

        Raises
        ------
        NotFound
        """
        return self._jobs.cancel(self.job(scan_id).job_id)

    def stage(self, scan_id: str) -> str:
        """What a scan is doing now, in plain words."""
        stage = self._stages.get(scan_id)
        return "" if stage is None else stage.words

    def request(self, scan_id: str) -> ScanRequest | None:
        """What a scan was asked."""
        return self._requests.get(scan_id)

    def result(self, scan_id: str) -> ScanResult:
        """What came of a scan.

        Raises
        ------
        NotFound
            It has not ended well, or newer ones took its place.
        """
        with self._lock:
            if scan_id not in self._results:
                raise NotFound(
                    f"there is no result of a scan {scan_id[:40]!r}; the newest {RESULTS_KEPT} are kept", "scan"
                )
            return self._results[scan_id]

    def newest(self) -> ScanResult | None:
        """The result of the newest scan that ended well, if any."""
        with self._lock:
            return next(reversed(self._results.values()), None)

    def results(self) -> list[ScanResult]:
        """All results that are kept, newest first."""
        with self._lock:
            return list(reversed(self._results.values()))

    def _scan(self, request: ScanRequest, progress: Progress, stage: _Stage) -> dict[str, Any]:
        """The work of the job."""
        place = self._place(request)
        prices = self._prices(request, progress, stage)
        if len(prices) < request.params.min_bars or prices.shape[1] < 2:
            short = len(prices) if prices.shape[1] >= 2 else prices.shape[1]
            need, what = (request.params.min_bars, "bars") if prices.shape[1] >= 2 else (2, "symbols")
            raise TooFewObservations(have=short, need=need, what=what)
        stage.tell(f"testing every pair of {prices.shape[1]:,} symbols over {len(prices):,} bars")
        began_s = monotonic_s()
        with executor_of(self._host.settings.dask) as executor:
            found = scan(
                prices,
                request.alpha,
                request.fdr,
                params=request.params,
                executor=executor,
                progress=progress,
                cancelled=progress.cancelled,
            )
        took_s = monotonic_s() - began_s
        result = self._keep(request, place, prices, found, took_s, stage)
        stage.tell("")
        return result.summary()

    def _keep(
        self,
        request: ScanRequest,
        place: str,
        prices: pd.DataFrame,
        found: pd.DataFrame,
        took_s: float,
        stage: _Stage,
    ) -> ScanResult:
        """The result, beside the last one of its place, whose place it takes."""
        correlations = _correlations(prices)
        with self._lock:
            last = self._last.get(place)
            result = ScanResult(
                scan_id=stage.scan_id,
                request=request,
                at_us=now_us(),
                took_s=took_s,
                prices=prices,
                found=found,
                correlations=correlations,
                before_us=None if last is None else last.at_us,
                before=None if last is None else last.request,
                changes=None if last is None else changes(last.found, found),
            )
            self._results[result.scan_id] = result
            self._last.put(place, LastScan(result.at_us, request, found[list(COMPARED)]))
            rows = sum(len(kept.found) for kept in self._results.values())
            while len(self._results) > 1 and (len(self._results) > RESULTS_KEPT or rows > ROWS_KEPT):
                rows -= len(self._results.popitem(last=False)[1].found)
        return result

    # --- where prices come from ---------------------------------------------------------------

    def _place(self, request: ScanRequest) -> str:
        """What a scan is compared within: with the market that is open, where it is of that one."""
        of_market = request.source in (LIVE, STORED) and not request.venue
        return f"{request.place} of {self._host.venue}" if of_market else request.place

    def _prices(self, request: ScanRequest, progress: Progress, stage: _Stage) -> pd.DataFrame:
        stage.tell("reading prices")
        match request.source:
            case "live":
                return self._host.closes(request.timeframe, request.bars, request.symbols or None)
            case "stored":
                return self._stored(request, progress, stage)
            case "table":
                table = self.table(request.table).tail(request.bars)
                return table if not request.symbols else table[_present(request.symbols, table.columns)]
        return self._fetched(request, progress, stage)

    def _stored(self, request: ScanRequest, progress: Progress, stage: _Stage) -> pd.DataFrame:
        venue = request.venue or self._host.venue
        rows = [row for row in self._host.holdings().bars if (row.venue, row.timeframe) == (venue, request.timeframe)]
        symbols = [row.symbol for row in rows]
        chosen = _present(request.symbols, symbols) if request.symbols else symbols
        if len(chosen) < 2:
            raise InputError(f"the file has {request.timeframe} bars of {len(chosen)} symbols of {venue}", "symbols")
        done = iter(range(len(chosen)))

        def told(symbol: str) -> None:
            at = next(done)
            if progress.cancelled():
                raise Cancelled(at, len(chosen))
            progress(at, len(chosen))
            stage.tell(f"reading bars of {symbol}")

        return stored_closes(self._host.settings.database, venue, request.timeframe, chosen, request.bars, told)

    def _fetched(self, request: ScanRequest, progress: Progress, stage: _Stage) -> pd.DataFrame:
        venue = request.venue or USDM.venue
        worker = Klines(self._rest(venue), progress.cancelled, stage.tell)
        symbols = worker.symbols(request.symbols, request.most)
        return worker.closes(symbols, request.timeframe, request.bars, progress)

    def _rest(self, venue: str) -> Rest:
        """REST of a market; a pause that the exchange asks for holds for later scans and for the repair of gaps too."""
        rest = self._rests.get(venue)
        if rest is None:
            rest = self._rests[venue] = Rest(MARKETS[venue], self._host.settings.rest_base(venue))
        key = f"{venue} closed until"

        def closed(until_us: int) -> None:
            self._host.put_note(key, str(until_us))
            history = self._host.session.history
            if history is not None and self._host.venue == venue:
                history.stay_away(until_us)

        rest.on_closed = closed
        rest.stay_away(int(sqlite.read_note(self._host.settings.database, key) or 0))
        return rest

    def put_table(self, name: str, body: bytes) -> pd.DataFrame:
        """Take a CSV or Parquet file of closes, to be scanned under its name; the newest few are kept.

        Raises
        ------
        InputError
        """
        if not 1 <= len(name) <= 120 or not name.isprintable():
            raise InputError(f"a table needs a name of 1 to 120 characters, was {name[:40]!r}", "table")
        table = read_closes(name, body)
        with self._lock:
            self._tables[name] = table
            self._tables.move_to_end(name)
            while len(self._tables) > TABLES_KEPT:
                self._tables.popitem(last=False)
        return table

    def table(self, name: str) -> pd.DataFrame:
        """A table that was handed in.

        Raises
        ------
        NotFound
        """
        with self._lock:
            if name not in self._tables:
                known = ", ".join(self._tables) or "none"
                raise NotFound(f"there is no table {name[:80]!r}; there are: {known}", "table")
            return self._tables[name]

    def tables(self) -> list[str]:
        """Names of the tables that were handed in, newest first."""
        with self._lock:
            return list(reversed(self._tables))

    # --- again and again ----------------------------------------------------------------------

    def repeat(self, request: ScanRequest, every_s: float | None) -> None:
        """Make a scan again each so many seconds, in place of another plan of its place; None ends that.

        Raises
        ------
        InputError
        """
        least, most = REPEAT_S
        if every_s is not None and not least <= every_s <= most:
            raise InputError(f"every_s must be {least:g} to {most:g} seconds, was {every_s:g}", "every_s")
        if every_s is not None and request.source == TABLE:
            raise InputError("a table does not change: only live, stored and exchange can be scanned again", "source")
        with self._lock:
            known = dict(self.plans())
            known.pop(request.place, None)
            if every_s is not None:
                if len(known) >= MOST_PLANS:
                    raise InputError(f"there may be at most {MOST_PLANS} plans", "every_s")
                known[request.place] = Plan(request, every_s, monotonic_s() + every_s)
            self._plans = known
        told = [{"request": plan.request.as_dict(), "every_s": plan.every_s} for plan in known.values()]
        self._host.put_note(PLANS, json.dumps(told))

    def plans(self) -> dict[str, Plan]:
        """Scans that are made again, by place; those of an earlier run go on."""
        if self._plans is None:
            self._plans = self._noted()
        return self._plans

    def _noted(self) -> dict[str, Plan]:
        found: dict[str, Plan] = {}
        try:
            rows = json.loads(self._host.notes(PLANS).get(PLANS, "[]"))
        except ValueError:
            LOG.warning("the plans of an earlier run cannot be read")
            return found
        for row in rows:
            try:
                request, every_s = ScanRequest.of(row["request"]), float(row["every_s"])
            except (InputError, KeyError, TypeError, ValueError) as exc:
                LOG.warning("a plan of an earlier run is left out: %s", exc)
                continue
            found[request.place] = Plan(request, every_s, monotonic_s() + every_s)
        return found

    def tick(self, now_s: float) -> None:
        """Begin the scans that are due; called again and again. One that still runs is not begun once more."""
        for place, plan in list(self.plans().items()):
            if now_s < plan.due_s:
                continue
            with self._lock:
                if self.plans().get(place) is not plan:
                    continue  # it was ended or changed just now
                self.plans()[place] = Plan(plan.request, plan.every_s, now_s + plan.every_s)
            running = {job.job_id for job in self.jobs() if not job.ended}
            if any(self._requests[scan_id].place == place for scan_id in running if scan_id in self._requests):
                continue
            try:
                self.start(plan.request)
            except PairscopeError as exc:
                LOG.warning("the planned scan %s did not begin: %s", place, exc)


def title(request: ScanRequest) -> str:
    """A scan in few words."""
    where = {
        LIVE: "live symbols",
        STORED: f"stored bars of {request.venue or 'this market'}",
        TABLE: request.table,
        EXCHANGE: f"{request.venue or USDM.venue} by REST",
    }[request.source]
    width = "" if request.source == TABLE else f"{request.timeframe}, "
    return f"{where}, {width}{request.bars:,} bars"


@contextmanager
def executor_of(dask: str) -> Iterator[Executor]:
    """A Dask cluster where one is set, else the processors of this machine.

    Raises
    ------
    SettingsError
    """
    if dask:
        with cluster_executor(dask) as executor:
            yield executor
    else:
        with ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="scan") as pool:
            yield pool


def _present(wanted: Iterable[str], known: Iterable[str]) -> list[str]:
    """The symbols asked for; InputError where one is not there."""
    known, wanted = set(known), list(wanted)
    missing = [symbol for symbol in wanted if symbol not in known]
    if missing:
        raise InputError(f"there are no bars of {', '.join(missing[:10])}", "symbols")
    return wanted


def _correlations(prices: pd.DataFrame) -> CorrelationMatrix | None:
    values = prices.to_numpy()
    return None if np.any(values <= 0) else correlation_matrix(prices)
