"""Live panels: one build for all who look, patches of what changed alone, and a failure that stays where it is."""

import json
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.testclient import TestClient

import engine as engines
from dashboard import rules, standing
from dashboard.live import boxes
from dashboard.live.boxes import PANELS, LivePanel
from dashboard.live.figures import HEAVY_S
from dashboard.live.files import LIVE_JS, LIVE_URL
from dashboard.live.hub import Hub
from dashboard.live.panels import build, key_of, markup, pieces
from dashboard.live.patch import apply, diff, plain
from dashboard.live.routes import routes
from dashboard.live.sources import build as built
from dashboard.view import View
from tests.dashboard.fake_engine import START_US, FakeEngine
from tests.dashboard.test_pages import open_page, panels, words

PAIR = "names=pair-tests.pair-readings.pair-reversion.pair-events.strip"


@pytest.fixture
def engine():
    fake = FakeEngine()
    engines.install(fake)
    yield fake
    engines.install(None)


@pytest.fixture
def view(engine):
    return View.default(engine.symbols)


@pytest.fixture
def client(engine):
    with TestClient(Starlette(routes=routes(Hub(built)))) as client:
        yield client


def key(names: str, **query: str):
    return key_of({"names": names, **query})


def shown(payload) -> dict[str, str]:
    return {name: "".join(entry["pieces"]) for name, entry in payload["panels"].items()}


def test_the_panels_of_a_page_come_in_one_message_and_say_what_the_page_said(engine, client):
    body = client.get(f"/live/figure/panels?{PAIR}&y=ETHUSDT&x=BTCUSDT").json()
    assert body["seq"] == 1
    drawn = panels(open_page("pair"))
    assert shown(body) == {name: drawn[name] for name in shown(body)}
    assert len(body["panels"]) == 5


def test_names_in_any_order_are_one_key(engine):
    assert key("tape.flow") == key("flow.tape.flow")
    assert key("tape.flow").name == "panels"


OTHER = {
    "symbol_y": "BTCUSDT",
    "symbol_x": "ETHUSDT",
    "symbol": "ETHUSDT",
    "timeframe": "5s",
    "window": 40,
    "method": "ewm",
    "scale": "robust",
    "log_prices": True,
    "entry_z": 1.5,
    "exit_z": 0.25,
    "stop_z": 3.0,
    "fast": 7,
    "slow": 31,
    "weights": (40, 20, 20, 20),
    "notional": 50_000.0,
    "indicators": ("sma",),
    "topic": "season",
    "subject": "x",
    "season": "hour",
    "span": 120,
    "legs": "log",
    "cover": "1h",
    "scan": "source=stored",
    "level": "WARNING",
    "zone": "Asia/Kolkata",
    "refresh_s": 5.0,
    "paused": True,
}


@pytest.mark.parametrize("name", PANELS)
def test_a_panel_depends_on_the_fields_it_names_and_on_no_other(engine, view, name):
    assert set(OTHER) == {field.name for field in fields(View)}
    mine = {field: value for field, value in OTHER.items() if field in PANELS[name].fields}
    rest = {field: value for field, value in OTHER.items() if field not in PANELS[name].fields}
    if {"entry_z", "stop_z"} & rest.keys():  # these three hold each other's limits
        rest = {field: value for field, value in rest.items() if field not in ("entry_z", "exit_z", "stop_z")}
    some = replace(view, **mine)
    html = markup(name, engine, some)
    assert markup(name, engine, replace(some, **rest)) == html
    assert "ps-is-error" not in html


def test_panels_of_one_message_speak_of_one_bar_where_one_closes_meanwhile(engine, monkeypatch):
    def text(engine, view):
        told = str(engine.bars_held)
        engine.bars_held += len(seen) == 0
        seen.append(told)
        return told

    seen: list[str] = []
    for name in ("pair-readings", "pair-tests"):
        monkeypatch.setitem(PANELS, name, replace(PANELS[name], build=text))
    panels = build(key("pair-readings.pair-tests", y="ETHUSDT", x="BTCUSDT"))["panels"]
    assert len(set(seen)) == 2
    assert panels["pair-readings"]["pieces"] == panels["pair-tests"]["pieces"] == [str(engine.bars_held)]


def test_a_patch_holds_what_changed_and_nothing_else(engine):
    asked = key("pair-tests.pair-readings.pair-reversion", y="ETHUSDT", x="BTCUSDT")
    before = plain(build(asked))
    engine.bars_held += 1
    after = plain(build(asked))
    patch = diff(before, after)
    assert len(json.dumps(patch)) < len(json.dumps(after)) / 4
    assert apply(json.loads(json.dumps(before)), json.loads(json.dumps(patch))) == after
    assert diff(after, plain(build(asked))) == []


@given(st.text(alphabet="<>/ab\"' \n&;"))
def test_pieces_put_together_are_the_markup(html):
    assert "".join(pieces(html)) == html


REFUSED = [
    ("names=nothing", "there is no live panel 'nothing'"),
    ("", "there is no live panel ''"),
    ("names=tiles&tf=soon", "tf='soon' in the address is not used"),
    ("names=tiles&every=0.1", "every must be 0.5 to 60 seconds"),
]


@pytest.mark.parametrize(("query", "reason"), REFUSED)
def test_an_address_that_cannot_be_used_is_refused_with_its_reason(client, query, reason):
    answer = client.get(f"/live/figure/panels?{query}")
    assert answer.status_code == 422
    assert reason in answer.json()["error"]["message"]


def test_what_takes_long_is_not_built_more_often_than_it_can_change(engine):
    assert key("lead-and-lag", every="1").interval_s == HEAVY_S
    assert key("flow", every="1").interval_s == 1.0
    data = {part["name"]: part["every"] for part in data_of(open_page("microstructure", refresh="2"))}
    assert (data["lead-and-lag"], data["flow"], data["strip"]) == ("5", "2", "1")


def data_of(app):
    return [json.loads(part.proto.json) for part in app.get("bidi_component") if "panel-" in part.proto.id]


def test_a_pause_stops_the_panels_of_the_page_and_not_the_strip(engine):
    data = {part["name"]: part["paused"] for part in data_of(open_page("pair", paused="1"))}
    assert data["pair-readings"] and data["pair-tests"]
    assert not data["strip"] and not data["rules"]


def test_too_few_bars_are_said_in_each_panel_in_its_place(engine):
    engine.bars_held = 20
    for html in shown(build(key("pair-readings.pair-tests"))).values():
        assert 'class="ps-empty ps-is-collecting"' in html and "Collecting bars: 20 of" in html
    assert "min-height:70px" in shown(build(key("pair-readings")))["pair-readings"]


def test_a_panel_that_fails_leaves_the_others_and_is_logged_once(engine, monkeypatch, caplog):
    monkeypatch.setitem(boxes.PANELS, "flow", LivePanel((), lambda engine, view: f"{1 / 0}"))
    first = shown(build(key("flow.tape")))
    assert 'class="ps-empty ps-is-error"' in first["flow"] and "Tape" in first["tape"]
    assert shown(build(key("flow.tape")))["flow"] == first["flow"]
    (record,) = (record for record in caplog.records if "panel flow failed" in record.message)
    assert record.message.split()[-1] in first["flow"]
    monkeypatch.setitem(boxes.PANELS, "flow", LivePanel((), lambda engine, view: "well"))
    assert shown(build(key("flow")))["flow"] == "well"
    monkeypatch.setitem(boxes.PANELS, "flow", LivePanel((), lambda engine, view: f"{1 / 0}"))
    assert shown(build(key("flow")))["flow"] != first["flow"]


def test_a_symbol_that_is_followed_no_more_is_said(engine):
    asked = key("pair-readings", y="ETHUSDT", x="BTCUSDT")
    engine.symbols = ("BTCUSDT",)
    assert "ETHUSDT is not followed" in shown(build(asked))["pair-readings"]


def test_an_alert_another_button_and_a_rule_are_news(engine, view):
    seen = [standing.news(engine)]
    engine.mode = "BLOCKED"
    seen.append(standing.news(engine))
    engine.storage_note = "moved aside"
    seen.append(standing.news(engine))
    before = standing.rule_news(engine)
    rule = engine.alerts.add(rules.quick_rule(view))
    added = standing.rule_news(engine)
    engine.alerts.evaluate(lambda scope: {"zscore": 2.5}, START_US, "demo")
    seen.append(standing.news(engine))
    fired = standing.rule_news(engine)
    engine.alerts.update(rule.rule_id, {"enabled": False})
    told = [before, added, fired, standing.rule_news(engine)]
    assert len(set(seen)) == len(seen) and len(set(told)) == len(told)
    entry = build(key("strip.flow"))["panels"]
    assert entry["strip"]["news"] == standing.news(engine) and "news" not in entry["flow"]


def test_a_strip_that_fails_leaves_the_page(engine, monkeypatch):
    monkeypatch.setattr(standing, "formats", None)
    text = words(open_page("pair"))
    assert "This panel failed" in text and "What this says" in text


def test_the_module_of_the_panels_may_be_kept_as_its_address_changes_with_it(client):
    answer = client.get(LIVE_URL)
    assert answer.text == LIVE_JS and "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-type"].startswith("text/javascript")
