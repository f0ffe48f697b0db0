"""What the p-values of tests on one series promise: 5 % false alarms at a nominal 5 %, and an interval that covers.

The nominal band is 4 to 6.5 %: simulation noise and the finite sample under lags chosen by AIC both live in it.
"""

from collections.abc import Iterator

import numpy as np

from analytics.stationarity import adf, hurst, kpss, phillips_perron, variance_ratio, zivot_andrews
from tests.table import Row, Size, at_least, shown, within

LEVEL = 0.05
LENGTHS = (250, 500, 1_000, 2_000)
ON_A_WALK = {
    "ADF": adf,
    "ADF with trend": lambda walk: adf(walk, trend="ct"),
    "Phillips-Perron": phillips_perron,
    "Phillips-Perron with trend": lambda walk: phillips_perron(walk, trend="ct"),
    "Zivot-Andrews, level": zivot_andrews,
    "Zivot-Andrews, slope": lambda walk: zivot_andrews(walk, trend="t"),
    "Zivot-Andrews, both": lambda walk: zivot_andrews(walk, trend="ct"),
    "variance ratio of 2": lambda walk: variance_ratio(walk, horizon=2),
    "variance ratio of 8": variance_ratio,
    "Hurst against 0.5": hurst,
}
ON_NOISE = {"KPSS": kpss, "KPSS with trend": lambda noise: kpss(noise, trend="ct")}


def walks_called_stationary(size: Size) -> Iterator[Row]:
    """Every test whose null hypothesis a random walk fulfils, on random walks."""
    for n in LENGTHS[: size.count(1, 4)]:
        rng = np.random.default_rng(40_000 + n)
        count = size.count(500, 8_000)
        walks = (rng.standard_normal(n).cumsum() for _ in range(count))
        yield from _false_alarms("unit root", ON_A_WALK, walks, n, count, size)


def fat_tails_and_clusters(size: Size) -> Iterator[Row]:
    """The variance ratio where its claim of robustness matters: steps of Student's t (4) and of a GARCH process."""
    n, count = 500, size.count(800, 5_000)
    for kind, draw in {"Student's t (4)": _student, "GARCH": _garch}.items():
        rng = np.random.default_rng(41_000)
        walks = (draw(rng, n).cumsum() for _ in range(count))
        tests = {f"variance ratio of 8, steps {kind}": variance_ratio}
        yield from _false_alarms("unit root", tests, walks, n, count, size)


def noise_called_unstable(size: Size) -> Iterator[Row]:
    """KPSS on white noise; on autocorrelated noise it fails by design, and how far is told."""
    for n in LENGTHS[: size.count(2, 4)]:
        rng = np.random.default_rng(42_000 + n)
        count = size.count(1_500, 8_000)
        noises = (rng.standard_normal(n) for _ in range(count))
        yield from _false_alarms("stationary", ON_NOISE, noises, n, count, size)
    for phi in (0.5, 0.8, 0.95):
        rng, count = np.random.default_rng(43_000), size.count(200, 2_000)
        share = np.mean([kpss(_autoregression(rng, 500, phi)).pvalue < LEVEL for _ in range(count)])
        yield shown("stationary", f"KPSS, AR(1) of {phi:g}, 500 bars, called unstable", f"{share:.1%}")


def hurst_interval(size: Size) -> Iterator[Row]:
    """The 95 % interval of the Hurst exponent on fractional Gaussian noise of known exponent."""
    count = size.count(400, 2_000)
    for n in LENGTHS[: size.count(1, 4)]:
        for exponent in (0.1, 0.3, 0.5, 0.7, 0.9):
            rng = np.random.default_rng(44_000 + n)
            found = [hurst(path.cumsum()) for path in fractional_noise(rng, n, exponent, count)]
            covered = 100 * np.mean([one.low <= exponent <= one.high for one in found])
            least = round(91 - 100 * _noise(0.91, count, size), 1)
            yield at_least("Hurst", f"interval covers {exponent:g}, {n} bars", least, round(covered, 1), "%")


def fractional_noise(rng: np.random.Generator, n: int, exponent: float, count: int) -> np.ndarray:
    """Fractional Gaussian noise of unit variance, shape (count, n), exact: Davies and Harte's circulant method."""
    lag = np.arange(n + 1.0)
    covariance = 0.5 * ((lag + 1) ** (2 * exponent) - 2 * lag ** (2 * exponent) + abs(lag - 1) ** (2 * exponent))
    strength = np.fft.fft(np.concatenate((covariance, covariance[-2:0:-1]))).real.clip(0)
    shocks = rng.standard_normal((count, strength.size)) + 1j * rng.standard_normal((count, strength.size))
    return np.fft.fft(np.sqrt(strength / strength.size) * shocks, axis=1).real[:, :n]


def _false_alarms(scenario, tests, samples, n: int, count: int, size: Size) -> Iterator[Row]:
    """One row a test: the share of samples with p below 5 %."""
    alarms = dict.fromkeys(tests, 0)
    for sample in samples:
        for name, test in tests.items():
            alarms[name] += test(sample).pvalue < LEVEL
    spare = 100 * _noise(LEVEL, count, size)
    for name, hits in alarms.items():
        what = f"{name}, {n} bars, false alarms"
        yield within(scenario, what, round(4 - spare, 1), round(6.5 + spare, 1), 100 * hits / count, "%")


def _noise(share: float, count: int, size: Size) -> float:
    """What a bound gives way for the smaller sample of the short form: three standard errors; nothing in full."""
    return 3 * np.sqrt(share * (1 - share) / count) if size.short else 0.0


def _autoregression(rng: np.random.Generator, n: int, phi: float) -> np.ndarray:
    values = np.empty(n)
    values[0] = rng.standard_normal() / np.sqrt(1 - phi**2)
    for t, shock in enumerate(rng.standard_normal(n - 1), start=1):
        values[t] = phi * values[t - 1] + shock
    return values


def _student(rng: np.random.Generator, n: int) -> np.ndarray:
    return rng.standard_t(4, n)


def _garch(rng: np.random.Generator, n: int) -> np.ndarray:
    """Steps whose variance is 0.05 + 0.1 of the last squared step + 0.85 of the last variance."""
    steps, variance = np.empty(n), 1.0
    for t, shock in enumerate(rng.standard_normal(n)):
        steps[t] = shock * np.sqrt(variance)
        variance = 0.05 + 0.1 * steps[t] ** 2 + 0.85 * variance
    return steps
