"""One backtest as it is asked for, and all that is said of it: the run, its uncertainty, the search for it."""

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Self, TypeVar

import numpy as np

import config
from analytics.backtest import (
    Axes,
    BacktestParams,
    BacktestResult,
    Bands,
    Benchmark,
    DeflatedSharpe,
    GridResult,
    Overfitting,
    WalkForward,
    backtest,
    bands,
    deflated_sharpe,
    grid,
    shuffled,
    walk_forward,
)
from analytics.backtest.overfitting import sharpe_error
from analytics.backtest.walk_forward import CHOICES
from analytics.resampling import timeframe_us
from data.pair_bars import PairBars
from utils.errors import AnalysisError, InputError
from utils.jobs import Progress

LEAST_BARS, MOST_BARS = 20, 500_000
MOST_SHUFFLES = 1_000
MOST_TRIALS = 20_000
MOST_FOLDS = 50
THREADS = 2
PARTS = 1_000  # steps of a job in which one stage is told
CURVE_POINTS = 400  # of the equity of a saved run

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Walk:
    """How a walk-forward is cut and chosen."""

    folds: int = 5
    train_parts: int = 2
    anchored: bool = False
    choose: str = "sharpe"

    def __post_init__(self) -> None:
        for name, value in (("folds", self.folds), ("train_parts", self.train_parts)):
            if not 1 <= value <= MOST_FOLDS:
                raise InputError(f"{name} must be 1 to {MOST_FOLDS}, was {value}", name)
        if self.choose not in CHOICES:
            raise InputError(f"choose must be one of {', '.join(CHOICES)}, was {self.choose!r}", "choose")


@dataclass(frozen=True, slots=True)
class BacktestRequest:
    """What a backtest is asked to do, and on which bars.

    Raises
    ------
    InputError
        `field` names the value that is out of its limits.
    """

    symbol_y: str
    symbol_x: str
    timeframe: str
    params: BacktestParams = field(default_factory=BacktestParams)
    source: str = "market"  # as `Backtests.sources` names it
    bars: int = 5_000  # newest ones
    funding: tuple[float, float] | None = None  # rate per 8 hours of y and of x; None is not known
    shuffles: int = 100  # pairs of the benchmark; 0 leaves it out
    axes: Axes | None = None  # of the grid; None leaves it out
    walk: Walk | None = None  # None leaves it out; its trials are those of the axes

    def __post_init__(self) -> None:
        if self.symbol_y == self.symbol_x:
            raise InputError(f"a pair needs two different symbols, both legs are {self.symbol_y}", "symbol_x")
        for name in ("symbol_y", "symbol_x"):
            try:
                object.__setattr__(self, name, config.clean_symbol(getattr(self, name)))
            except ValueError as exc:
                raise InputError(str(exc), name) from None
        timeframe_us(self.timeframe)
        if not LEAST_BARS <= self.bars <= MOST_BARS:
            raise InputError(f"bars must be {LEAST_BARS} to {MOST_BARS}, were {self.bars}", "bars")
        if not 0 <= self.shuffles <= MOST_SHUFFLES:
            raise InputError(f"shuffles must be 0 to {MOST_SHUFFLES}, were {self.shuffles}", "shuffles")
        if self.axes is not None and math.prod(self.axes.shape) > MOST_TRIALS:
            count = math.prod(self.axes.shape)
            raise InputError(f"a grid has at most {MOST_TRIALS:,} trials, this has {count:,}", "grid")
        for rate in self.funding or ():
            if not abs(rate) <= 0.1:
                raise InputError(f"funding must be -0.1 to 0.1 per 8 hours, was {rate:g}", "funding")

    @property
    def pair(self) -> str:
        """`ETHUSDT/BTCUSDT`."""
        return f"{self.symbol_y}/{self.symbol_x}"

    @property
    def stages(self) -> int:
        """Parts of the work that are told apart."""
        return 1 + (self.shuffles > 0) + (self.axes is not None) + (self.walk is not None)

    @classmethod
    def of(cls, body: Mapping[str, Any]) -> Self:
        """From the dictionary that `as_dict` made, also after it was JSON; what is left out has its default.

        Raises
        ------
        InputError
        """
        values = dict(body)
        given: dict[str, Any] = dict(body.get("params") or {})
        limits: dict[str, Any] = {name: math.inf for name, value in given.items() if value is None}
        values["params"] = BacktestParams(**(given | limits))
        if body.get("axes"):
            values["axes"] = Axes(**{name: tuple(part) for name, part in body["axes"].items()})
        if body.get("walk"):
            values["walk"] = Walk(**body["walk"])
        if body.get("funding"):
            values["funding"] = tuple(body["funding"])
        return cls(**values)

    def as_dict(self) -> dict[str, Any]:
        """The same for JSON; a limit that is infinite is None."""
        body = asdict(self)
        body["params"] = _plain(body["params"])
        body["axes"] = None if self.axes is None else self.axes._asdict()
        return body


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """What came of a backtest."""

    request: BacktestRequest
    bars: PairBars
    run: BacktestResult
    deflated: DeflatedSharpe  # of the run, among all that were tried
    bands: Bands | None
    benchmark: Benchmark | None
    grid: GridResult | None
    grid_deflated: DeflatedSharpe | None  # of the best of the grid
    overfitting: Overfitting | None
    walk: WalkForward | None
    trials: int  # parameter sets tried here
    earlier: int  # tried before on this pair, bar width and source
    missing: Mapping[str, str]  # parts that could not be told, and why

    @property
    def test_ts_us(self) -> np.ndarray:
        """Opens of the bars of the tests of the walk-forward."""
        assert self.walk is not None and self.run.ts_us is not None
        return self.run.ts_us[self.walk.bars]

    def summary(self) -> dict[str, Any]:
        """What a saved run keeps: the request, figures with their bands, what speaks against them, a thin equity.

        Plain values, ready for JSON: None for undefined and infinite.
        """
        body: dict[str, Any] = {"request": self.request.as_dict(), **self.run.as_dict()}
        body["bars"] |= self.bars_told()
        body |= {"honesty": self.honesty(), "equity": self.curve(CURVE_POINTS), "missing": dict(self.missing)}
        return _plain(body)

    def bars_told(self) -> dict[str, Any]:
        """Where the bars are from, how many there are, and how many of them miss trades."""
        ends = (int(self.bars.ts_us[0]), int(self.bars.ts_us[-1])) if self.bars.n else (None, None)
        return {
            "what": self.bars.what,
            "given": self.bars.n,
            "first_us": ends[0],
            "last_us": ends[1],
            "incomplete": self.bars.incomplete,
            "absent": self.bars.missing,
        }

    def honesty(self) -> dict[str, Any]:
        """What speaks for luck: bands, benchmark, deflated ratios, overfitting, walk-forward; None where not asked."""
        told: dict[str, Any] = {
            "trials": self.trials,
            "earlier_trials": self.earlier,
            "deflated": asdict(self.deflated),
        }
        told["bands"] = None if self.bands is None else _scalars(self.bands)
        told["benchmark"] = None if self.benchmark is None else _scalars(self.benchmark)
        told["grid_deflated"] = None if self.grid_deflated is None else asdict(self.grid_deflated)
        told["overfitting"] = None if self.overfitting is None else _scalars(self.overfitting)
        if self.walk is not None:
            told["walk"] = _scalars(self.walk) | {"folds": len(self.walk.folds), "efficiency": self.walk.efficiency}
        return told

    def curve(self, points: int) -> dict[str, list[Any]]:
        """Times and equity, thinned to about so many points; the last one always among them. 0 gives all."""
        run = self.run
        step = max(1, run.n_obs // points) if points else 1
        rows = np.unique(np.append(np.arange(0, run.n_obs, step), run.n_obs - 1))
        ts_us = run.index if run.ts_us is None else run.ts_us
        parts = {"ts_us": ts_us, "equity": run.equity, "drawdown": run.drawdown}
        return {name: values[rows].tolist() for name, values in parts.items()}


def report_of(request: BacktestRequest, bars: PairBars, earlier: int, progress: Progress) -> Report:
    """The run and all that doubts it, stage by stage; a part that the data does not support is missing, with a reason.

    earlier : parameter sets tried before on such bars

    Raises
    ------
    TooFewObservations, DegenerateSeries, InputError
        Of the run itself.
    """
    work = _Work(request, bars, progress)
    run = work.run()
    band = work.attempted("bands", lambda: bands(run))
    benchmark = work.benchmark() if request.shuffles else None
    found = work.grid() if request.axes is not None else None
    walk = work.walk() if request.walk is not None else None
    trials = max(1 if found is None else found.trials, 1)
    return Report(
        request=request,
        bars=bars,
        run=run,
        deflated=_deflated(run, trials + earlier),
        bands=band,
        benchmark=benchmark,
        grid=found,
        grid_deflated=None if found is None else found.deflated(earlier),
        overfitting=None if found is None else work.attempted("overfitting", found.overfitting),
        walk=walk,
        trials=trials,
        earlier=earlier,
        missing=work.missing,
    )


class _Work:
    """The stages of one report."""

    def __init__(self, request: BacktestRequest, bars: PairBars, progress: Progress) -> None:
        self._request, self._progress = request, progress
        self._legs = bars.y, bars.x, request.params
        self._known: dict[str, Any] = {"ts_us": bars.ts_us, "complete": bars.complete, "funding": request.funding}
        self._axes: dict[str, Any] = {} if request.axes is None else request.axes._asdict()
        self._begun = 0
        self.missing: dict[str, str] = {}

    def attempted(self, name: str, compute: Callable[[], Result]) -> Result | None:
        """A part, or None where the data does not support it."""
        try:
            return compute()
        except (AnalysisError, InputError) as exc:
            self.missing[name] = str(exc)
            return None

    def run(self) -> BacktestResult:
        found = backtest(*self._legs, **self._known)
        self._aside()["progress"](1, 1)
        return found

    def benchmark(self) -> Benchmark | None:
        more = {**self._known, **self._aside(), "runs": self._request.shuffles}
        return self.attempted("benchmark", lambda: shuffled(*self._legs, **more))

    def grid(self) -> GridResult | None:
        more = {**self._known, **self._aside(), **self._axes}
        return self.attempted("grid", lambda: grid(*self._legs, **more))

    def walk(self) -> WalkForward | None:
        how = {} if self._request.walk is None else asdict(self._request.walk)
        more = {**self._known, **self._aside(), **self._axes, **how}
        return self.attempted("walk", lambda: walk_forward(*self._legs, **more))

    def _aside(self) -> dict[str, Any]:
        """Threads, cancel, and the progress of the next stage in its place in that of the job."""
        before, stages = self._begun, self._request.stages
        self._begun += 1

        def tell(done: int, total: int) -> None:
            self._progress(before * PARTS + PARTS * done // max(total, 1), stages * PARTS)

        return {"threads": THREADS, "cancel": self._progress.cancelled, "progress": tell}


def _deflated(run: BacktestResult, trials: int) -> DeflatedSharpe:
    """Of a run that is one of so many; worthless ones differ by the error of one."""
    told = run.metrics
    figures = told.sharpe_bar, told.n_obs, told.skew, told.kurtosis
    return deflated_sharpe(*figures, trials, sharpe_error(*figures))


def _plain(value: Any) -> Any:
    """The same in Python's own numbers; None for NaN and infinite ones."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    value = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _scalars(part: Any) -> dict[str, Any]:
    """The fields of a result that are no arrays."""
    plain = (bool, int, float, str, tuple, type(None))
    told = {one.name: getattr(part, one.name) for one in fields(part)}
    return {name: value for name, value in told.items() if isinstance(value, plain) and name != "folds"}
