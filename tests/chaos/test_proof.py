"""The proofs bite: whatever is wrong on disk, in the gaps or in the bars is found."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from analytics.resampling import bars
from data import sqlite
from data.trades import Trade, Trades
from tests.chaos.proof import BarProof, joined, prove_bars, read_trades, runs, stored
from tests.fakes.tape import Ledger, Tape

T0 = 1_791_382_992_000_000
SYMBOL = "BTCUSDT"


@pytest.fixture
def ledger() -> Ledger:
    """A hundred trades over ten seconds."""
    tape = Tape([SYMBOL])
    for n in range(100):
        tape.make(SYMBOL, T0 + n * 100_000)
    return tape.trades[SYMBOL]


def write(path: Path, trades: Trades) -> Path:
    connection = sqlite.open_writer(path)
    with sqlite.transaction(connection):
        sqlite.insert_trades(connection, sqlite.instrument(connection, "binance-um", "aggTrade", SYMBOL), trades)
    connection.close()
    return path


def test_a_whole_tape_is_proved(tmp_path, ledger):
    database = write(tmp_path / "tape.db", ledger.columns())
    found = stored(database, ledger)
    assert (found.rows, found.missing, found.repeated, found.invented) == (100, [], 0, 0)
    assert list(read_trades(database, SYMBOL, ledger.first_id, ledger.first_id + 99)) == ledger[:]


def test_missing_altered_and_invented_trades_are_found(tmp_path, ledger):
    first = ledger.first_id
    rows = [trade for trade in ledger if trade.trade_id - first not in (5, 6, 40)]
    rows[0] = Trade(SYMBOL, first, rows[0].ts_us, rows[0].price + 0.01, rows[0].qty, rows[0].buyer_is_maker)
    rows.append(Trade(SYMBOL, first + 100, T0, 1.0, 1.0, False))
    found = stored(write(tmp_path / "tape.db", Trades.from_rows(SYMBOL, rows)), ledger)
    assert (found.rows, found.missed, found.repeated, found.invented) == (97, 3, 0, 2)
    assert found.missing == [(first + 5, first + 6), (first + 40, first + 40)]


def test_a_proof_can_begin_later(tmp_path, ledger):
    database = write(tmp_path / "tape.db", ledger.columns(10))
    assert stored(database, ledger).missing == [(ledger.first_id, ledger.first_id + 9)]
    assert stored(database, ledger, ledger.first_id + 10).missing == []


def test_open_gaps_are_joined_to_runs():
    gaps = [
        {"symbol": SYMBOL, "first_id": 5, "last_id": 6, "filled_us": None},
        {"symbol": SYMBOL, "first_id": 7, "last_id": 7, "filled_us": None},
        {"symbol": SYMBOL, "first_id": 20, "last_id": 21, "filled_us": 1},
        {"symbol": "ETHUSDT", "first_id": 1, "last_id": 1, "filled_us": None},
    ]
    assert joined(gaps, SYMBOL) == [(5, 7)]
    assert joined(gaps, "SOLUSDT") == runs(np.array([], np.int64)) == []


def answered(ledger: Ledger, change: Callable[[list[dict[str, Any]]], object]) -> BarProof:
    """The proof of what an API answers that tells the ledger's bars with a change; three trades are missing."""
    missing = [(ledger.first_id + 31, ledger.first_id + 33)]
    made = ledger.columns()
    frame = bars(made[(made.trade_id < missing[0][0]) | (made.trade_id > missing[0][1])], "1s")
    rows = [{"ts_us": ts, **bar} for ts, bar in zip(frame.index.asi8.tolist(), frame.to_dict("records"), strict=True)]
    rows[3]["complete"] = False
    change(rows)
    return prove_bars(SimpleNamespace(get=lambda path: rows), ledger, missing)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "change, expected",
    [
        (lambda rows: None, BarProof(10, 0, 0, 0)),
        (lambda rows: rows[4].update(close=rows[4]["close"] + 0.01), BarProof(10, 1, 0, 0)),
        (lambda rows: rows[4].update(trades=9), BarProof(10, 1, 0, 0)),
        (lambda rows: rows.pop(4), BarProof(10, 1, 0, 0)),
        (lambda rows: rows[3].update(complete=True), BarProof(10, 0, 1, 0)),
        (lambda rows: rows[4].update(complete=False), BarProof(10, 0, 0, 1)),
    ],
    ids=["right", "other close", "other count", "absent", "not marked", "marked for nothing"],
)
def test_bars_are_held_against_the_ledger(ledger, change, expected):
    assert answered(ledger, change) == expected
