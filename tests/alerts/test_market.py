"""Rules on an engine: what they are judged by, what the past says, and that both agree event by event."""

from collections import Counter

import numpy as np
import pytest

from alerts.past import MOST_BARS, MOST_TESTED, USUAL_BARS, usual_bars
from alerts.rules import Scope, rule_from
from analytics.microstructure import order_flow_imbalance
from analytics.readings import metrics, tape_names
from data.feeds.replay import ReplayFeed
from data.session import Session
from data.trades import Trades
from engine import Engine
from tests.fakes.engine import StillEngine, print_pair, settings
from tests.fakes.feed import T0, S
from tests.market import market
from tests.waiting import until
from utils.errors import InputError

PAIR = {"symbol_y": "ETHUSDT", "symbol_x": "BTCUSDT", "timeframe": "1s", "cooldown_s": 5, "nodata_s": 3}
ONE = {"symbol": "BTCUSDT", "timeframe": "1s", "cooldown_s": 0}


@pytest.fixture
def still(tmp_path):
    engine = StillEngine(settings(tmp_path))
    engine.start()
    yield engine
    engine.stop()


# --- readings ---------------------------------------------------------------------------------------


def test_every_metric_is_there_by_name(still):
    print_pair(still, 300)
    still.judge()
    for scope in (Scope("ETHUSDT", "BTCUSDT", "1s"), Scope("BTCUSDT", "", "1s")):
        for intrabar in (False, True):
            is_pair = bool(scope.symbol_x)
            found = set(still._evaluator._readings(scope._replace(intrabar=intrabar)))
            assert set(metrics(is_pair)) - tape_names(is_pair) == found


def test_what_only_the_live_tape_tells_is_there_for_the_rules_that_ask_for_it(still):
    print_pair(still, 300)
    still.alerts.add(ONE | {"metric": "vpin", "condition": ">", "threshold": 2})
    still.alerts.add(PAIR | {"metric": "liquidity_x", "condition": ">", "threshold": 200})
    rule = still.alerts.add(PAIR | {"metric": "opportunity", "condition": ">=", "threshold": 0})
    for _ in range(3):  # a round that compiles leaves scopes to the next one
        still.judge()
    one = still._evaluator._readings(Scope("BTCUSDT", "", "1s"))
    assert one["vpin"] == still.tape("BTCUSDT").vpin.value
    found = still._evaluator._readings(Scope("ETHUSDT", "BTCUSDT", "1s"))
    assert found["liquidity_x"] == pytest.approx(still.tape("BTCUSDT").liquidity)
    assert found["opportunity"] == still.signal_reading("ETHUSDT", "BTCUSDT", "1s", still._params)["opportunity"]
    assert [event.rule_id for event in still.alerts.events_after(0)] == [rule.rule_id]


@pytest.mark.parametrize(
    "fields, names, field",
    [
        (ONE | {"metric": "vpin", "condition": ">", "threshold": 0}, "vpin", "metric"),
        (PAIR | {"metric": "opportunity", "condition": ">", "threshold": 0}, "opportunity", "metric"),
        (PAIR | {"expression": "zscore > 1 OR vpin_x > 0", "until": "signal < 1"}, "signal, vpin_x", "expression"),
    ],
)
def test_a_rule_on_the_live_tape_has_no_past_and_the_trial_says_so(still, fields, names, field):
    print_pair(still, 300)
    with pytest.raises(InputError, match=f"^{names} cannot be tried on the past") as caught:
        still.would_have_fired(fields, 100)
    assert caught.value.field == field


def test_order_flow_of_bars_is_that_of_their_trades(still):
    print_pair(still, 300)
    still.judge()
    trades = still.ticks("BTCUSDT", 20)
    expected = order_flow_imbalance(trades.qty, trades.buyer_is_maker)
    assert still._evaluator._readings(Scope("BTCUSDT", "", "1s"))["ofi"] == pytest.approx(expected)


def test_a_rule_is_judged_by_the_analysis_that_pages_see(still):
    print_pair(still, 200)
    still.judge()
    found = still._evaluator._readings(Scope("ETHUSDT", "BTCUSDT", "1s"))
    shown = still.analysis("ETHUSDT", "BTCUSDT", "1s", still._params).reading()
    assert {name: found[name] for name in shown} == pytest.approx(shown, nan_ok=True)
    assert found.at_us == T0 + 200 * S


def test_between_closes_the_bar_in_progress_is_judged(still):
    rule = still.alerts.add(ONE | {"metric": "price", "condition": ">", "threshold": 100, "timeframe": "1m"})
    early = still.alerts.add(ONE | {"metric": "price", "condition": ">", "threshold": 100, "on": "intrabar"})
    still.scripted.print("BTCUSDT", [50.0, 60.0])
    still.judge(T0 + 2 * S)
    still.scripted.print("BTCUSDT", [110.0], first_id=3, at_us=T0 + 2 * S)
    still.judge(T0 + 2 * S + S // 2)
    (event,) = still.alerts.events_after(0)
    assert (event.rule_id, event.state, event.value) == (early.rule_id, "firing", 110.0)
    assert still.alerts.state(rule.rule_id).state == "OK"


def test_a_pair_can_be_watched_at_trade_times(still):
    still.alerts.add(PAIR | {"metric": "price_y", "condition": ">", "threshold": 1, "timeframe": "tick"})
    print_pair(still, 100)
    still.judge()
    assert [event.state for event in still.alerts.events_after(0)] == ["firing"]
    with pytest.raises(InputError, match="tick"):
        still.alerts.add(ONE | {"metric": "price", "condition": ">", "threshold": 1, "timeframe": "tick"})


def test_what_fired_is_kept_with_what_was_true(still):
    print_pair(still, 300)
    z = still.analysis("ETHUSDT", "BTCUSDT", "1s", still._params).path.zscore[-1]
    still.alerts.add(PAIR | {"metric": "zscore", "condition": ">", "threshold": float(z) - 0.1})
    still.judge()
    (event,) = still.alerts.events_after(0)
    (row,) = until(lambda: still.alert_file.event(event.event_id), len)
    context = row["context"]
    assert context["values"]["zscore"] == pytest.approx(z)
    assert context["values"]["hedge_ratio"] > 0 and 0 <= context["tests"]["engle_granger"]["pvalue"] <= 1
    assert len(context["picture"]["zscore"]) == len(context["picture"]["spread"]) == 60
    assert context["picture"]["zscore"][-1] == pytest.approx(z)
    assert (context["coverage"], context["rule"]["version"]) == (1.0, 1)
    assert context["verdict"]


def test_the_cost_of_a_round_follows_the_scopes_not_the_rules(still, monkeypatch):
    """D20, D21."""
    calls = Counter()
    analysis = StillEngine.analysis
    monkeypatch.setattr(
        StillEngine, "analysis", lambda self, *a, **k: calls.update(["made"]) or analysis(self, *a, **k)
    )
    print_pair(still, 200)
    for threshold in range(100):
        still.alerts.add(PAIR | {"metric": "zscore", "condition": ">", "threshold": 10 + threshold})
    still.judge()
    assert calls["made"] == 1
    assert still.alerts.counts["judged"] == 100


# --- data that is not there -------------------------------------------------------------------------


def test_a_frozen_feed_is_told_once_and_resolves_nothing(still):
    """D6, B13."""
    still.alerts.add(PAIR | {"metric": "price_y", "condition": ">", "threshold": 1})
    late = still.alerts.add(PAIR | {"metric": "feed_age", "condition": ">", "threshold": 60})
    print_pair(still, 60)
    for second in range(60, 361, 4):
        still.judge(T0 + second * S)
    fired = [event for event in still.alerts.events_after(0) if event.rule_id != late.rule_id]
    assert [event.state for event in fired] == ["firing", "nodata"]
    assert T0 + 80 * S <= fired[1].at_us <= T0 + 86 * S  # the patience with the feed, and three seconds more
    (told,) = [event for event in still.alerts.events_after(0) if event.rule_id == late.rule_id]
    assert (told.state, told.value) == ("firing", 61.0)
    still.scripted.print("BTCUSDT", [60_000.0] * 3, first_id=61, at_us=T0 + 360 * S)
    still.scripted.print("ETHUSDT", [2_500.0] * 3, first_id=61, at_us=T0 + 360 * S)
    still.judge(T0 + 363 * S)
    assert [event.state for event in still.alerts.events_after(0)] == ["firing", "nodata", "firing", "resolved"]


def test_one_silent_leg_is_enough(still):
    """B13."""
    rule = still.alerts.add(PAIR | {"metric": "price_x", "condition": ">", "threshold": 1})
    print_pair(still, 60)
    still.judge()
    still.scripted.print("BTCUSDT", [60_000.0] * 60, first_id=61, at_us=T0 + 60 * S)
    for second in range(61, 121):
        still.judge(T0 + second * S)
    assert still.alerts.state(rule.rule_id).state == "NODATA"


def test_an_open_gap_is_no_data_and_what_comes_later_is_recorded_as_missed(still):
    """D22, B4."""
    rule = still.alerts.add(ONE | {"metric": "price", "condition": ">", "threshold": 100, "nodata_s": 0})
    still.scripted.print("BTCUSDT", [50.0, 51.0])
    still.judge(T0 + 2 * S)
    still.scripted.print("BTCUSDT", [52.0, 53.0], first_id=4, at_us=T0 + 3 * S)  # id 3 is missing
    still.session.ingestion.tick(float("inf"))
    still.judge(T0 + 5 * S)
    assert still.alerts.state(rule.rule_id).state == "OK"  # the newest bar is whole again
    still.scripted.print("BTCUSDT", [150.0], first_id=3, at_us=T0 + 2 * S)
    still.judge(T0 + 5 * S)
    still.scripted.print("BTCUSDT", [54.0], first_id=6, at_us=T0 + 5 * S)
    still.judge(T0 + 6 * S)
    events = [(event.state, event.at_us, event.value) for event in still.alerts.events_after(0)]
    assert events == [("nodata", T0 + 3 * S, None), ("missed", T0 + 3 * S, 150.0)]


def test_too_few_bars_are_no_data(still):
    """B12."""
    rule = still.alerts.add(PAIR | {"metric": "zscore", "condition": ">", "threshold": -99})
    still.scripted.print("BTCUSDT", np.full(100, 50.0))
    still.scripted.print("ETHUSDT", np.linspace(10, 11, 100))
    for second in range(100, 106):
        still.judge(T0 + second * S)
    assert still.alerts.state(rule.rule_id).state == "NODATA"  # and a leg that does not vary
    assert still.alerts.events_after(0) == []


# --- the past ---------------------------------------------------------------------------------------

TWENTY = [
    PAIR | {"metric": "zscore", "condition": ">", "threshold": 2.0, "recovery": 0.5},
    PAIR | {"metric": "zscore", "condition": "<", "threshold": -2.0},
    PAIR | {"metric": "zscore", "condition": "outside", "threshold": 1.5, "for_s": 2},
    PAIR | {"metric": "zscore", "condition": "inside", "threshold": 0.5},
    PAIR | {"metric": "zscore", "condition": "crosses_above", "threshold": 1.0},
    PAIR | {"metric": "zscore", "condition": "crosses_below", "threshold": 0.0, "repeat_s": 3},
    PAIR | {"metric": "zscore", "condition": ">", "threshold": 1.0, "change_s": 5},
    PAIR | {"metric": "spread", "condition": "<", "threshold": 0.0, "change_s": 3, "cooldown_s": 0},
    PAIR | {"metric": "correlation", "condition": "<", "threshold": 0.5},
    PAIR | {"metric": "hedge_ratio", "condition": "outside", "low": 0.03, "threshold": 0.05},
    PAIR | {"expression": "zscore outside 1 AND rsi_y > 50", "until": "abs(zscore) < 0.3"},
    PAIR | {"expression": "zscore > 1 OR volume_spike_x > 3", "cooldown_s": 0},
    PAIR | {"expression": "change_pct(price, 10s) > 0.01 AND correlation > 0"},
    ONE | {"metric": "price", "condition": "crosses_above", "threshold": 0.0, "change_s": 10},
    ONE | {"metric": "volume_spike", "condition": ">", "threshold": 3},
    ONE | {"metric": "rsi", "condition": "outside", "low": 30, "threshold": 70, "for_s": 3},
    ONE | {"metric": "trades_per_s", "condition": ">=", "threshold": 30, "symbol": "ETHUSDT"},
    ONE | {"metric": "volume", "condition": ">", "threshold": 5, "timeframe": "5s"},
    PAIR | {"metric": "half_life", "condition": "<", "threshold": 8, "timeframe": "2s"},
    PAIR | {"metric": "pvalue", "condition": "<", "threshold": 0.2, "timeframe": "2s"},
]


def recorded(seconds: int) -> tuple[int, list[Trades]]:
    """The first seconds of a recorded session, and when they begin."""
    tapes = []
    for symbol in ("btcusdt", "ethusdt"):
        kept: list[Trades] = []

        class Sink:
            def offer(self, trades, kept=kept):
                kept.append(trades)

            def reject(self, *_):
                """Nothing is."""

        feed = ReplayFeed([market(f"ws/usdm_{symbol}_20240808.gz")], speed=0)
        feed.start(Sink())
        until(lambda feed=feed: feed.state.mode, lambda mode: mode == "ENDED", 60)
        feed.stop()
        tapes.append(Trades.concat(symbol.upper(), kept).sorted_by_id())
    begin_us = max(int(tape.ts_us[0]) for tape in tapes) // (10 * S) * 10 * S
    return begin_us, [tape[: int(np.searchsorted(tape.ts_us, begin_us + seconds * S))] for tape in tapes]


def log_of(engine: Engine, rule_id: str) -> list[tuple]:
    rows = [event for event in engine.alerts.events_after(0) if event.rule_id == rule_id and event.state != "missed"]
    return [(event.at_us, event.state, event.value, event.count) for event in rows]


def rehearsed(engine: Engine, body: dict, bars: int) -> list[tuple]:
    found = engine.would_have_fired(body, bars)
    assert found["exact"] and found["bars"] <= bars
    return [(row["at_us"], row["state"], row["value"], row["count"]) for row in found["log"]]


def firings_of(rows: list[dict]) -> list[dict]:
    return [row for row in rows if row["state"] == "firing"]


def outcomes_of(engine: Engine, rule_id: str) -> dict[int, dict | None]:
    """What came of its firings, by their times."""
    rows = engine.alert_file.history(1_000, rule_id=rule_id, state="firing")
    return {row["at_us"]: row["outcome"] for row in rows}


def test_the_past_says_exactly_what_the_live_log_says(still):
    """Twenty rules over a recorded session, lived through second by second."""
    begin_us, tapes = recorded(130)
    rules = [still.alerts.add(body) for body in TWENTY]
    assert len({(rule.scope, rule.what, rule.for_s) for rule in rules}) == 20
    for second in range(1, 131):
        until_us = begin_us + second * S
        for number, tape in enumerate(tapes):
            cut = int(np.searchsorted(tape.ts_us, until_us))
            if cut:
                still.scripted.sink.offer(tape[:cut])
                tapes[number] = tape[cut:]
        still.judge(until_us)
    assert all(len(tape) == 0 for tape in tapes)
    states, outcomes = Counter(), Counter()
    for rule, body in zip(rules, TWENTY, strict=True):
        lived = log_of(still, rule.rule_id)
        bars = 130 * S // {"1s": S, "2s": 2 * S, "5s": 5 * S}[rule.timeframe]
        assert rehearsed(still, body, bars) == lived, rule.title
        states.update(state for _, state, _, _ in lived)
        past = {row["at_us"]: row["outcome"] for row in firings_of(still.would_have_fired(body, bars)["log"])}
        until(lambda rule=rule: outcomes_of(still, rule.rule_id), lambda found, past=past: found == past)
        outcomes.update(outcome["reverted"] for outcome in past.values() if outcome)
    assert outcomes[True] > 20 and outcomes[False] > 5
    fired = {event.rule_id for event in still.alerts.events_after(0)}
    assert len(fired) >= 15 and states["firing"] > 60 and states["resolved"] > 50 and states["repeat"] > 0


def test_a_replay_at_any_speed_judges_every_bar(tmp_path):
    files = tuple(market(f"ws/usdm_{symbol}_20240808.gz") for symbol in ("btcusdt", "ethusdt"))
    engine = Engine(settings(tmp_path, source="replay", replay=files, speed=0))
    engine.start()
    rules = [engine.alerts.add(body) for body in TWENTY[:3]]
    until(lambda: engine.session.feed.state.mode, lambda mode: mode == "ENDED", 60)
    last_us = engine.now_us() // S * S
    until(lambda: min(engine.alerts._judged_us.values(), default=0), lambda at_us: at_us >= last_us)
    engine.stop()
    began_us = int(engine.columns("ETHUSDT", "1s", 5_000).ts_us[0])
    bars = (last_us - began_us) // S
    for rule, body in zip(rules, TWENTY, strict=False):
        lived = log_of(engine, rule.rule_id)
        past = rehearsed(engine, body, bars)
        assert len(lived) > 3 and past[-len(lived) :][1:] == lived[1:]  # the first second may have passed unseen


def test_stored_bars_go_on_where_memory_ends_but_not_with_another_run(still, monkeypatch):
    print_pair(still, 300)
    still.session.resampler("BTCUSDT", "1s")
    still.judge()
    until(lambda: still.session.mirror.queued("BTCUSDT"), lambda queued: queued == 0)
    whole = still.columns("BTCUSDT", "1s", 301)
    still.columns = lambda symbol, timeframe, limit: whole[100:]  # memory holds a part only
    assert len(still._past("BTCUSDT", "1s", 250)) == 200  # of the demo market the file has all runs
    monkeypatch.setattr(Session, "live", True)
    past = until(lambda: still._past("BTCUSDT", "1s", 250), lambda past: len(past) == 250)
    np.testing.assert_array_equal(past.ts_us, whole.ts_us[50:300])
    np.testing.assert_array_equal(past.close, whole.close[50:300])
    np.testing.assert_array_equal(past.complete, whole.complete[50:300])


def test_the_count_moves_with_the_threshold(still):
    print_pair(still, 400)
    found = still.would_have_fired(PAIR | {"metric": "zscore", "condition": "outside", "threshold": 2.0}, 300)
    tried = [(row["threshold"], row["firings"]) for row in found["by_threshold"]]
    assert [threshold for threshold, _ in tried] == [1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0]
    assert tried[0][1] > tried[4][1] > tried[-1][1]
    assert dict(tried)[2.0] == found["firings"]
    assert found["known"] >= found["reverted"] > 0
    assert (found["bars"], found["rule"]) == (300, "zscore outside ±2")
    exact = still.would_have_fired(ONE | {"metric": "price", "condition": ">", "threshold": 1, "on": "intrabar"}, 10)
    assert exact["exact"] is False


def test_without_a_number_a_rule_is_rehearsed_over_as_many_bars_as_it_may():
    def bars(**fields):
        return usual_bars(rule_from(PAIR | {"condition": "<", "threshold": 1.0} | fields, "r"))

    assert bars(metric="zscore") == bars(metric="rsi_x") == bars(metric="coverage", symbol="BTCUSDT") == USUAL_BARS
    assert bars(metric="half_life") == bars(expression="zscore > 2 AND pvalue < 0.05") == MOST_TESTED


def test_a_rehearsal_can_be_ended_and_has_limits(still):
    print_pair(still, 100)
    body = PAIR | {"metric": "zscore", "condition": ">", "threshold": 2.0}
    assert still.would_have_fired(body, 80, go_on=lambda done: done <= 20)["bars"] == 20
    for fields, bars, most in ((body, MOST_BARS + 1, MOST_BARS), (body | {"metric": "pvalue"}, 2_000, MOST_TESTED)):
        with pytest.raises(InputError, match=f"1 to {most}"):
            still.would_have_fired(fields, bars)
    with pytest.raises(InputError, match="at most 25 thresholds"):
        still.would_have_fired(body, 10, thresholds=range(26))
    with pytest.raises(InputError, match="one condition"):
        still.would_have_fired(PAIR | {"expression": "zscore > 1"}, 10, thresholds=[1.0])
    assert (
        still.would_have_fired(ONE | {"symbol": "NONEUSDT", "metric": "price", "condition": ">", "threshold": 1})[
            "bars"
        ]
        == 0
    )
