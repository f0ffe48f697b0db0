"""Downloads: trades, bars, the analysis of a pair and alerts, sent while they are read, and a manifest of each."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from itertools import chain
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import StreamingResponse

import config
from analytics.resampling import timeframe_us
from api import bodies
from api.conditional import Conditional
from api.routes import MAX_BARS, Params, followed
from data.exporters import FORMATS, Span, Table, manifest, noted
from engine import Engine, current
from utils.clock import LATEST_US
from utils.errors import InputError, NotFound
from utils.versions import pairscope_version

router = APIRouter(prefix="/export", route_class=Conditional)

Form = Literal["csv", "parquet", "ndjson", "xlsx"]
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


@dataclass(frozen=True, slots=True, eq=False)
class Download:
    """A table, what it is of, and the name of its file without the ending."""

    table: Table
    name: str
    source: dict[str, Any]
    parameters: dict[str, Any]


def ticks_of(symbol: Symbol, part: Part) -> Download:
    engine = current()
    symbol = followed(engine, symbol)
    source = _source(engine, "ticks", stream=engine.session.feed.stream, symbol=symbol)
    return Download(engine.exports.ticks(symbol, part), f"{symbol}-ticks", source, {})


def bars_of(symbol: Symbol, part: Part, timeframe: Timeframe = config.DEFAULT_TIMEFRAME) -> Download:
    engine = current()
    symbol = followed(engine, symbol)
    timeframe_us(timeframe)
    source = _source(engine, "bars", symbol=symbol, timeframe=timeframe)
    return Download(engine.exports.bars(symbol, timeframe, part), f"{symbol}-{timeframe}-bars", source, {})


def analytics_of(
    symbol_x: Symbol, symbol_y: Symbol, params: Params, part: Part, timeframe: Timeframe = config.DEFAULT_TIMEFRAME
) -> Download:
    engine = current()
    legs = followed(engine, symbol_y), followed(engine, symbol_x)
    if part.limit is not None and part.limit > MAX_BARS:
        raise InputError(f"limit must be at most {MAX_BARS} bars, was {part.limit}", "limit")
    table = engine.exports.analysis(*legs, timeframe, params, part)
    source = _source(engine, "analytics", symbol_y=legs[0], symbol_x=legs[1], timeframe=timeframe)
    return Download(table, f"{legs[0]}-{legs[1]}-{timeframe}-analytics", source, asdict(params))


def alerts_of(part: Part) -> Download:
    engine = current()
    return Download(engine.exports.alerts(part), "alerts", _source(engine, "alerts"), {})


def _source(engine: Engine, kind: str, **more: str) -> dict[str, Any]:
    return {"kind": kind, "venue": engine.venue, **more}


# --- manifests: before the files, whose address would fit theirs too --------------------------------

MANIFEST = ".{form}.manifest.json"
SAID = "What a download is, with the hash of its rows, and an address that gives the same rows again"


def bounded(part: Part) -> Span:
    """The same range with an end, where it has none: that of now."""
    return replace(part, until_us=min(part.until_us, max(current().now_us(), part.since_us + 1)))


Bounded = Annotated[Span, Depends(bounded)]


@router.get("/ticks" + MANIFEST, response_model=bodies.Manifest, summary=SAID)
def ticks_manifest(request: Request, form: Form, symbol: Symbol, part: Bounded) -> dict[str, Any]:
    return _manifest(request, form, ticks_of(symbol, part), part)


@router.get("/bars" + MANIFEST, response_model=bodies.Manifest, summary=SAID)
def bars_manifest(
    request: Request, form: Form, symbol: Symbol, part: Bounded, timeframe: Timeframe = config.DEFAULT_TIMEFRAME
) -> dict[str, Any]:
    return _manifest(request, form, bars_of(symbol, part, timeframe), part)


@router.get("/analytics" + MANIFEST, response_model=bodies.Manifest, summary=SAID)
def analytics_manifest(
    request: Request,
    form: Form,
    symbol_x: Symbol,
    symbol_y: Symbol,
    params: Params,
    part: Bounded,
    timeframe: Timeframe = config.DEFAULT_TIMEFRAME,
) -> dict[str, Any]:
    return _manifest(request, form, analytics_of(symbol_x, symbol_y, params, part, timeframe), part)


@router.get("/alerts" + MANIFEST, response_model=bodies.Manifest, summary=SAID)
def alerts_manifest(request: Request, form: Form, part: Bounded) -> dict[str, Any]:
    return _manifest(request, form, alerts_of(part), part)


def _manifest(request: Request, form: str, found: Download, part: Span) -> dict[str, Any]:
    asked = dict(request.query_params) | {"since_us": str(part.since_us), "until_us": str(part.until_us)}
    address = f"/api/v1/export/{found.source['kind']}.{form}?{urlencode(asked)}"
    return manifest(found.table, found.source, part, found.parameters, address, pairscope_version())


# --- files ------------------------------------------------------------------------------------------


@router.get("/ticks.{form}", response_class=StreamingResponse, responses=FILE, summary="Trades of one symbol")
def ticks(form: Form, found: Annotated[Download, Depends(ticks_of)]) -> StreamingResponse:
    return _sent(found, form)


@router.get("/bars.{form}", response_class=StreamingResponse, responses=FILE, summary="Bars of one symbol")
def bars(form: Form, found: Annotated[Download, Depends(bars_of)]) -> StreamingResponse:
    return _sent(found, form)


@router.get("/analytics.{form}", response_class=StreamingResponse, responses=FILE, summary="A pair, bar by bar")
def analytics(form: Form, found: Annotated[Download, Depends(analytics_of)]) -> StreamingResponse:
    return _sent(found, form)


@router.get("/alerts.{form}", response_class=StreamingResponse, responses=FILE, summary="What the alert rules did")
def alerts(form: Form, found: Annotated[Download, Depends(alerts_of)]) -> StreamingResponse:
    return _sent(found, form)


@router.get("/{name}", include_in_schema=False)
def nothing(name: str) -> None:
    forms = ", ".join(f".{form}" for form in FORMATS)
    raise NotFound(f"exports are ticks, bars, analytics and alerts, as {forms}; a manifest of each", "export")


def _sent(found: Download, form: Form) -> StreamingResponse:
    """The file, piece by piece. What goes wrong before the first piece is an error of the usual shape."""
    write, media = FORMATS[form]
    pieces = write(noted(found.table, found.source | {"parameters": found.parameters}))
    body: Iterator[bytes] = chain([next(pieces)], pieces)
    headers = {
        "Content-Disposition": _named(f"{found.name}.{form}"),
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
    }
    return StreamingResponse(body, media_type=media, headers=headers)


def _named(file: str) -> str:
    """The header that gives a download its name. curl reads only the plain form, which has no letters beyond ASCII."""
    plain = f' filename="{file}";' if file.isascii() else ""
    return f"attachment;{plain} filename*=UTF-8''{quote(file, safe='')}"
