"""Routes of the REST API, version 1. Numbers that do not exist are null, never NaN or 0."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

import msgspec
import numpy as np
from fastapi import APIRouter, Depends, Path, Query, Response

import config
from alerts.rules import Rule, body_of
from analytics.pair import METHODS, SCALES, PairParams
from analytics.readings import metrics
from analytics.resampling import timeframe_us
from analytics.signals import SignalParams
from api import schemas
from engine import Engine, current
from utils.errors import InputError, NotFound, TooFewObservations

router = APIRouter()

MAX_TICKS = 100_000
MAX_BARS = 20_000
MAX_ROWS = 10_000


def as_json(value: object) -> Response:
    """Compact JSON; NaN and infinities become null."""
    return Response(msgspec.json.encode(value, enc_hook=_plain), media_type="application/json")


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"no JSON for {type(value).__name__}")


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


@router.get("/ticks/{symbol}", response_model=list[schemas.Tick], summary="Trades held in memory, oldest first")
def ticks(
    symbol: str,
    limit: Annotated[int, Query(ge=1, le=MAX_TICKS)] = 1_000,
    since_us: Annotated[int, Query(ge=0, le=2**62)] = 0,
) -> Response:
    engine = current()
    trades = engine.ticks(followed(engine, symbol), limit, since_us)
    names = ("trade_id", "ts_us", "price", "qty", "buyer_is_maker")
    columns = (*(column.tolist() for column in trades.columns[:4]), trades.buyer_is_maker.astype(bool).tolist())
    return as_json([dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)])


@router.get("/bars/{symbol}/{timeframe}", response_model=list[schemas.Bar], summary="Bars, oldest first")
def bars(symbol: str, timeframe: str, limit: Annotated[int, Query(ge=1, le=MAX_BARS)] = 500) -> Response:
    engine = current()
    timeframe_us(timeframe)
    frame = engine.bars(followed(engine, symbol), timeframe, limit)
    columns: dict[str, list[Any]] = {"ts_us": frame.index.asi8.tolist()}
    columns |= {name: frame[name].to_numpy().tolist() for name in schemas.Bar.model_fields if name != "ts_us"}
    return as_json([dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)])


Leg = Annotated[str, Path(description="A followed symbol, for example ETHUSDT")]


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
    symbol_x: Leg,
    symbol_y: Leg,
    timeframe: str,
    params: Params,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 100,
) -> Response:
    engine = current()
    legs = followed(engine, symbol_y), followed(engine, symbol_x)
    try:
        analysis = engine.analysis(*legs, timeframe, params, bars=limit + params.warm_up)
    except TooFewObservations:
        return as_json([])
    return as_json(analysis.rows(limit))


@router.get("/pair/{symbol_x}/{symbol_y}/{timeframe}", summary="The whole analysis of a pair")
def pair(
    symbol_x: Leg,
    symbol_y: Leg,
    timeframe: str,
    params: Params,
) -> Response:
    engine = current()
    legs = followed(engine, symbol_y), followed(engine, symbol_x)
    analysis = engine.analysis(*legs, timeframe, params)
    head = {"symbol_y": legs[0], "symbol_x": legs[1], "timeframe": timeframe, "mode": engine.status().mode}
    return as_json(head | analysis.as_dict())


@router.get("/microstructure/{symbol}", summary="All measures of one symbol's tape, now")
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


@router.get("/signals/{symbol_x}/{symbol_y}/{timeframe}", summary="The signal of a pair at its newest close")
def signals(
    symbol_x: Leg,
    symbol_y: Leg,
    timeframe: str,
    params: Params,
    rule: Annotated[SignalParams, Depends(rule)],
    notional: Annotated[float, Query(gt=0, le=1e9, description="Of y, quote currency, for the cost at quotes")] = (
        config.NOTIONAL
    ),
) -> Response:
    engine = current()
    legs = followed(engine, symbol_y), followed(engine, symbol_x)
    found = engine.signal(*legs, timeframe, params, rule, notional)
    head = {"symbol_y": legs[0], "symbol_x": legs[1], "timeframe": timeframe, "mode": engine.status().mode}
    body = asdict(found) | {"pays": found.pays, "reading": found.reading()}
    derived = {"uncapped": found.opportunity.uncapped, "void": found.opportunity.void}
    return as_json(head | body | {"opportunity": body["opportunity"] | derived})


@router.get("/gaps", response_model=list[schemas.Gap], summary="Trade ids that did not arrive")
def gaps() -> Response:
    return as_json([asdict(gap) for gap in current().gaps()])


@router.get("/alerts", response_model=list[schemas.Rule], summary="Alert rules")
def rules() -> Response:
    engine = current()
    return as_json([_rule(engine, rule) for rule in engine.alerts.rules()])


@router.post("/alerts", response_model=schemas.Rule, status_code=201, summary="Make an alert rule")
def add_rule(body: schemas.NewRule) -> Response:
    engine = current()
    fields = {**engine.rule_defaults(), **_given(body)}
    response = as_json(_rule(engine, engine.alerts.add(_checked(fields))))
    response.status_code = 201
    return response


@router.patch("/alerts/{rule_id}", response_model=schemas.Rule, summary="Change an alert rule")
def change_rule(rule_id: str, body: schemas.RuleChange) -> Response:
    engine = current()
    fields = body.model_dump(exclude_unset=True, exclude={"version"})
    try:
        rule = engine.alerts.update(rule_id, _checked(fields), body.version)
    except KeyError:
        raise _no_rule(rule_id) from None
    return as_json(_rule(engine, rule))


@router.delete("/alerts/{rule_id}", status_code=204, summary="Remove an alert rule")
def remove_rule(rule_id: str) -> None:
    try:
        current().alerts.remove(rule_id)
    except KeyError:
        raise _no_rule(rule_id) from None


@router.post(
    "/alerts/{rule_id}/duplicate",
    response_model=schemas.Rule,
    status_code=201,
    summary="Make a copy of a rule, not enabled",
)
def duplicate_rule(rule_id: str) -> Response:
    engine = current()
    try:
        response = as_json(_rule(engine, engine.alerts.duplicate(rule_id)))
    except KeyError:
        raise _no_rule(rule_id) from None
    response.status_code = 201
    return response


@router.post("/alerts/{rule_id}/silence", response_model=schemas.Rule, summary="Keep back what a rule has to say")
def silence_rule(rule_id: str, body: schemas.SilenceFor) -> Response:
    return _silenced(rule_id, body.for_s)


@router.delete("/alerts/{rule_id}/silence", response_model=schemas.Rule, summary="End a silence")
def end_silence(rule_id: str) -> Response:
    return _silenced(rule_id, None)


@router.post("/alerts/{rule_id}/test", summary="Send a test to the channels of a rule: ok or failed, by channel")
def test_rule(rule_id: str) -> Response:
    engine = current()
    rule = next((rule for rule in engine.alerts.rules() if rule.rule_id == rule_id), None)
    if rule is None:
        raise _no_rule(rule_id)
    return as_json(engine.notifier.test_rule(rule))


@router.post("/alerts/rehearsal", summary="Would it have fired? A rule over the bars of the past")
def rehearsal(body: schemas.Rehearsal) -> Response:
    engine = current()
    fields = _checked({**engine.rule_defaults(), **_given(body.rule)})
    return as_json(engine.would_have_fired(fields, body.bars, body.thresholds))


@router.get("/alerts/metrics", summary="Metrics that a rule may name, of a pair and of a symbol")
def metric_names() -> Response:
    return as_json({"pair": metrics(True), "symbol": metrics(False)})


@router.get("/alerts/history", response_model=list[schemas.AlertRow], summary="What the rules did, newest first")
def history(
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 1_000,
    rule_id: str | None = None,
    before: Annotated[int | None, Query(ge=1, le=2**62)] = None,
) -> Response:
    return as_json(current().alert_history(limit, rule_id, before))


@router.get("/alerts/history/{event_id}", summary="One alert: its changes, context and outcome")
def alert(event_id: str) -> Response:
    rows = current().alert_file.event(event_id)
    if not rows:
        raise NotFound(f"there is no alert {event_id[:40]!r}", "alert")
    return as_json(rows)


@router.get("/alerts/statistics", summary="Firings and outcomes by rule and severity, and how the evaluation stands")
def statistics() -> Response:
    engine = current()
    return as_json({"rules": engine.alert_file.statistics(), "evaluation": engine.alerts.figures()})


@router.get("/alerts/channels", summary="How the channels stand")
def channels() -> Response:
    return as_json([asdict(status) for status in current().notifier.status()])


@router.post("/alerts/channels/{name}/test", summary="Send a test: ok or failed")
def test_channel(name: str) -> Response:
    return as_json({"result": current().notifier.test(name)})


Status = Literal["waiting", "sent", "digest", "dead", "dropped"]


@router.get("/alerts/outbox", summary="Messages, newest first; `dead` are those that were given up")
def outbox(status: Status | None = None, limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 200) -> Response:
    return as_json(current().alert_file.outbox(status, limit))


@router.post("/alerts/outbox/{number}/retry", status_code=202, summary="Send a message again that was given up")
def retry_message(number: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    current().alert_file.retry(number)
    response = as_json({"result": "waiting"})
    response.status_code = 202
    return response


def _given(body: schemas.RuleFields) -> dict[str, Any]:
    """The fields that were given."""
    return {name: value for name, value in body.model_dump().items() if value is not None}


def _silenced(rule_id: str, for_s: float | None) -> Response:
    engine = current()
    try:
        engine.alerts.silence(rule_id, for_s)
    except KeyError:
        raise _no_rule(rule_id) from None
    return as_json(_rule(engine, next(rule for rule in engine.alerts.rules() if rule.rule_id == rule_id)))


def _checked(fields: dict[str, Any]) -> dict[str, Any]:
    """Rule fields whose symbols and bar width can be read.

    Raises
    ------
    InputError
    """
    for leg in ("symbol", "symbol_y", "symbol_x"):
        if fields.get(leg):
            try:
                fields[leg] = config.clean_symbol(str(fields[leg]))
            except ValueError as exc:
                raise InputError(str(exc), leg) from None
    if fields.get("timeframe", "tick") != "tick":
        timeframe_us(fields["timeframe"])
    return fields


def _rule(engine: Engine, rule: Rule) -> dict[str, Any]:
    body, state = body_of(rule), engine.alerts.state(rule.rule_id)
    return {
        "id": body.pop("rule_id"),
        **body,
        "symbol": None if rule.symbol_x else rule.symbol_y,
        "title": rule.title,
        "state": state.shown,
        "since_us": state.since_us or None,
        "silenced_until_us": state.silenced_until_us,
        "suppressed": state.suppressed,
    }


def _no_rule(rule_id: str) -> NotFound:
    return NotFound(f"there is no rule {rule_id[:40]!r}", "rule")
