"""The mean-reversion rule on a path of z: sell a spread that is high, buy one that is low, leave where it is back."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from analytics.indicators.columns import column
from analytics.signals.params import SignalParams
from utils.compiled import compiled

STAYS, EXIT, STOP = 0, 1, 2  # how a bar ends a position
KIND: dict[int, Literal["exit", "stop"]] = {EXIT: "exit", STOP: "stop"}


@dataclass(frozen=True, slots=True)
class Event:
    """A change of position, decided at the close of a bar."""

    kind: Literal["entry", "exit", "stop"]
    bar: int  # index in the path
    side: int  # of the position that is entered or left: +1 long, -1 short the spread
    zscore: float  # at that close; NaN where a position ends because z does


@dataclass(frozen=True, slots=True, eq=False)
class MeanReversion:
    """Positions in the spread: +1 long (buy y, sell x), -1 short, 0 flat."""

    position: np.ndarray  # int8, shape (n,): decided at the close of bar t, in force from bar t + 1 on
    events: tuple[Event, ...]  # oldest first; a turn-round is an exit and an entry at one bar
    stopped: int  # side of the last stop while z is not back inside the exit since; 0 where an entry is open

    @property
    def in_force(self) -> np.ndarray:
        """Position held during each bar: that decided at the close before it, int8, shape (n,)."""
        return np.concatenate((np.zeros(1, np.int8), self.position))[: self.position.size]


def mean_reversion_signal(zscore: np.ndarray, params: SignalParams | None = None) -> MeanReversion:
    """Position in the spread by its z-score: -1, 0 or +1 a bar, decided at its close.

    Flat: short where entry_z < z <= stop_z, long where -stop_z <= z < -entry_z. In a position: leave where z on the
    side of the entry falls below exit_z (a jump across the mean leaves too, and may enter on the other side at that
    close), stop where it rises above stop_z. After a stop nothing is entered before z has been below exit_z on that
    side. A z that is not a number holds no position, and does not count as back. Beyond stop_z nothing is entered;
    a z that falls from there into the band without having been stopped is.

    Only bars up to t decide position[t], which is in force from bar t + 1: a backtest fills at t + 1 or later.

    Parameters
    ----------
    zscore : float array, shape (n,), of closed bars, oldest first; may hold NaN
    params : entry_z, exit_z, stop_z; SignalParams() by default

    Raises
    ------
    InputError
    """
    params = params or SignalParams()
    zscore = column(zscore, "zscore")
    position, left, stopped = _positions(zscore, params.entry_z, params.exit_z, params.stop_z)
    return MeanReversion(position, _events(zscore, position, left), stopped)


def _events(zscore: np.ndarray, position: np.ndarray, left: np.ndarray) -> tuple[Event, ...]:
    before = np.concatenate((np.zeros(1, np.int8), position))[: position.size]
    found: list[Event] = []
    for bar in np.flatnonzero(before != position).tolist():
        z = float(zscore[bar]) if np.isfinite(zscore[bar]) else float("nan")
        if before[bar]:
            found.append(Event(KIND[int(left[bar])], bar, int(before[bar]), z))
        if position[bar]:
            found.append(Event("entry", bar, int(position[bar]), z))
    return tuple(found)


@compiled
def step(z: float, held: int, stopped: int, entry: float, leave: float, stop: float) -> tuple[int, int, int]:
    """Position after a close, how the one before it ended there, and the side of a stop that is not over."""
    if not np.isfinite(z):
        return 0, EXIT if held != 0 else STAYS, stopped
    left = STAYS
    if held != 0 and -held * z > stop:
        left, stopped, held = STOP, held, 0
    elif held != 0 and -held * z < leave:
        left, held = EXIT, 0
    if stopped != 0 and -stopped * z < leave:
        stopped = 0
    if held == 0 and stopped == 0 and entry < abs(z) <= stop:
        held = -1 if z > 0 else 1
    return held, left, stopped


@compiled
def _positions(zscore: np.ndarray, entry: float, leave: float, stop: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Position after each bar, how the one before it ended there, and the side of a stop that is not over."""
    position, left = np.zeros(zscore.size, np.int8), np.zeros(zscore.size, np.int8)
    held = stopped = 0
    for t in range(zscore.size):
        held, left[t], stopped = step(zscore[t], held, stopped, entry, leave, stop)
        position[t] = held
    return position, left, stopped
