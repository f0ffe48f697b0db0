"""The REST API: the numbers of the engine, and errors of one shape."""

import numpy as np
import pytest
from starlette.testclient import TestClient

import config
import engine as engines
from analytics.pair import PairParams
from analytics.signals import SignalParams
from api.app import build_api
from data.quotes import Quotes
from tests.fakes.engine import ScriptedEngine, print_pair, settings
from tests.fakes.receiver import receiver
from tests.waiting import until

TOKEN = "a-token-long-enough"


@pytest.fixture
def engine(tmp_path):
    engine = ScriptedEngine(settings(tmp_path))
    engine.start()
    print_pair(engine, 200)
    engines.install(engine)
    yield engine
    engine.stop()


@pytest.fixture
def api(engine):
    return TestClient(build_api())


def test_status_tells_mode_and_books(api):
    body = api.get("/v1/").json()
    assert (body["status"], body["mode"], body["source"]) == ("ok", "DEMO", "demo")
    row = body["symbols"]["BTCUSDT"]
    assert row["received"] == 200
    settled = row["stored"] + row["deduped"] + sum(row["rejected"].values()) + sum(row["dropped"].values())
    assert row["received"] == settled + row["queued"]
    assert {"reconnects", "uptime_s", "rss_bytes", "schema_version", "sqlite_version"} <= set(body)


def test_ticks_are_the_newest_oldest_first(api, engine):
    rows = api.get("/v1/ticks/btcusdt?limit=3").json()
    assert [row["trade_id"] for row in rows] == [198, 199, 200]
    assert set(rows[0]) == {"trade_id", "ts_us", "price", "qty", "buyer_is_maker"}
    assert rows[-1]["price"] == engine.ticks("BTCUSDT").price[-1]
    assert rows[0]["buyer_is_maker"] is True
    since = rows[1]["ts_us"]
    assert [row["trade_id"] for row in api.get(f"/v1/ticks/BTCUSDT?since_us={since}").json()] == [199, 200]


def test_bars_carry_every_column_and_null_where_there_is_no_number(api, engine):
    engine.scripted.clock_us += 3_000_000
    rows = api.get("/v1/bars/BTCUSDT/1s?limit=5").json()
    frame = engine.bars("BTCUSDT", "1s", 5)
    assert [row["ts_us"] for row in rows] == frame.index.asi8.tolist()
    assert [row["close"] for row in rows] == frame["close"].tolist()
    assert rows[-1]["vwap"] is None and rows[-1]["trades"] == 0 and rows[-1]["complete"] is False
    assert set(rows[0]) == {"ts_us", *frame.columns}


def test_analytics_rows_are_the_analysis_that_pages_see(api, engine):
    rows = api.get("/v1/analytics/BTCUSDT/ETHUSDT/1s?limit=10&window=30").json()
    analysis = engine.analysis("ETHUSDT", "BTCUSDT", "1s", PairParams(window=30))
    for name in ("hedge_ratio", "spread", "zscore", "correlation"):
        np.testing.assert_allclose([row[name] for row in rows], getattr(analysis.path, name)[-10:], rtol=1e-12)
    assert [row["ts_us"] for row in rows] == analysis.ts_us[-10:].tolist()


def test_analytics_stand_at_trade_times_too(api, engine):
    rows = api.get("/v1/analytics/BTCUSDT/ETHUSDT/tick?limit=5&window=30").json()
    assert [row["ts_us"] for row in rows] == engine.ticks("ETHUSDT", 5).ts_us.tolist()


def test_too_few_bars_give_no_rows_and_a_pair_says_how_many_are_missing(api):
    assert api.get("/v1/analytics/BTCUSDT/ETHUSDT/1s?window=500").json() == []
    answer = api.get("/v1/pair/BTCUSDT/ETHUSDT/1s?window=500")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "too_few_observations"
    assert answer.json()["error"]["details"]["need"] == 500


def test_the_whole_pair_has_tests_half_life_and_caveats(api):
    body = api.get("/v1/pair/BTCUSDT/ETHUSDT/1s").json()
    assert (body["symbol_y"], body["symbol_x"]) == ("ETHUSDT", "BTCUSDT")
    assert 0 <= body["engle_granger"]["pvalue"] <= 1
    assert body["half_life"]["low"] > 0
    assert body["verdict"]


# call, status, code, words of the message
REFUSED = [
    ("/v1/ticks/FOO", 404, "unknown_symbol", "FOO"),
    ("/v1/ticks/BTCUSDT?limit=0", 422, "invalid_input", "limit"),
    ("/v1/ticks/BTCUSDT?limit=abc", 422, "invalid_input", "abc"),
    ("/v1/ticks/BTCUSDT?since_us=-1", 422, "invalid_input", "since_us"),
    ("/v1/bars/BTCUSDT/7x", 422, "invalid_input", "7x"),
    ("/v1/bars/BTCUSDT/0s", 422, "invalid_input", "0s"),
    ("/v1/bars/BTCUSDT/tick", 422, "invalid_input", "tick"),
    ("/v1/analytics/BTCUSDT/BTCUSDT/1s", 422, "invalid_input", "different"),
    ("/v1/analytics/BTCUSDT/ETHUSDT/1s?window=1", 422, "invalid_input", "window"),
    ("/v1/analytics/BTCUSDT/ETHUSDT/1s?method=magic", 422, "invalid_input", "magic"),
    ("/v1/analytics/BTCUSDT/ETHUSDT/1s?scale=magic", 422, "invalid_input", "scale"),
    ("/v1/analytics/BTCUSDT/ETHUSDT/1s?window=5&method=huber", 422, "invalid_input", "window"),
    ("/v1/pair/BTCUSDT/ETHUSDT/1s?log_prices=maybe", 422, "invalid_input", "log_prices"),
    ("/v1/nothing", 404, "not_found", ""),
]


@pytest.mark.parametrize("call, status, code, word", REFUSED)
def test_a_call_that_cannot_be_answered_says_why(api, call, status, code, word):
    answer = api.get(call)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) == {"code", "message", "details"}
    assert error["code"] == code
    assert word in error["message"]


def test_a_body_that_is_no_json_is_refused_with_the_place(api):
    answer = api.post("/v1/alerts", content=b'{"metric": ', headers={"Content-Type": "application/json"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")
    assert answer.json()["error"]["details"] == {"position": 11}


def test_a_rule_is_made_changed_and_removed(api, engine):
    made = api.post("/v1/alerts", json={"metric": "zscore", "condition": ">", "threshold": 2.0})
    assert made.status_code == 201
    rule = made.json()
    assert (rule["symbol_y"], rule["symbol_x"], rule["timeframe"]) == ("ETHUSDT", "BTCUSDT", "1s")
    assert [row["id"] for row in api.get("/v1/alerts").json()] == [rule["id"]]
    changed = api.patch(f"/v1/alerts/{rule['id']}", json={"threshold": 2.5, "enabled": False}).json()
    assert (changed["threshold"], changed["enabled"], changed["version"]) == (2.5, False, 2)
    assert api.delete(f"/v1/alerts/{rule['id']}").status_code == 204
    assert api.get("/v1/alerts").json() == []
    assert api.delete(f"/v1/alerts/{rule['id']}").status_code == 404


def made(api, **fields):
    body = {"metric": "zscore", "condition": "outside", "threshold": 2.0, **fields}
    answer = api.post("/v1/alerts", json=body)
    assert answer.status_code == 201, answer.json()
    return answer.json()


def test_a_rule_says_all_that_it_was_told(api):
    fields = {
        "name": "wide",
        "recovery": 0.5,
        "for_s": 5,
        "cooldown_s": 30,
        "repeat_s": 600,
        "nodata_s": 20,
        "severity": "critical",
        "channels": ["screen"],
        "timeframe": "5s",
        "on": "intrabar",
        "enabled": False,
    }
    rule = made(api, **fields)
    assert {name: rule[name] for name in fields} == fields
    assert (rule["title"], rule["state"], rule["version"], rule["symbol"]) == ("wide", "OK", 1, None)


def test_null_gives_a_field_its_default_back(api):
    rule = made(api, nodata_s=20, name="wide", enabled=False)
    changed = api.patch(f"/v1/alerts/{rule['id']}", json={"nodata_s": None, "name": None, "enabled": None}).json()
    assert (changed["nodata_s"], changed["name"], changed["enabled"]) == (10.0, "", True)
    missing = api.patch(f"/v1/alerts/{rule['id']}", json={"timeframe": None})
    assert (missing.status_code, missing.json()["error"]["details"]["field"]) == (422, "timeframe")


def test_rules_of_one_symbol_of_an_expression_and_by_other_names(api):
    one = made(api, metric="price", condition=">", symbol="btcusdt", change_s=60)
    assert (one["symbol"], one["symbol_y"], one["symbol_x"]) == ("BTCUSDT", "BTCUSDT", "")
    body = {"expression": "z_score > 2 AND p_value < 0.05", "until": "abs(zscore) < 0.5"}
    many = api.post("/v1/alerts", json=body).json()
    assert (many["metric"], many["condition"], many["threshold"]) == ("zscore", "expression", 2.0)
    assert made(api, metric="z_score")["metric"] == "zscore"
    cleared = api.patch(f"/v1/alerts/{many['id']}", json={"condition": "<", "threshold": 1, "until": ""}).json()
    assert (cleared["expression"], cleared["until"], cleared["title"]) == ("", "", "ETHUSDT/BTCUSDT 1s zscore < 1")


def test_a_stale_edit_is_refused_with_what_differs(api):
    """D18."""
    rule = made(api)
    path = f"/v1/alerts/{rule['id']}"
    assert api.patch(path, json={"threshold": 3.0, "version": 1}).status_code == 200
    answer = api.patch(path, json={"threshold": 4.0, "version": 1})
    assert answer.status_code == 409
    error = answer.json()["error"]
    assert (error["code"], error["details"]) == ("stale_edit", {"differs": {"threshold": [3.0, 4.0]}})
    assert api.get("/v1/alerts").json()[0]["threshold"] == 3.0
    assert api.patch(path, json={"recovery": 0.5, "version": 2}).json()["recovery"] == 0.5
    assert api.patch(path, json={"recovery": None}).json()["recovery"] is None


def test_a_rule_is_copied_silenced_and_tested(api):
    rule = made(api, name="wide")
    path = f"/v1/alerts/{rule['id']}"
    copy = api.post(f"{path}/duplicate")
    assert (copy.status_code, copy.json()["name"], copy.json()["enabled"]) == (201, "wide (copy)", False)
    silent = api.post(f"{path}/silence", json={"for_s": 3600}).json()
    assert silent["state"] == "SILENCED" and silent["silenced_until_us"] > 0 and silent["suppressed"] == 0
    assert api.delete(f"{path}/silence").status_code == 200
    assert api.post(f"{path}/silence", json={"for_s": 0}).status_code == 422
    assert api.post(f"{path}/test").json() == {}  # no channel is configured
    for call in ("duplicate", "test"):
        assert api.post(f"/v1/alerts/none/{call}").status_code == 404
    assert api.post("/v1/alerts/none/silence", json={"for_s": 1}).status_code == 404


def test_an_alert_is_told_with_its_context(api):
    made(api, metric="coverage", condition=">", threshold=0.1)
    (row,) = until(lambda: api.get("/v1/alerts/history").json(), len)
    assert "context" not in row and row["rule_version"] == 1 and row["silenced"] is False
    (whole,) = api.get(f"/v1/alerts/history/{row['event_id']}").json()
    assert whole["context"]["values"]["coverage"] == 1.0
    assert len(whole["context"]["picture"]["zscore"]) == 60
    assert api.get(f"/v1/alerts/history?before={row['number']}").json() == []
    assert api.get("/v1/alerts/history?rule_id=none").json() == []
    assert api.get("/v1/alerts/history/none").json()["error"]["code"] == "unknown_alert"
    found = api.get("/v1/alerts/statistics").json()
    assert [(one["severity"], one["firings"]) for one in found["rules"]] == [("warning", 1)]
    assert (found["evaluation"]["rules"], found["evaluation"]["fired"]) == (1, 1)


def test_a_rule_is_tried_on_the_past_without_being_made(api):
    body = {"rule": {"metric": "zscore", "condition": "outside", "threshold": 1.5}, "bars": 120}
    found = api.post("/v1/alerts/rehearsal", json=body).json()
    assert (found["bars"], found["exact"], len(found["by_threshold"])) == (120, True, 9)
    assert found["firings"] == sum(row["state"] == "firing" for row in found["log"]) > 0
    assert api.get("/v1/alerts").json() == []
    tried = api.post("/v1/alerts/rehearsal", json=body | {"thresholds": [1.0, 9.0]}).json()["by_threshold"]
    assert [row["threshold"] for row in tried] == [1.0, 9.0] and tried[1]["firings"] == 0
    assert api.post("/v1/alerts/rehearsal", json=body | {"bars": 0}).status_code == 422
    tested = {"rule": {"expression": "abs(zscore) > 2 AND pvalue < 0.05"}}
    assert api.post("/v1/alerts/rehearsal", json=tested).json()["bars"] == 200
    refused = api.post("/v1/alerts/rehearsal", json=tested | {"bars": 3_600})
    assert (refused.status_code, refused.json()["error"]["details"]["field"]) == (422, "bars")
    wrong = api.post("/v1/alerts/rehearsal", json={"rule": {"expression": "colour > 1"}})
    assert (wrong.status_code, wrong.json()["error"]["details"]["field"]) == (422, "expression")


def test_what_can_be_named_is_listed(api):
    names = api.get("/v1/alerts/metrics").json()
    assert {"zscore", "spread", "price", "volume_spike_x", "half_life", "pvalue", "feed_age"} <= set(names["pair"])
    assert {"price", "volume", "volume_spike", "rsi", "coverage", "feed_age"} <= set(names["symbol"])


def test_channels_and_messages_are_told_without_secrets(tmp_path):
    with receiver(404) as opened:
        options = {"channels": {"ops": opened.url}, "notify_private": True, "notify_simulated": True}
        engine = ScriptedEngine(settings(tmp_path, **options))
        engine.start()
        engines.install(engine)
        print_pair(engine, 100)
        api = TestClient(build_api())
        made(api, metric="coverage", condition=">", threshold=0.1)
        (dead,) = until(lambda: api.get("/v1/alerts/outbox?status=dead").json(), len)
        assert (dead["channel"], dead["detail"], dead["attempts"]) == ("ops", "HTTP 404", 1)
        (channel,) = api.get("/v1/alerts/channels").json()
        assert (channel["state"], channel["dead"], channel["target"]) == ("failing", 1, "json://***")
        assert api.post("/v1/alerts/channels/ops/test").json() == {"result": "ok"}
        assert api.post("/v1/alerts/channels/ops/test").status_code == 422
        assert api.post("/v1/alerts/channels/none/test").status_code == 404
        assert api.post(f"/v1/alerts/outbox/{dead['number']}/retry").status_code == 202
        until(lambda: api.get("/v1/alerts/outbox?status=sent").json(), len)
        assert api.post(f"/v1/alerts/outbox/{dead['number']}/retry").status_code == 404
        said = "".join(api.get(f"/v1/alerts{path}").text for path in ("", "/channels", "/outbox", "/history"))
        assert "s3cr3t" not in said + str(engine.settings.shown()) + repr(engine.settings)
        assert engine.settings.shown()["channels"] == "ops"
        assert api.post("/v1/alerts", json={"expression": "zscore > 1", "channels": ["mail"]}).status_code == 422
        engine.stop()


BAD_RULES = [
    {"condition": ">", "threshold": 2},
    {"metric": "colour", "condition": ">", "threshold": 2},
    {"metric": "zscore", "condition": "=", "threshold": 2},
    {"metric": "zscore", "condition": ">", "threshold": "two"},
    {"metric": "zscore", "condition": ">", "threshold": 2, "state": "FIRING"},
    {"metric": "zscore", "condition": ">", "threshold": 2, "version": 7},
    {"expression": "zscore >"},
    {"metric": "price", "condition": ">", "threshold": 2, "symbol": "BTCUSDT", "timeframe": "tick"},
    {"metric": "zscore", "condition": ">", "threshold": 2, "timeframe": "1y"},
    {"metric": "zscore", "condition": ">", "threshold": 2, "symbol_y": "<script>"},
]


@pytest.mark.parametrize("body", BAD_RULES)
def test_a_rule_that_cannot_be_is_not_made(api, body):
    answer = api.post("/v1/alerts", json=body)
    assert answer.status_code == 422
    assert answer.json()["error"]["code"] == "invalid_input"
    assert api.get("/v1/alerts").json() == []


def test_history_tells_what_a_rule_did(api, engine):
    api.post("/v1/alerts", json={"metric": "coverage", "condition": ">", "threshold": 0.1})
    (row,) = until(lambda: api.get("/v1/alerts/history").json(), len)
    assert row["state"] == "firing" and row["metric"] == "coverage"
    assert {"event_id", "rule_id", "at_us", "value"} <= set(row)


def test_with_a_token_every_call_needs_it(engine):
    api = TestClient(build_api(TOKEN))
    for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": TOKEN}):
        answer = api.get("/v1/", headers=headers)
        assert answer.status_code == 401
        assert answer.json()["error"]["code"] == "unauthorised"
    assert api.get("/v1/", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200


def test_the_description_lists_every_route(api):
    paths = api.get("/openapi.json").json()["paths"]
    assert {"/v1/", "/v1/ticks/{symbol}", "/v1/bars/{symbol}/{timeframe}", "/v1/gaps", "/v1/alerts"} <= set(paths)
    assert "swagger" in api.get("/docs").text.lower()


def test_the_tape_of_a_symbol(api, engine):
    body = api.get("/v1/microstructure/btcusdt").json()
    found = engine.tape("BTCUSDT")
    assert body["reading"]["taker_buy"] == found.flow.buy_qty and body["flow"]["sell_qty"] == found.flow.sell_qty
    assert body["normal"]["trades_per_s"] is None and "normal" in body["missing"]
    assert body["signature"]["width_s"] == found.signature.width_s.tolist()
    assert body["quotes"] is None
    assert api.get("/v1/microstructure/XRPUSDT").status_code == 404
    engine.session.quotes.offer(Quotes.of("BTCUSDT", [1], [engine.now_us()], [100.0], [1.0], [100.5], [3.0]))
    quotes = api.get("/v1/microstructure/BTCUSDT").json()["quotes"]
    assert (quotes["bid"], quotes["reading"]["microprice"]) == (100.0, 100.125)


def test_the_signal_of_a_pair_with_its_terms_and_reasons(api, engine):
    body = api.get("/v1/signals/BTCUSDT/ETHUSDT/1s?window=20&entry_z=1.5&stop_z=3").json()
    rule = SignalParams.around(1.5, config.EXIT_Z, 3.0)
    params = PairParams(window=20, fee_bps=config.FEE_BPS, **config.ANALYSIS)
    found = engine.signal("ETHUSDT", "BTCUSDT", "1s", params, rule)
    assert [term["name"] for term in body["opportunity"]["terms"]] == ["zscore", "volatility", "momentum", "liquidity"]
    assert [reason["code"] for reason in body["opportunity"]["reasons"]] == [reason.code for reason in found.reasons]
    assert (body["entry"], body["zscore"]) == (found.entry, found.zscore)
    wrong = api.get("/v1/signals/BTCUSDT/ETHUSDT/1s?entry_z=3&stop_z=2").json()["error"]
    assert wrong["code"] == "invalid_input" and wrong["details"]["field"] == "stop_z"
