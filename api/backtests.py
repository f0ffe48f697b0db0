"""Routes of backtests: taken up as jobs, told while they run, with all that came of them once they are done."""

import math
from dataclasses import asdict
from typing import Annotated, Any

import pandas as pd
from fastapi import APIRouter, Query, Request, Response

import config
from analytics.backtest import Axes, BacktestParams
from api import schemas
from api.answers import Part, as_json, paged
from api.conditional import Conditional
from api.jobs import State, told
from engine import Engine, current
from engine.backtest_report import BacktestRequest, Report, Walk
from utils.errors import InputError

router = APIRouter(prefix="/backtests", route_class=Conditional)

Points = Annotated[int, Query(ge=0, le=1_000_000, description="About so many of the equity; 0 gives every bar")]


@router.post("", response_model=schemas.Job, status_code=202, summary="Take up a backtest; how its job stands")
def start(body: schemas.NewBacktest) -> Response:
    engine = current()
    return as_json(told(engine.backtests.start(request_of(engine, body))), 202)


def request_of(engine: Engine, body: schemas.NewBacktest) -> BacktestRequest:
    """The request of a body; the pair and bar width are the configured ones where none are given.

    Raises
    ------
    InputError
    """
    default = engine.rule_defaults()
    given: dict[str, Any] = {} if body.params is None else body.params.model_dump(exclude_unset=True)
    unlimited: dict[str, Any] = {name: math.inf for name, value in given.items() if value is None}
    params = BacktestParams(**(given | unlimited))
    axes = body.grid
    if body.walk_forward is not None and axes is None:
        raise InputError("a walk-forward chooses from a grid: give its values", "grid")
    return BacktestRequest(
        symbol_y=body.symbol_y or default["symbol_y"],
        symbol_x=body.symbol_x or default["symbol_x"],
        timeframe=body.timeframe,
        params=params,
        source=body.source,
        bars=body.bars,
        funding=None if body.funding is None else (body.funding[0], body.funding[1]),
        shuffles=body.shuffles,
        axes=None if axes is None else _axes(params, axes),
        walk=None if body.walk_forward is None else Walk(**body.walk_forward.model_dump()),
    )


def _axes(params: BacktestParams, given: schemas.GridAxes) -> Axes:
    """The values to try; that of the run where none are given."""
    values = {name: getattr(given, name) or [getattr(params, name)] for name in Axes._fields}
    return Axes(**{name: tuple(part) for name, part in values.items()})


@router.get("", response_model=list[schemas.Job], summary="Backtests, newest first")
def backtests(request: Request, part: Part, state: State | None = None) -> Response:
    return paged(request, [told(job) for job in current().backtests.jobs() if state in (None, job.state)], part)


@router.get("/sources", response_model=list[schemas.BarSource], summary="Where bars of a pair can be taken from")
def sources(
    symbol_y: str | None = None, symbol_x: str | None = None, timeframe: str = config.DEFAULT_TIMEFRAME
) -> Response:
    engine = current()
    default = engine.rule_defaults()
    pair = (symbol_y or default["symbol_y"]).upper(), (symbol_x or default["symbol_x"]).upper()
    return as_json([asdict(row) for row in engine.backtests.sources(*pair, timeframe)])


@router.get("/saved", response_model=dict[str, object], summary="Runs that were saved, by name")
def saved() -> Response:
    return as_json(current().backtests.saved())


@router.get(
    "/{job_id}", response_model=schemas.Backtest, summary="How a backtest stands, and its result once it is done"
)
def backtest(job_id: str, points: Points = 2_000) -> Response:
    engine = current()
    job, report = engine.backtests.job(job_id), engine.backtests.report(job_id)
    request = engine.backtests.request(job_id).as_dict()
    return as_json(told(job) | {"request": request, "result": None if report is None else _result(report, points)})


@router.delete("/{job_id}", response_model=schemas.Job, summary="Cancel a backtest; how it stands then")
def cancel(job_id: str) -> Response:
    engine = current()
    engine.backtests.job(job_id)
    return as_json(told(engine.jobs.cancel(job_id)))


def _result(report: Report, points: int) -> dict[str, Any]:
    """Figures, doubts, trades and equity."""
    body = report.summary()
    del body["request"]
    body |= {"equity": report.curve(points), "trades": _rows(report.run.trades)}
    body["grid"] = None if report.grid is None else _rows(report.grid.frame())
    body["folds"] = None if report.walk is None else _rows(report.walk.frame())
    return body


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
