"""The server of the dashboard bench: Pairscope itself, whose pages the peer's charts join; `python -m` starts it.

The market is the demo market at the bench's rate, with a past long enough that all charts are full at once.
"""

import time
from pathlib import Path

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import app
from dashboard.live import routes as live
from data.feeds import simulated

PAGE = Path(__file__).parent / "dashboard_page.py"


def cpu(request: Request) -> JSONResponse:
    """Seconds of processor time that this process has used."""
    return JSONResponse({"cpu_s": time.process_time()})


def main() -> None:
    """Serve until a signal comes."""
    simulated.HISTORY_TRADES = int(simulated.HISTORY_S * app.SETTINGS.demo_rate)
    routes = [Route("/bench/cpu", cpu), *app.ROUTES, *live.routes()]
    app.app = st.App(PAGE, lifespan=app.lifespan, routes=routes, middleware=app.PAGES)
    app.main()


if __name__ == "__main__":
    main()
