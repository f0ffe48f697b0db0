"""Import on the Data page: a file from this computer or by its path, what is in it, and the jobs that take it in."""

import ipaddress
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import streamlit as st

from dashboard import formats
from dashboard.markup import Row, muted, section, table
from dashboard.panels import panel
from dashboard.view import View
from data.exporters import csv_text
from data.importers.importing import Result, rejected_frame
from data.importers.plan import Options, Preview
from engine import Engine
from utils.clock import date_hhmmss
from utils.errors import InputError, PairscopeError
from utils.jobs import CANCELLED, DONE, FAILED, Job

UPLOAD_MB = 100  # .streamlit/config.toml holds the server to the same; larger files are named by their path
TYPES = ["csv", "txt", "tsv", "ndjson", "jsonl", "parquet", "db", "sqlite", "sqlite3", "xlsx", "zip", "gz"]
REJECTED_SHOWN = 5
JOBS_SHOWN = 5
KEPT = "import-seen"  # session: the newest preview, and what it is of
TURN = "import-turn"  # session: how many imports were started here
SAVED = "import-upload"  # session: id of an upload and where it lies
ROLES = {"ts": "time", "qty": "quantity", "trade_id": "id", "maker": "side", "quote_volume": "value"}


def importing(engine: Engine, view: View) -> None:
    """Choose a file, look at it, take it in."""
    st.html("<b>Import</b>")
    st.caption(
        "Trades and bars as CSV, JSON lines, Parquet, SQLite, Excel, or Binance's archive zips. Nothing is written "
        "before you have seen what is in the file; the same file twice adds nothing."
    )
    path, uploaded = _chosen(engine)
    options = _options()
    if path is not None:
        with panel("preview", view):
            seen = _seen(engine, path, options)
            _preview(seen, view)
            st.button(
                "Import", key="import-start", type="primary", on_click=_start, args=(engine, path, options, uploaded)
            )
    if failure := st.session_state.pop("import-failed", None):
        st.error(failure)


def jobs(engine: Engine, view: View) -> None:
    """Imports that wait, run or have ended, the newest first."""
    for job in engine.imports.jobs()[:JOBS_SHOWN]:
        _job(engine, job, view)


def _chosen(engine: Engine) -> tuple[Path | None, bool]:
    """The file that was chosen, and whether it was uploaded."""
    left, right = st.columns(2, gap="small", vertical_alignment="top")
    given = left.file_uploader(
        f"A file from this computer, up to {UPLOAD_MB} MB",
        type=TYPES,
        key=f"import-file-{st.session_state.setdefault(TURN, 0)}",
        max_upload_size=UPLOAD_MB,
    )
    named = ""
    if _is_loopback(engine.settings.host):
        named = right.text_input(
            "Or its path, of any size", key="import-path", placeholder="/data/BTCUSDT-aggTrades.zip"
        )
    if given is not None:
        return _saved(engine, given), True
    return (Path(named.strip()).expanduser() if named.strip() else None), False


def _is_loopback(host: str) -> bool:
    """Whether only this computer reaches us: others are not to look into its files by their paths."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _saved(engine: Engine, given: Any) -> Path:
    """Where an upload lies: in a folder of its own beside the database, under a name that leads nowhere else."""
    folder = engine.settings.database.parent / "uploads" / re.sub("[^A-Za-z0-9-]", "", given.file_id)
    path = folder / (re.sub(r"[^\w.-]", "_", Path(given.name).name).lstrip(".")[-100:] or "upload")
    if st.session_state.get(SAVED) != given.file_id:
        folder.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            shutil.copyfileobj(given, file)
        st.session_state[SAVED] = given.file_id
    return path


def _options() -> Options:
    with st.expander("Options: symbol, market, bar width, time zone"):
        first, second, third = st.columns(3, gap="small")
        symbol = first.text_input("Symbol", key="import-symbol", placeholder="as the file tells")
        venue = second.text_input("Market", key="import-venue", placeholder="as the file tells")
        stream = third.selectbox("Stream", ["", "aggTrade", "trade"], key="import-stream", format_func=_or_told)
        width = first.text_input("Bar width", key="import-width", placeholder="as the file tells")
        zone = second.text_input("Zone of times without one", "UTC", key="import-zone")
        of = third.text_input("Table, of SQLite", key="import-table", placeholder="the largest")
        whole = st.toggle("All rows or nothing", key="import-whole", help="Refuse the file where one row is no trade.")
    return Options(symbol.strip(), venue.strip(), stream, width.strip(), zone.strip() or "UTC", of.strip(), whole)


def _or_told(text: str) -> str:
    return text or "as the file tells"


def _seen(engine: Engine, path: Path, options: Options) -> Preview:
    """The preview, made anew only where file or options are others."""
    try:
        status = path.stat()
    except OSError as exc:
        raise InputError(f"{path} cannot be read: {exc.strerror}", "file") from exc
    wanted = (str(path), status.st_size, status.st_mtime_ns, repr(options))
    kept = st.session_state.get(KEPT)
    if kept is None or kept[0] != wanted:
        kept = st.session_state[KEPT] = (wanted, engine.imports.preview(path, replace(options)))
    found: Preview = kept[1]
    return found


def _preview(seen: Preview, view: View) -> None:
    options = seen.options
    what = f"trades ({options.stream})" if seen.kind == "ticks" else f"{formats.timeframe(options.timeframe)} bars"
    columns = ", ".join(f"{ROLES.get(role, role)} from {name}" for role, name in seen.columns.items())
    units = ", ".join(f"{unit}: {rows:,} rows" for unit, rows in seen.units.items())
    ends = [date_hhmmss(us, view.zone) for us in (seen.first_us, seen.last_us) if us is not None]
    looked = f"all {seen.rows:,} rows" if seen.whole else f"the first {seen.rows:,} rows"
    rows = [
        Row(("file", f"{seen.form}, {seen.bytes / 1e6:,.2f} MB")),
        Row(("holds", f"{what} of {', '.join(seen.symbols) or 'nobody'}")),
        Row(("market", options.venue)),
        Row(("columns", columns)),
        Row(("times", " to ".join(ends) + (f" ({units})" if units else ""))),
        Row(
            (looked, f"{seen.taken:,} taken, {seen.rejected_rows:,} rejected"),
            "attention" if seen.rejected_rows else "",
        ),
    ]
    notes = "".join(muted(note) for note in seen.notes)
    st.html(section("What is in it", f'<div class="ps-wordy">{table(("", ""), rows)}</div>{notes}'))
    if len(seen.head):
        st.dataframe(seen.head, height=212, hide_index=True, key="import-head")
    if seen.rejected:
        bad = [Row((f"line {row.line:,}", row.reason, row.text)) for row in seen.rejected[:REJECTED_SHOWN]]
        more = seen.rejected_rows - len(bad)
        rest = muted(f"And {more:,} more: the import lists them, with their reasons.") if more > 0 else ""
        st.html(section("Rows that will be rejected", table(("", "reason", "what it holds"), bad) + rest))


def _start(engine: Engine, path: Path, options: Options, uploaded: bool) -> None:
    try:
        engine.imports.start(path, options, remove=uploaded)
    except PairscopeError as exc:
        st.session_state["import-failed"] = str(exc)
        return
    for name in (KEPT, SAVED):
        st.session_state.pop(name, None)
    st.session_state[TURN] += 1  # an uploader cannot be emptied, but another one takes its place
    st.session_state["import-path"] = ""


def _job(engine: Engine, job: Job, view: View) -> None:
    if not job.ended:
        text = f"{job.title}: {'waits for the one before' if job.began_us is None else f'{100 * job.share:.0f} %'}"
        bar, stop = st.columns([5, 1], gap="small", vertical_alignment="center")
        bar.progress(job.share, text)
        stop.button("Cancel", key=f"cancel-{job.job_id}", on_click=_cancel, args=(engine, job), width="stretch")
    elif job.state == DONE and (result := engine.imports.result(job.job_id)) is not None:
        _result(job, result, view)
    elif job.state in (FAILED, CANCELLED):
        why = "cancelled, nothing was stored" if job.state == CANCELLED else job.message
        st.html(section(job.title, muted(why)))


def _cancel(engine: Engine, job: Job) -> None:
    engine.jobs.cancel(job.job_id)


def _result(job: Job, result: Result, view: View) -> None:
    kind = "trades" if result.kind == "ticks" else f"{formats.timeframe(result.timeframe)} bars"
    rows = [
        Row((f"{kind} added", f"{result.added:,}")),
        Row(("known before", f"{result.known:,}")),
        Row(("rejected", f"{result.rejected_rows:,}"), "attention" if result.rejected_rows else ""),
    ]
    if result.bettered:
        rows.insert(1, Row(("in place of bars that missed trades", f"{result.bettered:,}")))
    if result.kind == "ticks":
        rows.append(Row(("days written", f"{result.days:,}")))
        rows.append(Row(("bars of a minute added", f"{result.bars:,}")))
    reasons = ", ".join(f"{reason} ({count:,})" for reason, count in sorted(result.reasons.items()))
    more = muted(f"Rejected: {reasons}.") if reasons else ""
    ended = f", {date_hhmmss(job.ended_us, view.zone)}" if job.ended_us else ""
    about = muted(f"{', '.join(result.symbols)} of {result.venue}{ended}.")
    st.html(section(result.name, table(("", ""), rows) + about + more))
    if result.rejected:
        st.download_button(
            f"Rejected rows, CSV ({len(result.rejected):,})",
            data=lambda: csv_text(rejected_frame(result.rejected)),
            file_name=f"{result.name}-rejected.csv",
            mime="text/csv",
            on_click="ignore",
            key=f"rejected-{job.job_id}",
        )
