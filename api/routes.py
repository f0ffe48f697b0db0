"""Routes of the capture and of the analysis: status, trades, bars, pairs, tapes, signals, gaps."""

from dataclasses import asdict
from typing import Annotated, Any

import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Request, Response

import config
from analytics.pair import METHODS, SCALES, PairParams
from analytics.resampling import timeframe_us
from analytics.signals import SignalParams
from api import bodies, schemas
from api.answers import MAX_ROWS, Part, as_json, link, paged
from api.conditional import Conditional
from engine import Engine, current
from utils.clock import LATEST_US
from utils.errors import InputError, NotFound, TooFewObservations

router = APIRouter(route_class=Conditional)

MAX_TICKS = 100_000
MAX_BARS = 20_000
ALL = 2**62


def followed(engine: Engine, text: str) -> str:
    """The symbol as it is followed.

    Raises
    ------
    NotFound
    """
    symbol = text.upper()
    if symbol not in engine.symbols:
        raise NotFound(f"symbol {text[:40]!r} is not followed; followed are {', '.join(engine.symbols)}", "symbol")
    return symbol


@router.get("/", response_model=schemas.Status, summary="How the capture stands")
def status() -> Response:
    return as_json(current().status().as_dict())


Number = Annotated[int | None, Query(ge=0, le=2**62)]
Time = Annotated[int, Query(ge=0, le=LATEST_US, description="From this time on, microseconds UTC")]


@router.get("/ticks/{symbol}", response_model=list[schemas.Tick], summary="Trades held in memory, oldest first")
def ticks(
    request: Request,
    symbol: str,
    limit: Annotated[int, Query(ge=1, le=MAX_TICKS)] = 1_000,
    since_us: Annotated[int, Query(ge=0, le=2**62)] = 0,
    after_id: Annotated[Number, Query(description="The oldest ones after this id, for a reader that follows")] = None,
    before_id: Annotated[Number, Query(description="The newest ones before this id, for one that goes back")] = None,
) -> Response:
    engine = current()
    trades = engine.ticks(followed(engine, symbol), ALL, since_us)
    first = 0 if after_id is None else int(np.searchsorted(trades.trade_id, after_id, "right"))
    end = len(trades) if before_id is None else int(np.searchsorted(trades.trade_id, before_id))
    part = slice(first, min(first + limit, end)) if after_id is not None else slice(max(first, end - limit), end)
    rows = trades[part]
    names = ("trade_id", "ts_us", "price", "qty", "buyer_is_maker")
    columns = (*(column.tolist() for column in rows.columns[:4]), rows.buyer_is_maker.astype(bool).tolist())
    response = as_json([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])
    if after_id is not None and part.stop < end:
        link(response, request, "next", after_id=int(rows.trade_id[-1]))
    elif after_id is None and part.start > first:
        link(response, request, "prev", before_id=int(rows.trade_id[0]))
    return response


@router.get("/bars/{symbol}/{timeframe}", response_model=list[schemas.Bar], summary="Bars, oldest first")
def bars(
    request: Request,
    symbol: str,
    timeframe: str,
    limit: Annotated[int, Query(ge=1, le=MAX_BARS)] = 500,
    since_us: Time = 0,
    before_us: Annotated[int, Query(ge=0, le=LATEST_US, description="The newest ones that open earlier")] = LATEST_US,
) -> Response:
    engine = current()
    timeframe_us(timeframe)
    whole = before_us == LATEST_US
    frame = engine.bars(followed(engine, symbol), timeframe, limit + 1 if whole else MAX_BARS)
    opens = frame.index.asi8
    frame = frame[(opens >= since_us) & (opens < before_us)]
    part = frame.tail(limit)
    columns: dict[str, list[Any]] = {"ts_us": part.index.asi8.tolist()}
    columns |= {name: part[name].to_numpy().tolist() for name in schemas.Bar.model_fields if name != "ts_us"}
    response = as_json([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])
    if len(frame) > limit:
        link(response, request, "prev", before_us=int(part.index.asi8[0]))
    return response


Leg = Annotated[str, Path(description="A followed symbol", examples=["ETHUSDT"])]


def legs_of(symbol_x: Leg, symbol_y: Leg) -> tuple[str, str]:
    """Legs y and x as they are followed.

    Raises
    ------
    NotFound, InputError
    """
    engine = current()
    pair = followed(engine, symbol_y), followed(engine, symbol_x)
    if pair[0] == pair[1]:
        raise InputError(f"a pair needs two different symbols, both legs are {pair[0]}", "symbol_x")
    return pair


Pair = Annotated[tuple[str, str], Depends(legs_of)]


def params(
    window: Annotated[int, Query(ge=3, le=MAX_ROWS, description="Bars of the rolling statistics")] = (
        config.DEFAULT_WINDOW
    ),
    method: Annotated[str, Query(description=f"Of the moving hedge ratio: {', '.join(METHODS)}")] = "ols",
    scale: Annotated[str, Query(description=f"Of the z-score: {', '.join(SCALES)}")] = "std",
    log_prices: Annotated[bool, Query(description="Ratio and spread of logarithms of prices")] = False,
) -> PairParams:
    """Parameters of an analysis with the configured limits."""
    return PairParams(
        window=window,
        method=method,
        scale=scale,
        log_prices=log_prices,
        fee_bps=config.FEE_BPS,
        **config.ANALYSIS,
    )


Params = Annotated[PairParams, Depends(params)]


@router.get(
    "/analytics/{symbol_x}/{symbol_y}/{timeframe}",
    response_model=list[schemas.AnalyticsRow],
    summary="The pair bar by bar, oldest first; timeframe `tick` gives rows at trade times",
)
def analytics(
    pair: Pair,
    timeframe: str,
    params: Params,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 100,
    since_us: Time = 0,
) -> Response:
    engine = current()
    try:
        analysis = engine.analysis(*pair, timeframe, params, bars=limit + params.warm_up)
    except TooFewObservations:
        return as_json([])
    return as_json([row for row in analysis.rows(limit) if row["ts_us"] >= since_us])


@router.get(
    "/pair/{symbol_x}/{symbol_y}/{timeframe}", response_model=bodies.Pair, summary="The whole analysis of a pair"
)
def whole_pair(
    pair: Pair,
    timeframe: str,
    params: Params,
) -> Response:
    engine = current()
    analysis = engine.analysis(*pair, timeframe, params)
    head = {"symbol_y": pair[0], "symbol_x": pair[1], "timeframe": timeframe, "mode": engine.status().mode}
    return as_json(head | analysis.as_dict())


@router.get(
    "/microstructure/{symbol}", response_model=bodies.Microstructure, summary="All measures of one symbol's tape, now"
)
def microstructure(symbol: str) -> Response:
    engine = current()
    found = engine.tape(followed(engine, symbol))
    try:
        book = engine.book(symbol.upper())
    except TooFewObservations:
        book = None
    quotes = None if book is None else {"reading": book.reading(), **asdict(book)}
    return as_json({"symbol": symbol.upper(), "reading": found.reading(), **asdict(found), "quotes": quotes})


def rule(
    entry_z: Annotated[float, Query(gt=0, description="Enter at |z| above it")] = config.ENTRY_Z,
    exit_z: Annotated[float, Query(ge=0, description="Leave below it")] = config.EXIT_Z,
    stop_z: Annotated[float, Query(gt=0, description="Give up above it")] = config.STOP_Z,
) -> SignalParams:
    """Thresholds of a signal."""
    return SignalParams.around(entry_z, exit_z, stop_z)


@router.get(
    "/signals/{symbol_x}/{symbol_y}/{timeframe}",
    response_model=bodies.Signal,
    summary="The signal of a pair at its newest close",
)
def signals(
    pair: Pair,
    timeframe: str,
    params: Params,
    rule: Annotated[SignalParams, Depends(rule)],
    notional: Annotated[float, Query(gt=0, le=1e9, description="Of y, quote currency, for the cost at quotes")] = (
        config.NOTIONAL
    ),
) -> Response:
    engine = current()
    found = engine.signal(*pair, timeframe, params, rule, notional)
    head = {"symbol_y": pair[0], "symbol_x": pair[1], "timeframe": timeframe, "mode": engine.status().mode}
    body = asdict(found) | {"pays": found.pays, "reading": found.reading()}
    derived = {"uncapped": found.opportunity.uncapped, "void": found.opportunity.void}
    return as_json(head | body | {"opportunity": body["opportunity"] | derived})


@router.get("/gaps", response_model=list[schemas.Gap], summary="Trade ids that did not arrive, oldest find first")
def gaps(
    request: Request,
    part: Part,
    symbol: str | None = None,
    is_open: Annotated[bool | None, Query(alias="open", description="Only those that are open, or filled")] = None,
    since_us: Annotated[Time, Query(description="Found from this time on, microseconds UTC")] = 0,
) -> Response:
    wanted = None if symbol is None else symbol.upper()
    rows = [
        asdict(gap)
        for gap in current().gaps()
        if wanted in (None, gap.symbol) and is_open in (None, gap.filled_us is None) and gap.found_us >= since_us
    ]
    return paged(request, rows, part)
