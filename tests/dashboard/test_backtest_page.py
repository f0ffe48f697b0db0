"""The Backtest page: a form in the address, a run as a job, what doubts it, and what is kept and taken away."""

import io
import math
from dataclasses import replace

import pandas as pd
import plotly.graph_objects as go
import pytest

from analytics.backtest import BacktestParams
from dashboard import backtest, theme
from dashboard.backtest_choice import PARAMETERS, Choice, choice_of, view_fields
from dashboard.backtest_runs import compared, compared_frame
from dashboard.charts.backtest import (
    BEST,
    BEST_PLATEAU,
    METRICS,
    benchmark_spec,
    grid_spec,
    run_spec,
    saved_spec,
    thinned,
    walk_spec,
)
from dashboard.charts.base import in_zone
from dashboard.tear_sheet import tear_sheet
from dashboard.view import View
from data.exporters import FORMATS, csv_text, table_of
from engine.backtest_report import BacktestRequest
from tests.dashboard.fake_engine import START_US, FakeEngine
from tests.dashboard.test_pages import open_page, opened, words
from tests.waiting import until
from utils.errors import InputError

VIEW = replace(View.default(("BTCUSDT", "ETHUSDT")), entry_z=1.5, exit_z=0.25, window=30)
QUICK = replace(Choice(), shuffles=5, windows=(20, 30), folds=3)
HOSTILE = '<img src=x onerror="alert(1)">'


def ran(engine, choice=QUICK, view=VIEW):
    """A report of the fake market, and the name of its job."""
    job = engine.backtests.start(choice.request(view))
    until(lambda: engine.jobs.job(job.job_id), lambda job: job.ended)
    return engine.backtests.report(job.job_id), job.job_id


@pytest.fixture(scope="module")
def report():
    return ran(FakeEngine())[0]


# --- form and address -----------------------------------------------------------------------------------


def every_field_changed() -> Choice:
    query = {
        "part": "grid",
        "bars-from": "stored:demo",
        "lost": "exclude",
        "hedge": "rolled",
        "fill": "maker",
        "reentry": "free",
        "methods": "kalman~ols",
        "windows": "20~40",
        "entries": "1.5~2.25",
        "exits": "0~0.5",
        "choose": "plateau",
        "grid": "0",
        "walk": "0",
        "compound": "1",
        "anchored": "1",
    }
    numbers = {name: "21" for name in PARAMETERS if name not in query} | {"life": "40", "roll": "2"}
    choice, notices = Choice.from_query(query | numbers)
    assert notices == []
    return choice


def test_the_address_has_what_differs_and_reads_back_the_same():
    changed = every_field_changed()
    assert set(changed.to_query()) == set(PARAMETERS)
    assert Choice.from_query(changed.to_query()) == (changed, [])
    assert Choice().to_query() == {}


WRONG = {
    "bars": "3",
    "leverage": "nan",
    "fund-y": "inf",
    "windows": "20~many",
    "entries": "~".join(map(str, range(1, 60))),
    "exits": "0~30",
    "methods": "magic",
    "lost": "perhaps",
    "anchored": "yes",
    "bars-from": "",
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_used_falls_back_with_a_notice(name):
    choice, notices = Choice.from_query({name: WRONG[name]})
    assert choice == Choice()
    assert len(notices) == 1 and notices[0].startswith(f"{name}=")


def test_the_run_has_the_parameters_of_the_page_it_came_from():
    request = Choice().request(VIEW)
    assert request.params.pair == replace(VIEW.params, fee_bps=request.params.pair.fee_bps, **_beside(VIEW, request))
    rule = VIEW.rule
    assert (request.params.entry_z, request.params.exit_z, request.params.stop_z) == (
        rule.entry_z,
        rule.exit_z,
        rule.stop_z,
    )
    assert (request.symbol_y, request.symbol_x, request.timeframe) == ("ETHUSDT", "BTCUSDT", "1s")
    assert request.params.taker_bps == VIEW.params.fee_bps and math.isinf(request.params.time_stop)


def _beside(view, request):
    """What a page is told beside the path of z."""
    own = request.params.pair
    return {name: getattr(own, name) for name in ("test_bars", "min_bars", "min_bars_coint")}


def test_a_saved_request_opens_the_form_that_asked_for_it():
    asked = replace(every_field_changed(), grid=True, walk=True, time_stop=3.0, funding_x_bps=None, part="run")
    request = asked.request(VIEW)
    view = replace(View.default(("BTCUSDT", "ETHUSDT")), **view_fields(request))
    assert choice_of(request).request(view) == request
    plain = Choice().request(VIEW)
    assert choice_of(plain).request(VIEW) == plain


def test_values_around_those_of_the_view_are_tried_where_none_are_given():
    axes = Choice().axes(VIEW)
    assert axes == (("ols",), (15, 30, 60), (1.125, 1.5, 1.875, 2.25), (0.0, 0.125, 0.25, 0.375))
    tight = Choice().axes(replace(VIEW, stop_z=1.6))
    assert tight.entry_z == (1.125, 1.5)


# --- the page -------------------------------------------------------------------------------------------


def test_a_page_runs_its_form_and_shows_what_came_of_it(engine):
    app = open_page("backtest", window="30", entry="1.5", exit="0.25", shuffles="5", windows="20~30", folds="3")
    assert "Press Run backtest" in words(app)
    app.button(key="FormSubmitter:backtest-form-Run backtest").click().run()
    (job,) = until(engine.backtests.jobs, lambda jobs: jobs[0].ended)
    assert job.state == "done", job.message
    app.run()
    assert not app.exception
    text, told = words(app), engine.backtests.report(job.job_id)
    assert backtest.money(told.run.metrics.net, True) in text
    assert (
        "1,200 bars from open market, binance-um" in text and "3 incomplete (trades that touch them are marked)" in text
    )
    assert "fewer than the 5,000 asked for" in text and "tried here in all" in text
    assert "This panel failed" not in text
    assert len(app.get("plotly_chart")) == 2 and len(app.dataframe) == 1
    for part, word in (("grid", "Best plateaus of"), ("walk", "In sample and out of sample")):
        app.segmented_control(key="bt-part").set_value(part).run()
        assert word in words(app) and app.query_params["part"] == part
        assert "This panel failed" not in words(app) and not app.exception


def test_the_form_is_taken_as_a_whole_and_goes_into_the_address(engine):
    app = open_page("backtest")
    app.number_input(key="bt-capital").set_value(500.0)
    app.text_input(key="bt-windows").set_value("20; 40")
    app.toggle(key="bt-walk").set_value(False)
    app.number_input(key="bt-shuffles").set_value(0)
    app.button(key="FormSubmitter:backtest-form-Run backtest").click().run()
    assert not app.exception
    assert (app.query_params["capital"], app.query_params["windows"], app.query_params["walk"]) == (
        "500.0",
        "20~40",
        "0",
    )
    (job,) = engine.backtests.jobs()
    request = engine.backtests.request(job.job_id)
    assert (request.params.capital, request.axes.window, request.walk, request.shuffles) == (500.0, (20, 40), None, 0)
    app.text_input(key="bt-entries").set_value("2, soon")
    app.button(key="FormSubmitter:backtest-form-Run backtest").click().run()
    assert "values must be numbers by commas, was '2, soon'" in app.warning[0].value
    assert len(engine.backtests.jobs()) == 1


def test_a_click_on_the_pair_page_runs_what_it_shows(engine):
    app = open_page("pair", window="40", entry="1.75")
    app.button(key="backtest-this").click().run()
    (job,) = engine.backtests.jobs()
    request = engine.backtests.request(job.job_id)
    assert (request.params.window, request.params.entry_z, request.source) == (40, 1.75, "market")
    until(lambda: engine.jobs.job(job.job_id), lambda job: job.ended)
    report = engine.backtests.report(job.job_id)
    shown = engine.analysis("ETHUSDT", "BTCUSDT", "1s", request.params.pair).path.zscore
    assert report.run.zscore[-300:] == pytest.approx(shown[-300:], rel=1e-9)


def test_too_few_bars_are_said_and_no_number_is_shown(engine):
    engine.bars_held = 20
    job = ran(engine)[1]
    assert engine.jobs.job(job).state == "failed"
    app = open_page("backtest", window="30", entry="1.5", exit="0.25", shuffles="5", windows="20~30", folds="3")
    assert "Not enough data: this backtest needs 30 bars, has 20." in words(app)
    assert not app.get("plotly_chart")


def test_a_run_that_was_changed_since_says_so_and_a_run_is_saved_opened_and_deleted(engine):
    app = open_page("backtest", window="30", entry="1.5", exit="0.25", shuffles="0", grid="0")
    app.button(key="FormSubmitter:backtest-form-Run backtest").click().run()
    until(engine.backtests.jobs, lambda jobs: jobs[0].ended)
    app.run()
    app.text_input(key="bt-name").set_value(HOSTILE).run()
    app.button(key="bt-save").click().run()
    assert list(engine.backtests.saved()) == [HOSTILE]
    app.number_input(key="view-window").set_value(50).run()
    assert "has changed since this run" in words(app)
    app.segmented_control(key="bt-part").set_value("saved").run()
    assert HOSTILE not in words(app) and "&lt;img" in words(app)
    app.button(key=f"bt-open-{HOSTILE}").click().run()
    assert app.query_params["window"] == "30" and "This panel failed" not in words(app)
    app.segmented_control(key="bt-part").set_value("saved").run()
    app.button(key=f"bt-drop-{HOSTILE}").click().run()
    assert engine.backtests.saved() == {} and "No run is saved yet" in words(app)


def test_a_run_of_another_market_says_so(engine):
    fields = {"window": "30", "entry": "1.5", "exit": "0.25", "shuffles": "0", "grid": "0"}
    app = open_page("backtest", **fields)
    app.button(key="FormSubmitter:backtest-form-Run backtest").click().run()
    until(engine.backtests.jobs, lambda jobs: jobs[0].ended)
    app.run()
    assert "has changed since this run" not in words(app)
    engine.mode = "DEMO"
    app.run()
    assert "or the market has changed since this run" in words(app)


def test_a_saved_view_of_the_page_has_its_form(engine):
    app = opened(open_page("backtest", capital="777.0"), "views-open")
    app.text_input(key="view-name").set_value("mine").run()
    app.button(key="save-view").click().run()
    assert "capital=777.0" in engine.kept["view mine"]
    fresh = opened(open_page("pair"), "views-open")
    fresh.button(key="see-mine").click().run()
    assert fresh.number_input(key="bt-capital").value == 777.0


# --- what is shown and taken away -----------------------------------------------------------------------


@pytest.mark.parametrize("look", theme.THEMES.values(), ids=lambda look: look.name)
def test_figures_are_valid_and_move_with_the_zone(report, look):
    kept = {"a": report.summary(), "b": report.summary()}
    for spec in (
        run_spec(report.run, report.bands, report.bars.width_us, look),
        *(grid_spec(report.grid, "ols", 20, metric, look) for metric in METRICS),
        walk_spec(report.walk, report.test_ts_us, 10_000.0, True, look),
        walk_spec(report.walk, report.test_ts_us, 10_000.0, False, look),
        benchmark_spec(report.benchmark, look),
        saved_spec(kept, look),
    ):
        go.Figure(in_zone(spec, "Asia/Kolkata"))


def test_the_walk_has_no_room_for_ratios_that_no_fold_has(report):
    def below(figures):
        return replace(figures, sharpe_bar=-0.1)

    folds = [
        replace(fold, in_sample=below(fold.in_sample), out_of_sample=below(fold.out_of_sample))
        for fold in report.walk.folds
    ]
    lost = replace(report.walk, folds=tuple(folds))
    low, high = walk_spec(lost, report.test_ts_us, 10_000.0, False, theme.DARK)["layout"]["yaxis"]["range"]
    assert low < -0.1 and 0 < high < 0.1


def test_a_thinned_line_keeps_its_ends_lows_and_highs(report):
    values = report.run.equity
    rows = thinned(values, 100)
    assert rows.size <= 102 and (rows[0], rows[-1]) == (0, values.size - 1)
    assert values[rows].min() == values.min() and values[rows].max() == values.max()


def test_every_table_comes_back_from_csv_and_parquet(report):
    tables = backtest.tables(report)
    assert set(tables) == {"trades", "bars", "figures", "shuffled", "bands", "grid", "folds", "walk"}
    for name, frame in tables.items():
        parts = {ending: b"".join(write(table_of(frame))) for ending, (write, _) in FORMATS.items()}
        back = pd.read_csv(io.BytesIO(parts["csv"])), pd.read_parquet(io.BytesIO(parts["parquet"]))
        for found in back:
            assert list(found.columns) == list(frame.columns) and len(found) == len(frame), name
    assert tables["trades"]["net"].sum() == pytest.approx(report.run.metrics.net)
    figures = tables["figures"].set_index("figure")
    assert figures.loc["net", "value"] == report.run.metrics.net
    assert tuple(figures.loc["net", ["low", "high"]]) == report.bands.net


def test_a_tear_sheet_needs_nothing_beside_itself_and_has_the_figures(report):
    text = tear_sheet(report, START_US, "UTC")
    for outside in ("http://", "https://", "src=", "<script", "@import", "url("):
        assert outside not in text
    for figure in ("ETHUSDT/BTCUSDT, 1 s bars", backtest.money(report.run.metrics.net, True), "deflated Sharpe"):
        assert figure in text
    assert text.count("<svg") == 2 and "<polygon" in text and ">nan<" not in text
    assert text.count("<tr") >= min(200, len(report.run.trades))


def test_the_verdict_never_praises_what_a_check_speaks_against(report):
    assert report.run.metrics.net < 0 and backtest.verdict(report) == "It loses after costs."
    gained = replace(report.run, metrics=replace(report.run.metrics, net=1.0))
    doubted = backtest.verdict(replace(report, run=gained))
    assert "the luck of the best try" in doubted and "out of sample nothing is earned" in doubted
    caught = replace(report.run, look_ahead=replace(report.run.look_ahead, clean=False, what="zscore at bar 7"))
    assert "none of its figures counts" in backtest.verdict(replace(report, run=caught))
    assert any(row[1] == "FOUND" for row in backtest.honesty_rows(replace(report, run=caught)))
    idle = replace(report.run, metrics=replace(report.run.metrics, trades=0))
    assert "nothing to judge" in backtest.verdict(replace(report, run=idle))


def test_a_run_without_a_trade_shows_dashes_and_no_zeros(engine):
    found, _ = ran(engine, replace(QUICK, grid=False), replace(VIEW, entry_z=15.0, stop_z=30.0))
    told = {card.label: (card.value, card.detail) for card in backtest.cards_of(found)}
    assert told["won"][0] == "–" and told["Sharpe, bar"] == ("–", "")
    assert "nothing was traded" in {row[0]: row[2] for row in backtest.honesty_rows(found)}["shuffled pairs"]
    assert "No bands: nothing was traded" in backtest.metrics_table(found)
    assert "<h2>Trades</h2><p>None.</p>" in tear_sheet(found, START_US, "UTC")


def test_saved_runs_stand_side_by_side_with_what_differs(engine):
    first = ran(engine)[0]
    second = ran(engine, replace(QUICK, capital=5_000.0))[0]
    runs = {"one": {"saved_us": 1, **first.summary()}, "two": {"saved_us": 2, **second.summary()}}
    text = compared(runs)
    assert "<td>capital</td><td>10000</td><td>5000</td>" in text and "<td>leverage</td>" not in text
    assert backtest.money(second.run.metrics.net, True) in text
    assert "parameters are the same" in compared({"one": runs["one"], "two": runs["one"]})
    frame = compared_frame(runs)
    assert frame["capital"].tolist() == [10_000.0, 5_000.0] and "one" in csv_text(frame)


def test_a_form_that_makes_no_rule_says_why():
    with pytest.raises(InputError, match="exit_z"):
        BacktestRequest("ETHUSDT", "BTCUSDT", "1s", BacktestParams(entry_z=1.0, exit_z=2.0))


def test_a_year_is_not_told_of_minutes_and_is_of_days(report):
    rows = {name: value for name, value, *_ in backtest.metric_rows(report)}
    assert rows["Sharpe, year"] == "–" and "Sortino, year" not in rows
    day = replace(report.run, ts_us=report.run.ts_us + 86_400 * 1_000_000 * (report.run.ts_us > report.run.ts_us[0]))
    rows = {name: value for name, value, *_ in backtest.metric_rows(replace(report, run=day))}
    assert rows["Sharpe, year"] == backtest.ratio(report.run.metrics.sharpe)


def test_the_best_trial_and_plateau_are_marked_in_their_cells(report):
    found = report.grid
    for best, mark in ((found.best, BEST), (found.best_plateau, BEST_PLATEAU)):
        (heat,) = grid_spec(found, "ols", best.window, "net", theme.DARK)["data"]
        place = found.axes.entry_z.index(best.entry_z), found.axes.exit_z.index(best.exit_z)
        marked = [(i, j) for i, row in enumerate(heat["text"]) for j, text in enumerate(row) if mark in text]
        assert marked == [place]
        others = [window for window in found.axes.window if window != best.window]
        assert not any(mark in str(grid_spec(found, "ols", window, "net", theme.DARK)) for window in others)
