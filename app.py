"""The ASGI application: one process, one port for pages, live charts, REST and health.

`python run.py` starts it through `main()`; `streamlit run app.py` works too. The engine lives in the lifespan:
it is started once and stopped once, whatever tabs and reruns come and go.
"""

import argparse
import asyncio
import atexit
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import FrameType
from typing import NoReturn

import streamlit as st
import uvicorn
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import BaseRoute, Mount, Route

import config
import engine as engines
from api.app import build_api
from api.guard import Guard
from api.metrics import metrics
from api.streams import STREAMS
from dashboard.live import routes as live
from dashboard.live.shell import Shell, prepare
from dashboard.navigated import navigated_only
from utils import logger
from utils.errors import PairscopeError, SettingsError

GRACE_S = 3  # seconds that open responses get when the server stops
LOG = logger.get("app")


def load_settings() -> config.Settings:
    """The settings, or the end of the process with one line that says what is wrong."""
    try:
        settings = config.load()
    except SettingsError as exc:
        raise SystemExit(f"Pairscope: {exc}") from None
    logger.hide(settings.secrets())
    return settings


SETTINGS = load_settings()


def start_engine() -> engines.Engine:
    """Start the engine of this process, or hand out the one that runs.

    Raises
    ------
    PairscopeError
        The database or a recording cannot be used.
    """
    try:
        return engines.current()
    except PairscopeError:
        engine = engines.Engine(SETTINGS)
        engine.start()
        engines.install(engine)
        return engine


@asynccontextmanager
async def lifespan(app: st.App | Starlette) -> AsyncIterator[None]:
    """Engine and live streams, from the first request to the last."""
    logger.set_up(config.ROOT / "var" / "log", SETTINGS.log_level)
    engine = await asyncio.to_thread(start_engine)
    if isinstance(app, st.App):
        asyncio.get_running_loop().run_in_executor(None, prepare)
    close_streams_on_signal(close_streams)
    gc.freeze()  # what was made by now stays; to look through it again would stop every thread for 50 ms and more
    try:
        yield
    finally:
        close_streams()
        await asyncio.to_thread(engine.stop)
        engines.install(None)
        LOG.info("stopped; everything received is stored")


def close_streams() -> None:
    """End what never ends by itself: live charts, and events of the API."""
    live.HUB.close()
    STREAMS.close()


def close_streams_on_signal(close: Callable[[], None]) -> None:
    """Call `close` at the first SIGINT or SIGTERM: the server waits for open streams, and those never end."""
    if threading.current_thread() is not threading.main_thread():
        return  # a test client runs the loop elsewhere, where handlers cannot be set
    loop = asyncio.get_running_loop()

    def wrap(previous: object) -> Callable[[int, FrameType | None], None]:
        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(close)
            if callable(previous):
                previous(number, frame)

        return handle

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, wrap(signal.getsignal(number)))


def healthz(request: Request) -> JSONResponse:
    """200 while every thread lives and storage works, 503 with the reason otherwise."""
    try:
        reason = engines.current().health()
    except PairscopeError as exc:
        reason = str(exc)
    if reason is None:
        return JSONResponse({"status": "ok"})
    return JSONResponse({"status": "failing", "reason": reason}, 503)


token = SETTINGS.api_token.get_secret_value() if SETTINGS.api_token else None
ROUTES: list[BaseRoute] = [
    Route("/healthz", healthz),
    Route("/metrics", metrics),
    Mount("/api", app=build_api(token, SETTINGS.api_rate)),
]
GUARD = Middleware(Guard, hosts=SETTINGS.allowed_hosts, proxies=SETTINGS.trusted_proxies)

navigated_only()
app = st.App(
    config.ROOT / "dashboard" / "main.py",
    lifespan=lifespan,
    routes=[*ROUTES, *live.routes()],
    middleware=[GUARD, Middleware(Shell)],
)


class Server(uvicorn.Server):
    """Says where it listens once it does, so that port 0 is of use too."""

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            sys.stdout.write(f"Pairscope is on http://{host}:{port}  (Ctrl+C stops it)\n")
            sys.stdout.flush()


def main() -> None:
    """Serve until a signal comes; the exit status is 0 after a clean stop."""
    parser = argparse.ArgumentParser(description="Serve Pairscope; settings come from PAIRSCOPE_* variables.")
    parser.add_argument("--capture", action="store_true", help="no pages: capture, REST and health only")
    capture = parser.parse_args().capture
    logger.set_up(config.ROOT / "var" / "log", SETTINGS.log_level)
    try:
        start_engine()
    except PairscopeError as exc:
        raise SystemExit(f"Pairscope: {exc}") from None
    served = Starlette(routes=ROUTES, lifespan=lifespan, middleware=[GUARD]) if capture else app
    options = uvicorn.Config(
        served,
        host=SETTINGS.host,
        port=SETTINGS.port,
        ws="websockets-sansio",
        access_log=False,
        log_level="warning",
        proxy_headers=False,  # the guard asks who is at the other end, not who says so
        timeout_graceful_shutdown=GRACE_S,
    )
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)  # uvicorn raises the signal again when it has stopped cleanly
    Server(options).run()


def leave() -> NoReturn:
    """End the process. All is stored and closed: to take the interpreter apart would cost another second or two."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
    leave()
