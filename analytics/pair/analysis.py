"""Everything known of one pair, as one frozen value: what pages, alerts, API and exports read."""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from analytics.pair.evidence import IGNORES_THE_FIT, Evidence
from analytics.pair.params import PairParams
from analytics.pair.path import SERIES, Provisional, SpreadPath
from analytics.pair.watch import Watch
from analytics.verdict import caveats, verdict
from utils.later import Later

IN_READING = tuple(name for name in SERIES if name != "intercept")
TESTS = (
    "engle_granger",
    "engle_granger_xy",
    "phillips_ouliaris",
    "johansen",
    "adf",
    "kpss",
    "phillips_perron",
    "zivot_andrews",
    "variance_ratio",
    "hurst",
)
REVERSION = ("half_life", "ornstein_uhlenbeck", "exit_time", "entry")


@dataclass(frozen=True, slots=True, eq=False)
class PairAnalysis:
    """Everything known of one pair; arrays have one value a closed bar, oldest first, NaN where undefined."""

    params: PairParams
    n_obs: int  # closed bars
    ts_us: np.ndarray | None  # opens of the bars
    complete: np.ndarray  # bool: no trade is known to be missing in either leg
    y: np.ndarray  # prices
    x: np.ndarray
    path: SpreadPath
    later_evidence: Later[Evidence]  # most of the cost: charts, which draw the path alone, do not wait for it
    later_watch: Later[Watch]
    provisional: Provisional | None = None

    @property
    def evidence(self) -> Evidence:
        """Fits and tests of the newest `params.test_bars` bars."""
        return self.later_evidence()

    @property
    def watch(self) -> Watch:
        """The session so far."""
        return self.later_watch()

    @property
    def coverage(self) -> float:
        """Share of the bars used that are complete."""
        used = max(self.params.test_bars, self.params.window, self.n_obs - self.watch.start)
        return float(self.complete[-used:].mean())

    @property
    def cointegration_pvalue(self) -> float:
        """Of Engle-Granger in both directions, for one look; NaN where undefined."""
        return math.nan if self.evidence.directions is None else self.evidence.directions.pvalue

    @property
    def session_pvalue(self) -> float:
        """Of Engle-Granger at every bar of the session so far, for all looks together; NaN where undefined."""
        session = self.watch.session
        return math.nan if session is None else float(session.pvalue[-1])

    @property
    def monitor(self) -> float:
        """How far the detector of a break has come towards its boundary, at most, this session: 1 is an alarm.

        NaN where nothing is watched.
        """
        watched = self.watch.monitor
        return math.nan if watched is None or not watched.detector.size else float(watched.detector.max())

    @property
    def missing(self) -> dict[str, str]:
        """What is not there, and why."""
        return self.evidence.missing | self.watch.missing

    @property
    def verdict(self) -> str:
        """What the numbers say, in plain words."""
        return verdict(self)

    @property
    def caveats(self) -> tuple[str, ...]:
        """What to keep in mind about them."""
        return caveats(self)

    def reading(self) -> dict[str, float]:
        """The newest closed values by metric name; NaN where undefined."""
        found, process = self.evidence, self.evidence.ornstein_uhlenbeck
        newest = {name: float(getattr(self.path, name)[-1]) for name in IN_READING}
        prices = {"price_y": float(self.y[-1]), "price_x": float(self.x[-1])}
        single = {
            "pvalue": self.cointegration_pvalue,
            "session_pvalue": self.session_pvalue,
            "monitor": self.monitor,
            "adf_pvalue": _or_nan(found.adf, "pvalue"),
            "half_life": _or_nan(found.half_life, "bars"),
            "half_life_low": _or_nan(found.half_life, "low"),
            "half_life_high": _or_nan(found.half_life, "high"),
            "ou_theta": _or_nan(process, "theta"),
            "ou_std": _or_nan(process, "std"),
            "residual_z": found.residual_z,
            "exit_bars": _or_nan(found.exit_time, "bars"),
            "breakeven_z": _or_nan(found.entry, "breakeven_z"),
            "coverage": self.coverage,
            "n_obs": float(self.n_obs),
        }
        return prices | newest | single

    def frame(self, limit: int | None = None) -> pd.DataFrame:
        """One row a bar: ts_us where known, prices, SERIES and complete."""
        columns: dict[str, np.ndarray] = {} if self.ts_us is None else {"ts_us": self.ts_us}
        columns |= {"y": self.y, "x": self.x} | {name: getattr(self.path, name) for name in SERIES}
        table = pd.DataFrame(columns | {"complete": self.complete})
        return table if limit is None else table.tail(limit)

    def rows(self, limit: int | None = None) -> list[dict[str, Any]]:
        """The same rows as dictionaries, with None for what is undefined."""
        table = self.frame(limit)
        columns = [_plain(table[name].to_numpy()) for name in table]
        return [dict(zip(table.columns, row, strict=True)) for row in zip(*columns, strict=True)]

    def as_dict(self) -> dict[str, Any]:
        """Everything but the rows, ready for JSON: None for what is undefined or infinite."""
        parts = {name: _body(getattr(self.evidence, name)) for name in (*TESTS, *REVERSION)}
        body = {
            "params": asdict(self.params),
            "n_obs": self.n_obs,
            "last_ts_us": self._time(self.n_obs - 1),
            "reading": self.reading(),
            "fit": _body(self.evidence.fit),
            "other_fits": [asdict(fit) for fit in self.evidence.other_fits],
            **parts,
            "legs": {"y": _body(self.evidence.leg_y), "x": _body(self.evidence.leg_x)},
            "returns": _body(self.evidence.returns),
            "cointegration_pvalue": self.cointegration_pvalue,
            "plain_adf_note": IGNORES_THE_FIT,
            "watch": self._watch(),
            "kalman_consistency": _body(self.path.consistency),
            "provisional": _body(self.provisional),
            "coverage": self.coverage,
            "missing": self.missing,
            "verdict": self.verdict,
            "caveats": list(self.caveats),
        }
        return _finite(body)

    def _watch(self) -> dict[str, Any]:
        """The session with times in place of indices."""
        watched, session = self.watch.monitor, self.watch.session
        crossed = None if session is None or session.crossed_at is None else self.watch.start + session.crossed_at
        return {
            "began_ts_us": self._time(self.watch.began),
            "calibrated_bars": self.watch.began - self.watch.start,
            "session_bars": self.params.session_bars,
            "status": None if watched is None else watched.status,
            "reason": None if watched is None else watched.reason,
            "monitor": self.monitor,
            "alarm_ts_us": self._time(self.watch.alarm_at),
            "break_ts_us": self._time(self.watch.break_at),
            "holds": None if watched is None else watched.holds,
            "session_pvalue": self.session_pvalue,
            "session_boundary": None if session is None else session.boundary,
            "session_statistic": None if session is None else float(session.statistic[-1]),
            "crossed_ts_us": self._time(crossed),
        }

    def _time(self, index: int | None) -> int | None:
        return None if index is None or self.ts_us is None else int(self.ts_us[index])


def _or_nan(part: object, name: str) -> float:
    return math.nan if part is None else float(getattr(part, name))


def _body(part: Any) -> dict[str, Any] | None:
    """The fields of a result, and its p-value and statistic where they are derived."""
    if part is None:
        return None
    derived = {name: getattr(part, name) for name in ("statistic", "pvalue", "reverts") if hasattr(part, name)}
    return asdict(part) | derived


def _plain(values: np.ndarray) -> list[Any]:
    """A column as Python values, None for NaN."""
    if values.dtype.kind != "f":
        return values.tolist()
    return [None if math.isnan(value) else value for value in values.tolist()]


def _finite(value: Any) -> Any:
    """The same nesting with None for NaN and infinities."""
    if isinstance(value, dict):
        return {name: _finite(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(part) for part in value]
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
