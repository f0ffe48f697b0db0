"""Server-sent events: a pair as it is read, bar by bar and second by second, and what the alert rules do.

An event has an id that says how far the reader has come. A client that lost the connection sends the newest one back
as Last-Event-ID, as browsers do by themselves, and gets every bar that has closed since, and every alert, once.
"""

import asyncio
import secrets
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import APIRouter, Depends, Header, Query
from fastapi.sse import EventSourceResponse, ServerSentEvent
from starlette.concurrency import run_in_threadpool

from alerts.rules import AlertEvent
from analytics.pair import PairAnalysis, PairParams
from analytics.resampling import timeframe_us
from api.answers import refusal
from api.routes import Pair, Params
from engine import current
from utils import logger
from utils.errors import PairscopeError

router = APIRouter(prefix="/stream")
LOG = logger.get("api")

REFRESH_S = 1.0
MOST_STREAMS = 100
EPOCH = secrets.token_hex(3)  # of this process: alerts are numbered anew by the next

Look = Callable[[], list[ServerSentEvent]]


class Streams:
    """The open streams of a process, which end together when it stops: the server waits for them."""

    def __init__(self) -> None:
        self._ends: set[asyncio.Event] = set()
        self._closed_loop: asyncio.AbstractEventLoop | None = None

    def close(self) -> None:
        """End every stream, and begin none; to be called on their loop, which is about to stop."""
        self._closed_loop = asyncio.get_running_loop()
        for end in self._ends:
            end.set()

    @property
    def open(self) -> int:
        """Streams that are open now."""
        return len(self._ends)

    async def follow(self, look: Look, most: int | None) -> AsyncGenerator[ServerSentEvent]:
        """What a look finds, once a second; `most` events at most."""
        end = asyncio.Event()
        self._ends.add(end)
        sent = 0
        try:
            while not end.is_set() and self._closed_loop is not asyncio.get_running_loop():
                for event in await run_in_threadpool(look):
                    yield event
                    sent += 1
                    if sent == most:
                        return
                with suppress(TimeoutError):
                    await asyncio.wait_for(end.wait(), REFRESH_S)
        finally:
            self._ends.discard(end)


STREAMS = Streams()


@dataclass(slots=True)
class Position:
    """How far a reader has come: the newest bar it knows, and the newest alert."""

    bar_us: int
    alert: int

    @classmethod
    def of(cls, event_id: str | None) -> "Position":
        """That of an event's id; without a readable one, at the newest alert and before the newest bar."""
        parts = (event_id or "").split("-")
        if len(parts) != 3 or not (parts[0].isdecimal() and parts[2].isdecimal()):
            return cls(0, current().alerts.last_seq)
        return cls(int(parts[0]), int(parts[2]) if parts[1] == EPOCH else 0)

    def __str__(self) -> str:
        return f"{self.bar_us}-{EPOCH}-{self.alert}"


class AlertWatch:
    """Looks for what the rules of a pair have done, or all rules, since the last look."""

    def __init__(self, at: Position, pair: tuple[str, str] | None = None) -> None:
        self.at, self._pair = at, pair

    def __call__(self) -> list[ServerSentEvent]:
        return list(self.alerts())

    def alerts(self) -> Iterator[ServerSentEvent]:
        """The new ones, oldest first."""
        for event in current().alerts.events_after(self.at.alert):
            self.at.alert = event.seq
            if self._pair is None or self._concerns(event):
                yield self.event("alert", _told(event))

    def event(self, name: str, data: object) -> ServerSentEvent:
        """An event, after which the reader stands where we stand."""
        return ServerSentEvent(event=name, id=str(self.at), raw_data=msgspec.json.encode(data).decode())

    def _concerns(self, event: AlertEvent) -> bool:
        own = (event.symbol_y, event.symbol_x)
        return own == self._pair or (not event.symbol_x and event.symbol_y in (self._pair or ()))


class PairWatch(AlertWatch):
    """Looks at a pair: closed bars once, the forming one each time, and its alerts."""

    def __init__(self, at: Position, pair: tuple[str, str], timeframe: str, params: PairParams) -> None:
        super().__init__(at, pair)
        self._asked = (*pair, timeframe, params)
        self._problem: dict[str, Any] | None = None

    def __call__(self) -> list[ServerSentEvent]:
        return [*self._bars(), *self.alerts()]

    def _bars(self) -> Iterator[ServerSentEvent]:
        try:
            analysis = current().analysis(*self._asked)
        except PairscopeError as exc:
            _, body = refusal(exc)
            if body != self._problem:  # told once
                self._problem = body
                yield self.event("problem", body)
            return
        self._problem = None
        yield from self._closed(analysis)
        if analysis.provisional is not None:
            head = {"at_us": current().now_us(), "after_us": self.at.bar_us}
            yield self.event("forming", head | asdict(analysis.provisional))

    def _closed(self, analysis: PairAnalysis) -> Iterator[ServerSentEvent]:
        """The bars that the reader does not know: the newest where it knows none, or time was set back."""
        times = np.array([], np.int64) if analysis.ts_us is None else analysis.ts_us
        if not times.size or times[-1] == self.at.bar_us:
            return
        new = int(np.count_nonzero(times > self.at.bar_us)) if self.at.bar_us else 1
        rows = analysis.rows(max(new, 1))
        for row in rows:
            self.at.bar_us = row["ts_us"]
            newest = {"reading": analysis.reading()} if row is rows[-1] else {}
            yield self.event("bar", row | newest)


def _told(event: AlertEvent) -> dict[str, Any]:
    """An alert but for its long parts, which the history has."""
    body = {name: value for name, value in asdict(event).items() if name not in ("seq", "context", "outcome")}
    return body | {"text": event.text}


# --- routes -----------------------------------------------------------------------------------------

LastEvent = Annotated[
    str | None, Header(alias="Last-Event-ID", max_length=60, description="Id of the newest event a client has")
]
Most = Annotated[
    int | None, Query(alias="events", ge=1, le=1_000_000, description="End after so many events; none: go on")
]


async def room() -> None:
    """Refuse a stream where too many are open.

    Raises
    ------
    PairscopeError
    """
    if STREAMS.open >= MOST_STREAMS:
        raise PairscopeError(f"{STREAMS.open} streams are open, the most is {MOST_STREAMS}")


def pair_watch(pair: Pair, timeframe: str, params: Params, last: LastEvent = None) -> Look:
    """How to look at a pair.

    Raises
    ------
    NotFound, InputError
    """
    if timeframe != "tick":
        timeframe_us(timeframe)
    return PairWatch(Position.of(last), pair, timeframe, params)


def alert_watch(last: LastEvent = None) -> Look:
    """How to look at all alerts."""
    return AlertWatch(Position.of(last))


@router.get(
    "/pair/{symbol_x}/{symbol_y}/{timeframe}",
    response_class=EventSourceResponse,
    dependencies=[Depends(room)],
    summary="Events: `bar` at each close, `forming` each second, `alert`, and `problem` while there are no numbers",
)
async def pair(look: Annotated[Look, Depends(pair_watch)], most: Most = None) -> AsyncGenerator[ServerSentEvent]:
    async for event in STREAMS.follow(look, most):
        yield event


@router.get(
    "/alerts",
    response_class=EventSourceResponse,
    dependencies=[Depends(room)],
    summary="Events: `alert`, a change of state of a rule",
)
async def alerts(look: Annotated[Look, Depends(alert_watch)], most: Most = None) -> AsyncGenerator[ServerSentEvent]:
    async for event in STREAMS.follow(look, most):
        yield event
