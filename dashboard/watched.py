"""The watchlist on the Scanner page: a table that refreshes itself, rules of the whole list, and buttons."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
import streamlit as st

from alerts.rules import Rule
from dashboard import formats, rules
from dashboard.markup import headed, muted
from dashboard.panels import refreshed
from dashboard.sidebar import notice
from dashboard.view import View
from data.exporters import csv_text
from engine import Engine, current
from engine.watchlist import Standing, Watched
from utils.errors import InputError, NotFound

NO_PAIRS = "No pair is watched. Choose a row of a scan below, or press Watch for the pair on the left."


def watchlist(engine: Engine, view: View) -> None:
    """The whole panel."""
    with st.container(border=True):
        st.html(headed("Watchlist", "watchlist", _summary(engine)))
        refreshed("watchlist", table, view, engine, view)
        with st.container(horizontal=True, vertical_alignment="bottom", gap="small"):
            _buttons(engine, view)


def _summary(engine: Engine) -> str:
    count = len(engine.watchlist.pairs())
    return f"{count} pair{'' if count == 1 else 's'}, followed live"


def table(engine: Engine, view: View) -> None:
    """Where every watched pair stands."""
    rows = engine.watchlist.standings()
    if not rows:
        st.html(muted(NO_PAIRS))
        return
    st.dataframe(frame(rows, firing(engine)), hide_index=True, width="stretch", column_config=COLUMNS, key="watched")


def firing(engine: Engine) -> Mapping[str, int]:
    """How many rules of the list fire, by name of the pair."""
    counts: dict[str, int] = {}
    for rule in engine.watchlist.rules():
        for name in engine.watchlist.firing(rule):
            counts[name] = counts.get(name, 0) + 1
    return counts


def frame(rows: list[Standing], alarms: Mapping[str, int]) -> pd.DataFrame:
    """One row a pair."""
    return pd.DataFrame(
        [
            {
                "pair": f"{formats.base(row.pair.symbol_y)}/{formats.base(row.pair.symbol_x)}",
                "bars": row.pair.timeframe,
                "state": row.state,
                "alert": "firing" if alarms.get(row.pair.name) else "",
                "z": row.zscore,
                "edge, bps": row.edge_bps,
                "half-life": row.half_life,
                "p": row.pvalue,
                "opportunity": row.opportunity,
                "against": row.detail,
            }
            for row in rows
        ]
    )


COLUMNS: dict[str, Any] = {
    "state": st.column_config.TextColumn(width="medium", help="What the rule on z holds at the configured thresholds."),
    "alert": st.column_config.TextColumn(help="Whether a rule of the whole list fires on this pair."),
    "z": st.column_config.NumberColumn(format="%+.2f", help="Of the newest close, over the configured window."),
    "edge, bps": st.column_config.NumberColumn(
        format="%.0f", help="Expected way back less a round trip, over both notionals; by quotes where there are any."
    ),
    "half-life": st.column_config.NumberColumn(format="%.1f", help="Bars."),
    "p": st.column_config.NumberColumn(format="%.3f", help="Engle-Granger in both directions, one look."),
    "opportunity": st.column_config.NumberColumn(format="%.0f", help="Score of the moment, 0 to 100."),
}


def _buttons(engine: Engine, view: View) -> None:
    watched, made = engine.watchlist.pairs(), engine.watchlist.rules()
    pair = Watched(view.symbol_y, view.symbol_x, view.timeframe)
    known = pair in watched or pair.symbol_y == pair.symbol_x
    st.button(f"Watch {view.pair} {view.timeframe}", key="watch-this", on_click=watch, args=(pair,), disabled=known)
    wanted = quick_rule(view)
    st.button(
        f"Alert on all: |z| > {view.entry_z:g}",
        key="watch-rule",
        type="primary",
        on_click=_add_rule,
        args=(wanted,),
        disabled=not watched or any(dict(rule.fields) == wanted for rule in made),
        help="One rule for every pair of the list, those to come included; it ends at the exit threshold.",
    )
    with st.popover("Edit", disabled=not (watched or made)):
        _edit(engine)
    if watched:
        st.download_button(
            "Watchlist, CSV",
            data=lambda: csv_text(pd.DataFrame([row.as_dict() for row in current().watchlist.standings()])),
            file_name="watchlist.csv",
            mime="text/csv",
            on_click="ignore",
            key="watched-csv",
        )
        absent = [
            symbol for symbol in dict.fromkeys(s for row in watched for s in row[:2]) if symbol not in engine.symbols
        ]
        if absent:
            st.button(f"Follow {', '.join(absent)}", key="watch-follow", on_click=follow, args=(tuple(absent),))


def quick_rule(view: View) -> dict[str, Any]:
    """The quick rule of the view, without its pair."""
    fields = rules.quick_rule(view)
    return {name: value for name, value in fields.items() if name not in rules.on_pair(view)}


def _edit(engine: Engine) -> None:
    """Take pairs off the list, and rules off all of them."""
    for pair in engine.watchlist.pairs():
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html(f"<span>{pair.name}</span>")
            st.button("Remove", key=f"unwatch-{pair.name}", type="tertiary", on_click=_unwatch, args=(pair,))
    for made in engine.watchlist.rules():
        words = rules.title(Rule("", **{**made.fields, "symbol_y": "Y", "symbol_x": "X", "timeframe": "1m"}))
        with st.container(horizontal=True, vertical_alignment="center"):
            st.html(f"<span>{words}, on {len(made.members)} pairs</span>")
            st.button(
                "Delete", key=f"unrule-{made.list_rule_id}", type="tertiary", on_click=_drop, args=(made.list_rule_id,)
            )


def watch(pair: Watched) -> None:
    """Put a pair on the list."""
    try:
        current().watchlist.add(*pair)
    except InputError as exc:
        notice(str(exc))


def follow(symbols: tuple[str, ...]) -> None:
    """Follow symbols beside those that are followed."""
    engine = current()
    try:
        engine.set_symbols(tuple(dict.fromkeys([*engine.symbols, *symbols])))
    except InputError as exc:
        notice(str(exc))


def _unwatch(pair: Watched) -> None:
    try:
        current().watchlist.remove(pair)
    except NotFound as exc:
        notice(str(exc))


def _add_rule(fields: Mapping[str, Any]) -> None:
    try:
        current().watchlist.add_rule(fields)
    except InputError as exc:
        notice(str(exc))


def _drop(list_rule_id: str) -> None:
    try:
        current().watchlist.remove_rule(list_rule_id)
    except NotFound as exc:
        notice(str(exc))
