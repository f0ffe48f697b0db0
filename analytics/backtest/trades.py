"""The trades of a run as a table, and what is said of them."""

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analytics.backtest.figures import Tally, moments
from analytics.backtest.loop import COLUMNS, WHY, Use

WHOLE = ("side", "entry_decided", "entry_bar", "exit_decided", "exit_bar")
FEWEST = 2  # trades or returns that a spread of them needs


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a run earned and how; NaN where there is not enough to say. Money in the quote currency.

    Sums are over all trades, the open one at the last close included; shares and means over closed ones.
    """

    net: float
    gross: float
    fees: float
    slippage: float
    funding: float  # paid; NaN where the rates are not known, and net is then without it
    trades: int  # closed
    open_trades: int
    skipped: int  # entries that had no size
    win_rate: float
    profit_factor: float  # won over lost; NaN where nothing was lost
    mean_net: float  # of a trade
    t_stat: float  # of that mean, as if trades were independent
    mean_bars: float  # from the first fill to the last of y
    mean_half_lives: float  # the same in half-lives as known at the entries, of trades that had a finite one
    sharpe: float  # of a year of 365 x 24 hours; NaN where the times of bars are not known
    sortino: float
    sharpe_bar: float  # of one bar
    n_obs: int  # returns behind it
    skew: float
    kurtosis: float
    max_drawdown: float  # share of the peak, at most 1, also where more than all was lost
    drawdown_bars: int  # longest time below a peak
    exposure: float  # share of bars with a position
    mean_leverage: float  # notional of both legs over equity, of bars with a position
    most_leverage: float
    turnover: float  # notional traded over capital


def trade_table(
    rows: np.ndarray,
    n_obs: int,
    zscore: np.ndarray,
    lives: np.ndarray,
    complete: np.ndarray,
    ts_us: np.ndarray | None,
    latency: int,
) -> pd.DataFrame:
    """One row a trade, oldest first; bars are indices of the run, -1 and NaN where it is still open.

    rows : of `account`; lives : half-life at each entry, shape (trades,); latency : bars from a fill of y to that of x
    """
    table = pd.DataFrame(dict(zip(COLUMNS, rows.T.copy(), strict=True)))
    table = table.astype(dict.fromkeys(WHOLE, np.int64))
    why = table.pop("why").map(WHY)
    entered, left = table["entry_bar"].to_numpy(), table["exit_bar"].to_numpy()
    last = np.where(left < 0, n_obs - 1, left)
    filled = np.where(left < 0, n_obs - 1, left + latency)  # both legs
    decided, given_up = table["entry_decided"].to_numpy(), table["exit_decided"].to_numpy()
    lost = np.concatenate(([0], np.cumsum(~complete)))
    costs = table["fees"] + table["slippage"] + table["funding"]
    gross = table["gross_y"] + table["gross_x"]
    with np.errstate(divide="ignore", invalid="ignore"):
        half_lives = np.where((lives > 0) & np.isfinite(lives), (last - entered) / lives, np.nan)
    extra: dict[str, object] = {
        "why": why,
        "bars": last - entered,
        "half_life": lives,
        "half_lives": half_lives,
        "gross": gross,
        "costs": costs,
        "net": gross - costs,
        "z_entry": zscore[decided],
        "z_exit": np.where(given_up < 0, np.nan, zscore[given_up]),
        "incomplete_bars": lost[filled + 1] - lost[decided],
    }
    if ts_us is not None:
        extra |= {"entry_us": ts_us[entered], "exit_us": np.where(left < 0, -1, ts_us[left])}
    return table.assign(**extra)


def metrics(
    table: pd.DataFrame, sums: Tally, use: Use, capital: float, per_year: float, funding_known: bool
) -> Metrics:
    """What is said of a run."""
    closed = table[table["exit_bar"] >= 0]
    net, returns = closed["net"].to_numpy(), moments(sums)
    won, lost = float(net[net > 0].sum()), float(-net[net < 0].sum())
    return Metrics(
        net=float(table["net"].sum()),
        gross=float(table["gross"].sum()),
        fees=float(table["fees"].sum()),
        slippage=float(table["slippage"].sum()),
        funding=float(table["funding"].sum()) if funding_known else math.nan,
        trades=len(closed),
        open_trades=len(table) - len(closed),
        skipped=use.skipped,
        win_rate=_mean(net > 0),
        profit_factor=won / lost if lost > 0 else math.nan,
        mean_net=_mean(net),
        t_stat=_t_stat(net),
        mean_bars=_mean(closed["bars"].to_numpy()),
        mean_half_lives=_mean(closed["half_lives"].dropna().to_numpy()),
        sharpe=returns.sharpe * math.sqrt(per_year),
        sortino=returns.sortino * math.sqrt(per_year),
        sharpe_bar=returns.sharpe,
        n_obs=returns.n_obs,
        skew=returns.skew,
        kurtosis=returns.kurtosis,
        max_drawdown=sums.drawdown if sums.bars > 0 else math.nan,
        drawdown_bars=sums.drawdown_bars,
        exposure=use.market_bars / sums.bars if sums.bars > 0 else math.nan,
        mean_leverage=use.leverage_sum / use.market_bars if use.market_bars else math.nan,
        most_leverage=use.leverage_most if use.market_bars else math.nan,
        turnover=float(table["traded"].sum()) / capital,
    )


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else math.nan


def _t_stat(values: np.ndarray) -> float:
    """Of the mean, for independent values."""
    if values.size < FEWEST:
        return math.nan
    error = float(values.std(ddof=1)) / math.sqrt(values.size)
    return float(values.mean()) / error if error > 0 else math.nan
