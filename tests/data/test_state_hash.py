"""The state hash: equal for what is the same state, another for anything that matters."""

from itertools import pairwise

import pytest

from data.session import Session
from data.state_hash import state_hash
from data.trades import Trade, Trades
from tests.fakes.feed import T0, S, ScriptedFeed

READINGS = {"ETHUSDT/BTCUSDT": {"zscore": 1.25, "pvalue": float("nan")}}
EVENTS = [{"state": "firing", "at_us": T0, "value": 2.0}]


def session(path, prices=(100.0, 101.5, 99.0), cuts=(1, 2)) -> Session:
    """A session with these prices, delivered in parts, and read in between."""
    made = Session(ScriptedFeed("replay"), path / "tape.db", 1_000)
    made.start(["BTCUSDT"])
    rows = [Trade("BTCUSDT", 1 + k, T0 + k * S, price, 0.1, k == 1) for k, price in enumerate(prices)]
    for start, end in pairwise([0, *cuts, len(rows)]):
        made.feed.sink.offer(Trades.from_rows("BTCUSDT", rows[start:end]))
        made.bars("BTCUSDT", "1m", 5)
    made.feed.clock_us = T0 + 10 * S
    made.stop()
    return made


@pytest.fixture
def base(tmp_path):
    return session(tmp_path)


def test_the_same_state_has_the_same_hash_however_it_came(base, tmp_path):
    first = state_hash(base, READINGS, EVENTS)
    assert first == state_hash(base, dict(reversed(READINGS.items())), EVENTS)
    (tmp_path / "b").mkdir()
    assert first == state_hash(session(tmp_path / "b", cuts=()), READINGS, EVENTS)


def test_anything_else_has_another_hash(base, tmp_path):
    first = state_hash(base, READINGS, EVENTS)
    others = [
        state_hash(base, {"ETHUSDT/BTCUSDT": {"zscore": 1.2500001, "pvalue": float("nan")}}, EVENTS),
        state_hash(base, {}, EVENTS),
        state_hash(base, READINGS, []),
        state_hash(base, READINGS, [*EVENTS, *EVENTS]),
        state_hash(base, READINGS, [EVENTS[0] | {"at_us": T0 + S}]),
    ]
    base.feed.clock_us += 1
    others.append(state_hash(base, READINGS, EVENTS))
    (tmp_path / "b").mkdir()
    others.append(state_hash(session(tmp_path / "b", prices=(100.0, 101.5, 99.1)), READINGS, EVENTS))
    assert len({first, *others}) == len(others) + 1


def test_a_bar_that_misses_trades_is_another_state(base):
    first = state_hash(base, {}, [])
    base.resampler("BTCUSDT", "1s").mark_incomplete(T0 + S, T0 + S)
    assert state_hash(base, {}, []) != first
