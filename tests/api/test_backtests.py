"""Backtests over HTTP: a job that tells how it stands, and the figures of the library once it is done."""

import pytest
from starlette.testclient import TestClient

import engine as engines
from analytics.backtest import BacktestParams, backtest
from api.app import build_api
from engine import Engine
from tests.fakes.engine import ScriptedEngine, print_pair, settings
from tests.waiting import until

PARAMS = {"window": 30, "entry_z": 1.5, "exit_z": 0.25}
BODY = {
    "params": PARAMS,
    "shuffles": 5,
    "grid": {"window": [20, 30], "entry_z": [1.0, 1.5]},
    "walk_forward": {"folds": 2},
}


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = ScriptedEngine(settings(tmp_path_factory.mktemp("tape")))
    engine.start()
    print_pair(engine, 600)
    yield engine
    engine.stop()


@pytest.fixture
def api(engine):
    engines.install(engine)
    return TestClient(build_api())


def ended(api, job_id: str, query: str = "") -> dict:
    return until(lambda: api.get(f"/v1/backtests/{job_id}{query}").json(), lambda body: body["ended_us"])


def test_a_backtest_is_taken_up_told_and_answered(api, engine: Engine):
    answer = api.post("/v1/backtests", json=BODY)
    assert answer.status_code == 202
    job = answer.json()
    assert job["kind"] == "backtest" and job["state"] in ("waiting", "running") and job["title"] == "ETHUSDT/BTCUSDT 1s"
    body = ended(api, job["id"])
    assert (body["state"], body["share"], body["message"]) == ("done", 1.0, "")
    assert body["request"]["params"]["entry_z"] == 1.5 and body["request"]["axes"]["exit_z"] == [0.25]
    result, report = body["result"], engine.backtests.report(job["id"])
    bars = report.bars
    own = backtest(bars.y, bars.x, BacktestParams(**PARAMS), ts_us=bars.ts_us, complete=bars.complete)
    assert result["metrics"]["net"] == own.metrics.net and result["metrics"]["funding"] is None
    assert [row["net"] for row in result["trades"]] == own.trades["net"].tolist()
    assert result["equity"]["equity"] == own.equity.tolist()
    assert len(result["grid"]) == 4 and len(result["folds"]) == 2
    assert result["honesty"]["deflated"]["trials"] == 4 and result["look_ahead"]["clean"] is True
    thin = api.get(f"/v1/backtests/{job['id']}?points=10").json()["result"]["equity"]
    assert len(thin["ts_us"]) <= 12 and thin["equity"][-1] == own.equity[-1]
    assert job["id"] in [row["id"] for row in api.get("/v1/backtests").json()]
    assert api.get(f"/v1/jobs/{job['id']}").json()["state"] == "done"


def test_a_backtest_is_cancelled(api):
    job = api.post("/v1/backtests", json={**BODY, "shuffles": 1_000}).json()
    assert api.delete(f"/v1/backtests/{job['id']}").status_code == 200
    body = ended(api, job["id"])
    assert body["state"] == "cancelled" and body["result"] is None
    other = api.post("/v1/backtests", json={**BODY, "shuffles": 1_000}).json()
    assert api.delete(f"/v1/jobs/{other['id']}").json()["id"] == other["id"]
    assert ended(api, other["id"])["state"] == "cancelled"
    assert {row["id"] for row in api.get("/v1/jobs").json()} >= {job["id"], other["id"]}


def test_what_the_data_does_not_support_fails_with_its_reason(api):
    body = ended(api, api.post("/v1/backtests", json={"timeframe": "1m"}).json()["id"])
    assert (body["state"], body["message"]) == ("failed", "needs 60 bars, has 10")
    body = ended(api, api.post("/v1/backtests", json={"params": PARAMS, "source": "stored:nowhere"}).json()["id"])
    assert "nothing of ETHUSDT, BTCUSDT is stored of nowhere" in body["message"]


REFUSED = [
    ({"bars": 3}, "bars", "were 3"),
    ({"params": {"fill": "free"}}, "fill", "taker, maker"),
    ({"params": {"magic": 1}}, "params.magic", "Extra inputs"),
    ({"params": {"window": "many"}}, "params.window", "'many'"),
    ({"walk_forward": {"folds": 3}}, "grid", "give its values"),
    ({"grid": {}, "walk_forward": {"folds": 0}}, "folds", "was 0"),
    ({"symbol_y": "BTCUSDT"}, "symbol_x", "two different"),
    ({"funding": [0.1]}, "funding", "2 items"),
    ({"timeframe": "soon"}, "timeframe", "soon"),
]


@pytest.mark.parametrize("body, field, word", REFUSED)
def test_a_request_out_of_its_limits_is_refused_by_name(api, body, field, word):
    answer = api.post("/v1/backtests", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]["field"]) == (422, "invalid_input", field)
    assert word in error["message"]


def test_no_limit_is_null(api, engine):
    body = {"params": {**PARAMS, "stop_z": None, "time_stop": None}, "shuffles": 0}
    job = api.post("/v1/backtests", json=body).json()
    assert engine.backtests.request(job["id"]).params.stop_z == float("inf")
    assert ended(api, job["id"])["request"]["params"]["stop_z"] is None


def test_sources_saved_runs_and_unknown_names(api, engine):
    (market, *_) = api.get("/v1/backtests/sources").json()
    assert (market["key"], market["title"]) == ("market", "open market, demo")
    job = api.post("/v1/backtests", json={"params": PARAMS, "shuffles": 0}).json()
    ended(api, job["id"])
    engine.backtests.save(job["id"], "mine")
    assert api.get("/v1/backtests/saved").json()["mine"]["request"]["params"]["window"] == 30
    for answer in (api.get("/v1/backtests/backtest-999"), api.delete("/v1/jobs/scan-1")):
        assert answer.status_code == 404
