"""Watching honestly: sessions of 288 looks that go wrong by chance, and how soon a break is seen."""

import math
from collections.abc import Iterator

import numpy as np
from scipy.signal import lfilter

from analytics.monitoring import Monitor, monitor
from analytics.session import both_directions, session_boundary
from tests.table import Row, Size, at_least, at_most, shown

LOOKS = 288
MOST = 6.0  # % of sessions with a false alarm
BREAK = 38  # bars into the session
BREAKS = (  # how, size, half-life, least % found in the session, most bars of mean delay
    ("the spread wanders", 0.0, 2, 95, 45),
    ("the spread wanders", 0.0, 5, 85, 85),
    ("the level jumps by 4 sd", 4.0, 2, 95, 20),
    ("the level jumps by 4 sd", 4.0, 5, 90, 40),
    ("the ratio jumps by 1", 1.0, 2, 97, 45),
    ("the ratio jumps by 1", 1.0, 5, 97, 50),
)


def watched_tests(size: Size) -> Iterator[Row]:
    """Engle-Granger at every bar of a session of unrelated walks, by its boundary and without one."""
    for window in (100, 500) if size.short else (100, 250, 500, 1_000, 2_000):
        for correlation in (0.0, 0.7) if window in (100, 500) else (0.0,):
            sessions = size.count(200, 3_000)
            rng = np.random.default_rng([window, round(10 * correlation)])
            lowest = np.array([_lowest(rng, window, correlation) for _ in range(sessions)])
            what = f"{window} bars, step correlation {correlation:g}"
            wrong = 100 * float(np.mean(lowest <= session_boundary(window, LOOKS)))
            yield at_most("session evidence", f"false, {what}", _most(sessions, size), wrong, "%")
            naive = np.mean(lowest <= session_boundary(window, 1))
            yield shown("session evidence", f"false without a boundary, {what}", f"{naive:.0%} of sessions")


def false_alarms(size: Size) -> Iterator[Row]:
    """Sessions of steady pairs in which the monitor raises an alarm."""
    for trained in (250, 500, 1_000):
        for half_life in (2, 5, 20):
            wrong, sessions = _alarms(size, trained, half_life)
            what = f"false alarms, {trained} bars, half-life {half_life}"
            yield at_most("monitor", what, _most(sessions, size), wrong, "%")
    for name, trained, half_life, kind in (
        ("half-life 50 after 250 bars", 250, 50, "normal"),
        ("half-life 20 after 100 bars", 100, 20, "normal"),
        ("shocks of Student's t with 5 degrees", 500, 5, "t5"),
        ("shocks of Student's t with 3 degrees", 500, 5, "t3"),
        ("volatility that doubles with the session", 500, 5, "busier"),
    ):
        wrong, sessions = _alarms(size, trained, half_life, kind)
        yield shown("monitor", f"false alarms, {name}", f"{wrong:.1f} % of {sessions} sessions")


def breaks(size: Size) -> Iterator[Row]:
    """Share of breaks that a session finds, delay, and accuracy of the date; 500 bars of calibration."""
    for how, jump, half_life, least, most in BREAKS:
        rng = np.random.default_rng([half_life, len(how)])
        found = list(_sessions(rng, 500, half_life, size.count(60, 1_000), how=how, jump=jump))
        broken = 500 + BREAK
        alarms = [each for each in found if each.alarm_at is not None and each.alarm_at >= broken]
        delay = np.array([each.alarm_at - broken for each in alarms])
        dated = np.array([abs(each.break_at - broken) for each in alarms])
        what = f"{how}, half-life {half_life}"
        # in the short form three standard errors of 60 sessions, and of a delay about as wide as its mean, are added
        noise = 300 * math.sqrt(0.09 / 60) if size.short else 0.0
        yield at_least("monitor", f"found: {what}", round(least - noise), round(100 * len(alarms) / len(found)), "%")
        yield at_most(
            "monitor", f"mean delay: {what}", most * (1.4 if size.short else 1.0), float(delay.mean()), "bars"
        )
        yield shown("monitor", f"date: {what}", f"half of them within {np.median(dated):.0f} bars")
    for trained, half_life in ((500, 20), (1_000, 20)):
        rng = np.random.default_rng([trained, 20])
        found = list(_sessions(rng, trained, half_life, size.count(40, 500), how="the spread wanders", jump=0.0))
        share = np.mean([each.alarm_at is not None for each in found])
        yield shown("monitor", f"found: the spread wanders, half-life 20, {trained} bars", f"{share:.0%}")


def _most(sessions: int, size: Size) -> float:
    """The limit; in the short form with three standard errors of so few sessions on top."""
    return MOST + (300 * math.sqrt(0.06 * 0.94 / sessions) if size.short else 0.0)


def _lowest(rng: np.random.Generator, window: int, correlation: float) -> float:
    x, other = rng.standard_normal((2, window + LOOKS - 1))
    y = correlation * x + math.sqrt(1 - correlation**2) * other
    return float(both_directions(y.cumsum(), x.cumsum(), window).min())


def _alarms(size: Size, trained: int, half_life: int, kind: str = "normal") -> tuple[float, int]:
    """Percent of calibrated sessions with an alarm, and how many there were."""
    rng = np.random.default_rng([trained, half_life, *kind.encode()])
    found = list(_sessions(rng, trained, half_life, size.count(120, 2_000), kind))
    return 100 * float(np.mean([each.status == "alarm" for each in found])), len(found)


def _sessions(
    rng: np.random.Generator,
    trained: int,
    half_life: int,
    count: int,
    kind: str = "normal",
    how: str = "",
    jump: float = 0,
) -> Iterator[Monitor]:
    """So many sessions of pairs that their calibration has accepted; shocks correlated -0.7, 0 and 0.7 with x."""
    tried = 0
    while count:
        tried += 1
        y, x = _pair(rng, trained, half_life, (-0.7, 0.0, 0.7)[tried % 3], kind, how, jump)
        found = monitor(y, x, trained, LOOKS)
        if found.status != "not calibrated":
            count -= 1
            yield found


def _pair(
    rng: np.random.Generator, trained: int, half_life: int, correlation: float, kind: str, how: str, jump: float
) -> tuple[np.ndarray, np.ndarray]:
    """y = 2 x + AR(1), x a random walk; after the break the spread wanders, or its level or the ratio jumps."""
    n, broken, phi = trained + LOOKS, trained + BREAK, 0.5 ** (1 / half_life)
    steps, other = rng.standard_normal((2, n)) * _scale(rng, trained, kind)
    shocks = correlation * steps + math.sqrt(1 - correlation**2) * other
    shocks[0] /= math.sqrt(1 - phi**2)
    x, spread = steps.cumsum(), lfilter([1.0], [1.0, -phi], shocks)
    if how == "the spread wanders":
        spread[broken:] = spread[broken - 1] + shocks[broken:].cumsum()
    elif how.startswith("the level"):
        spread[broken:] += jump / math.sqrt(1 - phi**2)
    elif how.startswith("the ratio"):
        spread[broken:] += jump * (x[broken:] - x[broken])
    return 2 * x + spread, x


def _scale(rng: np.random.Generator, trained: int, kind: str) -> np.ndarray | float:
    """Standard deviation of the shocks of both legs, by bar."""
    n = trained + LOOKS
    if kind in ("t3", "t5"):
        degrees = int(kind[1])
        return np.sqrt((degrees - 2) / rng.chisquare(degrees, n))
    return np.where(np.arange(n) < trained, 1.0, 2.0) if kind == "busier" else 1.0
