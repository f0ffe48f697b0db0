"""Login: who has not signed in sees nothing, on pages and on the routes that feed them."""

import json

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from streamlit.testing.v1 import AppTest
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value
from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

import config
import engine as engines
from dashboard import login
from dashboard.live.figures import build
from dashboard.live.hub import Hub
from dashboard.live.routes import routes
from tests.dashboard.fake_engine import FakeEngine

SECRET = "a-cookie-secret-of-32-characters"
FIGURE = "/live/figure/candles?every=1"


@pytest.fixture
def engine(monkeypatch):
    monkeypatch.setattr(config, "login_lacks", lambda _: "")
    monkeypatch.setattr(login, "get_cookie_secret", lambda: SECRET)
    fake = FakeEngine()
    fake.settings = config.load(login="oidc")
    engines.install(fake)
    return fake


def cookie(value: object, secret: str = SECRET) -> dict[str, str]:
    text = create_signed_value(secret, USER_COOKIE_NAME, json.dumps(value)).decode()
    return {"cookie": f"{USER_COOKIE_NAME}={text}"}


GOOD = {"is_logged_in": True, "email": "ann@example.org", "origin": "http://testserver"}
COOKIES = [
    (GOOD, SECRET, True),
    (GOOD, "another-secret-of-32-characters!", False),
    (GOOD | {"is_logged_in": False}, SECRET, False),
    (GOOD | {"is_logged_in": "yes"}, SECRET, False),
    ({}, SECRET, False),
    ([], SECRET, False),
]


@pytest.mark.parametrize("value, secret, allowed", COOKIES)
def test_charts_are_for_who_signed_in(engine, value, secret, allowed):
    headers = cookie(value, secret)
    with TestClient(Starlette(routes=routes(Hub(build)))) as client:
        assert client.get(FIGURE, headers=headers).status_code == (200 if allowed else 401)
        if allowed:
            with client.websocket_connect("/live/stream/candles?every=1", headers=headers) as stream:
                assert stream.receive_json()["operations"] == []
            return
        stream = client.websocket_connect("/live/stream/candles?every=1", headers=headers)
        with pytest.raises(WebSocketDisconnect), stream:
            pass


def test_without_a_cookie_nothing_is_read_and_without_a_login_everything_is(engine):
    assert not login.may_read(engine, {})
    assert not login.is_signed_in({USER_COOKIE_NAME: "forged"})
    engine.settings = config.load()
    assert login.may_read(engine, {})


def test_a_page_offers_to_sign_in_and_shows_nothing_else(engine):
    page = AppTest.from_file(str(config.ROOT / "dashboard" / "main.py"), default_timeout=60)
    page.run()
    assert not page.exception
    assert [button.label for button in page.button] == ["Sign in"]
    shown = " ".join(str(element) for element in page)
    assert "BTCUSDT" not in shown and not page.sidebar.children
