"""Book tickers to quotes and back: best bid and ask as `@bookTicker` prints them. No socket, no clock.

Futures print e, E and T; spot prints none of them, so a quote of spot is told by its keys, and its time is that of its
receipt. A side that is empty is printed as 0. See `data.feeds.binance` for how a batch is read.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

import msgspec
import numpy as np

from data.feeds.binance import (
    QUOTES,
    UNREADABLE,
    USDM,
    WRAPPED,
    Decoded,
    Id,
    Market,
    Ms,
    decimals,
    grouped,
    has,
    is_decimal,
    is_symbol,
    is_time,
    plain_decimal,
    read_message,
    sort_rest,
    stream_name,
    to_json,
)
from data.quotes import Quote, Quotes
from data.trades import MAX_ID
from utils.clock import US_PER_MS, us_from_epoch

SIDES = {"b": "bid", "B": "bid_qty", "a": "ask", "A": "ask_qty"}
KEYS = {"u", "s", *SIDES}


class _BookTicker(msgspec.Struct, gc=False):
    symbol: str = msgspec.field(name="s")
    update_id: Id = msgspec.field(name="u")
    bid: str = msgspec.field(name="b")
    bid_qty: str = msgspec.field(name="B")
    ask: str = msgspec.field(name="a")
    ask_qty: str = msgspec.field(name="A")
    time: Ms | None = msgspec.field(name="T", default=None)
    event_time: int = msgspec.field(name="E", default=0)
    kind: Literal["bookTicker"] = msgspec.field(name="e", default="bookTicker")


_RAW: Callable[[bytes], _BookTicker] = msgspec.json.Decoder(_BookTicker).decode
_COMBINED: Callable[[bytes], Any] = msgspec.json.Decoder(
    msgspec.defstruct("Combined", [("data", _BookTicker)], gc=False)
).decode


def format_quote(quote: Quote, market: Market, combined: bool = True) -> str:
    """Text of one quote as the exchange prints it; a quote of spot loses its time."""
    event: dict[str, object] = {"u": quote.update_id, "s": quote.symbol}
    event |= {key: plain_decimal(getattr(quote, name)) for key, name in SIDES.items()}
    if market is USDM:
        time = quote.ts_us // US_PER_MS
        event = {"e": QUOTES} | event | {"T": time, "E": time, "st": 1}
    return to_json({"stream": stream_name(quote.symbol, QUOTES), "data": event} if combined else event)


def decode_quotes(frames: Iterable[bytes], received_us: int | None = None) -> Decoded:
    """Quotes of a batch of frames, combined or raw, and everything else counted.

    `received_us` is the time of quotes that carry none; without it they are rejected. Reasons of rejection: "frame",
    "symbol", "id", "time", "bid", "bid_qty", "ask", "ask_qty" (missing, of the wrong type or out of its limits).
    """
    batch, frames = Decoded(), list(frames)
    try:  # as one connection sends them: all in one envelope, all quotes
        events = [_COMBINED(frame).data for frame in frames]
    except UNREADABLE:
        events = _one_by_one(frames, batch)
    if received_us is None and any(event.time is None for event in events):
        events = [event for event in events if not _is_timeless(event, batch)]
    if events:
        newest = max([event.event_time for event in events])
        batch.event_us = us_from_epoch(newest) if is_time(newest) else None
        batch.quotes = _quotes(events, received_us or 0, batch)
    return batch


def _one_by_one(frames: Iterable[bytes], batch: Decoded) -> list[_BookTicker]:
    """The quotes among any frames; the others are counted."""
    events = []
    for frame in frames:
        try:
            events.append(_COMBINED(frame).data if frame.startswith(WRAPPED) else _RAW(frame))
        except UNREADABLE:
            message = read_message(frame, batch)
            if message is not None:
                _sort_message(message, batch)
    return events


def _quotes(events: list[_BookTicker], received_us: int, batch: Decoded) -> list[Quotes]:
    """Columns per symbol; events that are no quotes are counted and left out."""

    def columns(rows: Sequence[_BookTicker]) -> tuple[np.ndarray, ...]:
        return _columns(rows, received_us)

    try:
        return list(grouped(events, columns, Quotes))
    except ValueError:
        kept = [event for event in events if not _is_rejected(event, batch)]
        return list(grouped(kept, columns, Quotes)) if kept else []


def _columns(events: Sequence[_BookTicker], received_us: int) -> tuple[np.ndarray, ...]:
    size = len(events)
    texts = [event.bid for event in events]  # written out: a loop over names costs half as much again
    texts += [event.bid_qty for event in events]
    texts += [event.ask for event in events]
    texts += [event.ask_qty for event in events]
    numbers = decimals(texts)
    times = [received_us if event.time is None else event.time * US_PER_MS for event in events]
    ids = np.array([event.update_id for event in events], np.int64)
    return (ids, np.array(times, np.int64), *(numbers[k * size : (k + 1) * size] for k in range(4)))


def _is_timeless(event: _BookTicker, batch: Decoded) -> bool:
    if event.time is None:
        batch.rejected[event.symbol if is_symbol(event.symbol) else None, "time"] += 1
    return event.time is None


def _is_rejected(event: _BookTicker, batch: Decoded) -> bool:
    """Count an event whose symbol, prices or sizes are at fault; the rest was checked in decoding."""
    if not is_symbol(event.symbol):
        batch.rejected[None, "symbol"] += 1
        return True
    reason = next((name for name in SIDES.values() if not is_decimal(getattr(event, name))), "")
    if reason:
        batch.rejected[event.symbol, reason] += 1
    return bool(reason)


def _sort_message(message: dict[str, Any], batch: Decoded) -> None:
    """Count a message that typed decoding refused."""
    event, name = message.get("data", message), str(message.get("stream", ""))
    kind = str(event.get("e", "")) if isinstance(event, dict) else ""
    if isinstance(event, dict) and (kind == QUOTES or (not kind and event.keys() >= KEYS)):
        symbol = event.get("s")
        known = isinstance(symbol, str) and is_symbol(symbol)
        batch.rejected[symbol if known else None, _fault(event)] += 1
    else:
        sort_rest(message, kind, name, (QUOTES,), batch)


def _fault(event: Mapping[str, Any]) -> str:
    """Reason why an event is no quote."""
    rules: tuple[tuple[str, type, Callable[[Any], bool], str], ...] = (
        ("s", str, is_symbol, "symbol"),
        ("u", int, lambda value: 0 <= value <= MAX_ID, "id"),
        *((key, str, is_decimal, name) for key, name in SIDES.items()),
    )
    return next((why for key, kind, holds, why in rules if not has(event, key, kind, holds)), "time")
