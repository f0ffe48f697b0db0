"""Downloads: trades, bars, the analysis of a pair and alerts as CSV or Parquet, sent while they are read."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal
from urllib.parse import quote

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse

import config
from analytics.resampling import timeframe_us
from api.routes import MAX_BARS, Params, followed
from data.exporters import FORMATS, Span, Table
from engine import current
from utils.clock import LATEST_US
from utils.errors import InputError, NotFound

router = APIRouter(prefix="/export")

Form = Literal["csv", "parquet"]
Symbol = Annotated[str, Query(description="A followed symbol", examples=["BTCUSDT"])]
Timeframe = Annotated[str, Query(description="Width of a bar, such as 1s, 15s, 1m, 1h")]
FILE: dict[int | str, dict[str, Any]] = {
    200: {"description": "The file", "content": {media.split(";")[0]: {} for _, media in FORMATS.values()}}
}


def span(
    since_us: Annotated[int, Query(ge=0, le=LATEST_US, description="From this time on, microseconds UTC")] = 0,
    until_us: Annotated[int, Query(ge=0, le=LATEST_US, description="Up to this time, left out")] = LATEST_US,
    limit: Annotated[int | None, Query(ge=1, le=10**12, description="Of these the newest; none = all")] = None,
) -> Span:
    """What part is wanted.

    Raises
    ------
    InputError
    """
    if until_us <= since_us:
        raise InputError(f"until_us must be later than since_us {since_us}, was {until_us}", "until_us")
    return Span(since_us, until_us, limit)


Part = Annotated[Span, Depends(span)]


@router.get("/ticks.{form}", response_class=StreamingResponse, responses=FILE, summary="Trades of one symbol")
def ticks(form: Form, symbol: Symbol, part: Part) -> StreamingResponse:
    engine = current()
    symbol = followed(engine, symbol)
    return _sent(engine.ticks_table(symbol, part), f"{symbol}-ticks", form)


@router.get("/bars.{form}", response_class=StreamingResponse, responses=FILE, summary="Bars of one symbol")
def bars(form: Form, symbol: Symbol, part: Part, timeframe: Timeframe = config.DEFAULT_TIMEFRAME) -> StreamingResponse:
    engine = current()
    symbol = followed(engine, symbol)
    timeframe_us(timeframe)
    return _sent(engine.bars_table(symbol, timeframe, part), f"{symbol}-{timeframe}-bars", form)


@router.get("/analytics.{form}", response_class=StreamingResponse, responses=FILE, summary="A pair, bar by bar")
def analytics(
    form: Form,
    symbol_x: Symbol,
    symbol_y: Symbol,
    params: Params,
    part: Part,
    timeframe: Timeframe = config.DEFAULT_TIMEFRAME,
) -> StreamingResponse:
    engine = current()
    legs = followed(engine, symbol_y), followed(engine, symbol_x)
    if part.limit is not None and part.limit > MAX_BARS:
        raise InputError(f"limit must be at most {MAX_BARS} bars, was {part.limit}", "limit")
    table = engine.analysis_table(*legs, timeframe, params, part)
    return _sent(table, f"{legs[0]}-{legs[1]}-{timeframe}-analytics", form)


@router.get("/alerts.{form}", response_class=StreamingResponse, responses=FILE, summary="What the alert rules did")
def alerts(form: Form, part: Part) -> StreamingResponse:
    return _sent(current().alerts_table(part), "alerts", form)


@router.get("/{name}", include_in_schema=False)
def nothing(name: str) -> None:
    raise NotFound("exports are ticks, bars, analytics and alerts, as .csv or .parquet", "export")


def _sent(table: Table, name: str, form: Form) -> StreamingResponse:
    """The file, piece by piece. What goes wrong before the first piece is an error of the usual shape."""
    write, media = FORMATS[form]
    pieces = write(table)
    body: Iterator[bytes] = chain([next(pieces)], pieces)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(f'{name}.{form}', safe='')}",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(body, media_type=media, headers=headers)
