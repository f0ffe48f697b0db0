"""`python run.py import FILE...`: history into the database and the archive beside it, without a dashboard.

The file is looked at first and nothing is written with --dry-run. While Pairscope runs with the same database, import
on its Data page: two programs must not write one database.
"""

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pandas as pd

import config
from data import sqlite, stored
from data.archive import Archive
from data.database import Database
from data.exporters import csv_text
from data.importers.importing import Result, rejected_frame, run
from data.importers.plan import Market, Options, Preview, plan, preview
from utils.clock import iso_from_us, monotonic_s
from utils.errors import DatabaseBusy, PairscopeError

BAR = 30  # characters of a full bar of progress
REJECTED_TOLD = 10


class Terminal:
    """What is told on the way: on a terminal one line that grows, elsewhere nothing."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._next_s = 0.0
        self.stopped = False

    def tell(self, done: int, total: int) -> None:
        """Progress."""
        if not self._shown or (monotonic_s() < self._next_s and done < total):
            return
        self._next_s = monotonic_s() + 0.1
        full = BAR * done // total
        end = "\n" if done >= total else ""
        sys.stderr.write(f"\r  [{'#' * full}{'.' * (BAR - full)}] {100 * done // total:3d} %{end}")
        sys.stderr.flush()

    def stop(self, *_: object) -> None:
        """Ctrl+C: the import ends, and leaves nothing."""
        self.stopped = True


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    made = argparse.ArgumentParser(prog="python run.py import", description=__doc__, allow_abbrev=False)
    add = made.add_argument
    add("files", nargs="+", metavar="FILE", help="CSV, JSON lines, Parquet, SQLite, Excel; plain, .gz or .zip")
    add("--dry-run", action="store_true", help="show what would be done, and write nothing")
    add("--symbol", default="", help="of rows that name none")
    add("--venue", default="", help="market of the data, such as binance-um or binance-spot")
    add("--stream", default="", help="aggTrade or trade")
    add("--timeframe", default="", help="width of bars, such as 1m")
    add("--zone", default="UTC", help="of times that name none (default UTC)")
    add("--table", default="", help="of a SQLite file")
    add("--whole", action="store_true", help="all rows of a file or nothing of it")
    add("--rejected", metavar="FILE", help="write the rows that were not taken here, as CSV")
    add("--database", help="SQLite file (default as the dashboard's)")
    add("--from", dest="start", default="", help=argparse.SUPPRESS)  # where the command was given
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Import files one after the other; 1 where one of them was refused."""
    given = parser().parse_args(arguments)
    start = Path(given.start or Path.cwd())
    settings = config.load()
    database = start / given.database if given.database else settings.database
    names = {field.name for field in fields(Options)}
    options = Options(**{name: value for name, value in vars(given).items() if name in names})
    market = Market(settings.source if settings.source.startswith("binance") else "binance-um", settings.stream)
    paths = [Path(os.path.normpath(start / Path(name).expanduser())) for name in given.files]
    refused = 0
    results = []
    terminal = Terminal()
    signal.signal(signal.SIGINT, terminal.stop)
    for path in paths:
        try:
            made = plan(path, options, market)
            write("\n".join(told(preview(made))))
            if not given.dry_run:
                results.append(_imported(made, database, terminal))
                write("\n".join(_done(results[-1])))
        except PairscopeError as exc:
            refused += 1
            write(f"{path.name}: {exc}", sys.stderr)
            if terminal.stopped:
                return 130
    if given.rejected:
        rows = [rejected_frame(result.rejected).assign(file=result.name) for result in results]
        whole = pd.concat(rows) if rows else rejected_frame([])
        (start / given.rejected).write_text(csv_text(whole), "utf-8")
    return 1 if refused else 0


def _imported(made: Any, database: Path, terminal: Terminal) -> Result:
    """Import one file, as the only writer of the database."""
    opened = Database(database)
    try:
        connection = opened.connection()

        def put(venue: str, symbol: str, timeframe: str, frame: pd.DataFrame) -> tuple[int, int]:
            with sqlite.transaction(connection):
                return sqlite.add_bars(connection, venue, symbol, timeframe, frame)

        def beside(owner: stored.Owner, span: stored.Span) -> Iterable[stored.Trades]:
            return stored.trade_pages(database, owner, span)

        archive = Archive.beside(database)
        return run(made, archive, put, beside, terminal.tell, lambda: terminal.stopped)
    except DatabaseBusy as exc:
        raise PairscopeError(f"{exc}: import on its Data page, or stop it first") from exc
    finally:
        opened.close()


def told(seen: Preview) -> list[str]:
    """A preview as lines of text."""
    options = seen.options
    what = f"trades ({options.stream})" if seen.kind == "ticks" else f"{options.timeframe} bars"
    columns = ", ".join(f"{role} from {name!r}" for role, name in seen.columns.items())
    units = ", ".join(f"{unit} in {rows:,}" for unit, rows in seen.units.items())
    part = "all" if seen.whole else "the first"
    lines = [
        f"{seen.name}: {seen.form}, {seen.bytes:,} bytes",
        f"  holds    {what} of {', '.join(seen.symbols) or 'nobody'}, market {options.venue}",
        f"  columns  {columns}",
        f"  times    {units or 'none'}; from {_time(seen.first_us)} to {_time(seen.last_us)}",
        f"  rows     of {part} {seen.rows:,}: {seen.taken:,} taken, {seen.rejected_rows:,} rejected",
    ]
    lines += [f"  note     {note}" for note in seen.notes]
    return lines + [f"  line {row.line:,}: {row.reason}: {row.text}" for row in seen.rejected[:REJECTED_TOLD]]


def _done(result: Result) -> list[str]:
    reasons = ", ".join(f"{reason} {count:,}" for reason, count in sorted(result.reasons.items()))
    lines = [
        f"  done     {result.rows:,} rows: {result.added:,} added, {result.known:,} known, "
        f"{result.rejected_rows:,} rejected{f' ({reasons})' if reasons else ''}"
    ]
    if result.bettered:
        lines.append(f"           {result.bettered:,} bars took the place of bars that missed trades")
    if result.kind == "ticks":
        lines.append(f"           {result.days:,} day files, {result.bars:,} bars of a minute")
    return [*lines, *(["           went on where an earlier import was interrupted"] if result.resumed else [])]


def _time(us: int | None) -> str:
    return "nowhere" if us is None else iso_from_us(us)


def write(text: str, to: Any = None) -> None:
    """One or more lines."""
    (to or sys.stdout).write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
