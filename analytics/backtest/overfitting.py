"""How much of a best result is the search for it: deflated Sharpe ratio, probability of backtest overfitting."""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.special import ndtr, ndtri

from utils.errors import InputError, TooFewObservations

EULER = 0.5772156649015329
BLOCKS = 16  # of the bars, half of which choose and half of which judge: 12,870 ways
CHUNK = 1_000  # ways judged together


@dataclass(frozen=True, slots=True)
class DeflatedSharpe:
    """The best Sharpe ratio of several trials against what the best of so many worthless ones would show."""

    sharpe: float  # of the best, a bar
    expected: float  # of the best of as many trials without any skill, a bar
    probability: float  # that the best has a true Sharpe ratio above 0, given how it was found
    trials: int
    trials_std: float  # of their Sharpe ratios, as it was taken
    n_obs: int


@dataclass(frozen=True, slots=True, eq=False)
class Overfitting:
    """Probability of backtest overfitting, by combinatorially symmetric cross-validation."""

    probability: float  # share of splits whose best in one half is no better than the median of the other
    logits: np.ndarray  # of the rank of the best, one a split; > 0 better than the median
    loss_probability: float  # share of splits whose best loses in the other half
    trials: int  # with at least one trade
    blocks: int


def deflated_sharpe(
    sharpe: float, n_obs: int, skew: float, kurtosis: float, trials: int, trials_std: float
) -> DeflatedSharpe:
    """Probability that the best of `trials` Sharpe ratios is above what the best of worthless ones would show.

    expected = trials_std ((1 - g) q(1 - 1 / N) + g q(1 - 1 / (N e))), g Euler's constant, q the normal quantile;
    probability = normal((sharpe - expected) sqrt(n - 1) / sqrt(1 - skew sharpe + (kurtosis - 1) / 4 sharpe^2)).
    NaN where a figure is not known.

    Parameters
    ----------
    sharpe, skew, kurtosis : of the returns of the best trial, a bar, over n_obs bars; kurtosis 3 for a normal
    trials : all that were tried, >= 1; also those of earlier searches
    trials_std : standard deviation of the Sharpe ratios of the trials, a bar; 0 for one trial

    Raises
    ------
    InputError

    References
    ----------
    D. H. Bailey and M. Lopez de Prado, Journal of Portfolio Management 40 (2014).
    """
    if trials < 1:
        raise InputError(f"trials must be >= 1, was {trials}", "trials")
    expected = trials_std * _best_of(trials) if trials > 1 else 0.0
    score = (sharpe - expected) / sharpe_error(sharpe, n_obs, skew, kurtosis)
    return DeflatedSharpe(sharpe, expected, float(ndtr(score)), trials, trials_std, n_obs)


def sharpe_error(sharpe: float, n_obs: int, skew: float, kurtosis: float) -> float:
    """Standard error of a Sharpe ratio of independent returns, a bar; NaN where it is not known."""
    variance = 1 - skew * sharpe + (kurtosis - 1) / 4 * sharpe**2
    return math.sqrt(variance / (n_obs - 1)) if variance > 0 and n_obs > 1 else math.nan


def _best_of(trials: int) -> float:
    """About the expected maximum of so many independent standard normals."""
    return float((1 - EULER) * ndtri(1 - 1 / trials) + EULER * ndtri(1 - 1 / (trials * math.e)))


def overfitting(sums: np.ndarray, bars: np.ndarray) -> Overfitting:
    """How often the best of one half of the time is no better than the median of the other half.

    The bars are cut into blocks. For every choice of half of the blocks, the trial with the best Sharpe ratio there is
    ranked by its Sharpe ratio in the other half: logit = ln(w / (1 - w)), w = rank / (trials + 1). Trials that do
    nothing in a half have a Sharpe ratio of 0 there; equal ones share their rank. Trials without a trade are left out.

    Parameters
    ----------
    sums : sum and sum of squares of the returns of each trial in each block, shape (trials, blocks, 2)
    bars : of each block, shape (blocks,)

    Raises
    ------
    InputError
        The number of blocks is not even.
    TooFewObservations
        Fewer than two trials have a trade.

    References
    ----------
    D. H. Bailey, J. M. Borwein, M. Lopez de Prado and Q. J. Zhu, Journal of Computational Finance 20 (2017).
    """
    blocks = bars.size
    if blocks < 2 or blocks % 2:
        raise InputError(f"blocks must be even and >= 2, were {blocks}", "blocks")
    used = sums[(sums[:, :, 1] > 0).any(axis=1)]
    if len(used) < 2:
        raise TooFewObservations(have=len(used), need=2, what="trials with a trade")
    chosen = np.array(list(combinations(range(blocks), blocks // 2)))
    parts = [_judged(used, bars, chosen[at : at + CHUNK]) for at in range(0, len(chosen), CHUNK)]
    ranks, judged = (np.concatenate(part) for part in zip(*parts, strict=True))
    logits = np.log(ranks / (len(used) + 1 - ranks))
    return Overfitting(float((logits <= 0).mean()), logits, float((judged < 0).mean()), len(used), blocks)


def _judged(sums: np.ndarray, bars: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rank of the best of each choice in the blocks that were not chosen, 1 the worst; its Sharpe ratio there."""
    inside = np.zeros((len(chosen), bars.size))
    np.put_along_axis(inside, chosen, 1.0, axis=1)
    best = _sharpes(inside, sums, bars).argmax(axis=1)
    others = _sharpes(1 - inside, sums, bars)
    own = others[np.arange(len(best)), best][:, None]
    ranks = (others < own).sum(axis=1) + ((others == own).sum(axis=1) + 1) / 2
    return ranks, own[:, 0]


def _sharpes(inside: np.ndarray, sums: np.ndarray, bars: np.ndarray) -> np.ndarray:
    """Sharpe ratio of each trial over each choice of blocks, shape (choices, trials); 0 where nothing was done."""
    n = (inside @ bars)[:, None]
    mean, square = inside @ sums[:, :, 0].T / n, inside @ sums[:, :, 1].T / n
    variance = square - mean * mean
    varies = variance > 1e-12 * square
    return np.divide(mean, np.sqrt(np.where(varies, variance, 1.0)), out=np.zeros_like(mean), where=varies)
