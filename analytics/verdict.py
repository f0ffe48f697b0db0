"""What an analysis says, in plain words with its numbers, and what to keep in mind about them."""

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from analytics.pair import PairAnalysis

ALPHA = 0.05  # a p-value below it counts as evidence


def verdict(analysis: "PairAnalysis") -> str:
    """Two or three sentences: where the spread is, whether the pair holds together, how fast it comes back."""
    return " ".join((_place(analysis), _evidence(analysis), _speed(analysis))).strip()


def caveats(analysis: "PairAnalysis") -> tuple[str, ...]:
    """Reasons to trust the numbers less, most important first."""
    params, found = analysis.params, []
    used = min(analysis.n_obs, params.test_bars)
    if analysis.coverage < 1:
        lost = round((1 - analysis.coverage) * used)
        found.append(f"{lost} of {used} bars {'is' if lost == 1 else 'are'} incomplete: trades may be missing.")
    if analysis.n_obs < params.test_bars:
        found.append(f"Rests on {analysis.n_obs} bars; {params.test_bars} are wanted.")
    if analysis.engle_granger is not None:
        found.append("The p-value holds for one look; watching it bar after bar finds more than it promises.")
    return tuple(found)


def _place(analysis: "PairAnalysis") -> str:
    z, window = float(analysis.zscore[-1]), analysis.params.window
    if math.isnan(z):
        return "The spread does not vary over its window, so it has no z-score."
    side = "above" if z > 0 else "below"
    stretched = " and counts as stretched" if abs(z) >= analysis.params.entry_z else ""
    return f"The spread is {abs(z):.1f} standard deviations {side} its {window}-bar mean{stretched}."


def _evidence(analysis: "PairAnalysis") -> str:
    pvalue, bars = analysis.cointegration_pvalue, min(analysis.n_obs, analysis.params.test_bars)
    if math.isnan(pvalue):
        return f"Cointegration is not tested: {analysis.missing.get('engle_granger', 'undefined')}."
    shown = "p < 0.001" if pvalue < 0.001 else f"p {pvalue:.3f}" if pvalue < 0.1 else f"p {pvalue:.2f}"
    if pvalue < ALPHA:
        return f"Over the last {bars} bars the legs are cointegrated ({shown})."
    return f"Over the last {bars} bars cointegration is not shown ({shown})."


def _speed(analysis: "PairAnalysis") -> str:
    life = analysis.half_life
    if life is None:
        return ""
    if math.isinf(life.bars):
        return "There is no evidence of reversion."
    high = "infinity" if math.isinf(life.high) else f"{life.high:.0f}"
    bars = f"{life.bars:.0f} bar{'s' if round(life.bars) != 1 else ''}"
    return f"Half of the gap closes in about {bars} ({life.low:.0f} to {high})."
