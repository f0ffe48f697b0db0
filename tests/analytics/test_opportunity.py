"""The opportunity score by hand, its terms, and what speaks against a trade."""

import math
from dataclasses import asdict, fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics.signals import (
    Caps,
    Facts,
    Reason,
    SignalParams,
    Weights,
    opportunity_score,
    reasons_against,
)
from tests.analytics.facts import GOOD
from utils.errors import InputError

NAN = math.nan
# z, volatility, momentum, liquidity; the four terms; 0.30, 0.25, 0.25 and 0.20 of them. By hand:
# (|z| - 0.5) / 2.5, (volatility - 0.7) / 0.6, (0.3 - sign(z) momentum) / 0.6, liquidity / 100.
BY_HAND = [
    ((2.0, 1.0, -0.15, 80.0), (60, 50, 75, 80), 65.25),
    ((-2.0, 1.0, 0.15, 80.0), (60, 50, 75, 80), 65.25),
    ((2.0, 1.0, 0.15, 80.0), (60, 50, 25, 80), 52.75),
    ((3.5, 1.6, -0.9, 100.0), (100, 100, 100, 100), 100.0),
    ((0.4, 0.6, 0.9, 0.0), (0, 0, 0, 0), 0.0),
    ((-1.0, 1.15, 0.0, 40.0), (20, 75, 50, 40), 45.25),
    ((0.0, 0.85, 0.2, 10.0), (0, 25, 50, 10), 20.75),
]
# What is changed in the facts, the z, and what then speaks against the trade
AGAINST = [
    ({}, 2.5, {}),
    ({"n_obs": 99}, 2.5, {"too_few_bars": "There are 99 bars; 100 are needed."}),
    ({"n_obs": 100}, 2.5, {}),
    ({"stale": ("YUSDT",)}, 2.5, {"stale_leg": "No fresh trades of YUSDT."}),
    ({"stale": ("YUSDT", "XUSDT")}, 2.5, {"stale_leg": "No fresh trades of YUSDT and XUSDT."}),
    ({"open_gaps": 1}, 2.5, {"open_gap": "1 gap is open: trades are missing."}),
    ({"open_gaps": 3}, 2.5, {"open_gap": "3 gaps are open: trades are missing."}),
    ({"coverage": 0.9}, 2.5, {"incomplete_bars": "90.0% of the bars are complete; 95.0% are needed."}),
    ({"coverage": NAN}, 2.5, {"incomplete_bars": "It is not known how many bars are complete."}),
    ({"alarm": True}, 2.5, {"break_alarm": "The relation calibrated before this session has broken."}),
    (
        {"hedge_ratio": NAN},
        2.5,
        {"no_hedge_ratio": "There is no hedge ratio: the size of the second leg is not known."},
    ),
    ({"pvalue": 0.05}, 2.5, {"not_cointegrated": "Cointegration is not shown (p 0.05)."}),
    ({"pvalue": NAN}, 2.5, {"not_cointegrated": "Cointegration is not tested."}),
    ({"half_life_bars": NAN}, 2.5, {"half_life_unknown": "The half-life is not known."}),
    (
        {"half_life_bars": math.inf},
        2.5,
        {"half_life_unknown": "There is no evidence of reversion: the half-life is infinite."},
    ),
    ({"breakeven_z": NAN}, 2.5, {"cost_unknown": "What z pays the costs is not known."}),
    ({"breakeven_z": math.inf}, 2.5, {"below_cost": "No z pays the costs."}),
    ({}, 1.1, {"below_cost": "|z| of 1.1 is below 1.2, from where the costs are paid."}),
    ({}, -1.1, {"below_cost": "|z| of 1.1 is below 1.2, from where the costs are paid."}),
    ({}, -4.1, {"beyond_stop": "|z| is beyond the stop of 4."}),
    ({}, NAN, {}),
]
NUMBERS = {
    "zscore": st.floats(-6, 6),
    "volatility": st.floats(0, 3),
    "momentum": st.floats(-2, 2),
    "liquidity": st.floats(0, 100),
}
MARKETS = st.fixed_dictionaries(NUMBERS)
REASONS = st.lists(st.floats(0, 100).map(lambda cap: Reason("some", "Some reason.", cap)), max_size=3)


@pytest.mark.parametrize("numbers, terms, score", BY_HAND)
def test_the_score_by_hand(numbers, terms, score):
    found = opportunity_score(*numbers)
    assert [term.score for term in found.terms] == pytest.approx(list(terms), abs=1e-9)
    assert found.score == found.uncapped == pytest.approx(score, abs=1e-9)
    assert [term.name for term in found.terms] == ["zscore", "volatility", "momentum", "liquidity"]
    assert [term.weight for term in found.terms] == [0.30, 0.25, 0.25, 0.20]
    assert found.reasons == () and not found.void


def test_a_term_keeps_what_was_measured():
    values = [term.value for term in opportunity_score(-2.0, 1.1, 0.2, 30.0).terms]
    assert values == [2.0, 1.1, 0.2, 30.0]  # |z|; momentum towards the mean is up where z is below it
    assert opportunity_score(2.0, 1.1, 0.2, 30.0).terms[2].value == -0.2


def test_weights_and_limits_are_parameters():
    found = opportunity_score(2.0, 1.0, -0.15, 80.0, SignalParams(weights=Weights(1.0, 0.0, 0.0, 0.0), full_z=2.0))
    assert found.score == 100
    params = SignalParams(low_volatility=0.0, high_volatility=2.0, full_momentum=1.0, exit_z=0.0, full_z=4.0)
    assert [term.score for term in opportunity_score(2.0, 1.0, -0.5, 80.0, params).terms] == [50, 50, 75, 80]


@given(numbers=MARKETS, reasons=REASONS)
def test_the_score_is_the_sum_of_its_parts_under_the_lowest_cap(numbers, reasons):
    found = opportunity_score(**numbers, reasons=reasons)
    total = sum(term.weight * term.score for term in found.terms)
    assert 0 <= found.score <= 100 and all(0 <= term.score <= 100 for term in found.terms)
    assert found.uncapped == pytest.approx(total, abs=1e-9)
    assert found.score == pytest.approx(min([total, *(reason.cap for reason in reasons)]), abs=1e-9)


@given(numbers=MARKETS)
def test_a_mirrored_spread_scores_alike(numbers):
    mirrored = numbers | {"zscore": -numbers["zscore"], "momentum": -numbers["momentum"]}
    assert opportunity_score(**mirrored) == opportunity_score(**numbers)


@given(numbers=MARKETS, name=st.sampled_from(list(NUMBERS)), more=st.floats(0, 5), reasons=REASONS)
def test_the_score_never_falls_where_a_term_rises(numbers, name, more, reasons):
    side = -1.0 if numbers["zscore"] < 0 else 1.0
    change = {"zscore": side * more, "momentum": -side * more}.get(name, more)
    better = numbers | {name: numbers[name] + change}
    better["liquidity"] = min(100.0, better["liquidity"])
    before, after = (opportunity_score(**case, reasons=reasons) for case in (numbers, better))
    if name == "zscore" and numbers["zscore"] == 0:
        return  # a spread at its mean has no side, and gets one: the momentum term may go either way
    assert after.score >= before.score - 1e-9
    at = list(NUMBERS).index(name)
    assert after.terms[at].score >= before.terms[at].score


@given(numbers=MARKETS, reasons=REASONS, name=st.sampled_from([*NUMBERS, ""]))
def test_any_reason_that_voids_gives_nothing_whatever_is_known(numbers, reasons, name):
    numbers = numbers | ({name: NAN} if name else {})
    found = opportunity_score(**numbers, reasons=[*reasons, Reason("stale_leg", "No fresh trades.", 0.0)])
    assert found.score == 0 and found.void
    assert found.reasons[0].cap == 0


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [NAN, math.inf, -math.inf])
def test_a_term_that_is_not_known_makes_the_score_unknown_and_says_so(name, value):
    if (name, value) in (("volatility", -math.inf), ("liquidity", math.inf), ("liquidity", -math.inf)):
        value = NAN
    numbers = {"zscore": 2.0, "volatility": 1.0, "momentum": -0.1, "liquidity": 50.0, name: value}
    found = opportunity_score(**numbers, reasons=[Reason("not_cointegrated", "Not shown.", 25.0)])
    assert math.isnan(found.score) and math.isnan(found.uncapped) and not found.void
    assert f"{name}_unknown" in [reason.code for reason in found.reasons]
    assert found.reasons[-1].code == "not_cointegrated"
    known = [term.score for term in found.terms if term.name not in (name, "momentum")]
    assert all(map(math.isfinite, known))


def test_a_term_without_weight_need_not_be_known():
    params = SignalParams(weights=Weights(0.5, 0.25, 0.25, 0.0))
    found = opportunity_score(2.0, 1.0, -0.15, NAN, params)
    assert found.score == pytest.approx(0.5 * 60 + 0.25 * 50 + 0.25 * 75) and found.reasons == ()


def test_weights_that_round_above_one_add_nothing():
    params = SignalParams(weights=Weights(0.3 + 5e-10, 0.25, 0.25, 0.2))
    found = opportunity_score(4.0, 2.0, -1.0, 100.0, params)
    assert found.score == found.uncapped == 100


def test_what_cannot_be_is_refused():
    for field, values in (
        ("volatility", (2, -0.1, 0, 50)),
        ("liquidity", (2, 1, 0, 100.5)),
        ("liquidity", (2, 1, 0, -1)),
    ):
        with pytest.raises(InputError) as caught:
            opportunity_score(*values)
        assert caught.value.field == field


@pytest.mark.parametrize("changed, z, expected", AGAINST)
def test_what_speaks_against_a_trade(changed, z, expected):
    found = reasons_against(z, replace(GOOD, **changed))
    assert {reason.code: reason.text for reason in found} == expected
    assert all(reason.cap == getattr(Caps(), reason.code) for reason in found)


def test_a_stop_that_is_not_over_speaks_against_a_trade():
    (found,) = reasons_against(2.5, GOOD, stopped=-1)
    assert (found.code, found.cap) == ("stopped", 0.0)


def test_every_cap_has_its_reason():
    seen = {
        code for changed, z, _ in AGAINST for code in (r.code for r in reasons_against(z, replace(GOOD, **changed)))
    }
    assert seen | {"stopped"} == {field.name for field in fields(Caps)}


def test_reasons_come_strongest_first():
    bad = replace(GOOD, coverage=0.5, pvalue=0.5, open_gaps=1)
    found = reasons_against(2.5, bad)
    assert [reason.code for reason in found] == ["open_gap", "not_cointegrated", "incomplete_bars"]
    assert opportunity_score(2.5, 1.0, -0.1, 80.0, reasons=found).score == 0
    kind = SignalParams(caps=Caps(open_gap=60.0))
    found = reasons_against(2.5, bad, kind)
    assert [reason.cap for reason in found] == [25.0, 50.0, 60.0]
    assert opportunity_score(2.5, 1.0, -0.1, 80.0, kind, found).score == 25


@given(
    z=st.floats(-6, 6),
    n_obs=st.integers(0, 1_000),
    pvalue=st.floats(0, 1),
    life=st.one_of(st.floats(0, 100), st.just(math.inf), st.just(NAN)),
    breakeven=st.one_of(st.floats(0, 6), st.just(math.inf), st.just(NAN)),
    coverage=st.floats(0, 1),
    gaps=st.integers(0, 2),
)
def test_a_score_is_never_above_the_cap_of_any_reason(z, n_obs, pvalue, life, breakeven, coverage, gaps):
    facts = Facts(
        100.0,
        40.0,
        1.5,
        n_obs,
        1.0,
        80.0,
        breakeven_z=breakeven,
        pvalue=pvalue,
        half_life_bars=life,
        coverage=coverage,
        open_gaps=gaps,
    )
    reasons = reasons_against(z, facts)
    assert reasons == reasons_against(-z, facts)
    found = opportunity_score(z, 1.2, -0.1, 80.0, reasons=reasons)
    assert all(found.score <= reason.cap for reason in reasons)
    assert (found.score == 0) == (any(reason.cap == 0 for reason in reasons) or found.uncapped == 0)
    assert asdict(found)["reasons"] == tuple(asdict(reason) for reason in reasons)
