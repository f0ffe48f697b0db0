"""The SQLite file: schema, migrations, what is written, and short reads.

A trade takes one row of integers: price and quantity in units of a decimal scale that its instrument carries. A
value that no scale up to MAX_SCALE holds to the last bit is kept as it is, in `trade_exact`. The views put plain
numbers together again: integer / 10^scale is the very float that arrived (both are exact, division rounds once).

SQLite 3.7.0 to 3.51.2 can corrupt a write-ahead log when two connections write or checkpoint at once, so one
connection of one process writes and checkpoints; readers are read-only and never checkpoint.
"""

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analytics.resampling import BarColumns, timeframe_us
from data.trades import Trades
from utils.errors import DatabaseDamaged, SchemaTooNew, StorageError

SCHEMA_VERSION = 3
MAX_SCALE = 12  # decimals; 10^12 is an exact float
MAX_UNITS = 2**53  # integers up to here are exact floats
EPOCH_US = 1_767_225_600_000_000  # 2026; a time less than 4.4 years from here takes six bytes instead of eight
BUSY_MS = 2_000
STATEMENT_ROWS = 1_024  # inserted at once, at most: a power of two
WRITERS = "one"  # connections that write or checkpoint, whatever the version
LOG_LIMIT = 16 << 20  # bytes; a log that grew beyond, since somebody was reading, is cut back to this
# Files up to these sizes are searched for damage when they are opened: a second for 256 MB, or five from a slow disk.
# Larger ones are not, so that the capture goes on at once; what is broken there shows when it is touched.
SEARCHED_CLEAN = 64 << 20
SEARCHED_UNCLEAN = 256 << 20  # closed by a sudden death: its log was left behind
BACKUP_PAGES = 4_096  # copied at a time; between two such steps others may write
HEADER = b"SQLite format 3\0"
OUR_MARK = b"TABLE trade_exact"

SCHEMA = """
create table instrument (
    instrument integer primary key, venue text not null, stream text not null, symbol text not null,
    price_scale integer not null, qty_scale integer not null, unique (venue, stream, symbol));
-- since_us counts from EPOCH_US. qty is negative where the buyer was the maker (the taker sold): the sign is free and
-- a column is not.
create table trade (
    instrument integer not null, trade_id integer not null, since_us integer not null,
    price integer not null, qty integer not null, primary key (instrument, trade_id)) without rowid;
create table trade_exact (
    instrument integer not null, trade_id integer not null, ts_us integer not null,
    price real not null, qty real not null, primary key (instrument, trade_id)) without rowid;
create table bar (
    venue text not null, symbol text not null, timeframe text not null, ts_us integer not null,
    open real not null, high real not null, low real not null, close real not null, volume real not null,
    vwap real, trades integer not null, taker_buy_volume real not null, complete integer not null,
    primary key (venue, symbol, timeframe, ts_us)) without rowid;
create table gap (
    venue text not null, stream text not null, symbol text not null, first_id integer not null,
    last_id integer not null, cause text not null, found_us integer not null, filled_us integer,
    note text not null default '', primary key (venue, stream, symbol, first_id, found_us)) without rowid;
create table note (key text primary key, value text not null);
create table alert_rule (rule_id text primary key, body text not null, position integer not null);
create table alert_event (
    number integer primary key, event_id text not null, rule_id text not null, name text not null,
    metric text not null, state text not null, severity text not null, venue text not null,
    symbol_y text not null, symbol_x text not null, timeframe text not null, at_us integer not null,
    value real, threshold real not null, text text not null, rule_version integer not null default 1,
    silenced integer not null default 0, context text, outcome text);
create index alert_event_of_rule on alert_event (rule_id, number);
create index alert_event_by_id on alert_event (event_id);
create table alert_state (
    rule_id text not null, venue text not null, body text not null, primary key (rule_id, venue)) without rowid;
create table alert_outbox (
    number integer primary key, channel text not null, key text not null, body text not null, status text not null,
    attempts integer not null, detail text not null, event_id text not null, changed_us integer not null,
    unique (channel, key));
create index alert_outbox_by_status on alert_outbox (status, number);
"""


def _power(column: str) -> str:
    """10^column as SQL for every SQLite, with math functions or without."""
    cases = " ".join(f"when {scale} then 1e{scale}" for scale in range(MAX_SCALE + 1))
    return f"case {column} {cases} end"


VIEWS = f"""
create view trades as
    select venue, stream, symbol, trade_id, since_us + {EPOCH_US} ts_us,
           price / ({_power("price_scale")}) price, abs(qty) / ({_power("qty_scale")}) qty, qty < 0 buyer_is_maker
    from trade join instrument using (instrument)
    union all
    select venue, stream, symbol, trade_id, ts_us, price, abs(qty), qty < 0
    from trade_exact join instrument using (instrument);
create view bars as
    select venue, symbol, timeframe, ts_us, open, high, low, close, volume, vwap, trades, taker_buy_volume, complete
    from bar;
create view gaps as select venue, stream, symbol, first_id, last_id, cause, found_us, filled_us, note from gap;
create view alert_history as
    select event_id, rule_id, name, metric, state, severity, venue, symbol_y, symbol_x, timeframe, at_us, value,
           threshold, text, number, rule_version, silenced, context, outcome
    from alert_event;
"""
VIEW_NAMES = ("trades", "bars", "gaps", "alert_history")  # present in every version: readers rely on them

# What makes a file of the version before into one of this version. Views are made anew after the last step.
MIGRATIONS = {
    2: (
        "create table note (key text primary key, value text not null)",
        "alter table gap add column note text not null default ''",
    ),
    3: (
        "alter table alert_event add column rule_version integer not null default 1",
        "alter table alert_event add column silenced integer not null default 0",
        "alter table alert_event add column context text",
        "alter table alert_event add column outcome text",
        "create index alert_event_of_rule on alert_event (rule_id, number)",
        "create index alert_event_by_id on alert_event (event_id)",
        "create table alert_state (\n    rule_id text not null, venue text not null, body text not null, "
        "primary key (rule_id, venue)) without rowid",
        "create table alert_outbox (\n    number integer primary key, channel text not null, key text not null, "
        "body text not null, status text not null,\n    attempts integer not null, detail text not null, "
        "event_id text not null, changed_us integer not null,\n    unique (channel, key))",
        "create index alert_outbox_by_status on alert_outbox (status, number)",
    ),
}


def breaks_shared_logs(version: tuple[int, int, int]) -> bool:
    """Whether a SQLite can corrupt a log that two connections write; branches 3.44 and 3.50 were repaired."""
    repaired = {44: 6, 50: 7}
    return (3, 7, 0) <= version <= (3, 51, 2) and version[2] < repaired.get(version[1], 1_000)


# --- opening --------------------------------------------------------------------------------------


def open_writer(path: Path) -> sqlite3.Connection:
    """The one writing connection; the file and its folder are made where absent, readable by their owner only.

    An older file is copied to `<name>.v<version>-backup` and brought up to this version.

    Raises
    ------
    SchemaTooNew
        The file was written by a newer version; it is left untouched.
    DatabaseDamaged
        The file is ours and cannot be read as it is; it is left untouched.
    StorageError
        The file is not a database or one of another program, which is left untouched, or it cannot be opened.
    """
    connection = None
    try:
        if not path.parent.exists():
            path.parent.mkdir(mode=0o700, parents=True)
        version = look(path)
        if version > SCHEMA_VERSION:
            raise SchemaTooNew(f"{path} has schema {version}, this version knows up to {SCHEMA_VERSION}")
        if not path.exists():
            path.touch(mode=0o600)
        connection = sqlite3.connect(path, isolation_level=None, timeout=BUSY_MS / 1_000, check_same_thread=False)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = normal")
        connection.execute(f"pragma journal_size_limit = {LOG_LIMIT}")
        if version == 0:
            _create(connection)
        elif version < SCHEMA_VERSION:
            _migrate(connection, path, version)
        return connection
    except (OSError, sqlite3.Error) as exc:
        if connection is not None:
            connection.close()
        raise storage_error(f"{path} cannot be used as database", exc) from exc


@contextmanager
def reading(path: Path, options: str = "") -> Iterator[sqlite3.Connection]:
    """A read-only connection for a few short queries; `options` are further ones of SQLite's file addresses.

    All of them see the file as it was at the first: decimals and the integers that they are of belong together. It
    never folds the log into the file: that is for the writer alone.

    Raises
    ------
    StorageError
    """
    if not options and (_is_empty(path) or not (os.access(path.parent, os.W_OK) or log_bytes(path))):
        # Beside an empty file even a reader deletes the log. A disk that cannot be written takes no index of a log.
        options = "&immutable=1"
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro{options}"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None, timeout=BUSY_MS / 1_000)) as connection:
            connection.execute("begin")
            yield connection
    except sqlite3.Error as exc:
        raise storage_error(f"{path} cannot be read", exc) from exc


def look(path: Path) -> int:
    """Schema version of a file, looked at without touching it; 0 for one that is empty or not there.

    Raises
    ------
    DatabaseDamaged, StorageError
    """
    logged = log_bytes(path)
    if not path.exists() or _is_empty(path):
        if logged:
            raise DatabaseDamaged(f"{path} is empty or gone, and its log is not")
        return 0
    with path.open("rb") as file:
        beginning = file.read(1 << 20)
    if not beginning.startswith(HEADER):
        if OUR_MARK in beginning and b"\0" in beginning:  # a dump in SQL is text
            raise DatabaseDamaged(f"{path} cannot be read: its header is overwritten")
        raise StorageError(f"{path} cannot be used as database: file is not a database")
    # A plain look at a file in write-ahead mode leaves an empty log beside it.
    with reading(path, "" if logged else "&immutable=1") as connection:
        version = int(connection.execute("pragma user_version").fetchone()[0])
        kinds = dict(connection.execute("select name, type from sqlite_master").fetchall())
        if (kinds or version) and not (version and all(kinds.get(name) == "view" for name in VIEW_NAMES)):
            raise StorageError(f"{path} is a database of another program: it lacks our schema number or views")
        if version <= SCHEMA_VERSION and path.stat().st_size <= (SEARCHED_UNCLEAN if logged else SEARCHED_CLEAN):
            (found,) = connection.execute("pragma quick_check(1)").fetchone()
            if found != "ok":
                raise DatabaseDamaged(f"{path} is damaged: {' '.join(found.split())}")
    return version


def storage_error(what: str, exc: Exception) -> StorageError:
    """Our error for one of SQLite or the system."""
    return (DatabaseDamaged if is_damage(exc) else StorageError)(f"{what}: {exc}")


def is_damage(exc: BaseException) -> bool:
    """Whether an error of SQLite says that the file itself is broken."""
    return _code(exc) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def may_pass(exc: BaseException) -> bool:
    """Whether an error is one of the disk, which a later attempt may not meet, rather than one of the file."""
    cause = exc.__cause__ or exc
    if isinstance(cause, OSError):
        return cause.errno in (errno.EROFS, errno.ENOSPC, errno.EDQUOT, errno.EIO)
    return _code(cause) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)


def needs_reopening(exc: BaseException) -> bool:
    """Whether a connection that met this error is better closed: it may never see that the disk is well again."""
    return _code(exc) in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN)


def _code(exc: BaseException) -> int:
    """SQLite's own number of an error, without its details; 0 where it has none."""
    return getattr(exc, "sqlite_errorcode", 0) & 0xFF


def _is_empty(path: Path) -> bool:
    return path.is_file() and path.stat().st_size == 0


def log_of(path: Path) -> Path:
    """The write-ahead log of a file, there or not."""
    target = path.resolve()
    return target.with_name(target.name + "-wal")


def log_bytes(path: Path) -> int:
    """Size of the write-ahead log of a file; 0 where there is none."""
    try:
        return log_of(path).stat().st_size
    except OSError:
        return 0


def set_aside(path: Path, at: str, parts: tuple[str, ...] = ("", "-wal", "-shm"), why: str = "corrupt") -> Path:
    """Give a file and its log another name, `<name>.<why>-<at>`, so that a new one can be made; the new name.

    Raises
    ------
    StorageError
    """
    target = path.resolve()
    kept = target.with_name(f"{target.name}.{why}-{at}")
    try:
        for ending in parts:
            part = target.with_name(target.name + ending)
            if part.exists():
                part.rename(kept.with_name(kept.name + ending))
    except OSError as exc:
        state = "is damaged and" if why == "corrupt" else "stands in the way and"
        raise StorageError(f"{target} {state} cannot be moved aside: {exc}") from exc
    return kept


RULES = "alert_rule"
Rescued = dict[str, list[tuple[Any, ...]]]  # table -> rows


def rescue(connection: sqlite3.Connection) -> Rescued:
    """What a new file takes over from one that is given up, as far as it can still be read."""
    rows: Rescued = {}
    for table in (RULES, "note", "alert_state", "alert_outbox"):
        with suppress(sqlite3.Error):
            rows[table] = connection.execute(f"select * from {table}").fetchall()
    return rows


def restore(connection: sqlite3.Connection, rescued: Rescued) -> None:
    """Put what was rescued into a new file."""
    for table, rows in rescued.items():
        for row in rows:
            connection.execute(f"insert or ignore into {table} values ({','.join('?' * len(row))})", row)


def _create(connection: sqlite3.Connection) -> None:
    """Make tables and views in an empty file, all or nothing."""
    with transaction(connection):
        _execute(connection, SCHEMA + VIEWS)
        connection.execute(f"pragma user_version = {SCHEMA_VERSION}")


def _execute(connection: sqlite3.Connection, script: str) -> None:
    """Run statements one by one: `executescript` would commit first."""
    for statement in script.split(";\n"):
        if statement.strip():
            connection.execute(statement)


def _migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Copy an older file to `<name>.v<version>-backup`, then bring it up to this version, all or nothing."""
    back_up(connection, path.with_name(f"{path.name}.v{version}-backup"))
    with transaction(connection):
        for view in VIEW_NAMES:
            connection.execute(f"drop view {view}")
        for step in range(version + 1, SCHEMA_VERSION + 1):
            for statement in MIGRATIONS[step]:
                connection.execute(statement)
        _execute(connection, VIEWS)
        connection.execute(f"pragma user_version = {SCHEMA_VERSION}")


def back_up(
    connection: sqlite3.Connection, target: Path, told: Callable[[int, int], None] = lambda done, total: None
) -> None:
    """A whole copy of the file under its final name, or none: a start that is killed here begins again.

    `told` hears how many pages of how many are copied. On a connection that reads already, the copy is of that moment,
    whatever is written meanwhile.
    """
    part = target.with_name(target.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    with closing(sqlite3.connect(part)) as copy:
        connection.backup(copy, pages=BACKUP_PAGES, progress=lambda _, left, total: told(total - left, total))
        copy.execute("pragma journal_mode = delete")  # one file, no log beside it
    part.replace(target)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Commit what happens inside, or nothing of it."""
    connection.execute("begin immediate")
    try:
        yield
        connection.execute("commit")
    except BaseException:
        if connection.in_transaction:  # a full disk has already rolled it back
            connection.execute("rollback")
        raise


# --- writing: every function runs inside a transaction of the writer ---------------------------------


@dataclass(slots=True)
class Instrument:
    """One symbol of one stream of one venue in the file."""

    number: int
    price_scale: int
    qty_scale: int


def instrument(connection: sqlite3.Connection, venue: str, stream: str, symbol: str) -> Instrument:
    """The instrument's row, made on first use."""
    key = (venue, stream, symbol)
    connection.execute("insert or ignore into instrument values (null, ?, ?, ?, 0, 0)", key)
    query = "select instrument, price_scale, qty_scale from instrument where (venue, stream, symbol) = (?, ?, ?)"
    return Instrument(*connection.execute(query, key).fetchone())


def insert_trades(connection: sqlite3.Connection, owner: Instrument, trades: Trades) -> int:
    """Store trades; those whose id is stored already are left as they are. Returns how many were new."""
    _widen(connection, owner, trades)
    prices, prices_fit = _units(trades.price, owner.price_scale)
    quantities, quantities_fit = _units(trades.qty, owner.qty_scale)
    fit = prices_fit & quantities_fit & ~_kept_exactly(connection, owner, trades.trade_id)
    sign = np.where(trades.buyer_is_maker, -1, 1)
    before = connection.total_changes
    number = owner.number
    if fit.any():
        table = (
            trades.trade_id[fit],
            trades.ts_us[fit] - EPOCH_US,
            prices[fit].astype(np.int64),
            (quantities[fit] * sign[fit]).astype(np.int64),
        )
        _insert(connection, number, np.column_stack(table))
    if not fit.all():
        odd = trades[~fit]
        rows = zip(
            odd.trade_id.tolist(),
            odd.ts_us.tolist(),
            odd.price.tolist(),
            (odd.qty * sign[~fit]).tolist(),
            odd.trade_id.tolist(),
            strict=True,
        )
        connection.executemany(
            f"insert or ignore into trade_exact select {number}, ?, ?, ?, ? where not exists "
            f"(select 1 from trade where instrument = {number} and trade_id = ?)",
            rows,
        )
    return connection.total_changes - before


def _insert(connection: sqlite3.Connection, number: int, table: np.ndarray) -> None:
    """Insert rows of (trade_id, since_us, price, qty) that are not there yet.

    Many with one statement: between two statements the interpreter's lock has to be waited for, behind whoever
    computes. The last one names its last row again until it is a power of two long, so that few are ever compiled.
    SQLite before 3.32 takes no more than 999 parameters.
    """
    fitting = (connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER) - 1) // table.shape[1]
    most = min(STATEMENT_ROWS, 1 << (fitting.bit_length() - 1))
    for start in range(0, len(table), most):
        rows = table[start : start + most]
        size = 1 << (len(rows) - 1).bit_length()
        padded = rows[np.minimum(np.arange(size), len(rows) - 1)]
        connection.execute(_insert_statement(size), [number, *padded.ravel().tolist()])


@cache
def _insert_statement(rows: int) -> str:
    values = ", ".join(["(?1, ?, ?, ?, ?)"] * rows)
    return f"insert or ignore into trade (instrument, trade_id, since_us, price, qty) values {values}"


def _kept_exactly(connection: sqlite3.Connection, owner: Instrument, ids: np.ndarray) -> np.ndarray:
    """Whether each id is in `trade_exact`: it stays there alone, though integers might hold its trade by now."""
    query = "select trade_id from trade_exact where instrument = ? and trade_id between ? and ?"
    found = connection.execute(query, (owner.number, int(ids.min()), int(ids.max()))).fetchall()
    return np.isin(ids, np.array(found, np.int64))


def _units(values: np.ndarray, scale: int) -> tuple[np.ndarray, np.ndarray]:
    """Values in units of 10^-scale as whole floats, and whether each gives the same float back."""
    with np.errstate(over="ignore"):  # infinitely many units do not fit
        units = np.rint(values * 10.0**scale)
    return units, (units < MAX_UNITS) & (units / 10.0**scale == values)


def _scale(values: np.ndarray, at_least: int, largest_units: int) -> int:
    """The least scale from `at_least` on that holds as many of the values exactly as any larger one.

    `largest_units` is the largest integer stored at `at_least`; it has to stay exact as well.
    """
    room = MAX_SCALE - at_least
    while room and largest_units * 10**room >= MAX_UNITS:
        room -= 1
    fitting = [int(_units(values, scale)[1].sum()) for scale in range(at_least, at_least + room + 1)]
    return at_least + int(np.argmax(fitting))


def _widen(connection: sqlite3.Connection, owner: Instrument, trades: Trades) -> None:
    """Give an instrument the decimals that its new trades need; rare, and soon after its first ones."""
    scales = owner.price_scale, owner.qty_scale
    if all(_units(v, scale)[1].all() for v, scale in zip((trades.price, trades.qty), scales, strict=True)):
        return
    if (_scale(trades.price, scales[0], 0), _scale(trades.qty, scales[1], 0)) == scales:
        return  # no scale holds these values; the search below would read all trades to no use
    query = "select ifnull(max(price), 0), ifnull(max(abs(qty)), 0) from trade where instrument = ?"
    largest = connection.execute(query, (owner.number,)).fetchone()
    price_scale = _scale(trades.price, owner.price_scale, largest[0])
    qty_scale = _scale(trades.qty, owner.qty_scale, largest[1])
    if (price_scale, qty_scale) == scales:
        return
    factors = 10 ** (price_scale - owner.price_scale), 10 ** (qty_scale - owner.qty_scale)
    connection.execute(
        "update trade set price = price * ?, qty = qty * ? where instrument = ?", (*factors, owner.number)
    )
    connection.execute(
        "update instrument set price_scale = ?, qty_scale = ? where instrument = ?",
        (price_scale, qty_scale, owner.number),
    )
    owner.price_scale, owner.qty_scale = price_scale, qty_scale


BAR_COLUMNS = ("open", "high", "low", "close", "volume", "vwap", "trades", "taker_buy_volume", "complete")
BAR_TYPES = dict.fromkeys(BAR_COLUMNS, np.float64) | {"ts_us": np.int64, "trades": np.int64, "complete": np.bool_}


def put_bars(connection: sqlite3.Connection, venue: str, symbol: str, timeframe: str, frame: pd.DataFrame) -> None:
    """Store bars; a bar that is there already is replaced."""
    columns = [frame.index.asi8.tolist(), *(frame[name].to_numpy().tolist() for name in BAR_COLUMNS)]
    rows = [(venue, symbol, timeframe, *row) for row in zip(*columns, strict=True)]
    connection.executemany("insert or replace into bar values (?,?,?,?,?,?,?,?,?,?,?,?,?)", rows)


def add_bars(
    connection: sqlite3.Connection, venue: str, symbol: str, timeframe: str, frame: pd.DataFrame
) -> tuple[int, int]:
    """Store bars beside those that are there: one that is there gives way only to one that misses less.

    Returns how many were new, and how many took the place of another.
    """
    columns = [frame.index.asi8.tolist(), *(frame[name].to_numpy().tolist() for name in BAR_COLUMNS)]
    rows = [(venue, symbol, timeframe, *row) for row in zip(*columns, strict=True)]
    among = "select count(*) from bar where (venue, symbol, timeframe) = (?, ?, ?) and ts_us between ? and ?"
    span = (venue, symbol, timeframe, int(frame.index.asi8.min()), int(frame.index.asi8.max()))
    changes, (had,) = connection.total_changes, connection.execute(among, span).fetchone()
    taken = ", ".join(f"{name} = excluded.{name}" for name in BAR_COLUMNS)
    connection.executemany(
        "insert into bar values (?,?,?,?,?,?,?,?,?,?,?,?,?) on conflict (venue, symbol, timeframe, ts_us) do update "
        f"set {taken} where excluded.complete > bar.complete "
        "or (excluded.complete = bar.complete and not bar.complete and excluded.trades > bar.trades)",
        rows,
    )
    new = connection.execute(among, span).fetchone()[0] - had
    return new, connection.total_changes - changes - new


def put_gap(connection: sqlite3.Connection, venue: str, stream: str, row: Mapping[str, Any]) -> None:
    """Store a gap, or what became of it."""
    keys = ("symbol", "first_id", "last_id", "cause", "found_us", "filled_us")
    values = (venue, stream, *(row[key] for key in keys), row.get("note", ""))
    connection.execute("insert or replace into gap values (?,?,?,?,?,?,?,?,?)", values)


def put_note(connection: sqlite3.Connection, key: str, value: str) -> None:
    """Store a value that has to outlive the process; one of the same key is replaced."""
    connection.execute("insert or replace into note values (?, ?)", (key, value))


def drop_note(connection: sqlite3.Connection, key: str) -> None:
    """Forget a value."""
    connection.execute("delete from note where key = ?", (key,))


def prune(connection: sqlite3.Connection, before_us: int, rows: int) -> int:
    """Delete up to `rows` trades older than `before_us`, and the gaps before those that stay; how many trades went.

    Within an instrument trades are taken by increasing id, which is their order in time. Bars stay.
    """
    older = connection.execute(
        "select instrument from instrument i where "
        "(select since_us from trade where instrument = i.instrument order by trade_id limit 1) < ? or "
        "(select ts_us from trade_exact where instrument = i.instrument order by trade_id limit 1) < ?",
        (before_us - EPOCH_US, before_us),
    ).fetchall()
    gone = 0
    for (number,) in older:
        if gone >= rows:
            break
        for table, column, before in ("trade", "since_us", before_us - EPOCH_US), ("trade_exact", "ts_us", before_us):
            gone += connection.execute(
                f"delete from {table} where instrument = :number and {column} < :before and trade_id <= "
                f"(select max(trade_id) from (select trade_id, {column} from {table} where instrument = :number "
                f"order by trade_id limit :rows) where {column} < :before)",
                {"number": number, "before": before, "rows": max(rows - gone, 0)},
            ).rowcount
        _prune_gaps(connection, number, before_us)
    return gone


def _prune_gaps(connection: sqlite3.Connection, number: int, before_us: int) -> None:
    """Delete the gaps of an instrument before its first trade; those found before a time when it has no trade left."""
    query = (
        "select min(first) from (select min(trade_id) first from trade where instrument = ? "
        "union all select min(trade_id) from trade_exact where instrument = ?)"
    )
    (first,) = connection.execute(query, (number, number)).fetchone()
    older = ("found_us < ?", before_us) if first is None else ("last_id < ?", first)
    connection.execute(
        f"delete from gap where {older[0]} and (venue, stream, symbol) = "
        "(select venue, stream, symbol from instrument where instrument = ?)",
        (older[1], number),
    )


def oldest_us(connection: sqlite3.Connection) -> int | None:
    """Time of the oldest trade, as far as ids tell it."""
    query = (
        f"select min(us) from (select {EPOCH_US} + (select since_us from trade where instrument = i.instrument "
        "order by trade_id limit 1) us from instrument i union all select (select ts_us from trade_exact "
        "where instrument = i.instrument order by trade_id limit 1) from instrument i)"
    )
    return connection.execute(query).fetchone()[0]


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes of the file that hold something; the rest is free for new rows."""
    pages, free, size = (
        connection.execute(f"pragma {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size")
    )
    return (pages - free) * size


# --- reading ----------------------------------------------------------------------------------------


def read_trades(
    path: Path, venue: str, stream: str, symbol: str, *, limit: int | None = None, since_us: int = 0
) -> Trades:
    """The newest `limit` stored trades of one symbol from `since_us` on, by increasing id.

    Raises
    ------
    StorageError
    """
    span = f"instrument = ? order by trade_id desc limit {-1 if limit is None else limit}"
    trades = _read_rows(path, (venue, stream, symbol), span, ())
    if since_us:
        trades = trades[trades.ts_us >= since_us]
    return trades if limit is None else trades[-limit:]


def read_ids(path: Path, venue: str, stream: str, symbol: str, first_id: int, last_id: int) -> Trades:
    """The stored trades of one symbol between two ids, both included, by increasing id.

    Raises
    ------
    StorageError
    """
    span = "instrument = ? and trade_id between ? and ?"
    return _read_rows(path, (venue, stream, symbol), span, (first_id, last_id))


def read_beside(path: Path, venue: str, stream: str, symbol: str, trade_id: int, rows: int) -> Trades:
    """The nearest stored trades above an id, or below it where `rows` is negative; at most so many, by increasing id.

    Raises
    ------
    StorageError
    """
    side, order = (">", "asc") if rows > 0 else ("<", "desc")
    span = f"instrument = ? and trade_id {side} ? order by trade_id {order} limit {abs(rows)}"
    trades = _read_rows(path, (venue, stream, symbol), span, (trade_id,))
    return trades[:rows] if rows > 0 else trades[rows:]


def _read_rows(path: Path, owner: tuple[str, str, str], span: str, values: tuple[int, ...]) -> Trades:
    """Trades of one symbol by increasing id; `span` is asked of both tables."""
    with reading(path) as connection:
        found = connection.execute(
            "select instrument, price_scale, qty_scale from instrument where (venue, stream, symbol) = (?, ?, ?)", owner
        ).fetchone()
        if found is None:
            return Trades.empty(owner[2])
        number, price_scale, qty_scale = found
        units = f"since_us + {EPOCH_US}, price / 1e{price_scale}, qty / 1e{qty_scale}"
        rows = connection.execute(f"select trade_id, {units} from trade where {span}", (number, *values)).fetchall()
        exact = f"select trade_id, ts_us, price, qty from trade_exact where {span}"
        rows += connection.execute(exact, (number, *values)).fetchall()
    if not rows:
        return Trades.empty(owner[2])
    ids, times, prices, quantities = (np.array(column) for column in zip(*rows, strict=True))
    return Trades.of(owner[2], ids, times, prices, np.abs(quantities), quantities < 0).sorted_by_id()


def read_timeframes(path: Path, venue: str, symbol: str) -> tuple[str, ...]:
    """Widths of which the file has bars of a symbol.

    Raises
    ------
    StorageError
    """
    found: list[str] = []
    with reading(path) as connection:
        while True:  # one step of the index for each width, not one for each bar
            query = "select timeframe from bar where (venue, symbol) = (?, ?) and timeframe > ? order by timeframe"
            row = connection.execute(f"{query} limit 1", (venue, symbol, found[-1] if found else "")).fetchone()
            if row is None:
                return tuple(found)
            found.append(row[0])


def read_bar_times(path: Path, venue: str, symbol: str, timeframe: str, first_us: int, last_us: int) -> np.ndarray:
    """Opens of the stored bars between two times, both included, microseconds.

    Raises
    ------
    StorageError
    """
    query = "select ts_us from bar where (venue, symbol, timeframe) = (?, ?, ?) and ts_us between ? and ?"
    with reading(path) as connection:
        rows = connection.execute(query, (venue, symbol, timeframe, first_us, last_us)).fetchall()
    return np.array([ts_us for (ts_us,) in rows], np.int64)


def read_bar_table(
    path: Path, venue: str, symbol: str, timeframe: str, first_us: int = 0, last_us: int = 2**62
) -> pd.DataFrame:
    """Stored bars that open between two times, both included, oldest first: ts_us and the columns of the view `bars`.

    Raises
    ------
    StorageError
    """
    columns = ("ts_us", *BAR_COLUMNS)
    where = "(venue, symbol, timeframe) = (?, ?, ?) and ts_us between ? and ?"
    query = f"select {','.join(columns)} from bar where {where} order by ts_us"
    with reading(path) as connection:
        rows = connection.execute(query, (venue, symbol, timeframe, first_us, last_us)).fetchall()
    return pd.DataFrame(rows, columns=list(columns)).astype(BAR_TYPES)


def read_bars(path: Path, venue: str, symbol: str, timeframe: str, before_us: int, limit: int) -> BarColumns:
    """The newest stored bars that follow one another up to one that opens at a time, that one left out, oldest first.

    A hole ends them: what lies before it is not given.

    Raises
    ------
    StorageError, TimeframeError
    """
    width_us, columns = timeframe_us(timeframe), ", ".join(BAR_COLUMNS)
    query = (
        f"select ts_us, {columns} from bar where (venue, symbol, timeframe) = (?, ?, ?) and ts_us < ? "
        "order by ts_us desc limit ?"
    )
    with reading(path) as connection:
        rows = connection.execute(query, (venue, symbol, timeframe, before_us, limit)).fetchall()
    table = np.array(rows, np.float64).reshape(-1, 1 + len(BAR_COLUMNS))  # a vwap of null is NaN; times are below 2^53
    expected = before_us - width_us * np.arange(1, len(rows) + 1)
    holes = np.flatnonzero(table[:, 0] != expected)
    table = table[: holes[0] if holes.size else None][::-1]
    named = dict(zip(("ts_us", *BAR_COLUMNS), table.T, strict=True))
    types = {"ts_us": np.int64, "trades": np.int64, "complete": np.bool_}
    return BarColumns(**{name: column.astype(types.get(name, np.float64)) for name, column in named.items()})


def read_notes(path: Path) -> dict[str, str]:
    """All values stored by `put_note`.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        return dict(connection.execute("select key, value from note"))


def read_note(path: Path, key: str) -> str | None:
    """A value stored by `put_note`, if any.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        return get_note(connection, key)


def get_note(connection: sqlite3.Connection, key: str) -> str | None:
    """The same, on a connection that is open."""
    found = connection.execute("select value from note where key = ?", (key,)).fetchone()
    return None if found is None else str(found[0])


GAP_COLUMNS = ("venue", "stream", "symbol", "first_id", "last_id", "cause", "found_us", "filled_us", "note")


def read_gaps(path: Path, venue: str, stream: str, symbol: str) -> list[dict[str, Any]]:
    """Open gaps of one symbol, the oldest first.

    Raises
    ------
    StorageError
    """
    with reading(path) as connection:
        rows = connection.execute(
            f"select {','.join(GAP_COLUMNS)} from gap where (venue, stream, symbol) = (?, ?, ?) "
            "and filled_us is null order by found_us, first_id",
            (venue, stream, symbol),
        ).fetchall()
    return [dict(zip(GAP_COLUMNS, row, strict=True)) for row in rows]
