"""The tables of the Advanced page as markup: what its figures show, in numbers with their uncertainty."""

from collections.abc import Iterable, Sequence
from itertools import combinations

import numpy as np

from analytics.autocorrelation import LjungBox
from analytics.correlation.lead_lag import MAX_LAG_US, LeadLag
from analytics.correlation.matrix import CorrelationMatrix
from analytics.correlation.surface import CorrelationSurface
from analytics.correlation.widths import WidthCorrelation
from analytics.descriptive import Moments, Summary
from analytics.normality import JarqueBera
from analytics.seasonality import Decomposition
from dashboard import formats
from dashboard.markup import Row, muted, section, table
from dashboard.studies import Subject
from utils.clock import US_PER_MS

PAIRS = 12  # of the heat map, in the table
NOISE_STRENGTH = 0.35  # seasonal strength that independent noise has


def pairs(found: CorrelationMatrix) -> str:
    """The pairs of the heat map, the strongest first, each with its interval."""
    known = [(i, j) for i, j in combinations(range(len(found.symbols)), 2) if np.isfinite(found.correlation[i, j])]
    if not known:
        return section("Pairs", muted("No pair has a number yet: each needs 25 common returns of prices that move."))
    strongest = sorted(known, key=lambda at: -abs(found.correlation[at]))[:PAIRS]
    rows = [Row((_pair(found, at), *_ends(found, at), f"{found.n_obs[at]}"), metric="matrix") for at in strongest]
    more = f" The strongest {PAIRS} of {len(known)}." if len(known) > PAIRS else ""
    note = muted(f"Of returns.{more} Of many intervals one in twenty misses.")
    return section("Pairs", table(("pair", "r", "95 %", "n"), rows) + note)


def _pair(found: CorrelationMatrix, at: tuple[int, int]) -> str:
    return " · ".join(formats.base(found.symbols[i]) for i in at)


def _ends(found: CorrelationMatrix, at: tuple[int, int]) -> tuple[str, str]:
    low, high = float(found.low[at]), float(found.high[at])
    return formats.number(float(found.correlation[at]), 2), between(low, high)


def between(low: float, high: float, decimals: int = 2) -> str:
    """Both ends of an interval; a dash where there is none."""
    if not (formats.exists(low) and formats.exists(high)):
        return formats.NONE
    return f"{formats.number(low, decimals)} … {formats.number(high, decimals)}"


def ridge(found: CorrelationSurface) -> str:
    """Of each bar width the correlation at lag 0 and the largest at another lag, with what chance makes of it."""
    middle = int(np.flatnonzero(found.lags == 0)[0])
    rows = []
    for row, width_us in enumerate(found.widths_us):
        width = formats.width(width_us)
        if width_us in found.missing:
            rows.append(Row((width, "", found.missing[width_us], ""), "muted", "surface"))
            continue
        elsewhere = np.abs(np.delete(found.correlation[row], middle))
        best = int(np.argmax(elsewhere))
        at = best + (best >= middle)
        value, chance = float(found.correlation[row, at]), float(found.band[row, at])
        other = f"{formats.number(value, 2, sign=True)} at {formats.number(float(found.lags[at]), 0, sign=True)}"
        now = formats.number(float(found.correlation[row, middle]), 2, sign=True)
        rows.append(Row((width, now, other, f"±{formats.number(chance, 2)}"), metric="surface"))
    note = muted("Of 20 other lags one leaves its ± by chance. For who leads, look at trades: Lead and lag.")
    return section("By bar width", table(("bars", "lag 0", "largest elsewhere", "chance"), rows) + note)


def sentence(found: LeadLag, symbol_y: str, symbol_x: str) -> str:
    """`BTC leads ETH by 40 ms (20 to 60).`, or that no lead is shown, with the interval."""
    names = {"y": formats.base(symbol_y), "x": formats.base(symbol_x)}
    if not found.leader:
        reach = f"{_ms(found.low_us)} to {_ms(found.high_us)} ms"
        return f"No lead of {names['x']} or {names['y']} is shown: the interval {reach} holds 0."
    leader, follower = (names["x"], names["y"]) if found.leader == "x" else (names["y"], names["x"])
    near, far = sorted((abs(found.low_us) // US_PER_MS, abs(found.high_us) // US_PER_MS))
    return f"{leader} leads {follower} by {abs(found.lag_us) // US_PER_MS:,} ms ({near:,} to {far:,})."


def _ms(us: int) -> str:
    return formats.number(us / US_PER_MS, 0, sign=us != 0)


def lead_lag(found: LeadLag, symbol_y: str, symbol_x: str) -> str:
    """Who leads, in words and in numbers."""
    y, x = formats.base(symbol_y), formats.base(symbol_x)
    at_once = float(found.contrast[found.lags_us == 0][0])
    lag, least, most = map(_ms, (found.lag_us, found.low_us, found.high_us))
    rows = [
        Row((f"lag, ms (+: {x} first)", lag, f"{least} … {most}"), metric="lead_lag"),
        Row(("correlation at that lag", formats.number(found.correlation, 2), ""), metric="lead_lag"),
        Row(("at the same time", formats.number(at_once, 2), ""), metric="lead_lag"),
        Row((f"squares, {x} first / {y} first", formats.number(found.ratio, 2), ""), metric="lead_lag_ratio"),
        Row((f"returns of {y}, {x}", f"{found.n_y:,}", f"{found.n_x:,}"), metric="lead_lag"),
    ]
    edge = MAX_LAG_US in (abs(found.low_us), abs(found.high_us))
    notes = [muted("The interval reaches the end of the lags looked at: nothing can be said.")] if edge else []
    notes.append(muted("A lead of this size is no profit: delays and the bid-ask spread are not in it."))
    words = f"<p><b>{sentence(found, symbol_y, symbol_x)}</b></p>"
    return section("Lead and lag", f"{words}{table(('', '', '95 %'), rows)}{''.join(notes)}")


def widths(rows: Sequence[WidthCorrelation]) -> str:
    """Correlation at each width with its interval and number of returns, or why there is none."""
    body = []
    for row in rows:
        name = formats.width(row.width_us) if row.width_us else "every trade"
        metric = "widths" if row.method == "bars" else "hayashi_yoshida"
        if row.method != "bars":
            name = f"HY, {name}"
        if row.reason:
            body.append(Row((name, formats.NONE, row.reason, ""), "muted", metric))
        else:
            value = formats.number(row.correlation, 2)
            body.append(Row((name, value, between(row.low, row.high), f"{row.n_obs:,}"), metric=metric))
    note = muted("HY: Hayashi-Yoshida, on every trade and on trades thinned to that width.")
    return section("By width", table(("bars", "r", "95 %", "n"), body) + note)


def numbers(found: Summary, subject: Subject) -> str:
    """Moments with their standard errors, quantiles, and tests."""
    rows = [*_moments(found.moments, subject.unit)] if found.moments is not None else []
    rows += [Row(("share of zeros", formats.percent(found.zeros, 1), ""), metric="zeros")]
    rows += [
        Row((f"quantile {100 * at:g} %, {subject.unit}", _four(found.quantiles[at]), ""), metric="density")
        for at in (0.01, 0.99)
    ]
    rows += _student(found)
    tests = (
        ("Jarque-Bera (null: normal)", found.jarque_bera, "jarque_bera"),
        ("Ljung-Box (null: no memory)", found.ljung_box, "ljung_box"),
        ("the same of sizes (null: none)", found.clustering, "clustering"),
    )
    judged = [Row((name, _four(test.statistic), _p(test)), metric=metric) for name, test, metric in tests if test]
    first = table((f"{found.n_obs} {subject.what}", "", "se, or 95 %"), rows)
    second = table(("test", "statistic", "p"), judged) if judged else ""
    reasons = "".join(muted(f"{name.replace('_', ' ')}: {why}") for name, why in found.missing.items())
    return section("In numbers", f"{first}<br>{second}{reasons}")


def _moments(found: Moments, unit: str) -> Iterable[Row]:
    named = (
        (f"mean, {unit}", found.mean, found.mean_stderr, "moments"),
        (f"standard deviation, {unit}", found.std, found.std_stderr, "moments"),
        ("skewness", found.skewness, found.skewness_stderr, "shape"),
        ("excess kurtosis", found.excess_kurtosis, found.excess_kurtosis_stderr, "shape"),
    )
    return (
        Row((name, _four(value), formats.significant(error, 2)), metric=metric) for name, value, error, metric in named
    )


def _student(found: Summary) -> list[Row]:
    if (fit := found.student) is None:
        return []
    high = "∞" if np.isinf(fit.df_high) else formats.number(fit.df_high, 1)
    reach = f"{formats.number(fit.df_low, 1)} … {high}"
    return [Row(("Student t, degrees of freedom", formats.number(fit.df, 1), reach), metric="student")]


def _four(value: float) -> str:
    return formats.significant(value, 3)


def _p(test: JarqueBera | LjungBox) -> str:
    bound = isinstance(test, JarqueBera) and test.pvalue_is_bound  # beyond its table
    return formats.pvalue(0.0 if bound else test.pvalue)


def season(found: Decomposition, subject: Subject, name: str) -> str:
    """How much trend and season there is, and what that is worth."""
    swing = float(np.ptp(found.seasonal[-found.period :]))
    rest = float(np.std(found.residual, ddof=1))
    rows = [
        Row(("season", f"1 {name}", f"{found.period} bars"), metric="season"),
        Row(("looked at", f"{found.n_obs} bars", f"{found.n_obs / found.period:.1f} times"), metric="season"),
        Row(("strength of the trend", formats.number(found.trend_strength, 2), ""), metric="strength"),
        Row(("strength of the season", formats.number(found.seasonal_strength, 2), "of 1"), metric="strength"),
        Row(("newest season, low to high", _four(swing), subject.level_unit), metric="season"),
        Row(("what is left, deviation", _four(rest), subject.level_unit), metric="season"),
    ]
    weak = found.seasonal_strength <= NOISE_STRENGTH
    words = "No more season than noise has." if weak else "A season is always found: a walk seen twice shows 0.7 too."
    note = muted(f"{words} Every value rests on bars before and after it: for looking back only, never for a signal.")
    return section("Trend and season", table((f"of {subject.name}", "", ""), rows) + note)
