"""Routes of the live charts: snapshot, stream of patches, and plotly.js out of the installed package."""

import gzip
from functools import lru_cache
from pathlib import Path

import plotly
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from dashboard.live.figures import build, key_of
from dashboard.live.hub import Hub
from utils.errors import InputError, PairscopeError

HUB = Hub(build)  # of this process; the application closes it when it stops

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def routes(hub: Hub = HUB) -> list[Route]:
    """Routes for the application; all are read-only."""

    async def figure(request: Request) -> Response:
        try:
            body = await hub.snapshot(key_of(request.path_params["name"], request.query_params))
        except PairscopeError as exc:
            return _refused(exc)
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def stream(request: Request) -> Response:
        try:
            key = key_of(request.path_params["name"], request.query_params)
        except PairscopeError as exc:
            return _refused(exc)
        return StreamingResponse(hub.stream(key), media_type="text/event-stream", headers=STREAM_HEADERS)

    return [
        Route("/live/figure/{name}", figure),
        Route("/live/stream/{name}", stream),
        Route("/live/plotly.js", _plotly_js),
    ]


def _refused(exc: PairscopeError) -> Response:
    code, status = ("invalid_input", 422) if isinstance(exc, InputError) else ("unavailable", 503)
    return JSONResponse({"error": {"code": code, "message": str(exc), "details": {}}}, status)


@lru_cache(1)
def _packed() -> bytes:
    """plotly.js, compressed once for all readers: 4.8 MB become 1.5."""
    return gzip.compress(PLOTLY_JS.read_bytes(), 6, mtime=0)


async def _plotly_js(request: Request) -> Response:
    """The library; its address carries the version, so a browser may keep it for ever."""
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(await run_in_threadpool(PLOTLY_JS.read_bytes), media_type="text/javascript", headers=headers)
    body = await run_in_threadpool(_packed)
    return Response(body, media_type="text/javascript", headers=headers | {"Content-Encoding": "gzip"})
