"""The rate limit: refused with the time to wait, let in again after it, and each client for itself."""

import pytest
from starlette.testclient import TestClient

import engine as engines
from api.app import build_api
from tests.fakes.engine import StillEngine, settings


@pytest.fixture
def api(tmp_path):
    engine = StillEngine(settings(tmp_path))
    engine.start()
    engines.install(engine)
    yield build_api(per_minute=5)
    engine.stop()


@pytest.fixture
def clock(monkeypatch):
    """Wall time, set by the test: `limits` and we read the same."""
    now = [1_700_000_040.3]
    monkeypatch.setattr("time.time", lambda: now[0])
    monkeypatch.setattr("time.time_ns", lambda: int(now[0] * 1e9))
    return now


def test_a_client_that_asks_too_often_is_told_when_to_come_back(api, clock):
    client = TestClient(api)
    assert [client.get("/v1/gaps").status_code for _ in range(5)] == [200] * 5
    refused = client.get("/v1/gaps")
    assert refused.status_code == 429
    error = refused.json()["error"]
    assert error["code"] == "too_many_requests" and error["details"]["limit"] == 5
    wait_s = int(refused.headers["Retry-After"])
    assert 0 < wait_s <= 60 and error["details"]["retry_after_s"] == wait_s
    clock[0] += wait_s - 1
    assert client.get("/v1/gaps").status_code == 429
    clock[0] += 1
    assert [client.get("/v1/gaps").status_code for _ in range(6)] == [200] * 5 + [429]


def test_what_does_not_exist_and_wrong_tokens_count_too(clock):
    client = TestClient(build_api("a-token-long-enough", per_minute=3))
    answers = [client.get(path).status_code for path in ("/v1/nothing", "/v1/gaps", "/openapi.json", "/v1/gaps")]
    assert answers == [404, 401, 200, 429]


def test_one_client_does_not_shut_out_another(api, clock):
    first, second = (TestClient(api, client=(address, 1)) for address in ("192.0.2.1", "192.0.2.2"))
    assert [first.get("/v1/gaps").status_code for _ in range(6)][-1] == 429
    assert second.get("/v1/gaps").status_code == 200


def test_without_a_limit_nothing_is_counted(tmp_path):
    client = TestClient(build_api())
    assert [client.get("/openapi.json").status_code for _ in range(20)] == [200] * 20
