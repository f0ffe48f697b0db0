"""Is now like usual: liquidity, volatility, and how straight the price moves."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from utils.errors import InputError

LOW, HIGH = 0.7, 1.3

Regime = Literal["low", "normal", "high", "unknown"]


@dataclass(frozen=True, slots=True)
class VolatilityRegime:
    """Volatility now over volatility before."""

    ratio: float  # NaN where either is not known, or nothing moved before
    name: Regime  # low below 0.7, high above 1.3; unknown where the ratio is NaN


def liquidity_score(volume_ratio: float, gap_ratio: float) -> float:
    """Liquidity score, 0 to 100; 50 where volume and times between trades are what they were before.

        100 min(1, volume_ratio / (1 + gap_ratio))

    where volume_ratio is the volume a second now over that of before, and gap_ratio the mean time between trades now
    over that of before (infinite where nothing traded now: the score is 0). It compares a symbol with itself, never
    with another one, and says nothing about the book. NaN stays NaN.

    Raises
    ------
    InputError
        A ratio below 0.
    """
    for name, ratio in (("volume_ratio", volume_ratio), ("gap_ratio", gap_ratio)):
        if ratio < 0:
            raise InputError(f"{name} must be >= 0, was {ratio:g}", name)
    return 100 * float(np.minimum(1.0, volume_ratio / (1 + gap_ratio)))


def volatility_regime(current: float, historical: float) -> VolatilityRegime:
    """Ratio of two volatilities of one unit and one sampling width: low < 0.7, high > 1.3, normal between.

    The ratio of a volatility that does not change wanders too: with n normal returns in the current one by about
    1 / sqrt(2 n), one standard deviation. NaN makes the regime unknown.

    Raises
    ------
    InputError
        A volatility below 0.
    """
    if current < 0 or historical < 0:
        raise InputError(f"volatilities must be >= 0, were {current:g} and {historical:g}")
    ratio = current / historical if historical > 0 else np.nan
    if np.isnan(ratio):
        return VolatilityRegime(np.nan, "unknown")
    return VolatilityRegime(ratio, "low" if ratio < LOW else "high" if ratio > HIGH else "normal")


def momentum_quality(prices: object) -> float:
    """Kaufman's efficiency ratio with the sign of the move, -1..1: net change / sum of |changes|.

    +1 a straight rise, -1 a straight fall, near 0 much ado about nothing; its size, 0..1, is the quality. n steps of
    a random walk have a size of about 1 / sqrt(n). NaN with fewer than two prices, or where none moves.

    Parameters
    ----------
    prices : float array, shape (n,), at equal distances in time, oldest first, finite

    Raises
    ------
    InputError

    References
    ----------
    P. J. Kaufman, Smarter Trading (1995).
    """
    price = np.asarray(prices, np.float64)
    if price.ndim != 1 or not np.isfinite(price).all():
        raise InputError("prices must be finite and have one dimension", "prices")
    path = float(np.abs(np.diff(price)).sum())
    return float(np.clip((price[-1] - price[0]) / path, -1, 1)) if path > 0 else np.nan
