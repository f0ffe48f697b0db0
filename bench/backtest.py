"""A pair backtest on 100,000 bars: one run against one read of its arrays, a grid of 1,000 against vectorbt.

The peer is given its orders ready made, so that only its accounting is timed: cash, equity and trades of two legs, on
one thread; ours starts from the closes, rolling fits and the check for looking ahead included. Both pay the same and
hold the same: before anything is timed, each trade's net is compared. vectorbt is in requirements-bench.txt alone;
without it only the first row is there.
"""

import sys
from importlib.util import find_spec
from typing import Any

import numpy as np
import pandas as pd

from analytics.backtest import BacktestParams, BacktestResult, backtest, grid
from analytics.backtest.bars import Bars, bars_of
from analytics.backtest.life import NOTHING
from analytics.backtest.loop import trade
from analytics.backtest.run import Path, money_of, path_of, rule_of
from analytics.signals import mean_reversion_signal
from bench.frame import Row, at_least, at_most, count, grows_at_most, medians_s, named, scaled
from utils.compiled import compiled

PARAMS = BacktestParams(window=240)
AXES: dict[str, Any] = {
    "window": range(30, 330, 30),
    "entry_z": np.linspace(1, 3, 10),
    "exit_z": np.linspace(0, 0.9, 10),
}
TOGETHER = 10  # combinations that the peer is given in one call: faster a combination than one or fifty
IN_A_ROW = 10  # runs timed together: between two timings caches turn cold, which costs a run of ours as much as itself


def run(scale: float = 1.0) -> list[Row]:
    """Loop against reading; then equality, one run and a grid against the peer."""
    y, x = made_up_pair(scaled(100_000, scale))
    bars = bars_of(y, x, PARAMS, None, None, None)
    rows = [loop_and_read(bars, path_of(bars, PARAMS))]
    if find_spec("vectorbt") is None:
        print("vectorbt is not installed, its rows are left out; python run.py bench installs it", file=sys.stderr)
        return rows
    return rows + against_vectorbt(y, x)


def made_up_pair(n: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """A spread of 0.6 % with a half-life of 14 bars."""
    random = np.random.default_rng(seed)
    x = 60_000 + 20 * random.standard_normal(n).cumsum()
    error, steps = np.zeros(n), 5 * random.standard_normal(n)
    for t in range(1, n):
        error[t] = 0.95 * error[t - 1] + steps[t]
    return 0.04 * x + 100 + error, x


@compiled
def total(values: np.ndarray) -> float:
    """One read of an array, in order."""
    found = 0.0
    for i in range(values.size):
        found += values[i]
    return found


def loop_and_read(bars: Bars, path: Path) -> Row:
    """The event loop on a path that is there, with equity, positions and trades, against a sum of what it reads."""
    position, equity = np.empty(bars.n, np.int8), np.empty(bars.n)
    given = bars.y, bars.x, path.units, bars.rates, path.zscore, NOTHING, path.start
    terms = rule_of(PARAMS, bars.n), money_of(PARAMS), position, equity
    ours_s, read_s = medians_s(
        lambda: trade(*given, *terms),
        lambda: [total(values) for values in (bars.y, bars.x, path.units, path.zscore)],
        repeats=21,
    )
    ours = ("event loop: both legs, equity, trades", ours_s * 1e3)
    return grows_at_most("backtest", ours, ("one read of its four arrays", read_s * 1e3), "ms", count(bars.n), 5)


def against_vectorbt(y: np.ndarray, x: np.ndarray) -> list[Row]:
    """Equality, then one run and a grid."""
    ours, n = backtest(y, x, PARAMS), count(y.size)
    legs = pd.DataFrame({"y": y, "x": x})
    orders = orders_of(ours)
    difference, typical = differences(ours, portfolio(legs, orders))
    many = pd.concat([legs] * TOGETHER, axis=1)
    many_orders = np.tile(orders, (1, TOGETHER))
    runs_s, whole_s, single_s, singles_s, many_s, grid_s = medians_s(
        lambda: [event_loop(ours) for _ in range(IN_A_ROW)],
        lambda: backtest(y, x, PARAMS),
        lambda: accounted(legs, orders),
        lambda: [accounted(legs, orders) for _ in range(IN_A_ROW)],
        lambda: accounted(many, many_orders),
        lambda: grid(y, x, PARAMS, threads=2, **AXES),
    )
    trials = grid(y, x, PARAMS, threads=2, **AXES).trials
    peer = f"{named('vectorbt')} from_orders, value, trades"
    per_trial = (f"grid(): {trials:,} trials, 2 threads", grid_s / trials * 1e3)
    per_run = (f"event loop, a run of {IN_A_ROW} in a row", runs_s / IN_A_ROW * 1e3)
    peer_run = (f"{peer}, the same", singles_s / IN_A_ROW * 1e3)
    return [
        at_most(
            "backtest",
            ("largest difference of a trade's net", difference),
            (f"{peer}: a net", typical),
            "quote",
            n,
            1e-6,
        ),
        at_least("backtest", per_run, peer_run, "ms", n, 100),
        at_least(
            "backtest", ("backtest(): fits, loop, tables, check", whole_s * 1e3), (peer, single_s * 1e3), "ms", n, 1
        ),
        at_least("backtest", per_trial, (f"{peer}, {TOGETHER} a call", many_s / TOGETHER * 1e3), "ms/trial", n, 100),
    ]


def event_loop(of: BacktestResult) -> object:
    """The loop once more, from arrays to trades and equity."""
    position, equity = np.empty(of.n_obs, np.int8), np.empty(of.n_obs)
    given = of.y, of.x, of.hedge_ratio, np.empty((2, 0)), of.zscore, NOTHING, of.start
    return trade(*given, rule_of(of.params, of.n_obs), money_of(of.params), position, equity)


def orders_of(run: BacktestResult) -> np.ndarray:
    """What the signal of the same path orders of y and x at each bar, NaN for nothing, shape (n, 2)."""
    position = mean_reversion_signal(run.zscore, run.params.signal).position.astype(float)
    before = np.concatenate(([0.0], position[:-1]))
    entered = (position != before) & (position != 0)
    sizes = run.params.capital / (run.y + np.abs(run.hedge_ratio) * run.x)
    at = np.maximum.accumulate(np.where(entered, np.arange(run.n_obs), 0))  # the newest entry
    wanted = np.stack((position * sizes[at], -position * sizes[at] * run.hedge_ratio[at]), axis=1)
    held = np.where(position[:, None] != 0, wanted, 0.0)
    changes = np.diff(held, axis=0, prepend=0.0)
    orders = np.concatenate((np.full((1, 2), np.nan), changes[:-1]))  # filled one close later
    return np.where(orders == 0, np.nan, orders)


def portfolio(legs: pd.DataFrame, orders: np.ndarray) -> Any:
    """The peer's accounting of those orders: every two columns are one account."""
    import vectorbt

    cost = (PARAMS.fee_bps + PARAMS.slippage_bps[0]) / 10_000
    pairs = np.arange(orders.shape[1]) // 2
    return vectorbt.Portfolio.from_orders(
        legs, orders, size_type="amount", direction="both", fees=cost, init_cash=1e7, cash_sharing=True, group_by=pairs
    )


def accounted(legs: pd.DataFrame, orders: np.ndarray) -> object:
    """Equity and trades of the peer."""
    found = portfolio(legs, orders)
    return found.value(), found.trades.records


def differences(ours: BacktestResult, peer: Any) -> tuple[float, float]:
    """Largest difference of the net of a trade, and the mean size of a net.

    Raises
    ------
    RuntimeError
        Not the same trades.
    """
    trades = peer.trades.records
    in_y, in_x = (trades[trades["col"] == column].sort_values("entry_idx") for column in (0, 1))
    bars = ours.trades["entry_bar"].to_numpy()
    if not (np.array_equal(in_y["entry_idx"], bars) and np.array_equal(in_x["entry_idx"], bars)):
        raise RuntimeError(f"vectorbt made {len(in_y)} and {len(in_x)} trades, ours are {len(bars)}, or at other bars")
    net = in_y["pnl"].to_numpy() + in_x["pnl"].to_numpy()
    largest = float(np.abs(net - ours.trades["net"].to_numpy()).max())
    return max(largest, float(np.finfo(float).tiny)), float(np.abs(net).mean())
