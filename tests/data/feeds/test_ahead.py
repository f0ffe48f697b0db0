"""Items made ahead: the same ones, with their errors, and no thread is left."""

import threading

import pytest

from data.feeds.ahead import ahead


def no_thread_left() -> bool:
    return not any(thread.name == "read-ahead" for thread in threading.enumerate())


@pytest.mark.parametrize("count", [0, 1, 2, 50])
def test_the_same_items_come_in_the_same_order(count):
    assert list(ahead(iter(range(count)))) == list(range(count))
    assert no_thread_left()


def test_an_error_comes_where_the_items_are_used():
    def items():
        yield 1
        raise ValueError("broken")

    made = ahead(items())
    assert next(made) == 1
    with pytest.raises(ValueError, match="broken"):
        next(made)
    assert no_thread_left()


def test_closing_it_early_ends_the_thread():
    made = ahead(iter(range(1_000_000)))
    assert next(made) == 0
    made.close()
    assert no_thread_left()
