"""One recorded file: what it holds, told by its content, and its trades block by block in bounded memory.

Two kinds are read, plain or gzipped:

frames : one frame of the exchange a line, alone or behind a receipt time (`1723161255088176367 {...}`,
    `1626992742.289739: {...}`), perhaps below a line with the stream's address. Other events than trades are passed by.
ticks : one JSON object a line with `symbol`, `ts` (ISO 8601 or epoch), `price` and `size`; no id, no side.
    The side is told by the tick rule (a rise was bought, a fall sold, an equal price as before).

A line that cannot be read is counted as rejected; compressed data that ends early plays as far as it goes.
Recordings of our own (`data.feeds.recorder`) are frames behind a line that says what they are.
"""

import json
import re
import stat
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path

import msgspec
import numpy as np

from config import clean_symbol
from data.feeds.ahead import ahead
from data.feeds.binance import Decoded, decode
from data.feeds.book_ticker import decode_quotes
from data.feeds.lines import Carries, sort_lines
from data.feeds.manifest import Manifest
from data.quotes import Quotes
from data.trades import Trade, Trades
from utils.clock import us_from_epoch, us_from_iso
from utils.errors import InputError, RecordingError

CHUNK = 1 << 20  # bytes of text handled at once
MAX_LINE = 16 << 20  # a longer line is cut, and its pieces are rejected
PEEK_BYTES = 4 << 20  # text looked at to find the symbols
PEEK_LIMIT = 64 << 20  # text looked at, at most, to find the first trade
KIND_LINES = 10  # lines tried to tell the kind

GZIP_MAGIC, GZIP_WBITS = b"\x1f\x8b", 31
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
ADDRESS = (b"ws://", b"wss://")
TRADE_TIME = re.compile(rb'"T":(\d{10,20})\b')
SYMBOL = re.compile(rb'"s":"([^"]+)"')
RECEIPT = re.compile(rb"(\d{13,19}|\d{10}(\.\d+)?:?) \{")
TICK_FIELDS = {"symbol", "ts", "price", "size"}
FRAME_FIELDS = {"e", "stream", "data", "result", "error", "u", "lastUpdateId"}  # the last two: events without a type
STREAMS = {"trade": Carries.TRADE, "aggTrade": Carries.AGG_TRADE}
EXPECTED = "expected lines of frames, or of JSON with symbol, ts, price and size"


@dataclass(frozen=True, slots=True)
class Found:
    """What the first trade of a symbol tells."""

    kind: str  # "trade", "aggTrade" or "ticks"
    market: str  # "spot", "futures", or empty where the rows do not tell
    first_us: int

    def __str__(self) -> str:
        return f"{self.market} {self.kind}".strip()


@dataclass(slots=True)
class Block:
    """What one stretch of a file held."""

    trades: list[tuple[str, Trades]] = field(default_factory=list)  # kind, rows of one symbol in file order
    quotes: list[Quotes] = field(default_factory=list)  # of one symbol each, in file order; `other` counts their lines
    rejected_quotes: Counter[tuple[str | None, str]] = field(default_factory=Counter)
    rejected: Counter[tuple[str | None, str]] = field(default_factory=Counter)  # (symbol or None, reason)
    other: int = 0  # lines that carry no trade


class Recording:
    """One recorded file.

    Raises
    ------
    RecordingError
        It cannot be read, is empty, is of no known kind, or holds no trade where one was looked for (64 MB of text).
        A part of a recording of our own may hold none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.bytes_read = 0  # of the file as it lies on disk
        self.note = ""  # why reading ended early, where it did
        self.manifest: Manifest | None = None  # of a recording of our own
        self.size = self._check()
        self.kind = self._tell_kind()
        self.found: dict[str, Found] = self._peek()
        if self.manifest is not None and self.found:
            self._add_quiet(self.manifest.symbols)

    def blocks(self, frames: "FrameReader | None" = None) -> Iterator[Block]:
        """Every block of the file, from its beginning; read by `frames`, where they go on from another file.

        Ids of kind "ticks" are zeros, still to be given. A quote of spot carries no time: it has that of the newest
        trade before it in the file, and before the first trade there is none, so that it is left out.
        """
        self.bytes_read, self.note = 0, ""
        reader = (frames or FrameReader()) if self.kind == "frames" else _Ticks()
        for text in _whole_lines(ahead(self._chunks())):
            yield reader.block(text)

    def fingerprint(self) -> int:
        """CRC-32 of the uncompressed content (from the trailer of a gzip file: the same without reading it)."""
        with self.path.open("rb") as file:
            if file.read(2) == GZIP_MAGIC:
                file.seek(-8, 2)
                return int.from_bytes(file.read(4), "little")
            file.seek(0)
            crc = 0
            while data := file.read(CHUNK):
                crc = zlib.crc32(data, crc)
            return crc

    def _check(self) -> int:
        """Size in bytes of a regular file that holds something."""
        try:
            status = self.path.stat()
            if stat.S_ISREG(status.st_mode):
                self.path.open("rb").close()
        except OSError as exc:
            raise RecordingError(f"{self.path} cannot be read: {exc.strerror}") from exc
        if not stat.S_ISREG(status.st_mode):
            raise RecordingError(f"{self.path} is not a file")
        if not status.st_size:
            raise RecordingError(f"{self.path} is empty")
        return status.st_size

    def _tell_kind(self) -> str:
        """The kind, by the first line that tells it: a capture may begin with a broken one."""
        lines = [line for line in next(self._lines(), []) if line.strip()][:KIND_LINES]
        self.manifest = Manifest.of(lines[0]) if lines else None
        kind = next(filter(None, map(_kind, lines)), None)
        if kind is None:
            first = lines[0].strip()[:100].decode("utf-8", "replace") if lines else ""
            why = f": {self.note}" if self.note else ""
            raise RecordingError(f"{self.path} is no recording{why}; its first line is {first!r}, {EXPECTED}")
        return kind

    def _peek(self) -> dict[str, Found]:
        """First trade of each symbol in the first PEEK_BYTES, or as far as the first trade lies."""
        found: dict[str, Found] = {}
        seen = 0
        look = _look_at_frames if self.kind == "frames" else _look_at_ticks
        for lines in self._lines():
            look(lines, found)
            seen += sum(map(len, lines))
            if seen >= (PEEK_BYTES if found else PEEK_LIMIT):
                break
        if not found and self.manifest is None:
            raise RecordingError(f"{self.path} holds no trade among its first {seen:,} bytes of {self.kind}")
        return found

    def _add_quiet(self, symbols: Iterable[str]) -> None:
        """Symbols that were recorded and do not trade near the beginning."""
        first = min(self.found.values(), key=lambda found: found.first_us)
        for symbol in symbols:
            self.found.setdefault(symbol, first)

    def _lines(self) -> Iterator[list[bytes]]:
        """The lines of one chunk after the other, without line ends."""
        return (text.split(b"\n") for text in _whole_lines(self._chunks()))

    def _chunks(self) -> Iterator[bytes]:
        """Text of the file; what cannot be read further is noted, not raised."""
        try:
            raw = self._raw()
            head = next(raw, b"")
            whole = chain([head], raw)
            text = inflate(whole) if head.startswith(GZIP_MAGIC) else whole
            yield next(text, b"").removeprefix(BYTE_ORDER_MARK)
            yield from text
        except (OSError, EOFError, zlib.error) as exc:
            self.note = f"{self.path.name} ends early: {exc}"

    def _raw(self) -> Iterator[bytes]:
        with self.path.open("rb") as file:
            while data := file.read(CHUNK):
                self.bytes_read += len(data)
                yield data


def _whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The same text in pieces of whole lines, each without its last line end."""
    rest = b""
    for chunk in chunks:
        lines, cut, rest = (rest + chunk).rpartition(b"\n")
        if len(rest) > MAX_LINE:
            yield lines + cut + rest
            rest = b""
        elif cut:
            yield lines
    if rest:
        yield rest


def inflate(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Gunzipped text in pieces of at most CHUNK, all members; EOFError where the data is cut off."""
    inflater = zlib.decompressobj(GZIP_WBITS)
    for chunk in chunks:
        data = chunk
        while data:
            if inflater.eof:
                data = data.lstrip(b"\0")  # padding between members or after the last
                if not data:
                    break
                inflater = zlib.decompressobj(GZIP_WBITS)
            yield inflater.decompress(data, CHUNK)
            data = inflater.unconsumed_tail or inflater.unused_data
    if not inflater.eof:
        yield inflater.flush()
        raise EOFError("its compressed data is cut off")


def _kind(line: bytes) -> str | None:
    """ "frames" or "ticks" where the line tells it."""
    if line.startswith(ADDRESS):
        return None
    if RECEIPT.match(line):
        return "frames"
    try:
        row = json.loads(line)
    except ValueError:
        return None
    if not isinstance(row, dict):
        return None
    if row.keys() >= TICK_FIELDS:
        return "ticks"
    return "frames" if row.keys() & FRAME_FIELDS else None


# --- frames ---------------------------------------------------------------------------------------


class FrameReader:
    """Turns lines to trades and quotes; keeps the newest line of a trade for the time of quotes that carry none."""

    def __init__(self, quotes: bool = False) -> None:
        self._wants_quotes = quotes
        self._trade = b""

    def block(self, text: bytes) -> Block:
        """Rows of a text of whole lines."""
        block = Block()
        starts, ends, carried = sort_lines(text, self._wants_quotes)

        def cut(rows: np.ndarray) -> list[bytes]:
            return [text[start:end] for start, end in zip(starts[rows].tolist(), ends[rows].tolist(), strict=True)]

        is_trade = (carried == Carries.TRADE) | (carried == Carries.AGG_TRADE)
        unknown = np.flatnonzero(carried == Carries.UNKNOWN)
        block.other = int(np.count_nonzero(~is_trade)) - unknown.size
        broken = sum(not _is_frame_or_blank(line) for line in cut(unknown))
        if broken:
            block.rejected[None, "line"] = broken
        for kind, code in STREAMS.items():
            if frames := cut(carried == code):
                _add_trades(block, kind, decode(frames, kind))
        if frames := cut(carried == Carries.QUOTE):
            _add_quotes(block, decode_quotes(frames))
        trades = np.flatnonzero(is_trade)
        for at, quotes in _by_trade(trades, np.flatnonzero(carried == Carries.TIMELESS_QUOTE)):
            (trade,) = cut(trades[at : at + 1]) if at >= 0 else (self._trade,)
            if trade:
                _add_quotes(block, decode_quotes(cut(quotes), _time_of(trade)))
        if trades.size:
            (self._trade,) = cut(trades[-1:])
        return block


def _by_trade(trades: np.ndarray, quotes: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Lines of quotes, parted by which of the lines of trades comes before them; -1 where none does."""
    before = np.searchsorted(trades, quotes) - 1
    firsts = np.flatnonzero(np.diff(before, prepend=-2))
    for first, end in pairwise([*firsts, quotes.size]):
        yield int(before[first]), quotes[first:end]


def _add_trades(block: Block, kind: str, decoded: Decoded) -> None:
    block.trades += [(kind, trades) for trades in decoded.trades]
    block.rejected.update(decoded.rejected)
    block.other += decoded.other + decoded.acks + len(decoded.errors)


def _add_quotes(block: Block, decoded: Decoded) -> None:
    block.quotes += decoded.quotes
    block.rejected_quotes.update(decoded.rejected)


def _time_of(line: bytes) -> int | None:
    """Time of the trade in a line, microseconds."""
    found = TRADE_TIME.search(line)
    try:
        return us_from_epoch(int(found[1])) if found else None
    except ValueError:
        return None


def _is_frame_or_blank(line: bytes) -> bool:
    text = line.rstrip()
    return not text or text.endswith(b"}") or text.startswith(ADDRESS)


def _look_at_frames(lines: list[bytes], found: dict[str, Found]) -> None:
    """Add the first trade of each symbol."""
    for line in lines:
        if b'rade"' not in line:
            continue
        symbol = SYMBOL.search(line)
        if symbol and symbol[1].decode("utf-8", "replace") in found:
            continue  # nearly all of them: reading each would take as long as playing them
        try:
            message = json.loads(line[line.find(b"{") :])
            event = message.get("data", message)
            if event["e"] in STREAMS and event["s"] not in found and float(event["p"]) > 0:
                market = "spot" if "M" in event else "futures"
                found[event["s"]] = Found(event["e"], market, us_from_epoch(event["T"]))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue  # counted when it is played


# --- ticks ----------------------------------------------------------------------------------------


class TickRow(msgspec.Struct):
    """One line of a recording without ids."""

    symbol: str
    ts: str | int | float
    price: float
    size: float


_TICK = msgspec.json.Decoder(TickRow, strict=False)  # not strict: prices may be quoted


def _tick(line: bytes) -> Trade:
    """The trade of one line, id and side still to be told. Raises InputError or ValueError."""
    row = _TICK.decode(line)
    try:
        ts_us = _us(row.ts)
    except (ValueError, OverflowError):
        raise InputError(f"unreadable time {row.ts!r}", "time") from None
    return Trade(clean_symbol(row.symbol), 0, ts_us, row.price, row.size, False)


def tick_us(line: bytes) -> int | None:
    """Time of a tick, microseconds; None where the line is none."""
    try:
        return _tick(line).ts_us
    except (InputError, ValueError):
        return None


def _us(ts: str | int | float) -> int:
    """Microseconds of an ISO text or an epoch number; a number with a fraction is in seconds or milliseconds."""
    if isinstance(ts, str):
        return us_from_iso(ts)
    if isinstance(ts, int):
        return us_from_epoch(ts)
    return us_from_epoch(round(ts * (1e6 if ts < 1e11 else 1e3 if ts < 1e14 else 1)))


class _Ticks:
    """Turns lines to trades; keeps the last price and side of each symbol for the tick rule."""

    def __init__(self) -> None:
        self._last: dict[str, tuple[float, int]] = {}

    def block(self, text: bytes) -> Block:
        """Trades of a text of whole lines."""
        block = Block()
        rows: dict[str, list[Trade]] = {}
        for line in text.split(b"\n"):
            try:
                trade = _tick(line)
                rows.setdefault(trade.symbol, []).append(trade)
            except InputError as exc:
                block.rejected[_symbol_of(line), exc.field] += 1
            except ValueError:  # msgspec's errors are ValueErrors
                if line.strip():
                    block.rejected[None, "line"] += 1
        block.trades = [("ticks", self._with_sides(Trades.from_rows(symbol, part))) for symbol, part in rows.items()]
        return block

    def _with_sides(self, trades: Trades) -> Trades:
        last_price, last_side = self._last.get(trades.symbol, (float(trades.price[0]), 0))
        moves = np.diff(trades.price, prepend=last_price)
        newest_move = np.maximum.accumulate(np.where(moves != 0, np.arange(moves.size), -1))
        sold = np.where(newest_move < 0, last_side, moves[newest_move] < 0).astype(np.uint8)
        self._last[trades.symbol] = float(trades.price[-1]), int(sold[-1])
        return Trades(trades.symbol, trades.trade_id, trades.ts_us, trades.price, trades.qty, sold)


def _symbol_of(line: bytes) -> str | None:
    """The symbol of a tick that was refused, where it is one."""
    try:
        return clean_symbol(_TICK.decode(line).symbol)
    except ValueError:
        return None


def _look_at_ticks(lines: list[bytes], found: dict[str, Found]) -> None:
    """Add the first trade of each symbol."""
    for line in lines:
        try:
            trade = _tick(line)
        except (InputError, ValueError):
            continue  # counted when it is played
        if trade.symbol not in found:
            found[trade.symbol] = Found("ticks", "", trade.ts_us)
