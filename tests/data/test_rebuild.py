"""Bars beyond memory after a repair: what the file says is what a batch over all trades says."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics.resampling import bars
from data import rebuild as rebuild_module
from data import session as session_module
from data.resampler import Resampler
from tests.data.test_session import MINUTE, NUMBERS, START, feed, give_up, minutes, opened, stored, tape
from tests.waiting import until


@pytest.fixture(params=[5_000, 7])
def neighbours(request, monkeypatch):
    monkeypatch.setattr(rebuild_module, "NEIGHBOURS", request.param)


def first_run(folder, *missing):
    """Ids 0 to 599, ten minutes, without the missing ones; the bars of 1m and 10s are in the file."""
    with opened(folder, "binance-um") as market:
        market.resampler("T", "10s")
        for ids in (range(0, missing[0][0]), *(range(a, b) for a, b in _between(missing)), range(missing[-1][1], 600)):
            feed(market, tape(ids))
        give_up(market)


def _between(missing):
    return [(end, start) for (_, end), (start, _) in pairwise(missing)]


def later_run(folder, monkeypatch, repaired, resumed=100):
    """A run whose memory begins after the gap; the repair comes, and its trades are on disk."""
    monkeypatch.setattr(session_module, "RESUME_TRADES", resumed)
    with opened(folder, "binance-um") as market:
        feed(market, tape(range(600, 640)))
        for ids in repaired:
            feed(market, tape(ids))
        market.housekeep()
        until(lambda: market.mirror.waiting, lambda rows: rows == 0)
        market.housekeep()


def test_the_stored_bars_of_an_old_gap_are_amended_when_it_closes(tmp_path, monkeypatch, neighbours):
    first_run(tmp_path, (130, 190))
    assert [whole for _, whole in minutes(stored(tmp_path))][:5] == [False, True, False, False, True]
    later_run(tmp_path, monkeypatch, [range(130, 190)])
    for timeframe in ("1m", "10s"):
        found, batch = stored(tmp_path, timeframe), bars(tape(range(640)), timeframe)
        batch = batch[batch.index.asi8 <= found.ts_us.max()]
        assert found.ts_us.tolist() == batch.index.asi8.tolist()
        np.testing.assert_allclose(found[NUMBERS], batch[NUMBERS])
        assert found.complete.astype(bool).tolist() == [False] + [True] * (len(found) - 1)


def test_bars_beside_a_gap_that_stays_open_stay_incomplete(tmp_path, monkeypatch, neighbours):
    first_run(tmp_path, (70, 75), (80, 90), (200, 230))
    later_run(tmp_path, monkeypatch, [range(70, 75), range(200, 230)])
    assert [whole for _, whole in minutes(stored(tmp_path))][:5] == [False, False, True, True, True]
    assert stored(tmp_path).trades.tolist()[:4] == [60, 50, 60, 60]
    tens = stored(tmp_path, "10s").complete.astype(bool).tolist()
    assert np.flatnonzero(np.logical_not(tens)).tolist() == [0, 7, 8, 9]


def test_a_part_of_a_gap_amends_what_it_can(tmp_path, monkeypatch):
    first_run(tmp_path, (70, 200))
    later_run(tmp_path, monkeypatch, [range(130, 200)])  # newest first, as the backfill goes
    assert [whole for _, whole in minutes(stored(tmp_path))][:5] == [False, False, False, True, True]
    assert stored(tmp_path).trades.tolist()[:4] == [60, 10, 50, 60]


def test_bars_that_the_file_never_had_are_not_invented(tmp_path, monkeypatch):
    with opened(tmp_path, "binance-um") as market:
        feed(market, tape(range(130)))
    later_run(tmp_path, monkeypatch, [range(130, 600)], resumed=10)
    times = (stored(tmp_path).ts_us - START) // MINUTE
    assert set(times) <= {0, 1, *range(10, 12)} | set(range(2, 10))
    assert stored(tmp_path, "10s").empty


@settings(max_examples=15)
@given(st.lists(st.integers(1, 598), min_size=2, max_size=8, unique=True).map(sorted), st.randoms())
def test_any_repair_leaves_the_bars_of_a_batch(tmp_path_factory, edges, order):
    folder = tmp_path_factory.mktemp("rebuild")
    missing = list(zip(edges[::2], edges[1::2], strict=False))
    with pytest.MonkeyPatch.context() as patch:
        first_run(folder, *missing)
        repaired = [range(a, b) for a, b in missing]
        order.shuffle(repaired)
        later_run(folder, patch, repaired, resumed=5)
    found, batch = stored(folder), bars(tape(range(640)), "1m")
    np.testing.assert_allclose(found[NUMBERS], batch[NUMBERS][: len(found)])
    assert found.complete.astype(bool).tolist() == [False] + [True] * (len(found) - 1)


def test_stored_bars_that_have_left_memory_in_the_same_run_are_amended_too(tmp_path, monkeypatch):
    monkeypatch.setattr(session_module, "Resampler", lambda *values, **more: Resampler(*values, **more, keep=5))
    with opened(tmp_path, "binance-um") as market:
        market.resampler("T", "10s")
        for ids in np.split(np.r_[0:130, 190:600], 18):
            feed(market, tape(ids))
            give_up(market)
        until(lambda: market.mirror.waiting, lambda rows: rows == 0)
        feed(market, tape(range(130, 190)))
        market.housekeep()
        until(lambda: market.mirror.waiting, lambda rows: rows == 0)
        market.housekeep()
    tens = stored(tmp_path, "10s")
    assert tens.trades.tolist()[:30] == [10] * 30
    assert tens.complete.astype(bool).tolist()[1:30] == [True] * 29
