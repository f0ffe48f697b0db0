"""Do the descriptive numbers keep what they promise? False positives at nominal 5 %, and intervals of 95 %."""

from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd

from analytics.autocorrelation import autocorrelation, ljung_box
from analytics.descriptive import distance_ranks
from analytics.normality import jarque_bera, quantile_line, student_fit
from analytics.volatility import METHODS, realised, volatility
from tests.table import Row, Size, at_least, shown, within
from utils.compiled import compiled

Noise = Callable[[np.random.Generator, int], np.ndarray]
WARM_UP = 300  # bars until a variance has forgotten where it began


def false_positives(scenario: str, what: str, rejected: np.ndarray, nominal: float, size: Size) -> Row:
    """A row for a rate that must lie within 4 to 6.5 % at nominal 5 %, in proportion at other levels.

    The short form has fewer samples: its bounds are three binomial standard errors wider, and no more.
    """
    noise = 300 * np.sqrt(nominal * (1 - nominal) / rejected.size) if size.short else 0.0
    low, high = 80 * nominal - noise, 130 * nominal + noise
    return within(
        scenario, f"{what}, {rejected.size:,} samples", round(low, 1), round(high, 1), 100 * rejected.mean(), "%"
    )


def coverage(scenario: str, what: str, covered: np.ndarray, size: Size) -> Row:
    """A row for a share of 95 % intervals that must be 91 % at least; the short form allows its binomial noise."""
    noise = 300 * np.sqrt(0.09 * 0.91 / covered.size) if size.short else 0.0
    return at_least(
        scenario, f"{what}, {covered.size:,} samples", round(91 - noise, 1), round(100 * covered.mean(), 2), "%"
    )


@compiled
def clustered(shocks: np.ndarray, move: float, memory: float, leverage: float) -> np.ndarray:
    """GARCH(1,1) returns of unit variance from unit shocks; falls may add more variance than rises."""
    returns, variance = np.empty(shocks.size), 1.0
    for t in range(shocks.size):
        returns[t] = np.sqrt(variance) * shocks[t]
        square = returns[t] ** 2
        falls = leverage * square if returns[t] < 0 else 0.0
        variance = 1 - move - memory - leverage / 2 + move * square + memory * variance + falls
    return returns


def normal(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent normal values."""
    return rng.standard_normal(n)


def heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent Student t values of unit variance, five degrees of freedom."""
    return rng.standard_t(5, n) * np.sqrt(0.6)


def wild(rng: np.random.Generator, n: int) -> np.ndarray:
    """Independent Student t values, two degrees of freedom: no variance."""
    return rng.standard_t(2, n)


def garch(rng: np.random.Generator, n: int) -> np.ndarray:
    """Clustering variance, normal shocks."""
    return clustered(normal(rng, n + WARM_UP), 0.1, 0.85, 0.0)[WARM_UP:]


def garch_heavy(rng: np.random.Generator, n: int) -> np.ndarray:
    """Clustering variance, heavy tails."""
    return clustered(heavy(rng, n + WARM_UP), 0.1, 0.85, 0.0)[WARM_UP:]


def garch_leverage(rng: np.random.Generator, n: int) -> np.ndarray:
    """Clustering variance that falls raise more."""
    return clustered(normal(rng, n + WARM_UP), 0.03, 0.85, 0.12)[WARM_UP:]


NOISES: dict[str, Noise] = {
    "independent": normal,
    "independent, heavy tails": heavy,
    "GARCH": garch,
    "GARCH, heavy tails": garch_heavy,
    "GARCH, leverage": garch_leverage,
}


def jarque_bera_size(size: Size) -> Iterator[Row]:
    """Normal data is called normal, at small samples too."""
    for n in (100, 500) if size.short else (30, 100, 250, 500, 1_000, 2_000):
        rng = np.random.default_rng(n)
        pvalues = np.array([jarque_bera(rng.standard_normal(n)).pvalue for _ in range(size.count(1_000, 20_000))])
        for level in (0.05,) if size.short else (0.05, 0.01):
            yield false_positives("jarque-bera", f"n {n}, at {level:.0%}", pvalues < level, level, size)


def ljung_box_size(size: Size) -> Iterator[Row]:
    """The robust form holds on clustering variance; the plain one only on independent values."""
    for name, noise in NOISES.items():
        for n in (250,) if size.short else (100, 500, 2_000):
            rng = np.random.default_rng(n)
            found = [ljung_box(noise(rng, n)) for _ in range(size.count(500, 6_000))]
            robust, plain = (np.array([getattr(test, p) < 0.05 for test in found]) for p in ("pvalue", "plain_pvalue"))
            yield false_positives("ljung-box", f"{name}, n {n}", robust, 0.05, size)
            if name == "independent":
                yield false_positives("ljung-box", f"{name}, n {n}, plain form", plain, 0.05, size)
            else:
                yield shown("ljung-box", f"{name}, n {n}, plain form", f"{100 * plain.mean():.1f} %")


def clustering_size(size: Size) -> Iterator[Row]:
    """Independent returns are not said to cluster, whatever their tails."""
    for name, noise in {"normal": normal, "Student t, 5": heavy, "Student t, 2": wild}.items():
        for n in (250,) if size.short else (100, 500, 2_000):
            rng = np.random.default_rng(n + 1)
            samples = (noise(rng, n) for _ in range(size.count(500, 6_000)))
            found = np.array([ljung_box(distance_ranks(x)).pvalue < 0.05 for x in samples])
            yield false_positives("clustering", f"{name}, n {n}", found, 0.05, size)


def autocorrelation_bands(size: Size) -> Iterator[Row]:
    """Each lag of the correlogram leaves its band in 5 % by chance."""
    for name in ("independent", "GARCH", "GARCH, heavy tails"):
        rng = np.random.default_rng(17)
        found = [autocorrelation(NOISES[name](rng, 500), 10) for _ in range(size.count(300, 5_000))]
        outside = np.concatenate([np.abs(one.values) > one.band for one in found])
        yield false_positives("autocorrelation", f"{name}, n 500, lags 1 to 10", outside, 0.05, size)
        plain = np.concatenate([np.abs(one.values) > one.band_plain for one in found])
        yield shown("autocorrelation", f"{name}, n 500, plain band", f"{100 * plain.mean():.1f} %")


def quantile_bands(size: Size) -> Iterator[Row]:
    """The whole line of honest data stays inside."""
    for n in (200,) if size.short else (50, 200, 1_000):
        rng = np.random.default_rng(n)
        repeats = size.count(150, 1_500)
        inside = np.array([quantile_line(rng.standard_normal(n)).outside == 0 for _ in range(repeats)])
        yield coverage("quantile line", f"normal, n {n}", inside, size)
        inside = np.array([quantile_line(rng.standard_t(4, n), "student").outside == 0 for _ in range(repeats)])
        yield coverage("quantile line", f"Student t, n {n}", inside, size)


def tail_intervals(size: Size) -> Iterator[Row]:
    """The interval of the degrees of freedom."""
    for df, n in ((4, 500),) if size.short else ((3, 250), (4, 500), (6, 2_000)):
        rng = np.random.default_rng(df)
        found = [student_fit(rng.standard_t(df, n)) for _ in range(size.count(150, 2_000))]
        yield coverage(
            "student fit", f"{df} degrees, n {n}", np.array([f.df_low <= df <= f.df_high for f in found]), size
        )


def traded(rng: np.random.Generator, sigma: np.ndarray, trades: int) -> pd.DataFrame:
    """Bars of a geometric random walk that is seen at so many trades a bar; sigma is each bar's volatility."""
    steps = np.repeat(sigma / np.sqrt(trades), trades) * rng.standard_normal(sigma.size * trades)
    price = 1e5 * np.exp(np.cumsum(steps)).reshape(-1, trades)
    ends = {"open": price[:, 0], "high": price.max(axis=1), "low": price.min(axis=1), "close": price[:, -1]}
    return pd.DataFrame(ends | {"trades": trades})


def sigmas(rng: np.random.Generator, n: int, changes: bool) -> np.ndarray:
    """Volatility of each bar: constant, or a slow random one."""
    if not changes:
        return np.full(n, 0.01)
    shocks, level = 0.25 * rng.standard_normal(n + WARM_UP), np.zeros(n + WARM_UP)
    for t in range(1, level.size):
        level[t] = 0.95 * level[t - 1] + shocks[t]
    return 0.01 * np.exp(level[WARM_UP:] / 2)


MARKETS = ((False, 31, 10), (False, 101, 100), (False, 501, 100), (True, 101, 10), (True, 501, 100))


def volatility_intervals(size: Size) -> Iterator[Row]:
    """Intervals cover the volatility of the bars, and its square is unbiased, few trades or many; the worst method."""
    for changes, n, trades in MARKETS:
        what = f"{'changing' if changes else 'constant'}, {n} bars of {trades} trades"
        covered, ratios = _estimated(changes, n, trades, size.count(60, 1_000))
        worst = min(METHODS, key=lambda method: covered[method].mean())
        yield coverage("volatility", f"{what}, {worst}", covered[worst], size)
        worst = max(METHODS, key=lambda method: abs(ratios[method].mean() - 1))
        # 2 % in the full form; the short one is three standard errors of its mean wider.
        wide = 0.02 + (3 * ratios[worst].std() / np.sqrt(ratios[worst].size) if size.short else 0.0)
        found = float(ratios[worst].mean())
        yield within("volatility", f"{what}, {worst}: variance / truth", round(1 - wide, 3), round(1 + wide, 3), found)


def _estimated(changes: bool, n: int, trades: int, repeats: int) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Whether each method's interval covers, and its variance over the truth, by method."""
    rng = np.random.default_rng(n + trades)
    covered, ratios = (
        {method: np.empty(repeats) for method in METHODS},
        {method: np.empty(repeats) for method in METHODS},
    )
    for at in range(repeats):
        sigma = sigmas(rng, n, changes)
        bars, true = traded(rng, sigma, trades), float(np.sqrt(np.mean(sigma[1:] ** 2)))
        for method in METHODS:
            found = volatility(bars, method, timeframe_s=60)
            covered[method][at] = found.low <= true <= found.high
            ratios[method][at] = (found.per_bar / true) ** 2
    return covered, ratios


def realised_intervals(size: Size) -> Iterator[Row]:
    """Realised volatility covers the truth on a clean price; on a bouncing one the two scales are right."""
    rng = np.random.default_rng(23)
    covered, clean, bounced = [], [], []
    for _ in range(size.count(100, 3_000)):
        path = np.cumsum(np.append(0.0, 0.01 / np.sqrt(60) * rng.standard_normal(60 * 100)))
        found = realised(np.exp(path), 60, timeframe_s=60).volatility
        covered.append(found.low <= 0.01 <= found.high)
        noisy = realised(np.exp(path + 0.001 * rng.choice((-1.0, 1.0), path.size)), 60, timeframe_s=60)
        clean.append((noisy.two_scales / 0.01) ** 2)
        bounced.append((noisy.volatility.per_bar / 0.01) ** 2)
    yield coverage("realised", "100 bars of 60 steps", np.array(covered), size)
    yield within(
        "realised", "two scales on bouncing prices: variance over the truth", 0.97, 1.03, float(np.mean(clean))
    )
    yield shown("realised", "plain on bouncing prices: variance over the truth", f"{np.mean(bounced):.2f}")
