"""What is new since the last scan."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

Pair = tuple[str, str]

FOLLOWED = ("qvalue", "hedge_ratio", "half_life", "zscore", "edge_bps")


@dataclass(frozen=True, slots=True, eq=False)
class ScanChanges:
    """One scan beside the one before. Pairs are named (y, x) as in the newer scan, where they are in it."""

    appeared: tuple[Pair, ...]  # found now, tested and not found before
    gone: tuple[Pair, ...]  # found before, tested and not found now
    turned: tuple[Pair, ...]  # found in both, with the other leg explained now
    new: tuple[Pair, ...]  # found now; before, they were not in the scan or had no numbers
    lost: tuple[Pair, ...]  # found before; now, they are not in the scan or have no numbers
    kept: pd.DataFrame  # found in both: y, x, and each of FOLLOWED now, before (`..._before`), newest order

    @property
    def any(self) -> bool:
        """Whether a pair came, went or turned."""
        return any((self.appeared, self.gone, self.turned, self.new, self.lost))


def changes(before: pd.DataFrame, after: pd.DataFrame) -> ScanChanges:
    """What a scan says that the one before did not, and the reverse. Neither table is changed.

    Numbers of a pair that turned belong to the other direction: a ratio and its error are then not to be compared,
    and are NaN before.
    """
    both = _keyed(after).join(_keyed(before).add_suffix("_before"), how="outer")
    now, then = (both[name].eq(True) for name in ("found", "found_before"))
    tested, was_tested = both["qvalue"].notna(), both["qvalue_before"].notna()
    kept = both[now & then].sort_values("place")
    turned = kept["y"] != kept["y_before"]
    kept = kept.assign(hedge_ratio_before=kept["hedge_ratio_before"].where(~turned))
    names = [name for column in FOLLOWED for name in (column, f"{column}_before")]
    return ScanChanges(
        appeared=_pairs(both[now & ~then & was_tested]),
        gone=_pairs(both[then & ~now & tested]),
        turned=_pairs(kept[turned]),
        new=_pairs(both[now & ~was_tested]),
        lost=_pairs(both[then & ~tested]),
        kept=kept[["y", "x", *names]].reset_index(drop=True),
    )


def _keyed(found: pd.DataFrame) -> pd.DataFrame:
    """What is compared, by the pair whichever leg is explained, and its place in the scan."""
    legs = np.sort(found[["y", "x"]].to_numpy(str), axis=1)
    index = pd.MultiIndex.from_arrays(legs.T, names=("one", "other"))
    return found[["y", "x", "found", *FOLLOWED]].assign(place=range(len(found))).set_index(index)


def _pairs(rows: pd.DataFrame) -> tuple[Pair, ...]:
    """Names as in the newer scan, in its order."""
    rows = rows.sort_values(["place", "place_before"], na_position="last")
    named = rows["y"].fillna(rows["y_before"]), rows["x"].fillna(rows["x_before"])
    return tuple(zip(*(column.astype(str) for column in named), strict=True))
