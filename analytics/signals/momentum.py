"""Momentum: which of two exponential averages is ahead, and by how much of a steady trend."""

from dataclasses import dataclass

import numpy as np

from analytics.indicators import ema, macd
from analytics.indicators.columns import column
from analytics.signals.params import SignalParams

FLAT = 1e-13  # an average move below this share of the largest value so far is rounding


@dataclass(frozen=True, slots=True)
class Crossover:
    """A turn of the momentum, decided at the close of a bar."""

    bar: int  # index in the path
    side: int  # +1 now rising, -1 now falling
    strength: float  # at that close


@dataclass(frozen=True, slots=True, eq=False)
class Momentum:
    """Direction and strength of a trend, shape (n,) each."""

    position: np.ndarray  # int8: +1 rising, -1 falling, 0 not known yet; decided at close t, in force from t + 1
    strength: np.ndarray  # 1 is a steady rise, -1 a steady fall, 0 none; NaN while warming up
    crossovers: tuple[Crossover, ...]  # oldest first


def momentum_signal(values: np.ndarray, params: SignalParams | None = None) -> Momentum:
    """Direction of a price, a spread or a z-score: +1, 0 or -1 a bar, decided at its close.

        strength = 2 (ema(values, fast) - ema(values, slow)) / ((slow - fast) ema(|change|, slow))

    is without units. On a straight line the averages are (slow - fast) / 2 changes apart: 1 means that every bar
    moves one way by the usual amount; it may pass 1 for a while after a jump. On a random walk its standard deviation
    is 0.2. The position turns to +1 where strength > hysteresis, to -1 where it is below -hysteresis, and stays as it
    was between: 0.1 halves the turns of a random walk, from one in 27 bars to one in 57. Values that are not numbers
    leave it 0 until both averages are full again, as indicators are.

    Parameters
    ----------
    values : float array, shape (n,), of closed bars, oldest first; may hold NaN
        Of a pair with a moving hedge ratio give the z-score: the spread jumps whenever the ratio moves.
    params : fast, slow, hysteresis; SignalParams() by default

    Raises
    ------
    InputError
    """
    params = params or SignalParams()
    strength = _strength(column(values, "values"), params.fast, params.slow)
    position = _held(strength, params.hysteresis)
    before = np.concatenate((np.zeros(1, np.int8), position))[: position.size]
    turned = np.flatnonzero((position != 0) & (position != before)).tolist()
    crossovers = tuple(Crossover(bar, int(position[bar]), float(strength[bar])) for bar in turned)
    return Momentum(position, strength, crossovers)


def _strength(values: np.ndarray, fast: int, slow: int) -> np.ndarray:
    """NaN before index slow, and where nothing has moved for so long that only rounding is left."""
    known = np.where(np.isfinite(values), values, np.nan)
    change = np.diff(known, prepend=np.nan)
    usual = ema(np.abs(change), slow)
    largest = np.fmax.accumulate(np.abs(known)) if known.size else known
    with np.errstate(divide="ignore", invalid="ignore"):
        strength = 2 * macd(known, fast, slow).line / ((slow - fast) * usual)
        return np.where(usual > FLAT * largest, strength, np.nan)


def _held(strength: np.ndarray, hysteresis: float) -> np.ndarray:
    """The newest side that was decided; a strength that is not known decides 0."""
    side = np.where(strength > hysteresis, 1, np.where(strength < -hysteresis, -1, 0)).astype(np.int8)
    decided = (side != 0) | np.isnan(strength)
    newest = np.maximum.accumulate(np.where(decided, np.arange(side.size), 0))
    return side[newest]
