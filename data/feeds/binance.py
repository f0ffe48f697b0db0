"""Binance frames to trades and back; stream names, routes and subscriptions. No socket, no clock.

A batch of frames goes through typed decoding and is checked by column. Only where a column holds something that
is not a trade are its rows looked at one by one, by the same rules: what is accepted never depends on the company.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from operator import attrgetter
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import quote

import msgspec
import numpy as np

from data.quotes import Quotes
from data.trades import MAX_ID, Columns, Trade, Trades
from utils.clock import EARLIEST_US, LATEST_US, US_PER_MS, us_from_epoch
from utils.errors import FrameError, InputError

NAMES_PER_FRAME = 200  # names in one SUBSCRIBE frame; more were never seen accepted
STREAMS_PER_CONNECTION = 1024  # the exchange's limit: one more and it closes the connection
QUOTES = "bookTicker"  # the stream of best bid and ask
ID_FIELD = {"aggTrade": "a", "trade": "t"}  # event -> field of its id; a spot trade of before 2024-06 has another "a"

# --- markets ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Market:
    """One venue: what its streams are called, where they flow, and which ids prove completeness."""

    venue: str
    routes: Mapping[str, str]  # stream -> path before /stream and /ws; the wrong one acknowledges and stays silent
    quotes_route: str  # the same for best bid and ask
    contiguous: frozenset[str]  # streams whose ids follow each other without holes
    rest_path: str  # path before /aggTrades, /exchangeInfo, ...
    pages: Mapping[str, tuple[str, int]]  # stream -> REST path of its past trades by id, and weight of a page
    minute_weight: int  # request weight a UTC clock minute, until exchangeInfo tells today's
    history: str  # how far back pages of trades reach, for people
    klines: tuple[int, int]  # rows of a page of bars, and its weight: what a bar costs least with
    intervals: frozenset[str]  # widths of bars that are served
    volumes_weight: int  # of the day's volumes of all symbols

    def route(self, stream: str) -> str:
        """Path prefix of a stream.

        Raises
        ------
        InputError
            This market has no such trade stream.
        """
        if stream == QUOTES:
            return self.quotes_route
        if stream not in self.routes:
            raise InputError(f"stream must be one of {', '.join(self.routes)}, was {stream!r}", "stream")
        return self.routes[stream]


# Widths of bars that begin on multiples of themselves; weeks and months do not.
INTERVALS = frozenset(["1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d"])

# Raw futures ids have legitimate holes: insurance fund, ADL and ids burned by self-trade prevention.
USDM = Market(
    venue="binance-um",
    routes={"aggTrade": "/market", "trade": "/public"},
    quotes_route="/public",
    contiguous=frozenset({"aggTrade"}),
    rest_path="/fapi/v1",
    pages={"aggTrade": ("/aggTrades", 20)},
    minute_weight=2400,
    history="48 h",
    klines=(499, 2),  # the documents say 2 for less than 500, 5 up to 1,000
    intervals=INTERVALS,
    volumes_weight=40,
)
SPOT = Market(
    venue="binance-spot",
    routes={"aggTrade": "", "trade": ""},
    quotes_route="",
    contiguous=frozenset({"aggTrade", "trade"}),
    rest_path="/api/v3",
    pages={"aggTrade": ("/aggTrades", 4), "trade": ("/historicalTrades", 25)},
    minute_weight=6000,
    history="whole history",
    klines=(1_000, 2),
    intervals=INTERVALS | {"1s"},
    volumes_weight=80,
)
MARKETS = {market.venue: market for market in (USDM, SPOT)}


def stream_name(symbol: str, stream: str) -> str:
    """Name on the wire, `btcusdt@aggTrade`; in upper case it would be acknowledged and stay silent."""
    return f"{symbol.lower()}@{stream}"


def stream_url(base: str, market: Market, streams: Sequence[str] = ()) -> str:
    """Address of a combined connection to streams of one route, all named in it or, without names, none yet.

    Raises
    ------
    InputError
        The streams do not share one route, or the market has no such stream.
    """
    routes = {market.route(name.partition("@")[2]) for name in streams} or set(market.routes.values())
    if len(routes) > 1:
        raise InputError(f"one connection carries one route, got {len(routes)}", "stream")
    query = "?streams=" + quote("/".join(streams), safe="@/") if streams else ""
    return f"{base.rstrip('/')}{routes.pop()}/stream{query}"


def subscribe_frames(streams: Sequence[str], first_id: int, method: str = "SUBSCRIBE") -> list[str]:
    """Texts that subscribe to (or, by `method`, unsubscribe from) streams, at most 200 names in each."""
    batches = [list(streams[start : start + NAMES_PER_FRAME]) for start in range(0, len(streams), NAMES_PER_FRAME)]
    return [to_json({"method": method, "params": batch, "id": first_id + n}) for n, batch in enumerate(batches)]


def format_trade(trade: Trade, market: Market, stream: str, combined: bool = True) -> str:
    """Text of one trade as the exchange prints it; parsing it gives the same trade, to the last bit.

    A time that is not on a whole millisecond is printed in microseconds, as the exchange does on request.
    """
    time = trade.ts_us if trade.ts_us % US_PER_MS else trade.ts_us // US_PER_MS
    price, qty = plain_decimal(trade.price), plain_decimal(trade.qty)
    event: dict[str, object] = {"e": stream, "E": time, "s": trade.symbol, ID_FIELD[stream]: trade.trade_id}
    event |= {"p": price, "q": qty}
    if stream == "aggTrade":
        event |= {"nq": qty} if market is USDM else {}
        event |= {"f": trade.trade_id, "l": trade.trade_id}
    event |= {"T": time}
    if market is USDM:
        event |= {"X": "MARKET"} if stream == "trade" else {}
        event |= {"m": trade.buyer_is_maker, "st": 1}
    else:
        event |= {"m": trade.buyer_is_maker, "M": True}
    return to_json({"stream": stream_name(trade.symbol, stream), "data": event} if combined else event)


def plain_decimal(value: float) -> str:
    """Shortest decimal text that reads back as the same float, without exponent."""
    return format(Decimal(repr(value)), "f")


def to_json(value: object) -> str:
    """Text without spaces, as the exchange prints it."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# --- typed events -------------------------------------------------------------------------------
# What can be checked while decoding is checked there: types, ids, times in milliseconds, kind. An event that fails,
# be it for an honest reason (microseconds), is judged field by field in `_sort_trade`.

Id = Annotated[int, msgspec.Meta(ge=0, le=MAX_ID)]
Ms = Annotated[int, msgspec.Meta(ge=EARLIEST_US // US_PER_MS, lt=LATEST_US // US_PER_MS)]


class _AggTrade(msgspec.Struct, tag_field="e", tag="aggTrade", gc=False):
    symbol: str = msgspec.field(name="s")
    trade_id: Id = msgspec.field(name="a")
    price: str = msgspec.field(name="p")
    qty: str = msgspec.field(name="q")
    time: Ms = msgspec.field(name="T")
    maker: bool = msgspec.field(name="m")
    event_time: int = msgspec.field(name="E", default=0)


class _RawTrade(msgspec.Struct, tag_field="e", tag="trade", gc=False):
    symbol: str = msgspec.field(name="s")
    trade_id: Id = msgspec.field(name="t")
    price: str = msgspec.field(name="p")
    qty: str = msgspec.field(name="q")
    time: Ms = msgspec.field(name="T")
    maker: bool = msgspec.field(name="m")
    event_time: int = msgspec.field(name="E", default=0)
    kind: Literal["MARKET"] = msgspec.field(name="X", default="MARKET")  # not INSURANCE_FUND, ADL, NA


class _AggRow(msgspec.Struct, gc=False):
    """One row of REST aggTrades."""

    trade_id: Id = msgspec.field(name="a")
    price: str = msgspec.field(name="p")
    qty: str = msgspec.field(name="q")
    time: Ms = msgspec.field(name="T")
    maker: bool = msgspec.field(name="m")


class _RawRow(msgspec.Struct, gc=False):
    """One row of REST historicalTrades."""

    trade_id: Id = msgspec.field(name="id")
    price: str
    qty: str
    time: Ms
    maker: bool = msgspec.field(name="isBuyerMaker")


class _Kline(msgspec.Struct, array_like=True, gc=False):
    """One row of REST klines, as far as it is read."""

    time: Ms
    open: str
    high: str
    low: str
    close: str


class _DayVolume(msgspec.Struct, gc=False):
    """One row of REST ticker/24hr."""

    symbol: str
    quote_volume: str = msgspec.field(name="quoteVolume")


class _Limit(msgspec.Struct):
    """One of exchangeInfo's rateLimits."""

    kind: str = msgspec.field(name="rateLimitType")
    interval: str = ""
    count: int = msgspec.field(name="intervalNum", default=1)
    limit: int = 0


class _Instrument(msgspec.Struct):
    symbol: str
    status: str = "TRADING"


class _ExchangeInfo(msgspec.Struct):
    symbols: list[_Instrument]
    limits: list[_Limit] = msgspec.field(name="rateLimits", default_factory=list)


_Event = _AggTrade | _RawTrade
E = TypeVar("E", bound=Any)  # an event, which has a symbol
C = TypeVar("C", bound=Columns)
# What a decoder raises on bytes that are no JSON, not of the type, not UTF-8, or nested without end.
UNREADABLE = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)
_TYPES: dict[str | None, Any] = {None: _Event, "aggTrade": _AggTrade, "trade": _RawTrade}
_RAW = {stream: msgspec.json.Decoder(kind).decode for stream, kind in _TYPES.items()}
_COMBINED: dict[str | None, Callable[[bytes], Any]] = {
    stream: msgspec.json.Decoder(msgspec.defstruct("Combined", [("data", kind)], gc=False)).decode
    for stream, kind in _TYPES.items()
}
WRAPPED = b'{"stream"'
_PAGES: dict[str, Callable[[bytes], Any]] = {
    "aggTrade": msgspec.json.Decoder(list[_AggRow]).decode,
    "trade": msgspec.json.Decoder(list[_RawRow]).decode,
}
_KLINES = msgspec.json.Decoder(list[_Kline]).decode
_DAY_VOLUMES = msgspec.json.Decoder(list[_DayVolume]).decode
_EXCHANGE_INFO = msgspec.json.Decoder(_ExchangeInfo).decode
_BY_SYMBOL = attrgetter("symbol")
_NUMBERS = msgspec.json.Decoder(list[float]).decode
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)

# --- decoding -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Decoded:
    """What a batch of frames held."""

    trades: list[Trades] = field(default_factory=list)  # one per symbol, rows in order of arrival
    quotes: list[Quotes] = field(default_factory=list)  # the same
    rejected: Counter[tuple[str | None, str]] = field(default_factory=Counter)  # (symbol where readable, reason)
    acks: int = 0  # an acknowledgement proves nothing: wrong names and routes get one too
    errors: list[str] = field(default_factory=list)
    other: int = 0  # readable, but not of the trade stream asked for
    shutdown: bool = False  # the server announced that it will close
    event_us: int | None = None  # newest event time of what was read


def decode(frames: Iterable[bytes], stream: str | None = None) -> Decoded:
    """Trades of a batch of frames, combined or raw, and everything else counted.

    With `stream` ("aggTrade" or "trade") only its events are trades, since each stream counts ids apart; the
    other's are then `other`. Reasons of rejection: "frame" (unreadable), "symbol", "id", "time", "price", "qty",
    "maker" (a field missing, of the wrong type or out of its limits), "not_market" (X is not MARKET).
    """
    batch, events = Decoded(), []
    combined, raw = _COMBINED[stream], _RAW[stream]
    frames = list(frames)
    try:
        if frames and frames[0].startswith(WRAPPED):  # as one connection does: all frames in one envelope, or none
            events = [combined(frame).data for frame in frames]
        else:
            events = [raw(frame) for frame in frames]
        plain = True
    except UNREADABLE:
        plain = _decode_each(frames, stream, batch, events)
    if events:
        newest = max([event.event_time for event in events])
        batch.event_us = us_from_epoch(newest) if is_time(newest) else None
        batch.trades = _trades(events, plain, batch.rejected)
    return batch


def parse_trade(frame: str | bytes) -> Trade | None:
    """Read one frame; None if it carries no market trade.

    Subscription replies, other events and raw prints whose X is not "MARKET" (insurance fund, ADL,
    placeholders; often far off the market) are all None.

    Raises
    ------
    FrameError
        Not readable at all, or a trade event with a missing, unreadable or non-positive field.
    """
    data = frame.encode("utf-8", "surrogatepass") if isinstance(frame, str) else frame
    batch = decode([data])
    for symbol, reason in batch.rejected:
        if reason != "not_market":
            raise FrameError(f"unreadable trade frame ({reason}): {frame[:200]!r}", reason, symbol)
    return next(iter(batch.trades[0])) if batch.trades else None


@dataclass(frozen=True, slots=True)
class Listing:
    """What exchangeInfo tells."""

    trading: frozenset[str]  # symbols that can be traded now
    minute_weight: int | None  # request weight allowed a minute


def parse_page(body: bytes, symbol: str, stream: str) -> tuple[Trades, int]:
    """Past trades of one stream, by id, as REST answers; and the number of rows that are no trades.

    Raises
    ------
    FrameError
        Not such an answer.
    """
    try:
        rows = _PAGES[stream](body)
    except UNREADABLE as exc:
        raise FrameError(f"unreadable page of trades: {exc}") from None
    good = [row for row in rows if _is_positive(row.price) and _is_positive(row.qty)]
    if not good:
        return Trades.empty(symbol), len(rows)
    return Trades(symbol, *_columns(good, True)).sorted_by_id(), len(rows) - len(good)


def parse_exchange_info(body: bytes) -> Listing:
    """Symbols and limits of exchangeInfo.

    Raises
    ------
    FrameError
    """
    try:
        info = _EXCHANGE_INFO(body)
    except UNREADABLE as exc:
        raise FrameError(f"unreadable exchangeInfo: {exc}") from None
    minute = ("REQUEST_WEIGHT", "MINUTE", 1)
    weights = [limit.limit for limit in info.limits if (limit.kind, limit.interval, limit.count) == minute]
    trading = frozenset(instrument.symbol for instrument in info.symbols if instrument.status == "TRADING")
    return Listing(trading, min(weights, default=None))


def parse_klines(body: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Open times, microseconds, and closes of bars as REST answers, by time; the newest may still form.

    Raises
    ------
    FrameError
    """
    try:
        rows = _KLINES(body)
        closes = _numbers([row.close for row in rows]) if rows else np.empty(0)
    except (*UNREADABLE, ValueError) as exc:
        raise FrameError(f"unreadable bars: {exc}") from None
    return np.array([row.time for row in rows], np.int64) * US_PER_MS, closes


def parse_volumes(body: bytes) -> dict[str, float]:
    """What was traded of each symbol within a day, quote currency; rows that tell no amount are left out.

    Raises
    ------
    FrameError
    """
    try:
        rows = _DAY_VOLUMES(body)
    except UNREADABLE as exc:
        raise FrameError(f"unreadable volumes: {exc}") from None
    return {row.symbol: float(row.quote_volume) for row in rows if is_decimal(row.quote_volume)}


def _decode_each(frames: list[bytes], stream: str | None, batch: Decoded, events: list[_Event]) -> bool:
    """The same one by one, since not all are plain trades; whether all times are milliseconds."""
    combined, raw = _COMBINED[stream], _RAW[stream]
    plain = True
    for frame in frames:
        try:
            events.append(combined(frame).data if frame.startswith(WRAPPED) else raw(frame))
        except UNREADABLE:
            event = _sort_out(frame, stream, batch)
            if event:
                events.append(event)
                plain = False
    return plain


def _trades(events: list[_Event], plain: bool, rejected: Counter[tuple[str | None, str]]) -> list[Trades]:
    """Columns per symbol; events that are no trades are counted and left out."""
    try:
        return list(grouped(events, lambda rows: _columns(rows, plain), Trades))
    except ValueError:
        kept = [event for event in events if not _is_rejected(event, rejected)]
        return list(grouped(kept, lambda rows: _columns(rows, plain), Trades)) if kept else []


def grouped(events: list[E], columns: Callable[[list[E]], tuple[np.ndarray, ...]], kind: type[C]) -> Iterator[C]:
    """Columns of each symbol. Raises ValueError where any event is at fault."""
    symbols = [event.symbol for event in events]
    distinct = sorted(set(symbols))
    if not all(map(is_symbol, distinct)):
        raise ValueError("symbol")
    if len(distinct) == 1:
        yield kind.made(distinct[0], columns(events))
        return
    counts = Counter(symbols)
    table, start = columns(sorted(events, key=_BY_SYMBOL)), 0  # order of arrival is kept within each
    for symbol in distinct:
        stop = start + counts[symbol]
        yield kind.made(symbol, (column[start:stop] for column in table))
        start = stop


def _columns(events: Sequence[_Event] | Sequence[_AggRow] | Sequence[_RawRow], plain: bool) -> tuple[np.ndarray, ...]:
    numbers = _numbers([event.price for event in events] + [event.qty for event in events])
    times = [event.time for event in events]
    return (
        np.array([event.trade_id for event in events], np.int64),
        np.array(times, np.int64) * US_PER_MS if plain else np.array([us_from_epoch(t) for t in times], np.int64),
        numbers[: len(events)],
        numbers[len(events) :],
        np.array([event.maker for event in events], np.uint8),
    )


def _numbers(texts: list[str]) -> np.ndarray:
    """Positive finite floats from plain decimals; ValueError where one is none."""
    numbers = decimals(texts)
    if not numbers.all():
        raise ValueError("a zero")
    return numbers


def decimals(texts: list[str]) -> np.ndarray:
    """Finite floats >= 0 from plain decimals; ValueError where one is none.

    Nothing but digits and points is let through, then JSON's grammar refuses what is left ("1.", ".5", "01",
    "1.2.3", more digits than a float holds): three times faster than a pattern and `float` for each.
    """
    text = ",".join(texts).encode()
    if text.translate(None, b"0123456789.,"):
        raise ValueError("not plain decimals")
    try:
        numbers = _NUMBERS(b"[%b]" % text)
    except msgspec.MsgspecError as exc:
        raise ValueError(str(exc)) from None
    if len(numbers) != len(texts):
        raise ValueError("one number too many")
    return np.array(numbers)


def _is_rejected(event: _Event, rejected: Counter[tuple[str | None, str]]) -> bool:
    """Count an event whose symbol, price or quantity is at fault; the rest was checked in decoding."""
    if not is_symbol(event.symbol):
        rejected[None, "symbol"] += 1
    elif not _is_positive(event.price):
        rejected[event.symbol, "price"] += 1
    elif not _is_positive(event.qty):
        rejected[event.symbol, "qty"] += 1
    else:
        return False
    return True


def _is_positive(text: str) -> bool:
    return is_decimal(text) and float(text) > 0


def is_decimal(text: str) -> bool:
    """Whether a text is a plain decimal, finite and >= 0."""
    return bool(_DECIMAL.fullmatch(text)) and float(text) < math.inf


def is_time(value: int) -> bool:
    """Whether a number is a time in some unit."""
    try:
        return us_from_epoch(value) > 0
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def is_symbol(text: str) -> bool:
    """1 to 32 letters, digits or underscores in upper case; letters of any script, the exchange lists such."""
    return 1 <= len(text) <= 32 and all(c.isalnum() or c == "_" for c in text) and text == text.upper()


# --- everything that is not a plain trade frame ---------------------------------------------------


def _sort_out(frame: bytes, stream: str | None, batch: Decoded) -> _Event | None:
    """Put a frame that typed decoding refused where it belongs; the event where it is a trade after all."""
    message = read_message(frame, batch)
    return None if message is None else _sort_message(message, stream, batch)


def read_message(frame: bytes, batch: Decoded) -> dict[str, Any] | None:
    """The object that a frame holds; counted where it holds none."""
    try:
        message = msgspec.json.decode(frame)
    except UNREADABLE:
        message = None
    if isinstance(message, dict):
        return message
    if isinstance(message, list):  # all-market streams push arrays
        batch.other += 1
    else:
        batch.rejected[None, "frame"] += 1
    return None


def _sort_message(message: dict[str, Any], stream: str | None, batch: Decoded) -> _Event | None:
    event, name = message.get("data", message), str(message.get("stream", ""))
    kind = str(event.get("e", "")) if isinstance(event, dict) else ""
    if kind in ID_FIELD:
        return _sort_trade(event, stream, batch)
    sort_rest(message, kind, name, tuple(ID_FIELD), batch)
    return None


def sort_rest(message: Mapping[str, Any], kind: str, name: str, streams: Sequence[str], batch: Decoded) -> None:
    """Count a message of some event type and stream name that holds no event of these streams."""
    if kind == "serverShutdown" or name == "!serverShutdown":
        batch.shutdown = True
    elif name.partition("@")[2] in streams:
        symbol = name.partition("@")[0].upper()  # of such a stream, without its event
        batch.rejected[symbol if is_symbol(symbol) else None, "frame"] += 1
    elif not _is_reply(message, batch):
        batch.other += 1


def _is_reply(message: Mapping[str, Any], batch: Decoded) -> bool:
    """Count an answer to a request: {"result", "id"}, {"code", "msg", "id"} or {"error": {...}, "id"}."""
    error = message.get("error", message)
    if isinstance(error, dict) and "code" in error and "msg" in error:
        batch.errors.append(f"{error['msg']} (code {error['code']})"[:200])
    elif "error" in message:
        batch.errors.append(str(error)[:200])
    elif "result" in message:
        batch.acks += 1
    else:
        return False
    return True


def _sort_trade(event: Mapping[str, Any], stream: str | None, batch: Decoded) -> _Event | None:
    """A trade event that typed decoding refused: of the other stream, oddly printed, or at fault."""
    kind = event["e"]
    if stream is not None and kind != stream:
        batch.other += 1
        return None
    reason, symbol = _fault(event), event.get("s")
    if reason:
        known = isinstance(symbol, str) and is_symbol(symbol)
        batch.rejected[symbol if known else None, reason] += 1
        return None
    pushed = event.get("E")
    fields = (event[key] for key in ("s", ID_FIELD[kind], "p", "q", "T", "m"))
    return _TYPES[kind](*fields, pushed if type(pushed) is int else 0)


def _fault(event: Mapping[str, Any]) -> str:
    """Reason why an event is no trade, or nothing: every rule, field by field, types included."""
    if event["e"] == "trade" and event.get("X", "MARKET") != "MARKET":
        return "not_market"
    rules: tuple[tuple[str, type, Callable[[Any], bool], str], ...] = (
        ("s", str, is_symbol, "symbol"),
        (ID_FIELD[event["e"]], int, lambda value: 0 <= value <= MAX_ID, "id"),
        ("T", int, is_time, "time"),
        ("p", str, _is_positive, "price"),
        ("q", str, _is_positive, "qty"),
        ("m", bool, lambda _: True, "maker"),
    )
    return next((why for key, kind, holds, why in rules if not has(event, key, kind, holds)), "")


def has(event: Mapping[str, Any], key: str, kind: type, holds: Callable[[Any], bool]) -> bool:
    """Whether a field is there, of exactly this type, and as it should be."""
    value = event.get(key)
    return type(value) is kind and holds(value)  # exactly: True is no id
