"""Messages on their way: a thread a channel, sent after they are in the file, noted before the next."""

import itertools
import threading
import time
from contextlib import contextmanager
from dataclasses import replace

import pytest

from alerts import addresses, channels, notify
from alerts.alert_engine import AlertEngine
from alerts.channels import Channel
from alerts.notify import Heartbeat, Notifier
from tests.alerts.memory import BODY, T0, Clock, MemoryStore, S
from tests.fakes.receiver import HANG, Reply, receiver
from tests.waiting import until
from utils.errors import InputError, NotFound


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(channels, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(notify, "COMMIT_S", 0.3)


@contextmanager
def running(store: MemoryStore, clock: Clock | None = None, simulated: bool = False, **opened):
    """An alert engine and its notifier, to these receivers."""
    ready = {name: Channel(name, one.url, private=True) for name, one in opened.items()}
    notifier = Notifier(ready, store, simulated=simulated, clock=clock)
    notifier.start()
    alerts = AlertEngine(store, notifier, clock=clock)
    alerts.load()
    alerts.take_up("binance-um", T0)
    try:
        yield alerts, notifier
    finally:
        notifier.stop()


def see(alerts: AlertEngine, value: float, second: int = 0, venue: str = "binance-um"):
    return alerts.evaluate(lambda scope: {"zscore": value}, T0 + second * S, venue)


def messages(opened, count: int) -> list[str]:
    return [one.message.splitlines()[0] for one in opened.wait(count)]


def settled(notifier: Notifier) -> dict:
    """Once nothing waits: counts by channel."""
    rows = until(notifier.status, lambda rows: not any(row.waiting for row in rows))
    return {row.name: row for row in rows}


def test_a_firing_and_its_end_are_told_once_each_with_one_event_id():
    store = MemoryStore()
    with receiver() as opened, running(store, ops=opened) as (alerts, notifier):
        alerts.add(BODY)
        (fired,) = see(alerts, 2.5)
        see(alerts, 2.6, 1)
        see(alerts, 0.0, 2)
        first, last = opened.wait(2)
        assert settled(notifier)["ops"].sent == 2
    assert "firing at +2.5" in first.message and "resolved at +0" in last.message
    assert [f"event {fired.event_id}" in one.message for one in (first, last)] == [True, True]
    assert "2023-11-14T22:13:20Z" in first.message
    assert (first.key, last.key) == (f"{fired.event_id}.firing.{T0}", f"{fired.event_id}.resolved.{T0 + 2 * S}")
    assert [mark.status for mark in store.marks] == ["sent", "sent"]


def test_a_message_is_sent_after_a_row_of_failures():
    """D9."""
    with receiver(500, 500, 500, 500) as opened, running(MemoryStore(), ops=opened) as (alerts, notifier):
        alerts.add(BODY)
        see(alerts, 2.5)
        ledger = opened.wait(5)
        row = settled(notifier)["ops"]
    assert (row.sent, row.failed, row.dead, row.state) == (1, 4, 0, "ok")
    assert len({one.key for one in ledger}) == 1
    gaps = [b.at_s - a.at_s for a, b in itertools.pairwise(ledger)]
    assert gaps[3] > gaps[0] > 0.009


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
def test_a_refusal_is_a_dead_letter_that_is_shown_and_can_be_sent_again(status):
    """D11."""
    store = MemoryStore()
    with receiver(status) as opened, running(store, ops=opened) as (alerts, notifier):
        alerts.add(BODY)
        see(alerts, 2.5)
        row = until(lambda: notifier.status()[0], lambda row: row.dead)
        assert (row.state, row.last_error, row.waiting, len(opened.ledger)) == ("failing", f"HTTP {status}", 0, 1)
        (mark,) = store.marks
        assert (mark.status, mark.detail) == ("dead", f"HTTP {status}")
        notifier.retry(mark.message)
        assert messages(opened, 2)[0] == messages(opened, 2)[1]
        assert settled(notifier)["ops"].state == "dead letters"


def test_a_slow_channel_delays_no_other(monkeypatch):
    """D12."""
    monkeypatch.setattr(addresses, "TIMEOUT_S", 5.0)
    with (
        receiver(otherwise=HANG) as slow,
        receiver() as quick,
        running(MemoryStore(), slow=slow, quick=quick) as (alerts, notifier),
    ):
        alerts.add(BODY)
        began_s = time.monotonic()
        for second in range(6):
            see(alerts, 2.5 * (second % 2), second)
        quick.wait(5)
        assert time.monotonic() - began_s < 4.0
        assert until(notifier.status, len)[0].waiting == 5
        slow.released.set()


def test_nothing_is_sent_before_it_is_in_the_file():
    store = MemoryStore()
    store.commits = False
    with receiver() as opened, running(store, ops=opened) as (alerts, _):
        alerts.add(BODY)
        began_s = time.monotonic()
        see(alerts, 2.5)
        opened.wait(1)
        assert time.monotonic() - began_s >= 0.3  # a file that does not answer is not waited for, for ever


def test_what_was_left_is_sent_after_a_restart_and_what_was_sent_is_not():
    """D2."""
    store = MemoryStore()
    with receiver(otherwise=HANG) as dead, running(store, ops=dead) as (alerts, _):
        alerts.add(BODY)
        see(alerts, 2.5)
        dead.wait(1)
        dead.released.set()
    assert [mark.status for mark in store.marks if mark.status != "waiting"] == []
    with receiver() as opened, running(store, ops=opened) as (_, notifier):
        (one,) = opened.wait(1)
        assert "2023-11-14T22:13:20Z" in one.message
        settled(notifier)
    assert store.waiting() == []
    with receiver() as opened, running(store, ops=opened) as (_, notifier):
        settled(notifier)
        assert opened.ledger == []


def test_a_worker_notes_that_a_message_is_sent_before_it_sends_the_next():
    """At most one message a channel is repeated after a crash."""
    store, noted = MemoryStore(), threading.Event()
    order: list[str] = []

    class Slow(MemoryStore):
        def mark(self, marks):
            order.append("noted")
            done = threading.Event()
            threading.Timer(0.05, lambda: (noted.set(), done.set())).start()
            return done

    store = Slow()
    with receiver() as opened, running(store, ops=opened) as (alerts, _):
        alerts.add(BODY)
        see(alerts, 2.5)
        see(alerts, 0.0, 1)
        opened.wait(1)
        opened.wait(2)
        assert noted.is_set()


def test_a_deleted_rule_sends_nothing_more():
    """D19."""
    store = MemoryStore()
    with receiver(Reply(503, {"Retry-After": "60"})) as opened, running(store, ops=opened) as (alerts, notifier):
        rule, other = alerts.add(BODY), alerts.add(BODY | {"threshold": 2.1})
        see(alerts, 2.5)
        until(lambda: notifier.status()[0].failed, bool)
        alerts.remove(rule.rule_id)
        assert [(m.status, m.detail) for m in store.marks if m.status == "dropped"] == [
            ("dropped", "its rule was deleted")
        ]
        assert {message.rule_id for message in store.waiting()} == {other.rule_id}


def test_repeats_are_told_as_often_as_they_were_asked_for():
    """D17."""
    with receiver() as opened, running(MemoryStore(), ops=opened) as (alerts, notifier):
        alerts.add(BODY | {"repeat_s": 600})
        for second in range(0, 3_601, 10):
            see(alerts, 2.5, second)
            settled(notifier)
        see(alerts, 0.0, 3_610)
        words = [text.rpartition(":")[2].split(" at ")[0].strip() for text in messages(opened, 8)]
    assert words == ["firing", *["still firing"] * 6, "resolved"]


def test_a_silenced_rule_sends_one_word_at_the_end():
    """D16."""
    clock = Clock()
    with receiver() as opened, running(MemoryStore(), clock, ops=opened) as (alerts, notifier):
        rule = alerts.add(BODY)
        alerts.silence(rule.rule_id, 10)
        for second in range(10):
            clock.second = second
            see(alerts, 2.5 * (second % 2), second)
        assert settled(notifier)["ops"].sent == 0
        clock.second = 10.0
        see(alerts, 2.5, 10)
        assert "the silence has ended, 9 messages were kept back" in messages(opened, 1)[0]


def test_no_data_is_told_once():
    """D6."""
    with receiver() as opened, running(MemoryStore(), ops=opened) as (alerts, notifier):
        alerts.add(BODY | {"nodata_s": 10})
        see(alerts, 2.5)
        for second in range(1, 300):
            alerts.evaluate(lambda scope: {}, T0 + second * S, "binance-um")
        see(alerts, 2.5, 300)
        see(alerts, 0.0, 301)
        assert [text.split(": ")[1].split(" at")[0] for text in messages(opened, 3)] == ["firing", "nodata", "resolved"]
        assert settled(notifier)["ops"].sent == 3


@pytest.mark.parametrize("venue, simulated, count", [("demo", False, 0), ("replay", False, 0), ("demo", True, 1)])
def test_demo_and_replay_are_silent_if_not_asked_to_speak(venue, simulated, count):
    store = MemoryStore()
    with receiver() as opened, running(store, simulated=simulated, ops=opened) as (alerts, notifier):
        alerts.take_up(venue, T0)
        alerts.add(BODY)
        assert len(see(alerts, 2.5, venue=venue)) == 1
        assert len(store.messages) == count
        assert settled(notifier)["ops"].sent == count
        if count:
            assert opened.wait(1)[0].message.startswith("DEMO: these are not prices of a live market.")


def test_a_rule_names_its_channels_or_means_all():
    with receiver() as a, receiver() as b, running(MemoryStore(), a=a, b=b) as (alerts, notifier):
        alerts.add(BODY | {"channels": ["b"]})
        see(alerts, 2.5)
        alerts.add(BODY | {"channels": ["screen"], "threshold": 2.1})
        see(alerts, 2.5, 1)
        b.wait(1)
        settled(notifier)
        assert (len(a.ledger), len(b.ledger)) == (0, 1)
        with pytest.raises(InputError, match="channel 'c' is not configured; there are a, b, screen"):
            alerts.add(BODY | {"channels": ["c"]})


def test_a_test_says_ok_or_failed_and_no_more(monkeypatch, unused_port):
    """S10."""
    monkeypatch.setattr(notify, "TEST_EVERY_S", 0.0)
    with receiver(200, 500) as opened, running(MemoryStore(), ops=opened) as (alerts, notifier):
        assert [notifier.test("ops"), notifier.test("ops")] == ["ok", "failed"]
        rule = alerts.add(BODY | {"name": "wide"})
        assert notifier.test_rule(rule) == {"ops": "ok"}
        assert [one.json["title"] for one in opened.ledger] == ["Pairscope: test"] * 2 + ["Pairscope: test of wide"]
        with pytest.raises(NotFound):
            notifier.test("none")
    with receiver() as opened:
        answers = []
        for port in (opened.port, unused_port):
            guarded = {"ops": Channel("ops", f"json://127.0.0.1:{port}/")}
            asked = Notifier(guarded, MemoryStore())
            asked.start()
            answers.append(asked.test("ops"))
            asked.stop()
        assert answers == ["failed", "failed"] and opened.ledger == []


def test_a_channel_is_tested_now_and_then_only():
    with receiver() as opened, running(MemoryStore(), ops=opened) as (_, notifier):
        assert notifier.test("ops") == "ok"
        with pytest.raises(InputError, match="at most every 10 s"):
            notifier.test("ops")


def test_a_network_that_is_gone_leaves_the_history_and_says_since_when(unused_port):
    """D23."""
    store = MemoryStore()
    gone = {"ops": Channel("ops", f"json://127.0.0.1:{unused_port}/", private=True)}
    notifier = Notifier(gone, store)
    notifier.start()
    alerts = AlertEngine(store, notifier)
    alerts.add(BODY)
    see(alerts, 2.5)
    row = until(lambda: notifier.status()[0], lambda row: row.failed)
    notifier.stop()
    assert (row.state, row.last_sent_us, row.waiting) == ("failing", None, 1)
    assert row.failing_since_us is not None and row.next_try_in_s is not None
    assert [event["state"] for event in store.events] == ["firing"]


def test_the_heartbeat_beats_while_all_is_well():
    """D23."""
    well = [True, True, False]
    with receiver(200, 500) as opened:
        beat = Heartbeat(f"{opened.http}/ping", 0.01, lambda: well.pop(0) if well else False, private=True)
        beat.start()
        until(lambda: well, lambda left: not left)
        beat.stop()
        assert [(one.method, one.path) for one in opened.ledger] == [("GET", "/ping")] * 2
    assert beat.last_ok_us is not None


def test_a_bug_of_a_service_does_not_end_its_thread(monkeypatch, caplog):
    with receiver() as opened, running(MemoryStore(), ops=opened) as (alerts, notifier):
        send, calls = Channel.send, []

        def buggy(self, *arguments):
            calls.append(1)
            if len(calls) == 1:
                raise RuntimeError("a bug")
            return send(self, *arguments)

        monkeypatch.setattr(Channel, "send", buggy)
        alerts.add(BODY)
        see(alerts, 2.5)
        opened.wait(1)
        row = settled(notifier)["ops"]
        assert (row.sent, row.failed) == (1, 1)
        assert notifier.dead() is None


def test_a_message_of_a_channel_that_is_not_configured_any_more_stays_in_the_file():
    store = MemoryStore()
    with receiver(otherwise=503) as opened, running(store, ops=opened) as (alerts, notifier):
        alerts.add(BODY)
        see(alerts, 2.5)
        until(lambda: notifier.status()[0].failed, bool)
    store.messages = [replace(one, channel="old") for one in store.messages]
    with receiver() as opened, running(store, ops=opened) as (_, notifier):
        settled(notifier)
        assert opened.ledger == [] and len(store.waiting()) == 1
