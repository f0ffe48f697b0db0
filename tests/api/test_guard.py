"""The guard before every route: names, peers, pages and sizes."""

import tomllib

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from api.guard import HEADERS, MOST_BYTES, MOST_UPLOAD, Guard, is_ours
from dashboard import imports
from tests.running import ROOT

CHANGED = []


async def change(request):
    CHANGED.append(await request.body())
    return JSONResponse({"done": True})


async def follow(socket: WebSocket) -> None:
    await socket.accept()
    await socket.send_text("data")
    await socket.close()


@pytest.fixture(autouse=True)
def nothing_changed():
    CHANGED.clear()


def web(client: str = "127.0.0.1", **options) -> TestClient:
    routes = [Route("/api/x", change, methods=["GET", "POST", "DELETE"]), WebSocketRoute("/live", follow)]
    app = Starlette(routes=routes, middleware=[Middleware(Guard, **options)])
    return TestClient(app, base_url="http://127.0.0.1:8501", client=(client, 5))


NAMES = [
    ("127.0.0.1:8501", True),
    ("localhost:8501", True),
    ("LOCALHOST", True),
    ("localhost.", True),
    ("[::1]:8501", True),
    ("192.168.1.5", True),
    ("tape.example", True),
    ("tape.example:443", True),
    ("evil.example", False),
    ("tape.example.evil.example", False),
    ("eviltape.example", False),
    ("127.0.0.1.evil.example", False),
    ("localhost@evil.example", False),
    ("evil.example#localhost", False),
    ("localhost:port", False),
    ("localhost, evil.example", False),
    ("2130706433", False),
    ("[::1", False),
    ("", False),
]


@pytest.mark.parametrize("host, ours", NAMES)
def test_only_names_of_this_server_are_answered(host, ours):
    assert is_ours(host, {"localhost", "tape.example"}) is ours
    answer = web(hosts=["Tape.Example"]).get("/api/x", headers={"host": host})
    assert answer.status_code == (200 if ours else 421)
    assert ours or answer.json()["error"]["code"] == "unknown_host"


def test_two_names_are_none():
    headers = [("host", "127.0.0.1"), ("host", "evil.example")]
    assert web().get("/api/x", headers=headers).status_code == 421


PAGES = [
    ({}, True),  # no browser
    ({"origin": "http://127.0.0.1:8501"}, True),
    ({"origin": "https://tape.example"}, True),  # a proxy may have changed the Host
    ({"origin": "http://127.0.0.1:9999"}, False),
    ({"origin": "http://localhost:8501"}, False),  # another page of this machine
    ({"origin": "http://evil.example"}, False),
    ({"origin": "null"}, False),
    ({"sec-fetch-site": "cross-site"}, False),
    ({"sec-fetch-site": "same-site"}, False),
    ({"sec-fetch-site": "same-origin"}, True),
    ({"sec-fetch-site": "none"}, True),
]


@pytest.mark.parametrize("headers, allowed", PAGES)
def test_what_changes_something_comes_from_a_page_of_ours_or_from_none(headers, allowed):
    for method in ("POST", "DELETE"):
        answer = web(hosts=["tape.example"]).request(method, "/api/x", headers=headers)
        assert answer.status_code == (200 if allowed else 403)
    assert len(CHANGED) == (2 if allowed else 0)


@pytest.mark.parametrize("headers, allowed", [*PAGES, ({"host": "evil.example"}, False)])
def test_a_websocket_comes_from_a_page_of_ours_or_from_none(headers, allowed):
    client, headers = web(hosts=["tape.example"]), {"host": "127.0.0.1:8501"} | headers
    if allowed:
        with client.websocket_connect("/live", headers=headers) as socket:
            assert socket.receive_text() == "data"
        return
    with pytest.raises(WebSocketDisconnect) as caught, client.websocket_connect("/live", headers=headers):
        pass
    assert caught.value.code == 1008


PEERS = [
    ("127.0.0.1", True),
    ("::1", True),
    ("::ffff:127.0.0.1", True),
    ("10.0.0.7", True),
    ("::ffff:10.0.0.7", True),
    ("10.0.1.7", False),
    ("fe80::1", False),
    ("testclient", False),
]


@pytest.mark.parametrize("peer, allowed", PEERS)
def test_behind_a_proxy_nobody_else_is_answered(peer, allowed):
    answer = web(peer, proxies=["10.0.0.0/24"]).post("/api/x", headers={"x-forwarded-for": "127.0.0.1"})
    assert answer.status_code == (200 if allowed else 403)
    assert bool(CHANGED) is allowed
    assert web(peer).get("/api/x").status_code == 200  # without a proxy everybody is


def test_a_body_beyond_every_need_is_not_read():
    client = web()
    assert client.post("/api/x", content=b"x" * 1_000).status_code == 200
    assert client.post("/api/x", content=b"", headers={"content-length": str(MOST_BYTES + 1)}).status_code == 413
    assert client.post("/api/x", content=iter([b"x"])).status_code == 411
    assert CHANGED == [b"x" * 1_000]


def test_an_upload_beyond_the_limit_of_the_pages_is_not_read():
    options = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    assert options["server"]["maxUploadSize"] << 20 == imports.UPLOAD_MB << 20 == MOST_UPLOAD
    path = "/_stcore/upload_file/session/file"
    refused = web().put(path, content=b"", headers={"content-length": str(MOST_UPLOAD + 1)})
    assert refused.status_code == 413
    assert refused.json()["error"]["message"].startswith("an upload may have 104857600 bytes, has 104857601")
    assert web().put(path, content=b"", headers={"content-length": str(MOST_UPLOAD)}).status_code == 404  # passed on


def test_every_answer_says_that_no_other_page_may_show_or_guess_it():
    for answer in (web().get("/api/x"), web().get("/none"), web().get("/api/x", headers={"host": "evil.example"})):
        assert {name: answer.headers[name] for name in HEADERS} == HEADERS
        assert "access-control-allow-origin" not in answer.headers
