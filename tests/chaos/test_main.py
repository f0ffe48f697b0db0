"""The command: its table, its JSON and its exit status."""

import json

import pytest

from tests.chaos import __main__ as chaos
from tests.table import Row, Size, at_least, at_most, equal


def good(size: Size):
    yield equal("good", "missing", 0, 0)


def bad(size: Size):
    yield equal("bad", "missing", 0, 3)


def broken(size: Size):
    yield equal("broken", "missing", 0, 0)
    raise AssertionError("not within 20 s;\nnewest: None")


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(chaos, "SCENARIOS", {"good": good, "bad": bad, "broken": broken})
    monkeypatch.setattr(chaos, "RESULTS", tmp_path / "var" / "chaos.json")
    return tmp_path / "var" / "chaos.json"


def test_status_is_0_where_everything_holds(results, capsys):
    assert chaos.main(["good", "--short"]) == 0
    assert "1 of 1 hold" in capsys.readouterr().out
    written = json.loads(results.read_text())
    assert written["rows"] == [{"scenario": "good", "what": "missing", "expected": "0", "found": "0", "holds": True}]
    assert written["short"] and written["machine"]["cores"]


def test_status_is_1_where_anything_does_not(results, capsys):
    assert chaos.main([]) == 1
    told = capsys.readouterr().out
    assert "2 of 4 hold" in told
    assert "not within 20 s; newest: None" in told  # the scenario that broke off, in one line


def test_an_unknown_scenario_is_refused(results, capsys):
    with pytest.raises(SystemExit):
        chaos.main(["god"])
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
    ],
)
def test_limits_hold_up_to_themselves(row: Row, holds):
    assert row.holds is holds
