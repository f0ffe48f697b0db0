"""Long lists part by part: every row once, in order, by following the addresses that the answers give."""

import re

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

import engine as engines
from api.app import build_api
from tests.fakes.engine import ScriptedEngine, print_pair, settings
from tests.fakes.feed import T0, S
from tests.waiting import until


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = ScriptedEngine(settings(tmp_path_factory.mktemp("tape")), venue="binance-um")
    engine.start()
    print_pair(engine, 60)
    engine.scripted.print("BTCUSDT", [1.0], first_id=100, at_us=T0 + 60 * S)  # ids 61 to 99 are missing
    until(engine.gaps, len)
    yield engine
    engine.stop()


@pytest.fixture
def api(engine):
    engines.install(engine)
    return TestClient(Starlette(routes=[Mount("/api", build_api())]))


def walked(api, address: str, relation: str) -> list[list[dict]]:
    """The parts of a list, in the order in which their addresses were given."""
    parts = []
    while address:
        answer = api.get(address)
        assert answer.status_code == 200, answer.text
        parts.append(answer.json())
        found = re.fullmatch(rf'<(/api/v1/[^>]+)>; rel="{relation}"', answer.headers.get("Link", ""))
        address = found[1] if found else ""
    return parts


def test_trades_are_read_backwards_from_the_newest(api):
    parts = walked(api, "/api/v1/ticks/BTCUSDT?limit=25", "prev")
    assert [len(part) for part in parts] == [25, 25, 11]
    assert [row["trade_id"] for part in parts[::-1] for row in part] == [*range(1, 61), 100]


def test_trades_are_read_forwards_after_an_id(api):
    parts = walked(api, "/api/v1/ticks/ETHUSDT?limit=25&after_id=4", "next")
    assert [row["trade_id"] for part in parts for row in part] == list(range(5, 61))
    assert api.get("/api/v1/ticks/ETHUSDT?after_id=60").json() == []
    between = api.get("/api/v1/ticks/ETHUSDT?after_id=10&before_id=13").json()
    assert [row["trade_id"] for row in between] == [11, 12]


def test_bars_are_read_backwards(api, engine):
    parts = walked(api, "/api/v1/bars/ETHUSDT/1s?limit=25", "prev")
    opens = [row["ts_us"] for part in parts[::-1] for row in part]
    assert opens == engine.bars("ETHUSDT", "1s", 1_000).index.asi8.tolist()
    since = api.get(f"/api/v1/bars/ETHUSDT/1s?since_us={opens[-3]}").json()
    assert [row["ts_us"] for row in since] == opens[-3:]


def test_rows_of_a_pair_begin_where_they_are_asked_to(api):
    rows = api.get("/api/v1/analytics/BTCUSDT/ETHUSDT/1s?window=10&limit=20").json()
    since = api.get(f"/api/v1/analytics/BTCUSDT/ETHUSDT/1s?window=10&limit=20&since_us={rows[15]['ts_us']}").json()
    assert since == rows[15:]


def test_gaps_are_chosen(api):
    (gap,) = api.get("/api/v1/gaps").json()
    assert (gap["symbol"], gap["first_id"], gap["last_id"], gap["filled_us"]) == ("BTCUSDT", 61, 99, None)
    for query, rows in {
        "open=true": 1,
        "open=false": 0,
        "symbol=btcusdt": 1,
        "symbol=ETHUSDT": 0,
        f"since_us={gap['found_us'] + 1}": 0,
    }.items():
        assert len(api.get(f"/api/v1/gaps?{query}").json()) == rows, query


def test_rules_and_what_they_did_come_in_parts(api):
    for number in range(5):
        body = {"metric": "coverage", "condition": ">", "threshold": 0.001, "name": f"r{number}"}
        assert api.post("/api/v1/alerts", json=body | {"enabled": number < 3}).status_code == 201
    parts = walked(api, "/api/v1/alerts?limit=2", "next")
    assert [row["name"] for part in parts for row in part] == ["r0", "r1", "r2", "r3", "r4"]
    assert api.get("/api/v1/alerts?limit=2").headers["X-Total-Count"] == "5"
    assert [row["name"] for row in api.get("/api/v1/alerts?enabled=false").json()] == ["r3", "r4"]
    assert api.get("/api/v1/alerts?symbol=SOLUSDT").json() == []
    newest = until(lambda: api.get("/api/v1/alerts/history").json(), lambda rows: len(rows) == 3)
    parts = walked(api, "/api/v1/alerts/history?limit=2", "next")
    assert [len(part) for part in parts] == [2, 1] and parts[0] + parts[1] == newest
    assert {row["name"] for row in api.get("/api/v1/alerts?state=FIRING").json()} == {"r0", "r1", "r2"}
    assert api.get("/api/v1/alerts/history?state=resolved").json() == []
    assert len(api.get(f"/api/v1/alerts/history?since_us={newest[0]['at_us']}").json()) == 3
    assert api.get(f"/api/v1/alerts/history?since_us={newest[0]['at_us'] + 1}").json() == []


def test_jobs_come_in_parts(api, engine):
    for number in range(3):
        engine.jobs.start("test", f"job {number}", lambda progress: None)
    done = until(lambda: api.get("/api/v1/jobs?state=done").json(), lambda rows: len(rows) == 3)
    assert [row["title"] for row in done] == ["job 2", "job 1", "job 0"]
    parts = walked(api, "/api/v1/jobs?kind=test&limit=2", "next")
    assert [[row["title"] for row in part] for part in parts] == [["job 2", "job 1"], ["job 0"]]
    assert api.get("/api/v1/jobs?kind=scan").json() == []
    assert api.get("/api/v1/jobs?limit=0").status_code == 422
