"""What the p-values of tests on a pair promise: 5 % of unrelated walks called cointegrated at a nominal 5 %.

Also where the steps of the legs have a correlation of 0.7, as most coins have: related moves are no cointegration.
"""

from collections.abc import Iterator

import numpy as np

from analytics.cointegration import both_directions, johansen, phillips_ouliaris
from analytics.stationarity import adf
from tests.table import Row, Size, at_least, at_most, shown, within

LEVEL = 0.05
LENGTHS = (250, 500, 1_000, 2_000)
BANDED = ("Engle-Granger", "Phillips-Ouliaris tau", "Phillips-Ouliaris alpha", "Johansen trace", "Johansen maximum")
BOUND = "Engle-Granger both ways, p doubled"
RANK = "Johansen finds a rank above 0"


def unrelated_walks(size: Size) -> Iterator[Row]:
    """Independent random walks."""
    yield from _false_alarms(size, correlation=0.0)


def walks_with_correlated_steps(size: Size) -> Iterator[Row]:
    """Random walks whose steps have a correlation of 0.7."""
    yield from _false_alarms(size, correlation=0.7)


def plain_adf_on_the_residual(size: Size) -> Iterator[Row]:
    """What the usual recipe reports: the reason why it is shown with a warning, or not at all."""
    rng, count, hits = np.random.default_rng(52_000), size.count(500, 2_000), 0
    for _ in range(count):
        y, x = rng.standard_normal((2, 500)).cumsum(axis=1)
        hits += adf(y - np.polyval(np.polyfit(x, y, 1), x)).pvalue < LEVEL
    yield shown("no pair", "plain ADF on the fitted residual, 500 bars, called cointegrated", f"{hits / count:.1%}")


def true_pairs_are_found(size: Size) -> Iterator[Row]:
    """A spread with a half-life of 14 bars in 500: every test has to find it most of the time."""
    rng, count = np.random.default_rng(53_000), size.count(200, 1_000)
    found = dict.fromkeys((*BANDED, BOUND, RANK), 0)
    for _ in range(count):
        x, spread = rng.standard_normal(500).cumsum(), np.zeros(500)
        for t, shock in enumerate(rng.standard_normal(499), start=1):
            spread[t] = 0.95 * spread[t - 1] + shock
        for name, hit in _hits(1.5 * x + spread, x).items():
            found[name] += hit
    for name, hits in found.items():
        yield at_least("true pair", f"{name}, half-life 14, 500 bars, found", 50, round(100 * hits / count, 1), "%")


def _false_alarms(size: Size, correlation: float) -> Iterator[Row]:
    count = size.count(1_000, 8_000)
    for n in LENGTHS[: size.count(1, 4)]:
        rng = np.random.default_rng(50_000 + n)
        alarms = dict.fromkeys((*BANDED, BOUND, RANK), 0)
        for _ in range(count):
            x, own = rng.standard_normal((2, n)).cumsum(axis=1)
            mixed = correlation * x + np.sqrt(1 - correlation**2) * own
            for name, hit in _hits(x, mixed).items():  # of mixed on x nothing would depend on the correlation
                alarms[name] += hit
        yield from _rows(alarms, f"correlation {correlation:g}, {n} bars", count, size)


def _hits(y: np.ndarray, x: np.ndarray) -> dict[str, bool]:
    """Which tests call the pair cointegrated."""
    both, vector, residual = both_directions(y, x), johansen(y, x), phillips_ouliaris(y, x)
    pvalues = {
        "Engle-Granger": both.y_on_x.pvalue,
        "Phillips-Ouliaris tau": residual.pvalue,
        "Phillips-Ouliaris alpha": residual.z_alpha_pvalue,
        "Johansen trace": vector.trace[0].pvalue,
        "Johansen maximum": vector.max_eigenvalue[0].pvalue,
        BOUND: both.pvalue,
    }
    return {name: pvalue < LEVEL for name, pvalue in pvalues.items()} | {RANK: vector.rank > 0}


def _rows(alarms: dict[str, int], condition: str, count: int, size: Size) -> Iterator[Row]:
    # In the short form the bounds give way by three standard errors of its smaller sample; in full by nothing.
    spare = 300 * np.sqrt(LEVEL * (1 - LEVEL) / count) if size.short else 0.0
    least, most = round(4 - spare, 1), round(6.5 + spare, 1)
    for name in (*BANDED, RANK):
        yield within("no pair", f"{name}, {condition}, false alarms", least, most, 100 * alarms[name] / count, "%")
    # Doubling bounds the share from above; the more alike the two directions, the further below it lies.
    yield at_most("no pair", f"{BOUND}, {condition}, false alarms", most, 100 * alarms[BOUND] / count, "%")
