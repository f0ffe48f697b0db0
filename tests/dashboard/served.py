"""A server for browser tests: the pages over a fake engine. Prints its address; `/test/state/NAME` sets the state.

Charts are built four times as often as their reader asks, and a bar closes each time the clock of the engine is told:
`/test/bars/N` closes one bar in N milliseconds from then on, 0 none. So fifty refreshes take seconds.
`/test/judge/Z` has all rules judged at a z-score.
"""

import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import streamlit as st
import uvicorn
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import app as application
import config
import engine as engines
from dashboard.live import first
from dashboard.live import hub as hubs
from dashboard.live import routes as live
from dashboard.live.shell import Shell
from dashboard.live.sources import build
from tests.dashboard.fake_engine import FakeEngine
from tests.dashboard.states import put

SOONER = 4
first.LONGEST_MS = 120_000  # the first chart comes before the page, however slow a machine is


class QuickHub(hubs.Hub):
    """Builds figures SOONER times as often as asked."""

    def _wanted(self, key: hubs.Key) -> hubs._Producer:
        return super()._wanted(replace(key, interval_s=key.interval_s / SOONER))


class Clock:
    """Closes the bars of an engine in a thread of its own."""

    def __init__(self, engine: FakeEngine) -> None:
        self._engine, self._every_ms, self._changed = engine, 0, threading.Event()
        threading.Thread(target=self._run, daemon=True).start()

    def tell(self, every_ms: int) -> None:
        """One bar each so many milliseconds from now on; 0 stops it."""
        self._every_ms = every_ms
        self._changed.set()

    def _run(self) -> None:
        while True:
            if not self._changed.wait(self._every_ms / 1e3 or None):
                self._engine.bars_held += 1
            self._changed.clear()


def main() -> None:
    engine = FakeEngine()
    put(engine, "live")
    engines.install(engine)
    clock, hub = Clock(engine), QuickHub(build)

    def set_state(request: Request) -> JSONResponse:
        put(engine, request.path_params["name"])
        return JSONResponse({"state": request.path_params["name"]})

    def set_bars(request: Request) -> JSONResponse:
        clock.tell(request.path_params["every_ms"])
        return JSONResponse({"bars": engine.bars_held})

    def judge(request: Request) -> JSONResponse:
        z = request.path_params["z"]
        engine.alerts.evaluate(lambda rule: {"zscore": z}, engine.now_us(), "demo")
        return JSONResponse({"alerts": engine.alerts.last_seq})

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            application.close_streams_on_signal(hub.close)
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            sys.stdout.write(f"http://{host}:{port}\n")
            sys.stdout.flush()

    switches = [Route("/test/state/{name}", set_state), Route("/test/bars/{every_ms:int}", set_bars)]
    switches.append(Route("/test/judge/{z:float}", judge))
    pages = config.ROOT / "dashboard" / "main.py"
    served = st.App(pages, routes=[*switches, *live.routes(hub)], middleware=[Middleware(Shell)])
    options = {"log_level": "warning", "timeout_graceful_shutdown": 3, "ws": "websockets-sansio"}
    Server(uvicorn.Config(served, port=int(sys.argv[1]) if sys.argv[1:] else 0, **options)).run()


if __name__ == "__main__":
    main()
