"""Bars the way a dashboard makes them with pandas: the peer of the bar benches."""

import pandas as pd

from data.trades import Trades


def tick_frame(trades: Trades) -> pd.DataFrame:
    """Trades as the frame that pandas resamples: time index, price, quantity, value, taker's buys."""
    columns = {"price": trades.price, "qty": trades.qty}
    columns |= {"value": trades.price * trades.qty, "taker_buy": trades.qty * (trades.buyer_is_maker == 0)}
    return pd.DataFrame(columns, index=pd.to_datetime(trades.ts_us, unit="us", utc=True))


def resampled(ticks: pd.DataFrame, width: str) -> pd.DataFrame:
    """Open, high, low, close, volume, VWAP, number of trades and taker buy volume."""
    groups = ticks.resample(width)
    bars = groups["price"].ohlc()
    bars["volume"] = groups["qty"].sum()
    bars["vwap"] = groups["value"].sum() / bars["volume"]
    bars["trades"] = groups["price"].count()
    bars["taker_buy_volume"] = groups["taker_buy"].sum()
    return bars
