"""Saved backtests side by side."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from dashboard import formats
from dashboard.backtest import money, numbers_of, share
from dashboard.markup import Row, muted, section, table

COMPARED: dict[
    str, tuple[tuple[str | int, ...], Callable[[Any], str]]
] = {  # rows of the comparison: name -> path into a saved run, how it is written
    "pair": (("request",), lambda v: f"{formats.base(v['symbol_y'])}/{formats.base(v['symbol_x'])} {v['timeframe']}"),
    "bars": (("bars", "given"), lambda v: f"{v:,}"),
    "from": (("bars", "what"), str),
    "incomplete": (("bars", "incomplete"), lambda v: f"{v:,}"),
    "net": (("metrics", "net"), lambda v: money(v, True)),
    "net, low": (("honesty", "bands", "net", 0), lambda v: money(v, True)),
    "net, high": (("honesty", "bands", "net", 1), lambda v: money(v, True)),
    "Sharpe, bar": (("metrics", "sharpe_bar"), lambda v: formats.significant(v, 3)),
    "Sharpe, low": (("honesty", "bands", "sharpe_bar", 0), lambda v: formats.significant(v, 3)),
    "Sharpe, high": (("honesty", "bands", "sharpe_bar", 1), lambda v: formats.significant(v, 3)),
    "drawdown": (("metrics", "max_drawdown"), share),
    "trades": (("metrics", "trades"), lambda v: f"{v:,}"),
    "won": (("metrics", "win_rate"), share),
    "profit factor": (("metrics", "profit_factor"), lambda v: formats.number(v, 2)),
    "mean half-lives": (("metrics", "mean_half_lives"), lambda v: formats.number(v, 1)),
    "exposure": (("metrics", "exposure"), share),
    "turnover": (("metrics", "turnover"), lambda v: formats.number(v, 1)),
    "look-ahead": (("look_ahead", "clean"), lambda v: "none" if v else "FOUND"),
    "deflated Sharpe": (("honesty", "deflated", "probability"), share),
    "tries": (("honesty", "deflated", "trials"), lambda v: f"{v:,}"),
    "shuffled, p": (("honesty", "benchmark", "pvalue"), formats.pvalue),
    "overfitting": (("honesty", "overfitting", "probability"), share),
    "walk-forward net": (("honesty", "walk", "net"), lambda v: money(v, True)),
}


def _at(run: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        if run is None or (isinstance(step, str) and step not in run):
            return None
        run = run[step]
    return run


def compared(runs: Mapping[str, Mapping[str, Any]]) -> str:
    """Saved runs side by side: figures, then the parameters in which they differ."""
    rows = []
    for name, (path, write) in COMPARED.items():
        values = [_at(run, path) for run in runs.values()]
        if any(value is not None for value in values):
            rows.append(Row((name, *(formats.NONE if value is None else write(value) for value in values))))
    params = [run["request"]["params"] for run in runs.values()]
    differing = [name for name in params[0] if len({str(one.get(name)) for one in params}) > 1]
    rows += [
        Row((name.replace("_", " "), *(_param(one.get(name)) for one in params)), "attention") for name in differing
    ]
    note = "" if differing or len(runs) < 2 else muted("Their parameters are the same.")
    return section("Side by side", table(("", *runs), rows) + note)


def _param(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "∞" if value is None else f"{value:g}" if isinstance(value, float) else str(value)


def compared_frame(runs: Mapping[str, Mapping[str, Any]]) -> pd.DataFrame:
    """One row a saved run: request and figures."""
    rows = []
    for name, run in runs.items():
        request = {key: run["request"][key] for key in ("symbol_y", "symbol_x", "timeframe", "source")}
        told = {**run["bars"], **run["metrics"], **dict(numbers_of(run["honesty"]))}
        rows.append({"name": name, "saved_us": run["saved_us"], **request, **run["request"]["params"], **told})
    return pd.DataFrame(rows)
