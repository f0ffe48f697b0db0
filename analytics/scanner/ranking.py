"""The order of a scan: by one column, or by a score of several."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from utils.errors import InputError

RISING = {  # whether the least of a column is the best; columns that are not here cannot rank
    "qvalue": True,
    "pvalue": True,
    "statistic": True,
    "half_life": True,
    "half_life_high": True,
    "breakeven_z": True,
    "cost": True,
    "edge_bps": False,
    "zscore": False,  # by its size
    "correlation": False,
    "stable_share": False,
    "coverage": False,
    "n_obs": False,
}
DEFAULT = "qvalue"


def rank(found: pd.DataFrame, by: str | Mapping[str, float] = DEFAULT) -> pd.DataFrame:
    """The rows of a scan, best first, with a new index; rows that lack what is asked for come last.

    Rows that are level are ordered by p-value, then by statistic.

    Parameters
    ----------
    found : as of `scan`
    by : one of RISING, or weights of several: the order is then that of `score`

    Raises
    ------
    InputError
    """
    if isinstance(by, str):
        _check(by)
        first = _signed(found, by)
    else:
        first = -score(found, by)
    order = np.lexsort((found["statistic"], found["pvalue"], first))  # NaN sorts last
    return found.iloc[order].reset_index(drop=True)


def score(found: pd.DataFrame, weights: Mapping[str, float]) -> np.ndarray:
    """Weighted mean of the places in each column, 1 the best of all pairs, 0 the worst, shape (pairs,).

    A place is the share of the other pairs that are worse, ties counted half, so it has no unit and no outliers. NaN
    where a pair lacks one of the numbers.

    Raises
    ------
    InputError
    """
    for name, weight in weights.items():
        _check(name)
        if not 0 <= weight < float("inf"):
            raise InputError(f"the weight of {name} must be >= 0 and finite, was {weight:g}", name)
    total = sum(weights.values())
    if not total > 0:
        raise InputError("at least one weight must be above 0", "by")
    return sum(
        (weight / total * _places(_signed(found, name)) for name, weight in weights.items()), np.zeros(len(found))
    )


def _check(name: str) -> None:
    if name not in RISING:
        raise InputError(f"pairs can be ranked by {', '.join(RISING)}, not by {name!r}", "by")


def _signed(found: pd.DataFrame, name: str) -> np.ndarray:
    """A column turned so that the least is the best."""
    values = found[name].to_numpy(np.float64)
    values = np.abs(values) if name == "zscore" else values
    return values if RISING[name] else -values


def _places(values: np.ndarray) -> np.ndarray:
    known = np.isfinite(values) | np.isinf(values)
    places = (pd.Series(-values).rank().to_numpy() - 1) / max(int(known.sum()) - 1, 1)
    return np.where(known, places, np.nan)
