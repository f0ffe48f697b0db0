"""The form of the Backtest page: widgets for every parameter, kept in the session and in the address."""

from collections.abc import Callable
from typing import Any

import streamlit as st

from dashboard.backtest_choice import LIMITS, PARAMETERS, Choice, listed
from dashboard.sidebar import notice
from dashboard.view import METHODS, View
from engine import Engine
from engine.backtests import BarSource
from utils.clock import date_hhmmss
from utils.errors import InputError, StorageError

STATE = "backtest"  # in the session: the choice as a query
GIVEN = "asked"  # in the session: the query of a saved view that was asked for
AXES: dict[str, Callable[[str], Any]] = {"windows": int, "entries": float, "exits": float}
OPTIONS = {  # texts of choices
    "incomplete": {"mark": "use, and mark trades", "exclude": "leave out"},
    "hedge": {"entry": "of the entry", "rolled": "follows the ratio"},
    "fill": {"taker": "taker", "maker": "maker, always filled"},
    "reentry": {"reset": "after z was back inside", "free": "at once"},
    "choose": {"sharpe": "best Sharpe", "plateau": "best plateau"},
}
LABELS = {
    "bars": ("newest bars", "How many of the newest bars are used"),
    "capital": ("capital", "Quote currency"),
    "leverage": ("leverage", "Notional of both legs together at an entry, over the capital"),
    "roll_share": ("roll beyond", "A hedge that follows the ratio is traded once it is off by more than this share"),
    "lot_y": ("lot of y", "Quantities are whole multiples of it; 0 takes any"),
    "lot_x": ("lot of x", "Quantities are whole multiples of it; 0 takes any"),
    "taker_bps": ("taker fee, bp", "Of the notional of each fill"),
    "maker_bps": ("maker fee, bp", "Of the notional of each fill; below 0 the venue pays"),
    "slippage_y_bps": ("slippage y, bp", "Half spread or measured slippage of a taker, of the notional of each fill"),
    "slippage_x_bps": ("slippage x, bp", "Half spread or measured slippage of a taker, of the notional of each fill"),
    "latency_bars": ("second leg later, bars", "Bars after the first leg at which x is filled"),
    "funding_y_bps": ("funding y, bp / 8 h", "What a long position pays at 0, 8 and 16 h UTC; empty: not known"),
    "funding_x_bps": ("funding x, bp / 8 h", "What a long position pays at 0, 8 and 16 h UTC; empty: not known"),
    "time_stop": ("time stop, half-lives", "Gives up after so many half-lives as known at the entry; 0 never does"),
    "half_life_bars": ("half-life over, bars", "Bars before an entry from which its half-life is estimated"),
    "shuffles": ("shuffled pairs", "The same rule on pairs whose returns come in another order; 0 leaves it out"),
    "folds": ("folds", "Stretches that are judged"),
    "train_parts": ("training, folds", "Length of a training in lengths of a test"),
}


def widget(field: str) -> str:
    """Name of a widget in the session."""
    return f"bt-{field}"


def restored() -> Choice:
    """The choice in force, out of session or address; the address is set to it."""
    state = st.session_state
    given = state.pop(GIVEN, None)
    if given is not None or STATE not in state:
        choice, notices = Choice.from_query(given if given is not None else st.query_params.to_dict())
        for text in notices:
            st.warning(text)
        put(choice)
    if widget("part") in state:
        state[STATE] = {**state[STATE], "part": state[widget("part")]}
    choice, _ = Choice.from_query(state[STATE])
    state[STATE] = state["beside"] = choice.to_query()
    for name, (field, _) in PARAMETERS.items():  # widgets that were not drawn in the last run have lost their state
        state.setdefault(widget(field), _shown(field, getattr(choice, field)))
        if name not in state[STATE] and name in st.query_params:
            del st.query_params[name]
    if any(st.query_params.get(name) != value for name, value in state[STATE].items()):
        st.query_params.update(state[STATE])
    return choice


def put(choice: Choice) -> None:
    """Set every widget to a choice, before they are made."""
    st.session_state[STATE] = choice.to_query()
    for field, _ in PARAMETERS.values():
        st.session_state[widget(field)] = _shown(field, getattr(choice, field))


def _shown(field: str, value: Any) -> Any:
    """A value as its widget holds it."""
    if field in AXES:
        return ", ".join(f"{part:g}" for part in value)
    return list(value) if isinstance(value, tuple) else value


def held() -> Choice:
    """The choice that the widgets hold, kept from now on.

    Raises
    ------
    InputError
    """
    values = {field: st.session_state[widget(field)] for field, _ in PARAMETERS.values()}
    for field, read in AXES.items():
        values[field] = listed(values[field], read)
    values["methods"] = tuple(values["methods"])
    choice, notices = Choice.from_query(Choice(**values).to_query())
    if notices:
        raise InputError("; ".join(notices))
    st.session_state[STATE] = choice.to_query()
    return choice


def form(engine: Engine, view: View, choice: Choice, start: Callable[[View], None]) -> None:
    """All parameters that are not in the sidebar, and the button that runs them."""
    with st.form("backtest-form", border=True):
        with st.container(horizontal=True, vertical_alignment="bottom"):
            _sources(engine, view)
            _number("bars", width=130)
            _select("incomplete", "incomplete bars", width=190)
            st.form_submit_button("Run backtest", type="primary", on_click=_submitted, args=(view, start))
        with st.expander("Rule, legs and costs"):
            _rule_and_costs()
        with st.expander("Doubts: shuffled pairs, grid, walk-forward"):
            _doubts(choice, view)
    st.caption("Pair, bar width, window, method and thresholds are those of the sidebar.")


def _submitted(view: View, start: Callable[[View], None]) -> None:
    try:
        start(view)
    except InputError as exc:
        notice(str(exc))


def _sources(engine: Engine, view: View) -> None:
    try:
        found = {row.key: row for row in engine.backtests.sources(view.symbol_y, view.symbol_x, view.timeframe)}
    except StorageError:  # told by the strip
        found = {}
    chosen = st.session_state[widget("source")]
    options = [*found] if chosen in found else [*found, chosen]
    st.selectbox(
        "bars from",
        options,
        format_func=lambda name: _source_text(found[name], view.zone) if name in found else f"{name}, not there now",
        key=widget("source"),
        help="The open market as pages show it; what is stored of a venue; recordings, read from end to end",
        width=430,
    )


def _source_text(row: BarSource, zone: str) -> str:
    parts = [row.title]
    if row.first_us is not None and row.last_us is not None:
        parts.append(f"{date_hhmmss(row.first_us, zone)} … {date_hhmmss(row.last_us, zone)}")
    if row.bars is not None and row.complete is not None:
        parts.append(f"{row.bars:,} bars, {row.bars - row.complete:,} incomplete")
    return " · ".join(parts)


def _rule_and_costs() -> None:
    _row("capital", "leverage", "lot_y", "lot_x", "latency_bars")
    _row("taker_bps", "maker_bps", "slippage_y_bps", "slippage_x_bps", "funding_y_bps", "funding_x_bps")
    _row("time_stop", "half_life_bars", "roll_share")
    columns = st.columns(4, vertical_alignment="bottom")
    for column, (field, label) in zip(
        columns, (("fill", "fills"), ("hedge", "hedge"), ("reentry", "after a stop")), strict=False
    ):
        with column:
            _select(field, label)
    columns[3].toggle("compound", key=widget("compound"), help="Sizes by the equity at the entry, not by the capital")


def _doubts(choice: Choice, view: View) -> None:
    axes = choice.axes(view)
    columns = st.columns(4, vertical_alignment="bottom")
    columns[0].toggle("Grid", key=widget("grid"), help="Every combination of the values below, on the same bars")
    columns[1].toggle(
        "Walk-forward", key=widget("walk"), help="Chooses from the grid on one stretch, judges on the next; needs Grid"
    )
    with columns[2]:
        _number("shuffles")
    with columns[3]:
        _select("choose", "the walk chooses")
    columns = st.columns(4)
    offered = {"windows": axes.window, "entries": axes.entry_z, "exits": axes.exit_z}
    for column, (field, values) in zip(columns, offered.items(), strict=False):
        around = ", ".join(f"{value:g}" for value in values)
        column.text_input(
            f"{field}, by commas",
            key=widget(field),
            placeholder=around,
            help="Empty: values around those of the sidebar",
        )
    columns[3].multiselect(
        "methods",
        list(METHODS),
        format_func=METHODS.__getitem__,
        key=widget("methods"),
        placeholder=METHODS[view.method],
    )
    columns = st.columns(4, vertical_alignment="bottom")
    for column, field in zip(columns, ("folds", "train_parts"), strict=False):
        with column:
            _number(field)
    columns[2].toggle("anchored", key=widget("anchored"), help="Every training begins with the first bar")


def _row(*fields: str) -> None:
    for column, field in zip(st.columns(len(fields)), fields, strict=True):
        with column:
            _number(field)


def _number(field: str, width: Any = "stretch") -> None:
    low, high = LIMITS[field]
    label, about = LABELS[field]
    st.number_input(
        label, low, high, key=widget(field), help=about, width=width, format=None if isinstance(low, int) else "%g"
    )


def _select(field: str, label: str, width: Any = "stretch") -> None:
    texts = OPTIONS[field]
    st.selectbox(label, list(texts), format_func=texts.__getitem__, key=widget(field), width=width)
