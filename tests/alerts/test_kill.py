"""Killed while one rule fires and another is pending: nothing is lost, and nothing is told twice but one message."""

import json
import urllib.request
from collections import Counter

from tests.fakes.exchange import FakeExchange
from tests.fakes.receiver import HANG, receiver
from tests.running import Running, running
from tests.waiting import until

TRADED = {"metric": "trades_per_s", "symbol": "BTCUSDT", "timeframe": "1s", "condition": ">", "threshold": 0.5}
LONG_S = 60.0


def post(app: Running, path: str, body: dict) -> dict:
    request = urllib.request.Request(
        app.url + path, json.dumps(body).encode(), {"Content-Type": "application/json"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)


def states(app: Running) -> dict[str, str]:
    return {rule["name"]: rule["state"] for rule in app.get("/api/v1/alerts")}


def history(app: Running, rule_id: str) -> list[tuple[str, str]]:
    rows = app.get(f"/api/v1/alerts/history?rule_id={rule_id}")
    return [(row["state"], row["event_id"]) for row in rows if row["state"] != "missed"][::-1]


def test_a_kill_while_firing_and_pending_loses_nothing_and_repeats_one_message_at_most(tmp_path):
    """D1, D2, D3, D4."""
    with FakeExchange(rate=50) as exchange, receiver(HANG) as opened:
        options = {
            "source": "binance-um",
            "ws_url": exchange.ws_url,
            "rest_url": exchange.rest_url,
            "database": tmp_path / "tape.db",
            "channels": f"ops={opened.url}",
            "notify_private": 1,
            "log_level": "WARNING",
        }
        with running("--capture", log=tmp_path / "first.log", **options) as app:
            options_of = {"nodata_s": 600, "cooldown_s": 0, **TRADED}
            fires = post(app, "/api/v1/alerts", {**options_of, "name": "fires"})["id"]
            waits = post(app, "/api/v1/alerts", {**options_of, "name": "waits", "for_s": 8})["id"]
            opened.wait(1, LONG_S)  # the request is there, its answer is not: that it was sent is not in the file
            until(lambda: states(app), lambda found: found == {"fires": "FIRING", "waits": "PENDING"}, LONG_S)
            (before,) = app.get(f"/api/v1/alerts/history?rule_id={fires}")
            app.process.kill()
            app.process.wait()
        with running("--capture", log=tmp_path / "second.log", **options) as app:
            until(lambda: states(app)["waits"], lambda state: state == "FIRING", LONG_S)
            exchange.rate = 0
            until(lambda: set(states(app).values()), lambda found: found == {"OK"}, LONG_S)
            ledger = opened.wait(5, LONG_S)
            told = {rule_id: history(app, rule_id) for rule_id in (fires, waits)}
            until(lambda: app.get("/api/v1/alerts/outbox?status=waiting"), lambda rows: not rows)
        first = told[fires][0][1]
        assert first == before["event_id"]
        for rows in told.values():
            assert [state for state, _ in rows] == ["firing", "resolved"]
            assert len({event_id for _, event_id in rows}) == 1
        sent = Counter(one.key for one in ledger)
        assert len(sent) == 4 and sum(sent.values()) == 5
        assert sent[ledger[0].key] == 2 and ledger[0].key.startswith(f"{first}.firing.")
        assert "s3cr3t" not in (tmp_path / "first.log").read_text() + (tmp_path / "second.log").read_text()
