"""The command: its table, its JSON and its exit status."""

import json

import pytest

from tests.proofs import Proof
from tests.table import NEVER, Row, Size, at_least, at_most, equal, soon, within


def good(size: Size):
    yield equal("good", "missing", 0, 0)


def bad(size: Size):
    yield equal("bad", "missing", 0, 3)


def broken(size: Size):
    yield equal("broken", "missing", 0, 0)
    raise AssertionError("not within 20 s;\nnewest: None")


@pytest.fixture
def proof(tmp_path) -> Proof:
    return Proof("trial", "A trial.", {"good": good, "bad": bad, "broken": broken}, tmp_path / "var")


def run(proof: Proof, *arguments: str) -> int:
    return proof.main(proof.parser(), arguments)


def test_status_is_0_where_everything_holds(proof, capsys):
    assert run(proof, "good", "--short") == 0
    assert "1 of 1 hold" in capsys.readouterr().out
    written = json.loads((proof.folder / "trial.json").read_text())
    row = {"scenario": "good", "what": "missing", "expected": "0", "found": "0", "holds": True, "late": 0.0}
    assert written["rows"] == [row]
    assert written["short"] and written["machine"]["cores"]


def test_status_is_1_where_anything_does_not(proof, capsys):
    assert run(proof) == 1
    told = capsys.readouterr().out
    assert "2 of 4 hold" in told
    assert "not within 20 s; newest: None" in told  # the scenario that broke off, in one line


def test_an_unknown_scenario_is_refused(proof, capsys):
    with pytest.raises(SystemExit):
        run(proof, "god")
    assert "no scenario named god; there are good, bad, broken" in capsys.readouterr().err


@pytest.mark.parametrize(
    "row, holds",
    [
        (at_most("s", "w", 10, 10, "s"), True),
        (at_most("s", "w", 10, 10.1, "s"), False),
        (at_most("s", "w", 10, float("inf"), "s"), False),
        (at_most("s", "w", 10, float("nan"), "s"), False),
        (at_least("s", "w", 10, 9), False),
        (at_least("s", "w", 10, 10), True),
        (within("s", "w", 4, 6.5, 6.5, "%"), True),
        (within("s", "w", 4, 6.5, 3.9, "%"), False),
        (within("s", "w", 4, 6.5, float("nan"), "%"), False),
    ],
)
def test_limits_hold_up_to_themselves(row: Row, holds):
    assert row.holds is holds


def test_a_time_tells_how_much_of_its_limit_it_took():
    quick, slow = soon("s", "w", 10, 5, "s"), soon("s", "w", 10, 25, "s")
    assert (quick.holds, quick.late) == (True, 0.5)
    assert (slow.holds, slow.late) == (False, 2.5)
    for gone in (float("inf"), float("nan")):
        assert (soon("s", "w", 10, gone, "s").holds, soon("s", "w", 10, gone, "s").late) == (False, NEVER)
