"""What one series of closes looks like: returns, their moments, their distribution, and a summary of all."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from scipy import stats

from analytics.autocorrelation import LjungBox, ljung_box
from analytics.checks import series
from analytics.normality import JarqueBera, StudentFit, jarque_bera, student_fit
from analytics.returns import log_returns, simple_returns
from utils.errors import AnalysisError, InputError, TooFewObservations

MIN_OBS = 20
MOST_BINS, GRID = 80, 200
MIDDLE = (0.005, 0.995)  # what is binned; the rest is counted, or one spike would leave one full bin
QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


@dataclass(frozen=True, slots=True)
class Moments:
    """Moments of a sample, each with its standard error for independent draws."""

    mean: float  # units of the data
    mean_stderr: float
    std: float  # ddof 1
    std_stderr: float  # by the sample's own kurtosis
    skewness: float  # G1, unbiased on normal data
    skewness_stderr: float  # of normal data: what chance makes of a true 0
    excess_kurtosis: float  # G2, unbiased on normal data
    excess_kurtosis_stderr: float  # of normal data
    n_obs: int


@dataclass(frozen=True, slots=True, eq=False)
class Density:
    """Histogram of the middle 99 % of a sample, and three densities over it, 1 / units of the data."""

    edges: np.ndarray  # shape (bins + 1,)
    counts: np.ndarray  # shape (bins,)
    below: int  # values left of the first edge
    above: int
    grid: np.ndarray  # where the densities are given
    kernel: np.ndarray  # of the data, Gaussian kernel
    normal: np.ndarray  # of the same mean and standard deviation
    student: np.ndarray  # of the fitted Student t
    n_obs: int


@dataclass(frozen=True, slots=True)
class Summary:
    """The distribution of one series of returns; what the data does not support is None, with the reason."""

    n_obs: int
    moments: Moments | None
    least: float
    greatest: float
    quantiles: dict[float, float]
    zeros: float  # share of returns that are exactly 0: bars in which nothing moved
    jarque_bera: JarqueBera | None
    student: StudentFit | None
    ljung_box: LjungBox | None  # of the returns: do they remember their direction
    clustering: LjungBox | None  # of `distance_ranks`: does volatility remember itself
    missing: dict[str, str] = field(default_factory=dict)

    def table(self) -> pd.DataFrame:
        """One row a number: value, standard error (NaN where it has none) and p-value (NaN likewise)."""
        rows = [("observations", float(self.n_obs), math.nan, math.nan)]
        if (m := self.moments) is not None:
            rows += [
                ("mean", m.mean, m.mean_stderr, math.nan),
                ("standard deviation", m.std, m.std_stderr, math.nan),
                ("skewness", m.skewness, m.skewness_stderr, math.nan),
                ("excess kurtosis", m.excess_kurtosis, m.excess_kurtosis_stderr, math.nan),
            ]
        rows += [("least", self.least, math.nan, math.nan)]
        rows += [(f"quantile {100 * at:g} %", value, math.nan, math.nan) for at, value in self.quantiles.items()]
        rows += [("greatest", self.greatest, math.nan, math.nan), ("share of zeros", self.zeros, math.nan, math.nan)]
        if self.student is not None:
            rows += [("Student t degrees of freedom", self.student.df, math.nan, math.nan)]
        tests = {
            "Jarque-Bera": self.jarque_bera,
            "Ljung-Box": self.ljung_box,
            "Ljung-Box of distance ranks": self.clustering,
        }
        rows += [(name, test.statistic, math.nan, test.pvalue) for name, test in tests.items() if test is not None]
        return pd.DataFrame(rows, columns=["number", "value", "stderr", "pvalue"]).set_index("number")


def moments(x: np.ndarray) -> Moments:
    """Mean, standard deviation, skewness and excess kurtosis, with standard errors.

    G1 = g1 sqrt(n (n - 1)) / (n - 2), G2 = ((n + 1) g2 + 6) (n - 1) / ((n - 2) (n - 3)), g1 = m3 / m2^1.5,
    g2 = m4 / m2^2 - 3. se(std) = std / 2 sqrt((g2 + 2) / n). The fourth moment of heavy tails may not exist: a
    kurtosis of returns then grows with the sample instead of settling.

    Parameters
    ----------
    x : float array, shape (n,), n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    D. N. Joanes and C. A. Gill, The Statistician 47 (1998); H. Cramer, Mathematical Methods of Statistics (1946).
    """
    values = series(x, "x", MIN_OBS)
    n, unit = values.size, float(np.ptp(values))
    centred = (values - values.mean()) / unit  # its own unit: no power under- or overflows
    second, third, fourth = (float(np.mean(centred**power)) for power in (2, 3, 4))
    g1, g2 = third / second**1.5, fourth / second**2 - 3
    std = unit * math.sqrt(second * n / (n - 1))
    skewness_stderr = math.sqrt(6 * n * (n - 1) / ((n - 2) * (n + 1) * (n + 3)))
    return Moments(
        mean=float(values.mean()),
        mean_stderr=std / math.sqrt(n),
        std=std,
        std_stderr=std / 2 * math.sqrt((g2 + 2) / n),
        skewness=g1 * math.sqrt(n * (n - 1)) / (n - 2),
        skewness_stderr=skewness_stderr,
        excess_kurtosis=((n + 1) * g2 + 6) * (n - 1) / ((n - 2) * (n - 3)),
        excess_kurtosis_stderr=2 * skewness_stderr * math.sqrt((n**2 - 1) / ((n - 3) * (n + 5))),
        n_obs=n,
    )


def density(x: np.ndarray) -> Density:
    """Histogram by the rule of Freedman and Diaconis (at most 80 bins), kernel, normal and Student densities.

    The kernel's width is 0.9 min(std, IQR / 1.34) n^(-1/5) (Silverman).

    Parameters
    ----------
    x : float array, shape (n,), n >= 20

    Raises
    ------
    InputError, TooFewObservations, DegenerateSeries

    References
    ----------
    D. Freedman and P. Diaconis, Zeitschrift fuer Wahrscheinlichkeitstheorie 57 (1981); B. W. Silverman, Density
    Estimation (1986), eq. 3.31.
    """
    values = np.sort(series(x, "x", MIN_OBS))
    low, high = np.quantile(values, MIDDLE)
    if low == high:  # all but a few values are the same
        low, high = values[0], values[-1]
    lower, upper = np.quantile(values, (0.25, 0.75))
    std, spread = float(values.std(ddof=1)), float(upper - lower)
    width = 2 * spread / values.size ** (1 / 3)
    bins = min(MOST_BINS, math.ceil((high - low) / width)) if width > 0 else MOST_BINS
    counts, edges = np.histogram(values, bins, (low, high))
    grid = np.linspace(low, high, GRID)
    narrow = 0.9 * min(std, spread / 1.34 or std) / values.size**0.2
    fit = student_fit(values)
    return Density(
        edges=edges,
        counts=counts,
        below=int(np.sum(values < low)),
        above=int(np.sum(values > high)),
        grid=grid,
        kernel=stats.gaussian_kde(values, narrow / std)(grid),
        normal=stats.norm.pdf(grid, values.mean(), std),
        student=stats.t.pdf(grid, fit.df, fit.loc, fit.scale),
        n_obs=values.size,
    )


def summary(closes: np.ndarray, returns: Literal["log", "simple"] = "log") -> Summary:
    """The distribution of the returns of a series of closes.

    Parameters
    ----------
    closes : float array, shape (n,), oldest first, positive

    Raises
    ------
    InputError, TooFewObservations
    """
    if returns not in ("log", "simple"):
        raise InputError(f"returns must be log or simple, was {returns!r}", "returns")
    return describe(log_returns(closes) if returns == "log" else simple_returns(closes))


def describe(x: np.ndarray) -> Summary:
    """The distribution of one series: returns, or changes of a spread, in units of the data.

    Parameters
    ----------
    x : float array, shape (n,), oldest first, finite, n >= 1

    Raises
    ------
    InputError, TooFewObservations
    """
    values = np.asarray(x, np.float64)
    if values.ndim != 1 or not np.isfinite(values).all():
        raise InputError("x must have one dimension and finite values only", "x")
    if not values.size:
        raise TooFewObservations(have=0, need=1, what="observations")
    missing: dict[str, str] = {}

    def attempt(name: str, compute: Callable[[np.ndarray], Any], of: np.ndarray) -> Any:
        try:
            return compute(of)
        except AnalysisError as exc:
            missing[name] = str(exc)
            return None

    return Summary(
        n_obs=values.size,
        moments=attempt("moments", moments, values),
        least=float(values.min()),
        greatest=float(values.max()),
        quantiles=dict(zip(QUANTILES, np.quantile(values, QUANTILES).tolist(), strict=True)),
        zeros=float(np.mean(values == 0)),
        jarque_bera=attempt("jarque_bera", jarque_bera, values),
        student=attempt("student", student_fit, values),
        ljung_box=attempt("ljung_box", ljung_box, values),
        clustering=attempt("clustering", ljung_box, distance_ranks(values)),
        missing=missing,
    )


def distance_ranks(x: np.ndarray) -> np.ndarray:
    """Rank of each value's distance from the median, 1 ... n, shape (n,): whether large moves follow large moves.

    Ranks, because squares and distances of heavy tails have no variance that a test could rest on: on independent
    Student t values Ljung-Box of distances rejects more than its 5 %, of ranks not.
    """
    values = np.asarray(x, np.float64)
    ranks: np.ndarray = stats.rankdata(np.abs(values - np.median(values)))
    return ranks
