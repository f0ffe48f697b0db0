"""Walk-forward: parameters chosen on one stretch of bars and judged on the next, again and again."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import pandas as pd

from analytics.backtest.bars import Bars, Funding, bars_of
from analytics.backtest.figures import bars_per_year, moments, tally_all
from analytics.backtest.grid import NAMES, guard_of, plateau, units_of
from analytics.backtest.guard import LookAhead
from analytics.backtest.parallel import Cancel, Progress, in_threads
from analytics.backtest.params import BacktestParams
from analytics.backtest.trials import Axes, Figures, Ground, Pair, Unit, axes_of, least_of, pairs_of
from utils.errors import InputError, TooFewObservations

CHOICES = ("sharpe", "plateau")
LEAST_BARS = 30  # of a part


@dataclass(frozen=True, slots=True)
class Fold:
    """One choice, and what came of it. Bars are indices of the run, from the first to before the second."""

    train: tuple[int, int]
    test: tuple[int, int]
    params: BacktestParams | None  # chosen; None where no trial traded: then nothing is traded in the test
    in_sample: Figures  # of the chosen, in the training
    out_of_sample: Figures  # of the chosen, in the test
    trials: int


@dataclass(frozen=True, slots=True, eq=False)
class WalkForward:
    """In-sample and out-of-sample side by side."""

    folds: tuple[Fold, ...]
    bars: np.ndarray  # of the run: those of all tests
    equity: np.ndarray  # out of sample, at each of them; every fold begins with the capital's worth of trading
    net: float  # out of sample
    sharpe: float  # of a year, out of sample; NaN where the times of bars are not known
    sharpe_bar: float
    in_sample_sharpe_bar: float  # mean over the folds of the chosen
    trials: int  # in all folds
    look_ahead: LookAhead
    missing: dict[tuple[str, int], str]
    cancelled: bool  # folds that were not done are left out

    @property
    def efficiency(self) -> float:
        """Sharpe ratio out of sample over that in sample; NaN where the latter is not above 0."""
        return self.sharpe_bar / self.in_sample_sharpe_bar if self.in_sample_sharpe_bar > 0 else math.nan

    def frame(self) -> pd.DataFrame:
        """One row a fold: bars, what was chosen, figures in and out of sample."""
        return pd.DataFrame([_row(fold) for fold in self.folds])


def walk_forward(
    y: np.ndarray,
    x: np.ndarray,
    params: BacktestParams | None = None,
    *,
    method: Sequence[str] | None = None,
    window: Sequence[int] | None = None,
    entry_z: Sequence[float] | None = None,
    exit_z: Sequence[float] | None = None,
    folds: int = 5,
    train_parts: int = 2,
    anchored: bool = False,
    choose: str = "sharpe",
    ts_us: np.ndarray | None = None,
    complete: np.ndarray | None = None,
    funding: Funding | None = None,
    threads: int = 2,
    progress: Progress | None = None,
    cancel: Cancel | None = None,
) -> WalkForward:
    """Trains a grid on a stretch of bars, trades its best on the next, and moves on.

    From the first bar with every z-score on the bars are cut into folds + train_parts even parts. Fold k is trained on
    the `train_parts` parts before its test, or on all before it where `anchored`. Paths rest on earlier bars only, so
    a test may look back into its training, never forward; both begin and end without a position, fills included.

    Parameters
    ----------
    y, x, params, method, window, entry_z, exit_z, ts_us, complete, funding, threads : as in `grid`
    folds : >= 1
    train_parts : >= 1
    choose : "sharpe" takes the best trial, "plateau" the best together with its neighbours
    progress : called with the number of stretches trained and of all, in this thread
    cancel : asked now and then; folds not done are left out

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries
    """
    params = params or BacktestParams()
    _check(folds, train_parts, choose)
    axes = axes_of(params, method, window, entry_z, exit_z)
    bars = bars_of(y, x, least_of(params, axes), ts_us, complete, funding)
    units, missing, cancelled = units_of(bars, params, axes, threads, cancel)
    start = max((unit.path.start for unit in units), default=0)
    stretches = _stretches(start, bars.n, folds, train_parts, anchored, params.latency_bars)
    jobs: list[Callable[[], list[Figures]]] = [
        partial(_trained, bars, unit, axes, train) for train, _ in stretches for unit in units
    ]
    found = in_threads(jobs, threads, progress, cancel)
    done: list[tuple[Fold, np.ndarray]] = []
    for k, (train, test) in enumerate(stretches):
        parts = found[k * len(units) : (k + 1) * len(units)]
        if units and None not in parts:
            done.append(_judged(bars, units, axes, [part or [] for part in parts], train, test, choose))
    return _together(done, params, bars, guard_of(units), missing, cancelled or len(done) < folds)


def _check(folds: int, train_parts: int, choose: str) -> None:
    for name, value in (("folds", folds), ("train_parts", train_parts)):
        if value < 1:
            raise InputError(f"{name} must be >= 1, was {value}", name)
    if choose not in CHOICES:
        raise InputError(f"choose must be one of {', '.join(CHOICES)}, was {choose!r}", "choose")


def _stretches(
    start: int, n: int, folds: int, train_parts: int, anchored: bool, latency: int
) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Training and test of each fold, as bars."""
    parts = folds + train_parts
    least = parts * (LEAST_BARS + latency)
    if n - start < least:
        raise TooFewObservations(have=n - start, need=least, what="bars with a z-score")
    edges = np.linspace(start, n, parts + 1).astype(int).tolist()
    first = [0 if anchored else k for k in range(folds)]
    return [
        ((edges[first[k]], edges[k + train_parts]), (edges[k + train_parts], edges[k + train_parts + 1]))
        for k in range(folds)
    ]


def _trained(bars: Bars, unit: Unit, axes: Axes, train: tuple[int, int]) -> list[Figures]:
    """Figures of all thresholds on one path, in one training."""
    ground = Ground(bars, unit.params, *train, flat=True)
    return ground.figures(unit, pairs_of(axes, unit.params))


def _judged(
    bars: Bars,
    units: Sequence[Unit],
    axes: Axes,
    parts: Sequence[list[Figures]],
    train: tuple[int, int],
    test: tuple[int, int],
    choose: str,
) -> tuple[Fold, np.ndarray]:
    """The fold, and equity at the bars of its test."""
    sharpes = np.full(axes.shape, np.nan)
    by_place: dict[int, tuple[Unit, Pair, Figures]] = {}
    for unit, part in zip(units, parts, strict=True):
        for pair, figures in zip(pairs_of(axes, unit.params), part, strict=True):
            place = int(np.ravel_multi_index((*unit.at, pair.entry_at, pair.exit_at), axes.shape))
            sharpes.flat[place], by_place[place] = figures.sharpe_bar, (unit, pair, figures)
    values, capital = plateau(sharpes) if choose == "plateau" else sharpes, units[0].params.capital
    if not np.isfinite(values).any():
        nothing = Figures(net=0.0, trades=0.0)
        return Fold(train, test, None, nothing, nothing, len(by_place)), np.full(test[1] - test[0], capital)
    unit, pair, in_sample = by_place[int(np.nanargmax(values))]
    chosen = replace(unit.params, entry_z=pair.entry_z, exit_z=pair.exit_z)
    ground = Ground(bars, unit.params, *test, flat=True)
    (out,) = ground.figures(unit, [pair])
    return Fold(train, test, chosen, in_sample, out, len(by_place)), ground.equity


def _together(
    done: Sequence[tuple[Fold, np.ndarray]],
    params: BacktestParams,
    bars: Bars,
    guard: LookAhead,
    missing: dict[tuple[str, int], str],
    cancelled: bool,
) -> WalkForward:
    """Tests one after the other: each adds what it earned."""
    folds = tuple(fold for fold, _ in done)
    steps = [np.diff(equity, prepend=params.capital) for _, equity in done]
    equity = params.capital + np.concatenate([np.zeros(0), *steps]).cumsum()
    whole = np.concatenate(([params.capital], equity))
    found = moments(tally_all(whole, 0, params.capital, False))
    return WalkForward(
        folds=folds,
        bars=np.concatenate([np.arange(0), *(np.arange(*fold.test) for fold in folds)]),
        equity=equity,
        net=float(whole[-1] - params.capital),
        sharpe=found.sharpe * math.sqrt(bars_per_year(bars.ts_us)),
        sharpe_bar=found.sharpe,
        in_sample_sharpe_bar=_mean([fold.in_sample.sharpe_bar for fold in folds]),
        trials=sum(fold.trials for fold in folds),
        look_ahead=guard,
        missing=missing,
        cancelled=cancelled,
    )


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return math.fsum(known) / len(known) if known else math.nan


def _row(fold: Fold) -> dict[str, object]:
    chosen = {} if fold.params is None else {name: getattr(fold.params, name) for name in Axes._fields}
    row: dict[str, object] = {"train_from": fold.train[0], "test_from": fold.test[0], "test_to": fold.test[1]} | chosen
    inside, outside = asdict(fold.in_sample), asdict(fold.out_of_sample)
    row |= {f"in_{name}": inside[name] for name in NAMES}
    return row | {f"out_{name}": outside[name] for name in NAMES} | {"trials": fold.trials}
