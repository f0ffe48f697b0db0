"""Figures: checked by Plotly's schema, showing the numbers of the analysis and nothing else."""

import json
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest

import config
from analytics.indicators import ema, rsi
from analytics.pair import PairParams
from analytics.signals import SignalParams, mean_reversion_signal
from dashboard.charts.base import (
    BLOCK_BARS,
    Mark,
    domains,
    drawn,
    first_shown,
    in_zone,
    rebased,
    spans_of,
    steady_range,
)
from dashboard.charts.coverage import (
    COMPLETE,
    INCOMPLETE,
    MISSING,
    MOST_ROWS,
    coverage_height,
    coverage_spec,
    share_text,
    states,
)
from dashboard.charts.indicators import INDICATORS
from dashboard.charts.overview import candles_figure, candles_spec, sparkline, step_decimals
from dashboard.charts.pair import PairChart, pair_figure, pair_spec
from dashboard.charts.signals import signals_spec
from dashboard.charts.tape import sizes_spec, tape_spec
from dashboard.live import figures
from dashboard.live.hub import Key
from dashboard.live.patch import diff, plain
from dashboard.theme import DARK, LIGHT
from tests.dashboard.fake_engine import START_US, FakeEngine
from utils.clock import US_PER_S

PARAMS = PairParams(window=60)
CHART = PairChart("ETHUSDT", "BTCUSDT", "1s")


def analysis_of(engine: FakeEngine):
    return engine.analysis("ETHUSDT", "BTCUSDT", "1s", PARAMS)


def trace(spec, name):
    return next(found for found in spec["data"] if found["name"] == name)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_the_pair_figure_passes_plotlys_own_check(theme):
    chart = PairChart(
        "ETHUSDT",
        "BTCUSDT",
        "1s",
        incomplete=[(START_US + 1_000 * US_PER_S, START_US + 1_010 * US_PER_S)],
        marks=[Mark(START_US + 1_100 * US_PER_S, 2.4, "|z| > 2"), Mark(START_US + 1_150 * US_PER_S, -2.2, "|z| > 2")],
    )
    figure = pair_figure(analysis_of(FakeEngine()), chart, theme)
    assert [axis for axis in figure.layout.to_plotly_json() if axis.startswith("yaxis")] == [
        "yaxis",
        "yaxis2",
        "yaxis3",
        "yaxis4",
        "yaxis5",
    ]


def test_panes_draw_the_numbers_of_the_analysis():
    analysis = analysis_of(FakeEngine())
    spec = rebased(pair_spec(analysis, CHART, DARK))
    rows = slice(-len(trace(spec, "z-score")["x"]), None)
    for name, values in (
        ("z-score", analysis.path.zscore),
        ("hedge ratio", analysis.path.hedge_ratio),
        ("correlation", analysis.path.correlation),
        ("spread − mean", analysis.path.spread - analysis.path.spread_mean),
        ("ETH", 10_000 * (analysis.y / analysis.y[rows][0] - 1)),
    ):
        np.testing.assert_allclose(trace(spec, name)["y"], values[rows], rtol=1e-5, atol=1e-10)
    assert trace(spec, "z-score")["x"].dtype == np.float64
    assert trace(spec, "z-score")["x"][-1] == analysis.ts_us[-1] / 1_000


def test_figures_are_built_without_streamlit():
    folder = config.ROOT / "dashboard" / "charts"
    for path in folder.glob("*.py"):
        assert "streamlit" not in path.read_text(encoding="utf-8"), path.name


def test_the_entry_band_is_where_z_reaches_entry():
    analysis = analysis_of(FakeEngine())
    spec = pair_spec(analysis, CHART, DARK)
    high = trace(spec, "entry band, high")["y"]
    np.testing.assert_allclose(high, 2.0 * analysis.path.spread_std[-len(high) :], rtol=1e-5)


def test_a_new_bar_costs_few_bytes():
    engine = FakeEngine(bars=1_205)
    sizes = []
    old = plain(pair_spec(analysis_of(engine), CHART, DARK))
    for _ in range(BLOCK_BARS + 10):  # once in them a block falls out at the front
        engine.bars_held += 1
        new = plain(pair_spec(analysis_of(engine), CHART, DARK))
        sizes.append(len(json.dumps(diff(old, new))))
        old = new
    assert max(sizes) < 1_000


def test_drawn_bars_are_at_most_those_configured_and_begin_steadily():
    ts_us = START_US + np.arange(2_000) * US_PER_S
    firsts = [ts_us[first_shown(ts_us[:end], US_PER_S)] for end in range(700, 2_000)]
    counts = [end - first_shown(ts_us[:end], US_PER_S) for end in range(700, 2_000)]
    assert max(counts) <= config.CHART_BARS
    assert min(counts) > config.CHART_BARS - 2 * BLOCK_BARS
    assert len(set(firsts)) <= len(firsts) / BLOCK_BARS + 2


def test_the_time_axis_moves_in_steps_and_ends_close_to_the_newest_bar():
    x = START_US / 1_000 + 1_000.0 * np.arange(599)
    ends = [steady_range(x[:count])["clipmax"] for count in range(541, 600)]
    room = [end - x[count - 1] for end, count in zip(ends, range(541, 600), strict=True)]
    assert len(set(ends)) <= 59 / 30 + 2
    assert min(room) == 0 and max(room) <= 0.06 * 599 * 1_000
    assert steady_range(x[:1]) == {"clipmin": x[0], "clipmax": x[0], "include": [x[0], x[0]]}


def test_few_bars_are_all_drawn():
    ts_us = START_US + np.arange(5) * US_PER_S
    assert first_shown(ts_us, US_PER_S) == 0


def test_marks_point_to_the_side_they_came_from():
    marks = [Mark(START_US + 1_190 * US_PER_S, 2.4, "above"), Mark(START_US + 1_191 * US_PER_S, -2.2, "below")]
    spec = pair_spec(analysis_of(FakeEngine()), PairChart("ETHUSDT", "BTCUSDT", "1s", marks=marks), DARK)
    assert trace(spec, "alert")["marker"]["symbol"] == ["triangle-down", "triangle-up"]


def test_candles_pass_plotlys_own_check_and_shade_bars_that_miss_trades():
    frame = FakeEngine().bars("BTCUSDT", "1s", 600)
    frame.iloc[100:110, frame.columns.get_loc("complete")] = False
    figure = candles_figure(frame, "BTCUSDT", "1s", US_PER_S, DARK)
    assert len(figure.layout.shapes) == 1
    spec = candles_spec(frame, "BTCUSDT", "1s", US_PER_S, DARK)
    np.testing.assert_array_equal(spec["data"][0]["close"], frame["close"])


def test_runs_of_marked_bars_become_spans():
    ts_us = np.arange(6) * 10
    assert spans_of(ts_us, np.array([True, False, True, True, False, True]), 10) == [(0, 10), (20, 40), (50, 60)]
    assert spans_of(ts_us, np.zeros(6, bool), 10) == []


def test_panes_fill_the_height_without_overlap():
    found = domains((3, 1, 1))
    assert found[0][1] == 1
    assert found[-1][0] == pytest.approx(0)
    assert all(upper[0] > lower[1] for upper, lower in pairwise(found))


def test_decimals_follow_the_tick_of_the_prices():
    assert step_decimals(np.array([61_234.1, 61_235.0])) == 1
    assert step_decimals(np.array([2_675.37])) == 2
    assert step_decimals(np.array([0.12345, 0.12340])) == 5
    assert step_decimals(np.array([np.nan])) == 2


def test_drawn_values_keep_eight_digits_and_what_is_not_a_number():
    values = np.array([1.23456789012, -0.000123456789, 0.0, np.nan])
    np.testing.assert_array_equal(drawn(values), [1.2345679, -0.00012345679, 0.0, np.nan])


def test_a_sparkline_needs_two_prices():
    assert sparkline(np.array([1.0]), "X") == ""
    assert "mask-image" in sparkline(np.array([1.0, 1.0, 2.0]), "X")


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_the_other_figures_pass_plotlys_own_check(theme):
    engine = FakeEngine()
    frame, tape = engine.bars("BTCUSDT", "1s", 600), engine.tape("BTCUSDT")
    qty = engine.ticks("BTCUSDT", 5_000).qty
    go.Figure(tape_spec(frame, "BTCUSDT", "1s", 3.0, theme))
    go.Figure(sizes_spec(qty, tape.sizes, tape.signature, "BTCUSDT", theme))
    go.Figure(signals_spec(analysis_of(engine), SignalParams(), CHART, theme))
    go.Figure(candles_spec(frame, "BTCUSDT", "1s", US_PER_S, theme, tuple(INDICATORS), 300))


def test_sizes_wait_for_trades_where_the_market_began_anew(engine, monkeypatch):
    none = engine.ticks("BTCUSDT")[:0]
    monkeypatch.setattr(engine, "ticks", lambda symbol, limit: none)
    found = figures.build(Key("sizes", (("symbol", "BTCUSDT"),), "dark", 1.0))
    assert (found["figure"], found["message"]["state"]) == (None, "collecting")


def test_the_tape_figure_draws_the_flow_of_the_bars():
    frame = FakeEngine().bars("BTCUSDT", "1s", 200)
    spec = tape_spec(frame, "BTCUSDT", "1s", float("nan"), DARK)
    buys, volume = frame["taker_buy_volume"].to_numpy(), frame["volume"].to_numpy()
    np.testing.assert_array_equal(trace(spec, "taker buys")["y"], buys)
    np.testing.assert_array_equal(trace(spec, "taker sells")["y"], buys - volume)
    np.testing.assert_allclose(trace(spec, "cumulative delta")["y"], np.cumsum(2 * buys - volume), rtol=1e-7)
    imbalance = trace(spec, "imbalance, 20 bars")["y"]
    assert np.isnan(imbalance[:19]).all()
    assert imbalance[-1] == pytest.approx((2 * buys - volume)[-20:].sum() / volume[-20:].sum())
    assert np.isnan(trace(spec, "trades/s")["y"][-1])  # of the forming bar


def test_amounts_below_one_are_plain_decimals():
    engine = FakeEngine()
    frame, tape, qty = engine.bars("BTCUSDT", "1s", 200), engine.tape("BTCUSDT"), engine.ticks("BTCUSDT", 500).qty
    flow = tape_spec(frame, "BTCUSDT", "1s", 3.0, DARK)["layout"]
    sizes = sizes_spec(qty, tape.sizes, tape.signature, "BTCUSDT", DARK)["layout"]
    volume = candles_spec(frame, "BTCUSDT", "1s", US_PER_S, DARK)["layout"]
    for axis in (*(flow[f"yaxis{number}"] for number in range(2, 6)), sizes["yaxis"], volume["yaxis2"]):
        below, above = axis["tickformatstops"]
        assert below["dtickrange"][0] is None and below["value"].endswith("f") and above["value"].endswith("s")
    assert "tickformatstops" not in flow["yaxis"]


@pytest.mark.parametrize(
    ("low", "high", "named"),
    [(0.001, 1.0, [0.001, 0.01, 0.1, 1.0]), (0.01, 0.08, [0.01, 0.02, 0.05]), (1e-5, 3e4, [1e-5, 0.01, 10.0, 1e4])],
)
def test_few_round_sizes_are_named_so_that_a_phone_has_room_for_them(low, high, named):
    engine = FakeEngine()
    tape, qty = engine.tape("BTCUSDT"), np.geomspace(low, high, 50)
    layout = sizes_spec(qty, tape.sizes, tape.signature, "BTCUSDT", DARK)["layout"]
    assert layout["xaxis"]["tickvals"] == pytest.approx(named)
    assert sum(map(bool, layout["xaxis2"]["ticktext"])) <= 4 and layout["xaxis2"]["tickangle"] == 0


def test_indicators_of_the_bars_drawn_do_not_hang_on_where_the_drawing_begins():
    frame = FakeEngine().bars("BTCUSDT", "1s", 1_000)
    spec = candles_spec(frame, "BTCUSDT", "1s", US_PER_S, DARK, ("ema", "rsi", "bollinger"), 300)
    closes = frame["close"].to_numpy()
    np.testing.assert_allclose(trace(spec, "EMA 20")["y"], ema(closes, 20)[-300:], rtol=1e-7)
    np.testing.assert_allclose(trace(spec, "RSI 14")["y"], rsi(closes)[-300:], rtol=1e-7)
    assert trace(spec, "RSI 14")["yaxis"] == "y3" and trace(spec, "EMA 20")["yaxis"] == "y"
    assert len(spec["data"][0]["x"]) == 300


def test_what_the_rule_did_is_marked_where_it_did_it():
    analysis = analysis_of(FakeEngine())
    spec = signals_spec(analysis, SignalParams(entry_z=1.5), CHART, DARK)
    events = mean_reversion_signal(analysis.path.zscore, SignalParams(entry_z=1.5)).events
    shown = [event for event in events if analysis.ts_us[event.bar] / 1_000 >= trace(spec, "z-score")["x"][0]]
    assert trace(spec, "rule")["y"] == [event.zscore for event in shown] and shown
    position = mean_reversion_signal(analysis.path.zscore, SignalParams(entry_z=1.5)).position
    np.testing.assert_array_equal(trace(spec, "position")["y"], position[-len(trace(spec, "position")["y"]) :])


def test_a_figure_in_another_zone_is_the_same_figure_later():
    spec = pair_spec(
        analysis_of(FakeEngine()), PairChart("ETHUSDT", "BTCUSDT", "1s", [(START_US, START_US + 10**15)]), DARK
    )
    moved = in_zone(spec, "Asia/Kolkata")
    ahead_ms = 5.5 * 3_600_000
    np.testing.assert_array_equal(trace(moved, "z-score")["x"], trace(spec, "z-score")["x"] + ahead_ms)
    np.testing.assert_array_equal(trace(moved, "z-score")["y"], trace(spec, "z-score")["y"])
    before, after = (figure["layout"]["xaxis"]["autorangeoptions"]["clipmax"] for figure in (spec, moved))
    assert after - before == ahead_ms
    gap, same = moved["layout"]["shapes"][0], moved["layout"]["shapes"][-1]
    assert gap["x1"] - spec["layout"]["shapes"][0]["x1"] == ahead_ms and same == spec["layout"]["shapes"][-1]
    assert moved["layout"]["xaxis"]["hoverformat"].endswith("IST")
    assert in_zone(spec, "UTC") is spec


def test_a_change_of_the_clocks_moves_each_time_by_its_own_offset():
    change_ms = 1_761_440_400_000.0  # 2025-10-26 01:00 UTC, when summer time ends in Vienna
    spec = {"data": [{"x": np.array([change_ms - 1, change_ms])}], "layout": {"xaxis": {"type": "date"}}}
    found = in_zone(spec, "Europe/Vienna")["data"][0]["x"] - spec["data"][0]["x"]
    np.testing.assert_array_equal(found, [7_200_000, 3_600_000])


def test_legs_on_a_logarithmic_scale_begin_at_a_hundred():
    analysis = analysis_of(FakeEngine())
    spec = rebased(pair_spec(analysis, PairChart("ETHUSDT", "BTCUSDT", "1s", bars=120, legs="log"), DARK))
    leg = trace(spec, "ETH")["y"]
    assert leg[0] == 100 and spec["layout"]["yaxis"]["type"] == "log" and 60 < leg.size <= 120
    np.testing.assert_allclose(leg[-1], 100 * analysis.y[-1] / analysis.y[-leg.size])


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_the_coverage_map_passes_plotlys_own_check(theme):
    found = FakeEngine().coverage(("BTCUSDT", "ETHUSDT"), 3_600 * US_PER_S, 60 * US_PER_S)
    figure = go.Figure(coverage_spec(found, theme))
    assert figure.data[0].y == ("ETHUSDT", "BTCUSDT")  # the first symbol is on top
    assert [note.text for note in figure.layout.annotations] == ["95.56 %", "95.56 %"]
    moved = in_zone(coverage_spec(found, theme), "Asia/Tokyo")
    assert moved["data"][0]["x"][0] - figure.data[0].x[0] == 9 * 3_600 * 1_000


def test_a_cell_is_only_whole_where_every_minute_is_there_and_complete():
    expected, stored, complete = (np.array(row) for row in ([0, 5, 5, 5, 5], [0, 0, 5, 4, 5], [0, 0, 4, 4, 5]))
    found = states(expected, stored, complete)
    assert np.isnan(found[0])
    assert found[1:].tolist() == [MISSING, INCOMPLETE, INCOMPLETE, COMPLETE]


def test_a_share_is_100_percent_only_where_nothing_is_missing():
    assert (share_text(1.0), share_text(0.999999), share_text(float("nan"))) == ("100 %", "99.99 %", "–")


def test_the_map_grows_with_symbols_up_to_a_limit():
    assert coverage_height(1) == coverage_height(2) < coverage_height(3)
    assert coverage_height(1_000) == coverage_height(MOST_ROWS)
