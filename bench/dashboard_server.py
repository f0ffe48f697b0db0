"""The server of the dashboard bench: Pairscope itself, whose pages the peer's charts join; `python -m` starts it.

The market is the demo market at the bench's rate, with a past long enough that all charts are full at once.
"""

import threading
import time
from pathlib import Path

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

import app
from dashboard.live import first
from dashboard.live import routes as live
from dashboard.live.shell import Shell
from data.feeds import simulated

ENGINE = ("demo", "mirror", "evaluator")  # threads that feed, store and judge, whoever looks
PAGE = Path(__file__).parent / "dashboard_page.py"
PEERS = (b"side=tuned", b"side=usual")


def begin(page: HTTPConnection) -> str:
    """What begins the first chart of our pages; `/?side=ours` shows another one than the page of that path."""
    return "" if "side" in page.query_params else first.head(page)


class OursAlone:
    """Names the scripts that our pages need in the shell of these alone: those of a peer would load them for nothing.

    The scripts of both sides are kept in memory.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner, self._shell = inner, Shell(inner, begin)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        peer = scope.get("query_string", b"").startswith(PEERS)
        await (self._inner if peer else self._shell)(scope, receive, send)


def cpu(request: Request) -> JSONResponse:
    """Seconds of processor time that this process has used, but for the threads of the engine."""
    engine = [each.ident for each in threading.enumerate() if each.name in ENGINE and each.ident is not None]
    clocks = map(time.pthread_getcpuclockid, engine)
    return JSONResponse({"cpu_s": time.process_time() - sum(map(time.clock_gettime, clocks))})


def main() -> None:
    """Serve until a signal comes."""
    simulated.HISTORY_TRADES = int(simulated.HISTORY_S * app.SETTINGS.demo_rate)
    routes = [Route("/bench/cpu", cpu), *app.ROUTES, *live.routes()]
    app.app = st.App(PAGE, lifespan=app.lifespan, routes=routes, middleware=[app.GUARD, Middleware(OursAlone)])
    app.main()


if __name__ == "__main__":
    main()
