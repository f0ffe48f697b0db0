"""A value computed when it is first read."""

import threading

import pytest

from utils.later import Later


def test_nothing_is_computed_before_it_is_read_and_only_once_then():
    calls = []
    value = Later(lambda: calls.append(1) or len(calls))
    assert calls == []
    assert (value(), value()) == (1, 1)


def test_threads_that_ask_at_once_share_one_computation():
    started, go, calls, seen = threading.Event(), threading.Event(), [], []

    def compute() -> int:
        calls.append(1)
        started.set()
        assert go.wait(5)
        return 7

    value = Later(compute)
    threads = [threading.Thread(target=lambda: seen.append(value())) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert started.wait(5)
    go.set()
    for thread in threads:
        thread.join(5)
    assert (calls, seen) == ([1], [7] * 4)


def test_an_error_is_told_to_every_reader():
    value = Later(lambda: 1 // 0)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            value()
