"""Looks into the file: kept for a moment, and coverage that expects no more than could be there."""

import numpy as np
import pytest

from data import inventory
from data.inventory import KEPT_S, SETTLED_US, Inventory
from tests.data.test_stored import MINUTE, START_US, tape, write
from utils.errors import StorageError


@pytest.fixture
def path(tmp_path):
    return write(tmp_path / "a.db", tape(range(600)), timeframes=("1m",))


def test_an_answer_is_kept_for_a_moment_and_longer_where_it_was_dear(path, monkeypatch):
    now, looks = [100.0], []
    monkeypatch.setattr(inventory, "monotonic_s", lambda: now[0])

    def look(*_):
        looks.append(now[0])
        now[0] += 2.0
        return ()

    monkeypatch.setattr(inventory, "read_trade_spans", look)
    held = Inventory(path)
    held.holdings()
    for moment in (103.0, 150.0, 201.9):  # 50 times two seconds after 102
        now[0] = moment
        held.holdings()
    assert looks == [100.0]
    now[0] = 202.1
    held.holdings()
    assert looks == [100.0, 202.1]
    assert KEPT_S < 100


def test_holdings_tell_the_oldest_trade_of_all(path):
    held = Inventory(path)
    assert held.oldest_us() == START_US
    assert [row.timeframe for row in held.holdings().bars] == ["1m"]


def test_a_file_that_cannot_be_read_is_an_error_and_asked_again(tmp_path):
    held = Inventory(tmp_path / "none.db")
    with pytest.raises(StorageError):
        held.holdings()
    write(tmp_path / "none.db", tape(range(3)))
    assert held.holdings().trades[0].rows == 3


def test_expected_are_the_closed_minutes_since_the_first_stored_one(path):
    now_us = START_US + 12 * MINUTE + SETTLED_US + 1
    found = Inventory(path).coverage("v", ["T", "NONE"], 16 * MINUTE, 2 * MINUTE, now_us)
    assert (found.cells, found.cell_us) == (8, 2 * MINUTE)
    assert found.first_us + 7 * 2 * MINUTE <= now_us < found.first_us + 8 * 2 * MINUTE
    row, nothing = found.symbols
    opens = found.first_us + 2 * MINUTE * np.arange(8)
    ends = np.minimum(opens + 2 * MINUTE, START_US + 12 * MINUTE)
    wanted = np.maximum(0, ends - np.maximum(opens, START_US)) // MINUTE
    assert row.expected.tolist() == wanted.tolist()
    assert row.stored.sum() == 10 and row.expected.sum() == 12
    assert row.share == row.complete.sum() / 12
    assert nothing.expected.sum() == 0 and np.isnan(nothing.share)


def test_a_minute_is_not_missed_before_it_had_time_to_be_written(path):
    held = Inventory(path)
    just = START_US + 11 * MINUTE + SETTLED_US - 1
    assert held.coverage("v", ["T"], 20 * MINUTE, MINUTE, just).symbols[0].expected.sum() == 10
    assert held.coverage("v", ["T"], 20 * MINUTE, MINUTE, just + 2).symbols[0].expected.sum() == 11
