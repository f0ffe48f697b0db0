"""Routes of live charts and panels: snapshot, stream of patches, and what browsers run.

The stream is a websocket. Of server-sent events a browser keeps six connections to a host at most, in all its tabs
together: the seventh chart would wait for ever, and the seventh tab would not even open.
"""

import contextlib
from urllib.parse import urlsplit

import anyio
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketDisconnected

from dashboard.live.files import LIVE_JS
from dashboard.live.hub import Hub, Key
from dashboard.live.library import library, packed_library
from dashboard.live.sources import build, key_of
from dashboard.login import may_read
from engine import current
from utils.errors import InputError, PairscopeError

HUB = Hub(build)  # of this process; the application closes it when it stops

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


async def _plotly_js(request: Request) -> Response:
    """The library; its address carries the version, so a browser may keep it for ever."""
    headers = FOR_EVER | {"Vary": "Accept-Encoding"}
    if "gzip" not in request.headers.get("accept-encoding", ""):
        return Response(await run_in_threadpool(library), media_type="text/javascript", headers=headers)
    body = await run_in_threadpool(packed_library)
    return Response(body, media_type="text/javascript", headers=headers | {"Content-Encoding": "gzip"})


async def _live_js(request: Request) -> Response:
    """The module of charts and panels."""
    return Response(LIVE_JS, media_type="text/javascript", headers=FOR_EVER)
