"""The sidebar: every choice that makes up the view, the market, and the alert rules."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from html import escape
from typing import Any
from urllib.parse import parse_qsl, urlencode

import streamlit as st

import config
from alerts.rules import MAX_SECONDS
from analytics.readings import metrics
from analytics.resampling import timeframe_us
from dashboard import formats, rules, views
from dashboard.live.component import frame, live_panel
from dashboard.panels import panel
from dashboard.standing import SOURCES
from dashboard.strip import strip_view
from dashboard.view import MAX_WINDOW, METHODS, MIN_WINDOW, SCALES, SPANS, STOP_LIMITS, Z_LIMITS, View, bar_width
from engine import Engine, current
from utils.clock import US_PER_S, UTC_ZONE, is_zone
from utils.errors import InputError, PairscopeError

PAUSE = "pause"
UNTOLD = "untold"  # in the session: the browser does not know yet what was chosen in place of the reader
REFRESH_S = (0.5, 1.0, 5.0, 15.0, 60.0)


def key(field: str) -> str:
    """Name of a widget in the session."""
    return f"view-{field}"


def notice(text: str) -> None:
    """Say something at the head of the page at the next run."""
    st.session_state.setdefault("notices", []).append(text)


def restore(engine: Engine) -> None:
    """At the first run of a browser tab: take the view out of the address."""
    if "view" in st.session_state:
        return
    view, notices = View.from_query(st.query_params.to_dict(), engine.symbols)
    for text in notices:
        notice(text)
    _put(view)
    del st.session_state[UNTOLD]  # this browser knows no other


def _put(view: View) -> None:
    """Set every widget to the view; before the widgets are made."""
    choose(**{field.name: _held(getattr(view, field.name)) for field in fields(View)})
    choose(refresh=PAUSE if view.paused else view.refresh_s)
    st.session_state["view"] = view.to_query()


def choose(**values: Any) -> None:
    """Choose in place of the reader, by names of widgets of the sidebar; before they are made."""
    for field, value in values.items():
        st.session_state[key(field)] = value
    st.session_state[UNTOLD] = True


def _held(value: Any) -> Any:
    """A value as widgets hold it: of several choices a list."""
    return list(value) if isinstance(value, tuple) else value


def _keep_valid(engine: Engine) -> None:
    """Set choices that are not possible any more to ones that are, as when a symbol is not followed any longer."""
    view, _ = View.from_query(st.session_state["view"], engine.symbols)
    for field in ("symbol_y", "symbol_x", "symbol"):
        if st.session_state.get(key(field)) not in engine.symbols:
            choose(**{field: getattr(view, field)})
    for each in fields(View):  # widgets that were not drawn in the last run have lost their state
        st.session_state.setdefault(key(each.name), _held(getattr(view, each.name)))
    st.session_state.setdefault(key("refresh"), PAUSE if view.paused else view.refresh_s)


def chosen(engine: Engine) -> View:
    """The view that the sidebar describes, before it is drawn; the address is set to it."""
    restore(engine)
    _keep_valid(engine)
    _keep_in_order()
    if st.session_state[key("refresh")] != PAUSE:
        st.session_state[key("refresh_s")] = st.session_state[key("refresh")]
    return _view(engine)


@contextmanager
def sidebar(engine: Engine, view: View) -> Iterator[None]:
    """Draw the sidebar of a view, after the page, which is what a choice is made for and which is drawn inside.

    Where something was chosen in place of the reader it comes first: until the browser knows of it, it would send what
    was chosen before along with the next click.
    """
    first = st.session_state.pop(UNTOLD, False)
    if first:
        _sidebar(engine, view)
    try:
        yield
    except Exception:
        if not first:
            _sidebar(engine, view)
        raise
    if not first:
        _sidebar(engine, view)


def _sidebar(engine: Engine, view: View) -> None:
    with st.sidebar:
        frame()
    with st.sidebar, st.container(gap="xsmall"):
        _market(engine)
        _pair(engine)
        _bars()
        _thresholds()
        _refresh()
        _clock()
    with st.sidebar:
        _saved_views(engine)
    with st.sidebar, st.container(gap="xsmall"):
        _group("Alert rules")
        alert_rules(view)
        with panel("quick rule", view, 40):
            _quick_rule(view)


def _group(title: str) -> None:
    st.html(f'<div class="ps-group">{escape(title)}</div>')


@contextmanager
def _unfolded(name: str, label: str, height: int) -> Iterator[bool]:
    """A popover of the sidebar, and whether it is open: its widgets would cost every run of the script a sixth.

    It finds its place by its size when it is opened, so that it has about this height, pixels, from the start.
    """
    with st.container(key=name):
        folded = st.popover(label, width="stretch", on_change="rerun", key=f"{name}-open")
    with folded:
        if not folded.open:
            st.html(f'<div style="height: {height}px"></div>')
        yield bool(folded.open)


def _market(engine: Engine) -> None:
    _group("Market")
    offered = [source for source in SOURCES if source != "replay" or engine.replay_files]
    st.session_state["source"] = engine.source
    st.selectbox(
        "Source",
        offered,
        format_func=SOURCES.__getitem__,
        key="source",
        on_change=_switch,
        label_visibility="collapsed",
    )
    st.session_state["symbols"] = list(engine.symbols)
    st.multiselect(
        "Symbols",
        engine.symbols,
        key="symbols",
        on_change=_follow,
        accept_new_options=True,
        placeholder="Symbols, for example SOLUSDT",
        label_visibility="collapsed",
    )


def _switch() -> None:
    try:
        current().switch(st.session_state["source"])
    except PairscopeError as exc:
        notice(str(exc))


def _follow() -> None:
    try:
        current().set_symbols(st.session_state["symbols"])
    except InputError as exc:
        notice(str(exc))


def _pair(engine: Engine) -> None:
    _group("Pair")
    with st.container(horizontal=True, vertical_alignment="center", gap="small", wrap=False):
        st.selectbox("Y", engine.symbols, key=key("symbol_y"), format_func=_y_text, label_visibility="collapsed")
        st.button("⇄", key="swap", on_click=_swap, help="Swap Y and X", width="content")
    st.selectbox("X", engine.symbols, key=key("symbol_x"), format_func=_x_text, label_visibility="collapsed")


def _y_text(symbol: str) -> str:
    return f"Y  {symbol}"


def _x_text(symbol: str) -> str:
    return f"X  {symbol}"


def _swap() -> None:
    state = st.session_state
    choose(symbol_y=state[key("symbol_x")], symbol_x=state[key("symbol_y")])


def _bars() -> None:
    _group("Bars")
    offered = _with(config.TIMEFRAMES, st.session_state[key("timeframe")], timeframe_us)
    st.segmented_control(
        "Bar width",
        offered,
        key=key("timeframe"),
        required=True,
        label_visibility="collapsed",
        width="stretch",
    )
    st.text_input(
        "Other bar width",
        key="other-timeframe",
        on_change=_other_timeframe,
        placeholder="other width: 3m, 45s, 2h",
        label_visibility="collapsed",
    )
    _group("Window, bars")
    st.number_input("Window, bars", MIN_WINDOW, MAX_WINDOW, step=10, key=key("window"), label_visibility="collapsed")
    _group("Hedge method")
    st.selectbox(
        "Hedge method", list(METHODS), format_func=METHODS.__getitem__, key=key("method"), label_visibility="collapsed"
    )
    st.toggle("log prices", key=key("log_prices"), help="Ratio and spread of logarithms: the ratio is an elasticity")
    _group("z-score by")
    st.selectbox(
        "z-score by", list(SCALES), format_func=SCALES.__getitem__, key=key("scale"), label_visibility="collapsed"
    )


def _with(offered: Sequence[Any], value: Any, size: Callable[[Any], float] = float) -> list[Any]:
    """The values offered, and among them in its place the one in force: the keys [ and ] step from it."""
    return sorted({*offered, value}, key=size)


def _other_timeframe() -> None:
    text = st.session_state["other-timeframe"].strip()
    st.session_state["other-timeframe"] = ""
    if not text:
        return
    try:
        choose(timeframe=bar_width(text))
    except InputError as exc:
        notice(str(exc))


def span_control(view: View) -> None:
    """How much of the newest time the charts show; it goes on with the market."""
    width_s = timeframe_us(view.timeframe) / US_PER_S
    st.segmented_control(
        "Time shown",
        _with(SPANS, view.span),
        format_func=lambda bars: formats.duration(bars * width_s).replace(".0 ", " "),
        key=key("span"),
        required=True,
        label_visibility="collapsed",
    )


def _keep_in_order() -> None:
    """Set the thresholds that contradict the one to enter at."""
    entry = st.session_state[key("entry_z")]
    if st.session_state[key("exit_z")] >= entry:
        leave = round(entry / 4, 2)
        choose(exit_z=leave)
        notice(f"leave |z| was set to {leave:g}, as it must be below enter |z| {entry:g}")
    if st.session_state[key("stop_z")] <= entry:
        choose(stop_z=2 * entry)
        notice(f"stop |z| was set to {2 * entry:g}, as it must be above enter |z| {entry:g}")


def _thresholds() -> None:
    _group("Thresholds")
    low, high = Z_LIMITS
    st.number_input("enter |z|", low, high, step=0.1, key=key("entry_z"), format="%.2f")
    st.number_input("leave |z|", 0.0, high, step=0.1, key=key("exit_z"), format="%.2f")
    st.number_input("stop |z|", *STOP_LIMITS, step=0.1, key=key("stop_z"), format="%.2f")


def _refresh() -> None:
    _group("Refresh")
    chosen_s = st.session_state[key("refresh")]
    offered = REFRESH_S if chosen_s == PAUSE else _with(REFRESH_S, chosen_s)
    st.segmented_control(
        "Refresh",
        [*offered, PAUSE],
        key=key("refresh"),
        format_func=lambda value: value if value == PAUSE else f"{value:g} s",
        required=True,
        label_visibility="collapsed",
        width="stretch",
    )


def _clock() -> None:
    """Times in UTC or as the reader's clock shows them."""
    here = st.context.timezone or UTC_ZONE
    st.session_state["local-time"] = st.session_state[key("zone")] != UTC_ZONE
    st.toggle("local time", key="local-time", on_change=_switch_clock, args=(here,), help=f"UTC or {here}")


def _switch_clock(here: str) -> None:
    st.session_state[key("zone")] = here if st.session_state["local-time"] and is_zone(here) else UTC_ZONE


def _saved_views(engine: Engine) -> None:
    """Views by name: press one to see it, save this one, delete one."""
    with _unfolded("views", "Saved views", 140) as is_open:
        if not is_open:
            return
        names = views.saved(engine)
        for name, address in names.items():
            with st.container(horizontal=True, vertical_alignment="center", gap="small"):
                st.button(name, key=f"see-{name}", on_click=_see, args=(address,), width="stretch")
                note = views.VIEW + name
                st.button("Delete", key=f"drop-{name}", type="tertiary", on_click=engine.drop_note, args=(note,))
        if not names:
            st.caption("A saved view is a page with all its choices, under a name.")
        st.text_input("Name", key="view-name", placeholder="name of this view", label_visibility="collapsed")
        st.button("Save this view", key="save-view", on_click=_save, args=(engine,), width="stretch")


def _save(engine: Engine) -> None:
    name = st.session_state["view-name"].strip()
    reason = views.refusal(engine, name)
    if reason:
        notice(reason)
        return
    page = st.session_state.get("page", "")
    own = st.session_state.get("beside", {}) if page == "backtest" else {}
    engine.put_note(views.VIEW + name, f"{page}?{urlencode(st.session_state['view'] | own)}")
    st.session_state["view-name"] = ""


def _see(address: str) -> None:
    page, _, query = address.partition("?")
    asked = dict(parse_qsl(query, keep_blank_values=True))
    view, notices = View.from_query(asked, current().symbols)
    st.session_state["asked"] = asked  # pages with parameters of their own take them from here
    for text in notices:
        notice(text)
    _put(view)
    st.session_state["go"] = page


def _view(engine: Engine) -> View:
    """The view that the widgets describe; also put into the address, so that copying it copies the screen."""
    state = st.session_state
    values = {field.name: state[key(field.name)] for field in fields(View)}
    values["paused"] = state[key("refresh")] == PAUSE
    query = View(**values).to_query()
    view, _ = View.from_query(query, engine.symbols)
    state["view"] = view.to_query()
    if {name: st.query_params.get(name) for name in query} != state["view"]:
        st.query_params.update(state["view"])
    return view


def alert_rules(view: View) -> None:
    """Rules in force with their states, and the button that adds the quick rule; runs again when a rule changes."""
    st.fragment(_alert_rules)(view)


def _alert_rules(view: View) -> None:
    engine = current()
    live_panel("rules", strip_view(view))
    for rule in engine.alerts.rules():
        stands = rules.state(engine, rule)
        lamp = "ps-on" if stands == "firing" else ""
        words = f"{escape(rules.title(rule))} <span class='ps-muted'>{escape(rules.scope(rule))}</span>"
        st.html(f'<div class="ps-rule"><i class="{lamp}"></i><span>{words}</span><small>{escape(stands)}</small></div>')
        with st.container(horizontal=True, gap="small", horizontal_alignment="right"):
            verb = "Pause" if rule.enabled else "Resume"
            st.button(
                verb,
                key=f"rule-on-{rule.rule_id}",
                type="tertiary",
                on_click=_change_rule,
                args=(rule.rule_id, not rule.enabled),
            )
            st.button(
                "Delete", key=f"rule-del-{rule.rule_id}", type="tertiary", on_click=_delete_rule, args=(rule.rule_id,)
            )
    known = rules.is_set(engine, view)
    st.button(
        f"Add rule: |z| > {view.entry_z:g}",
        key="rule-add",
        on_click=_add_rule,
        args=(view,),
        disabled=known,
        help=f"Alert when |z| of {view.pair} at {view.timeframe} passes {view.entry_z:g}: on screen and in the history",
        width="stretch",
    )


def _quick_rule(view: View) -> None:
    """Any metric of the pair shown, compared with one level: what the Alerts page does in full."""
    with _unfolded("quick", "Add another rule", 340) as is_open:
        if not is_open:
            return
        known = metrics(is_pair=True)
        metric = st.selectbox(
            "metric", list(known), key="quick-metric", format_func=lambda name: name.replace("_", " ")
        )
        st.caption(known[metric])
        compare, level = st.columns(2)
        compare.selectbox("condition", rules.QUICK_CONDITIONS, key="quick-condition")
        level.number_input("level", value=None, format="%g", key="quick-level", placeholder=_newest(view, metric))
        held, rests = st.columns(2)
        held.number_input("held for, s", 0.0, MAX_SECONDS, 0.0, format="%g", key="quick-for")
        rests.number_input("rests for, s", 0.0, MAX_SECONDS, rules.QUICK_COOLDOWN_S, format="%g", key="quick-cooldown")
        st.button("Add", key="quick-add", on_click=_add_quick, args=(view,), width="stretch")


def _newest(view: View, metric: str) -> str:
    """What the metric is now, to choose a level by."""
    value = rules.newest(current(), view, metric)
    return f"now {formats.significant(value, 4)}" if formats.exists(value) else ""


def _add_quick(view: View) -> None:
    state = st.session_state
    level = state["quick-level"]
    if level is None:  # the level of now, as the field says
        level = rules.newest(current(), view, state["quick-metric"])
    if not formats.exists(level):
        notice("a rule needs a level")
        return
    fields = {"metric": state["quick-metric"], "condition": state["quick-condition"], "threshold": level}
    fields |= {"for_s": state["quick-for"], "cooldown_s": state["quick-cooldown"]}
    try:
        current().alerts.add(rules.on_pair(view) | fields)
    except InputError as exc:
        notice(str(exc))


def _add_rule(view: View) -> None:
    try:
        current().alerts.add(rules.quick_rule(view))
    except InputError as exc:
        notice(str(exc))


def _change_rule(rule_id: str, enabled: bool) -> None:
    try:
        current().alerts.update(rule_id, {"enabled": enabled})
    except KeyError:
        notice("that rule is gone already")


def _delete_rule(rule_id: str) -> None:
    try:
        current().alerts.remove(rule_id)
    except KeyError:
        notice("that rule is gone already")
