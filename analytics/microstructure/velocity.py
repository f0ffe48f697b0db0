"""How fast the tape runs, and how fast it usually runs at this time of day."""

from dataclasses import dataclass

import numpy as np

from analytics.microstructure.columns import positive, same_length, times
from analytics.resampling import UNIT_US, BarColumns
from utils.clock import US_PER_S
from utils.errors import InputError

DAY_S = UNIT_US["d"] // US_PER_S
LEAST_DAYS = 3
LEAST_COVER = 0.5  # of a slot; less of it, and that day teaches nothing


@dataclass(frozen=True, slots=True)
class TickVelocity:
    """Speed of the tape in a trailing window; NaN where the tape covers none of it."""

    trades_per_s: float
    notional_per_s: float  # quote currency
    window_s: float  # covered by the tape: shorter than asked for while the tape is young


@dataclass(frozen=True, slots=True)
class NormalLevel:
    """Speed that is usual at one time of day; NaN before three days have shown it."""

    trades_per_s: float
    notional_per_s: float
    days: int  # on which this time of day was seen; below 3 there is not enough data


def tick_velocity(
    ts_us: object, price: object, qty: object, now_us: int, window_s: float = 60.0, since_us: int | None = None
) -> TickVelocity:
    """Trades and notional a second in the `window_s` seconds up to and including `now_us`.

    Parameters
    ----------
    ts_us, price, qty : shape (n,), oldest first; trades after `now_us` count for nothing
    since_us : when the tape began to be kept; the first trade where None
        The rate rests on the part of the window that the tape covers. Without trades and `since_us` it is NaN; a
        covered window without trades is truly 0.

    Raises
    ------
    InputError
    """
    when, prices, size = times(ts_us), positive(price, "price"), positive(qty, "qty")
    same_length(ts_us=when, price=prices, qty=size)
    if not window_s > 0:
        raise InputError(f"window_s must be > 0, was {window_s:g}", "window_s")
    begun = since_us if since_us is not None else int(when[0]) if when.size else now_us
    start = max(begun, now_us - round(window_s * US_PER_S))
    rows = slice(*np.searchsorted(when, [start, now_us], "right"))  # after the start, up to now
    return velocity_of(prices[rows].size, float(prices[rows] @ size[rows]), (now_us - start) / US_PER_S)


def velocity_of(trades: float, notional: float, seconds: float) -> TickVelocity:
    """Rates of sums over so many seconds."""
    if not seconds > 0:
        return TickVelocity(np.nan, np.nan, 0.0)
    return TickVelocity(trades / seconds, notional / seconds, seconds)


def normal_level(bars: BarColumns, now_us: int, slot_s: int = 1_800, half_life_days: float = 5.0) -> NormalLevel:
    """What is usual at the time of day of `now_us`, from bars before it; see `LevelLearner`.

    Bars that are not complete teach nothing. They follow each other at one distance, which divides the slot.

    Raises
    ------
    InputError
    """
    learner = LevelLearner(slot_s, half_life_days)
    learner.learn_bars(bars[: int(np.searchsorted(bars.ts_us, now_us // learner.slot_us * learner.slot_us))])
    return learner.normal(now_us)


class LevelLearner:
    """What is usual at each time of day, learned from bars as they close; UTC.

    The day is cut into slots (half hours). Each day gives a slot one observation, its mean rate, and

        normal = sum of 2^(-age / half-life) rate / sum of 2^(-age / half-life),   age in days

    over the days before today: the slot in progress is not part of its own normal. A slot of which less than half was
    covered gives none.
    """

    def __init__(self, slot_s: int = 1_800, half_life_days: float = 5.0) -> None:
        """Nothing is learned yet.

        Raises
        ------
        InputError
            Slots that do not fill a day, or a half-life that is not positive.
        """
        if slot_s < 1 or DAY_S % slot_s:
            raise InputError(f"slot_s must divide a day of {DAY_S} s, was {slot_s}", "slot_s")
        if not 0 < half_life_days < np.inf:
            raise InputError(f"half_life_days must be > 0, was {half_life_days:g}", "half_life_days")
        self.slot_us, self._slots = slot_s * US_PER_S, DAY_S // slot_s
        self._half_life = half_life_days
        self._number = np.full(self._slots, -1, np.int64)  # slot since the epoch whose sums are kept
        self._sums = np.zeros((self._slots, 3))  # trades, notional, seconds of it
        self._learned = np.zeros((self._slots, 3))  # weighted rates of days before, and their weight
        self._day = np.zeros(self._slots, np.int64)  # of the newest of them
        self._days = np.zeros(self._slots, np.int64)

    def learn_bars(self, bars: BarColumns) -> None:
        """Learn from complete bars that follow each other at one distance."""
        if len(bars) < 2:
            return
        rows, width_s = bars.complete, float(bars.ts_us[1] - bars.ts_us[0]) / US_PER_S
        notional = np.where(bars.volume > 0, bars.vwap * bars.volume, 0.0)
        self.learn(bars.ts_us[rows], bars.trades[rows], notional[rows], width_s)

    def learn(self, ts_us: np.ndarray, trades: np.ndarray, notional: np.ndarray, width_s: float) -> None:
        """Learn from stretches of one width that begin at `ts_us`, oldest first, each taught once.

        Raises
        ------
        InputError
            They begin before what was already learned at that time of day.
        """
        number = times(ts_us) // self.slot_us
        if not number.size:
            return
        starts = np.flatnonzero(np.diff(number, prepend=-1))
        ends = np.append(starts[1:], number.size)
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            sums = trades[start:end].sum(), notional[start:end].sum(), (end - start) * width_s
            self._add(int(number[start]), np.array(sums, np.float64))

    def normal(self, now_us: int) -> NormalLevel:
        """What days before told of this time of day."""
        number = now_us // self.slot_us
        slot = number % self._slots
        learned, days = self._learned[slot], int(self._days[slot])
        if self._number[slot] < number:
            learned, _, days = self._with_last(slot)
        if days < LEAST_DAYS:
            return NormalLevel(np.nan, np.nan, days)
        trades, notional = (learned[:2] / learned[2]).tolist()
        return NormalLevel(trades, notional, days)

    def _add(self, number: int, sums: np.ndarray) -> None:
        slot = number % self._slots
        if number < self._number[slot]:
            raise InputError("bars must not step back behind what was learned", "ts_us")
        if number > self._number[slot]:
            self._learned[slot], self._day[slot], self._days[slot] = self._with_last(slot)
            self._number[slot], self._sums[slot] = number, 0.0
        self._sums[slot] += sums

    def _with_last(self, slot: int) -> tuple[np.ndarray, int, int]:
        """What is learned of a slot once its newest day has closed, the day of that, and the number of days."""
        trades, notional, seconds = self._sums[slot]
        learned, day, days = self._learned[slot], int(self._day[slot]), int(self._days[slot])
        if seconds * US_PER_S < LEAST_COVER * self.slot_us:
            return learned, day, days
        today = int(self._number[slot]) // self._slots
        aged = 0.5 ** ((today - day) / self._half_life) if days else 0.0
        return learned * aged + [trades / seconds, notional / seconds, 1.0], today, days + 1
