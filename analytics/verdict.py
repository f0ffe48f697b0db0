"""What an analysis says, in plain words with its numbers, and what to keep in mind about them."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analytics.pair import PairAnalysis

ALPHA = 0.05  # a p-value below it counts as evidence
FAR = 5.0  # stationary standard deviations: a normal spread is beyond them in one bar of two million


def verdict(analysis: "PairAnalysis") -> str:
    """Where the spread is, whether the pair holds together and still does, how fast it comes back, what that pays."""
    parts = (_place, _evidence, _watched, _speed, _pays)
    return " ".join(filter(None, (part(analysis) for part in parts)))


def caveats(analysis: "PairAnalysis") -> tuple[str, ...]:
    """Reasons to trust the numbers less, most important first."""
    params, evidence, found = analysis.params, analysis.evidence, []
    used = min(analysis.n_obs, max(params.test_bars, params.window, analysis.n_obs - analysis.watch.start))
    if analysis.coverage < 1:
        lost = round((1 - analysis.coverage) * used)
        found.append(f"{lost} of {used} bars {'is' if lost == 1 else 'are'} incomplete: trades may be missing.")
    if analysis.n_obs < params.test_bars:
        found.append(f"Rests on {analysis.n_obs} bars; {params.test_bars} are wanted.")
    surprised = analysis.path.consistency
    if surprised is not None and not surprised.consistent:
        low, high = surprised.surprise_low, surprised.surprise_high
        found.append(
            "The Kalman filter is not consistent: its z is not in true deviations. Its squared surprises average "
            f"{surprised.surprise:.2g} ({low:.2g} to {high:.2g} is expected)."
        )
    if evidence.fit is not None and not evidence.fit.interval_holds:
        why = "The errors of the fit hardly come back" if evidence.fit.memory >= 1 else "The sample is small"
        found.append(f"{why}: the interval of the hedge ratio may be too narrow.")
    if evidence.half_life is not None and evidence.half_life.high > analysis.n_obs:
        longest = "infinite" if math.isinf(evidence.half_life.high) else "longer than the bars"
        found.append(f"The half-life may be {longest}: time to exit and entries that pay are hardly known.")
    if evidence.directions is not None:
        found.append("The p-value of a single look finds more than it promises when it is read bar after bar.")
    return tuple(found)


def _place(analysis: "PairAnalysis") -> str:
    z, window = float(analysis.path.zscore[-1]), analysis.params.window
    if math.isnan(z):
        return "The spread has no z-score here: it does not vary, or its method is still learning."
    side = "above" if z > 0 else "below"
    stretched = " and counts as stretched" if abs(z) >= analysis.params.entry_z else ""
    mean = "its forecast" if analysis.params.method == "kalman" else f"its {window}-bar mean"
    return f"The spread is {abs(z):.1f} standard deviations {side} {mean}{stretched}."


def _evidence(analysis: "PairAnalysis") -> str:
    pvalue, bars = analysis.cointegration_pvalue, min(analysis.n_obs, analysis.params.test_bars)
    if math.isnan(pvalue):
        return f"Cointegration is not tested: {analysis.missing.get('engle_granger', 'undefined')}."
    if pvalue < ALPHA:
        return f"Taken as a single look, the last {bars} bars show cointegration ({_p(pvalue)})."
    return f"Taken as a single look, the last {bars} bars do not show cointegration ({_p(pvalue)})."


def _watched(analysis: "PairAnalysis") -> str:
    """What the session adds: an alarm first of all, then what all looks together show."""
    watched, pvalue = analysis.watch.monitor, analysis.session_pvalue
    if watched is not None and watched.status == "alarm":
        return "The relation calibrated before this session has broken."
    if math.isnan(pvalue):
        return ""
    if pvalue < ALPHA:
        return f"All looks of this session together show it ({_p(pvalue)})."
    return f"All looks of this session together do not show it ({_p(pvalue)})."


def _p(pvalue: float) -> str:
    return "p < 0.001" if pvalue < 0.001 else f"p {pvalue:.3f}" if pvalue < 0.1 else f"p {pvalue:.2f}"


def _speed(analysis: "PairAnalysis") -> str:
    life = analysis.evidence.half_life
    if life is None:
        return ""
    if not life.reverts:
        return "There is no evidence of reversion."
    about = "within one bar" if life.bars < 1 else f"in about {life.bars:.0f} bar{'s' if round(life.bars) != 1 else ''}"
    return f"Half of the gap closes {about} ({life.low:.0f} to {life.high:.0f})."


def _pays(analysis: "PairAnalysis") -> str:
    entry, life = analysis.evidence.entry, analysis.evidence.half_life
    if entry is None or life is None or not life.reverts:
        return ""
    if entry.breakeven_z > FAR:
        return f"No residual within {FAR:g} deviations pays a round trip at {analysis.params.fee_bps:g} bp a fill."
    bars, now = analysis.evidence.n_obs, analysis.evidence.residual_z
    return (
        f"A round trip at {analysis.params.fee_bps:g} bp a fill pays from {entry.breakeven_z:.1f} deviations of the "
        f"{bars}-bar residual on, which stands at {now:+.1f}."
    )
