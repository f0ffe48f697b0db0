"""Scans the recorded hourly bars of 100 symbols and writes docs/scan-usdm-1h-2025-10.md: `python -m tests.universe`."""

import sys
from pathlib import Path

import pandas as pd

from analytics.scanner import scan
from tests.market import MARKET

FOLDER = MARKET / "klines" / "usdm_1h_202510"
DOCUMENT = Path(__file__).resolve().parents[1] / "docs" / "scan-usdm-1h-2025-10.md"
SHOWN = 25  # pairs
COLUMNS = {  # heading -> column and digits
    "y": ("y", ""),
    "x": ("x", ""),
    "bars": ("n_obs", "d"),
    "statistic": ("statistic", ".3f"),
    "lags": ("lags", "d"),
    "p": ("pvalue", ".2g"),
    "p corrected": ("pvalue_corrected", ".2g"),
    "q": ("qvalue", ".3f"),
    "hedge ratio": ("hedge_ratio", ".4g"),
    "half-life, bars": ("half_life", ".1f"),
    "low": ("half_life_low", ".1f"),
    "high": ("half_life_high", ".1f"),
    "correlation": ("correlation", ".2f"),
    "stable": ("stable_share", ".2f"),
    "edge, bps": ("edge_bps", ".0f"),
}
TEXT = """\
# A scan of 100 symbols: USD-M futures, hourly closes, 2 to 23 October 2025

`python -m tests.universe` writes this page from recorded bars, which are not part of the repository; where they lie
beside it, a test holds the page to them. Prices as they are (no logarithms), constant, lags by AIC, the last bar (still
open when it was recorded) left out. {symbols} symbols, {bars} bars. Pairs rest on the bars that both symbols have: some
were listed within these weeks ({short}).

| | pairs |
|---|---|
| tested, in both directions | {tested:,} |
| better p below 0.05, as a loop over pairs would list them | {naive:,} |
| doubled p below 0.05 | {doubled:,} |
| q below 0.05, Benjamini-Hochberg | {bh:,} |
| q below 0.05, Benjamini-Yekutieli | {by:,} |

The {shown} best by q-value. The three weeks hold the crash of 10 October, when most symbols fell by a fifth or more
within one bar: a pair that stood it is not thereby a pair, and what holds over three weeks is no promise for a fourth.

"""


def closes(folder: Path = FOLDER) -> pd.DataFrame:
    """Closes of every symbol, one row an hour in UTC; NaN before a symbol was listed."""
    series = {
        path.name.removesuffix("_1h.csv"): pd.read_csv(path, usecols=["time", "close"], index_col="time")["close"]
        for path in sorted(folder.glob("*_1h.csv"))
    }
    table = pd.DataFrame(series)
    table.index = pd.to_datetime(table.index, utc=True)
    return table.sort_index().iloc[:-1]


def document(prices: pd.DataFrame) -> str:
    """The page."""
    found = scan(prices)
    short = prices.columns[prices.count() < 0.98 * len(prices)]
    head = TEXT.format(
        symbols=prices.shape[1],
        bars=len(prices),
        short=", ".join(short),
        tested=found["pvalue"].count(),
        naive=(found["pvalue_y_on_x"] < 0.05).sum(),
        doubled=(found["pvalue"] < 0.05).sum(),
        bh=found["found"].sum(),
        by=scan(prices, fdr="by")["found"].sum(),
        shown=SHOWN,
    )
    best = [row for _, row in found.head(SHOWN).iterrows()]
    rows = [[_cell(row[name], digits) for name, digits in COLUMNS.values()] for row in best]
    lines = [list(COLUMNS), ["---"] * len(COLUMNS), *rows]
    return head + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _cell(value: object, digits: str) -> str:
    return "none" if pd.isna(value) else format(value, digits)


if __name__ == "__main__":
    DOCUMENT.write_text(document(closes()), encoding="utf-8")
    sys.stdout.write(f"{DOCUMENT}\n")
