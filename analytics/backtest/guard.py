"""Whether a run looks ahead: it is run again on fewer bars, and what it said of those has to be the same."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

TOLERANCE = 1e-9  # relative

Series = Mapping[str, np.ndarray]  # one value a bar each


@dataclass(frozen=True, slots=True)
class LookAhead:
    """What came of cutting the bars."""

    clean: bool
    cuts: tuple[int, ...]  # numbers of bars that were left
    what: str  # the first value that later bars changed: its name and bar; empty where none did


def look_ahead(run: Callable[[int], Series], full: Series, cuts: Sequence[int]) -> LookAhead:
    """Runs on the first `cut` bars of each cut, and compares every value of every bar with that of the full run.

    A value that rests on a later bar is another one, or none, at the last bar before a cut. So a leak of one bar in
    the path is seen at any cut; one in the decisions alone at a cut right after a decision.
    """
    for cut in cuts:
        found = run(cut)
        for name, values in found.items():
            differ = _differ(values, full[name][:cut])
            if differ.size:
                return LookAhead(False, tuple(cuts), f"{name} at bar {differ[0]}")
    return LookAhead(True, tuple(cuts), "")


def cuts_after(decisions: np.ndarray, start: int, n: int) -> tuple[int, ...]:
    """Two cuts: right after the decisions nearest to a quarter and half of the bars, or there if there are none."""
    wanted = [start + (n - start) // 4, start + (n - start) // 2]
    if not decisions.size:
        return tuple(sorted({cut for cut in wanted if start < cut < n}))
    nearest = {int(decisions[np.abs(decisions - cut).argmin()]) + 1 for cut in wanted}
    return tuple(sorted(cut for cut in nearest if start < cut < n))


def _differ(found: np.ndarray, full: np.ndarray) -> np.ndarray:
    """Bars at which two series are not the same."""
    if np.array_equal(found, full, equal_nan=True):
        return np.empty(0, np.int64)
    return np.flatnonzero(~np.isclose(found, full, rtol=TOLERANCE, atol=0, equal_nan=True))
