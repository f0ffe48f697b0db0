"""A scan as markup and tables: what it looked at, its rows, what its q-values promise, and what changed."""

from html import escape
from typing import Any

import pandas as pd

from analytics.scanner import rank, score, spread_paths
from analytics.scanner.changes import Pair
from dashboard import formats
from dashboard.markup import Card, Row, muted, section, table
from dashboard.scan_view import ScanView
from data.exporters import FORMATS, table_of
from engine import ScanRequest, ScanResult
from utils.clock import US_PER_S, date_hhmmss

SHOWN = 300  # rows that are sent to the browser with their pictures; downloads have all
SOURCES = {
    "live": "Live symbols",
    "stored": "Stored bars",
    "exchange": "Exchange, by REST",
    "table": "Uploaded table",
}
LAGS = {"aic": "AIC", "bic": "BIC", "fixed": "fixed"}
TRENDS = {"c": "constant", "ct": "constant and line"}
FDR = {"bh": "Benjamini-Hochberg", "by": "Benjamini-Yekutieli"}
REPEATS_S = {"off": None, "15 min": 900.0, "1 h": 3_600.0, "4 h": 14_400.0, "1 d": 86_400.0}
PROMISE = (
    "A q-value is a promise about a list, not about a pair: of all rows up to q = 0.05 about 5 % are expected to be "
    "false. Measured, it holds for pairs that have nothing else in common (at most 6 % in 1,200 scans of unrelated "
    "walks). It does not hold inside families: where many symbols follow one market with wide noise around it, 10 to "
    "25 % of the finds were false. Nor does it know which bars were chosen: scan again on others, and mind “stable”."
)
BY_MORE = "This order is not by q alone: it picks from found and not found alike."
COLUMNS = {  # of the table -> column of the scan
    "y": "y",
    "x": "x",
    "q": "qvalue",
    "half-life": "half_life",
    "from": "half_life_low",
    "to": "half_life_high",
    "edge, bps": "edge_bps",
    "z": "zscore",
    "stable": "stable_share",
    "ratio": "hedge_ratio",
    "± se": "hedge_stderr",
    "correlation": "correlation",
    "p": "pvalue",
    "p corrected": "pvalue_corrected",
    "lags": "lags",
    "bars": "n_obs",
    "coverage": "coverage",
    "why not": "reason",
}


def cards_of(result: ScanResult) -> list[Card]:
    """Six numbers of a scan."""
    told, request = result.summary(), result.request
    tested, found = told["tested"], told["found"]
    naive = int((result.found["pvalue"] < request.alpha).sum())
    return [
        Card("symbols", f"{told['symbols']:,}", f"{told['bars']:,} bars", "scan_universe"),
        Card("pairs tested", f"{tested:,}", "both directions", "scan_tests"),
        Card("found", f"{found:,}", f"q < {request.alpha:g}", "scan_found", "" if found else "muted"),
        Card("by p alone", f"{naive:,}", f"p < {request.alpha:g}", "scan_naive", "muted"),
        Card("expected false", formats.number(request.alpha * found, 1), "of those found", "scan_false"),
        Card("took", formats.duration(told["took_s"]), "", "scan_took"),
    ]


def about(result: ScanResult, zone: str) -> str:
    """What was scanned, and when, in one line."""
    request = result.request
    lags = request.lags if isinstance(request.lags, int) else LAGS[request.lags]
    width = "" if request.source == "table" else f" · {formats.timeframe(request.timeframe)} bars"
    where = request.table if request.source == "table" else SOURCES[request.source].lower()
    logs = ", log prices" if request.log_prices else ""
    tests = f"lags by {lags}" if isinstance(lags, str) else f"{lags} lags"
    how = f"{tests}, {TRENDS[request.trend]}{logs}, {FDR[request.fdr]}"
    index = result.prices.index.asi8
    ends = " to ".join(date_hhmmss(int(at), zone)[:16] for at in (index[0], index[-1]))
    return f"{where}{width}, {ends} · {how} · scanned {formats.date(result.at_us, zone)}"


def label(result: ScanResult, zone: str) -> str:
    """A result in a list of several: when it was made, then what of."""
    request = result.request
    where = request.table if request.source == "table" else f"{SOURCES[request.source].lower()} {request.timeframe}"
    found = int(result.found["found"].sum())
    return f"{date_hhmmss(result.at_us, zone)[5:]} · {where}, {found} of {len(result.found):,} found · {result.scan_id}"


def ordered(result: ScanResult, chosen: ScanView, text: str = "") -> pd.DataFrame:
    """The rows of a scan in the chosen order, those that match a filter, with their score where several weigh.

    Every word of `text` has to be in the name of a leg; `A/B` asks for both legs.
    """
    found = rank(result.found, chosen.order)
    if not isinstance(chosen.order, str):
        found = found.assign(score=score(found, chosen.order))
    if chosen.only_found:
        found = found[found["found"]]
    for word in text.upper().replace("/", " ").split():
        found = found[found["y"].str.upper().str.contains(word, regex=False) | _has(found["x"], word)]
    return found.reset_index(drop=True)


def _has(names: pd.Series, word: str) -> pd.Series:
    return names.str.upper().str.contains(word, regex=False)


def shown(result: ScanResult, rows: pd.DataFrame) -> pd.DataFrame:
    """The first rows as the table has them, each with a picture of its spread."""
    rows = rows.head(SHOWN)
    frame = pd.DataFrame({name: rows[column] for name, column in COLUMNS.items()})
    if "score" in rows:
        frame.insert(2, "score", rows["score"])
    paths = spread_paths(result.prices, rows, result.request.log_prices).round(3)
    spreads: Any = [[value for value in path if value == value] for path in paths.tolist()]
    frame.insert(2, "spread", spreads)
    if not rows["reason"].astype(bool).any():
        frame = frame.drop(columns="why not")
    return frame


def changed(result: ScanResult, zone: str) -> str:
    """What is new since the last scan of the same source and width."""
    found = result.changes
    if found is None or result.before_us is None or result.before is None:
        return section("What changed", muted("This is the first scan of this source and bar width since the start."))
    lead = f"Since {formats.date(result.before_us, zone)}."
    differs = _differs(result.before, result.request)
    notes = muted(f"Settings differ: {differs}. What changed may come from that.") if differs else ""
    parts = (
        ("found now", found.appeared),
        ("not found any more", found.gone),
        ("turned round", found.turned),
        ("found, not tested before", found.new),
        ("found before, not tested now", found.lost),
    )
    rows = [Row((name, f"{len(pairs):,}", _names(pairs))) for name, pairs in parts]
    kept = [
        Row((f"{formats.base(row.y)}/{formats.base(row.x)}", *_moves(row))) for row in found.kept.head(12).itertuples()
    ]
    still = table(("still found", "q", "half-life", "z", "edge, bps"), kept) if kept else ""
    return section("What changed", f"<p>{escape(lead)}</p>{notes}{table(('', 'pairs', ''), rows)}{still}")


def _differs(before: ScanRequest, now: ScanRequest) -> str:
    old, new = before.as_dict(), now.as_dict()
    return ", ".join(f"{name.replace('_', ' ')} {old[name]} → {new[name]}" for name in new if old[name] != new[name])


def _names(pairs: tuple[Pair, ...]) -> str:
    names = [f"{formats.base(y)}/{formats.base(x)}" for y, x in pairs[:6]]
    return ", ".join(names) + (", …" if len(pairs) > 6 else "")


def _moves(row: Any) -> tuple[str, ...]:
    """Numbers before and now."""
    pairs = (
        (formats.pvalue(row.qvalue_before), formats.pvalue(row.qvalue)),
        (formats.number(row.half_life_before, 1), formats.number(row.half_life, 1)),
        (formats.number(row.zscore_before, 1, sign=True), formats.number(row.zscore, 1, sign=True)),
        (formats.number(row.edge_bps_before, 0), formats.number(row.edge_bps, 0)),
    )
    return tuple(f"{before} → {now}" for before, now in pairs)


def file_of(frame: pd.DataFrame, form: str) -> bytes:
    """A table as CSV or Parquet."""
    return b"".join(FORMATS[form][0](table_of(frame)))


def prices_frame(result: ScanResult) -> pd.DataFrame:
    """The closes that were scanned, as a file of closes has them: it can be handed in again."""
    frame = result.prices.reset_index(drop=True)
    frame.insert(0, "ts_us", result.prices.index.asi8)
    return frame


def name_of(result: ScanResult) -> str:
    """How files of a scan are called."""
    request = result.request
    kind = "table" if request.source == "table" else f"{request.source}-{request.timeframe}"
    return f"scan-{kind}-{result.at_us // US_PER_S}"
