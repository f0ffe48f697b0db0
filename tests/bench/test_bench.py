"""The benches run and tell what they should; how fast anything is, is never a test."""

import json
import math

import pytest

from bench import __main__ as command
from bench import frame
from bench.frame import Row, Skipped, at_least, at_most, grows_at_most, made_up_trades, medians_s, table

ROW = Row("b", "ours", 2.0, "peer", 10.0, "ms", "1,000", 5.0, ">= 4x", True)


ROWS = {"dashboard": "live"}  # what the names of its rows begin with, where not with that of the bench


@pytest.mark.parametrize("name", command.BENCHES)
def test_every_bench_yields_rows(name, monkeypatch):
    monkeypatch.setattr(frame, "REPEATS", 1)
    try:
        rows = list(command.run(name, scale=0.001))
    except Skipped as exc:
        pytest.skip(str(exc))
    assert rows
    for row in rows:
        assert row.bench.startswith(ROWS.get(name, name))
        assert all(math.isfinite(value) and value > 0 for value in (row.ours_value, row.peer_value, row.ratio))
        assert row.ours and row.peer and row.unit and row.size and row.target


def test_a_ratio_above_one_means_ours_is_better():
    assert at_least("b", ("ours", 2.0), ("peer", 10.0), "ms", "1", 4).ratio == 5.0
    assert at_least("b", ("ours", 10.0), ("peer", 2.0), "rows/s", "1", 4, more=True).ratio == 5.0


def test_a_target_missed_is_told():
    assert at_least("b", ("ours", 2.0), ("peer", 10.0), "ms", "1", 5).holds
    assert not at_least("b", ("ours", 2.0), ("peer", 9.9), "ms", "1", 5).holds
    assert at_most("b", ("ours", 40.0), ("peer", 400.0), "B", "1", 45).holds
    assert not at_most("b", ("ours", 46.0), ("peer", 400.0), "B", "1", 45).holds
    assert grows_at_most("b", ("large", 1.5), ("small", 1.0), "us", "1", 1.5).holds
    assert not grows_at_most("b", ("large", 1.6), ("small", 1.0), "us", "1", 1.5).holds


def test_both_sides_run_in_turn():
    order = []
    medians_s(lambda: order.append("ours"), lambda: order.append("peer"), repeats=3)
    assert order == ["ours", "peer"] * 4  # one untimed


def test_made_up_trades_are_the_same_each_time():
    one, two = made_up_trades(1_000), made_up_trades(1_000)
    assert all((a == b).all() for a, b in zip(one.columns, two.columns, strict=True))
    assert list(one)  # every row passes the checks of a trade


def test_the_table_is_aligned():
    lines = table([ROW, ROW]).splitlines()
    assert lines[1] == lines[2]
    assert lines[0].index("target") == lines[1].index(">= 4x")


def test_the_command_prints_the_table_and_writes_json(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "run", lambda name, scale: [ROW])
    monkeypatch.setattr(command, "RESULTS", tmp_path / "var" / "bench.json")
    assert command.main(["decode"]) == 0
    assert "1 of 1 targets hold" in capsys.readouterr().out
    content = json.loads((tmp_path / "var" / "bench.json").read_text())
    assert content["rows"][0]["ratio"] == 5.0
    assert content["machine"]["python"]


def test_a_bench_that_cannot_run_here_says_why_and_the_others_go_on(tmp_path, monkeypatch, capsys):
    def run(name: str, scale: float) -> list[Row]:
        if name == "dashboard":
            raise Skipped("no Chromium on this machine")
        return [ROW]

    monkeypatch.setattr(command, "run", run)
    monkeypatch.setattr(command, "RESULTS", tmp_path / "bench.json")
    assert command.main(["dashboard", "decode"]) == 0
    printed = capsys.readouterr()
    assert "dashboard skipped: no Chromium on this machine" in printed.err
    assert "1 of 1 targets hold" in printed.out


def test_an_unknown_bench_is_refused_with_the_names_there_are(capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["bars"])
    assert caught.value.code == 2
    assert "bars-refresh" in capsys.readouterr().err
