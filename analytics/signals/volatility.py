"""Is the spread livelier than it was: its newest changes against those before."""

from typing import TYPE_CHECKING

import numpy as np

from analytics.microstructure.conditions import VolatilityRegime, volatility_regime

if TYPE_CHECKING:
    from analytics.pair import PairAnalysis

LEAST_HISTORY = 3  # windows before the window, before it can be called unlike them


def spread_volatility(analysis: "PairAnalysis") -> VolatilityRegime:
    """Volatility of the hedged changes in the newest window over that before: low < 0.7, high > 1.3.

        d[t] = y[t] - y[t-1] - hedge_ratio[t-1] (x[t] - x[t-1]),   ratio = rms(newest window of d) / rms(d before)

    What a holder of the spread gains a bar, at the ratio known before it: a ratio that moves makes the spread jump,
    and nobody earns that. Before are the newest `test_bars` in front of the window, at least three windows of them;
    unknown otherwise.
    """
    window, past = analysis.params.window, analysis.params.test_bars
    y, x = analysis.y, analysis.x
    if analysis.params.log_prices:
        y, x = np.log(y), np.log(x)
    changes = np.diff(y) - analysis.path.hedge_ratio[:-1] * np.diff(x)
    changes = changes[np.isfinite(changes)]
    now, before = changes[-window:], changes[:-window][-past:]
    if before.size < LEAST_HISTORY * window:
        return VolatilityRegime(np.nan, "unknown")
    return volatility_regime(_rms(now), _rms(before))


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
