"""Replay and recordings over HTTP: what the engine does, in one shape of answer and of error."""

import pytest
from starlette.testclient import TestClient

import engine as engines
from api.app import build_api
from engine import Engine
from tests.fakes.engine import ScriptedEngine, print_pair, settings
from tests.fakes.feed import T0, S
from tests.fakes.recordings import made_up, recorded
from tests.waiting import until


@pytest.fixture
def api():
    return TestClient(build_api())


@pytest.fixture
def replayed(tmp_path):
    files = (recorded(tmp_path / "tape.gz", made_up(30)),)
    engine = Engine(settings(tmp_path, source="replay", replay=files, speed=1))
    engine.start()
    engines.install(engine)
    yield engine
    engine.stop()


@pytest.fixture
def scripted(tmp_path):
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    engines.install(engine)
    yield engine
    engine.stop()


def standing(api) -> dict:
    return until(lambda: api.get("/v1/replay").json(), lambda body: body["standing"])


def test_a_replay_obeys(api, replayed):
    tell = lambda **body: api.post("/v1/replay", json=body)  # noqa: E731
    assert tell(action="pause").json()["paused"] is True
    assert tell(action="speed", speed=20.5).json()["speed"] == 20.5
    assert tell(action="seek", at_us=T0 + 20 * S).status_code == 200
    body = standing(api)
    assert (body["position_us"], body["ended"], body["first_us"]) == (
        T0 + 20 * S,
        False,
        T0 + 29_000,
    )
    tell(action="step", to="second")
    assert standing(api)["position_us"] == T0 + 21 * S
    tell(action="seek", share=0.25)
    assert standing(api)["share"] == pytest.approx(0.25, abs=1e-6)
    tell(action="speed", speed=0)
    tell(action="play")
    until(lambda: api.get("/v1/replay").json(), lambda body: body["ended"])
    status = api.get("/v1/").json()
    assert status["mode"] == "REPLAY" and status["replay"]["share"] == 1.0 and status["recording"] is None


REFUSED = [
    ({"action": "speed", "speed": 5_000}, "speed", "was 5000"),
    ({"action": "speed"}, "speed", "missing"),
    ({"action": "seek", "at_us": 1}, "at_us", "was 1"),
    ({"action": "seek"}, "at_us", "one of them"),
    ({"action": "seek", "share": 2}, "share", "was 2"),
    ({"action": "step", "to": "day"}, "to", "day"),
    ({"action": "open"}, "recordings", "at least one recording"),
    ({"action": "rewind"}, "action", "rewind"),
    ({"action": "play", "loud": True}, "loud", "loud"),
]


@pytest.mark.parametrize("body, field, word", REFUSED)
def test_a_command_that_cannot_be_is_refused_by_name(api, replayed, body, field, word):
    answer = api.post("/v1/replay", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["details"]["field"]) == (422, "invalid_input", field)
    assert word in error["message"]


def test_without_a_replay_there_is_none_to_command(api, scripted):
    for answer in (api.get("/v1/replay"), api.post("/v1/replay", json={"action": "play"})):
        assert answer.status_code == 422 and "no recording is being replayed" in answer.json()["error"]["message"]


def test_a_market_is_recorded_listed_replayed_and_deleted(api, scripted):
    began = api.post("/v1/recordings", json={"action": "start"})
    assert began.status_code == 200 and began.json()["running"] is True
    name = began.json()["name"]
    again = api.post("/v1/recordings", json={"action": "start"})
    assert again.status_code == 422 and "running already" in again.json()["error"]["message"]
    assert api.delete(f"/v1/recordings/{name}").status_code == 422
    print_pair(scripted, 50)
    assert api.get("/v1/").json()["recording"]["name"] == name
    ended = api.post("/v1/recordings", json={"action": "stop"}).json()
    assert (ended["frames"], ended["dropped"], ended["reason"]) == (100, 0, "stopped")
    (row,) = api.get("/v1/recordings").json()
    assert (row["name"], row["venue"], row["running"]) == (name, "demo", False)
    assert api.post("/v1/recordings", json={"action": "stop"}).status_code == 422
    scripted._feed = lambda market: Engine._feed(scripted, market)
    assert api.post("/v1/replay", json={"action": "open", "recordings": [name]}).json()["files"] == 1
    api.post("/v1/replay", json={"action": "speed", "speed": 0})
    until(lambda: api.get("/v1/replay").json(), lambda body: body["ended"])
    assert [tick["trade_id"] for tick in api.get("/v1/ticks/BTCUSDT?limit=100").json()] == list(range(1, 51))
    missing = api.post("/v1/replay", json={"action": "open", "recordings": ["absent.gz"]})
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "unknown_recording")
    assert api.delete(f"/v1/recordings/{name}").status_code == 204
    assert api.get("/v1/recordings").json() == []
    assert api.delete(f"/v1/recordings/{name}").status_code == 404


def test_the_description_lists_the_routes(api):
    paths = api.get("/openapi.json").json()["paths"]
    assert {"get", "post"} <= set(paths["/v1/replay"]) and {"get", "post"} <= set(paths["/v1/recordings"])
    assert set(paths["/v1/recordings/{name}"]) == {"delete"}
