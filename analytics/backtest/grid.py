"""A grid of parameters: what each earns, which are good with their neighbours, and what the search is worth."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from analytics.backtest.bars import Bars, Funding, bars_of
from analytics.backtest.guard import LookAhead
from analytics.backtest.overfitting import (
    BLOCKS,
    DeflatedSharpe,
    Overfitting,
    deflated_sharpe,
    overfitting,
    sharpe_error,
)
from analytics.backtest.parallel import Cancel, Progress, in_threads
from analytics.backtest.params import BacktestParams
from analytics.backtest.trials import Axes, Figures, Ground, Unit, axes_of, least_of, pairs_of, unit_of
from utils.errors import AnalysisError, TooFewObservations

NAMES = tuple(field.name for field in fields(Figures))


@dataclass(frozen=True, slots=True, eq=False)
class GridResult:
    """Figures of every trial, shape (methods, windows, entries, exits) each; NaN where nothing was tried."""

    params: BacktestParams  # what all have in common
    axes: Axes
    start: int  # first bar of all trials: the first at which every path has a z-score
    n_obs: int
    figures: dict[str, np.ndarray]  # by the names of `Figures`
    plateau: np.ndarray  # median Sharpe ratio, a bar, of a trial and its neighbours
    trials: int  # that were run
    sums: np.ndarray  # of returns and their squares over blocks of bars, shape (*axes, blocks, 2)
    block_bars: np.ndarray  # bars of each block
    look_ahead: LookAhead  # the first path that looks ahead, or the last one
    missing: dict[tuple[str, int], str]  # methods and windows that could not be run, and why
    cancelled: bool

    @property
    def best(self) -> BacktestParams | None:
        """The trial with the highest Sharpe ratio; None where none traded."""
        return self._at(self.figures["sharpe_bar"])

    @property
    def best_plateau(self) -> BacktestParams | None:
        """The trial that is best together with its neighbours."""
        return self._at(self.plateau)

    def deflated(self, earlier_trials: int = 0) -> DeflatedSharpe | None:
        """The best Sharpe ratio against that of the best of as many worthless trials; None where none traded.

        Ratios of worthless trials differ by no more than the error of one. Where these differ by more, some rules are
        truly worse than others (costs see to that), which is no luck of the best: the error is taken then.

        earlier_trials : tried on these bars before, which count as well
        """
        sharpes = self.figures["sharpe_bar"]
        known = sharpes[np.isfinite(sharpes)]
        if not known.size:
            return None
        at = np.unravel_index(np.nanargmax(sharpes), sharpes.shape)
        best = {name: float(self.figures[name][at]) for name in ("sharpe_bar", "skew", "kurtosis")}
        figures = best["sharpe_bar"], self.n_obs - 1 - self.start, best["skew"], best["kurtosis"]
        apart = float(known.std(ddof=1)) if known.size > 1 else math.inf
        return deflated_sharpe(*figures, self.trials + earlier_trials, min(apart, sharpe_error(*figures)))

    def overfitting(self) -> Overfitting:
        """Probability that the best of the past is no better than the median of the rest.

        Raises
        ------
        TooFewObservations
        """
        tried = np.isfinite(self.figures["net"])
        return overfitting(self.sums[tried], self.block_bars)

    def frame(self) -> pd.DataFrame:
        """One row a trial: its parameters, figures and plateau."""
        tried = np.argwhere(np.isfinite(self.figures["net"]))
        where = {name: [axis[i] for i in column] for name, axis, column in _columns(self.axes, tried)}
        at = tuple(tried.T)
        return pd.DataFrame(
            where | {name: values[at] for name, values in self.figures.items()} | {"plateau": self.plateau[at]}
        )

    def _at(self, values: np.ndarray) -> BacktestParams | None:
        if not np.isfinite(values).any():
            return None
        place = np.unravel_index(np.nanargmax(values), values.shape)
        chosen: dict[str, Any] = {name: axis[i] for name, axis, i in zip(Axes._fields, self.axes, place, strict=True)}
        return replace(self.params, **chosen)


def grid(
    y: np.ndarray,
    x: np.ndarray,
    params: BacktestParams | None = None,
    *,
    method: Sequence[str] | None = None,
    window: Sequence[int] | None = None,
    entry_z: Sequence[float] | None = None,
    exit_z: Sequence[float] | None = None,
    ts_us: np.ndarray | None = None,
    complete: np.ndarray | None = None,
    funding: Funding | None = None,
    threads: int = 2,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> GridResult:
    """The backtest of every combination of methods, windows, entries and exits, on the same bars.

    All begin at the bar from which every path has a z-score, so that none has more time than another. Combinations
    without exit_z < entry_z < stop_z are no trials. A method and window that cannot be run are `missing`, with the
    reason.

    Parameters
    ----------
    y, x, params, ts_us, complete, funding : as in `backtest`
    method, window, entry_z, exit_z : values to try; that of params where not given
    threads : at work side by side
    progress : called with the number of trials done and of all, in this thread
    cancel : asked now and then; once True, what is not done stays NaN

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    params = params or BacktestParams()
    axes = axes_of(params, method, window, entry_z, exit_z)
    bars = bars_of(y, x, least_of(params, axes), ts_us, complete, funding)
    units, missing, cancelled = units_of(bars, params, axes, threads, cancel)
    start = max((unit.path.start for unit in units), default=0)
    edges = _edges(bars.n - start)
    jobs: list[Callable[[], tuple[list[Figures], np.ndarray]]] = [
        partial(_unit, bars, unit, axes, start, edges) for unit in units
    ]
    each = len(pairs_of(axes, params))
    told = (lambda done, _: progress(done * each, len(units) * each)) if progress else None
    found = in_threads(jobs, threads, told, cancel)
    figures = {name: np.full(axes.shape, np.nan) for name in NAMES}
    sums = np.zeros((*axes.shape, edges.size - 1, 2))
    for unit, part in zip(units, found, strict=True):
        if part is not None:
            _put(figures, sums, unit, axes, *part)
    tried = np.isfinite(figures["net"])
    return GridResult(
        params=params,
        axes=axes,
        start=start,
        n_obs=bars.n,
        figures=figures,
        plateau=plateau(figures["sharpe_bar"]),
        trials=int(np.count_nonzero(tried)),
        sums=sums,
        block_bars=np.diff(edges),
        look_ahead=guard_of(units),
        missing=missing,
        cancelled=cancelled or None in found,
    )


def units_of(
    bars: Bars, params: BacktestParams, axes: Axes, threads: int, cancel: Cancel | None
) -> tuple[list[Unit], dict[tuple[str, int], str], bool]:
    """Paths of all methods and windows, why some have none, and whether it was cancelled.

    Raises
    ------
    TooFewObservations, DegenerateSeries
        Of the first, where there is none at all.
    """

    def attempted(at: tuple[int, int]) -> Unit | AnalysisError:
        try:
            return unit_of(bars, params, axes, at)
        except AnalysisError as exc:
            return exc

    places = list(product(range(len(axes.method)), range(len(axes.window))))
    jobs = [partial(attempted, at) for at in places]
    found = in_threads(jobs, threads, None, cancel)
    units = [part for part in found if isinstance(part, Unit)]
    errors = {at: part for at, part in zip(places, found, strict=True) if isinstance(part, AnalysisError)}
    if errors and not units:
        raise next(iter(errors.values()))
    missing = {(axes.method[i], axes.window[j]): str(exc) for (i, j), exc in errors.items()}
    return units, missing, None in found


def guard_of(units: Sequence[Unit]) -> LookAhead:
    """The first that looks ahead, or the last one."""
    guards = [unit.guard for unit in units]
    return next((guard for guard in guards if not guard.clean), guards[-1] if guards else LookAhead(True, (), ""))


def plateau(values: np.ndarray) -> np.ndarray:
    """Median of each trial and its direct neighbours in window, entry and exit, also across corners; of one method.

    A single good value among bad ones is luck; a plateau is not moved by a step aside. NaN where the trial itself is,
    or where fewer than half of its neighbours inside the grid are known.
    """
    padded = np.pad(values, [(0, 0), (1, 1), (1, 1), (1, 1)], constant_values=np.nan)
    inside = np.pad(np.ones(values.shape), [(0, 0), (1, 1), (1, 1), (1, 1)])
    shifts = [
        (slice(None), *(slice(by, by + size) for by, size in zip(step, values.shape[1:], strict=True)))
        for step in product(range(3), repeat=3)
    ]
    near, places = np.stack([padded[at] for at in shifts]), np.stack([inside[at] for at in shifts]).sum(axis=0)
    known = np.isfinite(near).sum(axis=0)
    enough = np.isfinite(values) & (2 * known >= places)
    filled = np.where(enough, near, 0.0)  # a median of nothing is not asked for
    return np.where(enough, np.nanmedian(filled, axis=0), np.nan)


def _unit(bars: Bars, unit: Unit, axes: Axes, start: int, edges: np.ndarray) -> tuple[list[Figures], np.ndarray]:
    """Figures and block sums of all thresholds on one path."""
    ground, pairs = Ground(bars, unit.params, start, bars.n, flat=False), pairs_of(axes, unit.params)
    sums = np.zeros((len(pairs), edges.size - 1, 2))
    return ground.figures(unit, pairs, edges, sums), sums


def _put(
    figures: dict[str, np.ndarray], sums: np.ndarray, unit: Unit, axes: Axes, found: list[Figures], parts: np.ndarray
) -> None:
    """What a unit found to its places."""
    for pair, values, part in zip(pairs_of(axes, unit.params), found, parts, strict=True):
        place = *unit.at, pair.entry_at, pair.exit_at
        sums[place] = part
        for name in NAMES:
            figures[name][place] = getattr(values, name)


def _edges(n: int) -> np.ndarray:
    """Edges of the blocks of bars, as even as they can be."""
    if n <= BLOCKS:
        raise TooFewObservations(have=n, need=BLOCKS + 1, what="bars with a z-score")
    return np.linspace(0, n - 1, BLOCKS + 1).astype(np.int64)


def _columns(axes: Axes, tried: np.ndarray) -> list[tuple[str, tuple, np.ndarray]]:
    return list(zip(Axes._fields, axes, tried.T, strict=True))
