"""What waits for a channel: order, attempts, digests, bounds; the time is the test's."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from alerts import outbox
from alerts.alert_engine import Message
from alerts.channels import Sent
from alerts.outbox import DIGEST_FROM, GIVE_UP_S, MAX_WAITING, Queue
from tests.alerts.memory import T0, S

DOWN = Sent(False, detail="HTTP 500")
OK = Sent(True)


@pytest.fixture(autouse=True)
def no_chance(monkeypatch):
    monkeypatch.setattr(outbox, "pause_s", lambda attempts, asked=0.0: max(min(2.0 ** (attempts - 1), 300), asked))


def message(n: int, second: float = 0.0, event: str = "", state: str = "firing", rule: str = "r1") -> Message:
    at_us = T0 + round(second * S)
    event = event or f"e{n}"
    return Message(
        f"{event}.{state}.{n}", "ops", event, rule, state, "warning", at_us, at_us, f"title {n}", f"body {n}"
    )


def filled(*messages: Message) -> Queue:
    queue = Queue()
    for one in messages:
        assert queue.put(one) == []
    return queue


def attempt(queue: Queue, sent: Sent, second: float) -> tuple[str, list[tuple[str, int]]]:
    """One attempt at a time: what was sent, and the marks with the attempts made."""
    delivery = queue.due(T0 + round(second * S))
    assert delivery is not None
    marks = queue.done(delivery, sent, T0 + round(second * S))
    return delivery.title, [(mark.status, mark.message.attempts) for mark in marks]


def test_messages_leave_in_order_and_once():
    queue = filled(message(1), message(2))
    assert queue.put(message(2)) == []  # the same key
    assert attempt(queue, OK, 0) == ("title 1", [("sent", 1)])
    assert attempt(queue, OK, 0) == ("title 2", [("sent", 1)])
    assert queue.due(T0) is None and queue.wait_s(T0) is None


def test_a_failure_is_repeated_after_pauses_that_double_and_then_sent_once():
    """D9."""
    queue, second, pauses = filled(message(1)), 0.0, []
    for n in range(1, 5):
        assert attempt(queue, DOWN, second) == ("title 1", [("waiting", n)])
        pause = queue.wait_s(T0 + round(second * S))
        assert queue.due(T0 + round((second + pause - 0.01) * S)) is None
        pauses.append(pause)
        second += pause
    assert pauses == [1, 2, 4, 8]
    assert attempt(queue, OK, second) == ("title 1", [("sent", 5)])
    assert len(queue) == 0


def test_the_pause_that_a_service_asks_for_is_kept():
    """D10."""
    queue = filled(message(1))
    attempt(queue, Sent(False, after_s=5.0), 0)
    assert queue.wait_s(T0) == 5.0
    assert queue.due(T0 + 5 * S - 1) is None
    assert attempt(queue, OK, 5)[1] == [("sent", 2)]


def test_a_refusal_is_a_dead_letter_after_one_attempt_and_holds_nothing_up():
    """D11."""
    queue = filled(message(1), message(2))
    assert attempt(queue, Sent(False, again=False, detail="HTTP 404"), 0) == ("title 1", [("dead", 1)])
    assert attempt(queue, OK, 0)[0] == "title 2"


def test_the_end_of_an_alert_waits_for_its_beginning():
    """D15."""
    queue = filled(message(1, event="e"), message(2, event="e", state="resolved"))
    sent = []
    for second, answer in ((0, DOWN), (1, OK), (1, OK)):
        sent.append(attempt(queue, answer, second)[0])
    assert sent == ["title 1", "title 1", "title 2"]


def test_what_waited_for_an_hour_goes_as_one_digest_newest_first():
    """D13."""
    queue, second = Queue(), 0.0
    for n in range(500):
        second = n * 7.2
        queue.put(message(n, second))
        if queue.due(T0 + round(second * S)):
            attempt(queue, DOWN, second)
    delivery = queue.due(T0 + 3_900 * S)
    assert delivery.title == "500 alerts waited for up to 3,900 s"
    lines = delivery.body.splitlines()
    assert [line.split()[-1] for line in lines[:3]] == ["499", "498", "497"]
    assert lines[-1] == "... and 480 more: see the history"
    assert lines[0].startswith("2023-11-14T23:13")  # the time of the event
    marks = queue.done(delivery, OK, T0 + 3_900 * S)
    assert {mark.status for mark in marks} == {"digest"} and len(marks) == 500
    assert len(queue) == 0


def test_one_old_message_is_said_to_be_late():
    queue = filled(message(1))
    assert queue.due(T0 + 601 * S).title == "Late: title 1"
    assert queue.due(T0 + 600 * S).title == "title 1"


def test_the_digest_has_the_worst_severity():
    ones = [replace(message(n), severity=severity) for n, severity in enumerate(["info", "critical", "warning"] * 4)]
    assert len(ones) >= DIGEST_FROM
    assert filled(*ones).due(T0).severity == "critical"


def test_the_queue_is_bounded_and_says_what_it_drops():
    queue = filled(*(message(n) for n in range(MAX_WAITING)))
    (mark,) = queue.put(message(MAX_WAITING))
    assert (mark.status, mark.message.title, mark.detail) == ("dropped", "title 0", "more than 1000 waited")
    assert len(queue) == MAX_WAITING


def test_what_is_left_of_a_deleted_rule_is_dropped():
    """D19."""
    queue = filled(message(1), message(2, rule="r2"), message(3))
    delivery = queue.due(T0)
    marks = queue.forget("r1")
    assert [(mark.status, mark.message.title) for mark in marks] == [("dropped", "title 1"), ("dropped", "title 3")]
    assert [mark.status for mark in queue.done(delivery, DOWN, T0)] == ["waiting"]  # it was on its way
    assert len(queue) == 1


def test_after_a_day_a_message_is_given_up():
    queue = filled(message(1))
    assert attempt(queue, DOWN, GIVE_UP_S)[1] == [("waiting", 1)]
    status, detail = next((mark.status, mark.detail) for mark in _late(queue))
    assert (status, detail) == ("dead", "given up after 2 attempts: HTTP 500")


def _late(queue: Queue):
    now_us = T0 + round((GIVE_UP_S + 400) * S)
    return queue.done(queue.due(now_us), DOWN, now_us)


def test_a_retry_can_be_asked_for():
    queue = filled(message(1))
    attempt(queue, DOWN, 0)
    queue.retry_now()
    assert queue.due(T0) is not None


@settings(max_examples=60)
@given(st.lists(st.sampled_from(["put", "ok", "down", "refused", "forget"]), max_size=60))
def test_every_message_ends_once_whatever_happens(steps):
    queue, put, ended, second = Queue(), 0, [], 0
    answers = {"ok": OK, "down": DOWN, "refused": Sent(False, again=False)}
    for step in [*steps, *["ok"] * (len(steps) + 1)]:
        second += 1_000
        if step == "put":
            put += 1
            queue.put(message(put, second, rule=f"r{put % 2}"))
        elif step == "forget":
            ended += queue.forget("r1")
        elif (delivery := queue.due(T0 + second * S)) is not None:
            ended += [mark for mark in queue.done(delivery, answers[step], T0 + second * S) if mark.status != "waiting"]
    assert sorted(mark.message.title for mark in ended) == sorted(f"title {n}" for n in range(1, put + 1))
