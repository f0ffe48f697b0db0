"""Routes of the live charts, over HTTP."""

import gzip

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

import engine as engines
from dashboard.live.figures import build
from dashboard.live.hub import Hub
from dashboard.live.routes import PLOTLY_JS, routes
from tests.dashboard.fake_engine import FakeEngine, symbol_status


@pytest.fixture
def engine():
    fake = FakeEngine()
    engines.install(fake)
    yield fake
    engines.install(None)


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
    ("/live/stream/pair?window=0", "window must be 3 to"),
]


@pytest.mark.parametrize(("url", "reason"), REFUSED)
def test_an_address_that_cannot_be_used_is_refused_with_its_reason(client, url, reason):
    answer = client.get(url)
    assert answer.status_code == 422
    assert reason in answer.json()["error"]["message"]


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
    assert answer.content == PLOTLY_JS.read_bytes()
    plain = client.get("/live/plotly.js", headers={"accept-encoding": "identity"})
    assert plain.content == answer.content
    assert len(gzip.compress(plain.content, 1)) < len(plain.content) / 2
