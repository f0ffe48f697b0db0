"""What will be done with a file: what it is, whose data it holds, and what its first rows come to."""

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analytics.resampling import timeframe_us
from data.importers import lines, tables, text
from data.importers.files import Source, check_checksum, open_source
from data.importers.layout import BARS, TICKS, Columns
from data.importers.rows import Bars, Batch, Rejected, Ticks, checked_symbol, checked_zone, times
from data.trades import Trades
from utils.clock import US_PER_S, iso_from_us
from utils.errors import InputError

ROWS_SHOWN = 20
REJECTED_SHOWN = 1_000
QUOTES = "USDT|USDC|FDUSD|BUSD|USD|BTC|ETH|BNB|EUR|TRY|BRL|JPY"
SYMBOL_IN_NAME = re.compile(rf"(?<![A-Z0-9])([A-Z0-9]{{1,20}}(?:{QUOTES}))(?![A-Z0-9])")
WIDTH_IN_NAME = re.compile(r"(?<![A-Za-z0-9])([1-9][0-9]{0,3}[smhd])(?![A-Za-z0-9])")
DAY_IN_NAME = re.compile(r"-(\d{4}-\d\d(?:-\d\d)?)\.(?:zip|csv)")
WITHOUT_IDS = "ticks"  # stream of trades that have no id of an exchange
UNIT_S = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}

Read = Callable[[int, Callable[[], bool]], Iterator[Batch]]  # parts to pass over, whether to go on -> parts


@dataclass(frozen=True, slots=True)
class Options:
    """What the user says; empty: as the file tells."""

    symbol: str = ""  # of rows that name none
    venue: str = ""  # the market whose data it is, such as binance-um
    stream: str = ""  # aggTrade or trade
    timeframe: str = ""  # of bars
    zone: str = "UTC"  # of times that name none
    table: str = ""  # of a SQLite file
    whole: bool = False  # all rows or nothing


@dataclass(frozen=True, slots=True)
class Market:
    """Where data goes that does not tell where it is from."""

    venue: str = "binance-um"
    stream: str = "aggTrade"


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """A file and how it is going to be read."""

    source: Source
    columns: Columns
    options: Options  # complete, but for a symbol that the rows name
    decimal: str
    read: Read
    told: tuple[str, ...]  # how it is known what the options say
    checksum: bool  # a file beside it agrees
    tables: tuple[str, ...] = ()
    whole_days: bool = False  # an archive of whole days: their first and last bar are whole

    @property
    def has_ids(self) -> bool:
        """Whether each row has an id of the exchange."""
        return "trade_id" in self.columns.roles

    @property
    def resumable(self) -> bool:
        """Whether reading can go on in the middle: no row depends on those before it."""
        roles = self.columns.roles
        return self.columns.kind == BARS or (self.has_ids and bool({"maker", "side"} & roles.keys()))

    def ticks(self) -> Ticks:
        """What turns parts into trades."""
        return Ticks(self.options.symbol, self.options.zone, self.decimal)

    def bars(self) -> Bars:
        """What turns parts into bars."""
        return Bars(self.options.symbol, timeframe_us(self.options.timeframe), self.options.zone, self.decimal)


@dataclass(frozen=True, slots=True, eq=False)
class Preview:
    """What an import would do, from the first rows of a file."""

    name: str
    bytes: int
    form: str  # "CSV in a zip", "JSON lines", ...
    kind: str  # "ticks" or "bars"
    columns: dict[str, str]  # what is taken from which column of the file
    options: Options
    symbols: tuple[str, ...]
    units: dict[str, int]  # unit of times -> rows
    rows: int  # looked at
    whole: bool  # these are all rows of the file
    taken: int
    first_us: int | None
    last_us: int | None
    head: pd.DataFrame  # the first rows, as they would be kept
    rejected: list[Rejected]  # the first REJECTED_SHOWN of those looked at
    rejected_rows: int
    notes: tuple[str, ...] = field(default=())
    tables: tuple[str, ...] = ()


def plan(path: Path, options: Options | None = None, market: Market | None = None) -> Plan:
    """How a file will be read.

    Raises
    ------
    InputError
        It is nothing that can be imported, or what it does not tell is not told by the options either.
    """
    options, market = options or Options(), market or Market()
    source = open_source(path)
    checksum = check_checksum(path)
    columns, decimal, read, found = _form(source, options)
    made = Plan(source, columns, options, decimal, read, (), checksum, found.tables if found else ())
    return _completed(made, market, json.loads(found.meta) if found and found.meta else {})


def _form(source: Source, options: Options) -> tuple[Columns, str, Read, tables.Found | None]:
    if source.form == "parquet":
        found = tables.parquet_of(source)
        return found.columns, ".", lambda skip, go_on: tables.parquet_batches(source, found, skip), found
    if source.form == "sqlite":
        found = tables.sqlite_of(source, options.table)
        return found.columns, ".", lambda skip, go_on: tables.sqlite_batches(source, found, skip, go_on), found
    if source.form == "excel":
        found = tables.excel_of(source)
        return found.columns, ".", lambda skip, go_on: tables.excel_batches(source, found, skip), found
    pieces = source.pieces()
    head = next(pieces, b"")
    pieces.close()  # type: ignore[attr-defined]
    if lines.is_lines(head):
        rows = lines.lines_of(source)
        source.form = "lines"
        return rows.columns, ".", lambda skip, go_on: lines.batches(source, rows, skip), None
    table = text.table_of(source)
    return table.columns, table.decimal, lambda skip, go_on: text.batches(source, table, skip), None


def _completed(made: Plan, market: Market, meta: dict[str, Any]) -> Plan:
    """The plan with whose data it is: what the user says goes before what the file says, and that before its name."""
    given, columns, name = made.options, made.columns, made.source.path.name
    checked_zone(given.zone)
    told: list[str] = []

    def choose(what: str, *ways: tuple[str, str]) -> str:
        value, how = next(((value, how) for value, how in ways if value), ("", ""))
        if value and how:
            told.append(f"{what} {value}: {how}")
        return value

    beside = _manifest(made.source.path) | meta
    by_name = SYMBOL_IN_NAME.search(name.upper())
    symbol = choose(
        "symbol", (given.symbol, ""), (str(beside.get("symbol", "")), "by its manifest"),
        *(() if "symbol" in columns.roles else ((by_name[1] if by_name else "", "by the file's name"),)),
    )  # fmt: skip
    venue = choose(
        "market", (given.venue, ""), (str(beside.get("venue", "")), "by its manifest"),
        (columns.venue, "by its columns"), (_venue_of(made.source.path), "by where it lies"),
        (market.venue, "as nothing tells it"),
    )  # fmt: skip
    if not re.fullmatch("[a-z0-9][a-z0-9-]{0,31}", venue):
        raise InputError(f"market must be small letters, digits and dashes, was {venue[:40]!r}", "venue")
    filled = replace(given, symbol=checked_symbol(symbol) if symbol else "", venue=venue)
    made = replace(made, options=filled)
    if columns.kind == TICKS:
        stream = choose(
            "stream", (given.stream, ""), ("" if made.has_ids else WITHOUT_IDS, "as the rows have no ids"),
            (str(beside.get("stream", "")), "by its manifest"), (columns.stream, "by its columns"),
            ("aggTrade" if "aggtrade" in name.lower() else "", "by the file's name"),
            (market.stream, "as nothing tells it"),
        )  # fmt: skip
        if stream not in ("aggTrade", "trade", WITHOUT_IDS):
            raise InputError(f"stream must be aggTrade or trade, was {stream[:40]!r}", "stream")
        whole_days = bool(DAY_IN_NAME.search(made.source.path.name)) and made.has_ids
        return replace(made, options=replace(filled, stream=stream), told=tuple(told), whole_days=whole_days)
    in_name = WIDTH_IN_NAME.search(name)
    width = choose(
        "bar width", (given.timeframe, ""), (str(beside.get("timeframe", "")), "by its manifest"),
        (_spacing(made), "by the distance of its rows"), (in_name[1] if in_name else "", "by the file's name"),
    )  # fmt: skip
    if not width:
        raise InputError(f"{name} does not tell how wide its bars are: name it, such as 1m", "timeframe")
    timeframe_us(width)
    return replace(made, options=replace(filled, timeframe=width), told=tuple(told))


def _manifest(path: Path) -> dict[str, Any]:
    """What the manifest of an export of ours beside a file says."""
    beside = path.with_name(path.name + ".manifest.json")
    try:
        said = json.loads(beside.read_text("utf-8")) if beside.is_file() else {}
    except (OSError, ValueError):
        return {}
    source = said.get("source", {}) if isinstance(said, dict) else {}
    return source if isinstance(source, dict) else {}


def _venue_of(path: Path) -> str:
    words = set(re.split(r"[^a-z0-9]+", str(path.resolve()).lower()))
    if words & {"um", "usdm", "futures"}:
        return "binance-um"
    return "binance-spot" if "spot" in words else ""


def _spacing(made: Plan) -> str:
    """The width of bars by the most frequent distance of their times, of one symbol; empty where no width fits."""
    first = next(made.read(0, lambda: True), None)
    if first is None or not len(first):
        return ""
    us, _ = times(first.columns["ts"], made.options.zone)
    if "symbol" in first.columns:
        names = first.columns["symbol"].to_pylist()
        us = us[[name == names[0] for name in names]]
    steps = Counter(np.diff(np.unique(us[us >= 0])).tolist())
    width_us = steps.most_common(1)[0][0] if steps else 0
    if not width_us or width_us % US_PER_S:
        return ""
    seconds = width_us // US_PER_S
    unit = next(name for name, size in UNIT_S.items() if seconds % size == 0)
    return f"{seconds // UNIT_S[unit]}{unit}" if seconds <= UNIT_S["d"] else ""


# --- preview ----------------------------------------------------------------------------------------


def preview(made: Plan) -> Preview:
    """What an import would do, by the first part of the rows; nothing is written.

    Raises
    ------
    InputError
    """
    parts = made.read(0, lambda: True)
    first = next(parts, None)
    whole = first is None or next(parts, None) is None
    if first is None or not (len(first) or first.rejected):
        raise InputError(f"{made.source.path.name} holds no rows", "file")
    head, rejected, units, symbols, ends, taken = _looked_at(made, first)
    rejected = sorted([*first.rejected, *rejected], key=lambda row: row.line)
    return Preview(
        name=made.source.path.name,
        bytes=made.source.size,
        form=form_text(made.source),
        kind=made.columns.kind,
        columns=dict(made.columns.roles),
        options=made.options,
        symbols=symbols,
        units=units,
        rows=len(first) + len(first.rejected),
        whole=whole,
        taken=taken,
        first_us=ends[0],
        last_us=ends[1],
        head=head,
        rejected=rejected[:REJECTED_SHOWN],
        rejected_rows=len(rejected),
        notes=_notes(made, units),
        tables=made.tables,
    )


Looked = tuple[pd.DataFrame, list[Rejected], dict[str, int], tuple[str, ...], tuple[int | None, int | None], int]


def _looked_at(made: Plan, batch: Batch) -> Looked:
    if made.columns.kind == TICKS:
        ticks = made.ticks()
        trades, rejected = ticks.take(batch)
        frames = [(part.symbol, _ticks_frame(part[:ROWS_SHOWN])) for part in trades]
        us = [part.ts_us for part in trades]
        units = dict(ticks.units)
    else:
        bars = made.bars()
        found, rejected = bars.take(batch)
        frames = [(name, _bars_frame(frame.iloc[:ROWS_SHOWN])) for name, frame in found]
        us = [frame.index.asi8 for _, frame in found]
        units = dict(bars.units)
    shown = [frame.assign(symbol=name) for name, frame in frames]
    head = pd.concat(shown).iloc[:ROWS_SHOWN] if shown else pd.DataFrame()
    ends = (min(int(part.min()) for part in us), max(int(part.max()) for part in us)) if us else (None, None)
    return head, rejected, units, tuple(name for name, _ in frames), ends, sum(part.size for part in us)


def _ticks_frame(trades: Trades) -> pd.DataFrame:
    time = [iso_from_us(us) for us in trades.ts_us.tolist()]
    side = np.where(trades.buyer_is_maker, "sold", "bought")
    return pd.DataFrame(
        {
            "symbol": "",
            "time": time,
            "trade_id": trades.trade_id,
            "price": trades.price,
            "qty": trades.qty,
            "taker": side,
        }
    )


def _bars_frame(frame: pd.DataFrame) -> pd.DataFrame:
    table = frame.drop(columns=["complete"]).reset_index(drop=True)
    table.insert(0, "time", [iso_from_us(us) for us in frame.index.asi8.tolist()])
    table.insert(0, "symbol", "")
    return table


def form_text(source: Source) -> str:
    """What a file is, in words."""
    form = {"text": "delimited text", "lines": "JSON lines", "parquet": "Parquet", "sqlite": "SQLite", "excel": "Excel"}
    packing = {"zip": ", in a zip", "gzip": ", gzipped"}.get(source.packing, "")
    encoding = "" if source.encoding == "utf-8" else f", {source.encoding.upper()}"
    return form[source.form] + encoding + packing


def _notes(made: Plan, units: dict[str, int]) -> tuple[str, ...]:
    """What a user should know before the import."""
    notes = list(made.told)
    if made.checksum:
        notes.append("the CHECKSUM file beside it agrees")
    elif made.source.packing == "zip":
        notes.append("no CHECKSUM file lies beside it: the download is not verified")
    naive = sum(rows for unit, rows in units.items() if unit.startswith("naive"))
    if naive:
        notes.append(f"times name no zone: they are taken as {made.options.zone}")
    if len(units) > 1:
        notes.append("times are in more than one unit, each row is read by its own")
    if made.decimal == ",":
        notes.append("numbers have a decimal comma")
    if made.columns.kind == TICKS and not made.has_ids:
        notes.append("rows have no ids: they get ids by time, and equal rows stay different trades")
    if made.columns.kind == TICKS and not {"maker", "side"} & made.columns.roles.keys():
        notes.append("rows do not tell who was the taker: that is told by the tick rule")
    if made.columns.kind == BARS and "trades" not in made.columns.roles:
        notes.append("bars do not tell how many trades they had: that stays 0, which means not told")
    return tuple(notes)
