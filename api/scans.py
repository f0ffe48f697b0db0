"""Routes of the scanner: scans as jobs, their rows, tables to scan, plans, and the watchlist."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from starlette.concurrency import run_in_threadpool

from analytics.scanner import rank
from analytics.scanner.ranking import DEFAULT, RISING
from api import bodies, schemas
from api.answers import Part, as_json, paged
from api.conditional import Conditional
from api.exports import FILE
from api.jobs import State
from data.exporters import FORMATS, table_of
from engine import Engine, ScanRequest, current
from engine.scan_request import MOST_TABLE_BYTES
from engine.watchlist import Watched
from utils.errors import InputError, NotFound
from utils.jobs import Job

router = APIRouter(route_class=Conditional)

MOST_ROWS = 10_000
TABLE = {
    "text/csv": {"schema": {"type": "string"}, "example": "time,BTCUSDT,ETHUSDT\n2025-01-01T00:00Z,93591.2,3337.1\n"},
    "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
}
ScanId = Annotated[str, Path(description="As POST /scans gave it", examples=["scan-1"])]
Form = Literal["csv", "parquet"]


@router.post("/scans", status_code=202, response_model=schemas.Scan, summary="Begin a scan of every pair of a universe")
def start(body: schemas.NewScan) -> Response:
    engine = current()
    job = engine.scans.start(ScanRequest.of(_given(body)))
    return as_json(_told(engine, job), 202)


@router.get("/scans", response_model=list[schemas.Scan], summary="Scans, newest first")
def scans(request: Request, part: Part, state: State | None = None) -> Response:
    engine = current()
    return paged(request, [_told(engine, job) for job in engine.scans.jobs() if state in (None, job.state)], part)


@router.get("/scans/{scan_id}", response_model=schemas.Scan, summary="How far a scan is; its summary once it is done")
def scan(scan_id: ScanId) -> Response:
    engine = current()
    return as_json(_told(engine, engine.scans.job(scan_id)))


@router.delete("/scans/{scan_id}", response_model=schemas.Scan, summary="Cancel a scan; one that has ended stays")
def cancel(scan_id: ScanId) -> Response:
    engine = current()
    return as_json(_told(engine, engine.scans.cancel(scan_id)))


@router.get("/scans/{scan_id}/pairs", response_model=schemas.ScanPairs, summary="Rows of a scan, best first, paged")
def pairs(
    scan_id: ScanId,
    limit: Annotated[int, Query(ge=1, le=MOST_ROWS)] = 100,
    offset: Annotated[int, Query(ge=0, le=10**9)] = 0,
    by: Annotated[str, Query(description=f"Order: {', '.join(RISING)}")] = DEFAULT,
    found: Annotated[bool, Query(description="Only pairs with q below alpha")] = False,
) -> Response:
    rows = _finished(scan_id).found
    rows = rank(rows[rows["found"]] if found else rows, by)
    page = rows.iloc[offset : offset + limit].astype(object)
    page = page.where(page.notna(), None)
    return as_json({"total": len(rows), "offset": offset, "pairs": page.to_dict("records")})


@router.get(
    "/scans/{scan_id}/changes",
    response_model=bodies.ScanChanges,
    summary="What changed since the scan before of the same source and bar width",
)
def changes(scan_id: ScanId) -> Response:
    result = _finished(scan_id)
    found = result.changes
    if found is None or result.before is None:
        raise NotFound("this is the first scan of its source and bar width", "changes")
    kept = found.kept.astype(object)
    return as_json(
        {
            "before_us": result.before_us,
            "before": result.before.as_dict(),
            **{name: getattr(found, name) for name in ("appeared", "gone", "turned", "new", "lost")},
            "kept": kept.where(kept.notna(), None).to_dict("records"),
        }
    )


@router.get(
    "/scans/{scan_id}/pairs.{form}",
    response_class=StreamingResponse,
    responses=FILE,
    summary="All rows of a scan as a file",
)
def download(scan_id: ScanId, form: Form, by: str = DEFAULT) -> StreamingResponse:
    write, media = FORMATS[form]
    pieces = write(table_of(rank(_finished(scan_id).found, by)))
    body: Iterator[bytes] = chain([next(pieces)], pieces)
    headers = {"Content-Disposition": f'attachment; filename="{scan_id}.{form}"', "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(body, media_type=media, headers=headers)


@router.put(
    "/scan-tables/{name}",
    response_model=bodies.TableTaken,
    summary="Hand in a CSV or Parquet file of closes, to be scanned by its name",
    openapi_extra={"requestBody": {"required": True, "content": TABLE}},
)
async def put_table(name: str, request: Request) -> Response:
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_TABLE_BYTES:
            raise InputError(f"a table may have at most {MOST_TABLE_BYTES >> 20} MB", "table")
    table = await run_in_threadpool(current().scans.put_table, name, bytes(body))
    return as_json({"name": name, "symbols": table.shape[1], "rows": len(table)})


# --- again by time ----------------------------------------------------------------------------------


@router.get("/scan-plans", response_model=list[bodies.Plan], summary="Scans that are made again and again")
def plans() -> Response:
    rows = current().scans.plans().values()
    return as_json([{"request": plan.request.as_dict(), "every_s": plan.every_s} for plan in rows])


@router.put(
    "/scan-plans",
    response_model=list[bodies.Plan],
    summary="Make a scan again each so many seconds; every_s null ends the plan of its place",
)
def repeat(body: schemas.ScanPlan) -> Response:
    current().scans.repeat(ScanRequest.of(_given(body.request)), body.every_s)
    return plans()


# --- watchlist --------------------------------------------------------------------------------------


@router.get("/watchlist", response_model=list[bodies.Standing], summary="Where each watched pair stands now")
def watchlist() -> Response:
    return as_json([row.as_dict() for row in current().watchlist.standings()])


@router.post("/watchlist", response_model=schemas.WatchedPair, status_code=201, summary="Watch a pair")
def watch(body: schemas.WatchedPair) -> Response:
    pair = current().watchlist.add(body.symbol_y, body.symbol_x, body.timeframe)
    return as_json(pair._asdict(), 201)


@router.delete("/watchlist/{symbol_y}/{symbol_x}/{timeframe}", status_code=204, summary="Watch a pair no more")
def unwatch(symbol_y: str, symbol_x: str, timeframe: str) -> None:
    current().watchlist.remove(Watched(symbol_y.upper(), symbol_x.upper(), timeframe))


@router.get(
    "/watchlist/rules", response_model=list[bodies.ListRuleNow], summary="Alert rules that hold for every watched pair"
)
def list_rules() -> Response:
    found = current().watchlist
    return as_json([_rule(rule) | {"firing": found.firing(rule)} for rule in found.rules()])


@router.post(
    "/watchlist/rules",
    response_model=bodies.ListRule,
    status_code=201,
    summary="Make an alert rule for every watched pair",
)
def add_list_rule(body: schemas.NewRule) -> Response:
    fields = {name: value for name, value in body.model_dump().items() if value is not None}
    return as_json(_rule(current().watchlist.add_rule(fields)), 201)


@router.delete("/watchlist/rules/{rule_id}", status_code=204, summary="End such a rule on every pair")
def remove_list_rule(rule_id: str) -> None:
    current().watchlist.remove_rule(rule_id)


def _rule(rule: Any) -> dict[str, Any]:
    return {"id": rule.list_rule_id, "fields": rule.fields, "rules": rule.members}


def _given(body: schemas.NewScan) -> dict[str, Any]:
    return {name: value for name, value in body.model_dump().items() if value is not None}


def _told(engine: Engine, job: Job) -> dict[str, Any]:
    """A scan as a job: what was asked, how far it is, and what came of it."""
    request = engine.scans.request(job.job_id)
    body = job.as_dict()
    return {
        "id": body.pop("job_id"),
        **body,
        "share": job.share,
        "stage": engine.scans.stage(job.job_id) if job.state == "running" else "",
        "request": None if request is None else request.as_dict(),
        "summary": engine.jobs.result(job.job_id),
    }


def _finished(scan_id: str) -> Any:
    """The result of a scan.

    Raises
    ------
    NotFound
        There is no such scan, or newer ones took its place.
    InputError
        It has not ended well.
    """
    scans = current().scans
    job = scans.job(scan_id)
    if job.state != "done":
        raise InputError(f"{scan_id} has no rows: it is {job.state} {job.message}".strip(), "scan_id")
    return scans.result(scan_id)
