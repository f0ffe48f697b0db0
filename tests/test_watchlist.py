"""Watched pairs: where they stand, and rules of the whole list."""

import math

import numpy as np
import pytest

import config
from analytics.pair import PairParams
from engine import watchlist as module
from engine.watchlist import Watched, Watchlist
from tests.fakes.engine import StillEngine, print_pair, settings, walk
from tests.waiting import until
from utils.errors import InputError, NotFound

PAIR = Watched("ETHUSDT", "BTCUSDT", "1s")
OTHER = Watched("SOLUSDT", "BTCUSDT", "1s")
RULE = {"metric": "zscore", "condition": "outside", "threshold": 0.001, "cooldown_s": 0}


@pytest.fixture
def engine(tmp_path):
    made = StillEngine(settings(tmp_path, symbols="BTCUSDT,ETHUSDT,SOLUSDT"))
    made.start()
    print_pair(made, 300)
    made.scripted.print("SOLUSDT", walk(300, 5, 150.0))
    yield made
    made.stop()


def test_a_watched_pair_stands_where_its_analysis_and_signal_say(engine):
    engine.watchlist.add("ethusdt", "BTCUSDT", "1s")
    (row,) = engine.watchlist.standings()
    params = PairParams(window=config.DEFAULT_WINDOW, fee_bps=config.FEE_BPS, **config.ANALYSIS)
    reading = engine.analysis(*PAIR, params).reading()
    assert row.pair == PAIR and row.state in module.STATES.values()
    assert (row.zscore, row.half_life, row.pvalue) == (reading["zscore"], reading["half_life"], reading["pvalue"])
    gap = abs(reading["spread"] - reading["spread_mean"])
    cost = 4 * config.FEE_BPS / 1e4 * 0.5 * (reading["price_y"] + abs(reading["hedge_ratio"]) * reading["price_x"])
    back = gap * (1 - 2 ** (-100 / reading["half_life"]))
    notional = reading["price_y"] + abs(reading["hedge_ratio"]) * reading["price_x"]
    assert row.edge_bps == pytest.approx(1e4 * (back - cost) / notional, rel=0.02)
    assert row.as_dict()["symbol_y"] == "ETHUSDT"


def test_what_cannot_be_said_of_a_pair_is_told(engine):
    engine.watchlist.add("ADAUSDT", "BTCUSDT", "1s")
    engine.watchlist.add("ETHUSDT", "BTCUSDT", "5m")
    absent, young = engine.watchlist.standings()
    assert (absent.state, absent.detail) == ("not followed", "ADAUSDT is not followed")
    assert young.state == "collecting" and "bars" in young.detail and math.isnan(young.zscore)


def test_the_list_outlives_a_restart(engine, tmp_path):
    engine.watchlist.add(*PAIR)
    engine.watchlist.add(*OTHER)
    engine.watchlist.add(*PAIR)
    made = engine.watchlist.add_rule(RULE)
    engine.stop()
    again = StillEngine(settings(tmp_path, symbols="BTCUSDT,ETHUSDT"))
    again._open("demo")
    again._notes = module_notes(again)
    again.alerts.load()
    try:
        assert again.watchlist.pairs() == [PAIR, OTHER]
        assert again.watchlist.rules() == [made]
        assert {rule.rule_id for rule in again.alerts.rules()} == set(made.members.values())
    finally:
        again.session.stop()


def module_notes(engine):
    from data import sqlite

    return sqlite.read_notes(engine.settings.database)


def test_a_rule_of_the_list_holds_for_every_pair_those_to_come_and_no_other(engine):
    watchlist = engine.watchlist
    watchlist.add(*PAIR)
    made = watchlist.add_rule(RULE)
    watchlist.add(*OTHER)
    assert {(rule.symbol_y, rule.symbol_x, rule.timeframe) for rule in engine.alerts.rules()} == {PAIR, OTHER}
    (held,) = watchlist.rules()
    assert held.list_rule_id == made.list_rule_id and set(held.members) == {PAIR.name, OTHER.name}
    watchlist.remove(OTHER)
    assert [rule.symbol_y for rule in engine.alerts.rules()] == ["ETHUSDT"]
    own = engine.alerts.add({**RULE, "symbol_y": "ETHUSDT", "symbol_x": "BTCUSDT", "timeframe": "1s"})
    watchlist.remove_rule(made.list_rule_id)
    assert engine.alerts.rules() == [own] and watchlist.rules() == []


def test_rules_of_the_list_fire_pair_by_pair(engine):
    engine.watchlist.add(*PAIR)
    engine.watchlist.add(*OTHER)
    engine.watchlist.add_rule(RULE)
    engine.judge()
    for seconds in range(1, 4):
        at_us = engine.scripted.clock_us
        for seed, symbol in enumerate(engine.symbols):
            engine.scripted.print(symbol, [engine.ticks(symbol).price[-1] + 3 + seed], 300 + seconds, at_us)
        until(lambda: engine.status().symbols["SOLUSDT"], lambda row: row.queued == 0)
        engine.judge()
    (rule,) = engine.watchlist.rules()
    assert set(engine.watchlist.firing(rule)) == {PAIR.name, OTHER.name}


def test_a_rule_that_a_user_deleted_by_hand_is_no_obstacle(engine):
    engine.watchlist.add(*PAIR)
    made = engine.watchlist.add_rule(RULE)
    engine.alerts.remove(made.members[PAIR.name])
    engine.watchlist.remove(PAIR)
    engine.watchlist.remove_rule(made.list_rule_id)
    assert engine.alerts.rules() == []


def test_limits_are_told_by_name(engine, monkeypatch):
    watchlist: Watchlist = engine.watchlist
    for wrong, message in (
        (("E-T", "BTCUSDT", "1s"), "letters, digits"),
        (("BTCUSDT", "btcusdt", "1s"), "two different symbols"),
        (("ETHUSDT", "BTCUSDT", "1x"), "1x"),
    ):
        with pytest.raises(InputError, match=message):
            watchlist.add(*wrong)
    for fields, message in (
        (RULE | {"symbol_y": "ETHUSDT"}, "takes symbol_y from each pair"),
        (RULE | {"metric": "luck"}, "metric must be one of"),
    ):
        with pytest.raises(InputError, match=message):
            watchlist.add_rule(fields)
    with pytest.raises(NotFound):
        watchlist.remove(PAIR)
    with pytest.raises(NotFound):
        watchlist.remove_rule("none")
    monkeypatch.setattr(module, "MOST_PAIRS", 1)
    watchlist.add(*PAIR)
    with pytest.raises(InputError, match="at most 1 watched pairs"):
        watchlist.add(*OTHER)
    for _ in range(module.MOST_RULES):
        watchlist.add_rule(RULE)
    with pytest.raises(InputError, match="at most 5 rules"):
        watchlist.add_rule(RULE)


def test_an_edge_needs_a_way_back(engine):
    reading = {"zscore": 3.0, "spread_std": 2.0, "price_y": 100.0, "price_x": 50.0, "hedge_ratio": 2.0}
    assert module._edge(reading | {"half_life": 5.0}, 1.0) == pytest.approx(250, rel=1e-4)
    assert module._edge(reading | {"half_life": np.inf}, 1.0) == -50.0
