"""From a statistic to its p-value and back: one source for both, so that a verdict and its p-value cannot disagree.

A p-value of the asymptotic table beside a critical value of a finite-sample table says 0.049 and "not below the 5 %
value" of one statistic. Here every critical value is the statistic at which the p-value shown is that level.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtr, ndtri

from analytics.null_tables import MACKINNON

LEVELS = {"1%": 0.01, "5%": 0.05, "10%": 0.10}
FURTHEST = (-15.0, 0.0)  # statistics between which every level of a Dickey-Fuller table lies


def mackinnon_pvalue(statistic: float, trend: str, series: int = 1) -> float:
    """Probability of a smaller Dickey-Fuller t-statistic under the null hypothesis of `series` unrelated walks.

    Asymptotic; `series` = 2 is for the residual of one walk fitted on another.

    References
    ----------
    J. G. MacKinnon, Journal of Business & Economic Statistics 12 (1994).
    """
    return float(mackinnon_pvalues(np.array(statistic), trend, series))


def mackinnon_pvalues(statistics: np.ndarray, trend: str, series: int = 1) -> np.ndarray:
    """`mackinnon_pvalue` of many statistics, same shape; NaN stays NaN."""
    least, most, turn, small, large = MACKINNON[trend, series]
    polyval, at = np.polynomial.polynomial.polyval, np.clip(statistics, least, most)
    scores = np.where(at <= turn, polyval(at, small), polyval(at, large))
    found = np.where(statistics > most, 1.0, np.where(statistics < least, 0.0, ndtr(scores)))
    return np.where(np.isnan(statistics), np.nan, found)


def mackinnon_critical_values(trend: str, series: int = 1) -> dict[str, float]:
    """The statistics at which `mackinnon_pvalue` is 1, 5 and 10 %.

    statsmodels prints MacKinnon's finite-sample values of 2010 instead, which its own p-value does not know and of
    which one coefficient (1 %, two series) is mistyped. At 250 observations they lie 0.01 below these.
    """
    return dict(zip(LEVELS, _mackinnon_quantiles(trend, series), strict=True))


@lru_cache
def _mackinnon_quantiles(trend: str, series: int) -> tuple[float, ...]:
    return tuple(
        float(brentq(lambda at, level=level: mackinnon_pvalue(at, trend, series) - level, *FURTHEST, xtol=1e-12))
        for level in LEVELS.values()
    )


@dataclass(frozen=True, slots=True, eq=False)
class Law:
    """How a statistic is distributed under its null hypothesis: quantiles, with straight lines on the normal scale.

    Outside of the outermost quantiles the probability stays at theirs: there it is a bound.
    """

    probabilities: np.ndarray  # rising
    quantiles: np.ndarray  # rising

    def below(self, statistic: float) -> float:
        """Probability of a smaller statistic."""
        return float(ndtr(np.interp(statistic, self.quantiles, ndtri(self.probabilities))))

    def above(self, statistic: float) -> float:
        """Probability of a larger statistic."""
        return float(ndtr(-np.interp(statistic, self.quantiles, ndtri(self.probabilities))))

    def quantile(self, probability: float) -> float:
        """The statistic below which a share of all statistics lies."""
        return float(np.interp(ndtri(probability), ndtri(self.probabilities), self.quantiles))

    def is_outside(self, statistic: float) -> bool:
        """Whether the probabilities of a statistic are only bounds."""
        return not self.quantiles[0] < statistic < self.quantiles[-1]

    def lower_critical_values(self) -> dict[str, float]:
        """The statistics at which `below` is 1, 5 and 10 %."""
        return {name: self.quantile(level) for name, level in LEVELS.items()}

    def upper_critical_values(self) -> dict[str, float]:
        """The statistics at which `above` is 1, 5 and 10 %."""
        return {name: self.quantile(1 - level) for name, level in LEVELS.items()}


def law(probabilities: np.ndarray, surface: np.ndarray, n: int) -> Law:
    """The law at a sample size: each quantile is a + b/n + c/n^2, with rows (a, b, c) of the surface."""
    return Law(probabilities, surface @ np.array([1.0, 1.0 / n, 1.0 / n**2]))
