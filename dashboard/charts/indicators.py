"""Indicators as lines over the candles or as panes below them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analytics.indicators import atr, bollinger, ema, macd, rsi, sma, vwap
from dashboard.charts.base import Spec, line
from dashboard.theme import Theme
from utils.clock import UTC_ZONE

WARM_UP_BARS = 400  # after which no first value weighs more than 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class Indicator:
    """Lines of one indicator, over all bars of a frame."""

    lines: Sequence[tuple[str, np.ndarray, str]]  # name, values, colour
    title: str = ""  # of its pane
    levels: Sequence[float] = ()
    bars: tuple[str, np.ndarray, str] | None = None  # a histogram behind the lines

    @property
    def pane(self) -> bool:
        """Whether it is drawn below the candles, not over them."""
        return bool(self.title)

    def traces(self, x: np.ndarray, start: int, axis: str, decimals: int) -> list[Spec]:
        """The traces from a row on; `decimals` are those of prices."""
        hover = "%{y:.4~g}" if self.pane else f"%{{y:,.{decimals}f}}"
        found = [
            line(x, values[start:], axis, name, color, width=1.2, hovertemplate=hover)
            for name, values, color in self.lines
        ]
        if self.bars is None:
            return found
        name, values, color = self.bars
        marker = {"color": color, "opacity": 0.6, "line": {"width": 0}}
        behind = {"type": "bar", "x": x, "y": values[start:], "yaxis": axis, "name": name, "marker": marker}
        return [{**behind, "hovertemplate": hover}, *found]


def _closes(frame: pd.DataFrame) -> np.ndarray:
    return frame["close"].to_numpy(float)


def _sma(frame: pd.DataFrame, theme: Theme) -> Indicator:
    return Indicator([("SMA 20", sma(_closes(frame), 20), theme.attention)])


def _ema(frame: pd.DataFrame, theme: Theme) -> Indicator:
    return Indicator([("EMA 20", ema(_closes(frame), 20), theme.accent)])


def _bollinger(frame: pd.DataFrame, theme: Theme) -> Indicator:
    found = bollinger(_closes(frame), 20, 2.0)
    named = (("upper", found.upper), ("lower", found.lower))
    return Indicator([(f"Bollinger, {name}", values, theme.muted) for name, values in named])


def _vwap(frame: pd.DataFrame, theme: Theme) -> Indicator:
    values = vwap(frame["vwap"].to_numpy(float), frame["volume"].to_numpy(float), frame.index.asi8)
    return Indicator([(f"VWAP since {vwap_began(frame, UTC_ZONE)} UTC", values, theme.x_leg)])


def vwap_began(frame: pd.DataFrame, zone: str) -> str:
    """When the VWAP of the newest bar began, `00:00`: at midnight UTC, or with the first bar there is."""
    return str(max(frame.index[0], frame.index[-1].normalize()).tz_convert(zone).strftime("%H:%M"))


def _rsi(frame: pd.DataFrame, theme: Theme) -> Indicator:
    return Indicator([("RSI 14", rsi(_closes(frame), 14), theme.accent)], "RSI 14", (30.0, 70.0))


def _macd(frame: pd.DataFrame, theme: Theme) -> Indicator:
    found = macd(_closes(frame))
    lines = [("MACD", found.line, theme.accent), ("its average", found.signal, theme.attention)]
    return Indicator(lines, "MACD 12, 26, 9", (0.0,), ("difference", found.histogram, theme.muted))


def _atr(frame: pd.DataFrame, theme: Theme) -> Indicator:
    high, low = (frame[name].to_numpy(float) for name in ("high", "low"))
    values = atr(high, low, _closes(frame), 14)
    return Indicator([("ATR 14", values, theme.accent)], "ATR 14")


INDICATORS: dict[str, Callable[[pd.DataFrame, Theme], Indicator]] = {
    "sma": _sma,
    "ema": _ema,
    "bollinger": _bollinger,
    "vwap": _vwap,
    "rsi": _rsi,
    "macd": _macd,
    "atr": _atr,
}
PANES = ("rsi", "macd", "atr")  # those drawn below
