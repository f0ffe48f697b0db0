"""Routes of long work of every kind: what waits, runs and has ended."""

from typing import Any

from fastapi import APIRouter, Response

from api import schemas
from api.routes import as_json
from engine import current
from utils.jobs import Job

router = APIRouter(prefix="/jobs")


def told(job: Job) -> dict[str, Any]:
    """A job as the API tells it."""
    body = job.as_dict()
    return {"id": body.pop("job_id"), **body, "share": job.share}


@router.get("", response_model=list[schemas.Job], summary="Long work, newest first")
def jobs() -> Response:
    return as_json([told(job) for job in current().jobs.all()])


@router.get("/{job_id}", response_model=schemas.Job, summary="How one stands")
def job(job_id: str) -> Response:
    return as_json(told(current().jobs.job(job_id)))


@router.delete("/{job_id}", response_model=schemas.Job, summary="Cancel it; how it stands then")
def cancel(job_id: str) -> Response:
    return as_json(told(current().jobs.cancel(job_id)))
