"""The Backtest page as markup and frames: what a report says, in cards, tables and downloads."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd

from analytics.backtest import BacktestParams, BacktestResult, GridResult
from dashboard import formats
from dashboard.markup import Card, Row, muted, section, table
from dashboard.view import METHODS
from engine.backtest_report import Report
from utils.clock import US_PER_S, date_hhmmss, zone_name

WEAK = 0.95  # of a deflated Sharpe ratio, below which it is not told from luck
CHANCE = 0.05  # of a p-value
YEARLY_US = 86_400 * US_PER_S  # of bars, from which on figures of a year are told
BEST_ROWS = 10
SHOWN_TRADES = 500


def _sharpe_band(report: Report) -> str:
    return _ends(None if report.bands is None else report.bands.sharpe_bar, lambda value: scaled(report, value))


def money(value: float | None, sign: bool = False) -> str:
    """Quote currency: cents, and none beyond a hundred thousand."""
    if not formats.exists(value):
        return formats.NONE
    assert value is not None
    return formats.number(value, 0 if abs(value) >= 100_000 else 2, sign)


def _short(value: float) -> str:
    """The same where there is little room."""
    return formats.number(value, 0 if abs(value) >= 100 else 2, sign=True)


def span_text(first_us: int, last_us: int, zone: str) -> str:
    """`2024-08-09 00:00:00 … 2024-08-09 01:23:20 UTC`."""
    return f"{date_hhmmss(first_us, zone)} … {date_hhmmss(last_us, zone)} {zone_name(last_us, zone)}"


def _ends(ends: tuple[float, float] | None, write: Any) -> str:
    return f"{write(ends[0])} … {write(ends[1])}" if ends is not None and formats.exists(ends[0]) else ""


def ratio(value: float | None) -> str:
    return formats.number(value, 2, sign=True)


def share(value: float | None) -> str:
    return formats.percent(value, 1)


def cards_of(report: Report) -> list[Card]:
    """Six figures with their bands."""
    told, bands = report.run.metrics, report.bands
    trades = f"t {formats.number(told.t_stat, 1, sign=True)}" if formats.exists(told.t_stat) else "too few for t"
    tone = "" if not told.trades else "up" if told.net > 0 else "down"
    return [
        Card("net", money(told.net, True), _ends(bands.net if bands else None, _short), "bt_net", tone),
        Card(f"Sharpe, {unit(report)}", scaled(report, told.sharpe_bar), _sharpe_band(report), "bt_sharpe"),
        Card("drawdown", share(told.max_drawdown), _ends(bands.max_drawdown if bands else None, share), "bt_drawdown"),
        Card("trades", f"{told.trades:,}", trades, "bt_trades"),
        Card("won", share(told.win_rate), f"factor {formats.number(told.profit_factor, 2)}", "bt_win"),
        Card("exposure", share(told.exposure), f"turnover {formats.number(told.turnover, 1)}×", "bt_exposure"),
    ]


def yearly(report: Report) -> bool:
    """Whether the run is long enough to speak of a year: a day of bars at least."""
    ts_us = report.run.ts_us
    return ts_us is not None and int(ts_us[-1] - ts_us[0]) >= YEARLY_US


def scaled(report: Report, sharpe_bar: float) -> str:
    """A Sharpe ratio a bar as that of a year, or as it is where the run is too short for that."""
    told = report.run.metrics
    if not yearly(report):
        return formats.significant(sharpe_bar, 2)
    return ratio(sharpe_bar * told.sharpe / told.sharpe_bar if told.sharpe_bar else math.nan)


def unit(report: Report) -> str:
    """What `scaled` speaks of."""
    return "year" if yearly(report) else "bar"


def bars_text(report: Report, zone: str) -> str:
    """How many bars, where from, how many are incomplete, and what became of those."""
    bars, run = report.bars, report.run
    kept = {"mark": "trades that touch them are marked", "exclude": "left out"}[run.params.incomplete]
    lost = f"{bars.incomplete:,} incomplete ({kept})" if bars.incomplete else "all complete"
    holes = f" · {bars.missing:,} bars missing in between" if bars.missing else ""
    few = f" · fewer than the {report.request.bars:,} asked for" if bars.n < report.request.bars else ""
    when = span_text(int(bars.ts_us[0]), int(bars.ts_us[-1]), zone)
    return f"{bars.n:,} bars from {bars.what} · {when} · {lost}{holes}{few} · figures from bar {run.start + 1:,} on"


def metric_rows(report: Report) -> list[tuple[str, str, str, str]]:
    """Name, value, band, explanation of every figure of the run."""
    told, bands = report.run.metrics, report.bands
    net = _ends(bands.net if bands else None, lambda v: money(v, True))
    lives = formats.number(told.mean_half_lives, 1)
    return [
        ("net", money(told.net, True), net, "bt_net"),
        ("gross of costs", money(told.gross, True), "", "bt_net"),
        ("fees", money(told.fees), "", "bt_costs"),
        ("slippage", money(told.slippage), "", "bt_costs"),
        ("funding", money(told.funding) if formats.exists(told.funding) else "not known", "", "bt_costs"),
        ("mean net of a trade", money(told.mean_net, True), f"t {ratio(told.t_stat)}", "bt_trades"),
        ("closed trades", f"{told.trades:,}", f"{told.open_trades} open, {told.skipped} without size", "bt_trades"),
        ("won", share(told.win_rate), f"profit factor {formats.number(told.profit_factor, 2)}", "bt_win"),
        ("mean bars held", formats.number(told.mean_bars, 1), f"{lives} half-lives", "bt_held"),
        *_of_a_year(report),
        ("Sharpe, bar", formats.significant(told.sharpe_bar, 3), f"{told.n_obs:,} returns", "bt_sharpe"),
        ("drawdown", share(told.max_drawdown), _ends(bands.max_drawdown if bands else None, share), "bt_drawdown"),
        ("longest below a peak", f"{told.drawdown_bars:,} bars", "", "bt_drawdown"),
        ("exposure", share(told.exposure), f"leverage at most {formats.number(told.most_leverage, 2)}", "bt_exposure"),
        ("turnover", f"{formats.number(told.turnover, 1)}×", "of the capital", "bt_turnover"),
    ]


def _of_a_year(report: Report) -> list[tuple[str, str, str, str]]:
    told = report.run.metrics
    if not yearly(report):
        return [("Sharpe, year", formats.NONE, "not enough data: needs a day of bars", "bt_sharpe")]
    return [
        ("Sharpe, year", ratio(told.sharpe), _sharpe_band(report), "bt_sharpe"),
        ("Sortino, year", ratio(told.sortino), "", "bt_sharpe"),
    ]


def metrics_table(report: Report) -> str:
    """All figures of the run."""
    rows = [Row((name, value, more), metric=metric) for name, value, more, metric in metric_rows(report)]
    why = [muted(f"No bands: {report.missing['bands']}.")] if "bands" in report.missing else []
    return section("Figures", table(("", "", "95 % band, or more"), rows) + "".join(why))


# --- honesty ------------------------------------------------------------------------------------------


def honesty_rows(report: Report) -> list[tuple[str, str, str, str, str]]:
    """Name, value, what it says, tone and explanation of everything that doubts the run."""
    rows = [_guard_row(report), _deflated_row(report), _shuffled_row(report)]
    if report.request.axes is not None:
        rows += [_best_row(report), _overfitting_row(report)]
    if report.request.walk is not None:
        rows.append(_walk_row(report))
    touched = int((report.run.trades["incomplete_bars"] > 0).sum()) if len(report.run.trades) else 0
    about = f"trades that touch them: {touched:,}" if report.bars.incomplete else ""
    rows.append(("incomplete bars", f"{report.bars.incomplete:,}", about, "attention" if touched else "", "bt_bars"))
    return rows


def _guard_row(report: Report) -> tuple[str, str, str, str, str]:
    found = report.run.look_ahead
    parts = [found] if report.grid is None else [found, report.grid.look_ahead]
    worst = next((part for part in parts if not part.clean), found)
    cuts = f"cut after {len(found.cuts)} decisions, nothing changed" if found.cuts else "too few bars to cut"
    return (
        "look-ahead",
        "none" if worst.clean else "FOUND",
        cuts if worst.clean else worst.what,
        "" if worst.clean else "down",
        "bt_guard",
    )


def _deflated_row(report: Report) -> tuple[str, str, str, str, str]:
    found = report.deflated
    tried = f"{found.trials:,} tried here in all"
    if not formats.exists(found.probability):
        return ("deflated Sharpe", formats.NONE, f"nothing varies, {tried}", "muted", "bt_deflated")
    word = "above the luck of the best" if found.probability >= WEAK else "not told from luck"
    tone = "" if found.probability >= WEAK else "attention"
    return ("deflated Sharpe", share(found.probability), f"{word}, {tried}", tone, "bt_deflated")


def _shuffled_row(report: Report) -> tuple[str, str, str, str, str]:
    found = report.benchmark
    if found is None:
        why = report.missing.get("benchmark", "not asked for")
        return ("shuffled pairs", formats.NONE, why, "muted", "bt_shuffled")
    if not formats.exists(found.pvalue):
        return ("shuffled pairs", formats.NONE, "nothing was traded", "muted", "bt_shuffled")
    much = f"{int(np.count_nonzero(found.net >= found.own_net))} of {found.net.size} earn as much"
    return (
        "shuffled pairs, p",
        formats.pvalue(found.pvalue),
        much,
        "attention" if found.pvalue > CHANCE else "",
        "bt_shuffled",
    )


def _best_row(report: Report) -> tuple[str, str, str, str, str]:
    found = report.grid_deflated
    if found is None or not formats.exists(found.probability):
        return (
            "best of the grid, deflated",
            formats.NONE,
            report.missing.get("grid", "no trial traded"),
            "muted",
            "bt_deflated",
        )
    tone = "" if found.probability >= WEAK else "attention"
    about = f"best of {found.trials:,}"
    return ("best of the grid, deflated", share(found.probability), about, tone, "bt_deflated")


def _overfitting_row(report: Report) -> tuple[str, str, str, str, str]:
    found = report.overfitting
    if found is None:
        why = report.missing.get("overfitting", report.missing.get("grid", ""))
        return ("overfitting", formats.NONE, why, "muted", "bt_overfitting")
    about = f"the best loses in {share(found.loss_probability)}"
    return (
        "overfitting",
        share(found.probability),
        about,
        "attention" if found.probability > 0.2 else "",
        "bt_overfitting",
    )


def _walk_row(report: Report) -> tuple[str, str, str, str, str]:
    found = report.walk
    if found is None:
        return ("walk-forward", formats.NONE, report.missing.get("walk", ""), "muted", "bt_walk")
    sharpe = scaled(report, found.sharpe_bar)
    about = f"Sharpe, {unit(report)}, {sharpe} outside, efficiency {formats.number(found.efficiency, 2)}"
    return ("walk-forward net", money(found.net, True), about, "attention" if found.net <= 0 else "", "bt_walk")


def honesty(report: Report) -> str:
    """The honesty panel."""
    rows = [Row((name, value, about), tone, metric) for name, value, about, tone, metric in honesty_rows(report)]
    return section("Honesty", table(("", "", ""), rows) + muted(verdict(report)))


def verdict(report: Report) -> str:
    """What it comes to, in words."""
    told = report.run.metrics
    if not report.run.look_ahead.clean:
        return f"This run looks ahead at {report.run.look_ahead.what}: none of its figures counts."
    if not told.trades:
        return "Nothing was closed: there is nothing to judge."
    doubts = [
        (report.bands is None or report.bands.net[0] <= 0, "the band of its net holds a loss"),
        (not report.deflated.probability >= WEAK, "its Sharpe ratio is not told from the luck of the best try"),
        (report.benchmark is not None and not report.benchmark.pvalue <= CHANCE, "shuffled pairs earn as much"),
        (report.walk is not None and report.walk.net <= 0, "out of sample nothing is earned"),
    ]
    found = [words for holds, words in doubts if holds]
    if told.net <= 0:
        return "It loses after costs."
    if found:
        return f"It gained, but {', '.join(found)}."
    return "It gained, and no check speaks against it. That is still the past."


# --- grid and walk ------------------------------------------------------------------------------------


def grid_table(report: Report, found: GridResult) -> str:
    """The best trials by plateau, the same in Sharpe ratio beside."""
    frame = found.frame().sort_values("plateau", ascending=False, na_position="last").head(BEST_ROWS)
    rows = []
    for row in frame.to_dict("records"):
        cells = (
            f"{row['method']}, {row['window']}",
            f"{row['entry_z']:g} / {row['exit_z']:g}",
            formats.significant(row["plateau"], 2),
            scaled(report, row["sharpe_bar"]),
            money(row["net"], True),
            f"{row['trades']:.0f}",
        )
        rows.append(Row(cells, metric="bt_plateau"))
    head = ("method, window", "enter / leave", "plateau", f"Sharpe, {unit(report)}", "net", "trades")
    missing = "".join(muted(f"{method}, {window}: {why}") for (method, window), why in found.missing.items())
    return section(f"Best plateaus of {found.trials:,} trials", table(head, rows) + missing)


def walk_table(report: Report) -> str:
    """Each fold: what was chosen, in sample and out of sample."""
    found = report.walk
    assert found is not None
    rows = []
    for k, fold in enumerate(found.folds, 1):
        chosen = "nothing traded" if fold.params is None else _rule(fold.params)
        inside, outside = fold.in_sample, fold.out_of_sample
        cells = (
            f"{k}: {chosen}",
            scaled(report, inside.sharpe_bar),
            scaled(report, outside.sharpe_bar),
            money(inside.net, True),
            money(outside.net, True),
            f"{outside.trades:.0f}",
        )
        rows.append(Row(cells, metric="bt_walk"))
    head = ("fold: chosen", f"Sharpe, {unit(report)}, in", "out", "net in", "out", "trades out")
    total = f"{found.trials:,} trials in {len(found.folds)} folds · net out of sample {money(found.net, True)}"
    about = f"{total} · Sharpe {scaled(report, found.sharpe_bar)} · efficiency {formats.number(found.efficiency, 2)}"
    return section("In sample and out of sample", table(head, rows) + muted(about))


def _rule(params: BacktestParams) -> str:
    return f"{params.method} {params.window}, {params.entry_z:g} / {params.exit_z:g}"


# --- tables to see and take away ------------------------------------------------------------------------


def trades_shown(run: BacktestResult, zone: str) -> pd.DataFrame:
    """The newest trades as readers want them, the newest first."""
    trades = run.trades.tail(SHOWN_TRADES).iloc[::-1]
    timed = "entry_us" in trades

    def when(name: str) -> list[str]:
        bar = name.replace("_us", "_bar")
        values = trades[name if timed else bar].tolist()
        return [("open" if at < 0 else date_hhmmss(at, zone)) if timed else str(at) for at in values]

    return pd.DataFrame(
        {
            f"entry, {zone_name(int(run.ts_us[-1]), zone) if run.ts_us is not None else 'bar'}": when("entry_us"),
            "exit": when("exit_us"),
            "side": np.where(trades["side"] > 0, "long", "short"),
            "why": trades["why"].tolist(),
            "bars": trades["bars"].tolist(),
            "half-lives": trades["half_lives"].tolist(),
            "z in": trades["z_entry"].tolist(),
            "z out": trades["z_exit"].tolist(),
            "gross": trades["gross"].tolist(),
            "costs": trades["costs"].tolist(),
            "net": trades["net"].tolist(),
            "worst": trades["mae"].tolist(),
            "best": trades["mfe"].tolist(),
            "incomplete": trades["incomplete_bars"].tolist(),
        }
    )


def metrics_frame(report: Report) -> pd.DataFrame:
    """One row a figure of the run, with the ends of its band where it has one."""
    bands = {} if report.bands is None else {name: getattr(report.bands, name) for name in BANDED}
    nan = (math.nan, math.nan)
    rows = [(name, value, *bands.get(name, nan)) for name, value in asdict(report.run.metrics).items()]
    rows += [(f"honesty: {name}", value, *nan) for name, value in numbers_of(report.honesty())]
    rows += [(f"params: {name}", value, *nan) for name, value in asdict(report.run.params).items() if _is_number(value)]
    frame = pd.DataFrame(rows, columns=["figure", "value", "low", "high"])
    return frame.astype({"value": float, "low": float, "high": float})


BANDED = ("net", "sharpe", "sharpe_bar", "max_drawdown")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def numbers_of(told: Mapping[str, Any], before: str = "") -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    for name, value in told.items():
        if isinstance(value, Mapping):
            found += numbers_of(value, f"{before}{name}.")
        elif _is_number(value):
            found.append((f"{before}{name}", float(value)))
    return found


def tables(report: Report) -> dict[str, pd.DataFrame]:
    """Everything that can be taken away, by name."""
    found = {"trades": report.run.trades, "bars": report.run.frame(), "figures": metrics_frame(report)}
    if report.benchmark is not None:
        found["shuffled"] = pd.DataFrame({"net": report.benchmark.net, "sharpe_bar": report.benchmark.sharpe})
    if report.bands is not None:
        bands = report.bands
        ts_us = report.run.index if report.run.ts_us is None else report.run.ts_us
        ends = {"low": bands.equity_low, "high": bands.equity_high}
        found["bands"] = pd.DataFrame({"ts_us": ts_us[bands.bars], **ends})
    if report.grid is not None:
        found["grid"] = report.grid.frame()
    if report.walk is not None:
        found["folds"] = report.walk.frame()
        found["walk"] = pd.DataFrame({"ts_us": report.test_ts_us, "equity": report.walk.equity})
    return found


def method_text(method: str) -> str:
    """`rolling OLS`."""
    name, *how = METHODS[method].split(", ")
    return " ".join((*how, name))


def rule_text(params: BacktestParams) -> str:
    """The rule in one line."""
    end = "no time stop" if math.isinf(params.time_stop) else f"time stop {params.time_stop:g} half-lives"
    stop = "no stop" if math.isinf(params.stop_z) else f"stop {params.stop_z:g}"
    logs = " of logarithms" if params.log_prices else ""
    return (
        f"{method_text(params.method)}{logs}, {params.window} bars · enter {params.entry_z:g}, "
        f"leave {params.exit_z:g}, {stop}, {end}"
    )


def costs_text(params: BacktestParams) -> str:
    """The costs in one line."""
    slip_y, slip_x = params.slippage_bps
    return (
        f"{params.fill} {params.fee_bps:g} bp a fill, slippage {slip_y:g} and {slip_x:g} bp · capital "
        f"{params.capital:,.0f}, leverage {params.leverage:g} · hedge {params.hedge} · second leg "
        f"{params.latency_bars} bars later"
    )
