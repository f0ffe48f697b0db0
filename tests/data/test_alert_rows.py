"""Alert rules, states, history and messages in the file."""

import json
import sqlite3
from contextlib import closing

import numpy as np
import pytest

from analytics.resampling import bars
from data import alert_rows, sqlite
from data.storage import Mirror
from data.trades import Trades

AT_US = 1_700_000_000_000_000
EVENT = {
    "event_id": "e1",
    "rule_id": "r1",
    "name": "wide",
    "metric": "zscore",
    "state": "firing",
    "severity": "warning",
    "venue": "v",
    "symbol_y": "ETHUSDT",
    "symbol_x": "BTCUSDT",
    "timeframe": "1s",
    "at_us": AT_US,
    "value": 2.5,
    "threshold": 2.0,
    "text": "wide: firing",
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tape.db"


@pytest.fixture
def writer(path):
    with closing(sqlite.open_writer(path)) as connection:
        yield connection


def message(key, channel="ops", **more):
    return {"key": key, "channel": channel, "event_id": "e1", "attempts": 0, "queued_us": AT_US, "title": "t"} | more


def test_a_state_is_kept_for_each_market_replaced_and_forgotten(path, writer):
    for rule_id, venue, body in (("r", "v", {"n": 1}), ("r", "w", {"n": 2}), ("r", "v", {"n": 3}), ("r", "w", None)):
        alert_rows.put_state(writer, rule_id, venue, body)
    assert alert_rows.read_states(path) == [("r", "v", {"n": 3})]
    alert_rows.put_rule(writer, {"rule_id": "r"})
    alert_rows.drop_rule(writer, "r")
    assert alert_rows.read_states(path) == []


def test_an_alert_is_told_whole_and_lists_leave_its_context_out(path, writer):
    context = {"followed": {"mean": 1.0}, "scope": ["Y", "X", "1s", False]}
    alert_rows.put_event(writer, EVENT | {"context": context, "rule_version": 3, "silenced": True})
    alert_rows.put_event(writer, EVENT | {"state": "resolved", "value": None, "at_us": AT_US + 5_000_000})
    assert alert_rows.read_followed(path, "v") == [{"event_id": "e1", "context": context}]
    assert alert_rows.read_followed(path, "w") == []
    alert_rows.put_outcome(writer, "e1", {"reverted": True, "half_lives": 1.5, "worst_z": 0.5})
    assert alert_rows.read_followed(path, "v") == []
    first, last = alert_rows.read_event(path, "e1")
    assert (first["context"], first["rule_version"], first["silenced"]) == (context, 3, True)
    assert (first["outcome"]["reverted"], last["outcome"], last["value"], last["silenced"]) == (True, None, None, False)
    assert alert_rows.read_event(path, "none") == []
    assert ["context" in row for row in alert_rows.read_alert_history(path, 9)] == [False, False]


def test_statistics_count_firings_and_what_came_of_them(path, writer, monkeypatch):
    for number, (severity, seconds, reverted) in enumerate(
        [("warning", 10, 1), ("warning", 30, 0), ("critical", None, None)]
    ):
        row = EVENT | {"event_id": f"e{number}", "severity": severity, "at_us": AT_US + number}
        alert_rows.put_event(writer, row)
        if seconds is not None:
            alert_rows.put_event(writer, row | {"state": "resolved", "at_us": AT_US + number + seconds * 1_000_000})
            alert_rows.put_outcome(writer, f"e{number}", {"reverted": reverted, "half_lives": seconds, "worst_z": 1.0})
    warning, critical = alert_rows.read_statistics(path)
    assert (warning["firings"], warning["mean_s"], warning["outcomes"], warning["reverted"]) == (2, 20.0, 2, 1)
    assert (warning["mean_half_lives"], warning["worst_z"], warning["last_us"]) == (20.0, 1.0, AT_US + 1)
    assert (critical["severity"], critical["firings"], critical["mean_s"]) == ("critical", 1, None)
    monkeypatch.setattr(alert_rows, "COUNTED", 2)
    assert [(row["severity"], row["firings"]) for row in alert_rows.read_statistics(path)] == [("critical", 1)]


def test_a_message_is_queued_once_marked_and_found_by_its_status(path, writer):
    for key in ("a", "b", "a"):
        alert_rows.put_message(writer, message(key))
    alert_rows.put_message(writer, message("a", "mail"))
    assert [(row["channel"], row["key"]) for row in alert_rows.read_waiting(path)] == [
        ("ops", "a"),
        ("ops", "b"),
        ("mail", "a"),
    ]
    alert_rows.mark_message(writer, message("a", attempts=2), "dead", "HTTP 404", AT_US + 9)
    (dead,) = alert_rows.read_outbox(path, "dead", 10)
    assert (dead["detail"], dead["attempts"], dead["changed_us"], dead["title"]) == ("HTTP 404", 2, AT_US + 9, "t")
    assert alert_rows.read_message(path, dead["number"]) == dead
    assert alert_rows.read_message(path, 99) is None
    assert [row["key"] for row in alert_rows.read_outbox(path, None, 10)] == ["a", "b", "a"]
    assert len(alert_rows.read_outbox(path, None, 1)) == 1
    assert len(alert_rows.read_waiting(path)) == 2


def test_of_messages_that_are_done_the_newest_are_kept(path, writer, monkeypatch):
    monkeypatch.setattr(alert_rows, "OUTBOX_KEPT", 3)
    for number in range(6):
        alert_rows.put_message(writer, message(str(number)))
    for number in (0, 1, 3, 5):
        alert_rows.mark_message(writer, message(str(number)), "sent" if number else "dead", "", AT_US)
    left = [(row["key"], row["status"]) for row in alert_rows.read_outbox(path, None, 10)]
    assert left == [("5", "sent"), ("4", "waiting"), ("3", "sent"), ("2", "waiting"), ("0", "dead")]


def test_what_is_written_together_is_there_together_once_it_is_said_to_be(path):
    mirror = Mirror(path, "v", "s", flush_s=60)
    mirror.start()

    def write(connection):
        alert_rows.put_event(connection, EVENT)
        alert_rows.put_message(connection, message("a"))
        alert_rows.put_state(connection, "r1", "v", {"state": "FIRING"})

    assert mirror.write(write).wait(10)
    with closing(sqlite3.connect(path)) as other:
        counts = [other.execute(f"select count(*) from {t}").fetchone() for t in ("alert_event", "alert_outbox")]
        (body,) = other.execute("select body from alert_state").fetchone()
    assert counts == [(1,), (1,)] and json.loads(body) == {"state": "FIRING"}
    mirror.stop()


def test_stored_bars_come_back_up_to_a_hole(path, writer):
    n = 60
    tape = Trades.of("T", np.arange(n), AT_US + 1_000_000 * np.arange(n), np.linspace(1, 2, n), np.ones(n), np.zeros(n))
    frame = bars(tape, "1s")
    sqlite.put_bars(writer, "v", "T", "1s", frame.drop(frame.index[20]))
    found = sqlite.read_bars(path, "v", "T", "1s", AT_US + 50 * 1_000_000, 100)
    np.testing.assert_array_equal(found.ts_us, frame.index.asi8[21:50])
    np.testing.assert_array_equal(found.close, frame["close"][21:50])
    assert found.trades.dtype == np.int64 and found.complete.dtype == bool
    assert len(sqlite.read_bars(path, "v", "T", "1s", AT_US + 50 * 1_000_000, 5)) == 5
    assert len(sqlite.read_bars(path, "v", "T", "1s", AT_US + 21 * 1_000_000, 5)) == 0
    assert len(sqlite.read_bars(path, "v", "NONE", "1s", AT_US, 5)) == 0
