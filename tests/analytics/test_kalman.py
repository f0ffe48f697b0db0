"""The Kalman hedge ratio against statsmodels and against a ratio that is known to move."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from statsmodels.stats.diagnostic import acorr_ljungbox
from statsmodels.tsa.statespace.kalman_filter import FilterResults, KalmanFilter

from analytics.hedge import KalmanNoise, kalman, kalman_noise, kalman_path, kalman_step
from analytics.hedge.state_space import VAGUE, _beginning
from utils.errors import DegenerateSeries, InputError, TooFewObservations

NOISE = KalmanNoise(observation=0.5, hedge_ratio=1e-4, intercept=1e-3)


def legs(seed: int = 1, n: int = 600, level: float = 100.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """y, x and a ratio that moves as NOISE says."""
    rng = np.random.default_rng(seed)
    x = level + rng.standard_normal(n).cumsum()
    ratio = 2 + np.sqrt(NOISE.hedge_ratio) * rng.standard_normal(n).cumsum()
    start = np.sqrt(NOISE.intercept) * rng.standard_normal(n).cumsum()
    return start + ratio * (x - x[0]) + np.sqrt(NOISE.observation) * rng.standard_normal(n), x, ratio


def reference(y: np.ndarray, x: np.ndarray, noise: KalmanNoise) -> FilterResults:
    """The same model and first state in statsmodels."""
    vague, spread = VAGUE * noise.observation, _beginning(x)[1]
    model = KalmanFilter(k_endog=1, k_states=2)
    model.bind((y - y[0])[:, None].copy())
    model["design"] = np.stack((np.ones(y.size), x - x[0]))[None]
    model["transition"] = model["selection"] = np.eye(2)
    model["state_cov"] = np.diag((noise.intercept, noise.hedge_ratio))
    model["obs_cov"] = np.array([[noise.observation]])
    model.initialize_known(np.zeros(2), np.diag((vague + noise.intercept, vague / spread + noise.hedge_ratio)))
    return model.filter()


@pytest.mark.parametrize("level", [100.0, 60_000.0])
def test_the_filter_equals_statsmodels(level):
    y, x, _ = legs(level=level)
    path, other = kalman_path(y, x, NOISE), reference(y, x, NOISE)
    known = slice(10, None)
    np.testing.assert_allclose(path.hedge_ratio[known], other.filtered_state[1][known], rtol=1e-9)
    np.testing.assert_allclose(path.stderr[known], np.sqrt(other.filtered_state_cov[1, 1])[known], rtol=1e-9)
    np.testing.assert_allclose(path.innovation[known], other.forecasts_error[0][known], atol=1e-9)
    np.testing.assert_allclose(path.innovation_std[known], np.sqrt(other.forecasts_error_cov[0, 0])[known], rtol=1e-9)
    intercept = y[0] + other.filtered_state[0] - other.filtered_state[1] * x[0]
    np.testing.assert_allclose(path.intercept[known], intercept[known], atol=1e-9 * level)
    assert path.loglikelihood == pytest.approx(other.llf_obs[known].sum(), abs=1e-7)
    assert np.isnan(path.hedge_ratio[:10]).all()


def test_an_innovation_is_the_forecast_of_the_bar_before():
    y, x, _ = legs()
    path = kalman_path(y, x, NOISE)
    forecast = path.hedge_ratio[:-1] * x[1:] + path.intercept[:-1]
    np.testing.assert_allclose(path.innovation[11:], (y[1:] - forecast)[10:], atol=1e-9)
    np.testing.assert_array_equal(path.zscore, path.innovation / path.innovation_std)


def test_a_step_in_plain_floats_is_the_replay_to_the_bit():
    y, x, _ = legs()
    whole, state = kalman_path(y, x, NOISE), kalman_path(y[:400], x[:400], NOISE).state
    for t in range(400, 600):
        state = kalman_step(state, float(y[t]), float(x[t]), NOISE)
        found = state.hedge_ratio, state.intercept, state.stderr, state.innovation, state.zscore
        assert found == tuple(
            getattr(whole, name)[t] for name in ("hedge_ratio", "intercept", "stderr", "innovation", "zscore")
        )
    assert state == whole.state


@settings(max_examples=20)
@given(cut=st.integers(1, 340), set_by_hand=st.booleans())
def test_bars_to_come_change_no_value_of_the_past(cut, set_by_hand):
    y, x, _ = legs()
    noise = NOISE if set_by_hand else None
    whole, past = kalman_path(y, x, noise), kalman_path(y[:-cut], x[:-cut], noise)
    assert whole.noise == past.noise
    for name in ("hedge_ratio", "intercept", "stderr", "innovation", "innovation_std", "zscore"):
        np.testing.assert_array_equal(getattr(past, name), getattr(whole, name)[:-cut], err_msg=name)


def test_the_noise_comes_from_the_first_bars_which_have_no_values():
    y, x, _ = legs()
    path = kalman_path(y, x, train=300)
    assert path.noise == kalman_noise(y[:300], x[:300])
    assert np.isnan(path.hedge_ratio[:300]).all() and np.isfinite(path.hedge_ratio[300:]).all()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_no_noise_is_likelier_than_the_one_found(seed):
    y, x, _ = legs(seed, 400)
    found = kalman_noise(y, x)

    def less(logs: np.ndarray) -> float:
        return -float(reference(y, x, KalmanNoise(*np.exp(logs))).llf_obs[10:].sum())

    start = np.log((found.observation, max(found.hedge_ratio, 1e-9), max(found.intercept, 1e-9)))
    best = minimize(less, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-6, "maxiter": 400})
    assert kalman_path(y, x, found).loglikelihood >= -best.fun - 0.01
    assert kalman_path(y, x, found).loglikelihood >= kalman_path(y, x, NOISE).loglikelihood


def test_the_noise_that_made_the_prices_is_found():
    y, x, _ = legs(4, 5_000)
    found = kalman_noise(y, x)
    assert found.observation == pytest.approx(0.5, rel=0.08)
    assert found.hedge_ratio == pytest.approx(1e-4, rel=0.4)
    assert KalmanNoise.by_ratio(2.0, 1e-3, 1e-2) == KalmanNoise(2.0, 2e-3, 2e-2)


def test_the_band_holds_a_ratio_that_moves():
    inside, last = [], []
    for seed in range(60):
        y, x, ratio = legs(seed)
        path, fit = kalman_path(y, x, NOISE), kalman(y, x)
        inside.append(np.mean(np.abs(path.hedge_ratio - ratio)[50:] <= 1.96 * path.stderr[50:]))
        last.append(fit.low <= ratio[-1] <= fit.high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)
    assert np.mean(last) >= 0.9


def test_the_fit_is_the_last_state():
    y, x, _ = legs()
    fit, state = kalman(y, x, NOISE), kalman_path(y, x, NOISE).state
    assert (fit.hedge_ratio, fit.intercept, fit.stderr) == (state.hedge_ratio, state.intercept, state.stderr)
    assert fit.high - fit.low == pytest.approx(2 * 1.959963984540054 * fit.stderr)
    covariance = reference(y, x, NOISE).filtered_state_cov[:, :, -1]
    to_origin = np.array([1.0, -x[0]])
    assert fit.intercept_stderr == pytest.approx(np.sqrt(to_origin @ covariance @ to_origin), rel=1e-8)
    assert fit.method == "kalman" and fit.n_obs == 600 and 0.9 < fit.r_squared < 1
    found = kalman(y, x)
    assert found.low < found.hedge_ratio - 1.95 * found.stderr  # noise that was found is not known


def test_consistency_is_told_from_the_surprises():
    y, x, _ = legs()
    path = kalman_path(y, x, NOISE)
    found, surprises = path.consistency, path.zscore[10:]
    assert found.surprise == pytest.approx(np.mean(surprises**2))
    assert found.surprise_low < 1 < found.surprise_high and found.n_obs == 590
    box = acorr_ljungbox(surprises, lags=[10])["lb_pvalue"].iloc[0]
    assert found.ljung_box_pvalue == pytest.approx(box, rel=1e-8)
    assert found.consistent
    for wrong in (KalmanNoise(1.0, 1e-4, 1e-3), KalmanNoise(0.5, 0.0, 0.0), KalmanNoise(0.2, 1e-4, 1e-3)):
        assert not kalman_path(y, x, wrong).consistency.consistent


def test_noise_that_was_found_widens_the_band_of_the_surprises():
    y, x, _ = legs(n=1_000)
    set_by_hand, found = kalman_path(y, x, NOISE).consistency, kalman_path(y, x, train=100).consistency
    width = set_by_hand.surprise_high - set_by_hand.surprise_low
    assert found.surprise_high - found.surprise_low > 2 * width


def test_a_leg_that_stood_still_at_first_is_waited_for():
    y, x, _ = legs()
    path = kalman_path(y, np.where(np.arange(600) < 40, x[40], x), NOISE)
    assert np.isnan(path.hedge_ratio[:41]).all() and np.isfinite(path.hedge_ratio[43:]).all()


def test_units_pass_through():
    y, x, _ = legs()
    plain, moved = kalman(y, x), kalman(40 * y + 7, 0.5 * x - 3)
    for name in ("hedge_ratio", "stderr", "low", "high"):
        assert getattr(moved, name) == pytest.approx(80 * getattr(plain, name), rel=1e-6), name


def test_wrong_noise_and_too_little_data_are_named():
    y, x, _ = legs()
    for wrong in ({"observation": 0.0}, {"hedge_ratio": -1.0}, {"intercept": np.nan}):
        with pytest.raises(InputError) as caught:
            KalmanNoise(**{"observation": 1.0, "hedge_ratio": 0.0, "intercept": 0.0} | wrong)
        assert caught.value.field == next(iter(wrong))
    with pytest.raises(TooFewObservations) as few:
        kalman_path(y[:200], x[:200])
    assert (few.value.have, few.value.need) == (200, 252)
    with pytest.raises(InputError, match="train must be >= 50"):
        kalman_path(y, x, train=49)
    with pytest.raises(DegenerateSeries, match="one line"):
        kalman_noise(2 * x + 1, x)
