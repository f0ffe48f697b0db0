"""Every route called once on a small market: the examples of the API's description, and what they are checked against.

python -m tests.api.answers      writes api/examples.json anew
"""

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.signal import lfilter
from starlette.testclient import TestClient

import engine as engines
from api.app import build_api
from api.description import FILE
from api.streams import EPOCH
from engine import Engine
from tests.analytics.universes import families
from tests.fakes.engine import ScriptedEngine, settings, walk
from tests.fakes.feed import T0, S
from tests.fakes.receiver import receiver
from tests.waiting import until

SYMBOLS = "BTCUSDT,ETHUSDT,SOLUSDT"
SHOWN = 2  # rows of a list
LINES = {"text/csv": 3, "text/event-stream": 8}  # of text
RULE = {"metric": "zscore", "condition": "outside", "threshold": 0.05, "channels": ["ops"]}
BACKTEST = {
    "params": {"window": 30, "entry_z": 1.5, "exit_z": 0.25},
    "shuffles": 5,
    "grid": {"window": [20, 30], "entry_z": [1.0, 1.5]},
    "walk_forward": {"folds": 2},
}
PAIR = {"symbol_x": "BTCUSDT", "symbol_y": "ETHUSDT", "timeframe": "1s"}


class Calls:
    """Calls routes by the templates of their paths, and keeps the answers."""

    def __init__(self, api: TestClient) -> None:
        self._api = api
        self.answers: dict[str, Any] = {}

    def __call__(
        self, method: str, template: str, query: str = "", body: Any = None, headers: Any = None, **values: Any
    ) -> Any:
        """The answer to a call that has to succeed."""
        content = {"content": body} if isinstance(body, bytes) else {"json": body}
        answer = self._api.request(method, template.format(**values) + query, headers=headers, **content)
        assert answer.status_code < 300, f"{method} {template}: {answer.text}"
        media = answer.headers.get("content-type", "").partition(";")[0]
        if media == "application/json" and answer.content:
            self.answers[f"{method} {template}"] = answer.json()
            return answer.json()
        if media in LINES:
            lines = answer.text.splitlines()[: LINES[media]]
            self.answers[f"{method} {template}"] = "\n".join((*lines, ""))
        return None

    def until(self, done: Callable[[Any], object], *call: Any, **values: Any) -> Any:
        """The first answer that is done."""
        return until(lambda: self(*call, **values), done, within_s=240)


def collect(calls: Calls, engine: ScriptedEngine) -> None:
    """Call every route but those that end the market."""
    calls("POST", "/v1/recordings", body={"action": "start"})
    _print(engine)
    for read in (_capture, _pairs, _alerts, _exports, _backtests, _scans, _watchlist, _streams):
        read(calls)


def _print(engine: ScriptedEngine) -> None:
    """Two legs whose spread comes back, and a third one of which trades are missing."""
    x = walk(600, 1, 60_000.0)
    shocks = np.random.default_rng(2).standard_normal(600)
    spread = lfilter([1.0], [1.0, -0.9], shocks)
    engine.scripted.print("BTCUSDT", x)
    engine.scripted.print("ETHUSDT", np.round(0.04 * x + 100 + spread, 2))
    engine.scripted.print("SOLUSDT", [150.0, 150.1])
    engine.scripted.print("SOLUSDT", [150.2], first_id=9, at_us=T0 + 3 * S)
    until(engine.gaps, len)


def _capture(calls: Calls) -> None:
    calls("GET", "/v1/")
    calls("GET", "/v1/ticks/{symbol}", symbol="BTCUSDT")
    calls("GET", "/v1/bars/{symbol}/{timeframe}", symbol="BTCUSDT", timeframe="1m")
    calls("GET", "/v1/gaps")
    calls("GET", "/v1/microstructure/{symbol}", symbol="BTCUSDT")


def _pairs(calls: Calls) -> None:
    for name in ("analytics", "pair", "signals"):
        calls("GET", f"/v1/{name}/{{symbol_x}}/{{symbol_y}}/{{timeframe}}", **PAIR)


def _alerts(calls: Calls) -> None:
    rule = {"rule_id": calls("POST", "/v1/alerts", body=RULE)["id"]}
    calls("GET", "/v1/alerts")
    calls("PATCH", "/v1/alerts/{rule_id}", body={"name": "stretched"}, **rule)
    calls("GET", "/v1/alerts/{rule_id}", **rule)
    (row, *_) = calls.until(len, "GET", "/v1/alerts/history")
    calls("GET", "/v1/alerts/history/{event_id}", event_id=row["event_id"])
    (message,) = calls.until(lambda rows: rows and rows[0]["status"] == "dead", "GET", "/v1/alerts/outbox")
    calls("POST", "/v1/alerts/outbox/{number}/retry", number=message["number"])
    calls("POST", "/v1/alerts/{rule_id}/duplicate", **rule)
    calls("POST", "/v1/alerts/{rule_id}/silence", body={"for_s": 3600}, **rule)
    calls("DELETE", "/v1/alerts/{rule_id}/silence", **rule)
    calls("POST", "/v1/alerts/{rule_id}/test", **rule)
    calls("POST", "/v1/alerts/channels/{name}/test", name="desk")
    calls("POST", "/v1/alerts/rehearsal", body={"rule": RULE, "bars": 120})
    for name in ("metrics", "statistics", "channels"):
        calls("GET", f"/v1/alerts/{name}")
    calls("DELETE", "/v1/alerts/{rule_id}", **rule)


def _exports(calls: Calls) -> None:
    queries = {
        "ticks": "?symbol=BTCUSDT",
        "bars": "?symbol=BTCUSDT&timeframe=1m",
        "analytics": "?symbol_x=BTCUSDT&symbol_y=ETHUSDT&timeframe=1s",
        "alerts": "",
    }
    for name, query in queries.items():
        calls("GET", f"/v1/export/{name}.{{form}}", query, form="csv")
        calls("GET", f"/v1/export/{name}.{{form}}.manifest.json", query, form="csv")


def _backtests(calls: Calls) -> None:
    job = {"job_id": calls("POST", "/v1/backtests", body=BACKTEST)["id"]}
    calls("GET", "/v1/jobs")
    found = calls.until(lambda body: body["ended_us"], "GET", "/v1/backtests/{job_id}", "?points=2", **job)
    assert found["state"] == "done", found["message"]
    for method, name in (("GET", "jobs"), ("DELETE", "jobs"), ("DELETE", "backtests")):
        calls(method, f"/v1/{name}/{{job_id}}", **job)
    for name in ("", "/sources", "/saved"):
        calls("GET", f"/v1/backtests{name}")


def _scans(calls: Calls) -> None:
    prices = families([3, 1], bars=200, half_life=2, seed=4)
    table = prices.rename_axis("time").set_axis(pd.date_range("2025", periods=200, freq="h")).to_csv()
    calls("PUT", "/v1/scan-tables/{name}", body=table.encode(), name="closes.csv")
    for bars in (200, 150):
        scan = {
            "scan_id": calls("POST", "/v1/scans", body={"source": "table", "table": "closes.csv", "bars": bars})["id"]
        }
        done = calls.until(lambda body: body["ended_us"], "GET", "/v1/scans/{scan_id}", **scan)
        assert done["state"] == "done", done["message"]
    calls("GET", "/v1/scans")
    calls("GET", "/v1/scans/{scan_id}/pairs", **scan)
    calls("GET", "/v1/scans/{scan_id}/pairs.{form}", form="csv", **scan)
    calls("GET", "/v1/scans/{scan_id}/changes", **scan)
    calls("DELETE", "/v1/scans/{scan_id}", **scan)
    calls("PUT", "/v1/scan-plans", body={"request": {"timeframe": "5m"}, "every_s": 600})
    calls("GET", "/v1/scan-plans")


def _watchlist(calls: Calls) -> None:
    calls("POST", "/v1/watchlist", body=PAIR)
    calls("GET", "/v1/watchlist")
    rule = calls("POST", "/v1/watchlist/rules", body={"metric": "zscore", "condition": ">", "threshold": 2})
    calls("GET", "/v1/watchlist/rules")
    calls("DELETE", "/v1/watchlist/rules/{rule_id}", rule_id=rule["id"])
    calls("DELETE", "/v1/watchlist/{symbol_y}/{symbol_x}/{timeframe}", **PAIR)


def _streams(calls: Calls) -> None:
    calls("GET", "/v1/stream/pair/{symbol_x}/{symbol_y}/{timeframe}", "?events=2", **PAIR)
    api_events = {"Last-Event-ID": f"0-{EPOCH}-0"}
    calls("GET", "/v1/stream/alerts", "?events=1", headers=api_events)


def _recordings(calls: Calls, engine: ScriptedEngine) -> None:
    name = calls("POST", "/v1/recordings", body={"action": "stop"})["name"]
    calls("GET", "/v1/recordings")
    engine._feed = lambda market: Engine._feed(engine, market)  # type: ignore[method-assign]
    calls("POST", "/v1/replay", body={"action": "open", "recordings": [name]})
    calls("GET", "/v1/replay")
    calls("DELETE", "/v1/recordings/{name}", name=name)


def shortened(value: Any) -> Any:
    """The same with the first rows of each list."""
    if isinstance(value, list):
        return [shortened(part) for part in value[:SHOWN]]
    return {name: shortened(part) for name, part in value.items()} if isinstance(value, dict) else value


@contextmanager
def collecting(folder: Path, **options: Any) -> Iterator[tuple[ScriptedEngine, Calls]]:
    """A market made for the purpose, and every call but those that end it."""
    with receiver(404) as opened:
        channels = {"ops": opened.url, "desk": opened.url}
        options |= {"symbols": SYMBOLS, "channels": channels, "notify_private": True, "notify_simulated": True}
        engine, calls = ScriptedEngine(settings(folder, **options)), Calls(TestClient(build_api()))
        engine.start()
        engines.install(engine)
        try:
            collect(calls, engine)
            yield engine, calls
        finally:
            engine.stop()
            engines.install(None)


def collected(folder: Path) -> dict[str, Any]:
    """The answers of every route, the first rows of each."""
    with collecting(folder) as (engine, calls):
        _recordings(calls, engine)
    return {name: shortened(answer) for name, answer in sorted(calls.answers.items())}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        FILE.write_text(json.dumps(collected(Path(made)), indent=1, ensure_ascii=False) + "\n")
