"""A backtest on one page: an HTML file that needs nothing beside itself, to keep, to send and to print."""

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from dashboard import formats
from dashboard.backtest import bars_text, costs_text, honesty_rows, metric_rows, rule_text, trades_shown, verdict
from dashboard.charts.backtest import thinned
from dashboard.theme import DARK, LIGHT
from engine.backtest_report import Report
from utils.clock import date_hhmmss, zone_name

WIDTH, HEIGHT, SMALL = 960, 240, 90  # of the drawings
POINTS = 900  # of a line
MOST_TRADES, MOST_TRIALS = 200, 20
PAD = 6
COLORS = "".join(
    f"--{name}:light-dark({getattr(LIGHT, name)},{getattr(DARK, name)});"
    for name in ("ground", "text", "muted", "border", "accent", "down", "up", "attention", "band")
)
STYLE = f"""
:root{{color-scheme:light dark;{COLORS}}}
body{{margin:0 auto;padding:24px;max-width:{WIDTH}px;background:var(--ground);color:var(--text);
font:14px/1.5 "Helvetica Neue",Arial,sans-serif;font-variant-numeric:tabular-nums}}
h1{{font-size:22px;margin:0}}h2{{font-size:15px;margin:26px 0 6px}}p{{margin:4px 0}}.m{{color:var(--muted)}}
table{{border-collapse:collapse;width:100%;font-size:13px}}td,th{{padding:3px 8px 3px 0;text-align:right}}
th{{font-weight:400;color:var(--muted)}}td{{border-top:1px solid var(--border)}}
td:first-child,th:first-child{{text-align:left}}.s{{overflow-x:auto}}.a{{color:var(--attention)}}.d{{color:var(--down)}}
svg{{width:100%;height:auto;display:block;border:1px solid var(--border);border-radius:6px}}
.g{{display:grid;grid-template-columns:1fr 1fr;gap:0 32px}}@media(max-width:640px){{.g{{grid-template-columns:1fr}}}}
@media print{{:root{{color-scheme:light}}body{{padding:0}}section{{break-inside:avoid}}}}
"""


def tear_sheet(report: Report, made_us: int, zone: str) -> str:
    """The file as text."""
    run, asked = report.run, report.request
    title = f"{asked.pair}, {formats.timeframe(asked.timeframe)} bars"
    figures = [(name, value, more) for name, value, more, _ in metric_rows(report)]
    doubts = [(name, value, about, tone) for name, value, about, tone, _ in honesty_rows(report)]
    made = f"{date_hhmmss(made_us, zone)} {zone_name(made_us, zone)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        *(f'<p class="m">{escape(text)}</p>' for text in (rule_text(run.params), costs_text(run.params))),
        f'<p class="m">{escape(bars_text(report, zone))}</p>',
        f"<p><b>{escape(verdict(report))}</b></p>",
        f"<h2>Equity</h2>{_equity(report)}<h2>Drawdown</h2>{_drawdown(report)}",
        f'<div class="g"><section><h2>Figures</h2>{_table(("", "", "95 % band, or more"), figures)}</section>',
        f"<section><h2>Honesty</h2>{_toned(doubts)}</section></div>",
        _folds(report),
        _trials(report),
        _trades(report, zone),
        f'<p class="m">Made by Pairscope {escape(made)}. Fills at closes, in any size; the past is no promise.</p>',
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    body = f"<head>{head}<style>{STYLE}</style></head><body>{''.join(parts)}</body>"
    return f'<!doctype html><html lang="en">{body}</html>\n'


def _equity(report: Report) -> str:
    run, bands = report.run, report.bands
    rows = thinned(run.equity, POINTS)
    ends = [run.equity[rows], np.array([run.params.capital])]
    if bands is not None:
        ends += [bands.equity_low, bands.equity_high]
    low, high = _range(ends)
    drawn = ""
    if bands is not None:
        edge = (
            np.concatenate((bands.bars, bands.bars[::-1])),
            np.concatenate((bands.equity_low, bands.equity_high[::-1])),
        )
        drawn += f'<polygon points="{_points(*edge, run.n_obs, low, high, HEIGHT)}" fill="var(--band)"/>'
    level = _y(run.params.capital, low, high, HEIGHT)
    drawn += (
        f'<line x1="0" x2="{WIDTH}" y1="{level:.1f}" y2="{level:.1f}" stroke="var(--muted)" stroke-dasharray="2 4"/>'
    )
    drawn += _line(rows, run.equity[rows], run.n_obs, low, high, HEIGHT, "accent")
    return _svg(drawn, HEIGHT, "equity") + _scale(low, high, "band of 95 % shaded" if bands is not None else "")


def _drawdown(report: Report) -> str:
    fallen = -100 * report.run.drawdown
    rows = thinned(fallen, POINTS)
    low, high = min(float(fallen.min()), -1e-9), 0.0
    drawn = _line(rows, fallen[rows], report.run.n_obs, low, high, SMALL, "down")
    return _svg(drawn, SMALL, "drawdown") + _scale(low, high, "percent of the highest equity so far")


def _range(parts: Sequence[np.ndarray]) -> tuple[float, float]:
    known = np.concatenate([part[np.isfinite(part)] for part in parts])
    low, high = float(known.min()), float(known.max())
    return (low, high) if high > low else (low - 1, high + 1)


def _y(value: float, low: float, high: float, height: int) -> float:
    return PAD + (height - 2 * PAD) * (1 - (value - low) / (high - low))


def _points(rows: np.ndarray, values: np.ndarray, n: int, low: float, high: float, height: int) -> str:
    at = rows * (WIDTH / max(n - 1, 1))
    up = PAD + (height - 2 * PAD) * (1 - (values - low) / (high - low))
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(at.tolist(), up.tolist(), strict=True) if math.isfinite(y))


def _line(rows: np.ndarray, values: np.ndarray, n: int, low: float, high: float, height: int, color: str) -> str:
    points = _points(rows, values, n, low, high, height)
    return f'<polyline points="{points}" fill="none" stroke="var(--{color})" stroke-width="1.5"/>'


def _svg(drawn: str, height: int, name: str) -> str:
    return f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{name}">{drawn}</svg>'


def _scale(low: float, high: float, about: str) -> str:
    text = f"from {formats.number(low, 2)} to {formats.number(high, 2)}"
    return f'<p class="m">{escape(", ".join(part for part in (text, about) if part))}</p>'


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    titles = "".join(f"<th>{escape(text)}</th>" for text in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="s"><table><tr>{titles}</tr>{body}</table></div>'


def _toned(rows: Sequence[tuple[str, str, str, str]]) -> str:
    classes = {"attention": "a", "down": "d", "muted": "m"}
    body = "".join(
        f'<tr class="{classes.get(tone, "")}">{"".join(f"<td>{escape(cell)}</td>" for cell in cells)}</tr>'
        for *cells, tone in rows
    )
    return f'<div class="s"><table>{body}</table></div>'


def _folds(report: Report) -> str:
    if report.walk is None:
        return ""
    frame = report.walk.frame()
    names = [
        name for name in ("method", "window", "entry_z", "exit_z", "in_net", "out_net", "out_trades") if name in frame
    ]
    rows = [[str(k), *(_cell(value) for value in row)] for k, row in enumerate(frame[names].itertuples(index=False), 1)]
    heads = ["fold", *(name.replace("_", " ") for name in names)]
    return f"<section><h2>Walk-forward: chosen, then judged</h2>{_table(heads, rows)}</section>"


def _trials(report: Report) -> str:
    if report.grid is None:
        return ""
    frame = report.grid.frame().sort_values("plateau", ascending=False, na_position="last").head(MOST_TRIALS)
    names = ["method", "window", "entry_z", "exit_z", "plateau", "sharpe", "net", "max_drawdown", "trades"]
    rows = [[_cell(value) for value in row] for row in frame[names].itertuples(index=False)]
    heads = [name.replace("_", " ") for name in names]
    return f"<section><h2>Best plateaus of {report.grid.trials:,} trials</h2>{_table(heads, rows)}</section>"


def _trades(report: Report, zone: str) -> str:
    frame = trades_shown(report.run, zone).head(MOST_TRADES)
    if not len(frame):
        return "<h2>Trades</h2><p>None.</p>"
    rows = [[_cell(value) for value in row] for row in frame.itertuples(index=False)]
    total = len(report.run.trades)
    about = f'<p class="m">The newest {len(frame)} of {total:,}.</p>' if total > len(frame) else ""
    return f"<h2>Trades</h2>{about}{_table(list(frame.columns), rows)}"


def _cell(value: object) -> str:
    if isinstance(value, float | np.floating):
        number = float(value)
        return f"{number:g}" if number == round(number, 3) and abs(number) < 1e4 else formats.significant(number, 4)
    return str(value)
