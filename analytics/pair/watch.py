"""What a reader who looks after every bar may conclude: calibrated at fixed times, then watched.

Sessions begin at bars whose number since 1970 is a multiple of `session_bars`, so that neither a refresh nor the
length of the history moves their start. They are calibrated on the `test_bars` bars before, or on as many as there
are: after a start the first session has fewer, and its boundary is that of so many.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from analytics.monitoring import LONGEST, Monitor, monitor
from analytics.pair.params import PairParams
from analytics.pair.path import session_starts
from analytics.session import FEWEST, SessionEvidence, session_evidence
from utils.errors import AnalysisError, TooFewObservations

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Watch:
    """The session so far; None for what cannot be watched, with the reason in `missing`.

    Indices inside count from bar `start` of the analysis.
    """

    start: int  # index of the first bar of the calibration
    began: int  # index of the first bar of the session
    monitor: Monitor | None  # is the pair still what it was calibrated as?
    session: SessionEvidence | None  # has it shown cointegration, at any of its looks?
    missing: dict[str, str]

    @property
    def alarm_at(self) -> int | None:
        """Index of the bar at which the monitor raised its alarm."""
        found = None if self.monitor is None else self.monitor.alarm_at
        return None if found is None else self.start + found

    @property
    def break_at(self) -> int | None:
        """Index of the first bar after the break, as estimated at the alarm."""
        found = None if self.monitor is None else self.monitor.break_at
        return None if found is None else self.start + found


def watch(y: np.ndarray, x: np.ndarray, numbers: np.ndarray, params: PairParams) -> Watch:
    """The newest session of two legs. numbers: bars since 1970; shape (n,) each, oldest first."""
    began = session_starts(numbers, params.session_bars)[-1]
    trained = min(began, params.test_bars)
    start = began - trained
    legs = y[start:], x[start:]
    need = max(params.min_bars_coint, FEWEST, -(-params.session_bars // LONGEST))
    missing: dict[str, str] = {}

    def attempt(name: str, compute: Callable[[], Part]) -> Part | None:
        try:
            if trained < need:
                raise TooFewObservations(have=trained, need=need, what="bars before the session")
            return compute()
        except AnalysisError as exc:
            missing[name] = str(exc)
            return None

    return Watch(
        start=start,
        began=began,
        monitor=attempt("monitor", lambda: monitor(*legs, trained, params.session_bars)),
        session=attempt("session", lambda: session_evidence(*legs, trained, trained, params.session_bars)),
        missing=missing,
    )
