"""Scanner: every pair of a universe tested at once, ranked, drawn and compared with the scan before."""

from functools import partial
from html import escape
from typing import Any

import pandas as pd
import plotly.graph_objects as go
import streamlit as st

import config
from analytics.resampling import timeframe_us
from analytics.scanner import dendrogram, spanning_tree
from dashboard import scans
from dashboard.charts.scanner import best_symbols, dendrogram_spec, heat_spec, tree_spec
from dashboard.main import run
from dashboard.markup import cards, empty, headed, muted
from dashboard.panels import panel
from dashboard.scan_view import BY_QVALUE, FIGURES, MOST_WEIGHT, RANKED, ScanView
from dashboard.sidebar import choose, key, notice
from dashboard.theme import DARK, LIGHT, Theme
from dashboard.view import View
from dashboard.watched import follow, watch, watchlist
from data.exporters import FORMATS
from engine import Engine, ScanRequest, ScanResult, current
from engine.scan_request import LIMITS, MOST_LAGS, SERVED, VENUES
from engine.watchlist import Watched
from utils.errors import InputError, NotFound, PairscopeError, TooFewObservations

NO_SCAN = "No scan yet. Choose where prices come from, and press Scan: every pair is tested in both directions."
WATCH_HELP = "Put it on the watchlist: the engine then tells z, edge and state of it, where its symbols are followed."
LOOK_S = 0.5  # between two looks at a scan that runs
FALLBACK = "1h"  # bar width where the one chosen is not served
HEAT_SIDE = [1.25, 1]
FIXED = "fixed"
FIELDS = ("source", "timeframe", "bars", "venue", "most", "table", "trend", "log_prices", "fdr", "alpha")


def page(engine: Engine, view: View) -> None:
    """The form, the scan that runs, and the newest result."""
    chosen = ScanView.of(view.scan)
    result = _result(engine)
    told = "" if result is None else scans.about(result, view.zone)
    st.html(f'<div class="ps-head"><h2>Scanner</h2><span>{escape(told)}</span></div>')
    _seed(view.scan, chosen)
    with panel("scan form", view), st.container(border=True):
        _form(engine, chosen)
    with panel("scan progress", view):
        _progress(engine)
    with panel("watchlist", view):
        watchlist(engine, view)
    if result is None:
        st.html(empty("collecting", NO_SCAN, 220))
        return
    with panel("scan numbers", view):
        st.html(cards(scans.cards_of(result)))
        st.html(muted(scans.PROMISE))
    with panel("scan table", view, 240):
        _table(engine, view, chosen, result)
    with panel("scan figure", view, 240):
        _figure(view, chosen, result)
    with panel("scan downloads", view):
        _downloads(result, chosen)


def _result(engine: Engine) -> ScanResult | None:
    """The result that was chosen, or the newest."""
    chosen = st.session_state.get("scan-result", "")
    try:
        return engine.scans.result(chosen) if chosen else engine.scans.newest()
    except NotFound:
        return engine.scans.newest()


# --- the form ---------------------------------------------------------------------------------------


def _key(name: str) -> str:
    return f"scan-{name}"


def _widgets(chosen: ScanView) -> dict[str, Any]:
    """What each widget says where the view is shown."""
    request = chosen.request
    values = {name: getattr(request, name) for name in FIELDS}
    is_fixed = isinstance(request.lags, int)
    values |= {"symbols": " ".join(request.symbols), "lags": FIXED if is_fixed else request.lags}
    values |= {"fixed": request.lags if is_fixed else 0, "figure": chosen.figure, "only": chosen.only_found}
    return values | {f"weight-{name}": weight for name, weight in zip(RANKED, chosen.weights, strict=True)}


def _seed(text: str, chosen: ScanView) -> None:
    """Set the widgets to the view where that came from elsewhere, and those that were not drawn lately."""
    state = st.session_state
    anew = state.get("scan-seen") != text
    for name, value in _widgets(chosen).items():
        if anew or _key(name) not in state:
            state[_key(name)] = value
    state["scan-seen"] = text


def _changed() -> None:
    """Take what the widgets say into the view, and so into the address; those that are not drawn have no say."""
    state = st.session_state
    said = {n: state.get(_key(n), value) for n, value in _widgets(ScanView.of(state[key("scan")])).items()}
    values: dict[str, Any] = {name: said[name] for name in FIELDS}
    values["symbols"] = said["symbols"].replace(",", " ").split()
    values["lags"] = said["fixed"] if said["lags"] == FIXED else said["lags"]
    values["venue"] = values["venue"] if values["venue"] in _venues(current(), values["source"]) else ""
    if values["source"] == "exchange" and values["timeframe"] not in SERVED[values["venue"] or VENUES[0]]:
        values["timeframe"] = FALLBACK
    if values["source"] == "table" and not values["table"]:
        values["table"] = next(iter(current().scans.tables()), "")
        if not values["table"]:
            return  # wait for a file
    weights = tuple(int(said[f"weight-{name}"]) for name in RANKED)
    try:
        request = ScanRequest.of(values)
        weights = weights if any(weights) else BY_QVALUE
        state[key("scan")] = ScanView(request, weights, said["figure"], said["only"]).text()
    except InputError as exc:
        notice(f"{exc}: the scan stays as it was")
        state["scan-seen"] = None


def _venues(engine: Engine, source: str) -> list[str]:
    """Markets that a source can be asked for; the first one stands for the usual one."""
    if source == "exchange":
        return ["", *VENUES[1:]]
    if source == "stored":
        return ["", *sorted({row.venue for row in engine.holdings().bars})]
    return [""]


def _form(engine: Engine, chosen: ScanView) -> None:
    source = st.segmented_control(
        "Prices from",
        list(scans.SOURCES),
        format_func=scans.SOURCES.__getitem__,
        key=_key("source"),
        required=True,
        on_change=_changed,
        label_visibility="collapsed",
    )
    if source == "table":
        _upload(engine)
    else:
        _universe(engine, chosen, str(source))
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        st.button(
            "Scan",
            key="scan-start",
            type="primary",
            on_click=_start,
            disabled=source == "table" and not engine.scans.tables(),
        )
        with st.popover("Tests"):
            _tests(chosen)
        if source != "table":
            _repeat(engine, chosen)


def _universe(engine: Engine, chosen: ScanView, source: str) -> None:
    first, second, third, fourth = st.columns([1.1, 0.8, 0.8, 2])
    venues = _venues(engine, source)
    if source == "live":
        first.text_input("Market", f"{engine.venue}, in memory", disabled=True, key="scan-live")
    else:
        usual = engine.venue if source == "stored" else VENUES[0]
        first.selectbox(
            "Market", venues, key=_key("venue"), on_change=_changed, format_func=lambda name: name or f"{usual}"
        )
    second.selectbox("Bar width", _widths(engine, source), key=_key("timeframe"), on_change=_changed)
    third.number_input("Bars", *LIMITS["bars"], step=100, key=_key("bars"), on_change=_changed)
    with fourth:
        if source == "exchange" and not chosen.request.symbols:
            names, most = st.columns([2, 1])
            _symbols(names, "empty: the most traded")
            most.number_input("Most traded", *LIMITS["most"], step=10, key=_key("most"), on_change=_changed)
        else:
            _symbols(st.container(), "empty: all there are")


def _symbols(where: Any, words: str) -> None:
    where.text_input("Symbols", key=_key("symbols"), placeholder=words, on_change=_changed)


def _widths(engine: Engine, source: str) -> list[str]:
    """Bar widths that a source has, narrow ones first."""
    now = st.session_state[_key("timeframe")]
    if source == "exchange":
        known = set(SERVED[st.session_state[_key("venue")] or VENUES[0]])
    elif source == "stored":
        venue = st.session_state[_key("venue")] or engine.venue
        known = {row.timeframe for row in engine.holdings().bars if row.venue == venue}
    else:
        known = set(config.TIMEFRAMES)
    return sorted(known | {now}, key=timeframe_us)


def _upload(engine: Engine) -> None:
    """A file of closes, or one that was handed in before."""
    left, right = st.columns([1.4, 1])
    with left:
        st.file_uploader(
            "CSV or Parquet: a column of times, then one of closes for each symbol, headed by its name",
            type=["csv", "parquet"],
            key="scan-file",
            on_change=_take,
        )
    known = engine.scans.tables()
    with right:
        if known:
            if st.session_state[_key("table")] not in known:
                st.session_state[_key("table")] = known[0]
            st.selectbox("Table", known, key=_key("table"), on_change=_changed)
            table = engine.scans.table(st.session_state[_key("table")])
            st.caption(f"{table.shape[1]:,} symbols, {len(table):,} rows; the newest of {LIMITS['bars'][1]:,} are used")
        else:
            st.caption("At most 64 MB, 1,000 symbols and 100,000 rows. An empty cell is a bar that a symbol lacks.")


def _take() -> None:
    """Take the file that was chosen."""
    file = st.session_state["scan-file"]
    if file is None:
        return
    try:
        current().scans.put_table(file.name, file.getvalue())
    except InputError as exc:
        notice(f"{file.name} cannot be used: {exc}")
        return
    st.session_state[_key("table")] = file.name
    st.session_state[_key("bars")] = LIMITS["bars"][1]
    _changed()


def _tests(chosen: ScanView) -> None:
    """How every pair is tested."""
    st.segmented_control(
        "Trend", list(scans.TRENDS), format_func=scans.TRENDS.__getitem__, key=_key("trend"), required=True,
        on_change=_changed,
    )  # fmt: skip
    st.segmented_control(
        "Lags by", list(scans.LAGS), format_func=scans.LAGS.__getitem__, key=_key("lags"), required=True,
        on_change=_changed, help="AIC as statsmodels does; BIC takes fewer and is a little less powerful.",
    )  # fmt: skip
    if st.session_state[_key("lags")] == FIXED:
        st.number_input("Lags", 0, MOST_LAGS, key=_key("fixed"), on_change=_changed)
    st.segmented_control(
        "False discovery rate", list(scans.FDR), format_func=scans.FDR.__getitem__, key=_key("fdr"), required=True,
        on_change=_changed, help="Benjamini-Yekutieli holds under any dependence between pairs, and finds far less.",
    )  # fmt: skip
    st.number_input(
        "Accepted share of false finds", 0.001, 0.5, step=0.01, format="%.3f", key=_key("alpha"), on_change=_changed
    )
    st.toggle("Log prices", key=_key("log_prices"), on_change=_changed, help="The ratio is then an elasticity.")


def _repeat(engine: Engine, chosen: ScanView) -> None:
    plan = engine.scans.plans().get(chosen.request.place)
    every = {seconds: name for name, seconds in scans.REPEATS_S.items()}
    now = every.get(None if plan is None else plan.every_s, "off")
    st.session_state["scan-repeat"] = now
    st.selectbox("Again every", list(scans.REPEATS_S), key="scan-repeat", on_change=_plan, width=130)


def _plan() -> None:
    request = ScanView.of(st.session_state[key("scan")]).request
    try:
        current().scans.repeat(request, scans.REPEATS_S[st.session_state["scan-repeat"]])
    except InputError as exc:
        notice(str(exc))


def _start() -> None:
    st.session_state.pop("scan-result", None)
    try:
        current().scans.start(ScanView.of(st.session_state[key("scan")]).request)
    except PairscopeError as exc:
        notice(str(exc))


# --- the scan that runs -----------------------------------------------------------------------------


def _progress(engine: Engine) -> None:
    newest = next(iter(engine.scans.jobs()), None)
    if newest is not None and newest.state == "failed":
        st.html(empty("error", f"The scan of {newest.title} did not end well: {newest.message}", 40))
    elif newest is not None and newest.state == "cancelled":
        st.html(empty("collecting", "The scan was cancelled.", 40))
    if any(not job.ended for job in engine.scans.jobs()):
        st.fragment(_running, run_every=LOOK_S)()


def _running() -> None:
    """How far scans are; the page is drawn anew when the last of them has ended."""
    engine = current()
    running = [job for job in engine.scans.jobs() if not job.ended]
    if not running:
        st.rerun()
    for job in running[::-1]:
        words = engine.scans.stage(job.job_id) if job.state == "running" else "waits for the jobs before it"
        count = f", {job.done:,} of {job.total:,}" if job.total else ""
        with st.container(horizontal=True, vertical_alignment="center"):
            st.progress(job.share, f"{job.title}: {words}{count}")
            st.button("Cancel", key=f"cancel-{job.job_id}", on_click=_cancel, args=(job.job_id,))


def _cancel(scan_id: str) -> None:
    try:
        current().scans.cancel(scan_id)
    except NotFound as exc:
        notice(str(exc))


# --- what it found ----------------------------------------------------------------------------------


def _table(engine: Engine, view: View, chosen: ScanView, result: ScanResult) -> None:
    """Every pair, best first; a row that is chosen can be opened."""
    text = _tools(engine, view, result)
    rows = scans.ordered(result, chosen, text)
    if rows.empty:
        st.html(empty("collecting", "No pair is left by this filter.", 120))
        return
    frame = scans.shown(result, rows)
    asked = hash((text, chosen.weights, chosen.only_found))  # another table begins without a row chosen
    picked = st.dataframe(
        frame,
        hide_index=True,
        width="stretch",
        height=min(38 + 35 * len(frame), 440),
        on_select="rerun",
        selection_mode="single-row",
        column_config=_columns(),
        key=f"scan-table-{result.scan_id}-{asked}",
    )
    notes = [f"{len(frame):,} of {len(rows):,} pairs; the downloads have all."] if len(rows) > len(frame) else []
    notes += [] if isinstance(chosen.order, str) else [scans.BY_MORE]
    st.caption(" ".join([*notes, "Choose a row to open its pair."]))
    at = picked.selection.rows
    if at and at[0] < len(frame):
        _open_row(engine, view, result, str(frame["y"].iloc[at[0]]), str(frame["x"].iloc[at[0]]))


def _tools(engine: Engine, view: View, result: ScanResult) -> str:
    """Filter, order and which result; the text of the filter."""
    with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
        text: str = st.text_input("Filter", key="scan-filter", placeholder="ETH, or ETH/BTC", width=190)
        with st.popover("Order"):
            st.caption("How much each column weighs; 0 leaves it out. A pair's score is the mean of its places.")
            for name, words in RANKED.items():
                st.slider(words, 0, MOST_WEIGHT, key=_key(f"weight-{name}"), on_change=_changed)
        kept = engine.scans.results()
        if len(kept) > 1:
            names = {one.scan_id: scans.label(one, view.zone) for one in kept}
            st.selectbox(
                "Result", list(names), format_func=names.__getitem__, key="scan-result",
                index=list(names).index(result.scan_id), width=380,
            )  # fmt: skip
        st.toggle("found only", key=_key("only"), on_change=_changed)
    return text


def _columns() -> dict[str, Any]:
    number = st.column_config.NumberColumn
    return {
        "spread": st.column_config.LineChartColumn("spread", help="In standard deviations, over the bars scanned."),
        "score": number(format="%.2f", help="Weighted mean of the places in the chosen columns; 1 is the best."),
        "q": number(format="%.4f", help="Of this row and all with a smaller q, about that share is expected false."),
        "half-life": number(format="%.1f", help="Bars until half the gap to the mean is closed."),
        "from": number(format="%.1f", help="Lower end of its 95 % interval."),
        "to": number(format="%.1f", help="Upper end of its 95 % interval; empty or infinite: it may never return."),
        "edge, bps": number(format="%.0f", help="Expected way back less four fills, over both notionals."),
        "z": number(format="%+.2f", help="The last spread less its mean, in standard deviations."),
        "stable": number(format="%.2f", help="Share of four sub-windows in which the spread falls back to its mean."),
        "ratio": number(format="%.4g", help="Units of x per unit of y."),
        "± se": number(format="%.2g", help="Newey and West's error of the ratio: too small where it takes its time."),
        "correlation": number(format="%.2f", help="Of one-bar changes."),
        "p": number(format="%.2g", help="Of the better direction, doubled."),
        "p corrected": number(format="%.2g", help="Raised to how often it comes up by chance in so many bars."),
        "coverage": number(format="%.2f", help="Share of the bars that both have."),
    }  # fmt: skip


def _open_row(engine: Engine, view: View, result: ScanResult, y: str, x: str) -> None:
    """What can be done with the pair of a row."""
    missing = [symbol for symbol in (y, x) if symbol not in engine.symbols]
    words = "Open" if not missing else f"Follow {' and '.join(missing)}, and open"
    width = None if result.request.source == "table" else result.request.timeframe
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.html(f"<b>{escape(y)}/{escape(x)}</b>", width="content")
        st.button(f"{words} on the Pair page", key="scan-open", type="primary", on_click=_open, args=(y, x, width))
        pair = Watched(y, x, width or view.timeframe)
        known = pair in engine.watchlist.pairs()
        st.button("Watch", key="scan-watch", on_click=watch, args=(pair,), disabled=known, help=WATCH_HELP)


def _open(y: str, x: str, timeframe: str | None) -> None:
    """Show a pair on the Pair page; symbols that are not followed are from now on."""
    engine = current()
    if not {y, x} <= set(engine.symbols):
        follow((y, x))
    if not {y, x} <= set(engine.symbols):
        return  # why is told
    choose(symbol_y=y, symbol_x=x, **({} if timeframe is None else {"timeframe": timeframe}))
    st.session_state["go"] = "pair"


# --- figures and downloads --------------------------------------------------------------------------


def _figure(view: View, chosen: ScanView, result: ScanResult) -> None:
    st.segmented_control(
        "Figure", list(FIGURES), format_func=FIGURES.__getitem__, key=_key("figure"), required=True,
        on_change=_changed, label_visibility="collapsed",
    )  # fmt: skip
    if chosen.figure == "changes":
        st.html(scans.changed(result, view.zone))
        return
    theme = LIGHT if st.context.theme.type == "light" else DARK
    with st.container(border=True):
        spec = DRAWN[chosen.figure](result, theme)
        st.plotly_chart(
            go.Figure(spec), key=f"scan-{chosen.figure}", width="stretch", theme=None, config={"displaylogo": False}
        )


def _heat(result: ScanResult, theme: Theme) -> dict[str, Any]:
    order: tuple[str, ...] = ()
    try:
        if result.correlations is not None:
            order = dendrogram(result.correlations).symbols
    except TooFewObservations:
        pass  # no order by likeness; by name then
    symbols = best_symbols(result.found, order)
    more = result.prices.shape[1] - len(symbols)
    st.html(headed("q-value of every pair", "scan_heat", f"{len(symbols)} symbols of the best pairs" if more else ""))
    return heat_spec(result.found, symbols, theme)


def _tree(result: ScanResult, theme: Theme) -> dict[str, Any]:
    correlations = _correlations(result)
    joined = dendrogram(correlations)
    clusters = dict(zip(joined.symbols, joined.cluster.tolist(), strict=True))
    st.html(headed("Shortest tree that joins all", "scan_tree", "wide: correlation above 0.8; blue: has a found pair"))
    return tree_spec(spanning_tree(correlations), clusters, result.found, theme)


def _dendrogram(result: ScanResult, theme: Theme) -> dict[str, Any]:
    found = dendrogram(_correlations(result))
    many = sum(len(members) > 1 for members in found.members())
    st.html(
        headed(
            "Symbols by likeness of their moves",
            "scan_dendrogram",
            f"{many} cluster{'' if many == 1 else 's'} of more than one",
        )
    )
    return dendrogram_spec(found, theme)


def _correlations(result: ScanResult) -> Any:
    if result.correlations is None:
        raise InputError("prices must be > 0 for a tree")
    return result.correlations


DRAWN = {"heat": _heat, "tree": _tree, "dendrogram": _dendrogram}


def _downloads(result: ScanResult, chosen: ScanView) -> None:
    """Everything that is shown, whole."""
    name = scans.name_of(result)
    files = {"Pairs": ("", lambda: scans.ordered(result, ScanView(weights=chosen.weights)))}
    files["Closes"] = ("-closes", lambda: scans.prices_frame(result))
    if result.changes is not None:
        kept = result.changes.kept
        files["Changes"] = ("-changes", lambda: kept)
    with st.container(horizontal=True):
        for label, (ending, frame) in files.items():
            for form, words in (("csv", "CSV"), ("parquet", "Parquet")):
                st.download_button(
                    f"{label}, {words}",
                    data=partial(_written, frame, form),
                    file_name=f"{name}{ending}.{form}",
                    mime=FORMATS[form][1],
                    on_click="ignore",
                    key=f"scan-{label}-{form}",
                )


def _written(frame: Any, form: str) -> bytes:
    table: pd.DataFrame = frame()
    return scans.file_of(table, form)


if __name__ == "__main__":
    run(page)
