"""Columns as they were read become trades and bars; a row that is neither is rejected with its number and reason.

Times are told row by row: seconds, milliseconds, microseconds or nanoseconds by magnitude, or ISO 8601 text. A row
without an id of the exchange gets one from its time and its place among the rows of that time, so that the same file
gives the same ids again: equal rows stay different trades, and a file that comes twice adds nothing.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from config import clean_symbol
from data.trades import Trades
from utils.clock import EARLIEST_US, LATEST_US, US_PER_MS, US_PER_S, is_zone
from utils.errors import InputError

NUMBER = r"^[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?$"
WHOLE = r"^(\d{1,18}|[0-8]\d{18})$"
BUYER_MAKER = ("true", "t", "1", "yes")
SELLER_MAKER = ("false", "f", "0", "no")
SOLD, BOUGHT = ("sell", "s", "ask", "-1"), ("buy", "b", "bid", "1")
IDS_PER_US = 1_000  # rows without an id that one microsecond has room for; later ones take ids of the next
TIMES_KEPT = 200_000  # different times of which it is known how many rows they had, for files that are not in order
TEXT_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was not taken."""

    line: int  # number of the line or row in the file, from 1
    reason: str
    text: str


@dataclass(slots=True, eq=False)
class Batch:
    """Some rows of a file: by role, columns of one length as they were read, and the number of each row."""

    lines: np.ndarray  # int64
    columns: dict[str, pa.Array]
    rejected: list[Rejected] = field(default_factory=list)  # lines that could not be cut into columns
    passed: int = 0  # lines that are no rows: other events, blank ones

    def __len__(self) -> int:
        return self.lines.size


# --- columns to numbers -----------------------------------------------------------------------------


def text_of(column: pa.Array) -> pa.Array:
    """A column as text without blanks around it."""
    if pa.types.is_boolean(column.type):
        return pc.if_else(column, "true", "false")
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    return pc.utf8_trim_whitespace(column if pa.types.is_string(column.type) else column.cast(pa.string()))


def numbers(column: pa.Array, decimal: str = ".") -> np.ndarray:
    """A column as float64; NaN where there is no number."""
    if not _is_text(column):
        return pc.fill_null(column.cast(pa.float64(), safe=False), np.nan).to_numpy(zero_copy_only=False)
    text = text_of(column)
    if decimal == ",":
        text = pc.replace_substring(text, ",", ".")
    found = pc.if_else(pc.match_substring_regex(text, NUMBER), text, None).cast(pa.float64())
    return pc.fill_null(found, np.nan).to_numpy(zero_copy_only=False)


def wholes(column: pa.Array) -> np.ndarray:
    """A column as int64; -1 where there is no whole number of 0 to 2^63 - 1."""
    if _is_text(column):
        text = text_of(column)
        column = pc.if_else(pc.match_substring_regex(text, WHOLE), text, None).cast(pa.int64())
    elif pa.types.is_floating(column.type):
        values = pc.fill_null(column, -1).to_numpy(zero_copy_only=False)
        fits = (values == np.floor(values)) & (values >= 0) & (values < 2.0**53)
        return np.where(fits, values, -1).astype(np.int64)
    return np.maximum(pc.fill_null(column.cast(pa.int64()), -1).to_numpy(zero_copy_only=False), -1)


def times(column: pa.Array, zone: str) -> tuple[np.ndarray, Counter[str]]:
    """Times in microseconds UTC, -1 where there is none, and how many rows were in which unit."""
    if pa.types.is_timestamp(column.type) or pa.types.is_date(column.type):
        return _of_timestamps(column, zone)
    if pa.types.is_floating(column.type):
        return _of_numbers(pc.fill_null(column, np.nan).to_numpy(zero_copy_only=False))
    if not _is_text(column):
        return _of_integers(wholes(column))
    text = text_of(column)
    us, units = _of_integers(wholes(text))
    if (us >= 0).all():
        return us, units
    written = pc.match_substring_regex(text, r"^\d{4}-\d\d-\d\d").to_numpy(zero_copy_only=False)
    if written.any():
        us[written == True], naive = _of_texts(text.filter(pa.array(written == True)), zone)  # noqa: E712
        units["naive text" if naive else "text with offset"] += int((us[written == True] >= 0).sum())  # noqa: E712
    rest = (us < 0) & (written != True)  # noqa: E712
    if rest.any():
        us[rest], more = _of_numbers(numbers(text)[rest])
        units += more
    return us, units


def _of_integers(values: np.ndarray) -> tuple[np.ndarray, Counter[str]]:
    """As `utils.clock.us_from_epoch`, for many."""
    us = np.full(values.size, -1, np.int64)
    units: Counter[str] = Counter()
    for unit, multiply, divide in (("us", 1, 1), ("ms", US_PER_MS, 1), ("ns", 1, 1_000), ("s", US_PER_S, 1)):
        low, high = EARLIEST_US * divide // multiply, LATEST_US * divide // multiply
        rows = (values >= low) & (values < high)
        if found := int(np.count_nonzero(rows)):
            us[rows] = values[rows] * multiply // divide
            units[unit] = found
            if found == values.size:
                break
    return us, units


def _of_numbers(values: np.ndarray) -> tuple[np.ndarray, Counter[str]]:
    """Numbers with a fraction: by magnitude, rounded to microseconds."""
    us = np.full(values.size, -1, np.int64)
    units: Counter[str] = Counter()
    for unit, factor in (("us", 1.0), ("ms", 1e3), ("ns", 1e-3), ("s", 1e6)):
        scaled = values * factor
        rows = (scaled >= EARLIEST_US) & (scaled < LATEST_US)
        if found := int(np.count_nonzero(rows)):
            us[rows] = np.rint(scaled[rows]).astype(np.int64)
            units[unit] += found
    return us, units


def _of_texts(text: pa.Array, zone: str) -> tuple[np.ndarray, bool]:
    """Times from ISO 8601 text, and whether the first one names no offset."""
    naive = not pc.match_substring_regex(text, r"(Z|[+-]\d\d(:?\d\d)?)$")[0].as_py()
    values = pd.Series(text.to_pandas())
    if naive and zone != "UTC":
        moments = pd.to_datetime(values, format="ISO8601", errors="coerce")
        moments = moments.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT").dt.tz_convert("UTC")
    else:
        moments = pd.to_datetime(values, format="ISO8601", errors="coerce", utc=True)
    return _in_range(moments), naive


def _of_timestamps(column: pa.Array, zone: str) -> tuple[np.ndarray, Counter[str]]:
    moments = column.cast(pa.timestamp("us", getattr(column.type, "tz", None)), safe=False).to_pandas()
    naive = moments.dt.tz is None
    if naive:
        moments = moments.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    us = _in_range(moments.dt.tz_convert("UTC"))
    return us, Counter({"naive time" if naive else "time with zone": int((us >= 0).sum())})


def _in_range(moments: pd.Series) -> np.ndarray:
    us = moments.astype("datetime64[us, UTC]").astype("int64").to_numpy()
    return np.where((us >= EARLIEST_US) & (us < LATEST_US) & moments.notna().to_numpy(), us, -1)


def _is_text(column: pa.Array) -> bool:
    kind = column.type
    return pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind)


def _is_in(column: pa.Array, values: tuple[str, ...]) -> np.ndarray:
    found = pc.is_in(pc.utf8_lower(text_of(column)), value_set=pa.array(values))
    return found.to_numpy(zero_copy_only=False).astype(bool)


# --- rows -------------------------------------------------------------------------------------------


class Reasons:
    """Why rows are not taken: the first reason found for each."""

    def __init__(self, rows: int) -> None:
        self.names: list[str] = [""]
        self.of = np.zeros(rows, np.uint8)

    def add(self, wrong: np.ndarray, name: str) -> None:
        """Rows that are wrong, if no reason was found before."""
        if wrong.any():
            self.names.append(name)
            self.of[wrong & (self.of == 0)] = len(self.names) - 1

    def rejected(self, batch: Batch) -> list[Rejected]:
        """The rows that are not taken."""
        rows = np.flatnonzero(self.of)
        return [Rejected(int(batch.lines[i]), self.names[self.of[i]], shown(batch, int(i))) for i in rows[:10_000]] + [
            Rejected(int(batch.lines[i]), self.names[self.of[i]], "") for i in rows[10_000:]
        ]


def shown(batch: Batch, row: int) -> str:
    """A row as it was read, shortened."""
    values = (f"{role}={column[row].as_py()}" for role, column in batch.columns.items())
    return ", ".join(values)[:TEXT_SHOWN]


class Ticks:
    """Turns batches into trades of each symbol, oldest row first.

    symbol : of rows that name none
    zone : of times that name none

    Raises
    ------
    InputError
    """

    def __init__(self, symbol: str, zone: str = "UTC", decimal: str = ".") -> None:
        self._symbol = checked_symbol(symbol) if symbol else ""
        self._zone, self._decimal = checked_zone(zone), decimal
        self.units: Counter[str] = Counter()
        self._sides: dict[str, tuple[float, int]] = {}
        self._places: dict[str, Places] = {}

    def take(self, batch: Batch) -> tuple[list[Trades], list[Rejected]]:
        """Trades by symbol in file order, and the rows that are none."""
        columns = batch.columns
        us, units = times(columns["ts"], self._zone)
        self.units += units
        price, qty = (numbers(columns[role], self._decimal) for role in ("price", "qty"))
        why = Reasons(len(batch))
        why.add(us < 0, "time")
        with np.errstate(invalid="ignore"):
            why.add(~((price > 0) & (price < np.inf)), "price")
            why.add(~((qty > 0) & (qty < np.inf)), "quantity")
        ids = wholes(columns["trade_id"]) if "trade_id" in columns else None
        if ids is not None:
            why.add(ids < 0, "id")
        maker = self._maker(columns, why)
        if "market" in columns:
            why.add(~_is_in(columns["market"], ("market", "true", "false")), "not a trade of the market")
        codes, symbols = self._symbols(columns, why)
        good = why.of == 0
        found = []
        for code, symbol in enumerate(symbols):
            rows = good if codes is None else good & (codes == code)
            if not rows.any():
                continue
            one = slice(None) if rows.all() else rows
            parts = None if ids is None else ids[one], us[one], price[one], qty[one]
            found.append(self._trades(symbol, *parts, None if maker is None else maker[one]))
        return found, why.rejected(batch)

    def _trades(
        self,
        symbol: str,
        ids: np.ndarray | None,
        us: np.ndarray,
        price: np.ndarray,
        qty: np.ndarray,
        maker: np.ndarray | None,
    ) -> Trades:
        if ids is None:
            ids = self._places.setdefault(symbol, Places()).ids(us)
        if maker is None:
            maker, self._sides[symbol] = by_tick_rule(price, self._sides.get(symbol))
        return Trades.of(symbol, ids, us, price, qty, maker)

    def _maker(self, columns: dict[str, pa.Array], why: Reasons) -> np.ndarray | None:
        """Whether the taker sold, where a column tells."""
        if "maker" in columns:
            column = columns["maker"]
            if pa.types.is_boolean(column.type) and not column.null_count:
                return column.to_numpy(zero_copy_only=False)
            sold, bought = _is_in(column, BUYER_MAKER), _is_in(column, SELLER_MAKER)
        elif "side" in columns:
            sold, bought = _is_in(columns["side"], SOLD), _is_in(columns["side"], BOUGHT)
        else:
            return None
        why.add(~(sold | bought), "side")
        return sold

    def _symbols(self, columns: dict[str, pa.Array], why: Reasons) -> tuple[np.ndarray | None, list[str]]:
        return symbols_of(columns, self._symbol, why)


def symbols_of(columns: dict[str, pa.Array], symbol: str, why: Reasons) -> tuple[np.ndarray | None, list[str]]:
    """Number of the symbol of each row, and their names; None where all rows are of one.

    Raises
    ------
    InputError
        Neither the rows nor the caller names one.
    """
    if "symbol" not in columns:
        if not symbol:
            raise InputError("the file does not say which symbol it is of: name it", "symbol")
        return None, [symbol]
    coded = text_of(columns["symbol"]).dictionary_encode()
    codes = pc.fill_null(coded.indices, -1).to_numpy(zero_copy_only=False)
    names: list[str] = []
    same = np.full(len(coded.dictionary), -1)
    for place, text in enumerate(coded.dictionary.to_pylist()):
        try:
            name = clean_symbol(text.replace("/", "").replace("-", ""))
        except ValueError:
            continue
        same[place] = names.index(name) if name in names else len(names)
        if name not in names:
            names.append(name)
    codes = np.where(codes < 0, -1, same[codes]) if same.size else codes
    why.add(codes < 0, "symbol")
    return codes, names


class Places:
    """Ids of one symbol's rows that have none: time, and place among the rows of that time in the file."""

    def __init__(self) -> None:
        self._times = np.empty(0, np.int64)
        self._counts = np.empty(0, np.int64)

    def ids(self, us: np.ndarray) -> np.ndarray:
        """Ids of the next rows.

        Raises
        ------
        InputError
            The rows are so far out of order that their places cannot be told.
        """
        unique, inverse, counts = np.unique(us, return_inverse=True, return_counts=True)
        order = np.argsort(inverse, kind="stable")
        place = np.empty(us.size, np.int64)
        place[order] = np.arange(us.size) - np.repeat(np.cumsum(counts) - counts, counts)
        if self._times.size >= TIMES_KEPT and unique[0] < self._times[0]:
            raise InputError("rows without ids must be in order of time, at least roughly", "file")
        at = np.searchsorted(self._times, unique)
        known = at < self._times.size
        known[known] = self._times[at[known]] == unique[known]
        before = np.zeros(unique.size, np.int64)
        before[known] = self._counts[at[known]]
        self._remember(unique, counts + before)
        return us * IDS_PER_US + place + before[inverse]

    def _remember(self, unique: np.ndarray, counts: np.ndarray) -> None:
        older = ~np.isin(self._times, unique)
        times = np.concatenate([self._times[older], unique])
        order = np.argsort(times)[-TIMES_KEPT:]
        self._times, self._counts = times[order], np.concatenate([self._counts[older], counts])[order]


def by_tick_rule(price: np.ndarray, last: tuple[float, int] | None) -> tuple[np.ndarray, tuple[float, int]]:
    """Whether each taker sold, by the tick rule: a fall was sold, a rise bought, an equal price as before."""
    last_price, last_side = last or (float(price[0]), 0)
    moves = np.diff(price, prepend=last_price)
    newest = np.maximum.accumulate(np.where(moves != 0, np.arange(moves.size), -1))
    sold = np.where(newest < 0, last_side, moves[newest] < 0).astype(np.uint8)
    return sold, (float(price[-1]), int(sold[-1]))


class Bars:
    """Turns batches into bars of each symbol: frames as the file of bars takes them, on their open times.

    A volume without a number of trades is kept with 0 trades, which means: not told.
    """

    def __init__(self, symbol: str, width_us: int, zone: str = "UTC", decimal: str = ".") -> None:
        self._symbol = checked_symbol(symbol) if symbol else ""
        self._width_us, self._zone, self._decimal = width_us, checked_zone(zone), decimal
        self.units: Counter[str] = Counter()

    def take(self, batch: Batch) -> tuple[list[tuple[str, pd.DataFrame]], list[Rejected]]:
        """Bars by symbol, and the rows that are none."""
        columns = batch.columns
        us, units = times(columns["ts"], self._zone)
        self.units += units
        names = ("open", "high", "low", "close", "volume", "vwap", "quote_volume", "taker_buy_volume", "trades")
        value = {name: numbers(columns[name], self._decimal) for name in names if name in columns}
        why = Reasons(len(batch))
        why.add(us < 0, "time")
        why.add(us % self._width_us != 0, "time is not the open of a bar")
        for name in ("open", "high", "low", "close"):
            why.add(~((value[name] > 0) & (value[name] < np.inf)), name)
        why.add(value["low"] > np.minimum(value["open"], value["close"]), "low is above open or close")
        why.add(value["high"] < np.maximum(value["open"], value["close"]), "high is below open or close")
        volume = value.get("volume", np.zeros(len(batch)))
        why.add(~((volume >= 0) & (volume < np.inf)), "volume")
        codes, symbols = symbols_of(columns, self._symbol, why)
        frame = self._frame(us, value, volume, columns)
        good = why.of == 0
        parts = [(name, frame[good if codes is None else good & (codes == code)]) for code, name in enumerate(symbols)]
        return [(name, part) for name, part in parts if len(part)], why.rejected(batch)

    def _frame(
        self, us: np.ndarray, value: dict[str, np.ndarray], volume: np.ndarray, columns: dict[str, pa.Array]
    ) -> pd.DataFrame:
        zeros = np.zeros(us.size)
        with np.errstate(invalid="ignore", divide="ignore"):
            told = value.get("vwap", value["quote_volume"] / volume if "quote_volume" in value else zeros * np.nan)
            vwap = np.where(volume > 0, told, np.nan)
        trades = np.nan_to_num(value.get("trades", zeros), posinf=0.0, neginf=0.0)
        complete = _is_in(columns["complete"], BUYER_MAKER) if "complete" in columns else np.ones(us.size, bool)
        prices = {name: value[name] for name in ("open", "high", "low", "close")}
        taker = np.nan_to_num(value.get("taker_buy_volume", zeros))
        rest = {"volume": volume, "vwap": vwap, "trades": trades.astype(np.int64), "taker_buy_volume": taker}
        index = pd.DatetimeIndex(us.astype("datetime64[us]"), tz="UTC", name="time")
        return pd.DataFrame(prices | rest | {"complete": complete}, index=index)


def checked_symbol(text: str) -> str:
    """A symbol in upper case. Raises InputError."""
    try:
        return clean_symbol(text)
    except ValueError as exc:
        raise InputError(str(exc), "symbol") from None


def checked_zone(name: str) -> str:
    """A time zone that this machine knows. Raises InputError."""
    if not is_zone(name):
        raise InputError(f"time zone must be a name such as UTC or Europe/Berlin, was {name[:40]!r}", "zone")
    return name
