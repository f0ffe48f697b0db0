"""What is chosen on the Backtest page beside the view: one frozen value, and its part of the address."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

import config
from analytics.backtest import Axes, BacktestParams
from analytics.backtest.params import FILLS, HEDGES, INCOMPLETE, REENTRIES
from analytics.backtest.walk_forward import CHOICES
from dashboard.view import METHODS, View
from engine.backtest_report import LEAST_BARS, MOST_BARS, MOST_FOLDS, MOST_SHUFFLES, BacktestRequest, Walk
from utils.errors import InputError

PARTS = {"run": "Run", "grid": "Grid", "walk": "Walk-forward", "saved": "Saved runs"}
MOST_VALUES = 40  # of one axis
PARAMS = BacktestParams()


@dataclass(frozen=True, slots=True)
class Choice:
    """The form of the page. Thresholds, window and method are those of the view."""

    part: str = "run"
    source: str = "market"
    bars: int = 5_000
    incomplete: str = PARAMS.incomplete
    capital: float = PARAMS.capital
    leverage: float = PARAMS.leverage
    compound: bool = PARAMS.compound
    hedge: str = PARAMS.hedge
    roll_share: float = PARAMS.roll_share
    lot_y: float = PARAMS.lot_y
    lot_x: float = PARAMS.lot_x
    fill: str = PARAMS.fill
    taker_bps: float = config.FEE_BPS
    maker_bps: float = PARAMS.maker_bps
    slippage_y_bps: float = PARAMS.slippage_y_bps
    slippage_x_bps: float = PARAMS.slippage_x_bps
    latency_bars: int = PARAMS.latency_bars
    funding_y_bps: float | None = None  # per 8 hours, a long position pays; None where it is not known
    funding_x_bps: float | None = None
    time_stop: float = 0.0  # half-lives; 0 never gives up
    half_life_bars: int = PARAMS.half_life_bars
    reentry: str = PARAMS.reentry
    shuffles: int = 100
    grid: bool = True
    methods: tuple[str, ...] = ()  # axes; where nothing is given, values around those of the view
    windows: tuple[int, ...] = ()
    entries: tuple[float, ...] = ()
    exits: tuple[float, ...] = ()
    walk: bool = True  # with the grid only: it chooses from that
    folds: int = 5
    train_parts: int = 2
    anchored: bool = False
    choose: str = "sharpe"

    @classmethod
    def from_query(cls, query: Mapping[str, str]) -> tuple[Self, list[str]]:
        """The choice of an address, and one notice for each value that cannot be used and fell back."""
        values: dict[str, Any] = {}
        notices = []
        for name, (field, read) in PARAMETERS.items():
            if name in query:
                try:
                    values[field] = read(query[name])
                except (InputError, ValueError) as exc:
                    notices.append(f"{name}={query[name][:40]!r} in the address is not used: {exc}")
        return cls(**values), notices

    def to_query(self) -> dict[str, str]:
        """What differs from the defaults as query parameters; reading them back gives the same choice."""
        return {
            name: _write(getattr(self, field))
            for name, (field, _) in PARAMETERS.items()
            if getattr(self, field) != getattr(DEFAULT, field)
        }

    def axes(self, view: View) -> Axes:
        """What the grid tries: what was given, or values around those of the view, where these make a rule."""
        entries = self.entries or [view.entry_z * share for share in (0.75, 1.0, 1.25, 1.5)]
        exits = self.exits or [view.exit_z * share for share in (0.0, 0.5, 1.0, 1.5)]
        return Axes(
            method=self.methods or (view.method,),
            window=self.windows or tuple(sorted({max(5, view.window // 2), view.window, 2 * view.window})),
            entry_z=tuple(sorted({round(value, 4) for value in entries if value < view.stop_z})),
            exit_z=tuple(sorted({round(value, 4) for value in exits if value < view.entry_z})),
        )

    def params(self, view: View) -> BacktestParams:
        """Of the run.

        Raises
        ------
        InputError
        """
        own = {name: getattr(self, name) for name in OWN}
        shared = {name: getattr(view, name) for name in SHARED}
        limits: dict[str, Any] = {"session_bars": config.SESSION_BARS, "time_stop": self.time_stop or math.inf}
        return BacktestParams(**own, **shared, **limits)

    def request(self, view: View) -> BacktestRequest:
        """The backtest that is asked for.

        Raises
        ------
        InputError
        """
        known = (self.funding_y_bps, self.funding_x_bps)
        funding = None if None in known else tuple((rate or 0.0) / 10_000 for rate in known)
        return BacktestRequest(
            symbol_y=view.symbol_y,
            symbol_x=view.symbol_x,
            timeframe=view.timeframe,
            params=self.params(view),
            source=self.source,
            bars=self.bars,
            funding=funding,  # type: ignore[arg-type]
            shuffles=self.shuffles,
            axes=self.axes(view) if self.grid else None,
            walk=Walk(self.folds, self.train_parts, self.anchored, self.choose) if self.grid and self.walk else None,
        )


OWN = (
    *("incomplete", "capital", "leverage", "compound", "hedge", "roll_share", "lot_y", "lot_x", "fill", "taker_bps"),
    *("maker_bps", "slippage_y_bps", "slippage_x_bps", "latency_bars", "half_life_bars", "reentry"),
)
SHARED = ("window", "method", "scale", "log_prices", "entry_z", "exit_z", "stop_z")
DEFAULT = Choice()


def choice_of(request: BacktestRequest) -> Choice:
    """The form that asks for this; its part of the view is `view_fields`."""
    funding = request.funding or (None, None)
    own = {name: getattr(request.params, name) for name in OWN}
    axes, walk = request.axes, request.walk or Walk()
    tried: dict[str, Any] = (
        {} if axes is None else dict(zip(("methods", "windows", "entries", "exits"), axes, strict=True))
    )
    return Choice(
        source=request.source,
        bars=request.bars,
        **own,
        **tried,
        funding_y_bps=None if funding[0] is None else 10_000 * funding[0],
        funding_x_bps=None if funding[1] is None else 10_000 * funding[1],
        time_stop=0.0 if math.isinf(request.params.time_stop) else request.params.time_stop,
        shuffles=request.shuffles,
        grid=axes is not None,
        walk=request.walk is not None,
        folds=walk.folds,
        train_parts=walk.train_parts,
        anchored=walk.anchored,
        choose=walk.choose,
    )


def view_fields(request: BacktestRequest) -> dict[str, Any]:
    """The fields of a view that a request was made of."""
    legs = {"symbol_y": request.symbol_y, "symbol_x": request.symbol_x, "timeframe": request.timeframe}
    return legs | {name: getattr(request.params, name) for name in SHARED}


# --- reading and writing ----------------------------------------------------------------------------


def listed(text: str, read: Callable[[str], Any]) -> tuple[Any, ...]:
    """Values of an axis from text such as `1.5, 2, 2.5`, ascending, each once.

    Raises
    ------
    InputError
    """
    try:
        values = tuple(
            dict.fromkeys(read(part) for part in text.replace(";", ",").replace("~", ",").split(",") if part.strip())
        )
    except ValueError:
        raise InputError(f"values must be numbers by commas, was {text[:40]!r}") from None
    if len(values) > MOST_VALUES:
        raise InputError(f"an axis has at most {MOST_VALUES} values, had {len(values)}")
    return values


def _write(value: Any) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, tuple):
        return "~".join(map(_write, value))
    return repr(value) if isinstance(value, float) else str(value)


def _whole(name: str, low: int, high: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if not low <= value <= high:
            raise InputError(f"{name} must be {low} to {high}, was {value}")
        return value

    return read


def _real(name: str, low: float, high: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        value = float(text)
        if not low <= value <= high:
            raise InputError(f"{name} must be {low:g} to {high:g}, was {text[:20]}")
        return value

    return read


def _axis(name: str, read: Callable[[str], Any], low: float, high: float) -> Callable[[str], tuple[Any, ...]]:
    def values(text: str) -> tuple[Any, ...]:
        found = listed(text, read)
        for value in found:
            if not low <= value <= high:
                raise InputError(f"{name} must be {low:g} to {high:g}, was {value:g}")
        return tuple(sorted(found))

    return values


def _one_of(name: str, known: Mapping[str, str] | tuple[str, ...]) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}")
        return text

    return read


def _flag(text: str) -> bool:
    if text not in ("0", "1"):
        raise InputError("must be 0 or 1")
    return text == "1"


def _methods(text: str) -> tuple[str, ...]:
    return tuple(_one_of("a method", METHODS)(part) for part in dict.fromkeys(text.split("~")) if part)


def _source(text: str) -> str:
    if not 0 < len(text) <= 200:
        raise InputError("a source has 1 to 200 letters")
    return text


LIMITS = {  # of numbers in the form
    "bars": (LEAST_BARS, MOST_BARS),
    "capital": (1.0, 1e12),
    "leverage": (0.01, 100.0),
    "roll_share": (0.0, 10.0),
    "lot_y": (0.0, 1e9),
    "lot_x": (0.0, 1e9),
    "taker_bps": (0.0, 1_000.0),
    "maker_bps": (-1_000.0, 1_000.0),
    "slippage_y_bps": (0.0, 1_000.0),
    "slippage_x_bps": (0.0, 1_000.0),
    "latency_bars": (0, 1_000),
    "funding_y_bps": (-1_000.0, 1_000.0),
    "funding_x_bps": (-1_000.0, 1_000.0),
    "time_stop": (0.0, 1_000.0),
    "half_life_bars": (20, 10_000),
    "shuffles": (0, MOST_SHUFFLES),
    "folds": (1, MOST_FOLDS),
    "train_parts": (1, MOST_FOLDS),
}


def _number(field: str) -> Callable[[str], float]:
    low, high = LIMITS[field]
    name = field.replace("_", " ")
    return _whole(name, low, high) if isinstance(low, int) and isinstance(high, int) else _real(name, low, high)


# Name in the address -> field and reader.
PARAMETERS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "part": ("part", _one_of("part", PARTS)),
    "bars-from": ("source", _source),
    "bars": ("bars", _number("bars")),
    "lost": ("incomplete", _one_of("lost", INCOMPLETE)),
    "capital": ("capital", _number("capital")),
    "leverage": ("leverage", _number("leverage")),
    "compound": ("compound", _flag),
    "hedge": ("hedge", _one_of("hedge", HEDGES)),
    "roll": ("roll_share", _number("roll_share")),
    "lot-y": ("lot_y", _number("lot_y")),
    "lot-x": ("lot_x", _number("lot_x")),
    "fill": ("fill", _one_of("fill", FILLS)),
    "taker": ("taker_bps", _number("taker_bps")),
    "maker": ("maker_bps", _number("maker_bps")),
    "slip-y": ("slippage_y_bps", _number("slippage_y_bps")),
    "slip-x": ("slippage_x_bps", _number("slippage_x_bps")),
    "late": ("latency_bars", _number("latency_bars")),
    "fund-y": ("funding_y_bps", _number("funding_y_bps")),
    "fund-x": ("funding_x_bps", _number("funding_x_bps")),
    "time-stop": ("time_stop", _number("time_stop")),
    "life": ("half_life_bars", _number("half_life_bars")),
    "reentry": ("reentry", _one_of("reentry", REENTRIES)),
    "shuffles": ("shuffles", _number("shuffles")),
    "grid": ("grid", _flag),
    "methods": ("methods", _methods),
    "windows": ("windows", _axis("a window", int, 3, 5_000)),
    "entries": ("entries", _axis("an entry", float, 0.01, 20)),
    "exits": ("exits", _axis("an exit", float, 0.0, 20)),
    "walk": ("walk", _flag),
    "folds": ("folds", _number("folds")),
    "train": ("train_parts", _number("train_parts")),
    "anchored": ("anchored", _flag),
    "choose": ("choose", _one_of("choose", CHOICES)),
}
assert {field for field, _ in PARAMETERS.values()} == {field.name for field in fields(Choice)}
