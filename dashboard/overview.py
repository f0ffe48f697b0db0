"""Overview as markup: a tile for each symbol, and the statistics of all."""

from collections.abc import Mapping
from html import escape

import numpy as np
import pandas as pd

import config
from analytics.resampling import timeframe_us
from dashboard import formats
from dashboard.charts.overview import sparkline, step_decimals
from dashboard.markup import Row, empty, helped, section, table
from dashboard.view import View
from engine import Engine, SymbolStatus
from utils.clock import US_PER_S

YEAR_S = 365 * 86_400


def span_text(view: View) -> str:
    """`newest 600 bars of 1 s`."""
    return f"newest {config.CHART_BARS} bars of {formats.timeframe(view.timeframe)}"


def shown_bars(engine: Engine, view: View) -> dict[str, pd.DataFrame]:
    """The bars shown, of each symbol."""
    return {symbol: engine.bars(symbol, view.timeframe, config.CHART_BARS) for symbol in engine.symbols}


def tiles(engine: Engine, view: View) -> str:
    """Last price, change, line, age and rate of each symbol."""
    rows = engine.symbol_status()
    inner = "".join(tile(symbol, frame, rows.get(symbol)) for symbol, frame in shown_bars(engine, view).items())
    return f'<div class="ps-cards ps-tiles"><div class="ps-grid">{inner}</div></div>'


def tile(symbol: str, frame: pd.DataFrame, row: SymbolStatus | None) -> str:
    """One symbol as markup."""
    top = f'<div class="ps-top"><b>{escape(symbol)}</b><span>{_quote(symbol)}</span></div>'
    if not len(frame):
        return f'<div class="ps-card">{top}{empty("collecting", "Waiting for the first trade", 84)}</div>'
    closes = frame["close"].to_numpy(float)
    change = closes[-1] / float(frame["open"].iloc[0]) - 1
    tone = "up" if change > 0 else "down" if change < 0 else "muted"
    arrow = {"up": "▲", "down": "▼"}.get(tone, "")
    price = formats.number(float(closes[-1]), step_decimals(closes))
    return (
        f'<div class="ps-card">{top}<div class="ps-line"><span class="ps-value">{price}</span>'
        f'<span class="ps-{tone}"{helped("return")}>{arrow} {formats.percent(change, 2, sign=True)}</span></div>'
        f'<div class="ps-{tone}">{sparkline(closes, f"{symbol}, newest closes")}</div>{_foot(row)}</div>'
    )


def _quote(symbol: str) -> str:
    return escape(formats.quote(symbol))


def _foot(row: SymbolStatus | None) -> str:
    if row is None:
        return ""
    tone = "attention" if row.stale else "muted"
    age = f'<span class="ps-{tone}">last trade {formats.age(row.last_trade_age_s)} ago</span>'
    return f'<div class="ps-foot">{age}<span>{formats.number(row.trades_per_s, 1)} trades/s</span></div>'


def statistics(frame: pd.DataFrame, timeframe: str) -> dict[str, float]:
    """Figures of the bars shown: last, return, volatility a year, volume, trades, high, low, VWAP, coverage."""
    volume = frame["volume"].to_numpy(float)
    traded = volume > 0
    closes = frame["close"].to_numpy(float)
    returns = np.diff(np.log(closes))
    bars_a_year = YEAR_S * US_PER_S / timeframe_us(timeframe)
    closed = frame["complete"].to_numpy(bool)[:-1]
    total = float(volume.sum())
    return {
        "last": float(closes[-1]),
        "return": float(closes[-1] / frame["open"].iloc[0] - 1),
        "volatility": float(returns.std(ddof=1) * np.sqrt(bars_a_year)) if returns.size > 1 else float("nan"),
        "volume": total,
        "trades": int(frame["trades"].sum()),
        "high": float(frame["high"].max()),
        "low": float(frame["low"].min()),
        "vwap": float(frame["vwap"].to_numpy(float)[traded] @ volume[traded] / total) if total else float("nan"),
        "coverage": float(closed.mean()) if closed.size else float("nan"),
    }


def statistics_table(engine: Engine, view: View) -> str:
    """The statistics of all symbols, as a table."""
    frames = {symbol: frame for symbol, frame in shown_bars(engine, view).items() if len(frame)}
    head = ("symbol", "last", "return", "volatility a year", "volume", "trades", "high", "low", "VWAP", "complete bars")
    rows = [Row(_cells(symbol, frame, statistics(frame, view.timeframe))) for symbol, frame in frames.items()]
    if not rows:
        return empty("collecting", "Statistics appear with the first trades")
    return section(f"Statistics, {span_text(view)}", table(head, rows))


def _cells(symbol: str, frame: pd.DataFrame, values: Mapping[str, float]) -> list[str]:
    decimals = step_decimals(frame["close"].to_numpy(float))
    return [
        symbol,
        formats.number(values["last"], decimals),
        formats.percent(values["return"], 2, sign=True),
        formats.percent(values["volatility"], 1),
        f"{formats.significant(values['volume'], 4)} {formats.base(symbol)}",
        formats.number(values["trades"], 0),
        formats.number(values["high"], decimals),
        formats.number(values["low"], decimals),
        formats.number(values["vwap"], decimals),
        formats.percent(values["coverage"], 1),
    ]
