"""What every p-value, interval and alarm is worth: `python run.py calibrate [SCENARIO ...] [--short]`.

Series whose truth is known are made and analysed by the code that the pages use. The table says how often each test
errs and each interval covers; it is written with the machine it was made on to var/calibrate.json, and the exit status
is 1 if anything is out of its limits.
"""

import sys
from collections.abc import Sequence

from tests.calibrate import (
    backtest,
    cointegration,
    correlation,
    descriptive,
    hedge,
    mean_reversion,
    monitoring,
    scanner,
    unit_roots,
)
from tests.proofs import Proof

SCENARIOS = (
    unit_roots.walks_called_stationary,
    unit_roots.fat_tails_and_clusters,
    unit_roots.noise_called_unstable,
    unit_roots.hurst_interval,
    cointegration.unrelated_walks,
    cointegration.walks_with_correlated_steps,
    cointegration.plain_adf_on_the_residual,
    cointegration.true_pairs_are_found,
    hedge.ols_interval,
    hedge.ols_interval_at_the_edge,
    hedge.ols_interval_with_other_errors,
    hedge.robust_intervals,
    hedge.cointegrating_intervals,
    hedge.cointegrating_flags,
    hedge.kalman_band,
    hedge.kalman_consistency,
    *mean_reversion.SCENARIOS,
    monitoring.watched_tests,
    monitoring.false_alarms,
    monitoring.breaks,
    correlation.pearson_interval,
    correlation.distance_test,
    correlation.hayashi_yoshida_truth,
    correlation.lead_lag_interval,
    descriptive.jarque_bera_size,
    descriptive.ljung_box_size,
    descriptive.clustering_size,
    descriptive.autocorrelation_bands,
    descriptive.quantile_bands,
    descriptive.tail_intervals,
    descriptive.volatility_intervals,
    descriptive.realised_intervals,
    scanner.universes_without_a_pair,
    scanner.true_pairs_among_many,
    scanner.families_in_a_universe,
    *backtest.SCENARIOS,
)
PROOF = Proof(
    "calibrate",
    "What every p-value, interval and alarm is worth.",
    {scenario.__name__.replace("_", "-"): scenario for scenario in SCENARIOS},
)


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    return PROOF.main(PROOF.parser(), arguments)


if __name__ == "__main__":
    sys.exit(main())
