"""Would trading the spread have paid, honestly?

params        what is asked: the path, the rule, the legs, the costs
bars          closes, checked once, with the funding of each
life          half-lives at entries
loop          the compiled event loop: decisions at closes, fills one close later, money
figures       returns and their moments
trades        the table of trades, and what is said of a run
guard         whether a run looks ahead
run           from closes to the result
bands         how far chance alone moves its figures
shuffled      the same rule on pairs that have all but the reversion
trials        many parameters on the same bars
grid          figures of them all, plateaus, what the search is worth
walk_forward  chosen on one stretch, judged on the next
overfitting   deflated Sharpe ratio, probability of backtest overfitting
parallel      jobs in threads
"""

from analytics.backtest.bands import Bands, bands
from analytics.backtest.grid import GridResult, grid
from analytics.backtest.guard import LookAhead
from analytics.backtest.overfitting import DeflatedSharpe, Overfitting, deflated_sharpe, overfitting
from analytics.backtest.params import BacktestParams
from analytics.backtest.run import BacktestResult, backtest
from analytics.backtest.shuffled import Benchmark, shuffled
from analytics.backtest.trades import Metrics
from analytics.backtest.trials import Axes, Figures
from analytics.backtest.walk_forward import Fold, WalkForward, walk_forward

__all__ = [
    "Axes",
    "BacktestParams",
    "BacktestResult",
    "Bands",
    "Benchmark",
    "DeflatedSharpe",
    "Figures",
    "Fold",
    "GridResult",
    "LookAhead",
    "Metrics",
    "Overfitting",
    "WalkForward",
    "backtest",
    "bands",
    "deflated_sharpe",
    "grid",
    "overfitting",
    "shuffled",
    "walk_forward",
]
