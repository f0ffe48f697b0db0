"""Phillips-Ouliaris against arch."""

import gzip

import numpy as np
import pandas as pd
import pytest
from arch.unitroot.cointegration import phillips_ouliaris as arch_phillips_ouliaris

from analytics.cointegration import phillips_ouliaris
from tests.market import market
from utils.errors import DegenerateSeries, InputError, TooFewObservations


def check(y: np.ndarray, x: np.ndarray, trend: str) -> None:
    found = phillips_ouliaris(y, x, trend=trend)
    for kind, statistic, pvalue in (
        ("Zt", found.statistic, found.pvalue),
        ("Za", found.z_alpha, found.z_alpha_pvalue),
    ):
        reference = arch_phillips_ouliaris(y, x, trend=trend, test_type=kind)
        assert statistic == pytest.approx(reference.stat, abs=1e-8)
        assert pvalue == pytest.approx(reference.pvalue, abs=1e-8)
        assert found.lags == pytest.approx(reference.bandwidth, abs=1e-8)


@pytest.mark.parametrize("trend", ["c", "ct"])
@pytest.mark.parametrize("n, phi, noise", [(40, 0.2, 1.0), (150, 0.8, 0.1), (400, 1.0, 1.0), (1_000, 0.95, 3.0)])
def test_statistics_bandwidth_and_p_equal_arch(trend, n, phi, noise):
    rng = np.random.default_rng(n)
    x, error = 100 + rng.standard_normal(n).cumsum(), np.zeros(n)
    for t, shock in enumerate(rng.standard_normal(n - 1), start=1):
        error[t] = phi * error[t - 1] + noise * shock
    check(1.5 * x + error, x, trend)


def test_brent_and_wti_equal_arch_and_are_cointegrated():
    with gzip.open(market("econometrics/crude.csv.gz"), "rt", encoding="utf-8-sig") as file:
        table = np.log(pd.read_csv(file)[["WTI", "Brent"]].to_numpy())
    check(table[:, 0], table[:, 1], "c")
    assert phillips_ouliaris(table[:, 0], table[:, 1]).pvalue < 1e-3


def test_critical_values_are_near_arch_s_of_a_large_sample():
    rng = np.random.default_rng(1)
    y, x = rng.standard_normal((2, 5_000)).cumsum(axis=1)
    found = phillips_ouliaris(y, x)
    tau, alpha = (arch_phillips_ouliaris(y, x, test_type=kind).critical_values for kind in ("Zt", "Za"))
    for name, level in (("1%", 1), ("5%", 5), ("10%", 10)):
        assert found.critical_values[name] == pytest.approx(tau[level], rel=5e-3)
        assert found.z_alpha_critical_values[name] == pytest.approx(alpha[level], rel=1e-2)


def test_walks_are_called_cointegrated_about_one_time_in_twenty():
    rng = np.random.default_rng(2)
    found = [phillips_ouliaris(*rng.standard_normal((2, 300)).cumsum(axis=1)) for _ in range(2_000)]
    assert 0.04 <= np.mean([one.pvalue < 0.05 for one in found]) <= 0.07
    assert 0.04 <= np.mean([one.z_alpha_pvalue < 0.05 for one in found]) <= 0.07


def test_what_cannot_be_tested_is_named():
    x = np.random.default_rng(3).standard_normal(200).cumsum()
    with pytest.raises(DegenerateSeries, match="same up to scale"):
        phillips_ouliaris(3 * x + 1, x)
    with pytest.raises(DegenerateSeries):
        phillips_ouliaris(x, np.full(200, 2.0))
    with pytest.raises(InputError, match="finite"):
        phillips_ouliaris(x, np.where(np.arange(200) == 5, np.nan, x))
    with pytest.raises(TooFewObservations):
        phillips_ouliaris(x[:29], x[:29] ** 2)
