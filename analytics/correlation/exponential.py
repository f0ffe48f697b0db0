"""Correlation whose weights halve every so many bars."""

from dataclasses import dataclass
from typing import Self

import numpy as np

from analytics.checks import pair
from utils.compiled import compiled
from utils.errors import InputError

MIN_OBS = 10  # before that the path is NaN: of two bars every correlation is -1 or 1


@dataclass(frozen=True, slots=True)
class Fading:
    """Weighted means and centred sums after a closed bar: all that the next value needs."""

    decay: float  # weight of a bar relative to the next one
    weight: float  # sum of the weights
    y_mean: float
    x_mean: float
    syy: float
    sxx: float
    sxy: float
    n_obs: int

    @property
    def correlation(self) -> float:
        """-1..1; NaN before MIN_OBS bars and where a leg has not moved."""
        product = self.syy * self.sxx
        if self.n_obs < MIN_OBS or not product > 0:
            return float("nan")
        return float(min(1.0, max(-1.0, self.sxy / product**0.5)))

    def then(self, y: float, x: float) -> Self:
        """The state with one more bar; of the forming bar it gives the provisional value and is thrown away."""
        weight = self.decay * self.weight + 1
        dy, dx = y - self.y_mean, x - self.x_mean
        pull = self.decay * self.weight / weight
        return type(self)(
            decay=self.decay,
            weight=weight,
            y_mean=self.y_mean + dy / weight,
            x_mean=self.x_mean + dx / weight,
            syy=self.decay * self.syy + pull * dy * dy,
            sxx=self.decay * self.sxx + pull * dx * dx,
            sxy=self.decay * self.sxy + pull * dy * dx,
            n_obs=self.n_obs + 1,
        )


@dataclass(frozen=True, slots=True, eq=False)
class ExponentialCorrelation:
    """The path, and where it stands."""

    path: np.ndarray  # shape (n,), -1..1, NaN for the first bars and where a leg has not moved
    last: Fading


def ewm_correlation(y: np.ndarray, x: np.ndarray, half_life_bars: float) -> ExponentialCorrelation:
    """Exponentially weighted correlation of returns after each bar, dimensionless.

    Weights 2^(-age / half_life); means and sums are weighted alike and centred as they run, so that no digits cancel.
    Equal to `pandas.Series.ewm(halflife=...).corr`. About 2.9 half-lives of bars carry as much as equal weights
    would: at a half-life of 30 bars an interval is as wide as that of 87 bars.

    Parameters
    ----------
    y, x : float arrays, shape (n,), oldest first, n >= 10
    half_life_bars : > 0

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    if not 0 < half_life_bars < np.inf:
        raise InputError(f"half_life_bars must be > 0, was {half_life_bars}", "half_life_bars")
    y, x = pair(y, x, MIN_OBS)
    decay = float(0.5 ** (1 / half_life_bars))
    sums, end = _run(y, x, decay)
    with np.errstate(divide="ignore", invalid="ignore"):
        product = sums[0] * sums[1]
        path = np.where(product > 0, np.clip(sums[2] / np.sqrt(product), -1.0, 1.0), np.nan)
    path[: MIN_OBS - 1] = np.nan
    weight, y_mean, x_mean = end
    syy, sxx, sxy = sums[:, -1].tolist()
    return ExponentialCorrelation(path, Fading(decay, weight, y_mean, x_mean, syy, sxx, sxy, n_obs=y.size))


@compiled
def _run(y: np.ndarray, x: np.ndarray, decay: float) -> tuple[np.ndarray, tuple[float, float, float]]:
    """`Fading.then` over all bars: syy, sxx, sxy of each, and the last weight and means."""
    sums = np.empty((3, y.size))
    weight = y_mean = x_mean = syy = sxx = sxy = 0.0
    for t in range(y.size):
        before = decay * weight
        weight = before + 1
        dy, dx, pull = y[t] - y_mean, x[t] - x_mean, before / weight
        y_mean += dy / weight
        x_mean += dx / weight
        syy = decay * syy + pull * dy * dy
        sxx = decay * sxx + pull * dx * dx
        sxy = decay * sxy + pull * dy * dx
        sums[0, t], sums[1, t], sums[2, t] = syy, sxx, sxy
    return sums, (weight, y_mean, x_mean)
