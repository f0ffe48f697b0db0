"""ETags: nothing is sent twice, and no edit overwrites another."""

import pytest
from starlette.testclient import TestClient

import engine as engines
from api.app import build_api
from tests.fakes.engine import StillEngine, print_pair, settings


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = StillEngine(settings(tmp_path_factory.mktemp("tape")))
    engine.start()
    print_pair(engine, 60)
    yield engine
    engine.stop()


@pytest.fixture
def api(engine):
    engines.install(engine)
    for rule in engine.alerts.rules():
        engine.alerts.remove(rule.rule_id)
    return TestClient(build_api())


POLLED = (
    "/v1/ticks/BTCUSDT",
    "/v1/bars/BTCUSDT/1s",
    "/v1/analytics/BTCUSDT/ETHUSDT/1s?window=10",
    "/v1/pair/BTCUSDT/ETHUSDT/1s",
    "/v1/gaps",
    "/v1/alerts",
    "/v1/alerts/history",
    "/v1/jobs",
    "/v1/backtests",
    "/v1/scans",
    "/v1/watchlist",
    "/v1/recordings",
)


@pytest.mark.parametrize("path", POLLED)
def test_what_a_client_has_is_not_sent_again(api, path):
    first = api.get(path)
    tag = first.headers["ETag"]
    again = api.get(path, headers={"If-None-Match": tag})
    assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", tag)
    assert "Content-Length" not in again.headers or again.headers["Content-Length"] == "0"
    for known in (f'"other", {tag}', f"W/{tag}", "*"):
        assert api.get(path, headers={"If-None-Match": known}).status_code == 304
    other = api.get(path, headers={"If-None-Match": '"other"'})
    assert (other.status_code, other.json()) == (200, first.json())


def test_a_change_is_sent(api, engine):
    tag = api.get("/v1/ticks/BTCUSDT?limit=3").headers["ETag"]
    engine.scripted.print("BTCUSDT", [60_000.0], first_id=61, at_us=engine.scripted.clock_us)
    answer = api.get("/v1/ticks/BTCUSDT?limit=3", headers={"If-None-Match": tag})
    assert answer.status_code == 200 and answer.json()[-1]["trade_id"] == 61
    assert answer.headers["ETag"] != tag


def test_errors_have_no_tag(api):
    answer = api.get("/v1/ticks/FOO", headers={"If-None-Match": "*"})
    assert answer.status_code == 404 and "ETag" not in answer.headers


def made(api):
    answer = api.post("/v1/alerts", json={"metric": "zscore", "condition": ">", "threshold": 2.0})
    return f"/v1/alerts/{answer.json()['id']}", answer.headers["ETag"]


def test_an_edit_of_an_older_version_is_refused_with_what_differs(api):
    path, tag = made(api)
    assert api.get(path).headers["ETag"] == tag and tag.startswith('"1-')
    changed = api.patch(path, json={"threshold": 3.0}, headers={"If-Match": tag})
    assert changed.status_code == 200 and changed.headers["ETag"].startswith('"2-')
    stale = api.patch(path, json={"threshold": 4.0}, headers={"If-Match": tag})
    assert stale.status_code == 409
    assert stale.json()["error"]["code"] == "stale_edit"
    assert stale.json()["error"]["details"] == {"differs": {"threshold": [3.0, 4.0]}}
    assert api.get(path).json()["threshold"] == 3.0


def test_a_rule_that_somebody_changed_is_not_removed(api):
    path, tag = made(api)
    api.patch(path, json={"name": "kept"})
    refused = api.delete(path, headers={"If-Match": tag})
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "stale_edit")
    assert api.get(path).json()["name"] == "kept"
    assert api.delete(path, headers={"If-Match": '"2"'}).status_code == 204
    assert api.get(path).status_code == 404


def test_the_state_of_a_rule_may_move_between_look_and_edit(api):
    path, tag = made(api)
    assert api.post(f"{path}/silence", json={"for_s": 60}).headers["ETag"] != tag
    assert api.patch(path, json={"threshold": 3.0}, headers={"If-Match": tag}).status_code == 200


@pytest.mark.parametrize("given, status", [("*", 200), ('W/"1"', 200), ("1", 422), ('"x"', 422), ('"1", "2"', 422)])
def test_what_if_match_may_say(api, given, status):
    path, _ = made(api)
    answer = api.patch(path, json={"threshold": 3.0}, headers={"If-Match": given})
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["error"]["details"]["field"] == "If-Match"


def test_header_and_body_must_not_name_two_versions(api):
    path, tag = made(api)
    answer = api.patch(path, json={"threshold": 3.0, "version": 2}, headers={"If-Match": tag})
    assert (answer.status_code, answer.json()["error"]["details"]["field"]) == (422, "version")
    assert api.patch(path, json={"threshold": 3.0, "version": 1}, headers={"If-Match": tag}).status_code == 200
