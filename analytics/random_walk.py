"""Is a price a random walk? The variance ratio asks it at one horizon, the Hurst exponent over all long ones."""

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri, zeta

from analytics.checks import series
from analytics.long_run import autocovariances
from analytics.significance import LEVELS
from utils.errors import DegenerateSeries, InputError

BARS_A_STEP = 16  # bars for each bar of the horizon below which the ratio's law is not known well enough
HURST_MIN_OBS = 100
HURST_POWER = 0.65  # frequencies used are n^0.65
HURST_LIMITS = (0.005, 0.995)
SMALL_SAMPLE = 8  # the estimate's variance is up to (1 + 8 / frequencies) times its asymptotic one, by simulation
SMALL_SAMPLE_WALK = 4  # the same for a walk
CONFIDENCE_Z = 1.959964
STEPS = 60  # of the scoring iteration, at most


@dataclass(frozen=True, slots=True)
class VarianceRatio:
    """Variance ratio test. Null hypothesis: changes are uncorrelated, whatever their volatility (a random walk)."""

    statistic: float  # robust z of Lo and MacKinlay; < 0 reverts, > 0 trends
    pvalue: float  # two-sided
    critical_values: dict[str, tuple[float, float]]  # the statistic's lower and upper one
    ratio: float  # variance of `horizon`-bar changes over `horizon` times that of one-bar changes; 1 = walk
    horizon: int  # bars
    n_obs: int  # changes
    trend: str  # "c": the mean change is taken out


@dataclass(frozen=True, slots=True)
class Hurst:
    """Hurst exponent of a path, between 0 and 1. Null hypothesis of its p-value: 0.5, a random walk.

    Below 0.5 moves tend to be taken back, above 0.5 they tend to go on; noise around a mean has 0.
    """

    exponent: float
    low: float  # 95 % interval, cut at 0 and 1
    high: float
    stderr: float
    statistic: float  # (exponent - 0.5) over the standard error of a walk's
    pvalue: float  # two-sided
    critical_values: dict[str, float]  # of |statistic|
    frequencies: int  # lowest ones of the changes' spectrum that were used
    n_obs: int  # changes


def variance_ratio(x: np.ndarray, horizon: int = 8) -> VarianceRatio:
    """Variance ratio over `horizon` bars with overlapping changes, and its heteroskedasticity-robust test.

    ratio = var(x[t] - x[t-q]) / (q var(x[t] - x[t-1])), both unbiased; statistic = sqrt(n) (ratio - 1) / sqrt(theta).
    The ratio is skewed: read as a normal variable, at n = 250 and q = 16 the statistic falls below -1.96 in 0.6 % and
    above 1.96 in 4.6 % of walks, and mean reversion is hardly ever found. The p-value therefore treats the ratio as a
    mean square with 2 n / theta degrees of freedom, whose cube root is close to normal (Wilson and Hilferty).

    Parameters
    ----------
    x : float array, shape (n + 1,), oldest first; a price or log price, n >= 16 horizon
    horizon : bars, >= 2

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    A. W. Lo and A. C. MacKinlay, Review of Financial Studies 1 (1988); E. B. Wilson and M. M. Hilferty, Proceedings
    of the National Academy of Sciences 17 (1931).
    """
    if horizon < 2:
        raise InputError(f"horizon must be >= 2 bars, was {horizon}", "horizon")
    values = series(x, "x", BARS_A_STEP * horizon + 1)
    ratio, theta = _ratio(values, horizon)
    n = values.size - 1
    freedom = 2 * n / theta
    scale = math.sqrt(2 / (9 * freedom))
    score = (np.cbrt(ratio) - (1 - scale**2)) / scale
    return VarianceRatio(
        statistic=math.sqrt(n / theta) * (ratio - 1),
        pvalue=float(2 * ndtr(-abs(score))),
        critical_values={name: _critical_pair(level, scale, n / theta) for name, level in LEVELS.items()},
        ratio=ratio,
        horizon=horizon,
        n_obs=n,
        trend="c",
    )


def hurst(x: np.ndarray) -> Hurst:
    """Hurst exponent of a path by local Whittle estimation, with its 95 % interval.

    Minimises log mean(I / g_H) + mean(log g_H) over the lowest n^0.65 frequencies w of the changes' periodogram I.
    g_H = (1 - cos w) (w^(-2H-1) + 2 (2 pi)^(-2H-1) zeta(2H+1)): a power law and what sampling at bars folds back into
    low frequencies, as fractional Gaussian noise has it. Robinson's power law alone reports 0.03 for a true 0.1 at
    500 bars. The standard error is that of the information in those frequencies, widened by simulation for small
    samples. Correlation of a few bars' reach is left to the frequencies that are not used; longer one biases it.

    Parameters
    ----------
    x : float array, shape (n + 1,), oldest first; a price or log price (not its changes), n >= 100

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    P. M. Robinson, Annals of Statistics 23 (1995); C. Velasco and P. M. Robinson, Journal of the American Statistical
    Association 95 (2000).
    """
    values = series(x, "x", HURST_MIN_OBS + 1)
    change = np.diff(values)
    count = int(change.size**HURST_POWER)
    spectrum = _Spectrum.of(change, count)
    exponent = spectrum.estimate()
    stderr = spectrum.stderr(exponent) * math.sqrt(1 + SMALL_SAMPLE / count)
    statistic = (exponent - 0.5) / (spectrum.stderr(0.5) * math.sqrt(1 + SMALL_SAMPLE_WALK / count))
    return Hurst(
        exponent=exponent,
        low=max(0.0, exponent - CONFIDENCE_Z * stderr),
        high=min(1.0, exponent + CONFIDENCE_Z * stderr),
        stderr=stderr,
        statistic=statistic,
        pvalue=float(2 * ndtr(-abs(statistic))),
        critical_values={name: float(-ndtri(level / 2)) for name, level in LEVELS.items()},
        frequencies=count,
        n_obs=change.size,
    )


def _ratio(values: np.ndarray, horizon: int) -> tuple[float, float]:
    """Variance ratio, and n times its variance under the null.

    Raises
    ------
    DegenerateSeries
    """
    n = values.size - 1
    drift = (values[-1] - values[0]) / n
    change = np.diff(values) - drift
    long_change = values[horizon:] - values[:-horizon] - horizon * drift
    short = change @ change / (n - 1)
    if not short > 0:
        raise DegenerateSeries("x is a line: its changes do not vary")
    long = long_change @ long_change / (horizon * (n - horizon + 1) * (1 - horizon / n))
    weights = 4 * (1 - np.arange(1, horizon) / horizon) ** 2
    squares = change**2
    theta = float(weights @ autocovariances(squares, horizon - 1)[1:] / squares.mean() ** 2)
    if not theta > 0:
        raise DegenerateSeries("too few of the changes differ from their mean")
    return float(long / short), theta


def _critical_pair(level: float, scale: float, precision: float) -> tuple[float, float]:
    """The statistics, below and above zero, at which the two-sided p-value is `level`."""
    roots = (1 - scale**2) + scale * np.array([1, -1]) * ndtri(level / 2)
    low, high = math.sqrt(precision) * (roots**3 - 1)
    return float(low), float(high)


@dataclass(frozen=True, slots=True, eq=False)
class _Spectrum:
    """The lowest frequencies of a periodogram, and how fractional noise would fill them."""

    power: np.ndarray  # shape (count,)
    log_frequency: np.ndarray
    shape: np.ndarray  # log(1 - cos w)

    @classmethod
    def of(cls, change: np.ndarray, count: int) -> "_Spectrum":
        """The periodogram of changes; their mean plays no part."""
        frequency = 2 * np.pi * np.arange(1, count + 1) / change.size
        power = np.abs(np.fft.rfft(change - change.mean())[1 : count + 1]) ** 2
        if not power.sum() > 1e-24 * change.size * (change @ change):
            raise DegenerateSeries("x is a line: its changes do not vary")
        return cls(power, np.log(frequency), np.log1p(-np.cos(frequency)))

    def model(self, exponent: float) -> tuple[np.ndarray, np.ndarray]:
        """Log of the spectrum at an exponent, and its slope in the exponent."""
        steep = 2 * exponent + 1
        power = np.exp(-steep * self.log_frequency)
        folded, step = _folded(steep), 1e-6
        folded_slope = (_folded(steep + step) - _folded(steep - step)) / step  # of 2H + 1, which moves twice as fast
        whole = power + folded
        return self.shape + np.log(whole), (folded_slope - 2 * self.log_frequency * power) / whole

    def estimate(self) -> float:
        """The exponent by scoring from 0.5: slope of the objective over its expected curvature."""
        low, high = HURST_LIMITS
        exponent = 0.5
        for _ in range(STEPS):
            log_spectrum, slope = self.model(exponent)
            weights = self.power * np.exp(-log_spectrum)
            step = (weights @ slope) / weights.sum() - slope.mean()
            after = min(high, max(low, exponent + min(0.2, max(-0.2, step / slope.var()))))
            if abs(after - exponent) < 1e-9:
                break
            exponent = after
        return float(after)

    def stderr(self, exponent: float) -> float:
        """Asymptotic standard error of the estimate at an exponent."""
        slope = self.model(exponent)[1]
        return float(1 / math.sqrt(slope.size * slope.var()))


def _folded(steep: float) -> float:
    """What lies at all multiples of the sampling frequency, taken as flat at low frequencies."""
    return float(2 * (2 * np.pi) ** -steep * zeta(steep))
