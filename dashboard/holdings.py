"""The Data page as markup: gaps, what is stored, and addresses of downloads."""

from collections.abc import Iterable
from dataclasses import asdict
from html import escape
from urllib.parse import urlencode

import pandas as pd

from dashboard import formats
from dashboard.charts.coverage import share_text
from dashboard.markup import Row, muted, section, table
from dashboard.view import COVERS, View
from engine import Gap, Holdings
from utils.clock import US_PER_S, date_hhmmss, zone_name

MOST_ROWS = 50  # of each table; downloads have all
DAY_S = 86_400
RANGES = {"last hour": 3_600, "last day": DAY_S, "last 7 days": 7 * DAY_S, "everything": None}  # seconds
KINDS = {"ticks": "trades", "bars": "bars", "analytics": "pair, bar by bar", "alerts": "alerts"}
FORMS = {"csv": "CSV", "parquet": "Parquet", "ndjson": "JSON lines", "xlsx": "Excel"}


def coverage_key(cover: str) -> str:
    """What the colours of the coverage map mean."""
    cell = formats.duration(COVERS[cover][1] * 60).replace(".0 ", " ")
    keys = (
        ("accent", "complete"),
        ("attention", "a minute is missing, or misses trades as the first of each run does"),
        ("muted", "nothing stored"),
    )
    parts = [f'<span><i class="ps-{tone}">■</i> {escape(text)}</span>' for tone, text in keys]
    return f'<div class="ps-keys">{"".join(parts)}<span>one cell: {cell}</span></div>'


def ordered(gaps: Iterable[Gap]) -> list[Gap]:
    """Open gaps first, then filled ones; of each the newest first."""
    return sorted(gaps, key=lambda gap: (gap.filled_us is not None, -gap.found_us, -gap.first_id))


def gap_table(gaps: list[Gap], zone: str) -> str:
    """Gaps with their ids, cause, and what became of them."""
    if not gaps:
        return section("Gaps", muted("No trade is missing, and none was since the start."))
    shown = ordered(gaps)[:MOST_ROWS]
    head = ("symbol", "", "ids", "first", "last", "cause", f"found, {zone_name(shown[0].found_us, zone)}")
    opened = sum(gap.filled_us is None for gap in gaps)
    title = f"Gaps: {opened:,} open, {len(gaps) - opened:,} repaired"
    notes = sorted({f"{gap.symbol}: {gap.note}" for gap in shown if gap.note})
    body = table(head, [_gap(gap, zone) for gap in shown]) + "".join(muted(text) for text in notes)
    more = muted(f"{MOST_ROWS} of {len(gaps):,}; the download has all.") if len(gaps) > MOST_ROWS else ""
    return section(title, body + more)


def _gap(gap: Gap, zone: str) -> Row:
    ids = gap.last_id - gap.first_id + 1
    state = "open" if gap.filled_us is None else f"repaired after {_after(gap.filled_us - gap.found_us)}"
    found = date_hhmmss(gap.found_us, zone)
    cells = (gap.symbol, state, f"{ids:,}", str(gap.first_id), str(gap.last_id), gap.cause, found)
    return Row(cells, "attention" if gap.filled_us is None else "", f"gap_{gap.cause}")


def _after(us: int) -> str:
    return formats.duration(us / US_PER_S)


def gap_frame(gaps: list[Gap]) -> pd.DataFrame:
    """All gaps, open ones first; `filled_us` is empty while one is open."""
    names = ("symbol", "first_id", "last_id", "cause", "found_us", "filled_us", "note")
    frame = pd.DataFrame([asdict(gap) for gap in ordered(gaps)], columns=list(names))
    return frame.astype({"filled_us": "Int64"})


def stored_trades(found: Holdings, zone: str) -> str:
    """Rows and time of each instrument in the file."""
    if not found.trades:
        return section("Stored trades", muted("No trade is stored yet."))
    rows = [
        Row(
            (row.symbol, f"{row.venue}, {row.stream}", _rows(row.rows, row.most_rows), *_ends(row, zone)),
            metric="stored",
        )
        for row in found.trades[:MOST_ROWS]
    ]
    head = ("symbol", "market", "trades", "from", f"to, {zone_name(found.trades[0].last_us, zone)}")
    return section("Stored trades", table(head, rows) + _more(len(found.trades)))


def stored_bars(found: Holdings, zone: str) -> str:
    """Rows, whole ones and time of each symbol and bar width in the file."""
    if not found.bars:
        return section("Stored bars", muted("No bar is stored yet: the first minute has to close."))
    rows = []
    for row in found.bars[:MOST_ROWS]:
        whole = formats.NONE if row.rows is None else share_text((row.complete or 0) / row.rows)
        width = formats.timeframe(row.timeframe)
        rows.append(
            Row((row.symbol, row.venue, width, _rows(row.rows, None), whole, *_ends(row, zone)), metric="stored")
        )
    head = ("symbol", "market", "width", "bars", "complete", "from", f"to, {zone_name(found.bars[0].last_us, zone)}")
    return section("Stored bars", table(head, rows) + _more(len(found.bars)))


def _rows(count: int | None, most: int | None) -> str:
    if count is not None:
        return f"{count:,}"
    return formats.NONE if most is None else f"at most {most:,}"


def _ends(row: object, zone: str) -> tuple[str, str]:
    first_us, last_us = (getattr(row, name) for name in ("first_us", "last_us"))
    return date_hhmmss(first_us, zone), date_hhmmss(last_us, zone)


def _more(count: int) -> str:
    return muted(f"{MOST_ROWS} of {count:,}.") if count > MOST_ROWS else ""


def export_path(kind: str, form: str, view: View, part: dict[str, int]) -> str:
    """The address of a download on this server; `part` may hold since_us and until_us."""
    query: dict[str, object] = {}
    if kind in ("ticks", "bars"):
        query["symbol"] = view.symbol
    if kind in ("bars", "analytics"):
        query["timeframe"] = view.timeframe
    if kind == "analytics":
        query |= {"symbol_x": view.symbol_x, "symbol_y": view.symbol_y, "window": view.window, "method": view.method}
        query |= {"scale": view.scale, "log_prices": str(view.log_prices).lower()}
    address = urlencode(query | part)
    return f"/api/v1/export/{kind}.{form}" + (f"?{address}" if address else "")


def manifest_path(path: str) -> str:
    """The address of what says of a download what it is."""
    file, mark, query = path.partition("?")
    return f"{file}.manifest.json{mark}{query}"


def what(kind: str, view: View) -> str:
    """What a download holds, in words."""
    width = formats.timeframe(view.timeframe)
    return {
        "ticks": f"trades of {view.symbol}",
        "bars": f"{width} bars of {view.symbol}",
        "analytics": f"{view.pair}, {width} bars",
        "alerts": "alerts",
    }[kind]
