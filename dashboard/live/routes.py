"""Routes of live charts and panels: snapshot, stream of patches, and what browsers run.

The stream is a websocket. Of server-sent events a browser keeps six connections to a host at most, in all its tabs
together: the seventh chart would wait for ever, and the seventh tab would not even open.
"""

import contextlib
import gzip
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

import anyio
import plotly
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from dashboard.live.files import LIVE_JS
from dashboard.live.hub import Hub, Key
from dashboard.live.sources import build, key_of
from dashboard.login import may_read
from engine import current
from utils.errors import InputError, PairscopeError

HUB = Hub(build)  # of this process; the application closes it when it stops

PLOTLY_JS = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
WRAPPED, UNWRAPPED = '"use strict";var Plotly=', "window.Plotly = Plotly;"  # where the library itself begins and ends
FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}  # the address changes with what is there
REFUSED, RESTARTING = 1008, 1012  # why a websocket is closed (RFC 6455 and the registry of its codes)


def routes(hub: Hub = HUB) -> list[BaseRoute]:
    """Routes for the application; all are read-only."""

    async def figure(request: Request) -> Response:
        try:
            if not may_read(current(), request.cookies):
                return _error(401, "unauthorised", "sign in on a page of this server first")
            body = await hub.snapshot(key_of(request.path_params["name"], request.query_params))
        except PairscopeError as exc:
            return _refused(exc)
        return Response(body, media_type="application/json", headers={"Cache-Control": "no-store"})

    async def stream(socket: WebSocket) -> None:
        try:
            key = key_of(socket.path_params["name"], socket.query_params)
        except PairscopeError as exc:
            await socket.close(REFUSED, str(exc)[:100])
            return
        if not _is_ours(socket) or not may_read(current(), socket.cookies):
            await socket.close(REFUSED, "only pages of this server may follow")
            return
        await socket.accept()
        await _serve(socket, hub, key)

    return [
        Route("/live/figure/{name}", figure),
        WebSocketRoute("/live/stream/{name}", stream),
        Route("/live/plotly.js", _plotly_js),
        Route("/live/live.js", _live_js),
    ]


def _is_ours(socket: WebSocket) -> bool:
    """Whether a page of this server asks, or no page: browsers let any page open a websocket to anywhere."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


async def _serve(socket: WebSocket, hub: Hub, key: Key) -> None:
    """Send what the hub says until it ends, or until the reader has gone."""
    async with anyio.create_task_group() as group:
        group.start_soon(_watch, socket, group.cancel_scope)
        with contextlib.suppress(WebSocketDisconnect):
            why = ""
            try:
                async with contextlib.aclosing(hub.stream(key)) as messages:
                    async for message in messages:
                        await socket.send_text(message.decode())
            except InputError as exc:  # the server stops, or too many different figures are looked at
                why = str(exc)
            await socket.close(RESTARTING, why)
        group.cancel_scope.cancel()


async def _watch(socket: WebSocket, scope: anyio.CancelScope) -> None:
    """Cancel when the reader has gone; what it says is of no interest."""
    try:
        while True:
            await socket.receive_text()
    except WebSocketDisconnected:  # we are saying good-bye, and are not to be cut off
        return
    except WebSocketDisconnect:
        scope.cancel()


def _refused(exc: PairscopeError) -> Response:
    code, status = ("invalid_input", 422) if isinstance(exc, InputError) else ("unavailable", 503)
    return _error(status, code, str(exc))


def _error(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message, "details": {}}}, status)


def unwrapped(text: str) -> str:
    """plotly.js without the wrapper for module loaders, or as it is where the wrapper is not the one that is known.

    Its feature tests throw errors, and for each a browser parses every function again that is running then, to know the
    line; they are all of the library. Without the wrapper it is ready a quarter sooner.
    """
    begin, end = text.find(WRAPPED), text.rfind(UNWRAPPED)
    if begin < 0 or end < begin:
        return text
    notice = text[: text.find("*/") + 2]
    return f"{notice}\n{text[begin:end]}{UNWRAPPED}\n"


@lru_cache(1)
def _library() -> bytes:
    return unwrapped(PLOTLY_JS.read_text(encoding="utf-8")).encode()


@lru_cache(1)
def packed_library() -> bytes:
    """The library, compressed once for all readers: 4.8 MB become 1.5."""
    return gzip.compress(_library(), 6, mtime=0)


async def _plotly_js(request: Request) -> Response:
    """The library; its address carries the version, so a browser may keep it for ever."""
    headers = FOR_EVER | {"Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(await run_in_threadpool(_library), media_type="text/javascript", headers=headers)
    body = await run_in_threadpool(packed_library)
    return Response(body, media_type="text/javascript", headers=headers | {"Content-Encoding": "gzip"})


async def _live_js(request: Request) -> Response:
    """The module of charts and panels."""
    return Response(LIVE_JS, media_type="text/javascript", headers=FOR_EVER)
