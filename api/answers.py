"""What every answer is made of: compact JSON, parts of long lists, and errors of one shape.

Numbers that do not exist are null, never NaN or 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
import numpy as np
from fastapi import Depends, Query, Request, Response
from fastapi.responses import JSONResponse

from utils.errors import (
    AnalysisError,
    InputError,
    NotFound,
    PairscopeError,
    StaleEdit,
    StorageError,
    TooFewObservations,
)

MAX_ROWS = 10_000
TOTAL = "X-Total-Count"


def as_json(value: object, status: int = 200) -> Response:
    """Compact JSON; NaN and infinities become null."""
    return Response(msgspec.json.encode(value, enc_hook=_plain), status, media_type="application/json")


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"no JSON for {type(value).__name__}")


def error_body(code: str, message: str, details: Mapping[str, object]) -> dict[str, Any]:
    """The one shape that all errors have."""
    return {"error": {"code": code, "message": message, "details": details}}


def error(status: int, code: str, message: str, **details: object) -> JSONResponse:
    """An error as an answer."""
    headers = {"WWW-Authenticate": "Bearer"} if status == 401 else None
    return JSONResponse(error_body(code, message, details), status, headers=headers)


def refusal(exc: PairscopeError) -> tuple[int, dict[str, Any]]:
    """Status and body of what is refused, or cannot be answered."""
    match exc:
        case NotFound():
            return 404, error_body(f"unknown_{exc.field}", str(exc), {})
        case StaleEdit():
            differs = {name: list(pair) for name, pair in exc.differs.items()}
            return 409, error_body("stale_edit", str(exc), {"differs": differs})
        case InputError():
            return 422, error_body("invalid_input", str(exc), {"field": exc.field})
        case TooFewObservations():
            return 409, error_body("too_few_observations", str(exc), {"have": exc.have, "need": exc.need})
        case AnalysisError():
            return 409, error_body("undefined", str(exc), {})
        case StorageError():
            return 503, error_body("storage", str(exc), {})
    return 503, error_body("unavailable", str(exc), {})


# --- parts of long lists ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Page:
    """Which rows of a list are wanted."""

    limit: int
    offset: int


def page(
    limit: Annotated[int, Query(ge=1, le=MAX_ROWS, description="Rows at most")] = 1_000,
    offset: Annotated[int, Query(ge=0, le=10**9, description="Rows to leave out before")] = 0,
) -> Page:
    """The page that a query names."""
    return Page(limit, offset)


Part = Annotated[Page, Depends(page)]


def paged(request: Request, rows: Sequence[object], part: Page) -> Response:
    """The rows of a page; the header X-Total-Count says how many there are in all, Link where the next ones are."""
    end = part.offset + part.limit
    response = as_json(rows[part.offset : end])
    response.headers[TOTAL] = str(len(rows))
    if end < len(rows):
        link(response, request, "next", offset=end)
    return response


def link(response: Response, request: Request, relation: str, **changed: int) -> None:
    """Say where more rows are (RFC 8288): the same address with some parameters changed."""
    url = request.url.include_query_params(**changed)
    response.headers["Link"] = f'<{url.path}?{url.query}>; rel="{relation}"'
