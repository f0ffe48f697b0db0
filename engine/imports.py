"""Imports of the running engine: looked at first, then done as jobs beside the capture."""

import sqlite3
import threading
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pandas as pd

from data import sqlite, stored
from data.archive import Archive
from data.importers.importing import Result, run
from data.importers.plan import Market, Options, Plan, Preview, plan, preview
from data.storage import Mirror
from utils.clock import monotonic_s
from utils.errors import PairscopeError, StorageError
from utils.jobs import Job, Jobs, Progress

KIND = "import"
ROWS_AT_ONCE = 5_000  # bars of one transaction: trades of the capture wait meanwhile
WRITTEN_S = 60.0  # a disk that takes longer fails
LOOK_S = 0.5

Added = Callable[[str, Iterable[str]], None]  # venue, symbols of which bars were added
MirrorOf = Callable[[], AbstractContextManager[Mirror]]


class Imports:
    """Previews and jobs.

    Parameters
    ----------
    mirror : hands out the writer of the open market
    market : where data goes that does not tell where it is from
    added : told when bars were added
    """

    def __init__(
        self, database: Path, jobs: Jobs, mirror: MirrorOf, market: Callable[[], Market], added: Added
    ) -> None:
        self._database, self._jobs, self._mirror = database, jobs, mirror
        self._market, self._added = market, added
        self.archive = Archive.beside(database)

    def preview(self, path: Path, options: Options | None = None) -> Preview:
        """What an import would do; nothing is written.

        Raises
        ------
        InputError
        """
        return preview(plan(path, options, self._market()))

    def start(self, path: Path, options: Options | None = None, *, remove: bool = False) -> Job:
        """Import a file, as a job whose result is an `importing.Result`; it can be removed afterwards.

        Raises
        ------
        InputError
            The file cannot be imported as it is.
        PairscopeError
            Too many jobs wait.
        """
        made = plan(path, options, self._market())

        def work(progress: Progress) -> Result:
            try:
                return self._run(made, progress)
            finally:
                if remove:
                    path.unlink(missing_ok=True)
                    with suppress(OSError):  # others may lie beside it
                        path.parent.rmdir()

        return self._jobs.start(KIND, path.name, work)

    def jobs(self) -> list[Job]:
        """Imports, newest first."""
        return self._jobs.all(KIND)

    def result(self, job_id: str) -> Result | None:
        """What an import did; None while it has not ended well. Raises NotFound."""
        result = self._jobs.result(job_id)
        return result if isinstance(result, Result) else None

    def _run(self, made: Plan, progress: Progress) -> Result:
        def beside(owner: stored.Owner, span: stored.Span) -> Iterable[stored.Trades]:
            return stored.trade_pages(self._database, owner, span)

        result = run(made, self.archive, self._put, beside, progress, progress.cancelled)
        with suppress(PairscopeError):
            self._added(result.venue, result.symbols)
        return result

    def _put(self, venue: str, symbol: str, timeframe: str, frame: pd.DataFrame) -> tuple[int, int]:
        """Bars by way of the one writer; how many were new, and how many took the place of another."""
        new = bettered = 0
        for row in range(0, len(frame), ROWS_AT_ONCE):
            found = self._written(venue, symbol, timeframe, frame.iloc[row : row + ROWS_AT_ONCE])
            new, bettered = new + found[0], bettered + found[1]
        return new, bettered

    def _written(self, venue: str, symbol: str, timeframe: str, frame: pd.DataFrame) -> tuple[int, int]:
        counts: list[tuple[int, int]] = []

        def write(connection: sqlite3.Connection) -> None:
            counts[:] = [sqlite.add_bars(connection, venue, symbol, timeframe, frame)]

        with self._mirror() as mirror:
            done = mirror.write(write)
        self._wait(done, mirror)
        return counts[0]

    def _wait(self, done: threading.Event, mirror: Mirror) -> None:
        began_s = monotonic_s()
        while not done.wait(LOOK_S):
            if monotonic_s() - began_s > WRITTEN_S or not mirror.alive:
                why = mirror.error or ("it takes too long" if mirror.alive else "the market was closed")
                raise StorageError(f"bars could not be written: {why}; start the import again to go on")
