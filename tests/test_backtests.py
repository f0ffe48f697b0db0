"""Backtests of an engine: jobs on the bars that pages show, what they say, and what is kept of them."""

import math
import threading
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from analytics.backtest import Axes, BacktestParams, backtest, deflated_sharpe, grid, shuffled, walk_forward
from analytics.backtest.overfitting import sharpe_error
from engine import backtests
from engine.backtest_report import BacktestRequest, Walk
from tests.fakes.engine import StillEngine, print_pair, settings
from tests.fakes.feed import ScriptedFeed
from tests.fakes.recordings import made_up, recorded
from tests.waiting import until
from utils.errors import InputError, NotFound

Y, X = "ETHUSDT", "BTCUSDT"
BARS = 900
PARAMS = BacktestParams(window=30, entry_z=1.5, exit_z=0.25)
AXES = Axes(("ols",), (20, 30), (1.0, 1.5, 2.0), (0.0, 0.25))
WHOLE = BacktestRequest(Y, X, "1s", PARAMS, shuffles=5, axes=AXES, walk=Walk(folds=3))
SHORT = replace(WHOLE, shuffles=0, axes=None, walk=None)


@pytest.fixture(scope="module")
def engine(tmp_path_factory):
    engine = StillEngine(settings(tmp_path_factory.mktemp("tape")))
    engine.start()
    print_pair(engine, BARS)
    engine.judge()
    yield engine
    engine.stop()


def done(engine, request):
    job = engine.backtests.start(request)
    return until(lambda: engine.backtests.job(job.job_id), lambda job: job.ended)


@pytest.fixture(scope="module")
def whole(engine):
    job = done(engine, WHOLE)
    assert (job.state, job.message, job.share) == ("done", "", 1.0)
    assert engine.backtests.find(replace(WHOLE)) == job and engine.backtests.request(job.job_id) == WHOLE
    assert engine.backtests.find(replace(WHOLE, bars=100)) is None
    return job, engine.backtests.report(job.job_id)


def same(ours, theirs):
    """Equal in all that is no array."""
    plain = (int, float, str, tuple, bool)
    assert type(ours) is type(theirs)
    for name in ours.__slots__:
        value = getattr(ours, name)
        if isinstance(value, plain):
            np.testing.assert_equal(value, getattr(theirs, name))


def test_a_report_says_what_the_library_says_of_the_bars_that_pages_show(engine, whole):
    _, report = whole
    analysis = engine.analysis(Y, X, "1s", PARAMS.pair)
    shown = slice(-analysis.n_obs, None)
    assert report.bars.n == BARS
    assert report.bars.ts_us[shown].tolist() == analysis.ts_us.tolist()
    known = np.isfinite(analysis.path.zscore)
    assert report.run.zscore[shown][known] == pytest.approx(analysis.path.zscore[known], rel=1e-9)
    bars = report.bars
    known = {"ts_us": bars.ts_us, "complete": bars.complete}
    own = backtest(bars.y, bars.x, PARAMS, **known)
    np.testing.assert_equal(report.run.metrics, own.metrics)
    assert report.run.equity.tolist() == own.equity.tolist() and report.run.metrics.trades > 5
    same(report.benchmark, shuffled(bars.y, bars.x, PARAMS, **known, runs=5))
    same(report.grid, grid(bars.y, bars.x, PARAMS, **AXES._asdict(), **known))
    same(report.walk, walk_forward(bars.y, bars.x, PARAMS, **AXES._asdict(), **known, folds=3))
    assert (report.trials, report.earlier, dict(report.missing)) == (12, 0, {})
    told = own.metrics
    figures = told.sharpe_bar, told.n_obs, told.skew, told.kurtosis
    assert report.deflated == deflated_sharpe(*figures, 12, sharpe_error(*figures))
    assert report.overfitting.probability == report.grid.overfitting().probability


def test_what_was_tried_before_counts_and_the_same_again_does_not(engine):
    engine.put_note(backtests.TRIED + f"{Y}/{X} 2s market of demo", '{"":3}')
    request = replace(SHORT, timeframe="2s")
    first = engine.backtests.report(done(engine, request).job_id)
    again = engine.backtests.report(done(engine, replace(request, bars=200)).job_id)
    other = engine.backtests.report(done(engine, replace(request, params=replace(PARAMS, entry_z=1.75))).job_id)
    assert [(report.earlier, report.trials) for report in (first, again, other)] == [(3, 1), (3, 1), (4, 1)]
    assert other.deflated.trials == 5
    assert engine.backtests.tried(WHOLE) == 0


def test_what_was_tried_and_run_on_one_market_is_not_of_another(tmp_path):
    engine = StillEngine(settings(tmp_path))
    engine.start()
    try:
        print_pair(engine, 400)
        job = done(engine, SHORT)
        changed = replace(SHORT, params=replace(PARAMS, window=31))
        assert engine.backtests.find(SHORT) == job and engine.backtests.tried(changed) == 1
        engine.scripted = ScriptedFeed("binance-um")
        engine._open("binance-um")
        assert engine.backtests.find(SHORT) is None and engine.backtests.tried(changed) == 0
        assert engine.backtests.report(job.job_id).bars.what == "open market, demo"
    finally:
        engine.stop()


def test_a_backtest_is_of_the_market_whose_bars_it_read(tmp_path):
    """Another market opens between the start and the reading, while other work holds the job back."""
    engine, free = StillEngine(settings(tmp_path)), threading.Event()
    engine.start()
    try:
        held = [engine.jobs.start("hold", "hold", lambda progress: free.wait(10)) for _ in range(8)]
        job = engine.backtests.start(SHORT)
        assert held and not engine.backtests.job(job.job_id).ended
        engine.scripted = ScriptedFeed("binance-um")
        engine._open("binance-um")
        print_pair(engine, 400)
        free.set()
        until(lambda: engine.backtests.job(job.job_id), lambda job: job.ended)
        assert engine.backtests.find(SHORT).job_id == job.job_id
        assert engine.backtests.report(job.job_id).bars.what == "open market, binance-um"
    finally:
        free.set()
        engine.stop()


def test_recordings_are_told_apart_in_what_was_tried(tmp_path):
    files = [recorded(tmp_path / f"{name}.gz", made_up(300)) for name in ("one", "two")]
    engine = StillEngine(settings(tmp_path, replay=(files[0],), source="replay"))
    engine.start()
    try:
        request = replace(SHORT, source="replay")
        done(engine, request)
        changed = replace(request, params=replace(PARAMS, window=31))
        assert engine.backtests.tried(changed) == 1
        engine._replays.files = (files[1],)
        assert engine.backtests.tried(changed) == 0 and engine.backtests.find(request) is None
        engine._replays.files = tuple(files)
        assert engine.backtests.tried(changed) == 0
    finally:
        engine.stop()


def test_searches_beyond_the_limit_go_on_as_a_number(engine, monkeypatch):
    monkeypatch.setattr(backtests, "MOST_TRIED", 2)
    requests = [replace(SHORT, timeframe="3s", params=replace(PARAMS, entry_z=1 + k / 4)) for k in range(5)]
    assert [engine.backtests.report(done(engine, one).job_id).earlier for one in requests] == [0, 1, 2, 3, 4]


def test_too_few_bars_fail_with_how_many_and_a_part_that_lacks_them_with_its_reason(engine):
    job = done(engine, replace(SHORT, timeframe="1m"))
    assert (job.state, job.message) == ("failed", "needs 30 bars, has 15")
    assert engine.backtests.report(job.job_id) is None
    job = done(engine, replace(WHOLE, bars=60))
    report = engine.backtests.report(job.job_id)
    assert "bars with a z-score" in report.missing["walk"] and report.walk is None
    assert "needs 50 bars" in report.missing["bands"]
    assert msgspec.json.encode(report.summary())  # whatever is missing


def test_a_cancelled_backtest_counts_nothing(engine):
    request = replace(SHORT, timeframe="5s", shuffles=1_000)
    job = engine.backtests.start(request)
    engine.jobs.cancel(job.job_id)
    assert until(lambda: engine.backtests.job(job.job_id), lambda job: job.ended).state == "cancelled"
    assert engine.backtests.tried(replace(request, params=BacktestParams())) == 0


def test_runs_are_saved_with_their_parameters_compared_and_dropped(engine):
    job = done(engine, WHOLE)
    report = engine.backtests.report(job.job_id)
    engine.backtests.save(job.job_id, " first ")
    kept = engine.backtests.saved()["first"]
    assert kept["metrics"]["net"] == report.run.metrics.net
    assert kept["request"]["params"]["entry_z"] == 1.5 and kept["request"]["params"]["time_stop"] is None
    assert kept["honesty"]["overfitting"]["probability"] == report.overfitting.probability
    assert kept["honesty"]["bands"]["net"] == list(report.bands.net)
    assert kept["equity"]["equity"][-1] == report.run.equity[-1] and len(kept["equity"]["equity"]) <= 452
    assert kept["bars"]["given"] == BARS and kept["bars"]["incomplete"] == report.bars.incomplete
    for name, word in (("", "1 to 40 letters"), ("n" * 41, "has 41")):
        with pytest.raises(InputError, match=word):
            engine.backtests.save(job.job_id, name)
    engine.backtests.drop("first")
    assert engine.backtests.saved() == {}


def test_old_reports_make_room(engine, monkeypatch):
    monkeypatch.setattr(backtests, "KEPT", 1)
    first = done(engine, replace(SHORT, timeframe="4s"))
    second = done(engine, replace(SHORT, timeframe="4s", bars=100))
    assert engine.backtests.report(first.job_id) is None and engine.backtests.report(second.job_id) is not None
    with pytest.raises(NotFound, match="run it again"):
        engine.backtests.save(first.job_id, "gone")


def test_sources_are_the_market_the_file_and_recordings_that_hold_both_legs(engine):
    engine.start_recording()
    print_pair(engine, 120, BARS + 1, engine.now_us())
    engine.stop_recording()
    engine.session.store_bars(final=True)
    until(lambda: engine.session.mirror.waiting, lambda waiting: waiting == 0)
    found = until(lambda: engine.backtests.sources(Y, X, "1m"), lambda rows: len(rows) == 3 and rows[1].bars)
    assert [row.key.partition(":")[0] for row in found] == ["market", "stored", "recording"]
    assert (found[1].key, found[1].title) == ("stored:demo", "database, all runs of demo")
    assert found[1].complete <= found[1].bars <= 17
    job = done(engine, replace(SHORT, source=found[2].key))
    report = engine.backtests.report(job.job_id)
    assert job.message == ""
    assert 110 <= report.bars.n <= 120 and report.bars.what.startswith("recording ")
    stored = engine.backtests.report(done(engine, replace(SHORT, source="stored:demo")).job_id)
    assert stored.bars.what.startswith("stored ") and stored.bars.n > BARS
    assert engine.backtests.sources("DOGEUSDT", X, "1m")[1:] == []
    job = done(engine, replace(SHORT, source="recording:absent"))
    assert (job.state, job.message) == ("failed", "there is no source of bars 'recording:absent'")
    job = done(engine, replace(SHORT, symbol_y="DOGEUSDT"))
    assert "DOGEUSDT is not followed" in job.message


def test_a_replayed_file_is_a_source_as_a_whole(tmp_path):
    file = recorded(tmp_path / "tape.gz", made_up(300))
    engine = StillEngine(settings(tmp_path, replay=(file,), source="replay"))
    engine.start()
    try:
        keys = [row.key for row in engine.backtests.sources(Y, X, "1s")]
        assert keys == ["market", "replay"]
        report = engine.backtests.report(done(engine, replace(SHORT, source="replay")).job_id)
        assert 290 <= report.bars.n <= 300
    finally:
        engine.stop()


PAID = replace(SHORT, funding=(1e-4, -2e-4), params=BacktestParams(time_stop=3.0, stop_z=math.inf))


@pytest.mark.parametrize("asked", [WHOLE, SHORT, PAID])
def test_a_request_comes_back_from_json(asked):
    assert BacktestRequest.of(msgspec.json.decode(msgspec.json.encode(asked.as_dict()))) == asked


WRONG = [
    ({"symbol_x": Y}, "symbol_x", "two different symbols"),
    ({"timeframe": "soon"}, "timeframe", "soon"),
    ({"bars": 19}, "bars", "20 to 500000, were 19"),
    ({"shuffles": 1_001}, "shuffles", "were 1001"),
    (
        {"axes": Axes(("ols",), tuple(range(20, 320)), (1.0, 2.0, 3.0, 4.0), tuple(np.arange(0, 1, 0.05)))},
        "grid",
        "24,000",
    ),
    ({"funding": (math.nan, 0.0)}, "funding", "was nan"),
]


@pytest.mark.parametrize("fields, field, word", WRONG)
def test_a_request_out_of_its_limits_is_refused_by_name(fields, field, word):
    with pytest.raises(InputError, match=word) as caught:
        replace(SHORT, **fields)
    assert caught.value.field == field


@pytest.mark.parametrize(
    "fields, word", [({"folds": 0}, "folds must be 1 to 50"), ({"choose": "luck"}, "sharpe, plateau")]
)
def test_a_walk_out_of_its_limits_is_refused(fields, word):
    with pytest.raises(InputError, match=word):
        Walk(**fields)
