"""What the analysis of a pair rests on, as markup: verdict, session, tests, hedge ratios, reversion."""

import math
from html import escape

from analytics.hedge import HedgeFit
from analytics.pair import IGNORES_THE_FIT, PairAnalysis
from analytics.resampling import timeframe_us
from analytics.verdict import ALPHA, FAR
from dashboard import formats
from dashboard.markup import Row, muted, section, table
from dashboard.view import METHODS, View
from utils.clock import US_PER_S, hhmmss

FIT_NAMES = {
    "ols": "OLS",
    "huber": "Huber",
    "theil_sen": "Theil-Sen",
    "tls": "total least squares",
    "dols": "dynamic OLS",
    "fmols": "fully modified OLS",
    "kalman": "Kalman filter",
}


def bars_time(bars: float, view: View) -> str:
    """So many bars as a length of time."""
    return formats.duration(bars * timeframe_us(view.timeframe) / US_PER_S)


def spread_unit(analysis: PairAnalysis, symbol_y: str) -> str:
    """What the spread is measured in."""
    return "log" if analysis.params.log_prices else formats.quote(symbol_y)


def verdict(analysis: PairAnalysis) -> str:
    """The analysis in plain words."""
    caveats = "".join(muted(text) for text in analysis.caveats)
    return section("What this says", f"<p>{escape(analysis.verdict)}</p>{caveats}")


def watching(analysis: PairAnalysis, view: View) -> str:
    """The session so far: what a reader who looks after every bar may conclude."""
    watch = analysis.watch
    if watch.monitor is None and watch.session is None:
        reason = next(iter(watch.missing.values()), "not yet")
        return section("This session", muted(reason))
    rows = [Row(("calibrated before", _at(analysis, watch.began, view.zone), f"{watch.began - watch.start} bars"))]
    if watch.session is not None:
        p = analysis.session_pvalue
        crossed = "shown" if p < ALPHA else "not shown"
        rows.append(Row(("cointegration, all looks", f"p {formats.pvalue(p)}", crossed), metric="session_pvalue"))
    if watch.monitor is not None:
        tone = "attention" if watch.monitor.status == "alarm" else ""
        share = "" if math.isnan(analysis.monitor) else formats.percent(analysis.monitor, 0)
        rows.append(Row(("break monitor", watch.monitor.status, share), tone, "monitor"))
        if watch.alarm_at is not None:
            rows.append(Row(("alarm", _at(analysis, watch.alarm_at, view.zone), ""), tone, "monitor"))
        if watch.break_at is not None:
            rows.append(Row(("break, about", _at(analysis, watch.break_at, view.zone), ""), tone, "monitor"))
    looks = analysis.n_obs - watch.began
    note = ""
    if watch.monitor is not None and watch.monitor.status != "steady":
        note = muted(watch.monitor.reason)
    return section("This session", table((f"look {looks} of {analysis.params.session_bars}", "", ""), rows) + note)


def _at(analysis: PairAnalysis, index: int, zone: str) -> str:
    return f"bar {index}" if analysis.ts_us is None else hhmmss(int(analysis.ts_us[index]), zone)


def tests(analysis: PairAnalysis, view: View) -> str:
    """Tests of the pair: the honest p-values above the flattering one."""
    y, x = formats.base(view.symbol_y), formats.base(view.symbol_x)
    found, rows = analysis.evidence, []
    if found.directions is not None:
        rows.append(_test(f"Engle-Granger {y} on {x}", found.engle_granger, "cointegration"))
        rows.append(_test(f"Engle-Granger {x} on {y}", found.engle_granger_xy, "cointegration"))
        both = ("either direction", "", formats.pvalue(analysis.cointegration_pvalue), "")
        rows.append(Row(both, metric="cointegration"))
    for name, test in (("Phillips-Ouliaris", found.phillips_ouliaris), ("Johansen, trace", found.johansen)):
        if test is not None:
            rows.append(_test(name, test, test_metric(name)))
    if found.adf is not None:
        rows.append(_test("plain ADF would say", found.adf, "adf", "muted"))
    if not rows:
        reason = analysis.missing.get("engle_granger", "not yet")
        return section("Tests of the pair", muted(reason))
    note = muted(f"{found.n_obs} bars, with a constant; lags by AIC, the bandwidth of Phillips-Ouliaris by the data.")
    return section("Tests of the pair", table(("test", "statistic", "p", "lags"), rows) + note)


def test_metric(name: str) -> str:
    """Key of a test's explanation."""
    return name.split(",")[0].lower().replace("-", "_").replace(" ", "_")


def residual_tests(analysis: PairAnalysis, view: View) -> str:
    """Tests of the fitted spread, which take it as given."""
    found = analysis.evidence
    named = (
        ("KPSS (null: comes back)", found.kpss, "kpss"),
        ("Phillips-Perron", found.phillips_perron, "phillips_perron"),
        ("Zivot-Andrews", found.zivot_andrews, "zivot_andrews"),
        ("variance ratio", found.variance_ratio, "variance_ratio"),
        ("Hurst", found.hurst, "hurst"),
    )
    rows = []
    for name, test, metric in named:
        if test is not None:
            more = {"variance_ratio": "ratio", "hurst": "exponent"}.get(metric)
            value = formats.number(getattr(test, more), 2) if more else ""
            statistic = formats.number(test.statistic, 2)
            rows.append(Row((name, value, statistic, formats.pvalue(test.pvalue)), metric=metric))
    if not rows:
        reason = analysis.missing.get("kpss", "not yet")
        return section("Tests of the spread", muted(reason))
    note = muted(f"Of the OLS residual. Each {IGNORES_THE_FIT}.")
    return section("Tests of the spread", table(("test", "value", "statistic", "p"), rows) + note)


def legs(analysis: PairAnalysis, view: View) -> str:
    """Whether each leg by itself wanders: a pair of legs that come back needs no partner."""
    rows = []
    for symbol, leg in ((view.symbol_y, analysis.evidence.leg_y), (view.symbol_x, analysis.evidence.leg_x)):
        if leg.adf is None or leg.kpss is None:
            continue
        word = {(False, True): "wanders", (True, False): "comes back"}.get(
            (leg.adf.pvalue < ALPHA, leg.kpss.pvalue < ALPHA), "unclear"
        )
        values = (formats.pvalue(leg.adf.pvalue), formats.pvalue(leg.kpss.pvalue), word)
        rows.append(Row((formats.base(symbol), *values), metric="legs"))
    if not rows:
        reason = analysis.missing.get("leg_y_adf", "not yet")
        return section("Each leg alone", muted(reason))
    return section("Each leg alone", table(("leg", "ADF p", "KPSS p", ""), rows))


def together(analysis: PairAnalysis, view: View) -> str:
    """How the returns of the legs go together."""
    found, rows = analysis.evidence.returns, []
    now = formats.number(float(analysis.path.correlation[-1]), 2)
    rows.append(Row((f"{view.window} bars, now", now, ""), "", "correlation"))
    rows.append(Row(("fading weights, now", formats.number(found.fading, 2), ""), "", "fading"))
    if found.pearson is not None:
        low, high = (formats.number(value, 2) for value in (found.pearson.low, found.pearson.high))
        bars = f"{found.pearson.n_obs} returns"
        rows.append(Row((bars, formats.number(found.pearson.correlation, 2), f"{low} … {high}"), "", "correlation"))
    if found.distance is not None:
        p = f"p {formats.pvalue(found.distance.pvalue)}"
        rows.append(Row(("distance correlation", formats.number(found.distance.correlation, 2), p), "", "distance"))
    reason = analysis.missing.get("returns")
    note = muted(reason) if reason else ""
    return section("Correlation of returns", table(("over", "", "95 %"), rows) + note)


def _test(name: str, test: object, metric: str, tone: str = "") -> Row:
    statistic, pvalue, lags = (getattr(test, field) for field in ("statistic", "pvalue", "lags"))
    return Row((name, formats.number(statistic, 2), formats.pvalue(pvalue), f"{lags:.3g}"), tone, metric)


def hedge(analysis: PairAnalysis, view: View) -> str:
    """The moving hedge ratio, and the ratio of the tested bars by every method."""
    path, found = analysis.path, analysis.evidence
    now = float(path.hedge_ratio[-1])
    reach = f"se {formats.significant(float(path.hedge_ratio_stderr[-1]), 2)}"
    rows = [Row((METHODS[view.method].split(",")[0] + ", now", formats.significant(now, 4), reach), "", "hedge_ratio")]
    if found.fit is not None:
        rows.append(_fit(found.fit, f", {found.fit.n_obs} bars"))
    rows += [_fit(fit, "", "muted") for fit in found.other_fits]
    return section("Hedge ratio", table(("method", "ratio", "95 %"), rows))


def _fit(fit: HedgeFit, more: str, tone: str = "") -> Row:
    """A method on the tested bars: the ratio should not hang on the choice."""
    doubt = "" if fit.interval_holds else " at least"
    reach = f"{_reach((fit.high - fit.low) / 2)}{doubt}"
    return Row((FIT_NAMES[fit.method] + more, formats.significant(fit.hedge_ratio, 4), reach), tone, fit.method)


def _reach(half: float) -> str:
    return f"±{formats.significant(half, 2)}" if math.isfinite(half) else formats.NONE


def reversion(analysis: PairAnalysis, view: View) -> str:
    """How fast the spread comes back, and from where that pays."""
    found = analysis.evidence
    life, process, leave, entry = found.half_life, found.ornstein_uhlenbeck, found.exit_time, found.entry
    rows = []
    if life is not None:
        reach = f"{bars_time(life.low, view)} … {bars_time(life.high, view)}"
        rows.append(Row(("half-life", bars_time(life.bars, view), reach), "", "half_life"))
    if process is not None:
        unit = spread_unit(analysis, view.symbol_y)
        reach = _reach(1.96 * process.std_stderr)
        rows.append(Row((f"standard deviation, {unit}", formats.significant(process.std, 3), reach), "", "ou"))
        rows.append(Row(("now, in deviations", formats.number(found.residual_z, 2, sign=True), ""), "", "ou"))
    if leave is not None:
        label = f"back to {analysis.params.exit_z:g} deviations"
        reach = f"{bars_time(leave.low, view)} … {bars_time(leave.high, view)}"
        when = (bars_time(leave.bars, view), reach) if leave.bars else ("there", "")
        rows.append(Row((label, *when), "", "exit_time"))
    if entry is not None:
        fee = f"{analysis.params.fee_bps:g} bp a fill"
        unit = spread_unit(analysis, view.symbol_y)
        rows.append(Row((f"cost of a round trip, {unit}", formats.significant(entry.cost, 3), fee), "", "entry"))
        rows.append(Row(("deviations that pay it", _z(entry.breakeven_z), ""), "", "entry"))
        best = f"every {bars_time(entry.expected_bars, view)}" if entry.optimal_z <= FAR else ""
        rows.append(Row(("deviations that earn most", _z(entry.optimal_z), best), "", "entry"))
    if not rows:
        reason = analysis.missing.get("half_life", "not yet")
        return section("Reversion", muted(reason))
    missing = analysis.missing.get("ornstein_uhlenbeck")
    note = muted(missing) if missing else ""
    return section("Reversion", table(("of the OLS residual", "", "95 %"), rows) + note)


def _z(value: float) -> str:
    return f"beyond {FAR:g}" if value > FAR else formats.number(value, 2)
