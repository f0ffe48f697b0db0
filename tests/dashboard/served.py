"""A server for browser tests: the pages over a fake engine that gains a bar each half second. Prints its address."""

import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import streamlit as st
import uvicorn

import app as application
import config
import engine as engines
from dashboard.live import routes as live
from tests.dashboard.fake_engine import FakeEngine


def move(engine: FakeEngine, stop: threading.Event) -> None:
    while not stop.wait(0.5):
        engine.bars_held += 1


def main() -> None:
    engine, stop = FakeEngine(), threading.Event()
    engines.install(engine)
    threading.Thread(target=move, args=(engine, stop), daemon=True).start()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            application.close_streams_on_signal(live.HUB.close)
            host, port = self.servers[0].sockets[0].getsockname()[:2]
            sys.stdout.write(f"http://{host}:{port}\n")
            sys.stdout.flush()

    served = st.App(config.ROOT / "dashboard" / "main.py", routes=live.routes())
    Server(uvicorn.Config(served, port=0, log_level="warning", timeout_graceful_shutdown=3)).run()
    stop.set()


if __name__ == "__main__":
    main()
