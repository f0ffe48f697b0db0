"""A result is computed once a version, and only the newest are kept."""

import pytest

from utils.remember import Memory


def test_a_result_is_computed_once_a_version():
    memory, calls = Memory(2), []

    def compute() -> int:
        calls.append(1)
        return len(calls)

    assert [memory.get("a", version, compute) for version in (1, 1, 2, 2, 1)] == [1, 1, 2, 2, 3]


def test_the_result_that_was_asked_for_longest_ago_is_forgotten_first():
    memory = Memory(2)
    for key in ("a", "b", "a", "c"):
        memory.get(key, 0, lambda: "first")
    assert memory.get("a", 0, lambda: "again") == "first"
    assert memory.get("b", 0, lambda: "again") == "again"


def test_an_error_is_not_remembered():
    memory = Memory(1)
    with pytest.raises(ZeroDivisionError):
        memory.get("a", 0, lambda: 1 / 0)
    assert memory.get("a", 0, lambda: "well") == "well"
