"""Backtest: would trading the pair have paid, honestly; the run, the grid, the walk forward, and runs side by side."""

from collections.abc import Callable
from html import escape
from typing import Any

import plotly.graph_objects as go
import streamlit as st

from dashboard import backtest, formats, holdings
from dashboard.backtest_choice import PARTS, Choice, choice_of, view_fields
from dashboard.backtest_form import form, held, put, restored
from dashboard.backtest_runs import compared, compared_frame
from dashboard.charts.backtest import (
    BEST,
    BEST_PLATEAU,
    METRICS,
    benchmark_spec,
    grid_spec,
    run_spec,
    saved_spec,
    walk_spec,
)
from dashboard.charts.base import Spec, in_zone
from dashboard.main import run
from dashboard.markup import cards, empty, headed, muted
from dashboard.panels import panel
from dashboard.sidebar import choose, notice
from dashboard.tear_sheet import tear_sheet
from dashboard.theme import DARK, THEMES, Theme
from dashboard.view import METHODS, View
from data.exporters import FORMATS, csv_text, table_of
from engine import Engine, current
from engine.backtest_report import BacktestRequest, Report
from utils.clock import date_hhmmss, now_us
from utils.errors import InputError, NotFound, PairscopeError
from utils.jobs import FAILED, Job

POLL_S = 0.4
THEME_S = 2.0
HEIGHT, HEAT, WALK, SMALL = 720, 280, 480, 190  # pixels
BESIDE = 3  # heat maps in a row
MOST_COMPARED = 5
ASKED = "backtest-run"  # in the session: start as soon as the page is open
NEWEST = "backtest-job"  # in the session: the backtest that this tab started last


def page(engine: Engine, view: View) -> None:
    """Form, progress, and what came of it."""
    choice = restored()
    about = f"{view.pair} · {formats.timeframe(view.timeframe)} bars · {_rule(choice, view)}"
    st.html(f'<div class="ps-head"><h2>Backtest</h2><span>{escape(about)}</span></div>')
    with panel("backtest form", view):
        form(engine, view, choice, _start)
    with panel("backtest", view):
        if st.session_state.pop(ASKED, False):
            _ask(engine, choice.request(view))
        _outcome(engine, view, choice)


def _rule(choice: Choice, view: View) -> str:
    try:
        return backtest.rule_text(choice.params(view))
    except InputError as exc:
        return str(exc)


def _start(view: View) -> None:
    """Take the form as it is and run it."""
    try:
        _ask(current(), held().request(view))
    except PairscopeError as exc:
        notice(str(exc))


def _ask(engine: Engine, request: BacktestRequest) -> None:
    st.session_state[NEWEST] = engine.backtests.start(request).job_id


def _outcome(engine: Engine, view: View, choice: Choice) -> None:
    """What the form asks for, as far as it is known."""
    st.segmented_control(
        "Part",
        list(PARTS),
        format_func=PARTS.__getitem__,
        key="bt-part",
        required=True,
        label_visibility="collapsed",
    )
    if choice.part == "saved":
        _saved(engine, view)
        return
    request = choice.request(view)
    found = engine.backtests.find(request)
    job = found or _newest(engine)
    if job is None:
        st.html(empty("collecting", "Nothing was run yet with these parameters. Press Run backtest.", 160))
        return
    if not job.ended:
        _progress(job.job_id)
        return
    if job.state == FAILED:
        st.html(empty("collecting", _failure(job), 160))
        return
    report = engine.backtests.report(job.job_id)
    if report is None:
        st.html(empty("collecting", "This run has made room for newer ones. Press Run backtest.", 160))
        return
    if found is None:
        st.html(muted("The form, the sidebar or the market has changed since this run: it is of what is named below."))
    _report(engine, view, choice, report, job.job_id)


def _newest(engine: Engine) -> Job | None:
    """What this tab ran last, if it is still known."""
    try:
        return engine.backtests.job(st.session_state.get(NEWEST, ""))
    except NotFound:
        return None


def _failure(job: Job) -> str:
    words = "Not enough data: this backtest" if job.message.startswith("needs ") else "No backtest:"
    return f"{words} {job.message}."


@st.fragment(run_every=POLL_S)
def _progress(job_id: str) -> None:
    """How far it is, and a way to end it."""
    engine = current()
    job = engine.backtests.job(job_id)
    if job.ended:
        st.rerun()
    waits = "waiting for other work" if job.state == "waiting" else f"{100 * job.share:.0f} %"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(job.share, text=f"Backtest of {job.title} bars: {waits}")
        st.button("Cancel", key="bt-cancel", on_click=_cancel, args=(job_id,), width="content")


def _cancel(job_id: str) -> None:
    current().jobs.cancel(job_id)


# --- a report -----------------------------------------------------------------------------------------


def _report(engine: Engine, view: View, choice: Choice, report: Report, job_id: str) -> None:
    theme = THEMES.get(st.context.theme.type or "", DARK)
    params = report.run.params
    lines = f"{backtest.rule_text(params)} · {backtest.costs_text(params)}", backtest.bars_text(report, view.zone)
    st.html(f'<div class="ps-keys">{"".join(f"<span>{escape(text)}</span>" for text in lines)}</div>')
    st.html(cards(backtest.cards_of(report)))
    SHOWN[choice.part](report, view, theme)
    with panel("backtest downloads", view):
        _take_away(engine, report, view, job_id)
    _follow_theme(theme.name)


@st.fragment(run_every=THEME_S)
def _follow_theme(drawn: str) -> None:
    """Figures here are drawn once: drawn anew where the reader has changed between light and dark."""
    if (st.context.theme.type or drawn) != drawn:
        st.rerun()


def _figure(spec: Spec, view: View, height: int, name: str) -> None:
    spec = in_zone(spec, view.zone)
    spec["layout"] |= {"height": height}
    st.plotly_chart(
        go.Figure(spec),
        theme=None,
        key=f"bt-chart-{name}",
        width="stretch",
        config={"displaylogo": False, "displayModeBar": False},
    )


def _run(report: Report, view: View, theme: Theme) -> None:
    left, right = st.columns([1.75, 1], gap="small")
    with left:
        with panel("backtest chart", view), st.container(border=True):
            _figure(run_spec(report.run, report.bands, report.bars.width_us, theme), view, HEIGHT, "run")
        with panel("backtest trades", view):
            _trades(report, view)
    with right:
        with panel("honesty", view):
            st.html(backtest.honesty(report))
        if report.benchmark is not None:
            with panel("shuffled", view), st.container(border=True):
                count = f"net of {report.benchmark.net.size} of them; the line is the pair itself"
                st.html(headed("Shuffled pairs", "bt_shuffled", count))
                _figure(benchmark_spec(report.benchmark, theme), view, SMALL, "shuffled")
        with panel("figures", view):
            st.html(backtest.metrics_table(report))


def _trades(report: Report, view: View) -> None:
    frame = backtest.trades_shown(report.run, view.zone)
    if not len(frame):
        st.html(empty("collecting", "No trade: z never passed the entry, or no size fits the capital.", 96))
        return
    money = {name: st.column_config.NumberColumn(format="%.2f") for name in ("gross", "costs", "net", "worst", "best")}
    parts = {name: st.column_config.NumberColumn(format="%.2f") for name in ("z in", "z out", "half-lives")}
    total = len(report.run.trades)
    st.html(
        headed("Trades", "bt_trades", f"newest {len(frame):,} of {total:,}" if total > len(frame) else f"{total:,}")
    )
    st.dataframe(
        frame,
        column_config=money | parts,
        hide_index=True,
        height=min(38 + 35 * len(frame), 420),
        placeholder=formats.NONE,
    )


def _grid(report: Report, view: View, theme: Theme) -> None:
    found = report.grid
    if found is None:
        why = report.missing.get("grid", "it was not asked for: switch Grid on in the form")
        st.html(empty("collecting", f"No grid: {why}.", 160))
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        untold = "sharpe_bar" if backtest.yearly(report) else "sharpe"
        metric = _pick("Figure", "bt-metric", [name for name in METRICS if name != untold], METRICS.__getitem__)
        methods = list(found.axes.method)
        method = _pick("Method", "bt-method", methods, METHODS.__getitem__) if len(methods) > 1 else methods[0]
    left, right = st.columns([1.75, 1], gap="small")
    with left, panel("heat map", view), st.container(border=True):
        about = f"enter |z| up, leave |z| across · {BEST} best, {BEST_PLATEAU} best with its neighbours"
        st.html(headed(f"{METRICS[metric]} of every trial", "bt_plateau", about))
        windows = found.axes.window
        for first in range(0, len(windows), BESIDE):
            for column, window in zip(st.columns(BESIDE, gap="small"), windows[first : first + BESIDE], strict=False):
                with column:
                    _figure(grid_spec(found, method, window, metric, theme), view, HEAT, f"grid-{window}")
    with right:
        with panel("honesty", view):
            st.html(backtest.honesty(report))
        with panel("best trials", view):
            st.html(backtest.grid_table(report, found))


def _pick(label: str, name: str, options: list[str], text: Callable[[str], str]) -> str:
    chosen = st.segmented_control(
        label, options, format_func=text, key=name, default=options[0], required=True, label_visibility="collapsed"
    )
    return chosen if chosen in options else options[0]


def _walk(report: Report, view: View, theme: Theme) -> None:
    found = report.walk
    if found is None or not found.folds:
        why = report.missing.get("walk", "it was not asked for: switch Grid and Walk-forward on in the form")
        st.html(empty("collecting", f"No walk-forward: {why}.", 160))
        return
    left, right = st.columns([1.75, 1], gap="small")
    with left:
        with panel("walk", view), st.container(border=True):
            st.html(headed("Walk-forward", "bt_walk", "chosen on one stretch, judged on the next"))
            yearly = backtest.yearly(report)
            spec = walk_spec(found, report.test_ts_us, report.run.params.capital, yearly, theme)
            _figure(spec, view, WALK, "walk")
        with panel("folds", view):
            st.html(backtest.walk_table(report))
    with right, panel("honesty", view):
        st.html(backtest.honesty(report))


SHOWN: dict[str, Callable[[Report, View, Theme], None]] = {"run": _run, "grid": _grid, "walk": _walk}


# --- taking away, keeping -------------------------------------------------------------------------------


def _take_away(engine: Engine, report: Report, view: View, job_id: str) -> None:
    name = f"backtest-{report.request.symbol_y}-{report.request.symbol_x}-{report.request.timeframe}"
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.download_button(
            "Tear sheet, HTML",
            data=lambda: tear_sheet(report, now_us(), view.zone),
            file_name=f"{name}.html",
            mime="text/html",
            on_click="ignore",
            key="bt-sheet",
        )
        with st.popover("Tables"):
            for table, frame in backtest.tables(report).items():
                with st.container(horizontal=True, vertical_alignment="center"):
                    st.html(escape(f"{table}, {len(frame):,} rows"), width="stretch")
                    for ending in holdings.FORMS:
                        _download(f"{name}-{table}", table, frame, ending)
        st.text_input("Name", key="bt-name", placeholder="name of this run", label_visibility="collapsed", width=200)
        st.button("Save run", key="bt-save", on_click=_save, args=(engine, job_id))


def _download(name: str, table: str, frame: Any, ending: str) -> None:
    write, media = FORMATS[ending]
    st.download_button(
        holdings.FORMS[ending],
        data=lambda: b"".join(write(table_of(frame))),
        file_name=f"{name}.{ending}",
        mime=media,
        on_click="ignore",
        key=f"bt-{table}-{ending}",
    )


def _save(engine: Engine, job_id: str) -> None:
    try:
        engine.backtests.save(job_id, st.session_state["bt-name"])
    except PairscopeError as exc:
        notice(str(exc))
        return
    st.session_state["bt-name"] = ""


def _saved(engine: Engine, view: View) -> None:
    """Runs that were kept: chosen ones side by side, opened again, or deleted."""
    runs = engine.backtests.saved()
    if not runs:
        st.html(empty("collecting", "No run is saved yet: run one, give it a name, and press Save run.", 160))
        return
    names = list(runs)
    st.session_state.setdefault("bt-compared", names[:2])
    st.session_state["bt-compared"] = [name for name in st.session_state["bt-compared"] if name in runs]
    chosen = st.multiselect(
        "Side by side", names, key="bt-compared", max_selections=MOST_COMPARED, label_visibility="collapsed"
    )
    left, right = st.columns([1.3, 1], gap="small")
    shown = {name: runs[name] for name in chosen}
    theme = THEMES.get(st.context.theme.type or "", DARK)
    with left:
        if shown:
            with panel("saved chart", view), st.container(border=True):
                _figure(saved_spec(shown, theme), view, WALK, "saved")
        for name in names:
            _saved_row(engine, name, runs[name], view)
    with right, panel("compared", view):
        if shown:
            st.html(compared(shown))
        st.download_button(
            "All saved runs, CSV",
            data=lambda: csv_text(compared_frame(runs)),
            file_name="backtests.csv",
            mime="text/csv",
            on_click="ignore",
            key="bt-saved-csv",
        )
    _follow_theme(theme.name)


def _saved_row(engine: Engine, name: str, saved: Any, view: View) -> None:
    told, asked = saved["metrics"], saved["request"]
    pair = f"{asked['symbol_y']}/{asked['symbol_x']} {asked['timeframe']}"
    about = f"{pair} · net {backtest.money(told['net'], True)} · {date_hhmmss(saved['saved_us'], view.zone)}"
    with st.container(horizontal=True, vertical_alignment="center"):
        st.html(f"<b>{escape(name)}</b> <span class='ps-muted'>{escape(about)}</span>", width="stretch")
        st.button("Open", key=f"bt-open-{name}", on_click=_open, args=(asked,))
        st.button("Delete", key=f"bt-drop-{name}", type="tertiary", on_click=engine.backtests.drop, args=(name,))


def _open(asked: Any) -> None:
    """Put the parameters of a saved run into form and sidebar."""
    try:
        request = BacktestRequest.of(asked)
    except InputError as exc:  # saved when its limits were wider
        notice(str(exc))
        return
    absent = [symbol for symbol in (request.symbol_y, request.symbol_x) if symbol not in current().symbols]
    if absent:
        notice(f"{', '.join(absent)} is not followed: follow it first, under Market")
        return
    choose(**view_fields(request))
    put(choice_of(request))


if __name__ == "__main__":
    run(page)
