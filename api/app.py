"""The REST API as an ASGI application, mounted under /api by app.py: a thin translation of engine calls."""

import hmac
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, FastAPI, Request, Security
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.security import HTTPBearer
from starlette.exceptions import HTTPException

from api import alerts, backtests, exports, jobs, playback, routes, scans, schemas, streams
from api.answers import error, refusal
from api.description import describe
from api.rate import RateLimit
from utils import logger
from utils.errors import PairscopeError

LOG = logger.get("api")


class Unauthorised(Exception):
    """A call without the token that the settings ask for."""


BEARER = HTTPBearer(auto_error=False, description="PAIRSCOPE_API_TOKEN, where one is set")


def require_token(request: Request, _: Annotated[object, Security(BEARER)]) -> None:
    """Let a call pass that carries the configured token, or any call where none is configured."""
    token = request.app.state.token
    given = request.headers.get("authorization", "")
    if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
        raise Unauthorised


def build_api(token: str | None = None, per_minute: int = 0) -> FastAPI:
    """The API; `token` is asked of every call when it is given, and a client gets so many answers a minute (0: any)."""
    api = FastAPI(
        title="Pairscope",
        version="1",
        summary="Trades, bars and pair analytics, the same numbers as on the pages.",
        docs_url="/docs",
        redoc_url=None,
        openapi_url="/openapi.json",
        responses={422: {"model": schemas.Error}},
    )
    api.state.token = token
    api.openapi = lambda: describe(api)  # type: ignore[method-assign]
    for part in (routes, alerts, exports, playback, jobs, backtests, scans, streams):
        api.include_router(part.router, prefix="/v1", dependencies=[Depends(require_token)])
    if per_minute:
        api.add_middleware(RateLimit, per_minute=per_minute)
    api.add_exception_handler(PairscopeError, _refused)  # type: ignore[arg-type]
    api.add_exception_handler(Unauthorised, _unauthorised)
    api.add_exception_handler(RequestValidationError, _invalid)  # type: ignore[arg-type]
    api.add_exception_handler(HTTPException, _http)  # type: ignore[arg-type]
    api.add_exception_handler(Exception, _bug)
    return api


def _refused(request: Request, exc: PairscopeError) -> JSONResponse:
    status, body = refusal(exc)
    return JSONResponse(body, status)


def _unauthorised(request: Request, exc: Exception) -> JSONResponse:
    return error(401, "unauthorised", "this call needs the header Authorization: Bearer <token>")


def _invalid(request: Request, exc: RequestValidationError) -> JSONResponse:
    first = exc.errors()[0]
    if first["type"] == "json_invalid":
        return error(400, "bad_request", f"the body is not JSON: {first['ctx']['error']}", position=first["loc"][-1])
    field = ".".join(str(part) for part in first["loc"][1:])
    return error(422, "invalid_input", f"{field}: {first['msg']}, was {str(first.get('input'))[:80]!r}", field=field)


def _http(request: Request, exc: HTTPException) -> JSONResponse:
    phrase = HTTPStatus(exc.status_code).phrase
    return error(exc.status_code, phrase.lower().replace(" ", "_"), str(exc.detail or phrase))


def _bug(request: Request, exc: Exception) -> JSONResponse:
    LOG.error("%s %s failed", request.method, request.url.path, exc_info=exc)
    return error(503, "internal", "this call failed; the log has the details")
