"""Routes of long work of every kind: what waits, runs and has ended."""

from typing import Any, Literal

from fastapi import APIRouter, Request, Response

from api import schemas
from api.answers import Part, as_json, paged
from api.conditional import Conditional
from engine import current
from utils.jobs import Job

router = APIRouter(prefix="/jobs", route_class=Conditional)


def told(job: Job) -> dict[str, Any]:
    """A job as the API tells it."""
    body = job.as_dict()
    return {"id": body.pop("job_id"), **body, "share": job.share}


State = Literal["waiting", "running", "done", "failed", "cancelled"]


@router.get("", response_model=list[schemas.Job], summary="Long work, newest first")
def jobs(request: Request, part: Part, kind: str | None = None, state: State | None = None) -> Response:
    rows = [told(job) for job in current().jobs.all(kind) if state in (None, job.state)]
    return paged(request, rows, part)


@router.get("/{job_id}", response_model=schemas.Job, summary="How one stands")
def job(job_id: str) -> Response:
    return as_json(told(current().jobs.job(job_id)))


@router.delete("/{job_id}", response_model=schemas.Job, summary="Cancel it; how it stands then")
def cancel(job_id: str) -> Response:
    return as_json(told(current().jobs.cancel(job_id)))
