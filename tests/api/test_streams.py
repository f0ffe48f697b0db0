"""Server-sent events: each bar once, the forming one each second, alerts, and an end when the server stops."""

import asyncio
import contextlib
import json
import signal
import urllib.request
from dataclasses import dataclass

import fastapi.routing
import pytest
from starlette.testclient import TestClient

import engine as engines
from analytics.pair import PairParams
from api import streams
from api.app import build_api
from api.streams import AlertWatch, PairWatch, Position, Streams
from tests.fakes.engine import StillEngine, print_pair, settings
from tests.fakes.feed import T0, S
from tests.running import running

PAIR = "/v1/stream/pair/BTCUSDT/ETHUSDT/1s?window=10"


@dataclass
class Event:
    """One event as a client reads it."""

    name: str
    id: str
    data: dict


def events_of(text: str) -> list[Event]:
    """The events of a stream, by the rules of the standard: fields by line, an empty line ends an event."""
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line and not line.startswith(":"))
        if fields:
            found.append(Event(fields["event"], fields["id"], json.loads(fields["data"])))
    return found


@pytest.fixture
def engine(tmp_path):
    engine = StillEngine(settings(tmp_path))
    engine.start()
    print_pair(engine, 120)
    engines.install(engine)
    yield engine
    engine.stop()


@pytest.fixture
def api(engine, monkeypatch):
    monkeypatch.setattr(streams, "REFRESH_S", 0.001)
    return TestClient(build_api())


def read(api, path: str, **headers: str) -> list[Event]:
    answer = api.get(path, headers=headers)
    assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/event-stream")
    return events_of(answer.text)


def watch(at: str = "") -> PairWatch:
    return PairWatch(Position.of(at), ("ETHUSDT", "BTCUSDT"), "1s", PairParams(window=10))


def seen(events) -> list[tuple[str, dict]]:
    return [(event.event, json.loads(event.raw_data)) for event in events]


def test_a_stream_begins_with_the_newest_bar_and_the_forming_one(api, engine):
    bar, forming, again = read(api, f"{PAIR}&events=3")
    (row,) = api.get("/v1/analytics/BTCUSDT/ETHUSDT/1s?window=10&limit=1").json()
    assert bar.name == "bar" and {name: bar.data[name] for name in row} == row
    analysis = engine.analysis("ETHUSDT", "BTCUSDT", "1s", PairParams(window=10))
    assert bar.data["reading"]["zscore"] == analysis.reading()["zscore"]
    assert (forming.name, again.name) == ("forming", "forming")
    assert forming.data["after_us"] == bar.data["ts_us"] and forming.data["zscore"] == analysis.provisional.zscore
    assert forming.data["at_us"] == engine.now_us()


def test_each_bar_comes_once_and_none_is_left_out(engine):
    look = watch()
    before = seen(look())
    print_pair(engine, 5, first_id=121, at_us=T0 + 120 * S)
    names = seen(look())
    bars = [body for name, body in names if name == "bar"]
    assert [body["ts_us"] for body in bars] == [before[0][1]["ts_us"] + number * S for number in range(1, 6)]
    assert ["reading" in body for body in bars] == [False] * 4 + [True]
    assert [name for name, _ in seen(look())] == ["forming"]


def test_a_reader_that_lost_the_connection_gets_what_it_missed(api, engine):
    (bar,) = read(api, f"{PAIR}&events=1")
    print_pair(engine, 3, first_id=121, at_us=T0 + 120 * S)
    later = read(api, f"{PAIR}&events=4", **{"Last-Event-ID": bar.id})
    assert [event.name for event in later] == ["bar", "bar", "bar", "forming"]
    assert [event.data["ts_us"] for event in later[:3]] == [bar.data["ts_us"] + number * S for number in (1, 2, 3)]


def test_alerts_of_the_pair_come_too_and_of_others_do_not(engine):
    rule = {"metric": "coverage", "condition": ">", "threshold": 0.1, **engine.rule_defaults()}
    look, every = watch(), AlertWatch(Position.of(None))
    turned = {"symbol_y": "BTCUSDT", "symbol_x": "ETHUSDT"}
    for name, fields in {"pair": {}, "leg": {"symbol": "BTCUSDT"}, "turned": turned}.items():
        engine.alerts.add({**rule, **fields, "name": name})
    engine.judge()
    of_pair = [body["name"] for name, body in seen(look()) if name == "alert"]
    assert sorted(of_pair) == ["leg", "pair"]
    told = seen(every())
    assert sorted(body["name"] for _, body in told) == ["leg", "pair", "turned"]
    assert {"event_id", "rule_id", "state", "at_us", "value", "text"} <= set(told[0][1])
    assert every() == []


def test_alerts_are_not_told_twice_to_a_reader_that_comes_back(api, engine):
    engine.alerts.add({"metric": "coverage", "condition": ">", "threshold": 0.1, **engine.rule_defaults()})
    engine.judge()
    (first,) = read(api, "/v1/stream/alerts?events=1", **{"Last-Event-ID": f"0-{streams.EPOCH}-0"})
    assert first.data["state"] == "firing"
    assert list(AlertWatch(Position.of(first.id)).alerts()) == []
    of_another_process = first.id.replace(streams.EPOCH, "abcdef")
    assert len(list(AlertWatch(Position.of(of_another_process)).alerts())) == 1


def test_what_hinders_the_numbers_is_told_once(engine):
    look = PairWatch(Position.of(None), ("ETHUSDT", "BTCUSDT"), "1s", PairParams(window=500))
    ((name, body),) = seen(look())
    assert (name, body["error"]["code"], body["error"]["details"]["need"]) == ("problem", "too_few_observations", 500)
    assert look() == []


def test_a_market_of_an_earlier_time_is_read_from_its_newest_bar(engine):
    look = watch(f"{T0 * 2}-{streams.EPOCH}-0")
    assert [name for name, _ in seen(look())] == ["bar", "forming"]
    assert [name for name, _ in seen(look())] == ["forming"]


@pytest.mark.parametrize(
    "path, status",
    [
        ("/v1/stream/pair/BTCUSDT/FOO/1s", 404),
        ("/v1/stream/pair/BTCUSDT/BTCUSDT/1s", 422),
        ("/v1/stream/pair/BTCUSDT/ETHUSDT/1y", 422),
        ("/v1/stream/pair/BTCUSDT/ETHUSDT/1s?window=1", 422),
        ("/v1/stream/alerts?events=0", 422),
    ],
)
def test_a_stream_that_cannot_be_is_an_error_of_the_usual_shape(api, path, status):
    answer = api.get(path)
    assert answer.status_code == status and set(answer.json()["error"]) == {"code", "message", "details"}


def test_too_many_streams_are_refused(api, monkeypatch):
    monkeypatch.setattr(streams, "MOST_STREAMS", 0)
    answer = api.get("/v1/stream/alerts")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")


async def _listen(path: str, until: str) -> str:
    """Read a stream until a text has come, then end all streams; all that came."""
    said, done = "", asyncio.Event()

    async def receive() -> dict:
        if done.is_set():
            await asyncio.Event().wait()
        done.set()
        return {"type": "http.request", "body": b""}

    async def send(message: dict) -> None:
        nonlocal said
        said += message.get("body", b"").decode()
        if until in said:
            streams.STREAMS.close()

    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": [], "root_path": ""}
    await asyncio.wait_for(build_api()(scope, receive, send), 10)
    assert streams.STREAMS.open == 0
    return said


def test_a_silent_stream_has_a_heart_and_ends_with_all_others(engine, monkeypatch):
    monkeypatch.setattr(fastapi.routing, "_PING_INTERVAL", 0.02)
    assert ": ping" in asyncio.run(_listen("/v1/stream/alerts", ": ping"))


def test_a_stream_that_begins_while_the_server_stops_ends_at_once():
    async def late() -> list:
        opened = Streams()
        opened.close()
        return [event async for event in opened.follow(lambda: [1, 2], None)]

    assert asyncio.run(late()) == []


def test_the_server_does_not_wait_for_open_streams(tmp_path):
    log = tmp_path / "said.txt"
    with (
        running("--capture", source="demo", database=tmp_path / "tape.db", log=log) as app,
        contextlib.closing(urllib.request.urlopen(f"{app.url}/api/v1/stream/alerts", timeout=10)) as stream,
    ):
        assert app.stop(signal.SIGTERM, within_s=10) == 0
        assert stream.read() == b""
    assert "graceful shutdown exceeded" not in log.read_text()  # what the server says when it has to break one off
