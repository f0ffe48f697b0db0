"""Figures and tables of the Advanced page: checked by Plotly's schema, showing the numbers of the analytics."""

import html
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import pytest

import config
from analytics.autocorrelation import autocorrelation
from analytics.correlation.lead_lag import LeadLag
from analytics.correlation.matrix import CorrelationMatrix, correlation_matrix
from analytics.correlation.pearson import cross_correlation
from analytics.descriptive import density, describe, distance_ranks
from analytics.normality import quantile_line
from analytics.returns import log_returns
from analytics.seasonality import decompose
from dashboard import advanced, studies
from dashboard.charts.advanced_correlation import matrix_spec
from dashboard.charts.base import BLOCK_BARS
from dashboard.explain import EXPLAIN
from dashboard.live.figures import FIGURES
from dashboard.live.patch import apply, diff, plain
from dashboard.theme import DARK, LIGHT
from dashboard.view import SEASONS, SUBJECTS, TOPICS, View
from tests.dashboard.fake_engine import FakeEngine
from utils.errors import InputError, TooFewObservations

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT")
NAMES = ("matrix", "surface", "lead-lag", "widths", "distribution", "quantiles", "memory", "season")
VIEW = View.default(SYMBOLS)


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch):
    monkeypatch.setattr(studies, "REMEMBERED", studies.Memory(64))


@pytest.fixture(scope="module")
def engine():
    return FakeEngine(symbols=SYMBOLS)


def spec_of(engine, name, view=VIEW, theme=DARK):
    return FIGURES[name].build(engine, view, theme)


def trace(spec, name):
    return next(found for found in spec["data"] if found["name"].startswith(name))


def text_of(markup: str) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", markup)))


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_passes_plotlys_own_check_and_takes_its_colours_from_the_theme(engine, name, theme):
    for subject in SUBJECTS:
        figure = go.Figure(spec_of(engine, name, replace(VIEW, subject=subject), theme))
        assert figure.layout.paper_bgcolor == theme.ground
        other = LIGHT if theme is DARK else DARK
        assert other.text not in figure.to_json()


@pytest.mark.parametrize("name", NAMES)
def test_every_figure_is_json_that_patches_carry_on(engine, name):
    old = plain(spec_of(engine, name))
    later = FakeEngine(bars=engine.bars_held + 7, symbols=SYMBOLS)
    new = plain(spec_of(later, name))
    assert old != new
    assert diff(new, plain(spec_of(later, name))) == []
    assert apply(old, diff(old, new)) == new


def test_heavy_figures_are_built_at_most_every_five_seconds():
    assert {FIGURES[name].least_s for name in NAMES} == {5.0}
    assert {figure.least_s for name, figure in FIGURES.items() if name not in NAMES} == {0.0}


# --- correlation ------------------------------------------------------------------------------------------


def test_the_heat_map_shows_the_matrix_of_all_symbols(engine):
    expected = correlation_matrix(engine.closes("1s", config.CHART_BARS)).frame()
    heat = spec_of(engine, "matrix")["data"][0]
    assert sorted(heat["x"]) == ["BNB", "BTC", "ETH", "SOL"] and heat["x"] == heat["y"]
    for row, name in zip(heat["z"], heat["y"], strict=True):
        for value, other in zip(row, heat["x"], strict=True):
            assert value == pytest.approx(expected.loc[f"{name}USDT", f"{other}USDT"], abs=1e-12)
    assert (heat["zmin"], heat["zmax"]) == (-1, 1)
    at = heat["x"].index("ETH"), heat["x"].index("BTC")
    assert "600 returns" not in heat["hovertext"][at[0]][at[1]] and "599 returns" in heat["hovertext"][at[0]][at[1]]
    assert "95 %" in heat["hovertext"][at[0]][at[1]]


def test_the_order_of_the_symbols_stays_for_a_block_of_bars():
    engines = (FakeEngine(bars=bars, symbols=SYMBOLS) for bars in range(1_200, 1_200 + 3 * BLOCK_BARS, 19))
    orders = [studies.matrix(engine, VIEW).symbols for engine in engines]
    assert sum(one != other for one, other in pairwise(orders)) <= 3
    assert all(sorted(order) == sorted(SYMBOLS) for order in orders)


def test_a_cell_without_a_number_says_why():
    nan = np.full((2, 2), np.nan)
    few = CorrelationMatrix(("AUSDT", "BUSDT"), nan, nan, nan, np.array([[10, 10], [10, 10]]))
    heat = matrix_spec(few, "1s", DARK)["data"][0]
    assert heat["hovertext"][0][1] == "A and B<br>no number: 10 common returns, needs 25"
    assert heat["text"][0][1] == "–"
    still = replace(few, n_obs=np.full((2, 2), 100))
    assert "does not move" in matrix_spec(still, "1s", DARK)["data"][0]["hovertext"][0][1]
    assert "No pair has a number yet" in text_of(advanced.pairs(few))


def test_many_symbols_have_no_printed_values_and_are_cut_at_a_number_that_can_be_read():
    many = tuple(f"S{number}USDT" for number in range(50))
    found = studies.matrix(FakeEngine(bars=100, symbols=many), View.default(many))
    assert len(found.symbols) == studies.MOST_SYMBOLS
    spec = matrix_spec(found, "1s", DARK)
    assert "text" not in spec["data"][0] and "tickvals" not in spec["layout"]["xaxis"]
    text = text_of(advanced.pairs(found))
    assert f"The strongest {advanced.PAIRS} of {40 * 39 // 2}" in text


def test_the_table_of_pairs_has_the_strongest_first(engine):
    found = studies.matrix(engine, VIEW)
    rows = re.findall(r"<tr [^>]*><td>(\w+ · \w+)</td><td>([^<]+)</td>", advanced.pairs(found))
    values = [abs(float(value.replace("−", "-"))) for _, value in rows]
    assert len(rows) == 6 and values == sorted(values, reverse=True)


def test_the_surface_is_the_cross_correlation_of_the_pair(engine):
    surface = spec_of(engine, "surface")["data"][0]
    closes = engine.closes("1s", studies.SURFACE_BARS, ["ETHUSDT", "BTCUSDT"]).to_numpy()
    y, x = (log_returns(leg) for leg in closes.T)
    np.testing.assert_allclose(surface["z"][0], cross_correlation(y, x, 10).correlation, atol=1e-12)
    assert surface["x"].tolist() == list(range(-10, 11))
    assert "1 s bars, at the same time" in surface["text"][0][10]
    assert "2 s bars, BTC 3 bars before ETH" in surface["text"][1][13]
    assert "2 s bars, ETH 1 bar before BTC" in surface["text"][1][9]


def test_widths_without_enough_bars_are_left_out_of_the_surface_and_told_beside_it():
    engine = FakeEngine(bars=200)
    view = View.default(engine.symbols)
    found = studies.surface(engine, view)
    assert set(found.missing) == {10_000_000, 15_000_000, 30_000_000, 60_000_000}
    assert len(spec_of(engine, "surface", view)["data"][0]["z"]) == 3
    assert "needs 36 bars, has" in text_of(advanced.ridge(found))


# --- trades -----------------------------------------------------------------------------------------------


def test_the_lead_is_drawn_and_told_with_its_interval(engine):
    found = engine.lead_lag("ETHUSDT", "BTCUSDT")
    spec = spec_of(engine, "lead-lag")
    np.testing.assert_allclose(trace(spec, "correlation")["y"], found.contrast, rtol=1e-7)
    assert trace(spec, "correlation")["x"].tolist() == (found.lags_us / 1_000).tolist()
    assert trace(spec, "largest")["x"] == [found.lag_us / 1_000]
    shade = spec["layout"]["shapes"][0]
    assert (shade["x0"], shade["x1"]) == (found.low_us / 1_000, found.high_us / 1_000)


def lead(lag_us: int, low_us: int, high_us: int) -> LeadLag:
    lags = np.arange(-200, 201) * 10_000
    return LeadLag(lag_us, low_us, high_us, 0.6, 1.4, lags, np.full(401, 0.1), 500, 600)


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (lead(40_000, 20_000, 60_000), "BTC leads ETH by 40 ms (20 to 60)."),
        (lead(-1_200_000, -1_300_000, -90_000), "ETH leads BTC by 1,200 ms (90 to 1,300)."),
        (lead(10_000, -20_000, 30_000), "No lead of BTC or ETH is shown: the interval −20 to +30 ms holds 0."),
    ],
)
def test_the_sentence_names_the_leader_only_where_the_interval_does(found, words):
    assert advanced.sentence(found, "ETHUSDT", "BTCUSDT") == words
    text = text_of(advanced.lead_lag(found, "ETHUSDT", "BTCUSDT"))
    assert words in text and "is no profit" in text and "at the same time 0.10" in text


def test_an_interval_at_the_end_of_the_lags_says_that_nothing_can_be_said():
    assert "end of the lags" in text_of(advanced.lead_lag(lead(0, -2_000_000, 90_000), "ETHUSDT", "BTCUSDT"))


def test_correlation_by_width_is_drawn_with_its_intervals_and_holes_are_told(engine):
    rows = engine.correlation_by_width("ETHUSDT", "BTCUSDT")
    spec = spec_of(engine, "widths")
    bars = [row for row in rows if row.method == "bars"]
    drawn = trace(spec, "bars")
    np.testing.assert_array_equal(drawn["x"], [row.width_us / 1e6 for row in bars])
    np.testing.assert_array_equal(drawn["y"], [row.correlation for row in bars])
    np.testing.assert_allclose(drawn["y"] + drawn["error_y"]["array"], [row.high for row in bars])
    np.testing.assert_allclose(drawn["y"] - drawn["error_y"]["arrayminus"], [row.low for row in bars])
    text = text_of(advanced.widths(rows))
    assert all(row.reason in text for row in rows)
    assert "HY, every trade" in text and "0.25 s" in text


# --- one series -------------------------------------------------------------------------------------------


def test_a_leg_is_its_returns_in_basis_points(engine):
    subject = studies.subject_of(engine, VIEW)
    closes = engine.bars("ETHUSDT", "1s", config.CHART_BARS + 1)["close"].to_numpy()[:-1]
    np.testing.assert_array_equal(subject.levels, closes)
    np.testing.assert_allclose(subject.changes, 10_000 * np.diff(np.log(closes)), rtol=1e-9, atol=1e-9)
    assert (subject.name, subject.unit, subject.what) == ("ETHUSDT", "bp", "returns")
    assert studies.subject_of(engine, replace(VIEW, subject="x")).name == "BTCUSDT"


def test_the_spread_is_that_of_the_newest_hedge_ratio(engine):
    view = replace(VIEW, subject="spread")
    subject = studies.subject_of(engine, view)
    found = engine.analysis(view.symbol_y, view.symbol_x, view.timeframe, view.params)
    expected = (found.y - found.path.hedge_ratio[-1] * found.x)[-config.CHART_BARS :]
    np.testing.assert_allclose(subject.levels, expected)
    np.testing.assert_allclose(subject.changes, np.diff(expected))
    assert (subject.unit, subject.what) == ("USDT", "changes")
    logs = studies.subject_of(engine, replace(view, log_prices=True))
    assert (logs.unit, logs.levels.size) == ("log", config.CHART_BARS)


def test_the_distribution_draws_counts_and_both_fits(engine):
    subject = studies.subject_of(engine, VIEW)
    spec, expected = spec_of(engine, "distribution"), density(subject.changes)
    np.testing.assert_array_equal(trace(spec, "returns")["customdata"], expected.counts)
    area = float(trace(spec, "returns")["y"] @ trace(spec, "returns")["width"])
    assert area == pytest.approx(expected.counts.sum() / subject.changes.size)
    np.testing.assert_allclose(trace(spec, "normal")["y"], expected.normal, rtol=1e-7)
    np.testing.assert_allclose(trace(spec, "Student t")["y"], expected.student, rtol=1e-7)


def test_the_quantiles_are_those_of_both_fits_with_their_bands(engine):
    subject, spec = studies.subject_of(engine, VIEW), spec_of(engine, "quantiles")
    for against, name in (("normal", "against normal"), ("student", "against Student t")):
        expected = quantile_line(subject.changes, against)
        np.testing.assert_array_equal(trace(spec, name)["x"], expected.expected)
        np.testing.assert_array_equal(trace(spec, name)["y"], expected.found)
        assert f"{100 * expected.outside:.0f} % outside" in trace(spec, name)["name"]
    np.testing.assert_allclose(trace(spec, "normal, low")["y"], quantile_line(subject.changes).low, rtol=1e-5)


def test_the_memory_is_that_of_changes_and_of_the_ranks_of_their_sizes(engine):
    subject, spec = studies.subject_of(engine, VIEW), spec_of(engine, "memory")
    for name, values in (("return", subject.changes), ("size of return", distance_ranks(subject.changes))):
        expected = autocorrelation(values, studies.LAGS)
        bars = next(found for found in spec["data"] if found["name"] == name)
        np.testing.assert_array_equal(bars["y"], expected.values)
        beyond = np.abs(expected.values) > expected.band
        assert [color == DARK.accent for color in bars["marker"]["color"]] == beyond.tolist()


def test_the_numbers_stand_with_their_errors_and_tests(engine):
    subject = studies.subject_of(engine, VIEW)
    summary = describe(subject.changes)
    text = text_of(advanced.numbers(summary, subject))
    for value in (summary.moments.std, summary.moments.excess_kurtosis, summary.ljung_box.statistic):
        assert f"{value:.3g}"[:4].replace("-", "−") in text
    for name in ("599 returns", "Jarque-Bera", "Ljung-Box", "degrees of freedom", "quantile 99 %, bp"):
        assert name in text
    assert "nan" not in text


def test_what_few_changes_do_not_support_is_told_with_its_reason(engine):
    subject = studies.subject_of(engine, VIEW)
    text = text_of(advanced.numbers(describe(subject.changes[:25]), subject))
    assert "ljung box: needs 30 observations, has 25" in text


def test_the_parts_of_the_season_are_those_of_the_decomposition(engine):
    spec, subject = spec_of(engine, "season"), studies.subject_of(engine, VIEW)
    expected = decompose(subject.levels, 60)
    for name, part in (("trend", "trend"), ("season", "seasonal"), ("rest", "residual"), ("observed", "observed")):
        np.testing.assert_allclose(trace(spec, name)["y"], getattr(expected, part), rtol=1e-7, atol=1e-12)
    assert trace(spec, "trend")["x"][-1] == subject.ts_us[-1] / 1_000
    text = text_of(advanced.season(expected, subject, "minute"))
    assert "60 bars" in text and f"strength of the trend {expected.trend_strength:.2f}" in text
    assert "never for a signal" in text


@pytest.mark.parametrize(
    ("timeframe", "fitting"),
    [
        ("1s", ["minute"]),
        ("15s", ["minute", "hour"]),
        ("1m", ["hour"]),
        ("5m", ["hour", "day"]),
        ("1h", ["day", "week"]),
        ("7s", []),
    ],
)
def test_seasons_are_those_that_bars_of_a_width_can_show(timeframe, fitting):
    view = replace(VIEW, timeframe=timeframe)
    assert studies.seasons(view) == fitting
    if fitting:
        assert {studies.season_of(replace(view, season=season)) for season in SEASONS} == {*fitting}
    else:
        with pytest.raises(InputError, match="no minute, hour, day or week is 4 to 300 whole bars of 7 s"):
            studies.season_of(view)


@pytest.mark.parametrize("name", ["matrix", "surface", "distribution", "quantiles", "memory", "season"])
@pytest.mark.parametrize("bars", [0, 1, 15])
def test_too_few_bars_are_counted_in_bars(name, bars):
    engine = FakeEngine(bars=bars)
    view = View.default(engine.symbols)
    with pytest.raises(TooFewObservations) as caught:
        spec_of(engine, name, view)
    assert (caught.value.have, caught.value.what) == (bars, "bars")


def test_a_study_is_made_once_and_anew_when_a_bar_is_corrected(engine, monkeypatch):
    subject, calls = studies.subject_of(engine, VIEW), []
    monkeypatch.setattr(studies, "describe", lambda values: calls.append(values) or describe(values))
    for _ in range(3):
        studies.distribution(studies.subject_of(engine, VIEW))
    assert len(calls) == 1
    corrected = subject.changes.copy()
    corrected[5] += 0.1
    studies.distribution(replace(subject, changes=corrected))
    assert len(calls) == 2


def test_every_row_and_title_of_the_page_is_explained(engine):
    """`help_text` of an unknown metric is empty: then nothing would show on hover."""
    subject = studies.subject_of(engine, VIEW)
    parts = (
        advanced.pairs(studies.matrix(engine, VIEW)),
        advanced.ridge(studies.surface(engine, VIEW)),
        advanced.lead_lag(engine.lead_lag("ETHUSDT", "BTCUSDT"), "ETHUSDT", "BTCUSDT"),
        advanced.widths(engine.correlation_by_width("ETHUSDT", "BTCUSDT")),
        advanced.numbers(describe(subject.changes), subject),
        advanced.season(decompose(subject.levels, 60), subject, "minute"),
    )
    assert 'title=""' not in "".join(parts)
    assert {"matrix", "surface", "lead_lag", "widths", "density", "quantiles", "memory", "season"} <= {*EXPLAIN}
    assert {*TOPICS} == {"correlation", "trades", "distribution", "season"}


def test_rows_of_many_columns_with_holes_become_json_without_nan():
    values = np.array([[1.0, np.nan], [np.inf, 2.0]])
    assert plain(values) == [[1.0, None], [None, 2.0]]
    assert plain(pd.DataFrame(values).to_numpy()[:0]) == []
