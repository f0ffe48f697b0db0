"""How the parts of a market stand, as values: the lag where there is one, threads by state, and the disk."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from data import health
from data.feeds.feed import FeedState
from data.session import Session
from tests.fakes.feed import ScriptedFeed
from utils.clock import monotonic_s


@pytest.fixture
def session(tmp_path):
    market = Session(ScriptedFeed(), tmp_path / "tape.db", 1_000)
    market.start(("T",))
    yield market
    market.stop()


def test_a_symbol_tells_its_lag_but_not_of_a_recording(session):
    session.feed.print("T", [1.0, 2.0])
    found = health.symbols(session)["T"]
    assert found.held_in_memory == 2 and found.held_for_order == 0
    assert found.lag_s is not None
    session.feed.venue = "replay"
    assert health.symbols(session)["T"].lag_s is None


def test_a_connection_says_why_and_when(session):
    session.feed.state = FeedState("RECONNECTING", "no route", 3, monotonic_s() + 10)
    (found,) = health.connections(session, monotonic_s())
    assert (found.name, found.mode, found.reconnects, found.detail) == ("demo", "RECONNECTING", 3, "no route")
    assert 9 < found.retry_in_s <= 10


def test_the_thread_of_a_feed_runs_is_dead_or_has_ended(session):
    def state():
        return next(worker.state for worker in health.workers(session) if worker.name == "demo")

    assert state() == "dead"
    session.feed.state = replace(session.feed.state, mode="ENDED")
    assert state() == "ended"
    stop = threading.Event()
    thread = threading.Thread(target=stop.wait, name="demo")
    thread.start()
    try:
        assert state() == "running"
        assert "demo" not in health.other_threads(health.workers(session))
    finally:
        stop.set()
        thread.join()
    assert next(worker.state for worker in health.workers(session) if worker.name == "mirror") == "running"


def test_quotes_are_a_connection_and_a_thread_of_their_own(session):
    session.quote_feed = SimpleNamespace(state=FeedState("RECONNECTING", "refused", 1), thread_name="quotes-of-a-test")
    try:
        found = health.connections(session, monotonic_s())
        assert [(each.name, each.mode) for each in found] == [("demo", "LIVE"), ("best bid and ask", "RECONNECTING")]
        states = {worker.name: worker.state for worker in health.workers(session)}
        assert states["quotes-of-a-test"] == "dead"
    finally:
        session.quote_feed = None


def test_other_threads_are_counted_by_name_without_number():
    stop = threading.Event()
    threads = [threading.Thread(target=stop.wait, name=f"pool_{i}") for i in range(3)]
    threads.append(threading.Thread(target=stop.wait, name="Thread-12 (run)"))
    for thread in threads:
        thread.start()
    try:
        found = health.other_threads([])
        assert (found["pool"], found["Thread"], found["MainThread"]) == (3, 1, 1)
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_the_disk_tells_sizes_and_what_is_wrong(session, tmp_path):
    found = health.disk(tmp_path / "tape.db", session, (30.0, 0.0), None)
    assert found.file_bytes + found.log_bytes > 0
    assert found.free_bytes > 0 and found.error is None and found.retention_days == 30.0
    gone = health.disk(tmp_path / "nowhere" / "tape.db", session, (0.0, 0.0), None)
    assert (gone.file_bytes, gone.free_bytes) == (0, None)


def test_what_is_no_number_is_none_in_json():
    assert health.plain({"a": [np.nan, 1.0], "b": (float("inf"), {"c": -0.5})}) == {
        "a": [None, 1.0],
        "b": [None, {"c": -0.5}],
    }
