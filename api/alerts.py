"""Routes of alerts: rules, what they did, and the channels that tell of it."""

from dataclasses import asdict
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response

import config
from alerts.rules import Rule, body_of
from analytics.readings import metrics
from analytics.resampling import timeframe_us
from api import bodies, schemas
from api.answers import MAX_ROWS, Part, as_json, link, paged
from api.conditional import Conditional, IfMatch, tag_rule, version_of
from engine import Engine, current
from utils.clock import LATEST_US
from utils.errors import InputError, NotFound

router = APIRouter(prefix="/alerts", route_class=Conditional)

Shown = Literal["OK", "PENDING", "FIRING", "NODATA", "SILENCED"]
Before = Annotated[int | None, Query(ge=1, le=2**62, description="Only older ones: the `number` of the last row")]


@router.get("", response_model=list[schemas.Rule], summary="Alert rules, in the order they were made")
def rules(
    request: Request, part: Part, symbol: str | None = None, state: Shown | None = None, enabled: bool | None = None
) -> Response:
    engine = current()
    leg = None if symbol is None else symbol.upper()
    found = [_rule(engine, rule) for rule in engine.alerts.rules()]
    rows = [
        row
        for row in found
        if leg in (None, row["symbol_y"], row["symbol_x"])
        and state in (None, row["state"])
        and enabled in (None, row["enabled"])
    ]
    return paged(request, rows, part)


@router.post("", response_model=schemas.Rule, status_code=201, summary="Make an alert rule")
def add_rule(body: schemas.NewRule) -> Response:
    engine = current()
    fields = {**engine.rule_defaults(), **_given(body)}
    return _told(engine, engine.alerts.add(_checked(fields)), 201)


@router.patch("/{rule_id}", response_model=schemas.Rule, summary="Change an alert rule")
def change_rule(rule_id: str, body: schemas.RuleChange, if_match: IfMatch = None) -> Response:
    engine = current()
    fields = body.model_dump(exclude_unset=True, exclude={"version"})
    try:
        rule = engine.alerts.update(rule_id, _checked(fields), version_of(if_match, body.version))
    except KeyError:
        raise _no_rule(rule_id) from None
    return _told(engine, rule)


@router.delete("/{rule_id}", status_code=204, summary="Remove an alert rule")
def remove_rule(rule_id: str, if_match: IfMatch = None) -> None:
    try:
        current().alerts.remove(rule_id, version_of(if_match))
    except KeyError:
        raise _no_rule(rule_id) from None


@router.post(
    "/{rule_id}/duplicate",
    response_model=schemas.Rule,
    status_code=201,
    summary="Make a copy of a rule, not enabled",
)
def duplicate_rule(rule_id: str) -> Response:
    engine = current()
    try:
        return _told(engine, engine.alerts.duplicate(rule_id), 201)
    except KeyError:
        raise _no_rule(rule_id) from None


@router.post("/{rule_id}/silence", response_model=schemas.Rule, summary="Keep back what a rule has to say")
def silence_rule(rule_id: str, body: schemas.SilenceFor) -> Response:
    return _silenced(rule_id, body.for_s)


@router.delete("/{rule_id}/silence", response_model=schemas.Rule, summary="End a silence")
def end_silence(rule_id: str) -> Response:
    return _silenced(rule_id, None)


@router.post(
    "/{rule_id}/test",
    response_model=dict[str, str],
    summary="Send a test to the channels of a rule: ok or failed, by channel",
)
def test_rule(rule_id: str) -> Response:
    engine = current()
    return as_json(engine.notifier.test_rule(_find(engine, rule_id)))


@router.post(
    "/rehearsal", response_model=bodies.Rehearsed, summary="Would it have fired? A rule over the bars of the past"
)
def rehearsal(body: schemas.Rehearsal) -> Response:
    engine = current()
    fields = _checked({**engine.rule_defaults(), **_given(body.rule)})
    return as_json(engine.would_have_fired(fields, body.bars, body.thresholds))


@router.get(
    "/metrics", response_model=bodies.MetricNames, summary="Metrics that a rule may name, of a pair and of a symbol"
)
def metric_names() -> Response:
    return as_json({"pair": metrics(True), "symbol": metrics(False)})


@router.get("/history", response_model=list[schemas.AlertRow], summary="What the rules did, newest first")
def history(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 1_000,
    rule_id: str | None = None,
    before: Before = None,
    state: Annotated[str | None, Query(description="firing, repeat, resolved, nodata, unsilenced or missed")] = None,
    since_us: Annotated[int | None, Query(ge=0, le=LATEST_US, description="Market time, from this time on")] = None,
) -> Response:
    rows = current().alert_file.history(limit + 1, rule_id=rule_id, before=before, state=state, since_us=since_us)
    return _older(request, rows, limit)


@router.get(
    "/history/{event_id}", response_model=list[bodies.AlertEvent], summary="One alert: its changes, context and outcome"
)
def alert(event_id: str) -> Response:
    rows = current().alert_file.event(event_id)
    if not rows:
        raise NotFound(f"there is no alert {event_id[:40]!r}", "alert")
    return as_json(rows)


@router.get(
    "/statistics",
    response_model=bodies.Statistics,
    summary="Firings and outcomes by rule and severity, and how the evaluation stands",
)
def statistics() -> Response:
    engine = current()
    return as_json({"rules": engine.alert_file.statistics(), "evaluation": engine.alerts.figures()})


@router.get("/channels", response_model=list[bodies.Channel], summary="How the channels stand")
def channels() -> Response:
    return as_json([asdict(status) for status in current().notifier.status()])


@router.post("/channels/{name}/test", response_model=bodies.Result, summary="Send a test: ok or failed")
def test_channel(name: str) -> Response:
    return as_json({"result": current().notifier.test(name)})


Status = Literal["waiting", "sent", "digest", "dead", "dropped"]


@router.get(
    "/outbox",
    response_model=list[bodies.Message],
    summary="Messages, newest first; `dead` are those that were given up",
)
def outbox(
    request: Request,
    status: Status | None = None,
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS)] = 200,
    before: Before = None,
) -> Response:
    return _older(request, current().alert_file.outbox(status, limit + 1, before), limit)


@router.post(
    "/outbox/{number}/retry",
    response_model=bodies.Result,
    status_code=202,
    summary="Send a message again that was given up",
)
def retry_message(number: Annotated[int, Path(ge=1, le=2**62)]) -> Response:
    current().alert_file.retry(number)
    return as_json({"result": "waiting"}, 202)


@router.get("/{rule_id}", response_model=schemas.Rule, summary="One alert rule; its ETag begins with its version")
def one_rule(rule_id: str) -> Response:
    engine = current()
    return _told(engine, _find(engine, rule_id))


def _given(body: schemas.RuleFields) -> dict[str, Any]:
    """The fields that were given."""
    return {name: value for name, value in body.model_dump().items() if value is not None}


def _silenced(rule_id: str, for_s: float | None) -> Response:
    engine = current()
    try:
        engine.alerts.silence(rule_id, for_s)
    except KeyError:
        raise _no_rule(rule_id) from None
    return _told(engine, _find(engine, rule_id))


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
    if (fields.get("timeframe") or "tick") != "tick":
        timeframe_us(fields["timeframe"])
    return fields


def _older(request: Request, rows: list[dict[str, Any]], limit: int) -> Response:
    """Up to `limit` of these rows, and where those before them are, if there is one row more."""
    response = as_json(rows[:limit])
    if len(rows) > limit:
        link(response, request, "next", before=rows[limit - 1]["number"])
    return response


def _told(engine: Engine, rule: Rule, status: int = 200) -> Response:
    return tag_rule(as_json(_rule(engine, rule), status), rule.version)


def _find(engine: Engine, rule_id: str) -> Rule:
    """A rule in force. Raises NotFound."""
    rule = next((rule for rule in engine.alerts.rules() if rule.rule_id == rule_id), None)
    if rule is None:
        raise _no_rule(rule_id)
    return rule


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
