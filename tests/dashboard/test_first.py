"""The first chart of a page is begun by the shell: as the page will ask for it, and for nobody who may not see it."""

import json
import re

import pytest
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest

import engine as engines
from config import ROOT
from dashboard.live import component, first
from dashboard.live.shell import LIBRARY, STATIC, Shell, scripts
from utils.errors import PairscopeError

INDEX = (STATIC / "index.html").read_text("utf-8")
BEGUN = re.compile(r"begin\((\{.*?\})\)")
QUERIES = {  # all that the figures of these pages can depend on
    "/": "?symbol=BTCUSDT&tf=5s&span=120&show=rsi-macd&zone=Europe/Vienna&refresh=5",
    "/pair": "?y=BTCUSDT&x=ETHUSDT&tf=5s&window=30&method=kalman&legs=log&entry=1.5&paused=1",
    "/microstructure": "?symbol=BTCUSDT&tf=5s",
    "/signals": "?fast=3&slow=9&stop=7.0&log=1",
}


@pytest.fixture
def client():
    """Streamlit's page as it is, in the shell."""
    routes = [Route("/{page:path}", lambda request: HTMLResponse(INDEX))]
    return TestClient(Shell(Starlette(routes=routes)))


def begun(client: TestClient, address: str, **options) -> dict | None:
    """What the shell tells the chart; None where it begins none."""
    found = BEGUN.search(client.get(address, **options).text)
    return found and json.loads(found[1])


@pytest.mark.parametrize("query", [False, True])
@pytest.mark.parametrize("path", first.FIRST)
def test_it_is_begun_as_the_page_asks_for_it(path, query, client, engine, monkeypatch):
    address = QUERIES[path] if query else ""
    asked = []
    monkeypatch.setattr(component, "_chart", lambda: lambda key, data, height: asked.append(data))
    test = AppTest.from_file(str(ROOT / "dashboard" / "main.py"), default_timeout=60)
    for name, value in re.findall(r"(\w+)=([^&]*)", address):
        test.query_params[name] = value
    if path != "/":
        test.switch_page(f"pages{path}.py")
    test.run()
    assert not test.exception
    assert asked[0] == begun(client, path + address)


def test_streamlit_waits_for_it(client, engine):
    page = client.get("/pair").text
    (rest,) = re.findall(r'<template id="ps-rest">(.*?)</template>', page)
    outside = page.replace(rest, "")
    assert rest.count('<script type="module"') == 1 and "/static/js/index." in rest
    assert all(name in rest for name in scripts())
    assert "/static/js/" not in outside and outside.count(LIBRARY) == 1
    assert page.index("begin(") < page.index("<template") and 'rel="stylesheet"' in outside


@pytest.mark.parametrize("path", ["/alerts", "/data", "/pair/elsewhere", "/overview"])
def test_a_page_without_one_begins_none(path, client, engine):
    page = client.get(path).text
    assert begun(client, path) is None and "ps-rest" not in page and page.count(LIBRARY) == 1


def test_neither_does_a_server_without_an_engine(client):
    with pytest.raises(PairscopeError):
        engines.current()
    assert begun(client, "/pair") is None


def test_it_is_begun_for_those_only_who_may_see_it(client, engine, monkeypatch):
    monkeypatch.setattr(first, "may_read", lambda engine, cookies: cookies.get("who") == "known")
    assert begun(client, "/pair") is None
    client.cookies.set("who", "known")
    assert begun(client, "/pair")["name"] == "pair"


def test_what_an_address_says_cannot_leave_the_script(client, engine):
    for value in ("</script><script>alert(1)</script>", '";alert(1)//', "%s"):
        page = client.get("/pair", params={"y": value, "zone": value, "tf": value, value: value}).text
        assert "alert(1)" not in page
        assert "ETHUSDT" in begun(client, "/pair")["query"]
