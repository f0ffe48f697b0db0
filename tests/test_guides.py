"""The guides as users follow them: every block of code is run as it stands, on a market made for the purpose."""

import re
import shlex
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

import engine as engines
from api.app import build_api
from api.streams import STREAMS
from config import ROOT
from engine.engine import Engine
from tests.fakes.engine import ScriptedEngine, print_pair, settings, walk
from tests.fakes.feed import ScriptedFeed

PORT = "127.0.0.1:8501"


def blocks(guide: str, language: str) -> list[str]:
    """The blocks of a guide in a language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs" / guide).read_text("utf-8"), re.DOTALL)


class TradedFeed(ScriptedFeed):
    """A market that has traded for some minutes when it opens."""

    def __init__(self, symbols: tuple[str, ...]) -> None:
        super().__init__()
        self._symbols = symbols

    def start(self, sink) -> None:
        super().start(sink)
        for seed, symbol in enumerate(self._symbols):
            self.print(symbol, walk(300, seed, 1_000.0))


def test_the_notebook_guide(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Engine, "_feed", lambda engine, market: TradedFeed(engine.symbols))
    names: dict = {}
    try:
        for number, block in enumerate(blocks("notebook.md", "python"), 1):
            exec(compile(block, f"notebook.md, block {number}", "exec"), names)
    finally:
        names["engine"].stop()
    assert names["engine"].symbols == ("BTCUSDT", "ETHUSDT", "SOLUSDT") and len(names["trades"]) == 300
    assert names["reading"]["zscore"] == names["analysis"].path.zscore[-1]
    assert names["rule"].version == 2 and names["tried"]["firings"] > 0
    assert names["report"].bars.n == 2_000 and len(names["report"].run.trades) > 0
    assert names["bars"].n == 600 and names["other"].health() is not None
    assert capsys.readouterr().out.count("done 2000") == 2


@pytest.fixture
def served(tmp_path) -> Iterator[str]:
    """Host and port of an API with a market behind it."""
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    print_pair(engine, 400)
    engine.alerts.add({"metric": "zscore", "condition": "outside", "threshold": 0.01, **engine.rule_defaults()})
    engines.install(engine)
    app = Starlette(routes=[Mount("/api", build_api())])
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error", ws="none"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    yield f"127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)
    engine.stop()


def test_the_api_guide_in_python(served, capsys):
    names: dict = {}
    for number, block in enumerate(blocks("api.md", "python"), 1):
        exec(compile(block.replace(PORT, served), f"api.md, block {number}", "exec"), names)
    said = capsys.readouterr().out
    edits = "200 409 {'differs': {'threshold': [2.5, 3.0]}}"
    for words in ("DEMO", "404 unknown_symbol", "304", edits, "bar ", "done "):
        assert words in said
    assert [row["trade_id"] for row in names["trades"][:100]] == list(range(301, 401))
    assert sorted(row["trade_id"] for row in names["trades"]) == list(range(1, 401))
    assert names["found"]["result"]["metrics"] is not None
    assert STREAMS.open == 0


def test_the_api_guide_with_curl(served, tmp_path, monkeypatch):
    monkeypatch.setenv("PAIRSCOPE_API_TOKEN", "none-is-asked-for")
    calls = [line for block in blocks("api.md", "bash") for line in block.splitlines()]
    assert len(calls) >= 8 and all(call.startswith("curl ") for call in calls)
    for call in calls:
        command = [part.replace("$PAIRSCOPE_API_TOKEN", "none") for part in shlex.split(call.replace(PORT, served))]
        done = subprocess.run(
            [command[0], "--silent", "--show-error", "--fail-with-body", "--noproxy", "*", *command[1:]],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            timeout=30,
        )
        assert done.returncode == 0, f"{call}: {done.stdout}{done.stderr}"
    assert (tmp_path / "BTCUSDT-1s-bars.csv").read_text().startswith("ts_us,open")
