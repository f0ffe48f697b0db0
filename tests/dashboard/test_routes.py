"""Routes of the live charts, over HTTP."""

import gzip
import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

import engine as engines
from dashboard.live import hub as hubs
from dashboard.live.hub import Hub
from dashboard.live.library import library
from dashboard.live.routes import routes
from dashboard.live.sources import build
from tests.dashboard.fake_engine import symbol_status
from tests.waiting import until


@pytest.fixture
def client(engine):
    with TestClient(Starlette(routes=routes(Hub(build)))) as client:
        yield client


PAIR = "/live/figure/pair?y=ETHUSDT&x=BTCUSDT&tf=1s&window=60&theme=dark&every=1"


def test_a_snapshot_is_the_figure_with_its_number(client):
    answer = client.get(PAIR)
    body = answer.json()
    assert answer.headers["cache-control"] == "no-store"
    assert body["seq"] == 1
    assert body["message"] is None
    assert len(body["figure"]["data"]) >= 8
    assert "NaN" not in answer.text


def test_too_few_bars_are_a_message_with_the_time_that_is_missing(client, engine):
    engine.bars_held = 20
    message = client.get(PAIR).json()["message"]
    assert message["state"] == "collecting"
    assert message["text"].startswith("Collecting bars: 20 of ")
    assert "(about" in message["text"]


def test_a_silent_leg_is_named_over_its_chart(client, engine):
    engine.rows["ETHUSDT"] = symbol_status(stale=True, last_trade_age_s=34.0)
    body = client.get(PAIR).json()
    assert body["figure"] is not None
    assert body["message"] == {"state": "stale", "text": "ETHUSDT silent for 34 s"}


def test_a_pair_of_one_symbol_is_a_message(client):
    body = client.get("/live/figure/pair?y=BTCUSDT&x=BTCUSDT").json()
    assert body["figure"] is None
    assert "two different symbols" in body["message"]["text"]


REFUSED = [
    ("/live/figure/nothing", "there is no live figure 'nothing'"),
    ("/live/figure/pair?y=DOGEUSDT", "DOGEUSDT is not followed"),
    ("/live/figure/pair?theme=pink", "theme must be dark or light"),
    ("/live/figure/pair?every=0.001", "every must be 0.5 to 60 seconds"),
    ("/live/figure/candles?every=x", "every must be 0.5 to 60 seconds"),
]


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_an_address_that_cannot_be_used_is_refused_with_its_reason(client, url, reason):
    answer = client.get(url)
    assert answer.status_code == 422
    assert reason in answer.json()["error"]["message"]


def test_the_stream_says_where_it_stands_and_then_what_changes(client, engine):
    engine.bars_held = 1_190  # the drawn part does not move on with the next bar
    with client.websocket_connect("/live/stream/pair?y=ETHUSDT&x=BTCUSDT&every=0.5") as stream:
        hello = stream.receive_json()
        assert hello["operations"] == []
        number = max(1, hello["seq"])
        if hello["seq"] == 0:  # the first figure is on its way
            assert stream.receive_json()["seq"] == 1
        engine.bars_held += 1
        patch = stream.receive_json()
    assert (patch["epoch"], patch["seq"]) == (hello["epoch"], number + 1)
    assert len(json.dumps(patch)) < 2_000


def refusal(client, url: str, **options) -> str:
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect(url, **options):
        pass
    assert caught.value.code == 1008
    return caught.value.reason


def test_the_stream_of_an_address_that_cannot_be_used_is_refused_with_its_reason(client):
    assert "window must be 3 to" in refusal(client, "/live/stream/pair?window=0")


def test_pages_of_other_servers_cannot_follow(client):
    elsewhere = {"origin": "http://elsewhere.example"}
    assert "only pages of this server" in refusal(client, "/live/stream/pair", headers=elsewhere)
    with client.websocket_connect("/live/stream/pair", headers={"origin": "http://testserver"}) as stream:
        assert stream.receive_json()["operations"] == []


def test_one_figure_too_many_is_closed_with_the_limit_and_may_dial_again(client, monkeypatch):
    monkeypatch.setattr(hubs, "MAX_PRODUCERS", 0)
    with client.websocket_connect("/live/stream/pair") as stream, pytest.raises(WebSocketDisconnect) as caught:
        stream.receive_json()
    assert (caught.value.code, caught.value.reason) == (1012, "at most 0 different live figures at a time")


def test_a_reader_that_leaves_is_forgotten_at_once(engine, monkeypatch):
    monkeypatch.setattr(hubs, "LINGER_S", 0.0)
    hub = Hub(build)
    with TestClient(Starlette(routes=routes(hub))) as client:
        with client.websocket_connect("/live/stream/candles?every=0.5") as stream:
            stream.receive_json()
            assert hub.producers == 1
        until(lambda: hub.producers, lambda producers: producers == 0, 5)


def test_without_an_engine_the_figure_is_unavailable(client):
    engines.install(None)
    assert client.get(PAIR).status_code == 503


def test_views_that_draw_the_same_figure_share_it(client):
    first = client.get("/live/figure/candles?symbol=BTCUSDT&tf=1s&window=60").json()
    second = client.get("/live/figure/candles?symbol=BTCUSDT&tf=1s&window=90&entry=3").json()
    assert first["epoch"] == second["epoch"]


def test_plotly_comes_from_the_installed_package_compressed_and_may_be_kept(client):
    answer = client.get("/live/plotly.js?v=7", headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert answer.content == library()
    plain = client.get("/live/plotly.js", headers={"accept-encoding": "identity"})
    assert plain.content == answer.content
    assert len(gzip.compress(plain.content, 1)) < len(plain.content) / 2
