"""Alerts: rules and their state, a form to make and try one, what they did, and where they are sent."""

from collections.abc import Callable, Mapping
from html import escape
from typing import Any

import streamlit as st

from alerts.rules import CLOSE, INTRABAR, MAX_SECONDS, SEVERITIES, SINGLE, Rule, body_of, plan_of
from analytics.readings import metrics
from dashboard import alerts, rules
from dashboard.charts.alerts import picture_figure
from dashboard.live.component import live_panel
from dashboard.main import run
from dashboard.markup import empty
from dashboard.panels import panel, refreshed
from dashboard.sidebar import notice
from dashboard.theme import DARK, LIGHT
from dashboard.view import View
from data.exporters import Span, csv
from engine import Engine, current
from utils.errors import InputError, NotFound, StaleEdit, StorageError

CONDITIONS = {
    "outside": "outside ±",
    "inside": "inside ±",
    ">": "above",
    ">=": "at or above",
    "<": "below",
    "<=": "at or below",
    "crosses_above": "crosses above",
    "crosses_below": "crosses below",
}
SILENCES_S = {"15 min": 900.0, "1 h": 3_600.0, "8 h": 28_800.0, "1 d": 86_400.0}
HISTORY_ROWS, HISTORY_SAVED = 300, 100_000
SECONDS = {"for_s": "held for", "cooldown_s": "rests for", "repeat_s": "told again", "nodata_s": "no data after"}
EXPRESSION_HELP = "Comparisons of metrics with AND, OR, brackets, abs(…), change(metric, 60s), change_pct(metric, 5m)."
ENDS_HELP = "The level at which it ends; empty: the level at which it fires."
LOW_HELP = "Empty: as far below zero as the level is above."
NO_TRIAL = (
    "Would it have fired? Try a rule on the bars of the past before you keep it: when, how often, and what followed."
)
NEW = "a new rule"
TRIED = "alert-tried"  # in the session: the fields of a trial, and what it found
TYPED = {"change": "change_s"} | {  # keys of widgets that are typed into, and their fields
    name: name for name in ("timeframe", "expression", "until", "threshold", "recovery", "low", "name", *SECONDS)
}


def page(engine: Engine, view: View) -> None:
    """All about alerts."""
    st.html(f'<div class="ps-head"><h2>Alerts</h2><span>{escape(alerts.summary(engine))}</span></div>')
    refreshed("rules", rules_table, view, engine, view)
    form, tried = st.columns([1, 1], gap="small")
    fields: dict[str, Any] = {}
    with form, panel("rule form", view), st.container(border=True):
        fields = _form(engine, view)
    with tried, panel("rehearsal", view):
        _tried(view, fields)
    history, beside = st.columns([1.6, 1], gap="small")
    with history, panel("history", view):
        chosen = _history(engine, view)
    with beside:
        with panel("alert", view):
            _event(engine, view, chosen)
        live_panel("channels", view)
        with panel("channel tests", view, 0):
            _channel_tests(engine)
        live_panel("outcomes", view)
    with panel("dead letters", view, 0):
        _dead_letters(engine)


def rules_table(engine: Engine, view: View) -> None:
    """Every rule with its state."""
    frame = alerts.rules_frame(engine, view.zone)
    if frame.empty:
        st.html(empty("collecting", "No rule yet. Make one below, or press Add rule in the sidebar."))
        return
    st.dataframe(frame, hide_index=True, width="stretch", key="rules-table")


# --- the form -----------------------------------------------------------------------------------------


def _form(engine: Engine, view: View) -> dict[str, Any]:
    """The choice of a rule, what can be done with it, and its fields, which are returned."""
    known = {rule.rule_id: rule for rule in engine.alerts.rules()}
    options = ["", *known]
    labels = {key: _label(place, known.get(key)) for place, key in enumerate(options)}
    if st.session_state.get("alert-choice", "") not in options:
        st.session_state["alert-choice"] = ""
    chosen = st.selectbox(
        "Rule",
        options,
        format_func=labels.__getitem__,
        key="alert-choice",
        on_change=_forget_trial,
    )
    rule = known.get(chosen)
    if rule is not None:
        _actions(engine, rule)
    fields = _fields(engine, view, rule)
    with st.container(horizontal=True):
        st.button("Would it have fired?", key="alert-try", on_click=_try, args=(fields, rule))
        label = "Save changes" if rule else "Make this rule"
        st.button(label, key="alert-save", type="primary", on_click=_save, args=(fields, rule))
    return fields


def _label(place: int, rule: Rule | None) -> str:
    """What a rule is called in the list; numbered, as the browser tells choices by their text alone."""
    return NEW if rule is None else f"{place}  {rules.title(rule)} · {rules.scope(rule)}"


def _actions(engine: Engine, rule: Rule) -> None:
    """What can be done with a rule as it is."""
    silenced = engine.alerts.state(rule.rule_id).silenced_until_us is not None
    with st.container(horizontal=True, gap="small"):
        verb = "Disable" if rule.enabled else "Enable"
        st.button(verb, key="alert-enable", on_click=_do, args=("update", rule.rule_id, {"enabled": not rule.enabled}))
        st.button("Duplicate", key="alert-copy", on_click=_do, args=("duplicate", rule.rule_id))
        st.button("Delete", key="alert-delete", on_click=_do, args=("remove", rule.rule_id))
        if silenced:
            st.button("End silence", key="alert-unsilence", on_click=_do, args=("silence", rule.rule_id, None))
        else:
            span = st.selectbox("Silence for", list(SILENCES_S), key="alert-silence-for", label_visibility="collapsed")
            st.button("Silence", key="alert-silence", on_click=_do, args=("silence", rule.rule_id, SILENCES_S[span]))
        st.button("Send a test", key="alert-test", on_click=_test_rule, args=(rule,))


def _fields(engine: Engine, view: View, rule: Rule | None) -> dict[str, Any]:
    """The form, begun with a rule or with the quick rule of the view; its fields."""
    at = body_of(rule if rule is not None else _new(view))

    def key(name: str) -> str:  # widgets begin anew with each rule
        return f"alert-{name}-{at['rule_id']}"

    kinds = ("pair", "symbol")
    kind = st.segmented_control(
        "watches", kinds, default=kinds[0 if at["symbol_x"] else 1], key=key("kind"), required=True
    )
    symbols = list(dict.fromkeys([*engine.symbols, at["symbol_y"], at["symbol_x"] or at["symbol_y"]]))
    first, second, third = st.columns(3)
    label = "y" if kind == "pair" else "symbol"
    y, x = first.selectbox(label, symbols, symbols.index(at["symbol_y"]), key=key("y")), ""
    if kind == "pair":
        x = second.selectbox("x", symbols, symbols.index(at["symbol_x"] or symbols[0]), key=key("x"))
    timeframe = third.text_input("bars", at["timeframe"], key=key("timeframe")).strip()
    fields: dict[str, Any] = {"symbol_y": y, "symbol_x": x, "timeframe": timeframe}
    several = bool(at["expression"] or at["until"])
    if st.toggle("several conditions", several, key=key("several"), help=EXPRESSION_HELP):
        example, end = "abs(zscore) > 2 AND pvalue < 0.05", "abs(zscore) < 0.5"
        text = at["expression"] or (str(plan_of(rule).fires) if several and rule is not None else "")
        fields |= dict.fromkeys((*SINGLE, "recovery"))
        fields["expression"] = st.text_input("fires when", text, key=key("expression"), placeholder=example)
        fields["until"] = st.text_input("ends when", at["until"], key=key("until"), placeholder=end)
    else:
        fields |= _condition(at, kind == "pair", key)
    return fields | _rest(engine, at, key)


def _new(view: View) -> Rule:
    """What the form begins with where no rule is chosen."""
    if view.symbol_y == view.symbol_x:
        return Rule("", "price", ">", 0.0, view.symbol_y, "", view.timeframe)
    return Rule("", **rules.quick_rule(view))


def _condition(at: Mapping[str, Any], is_pair: bool, key: Callable[[str], str]) -> dict[str, Any]:
    """One metric, compared with one level or with a band."""
    known = metrics(is_pair)
    names, compares = list(known), list(CONDITIONS)
    metric = at["metric"] if at["metric"] in known else names[0]
    condition = at["condition"] if at["condition"] in CONDITIONS else compares[0]
    first, second, third = st.columns([1.3, 1, 1])
    chosen = first.selectbox("metric", names, names.index(metric), key=key(f"metric-{is_pair}"), help=known[metric])
    compare = second.selectbox(
        "condition", compares, compares.index(condition), format_func=CONDITIONS.__getitem__, key=key("condition")
    )
    threshold = third.number_input("level", value=float(at["threshold"]), format="%g", key=key("threshold"))
    first, second, third = st.columns([1.3, 1, 1])
    back = first.number_input("ends at", value=at["recovery"], format="%g", key=key("recovery"), help=ENDS_HELP)
    change = second.number_input(
        "change over, s", 0.0, value=float(at["change_s"]), format="%g", key=key("change"), help="0: the value itself"
    )
    low = None
    if compare in ("outside", "inside"):
        low = third.number_input("lower end", value=at["low"], format="%g", key=key("low"), help=LOW_HELP)
    return {
        "metric": chosen,
        "condition": compare,
        "threshold": threshold,
        "recovery": None if low is not None else back,
        "change_s": change,
        "low": low,
        "expression": None,
        "until": None,
    }


def _rest(engine: Engine, at: Mapping[str, Any], key: Callable[[str], str]) -> dict[str, Any]:
    """When it is told, how urgent it is, where it goes."""
    fields: dict[str, Any] = {}
    for column, (field, label) in zip(st.columns(len(SECONDS)), SECONDS.items(), strict=True):
        fields[field] = column.number_input(
            f"{label}, s", 0.0, MAX_SECONDS, float(at[field]), format="%g", key=key(field)
        )
    first, second = st.columns(2)
    fields["severity"] = first.segmented_control(
        "severity", SEVERITIES, default=at["severity"], key=key("severity"), required=True
    )
    fields["on"] = second.segmented_control(
        "judged on", (CLOSE, INTRABAR), default=at["on"], key=key("on"), required=True, help="Closes, or every second"
    )
    known = [*engine.notifier.names, "screen"]
    kept = [channel for channel in at["channels"] if channel in known]
    chosen = st.multiselect("sent to", known, kept, key=key("channels"), placeholder="all channels")
    title = st.text_input("name", at["name"], key=key("name"), placeholder="made from the condition")
    return fields | {"channels": tuple(chosen), "name": title.strip()}


def _forget_trial() -> None:
    st.session_state.pop(TRIED, None)


def _as_typed(fields: Mapping[str, Any], rule: Rule | None) -> dict[str, Any]:
    """The fields with what was typed last: a button that takes the focus is given those of the run before."""
    keys = {field: f"alert-{name}-{rule.rule_id if rule else ''}" for name, field in TYPED.items()}
    typed = {field: st.session_state[key] for field, key in keys.items() if key in st.session_state}
    found = {**fields, **{field: text.strip() if isinstance(text, str) else text for field, text in typed.items()}}
    return found if found.get("low") is None else {**found, "recovery": None}


def _try(fields: Mapping[str, Any], rule: Rule | None) -> None:
    engine, fields = current(), _as_typed(fields, rule)
    _forget_trial()
    try:
        st.session_state[TRIED] = fields, engine.would_have_fired(fields)
    except (InputError, StorageError) as exc:
        notice(str(exc))


def _save(fields: Mapping[str, Any], rule: Rule | None) -> None:
    engine, fields = current(), _as_typed(fields, rule)
    try:
        if rule is None:
            engine.alerts.add(fields)
        else:
            engine.alerts.update(rule.rule_id, fields, rule.version)
    except (InputError, StaleEdit) as exc:
        notice(str(exc))
    except KeyError:
        notice("that rule is gone already")


def _do(what: str, rule_id: str, *more: Any) -> None:
    try:
        getattr(current().alerts, what)(rule_id, *more)
    except KeyError:
        notice("that rule is gone already")
    except InputError as exc:
        notice(str(exc))


def _test_rule(rule: Rule) -> None:
    found = current().notifier.test_rule(rule)
    if not found:
        notice("no channel is configured: PAIRSCOPE_CHANNELS names them")
    for channel, result in found.items():
        notice(f"{channel}: {result}")


def _tried(view: View, fields: Mapping[str, Any]) -> None:
    """What a trial of the form as it stands has found."""
    tried, found = st.session_state.get(TRIED, (None, None))
    if found is None or tried != fields:
        st.html(empty("collecting", NO_TRIAL, 140))
    else:
        st.html(alerts.rehearsal(found, view.zone))


# --- what they did --------------------------------------------------------------------------------------


def _history(engine: Engine, view: View) -> str | None:
    """The newest changes of state; the event that was chosen."""
    rows = engine.alert_history(HISTORY_ROWS)
    if not rows:
        st.html(empty("collecting", "No rule has fired yet."))
        return None
    frame = alerts.history_frame(rows, view.zone)
    found = st.dataframe(
        frame.drop(columns="event_id"),
        hide_index=True,
        width="stretch",
        on_select="rerun",
        selection_mode="single-row",
        key="alert-history",
    )
    st.download_button(
        "History, CSV",
        data=lambda: history_csv(current()),
        file_name="alerts.csv",
        mime="text/csv",
        on_click="ignore",
        key="alerts-csv",
    )
    chosen = found.selection.rows
    return str(frame["event_id"].iloc[chosen[0]]) if chosen and chosen[0] < len(frame) else None


def history_csv(engine: Engine) -> str:
    """The newest changes of state, oldest first, as /export/alerts.csv has them."""
    return b"".join(csv(engine.exports.alerts(Span(limit=HISTORY_SAVED)))).decode()


def _event(engine: Engine, view: View, event_id: str | None) -> None:
    if event_id is None:
        st.html(empty("collecting", "Choose a row of the history to see what was true then, and what came of it."))
        return
    rows = engine.alert_file.event(event_id)
    if not rows:
        raise NotFound(f"there is no alert {event_id[:40]!r}", "alert")
    picture = next((row["context"].get("picture") for row in rows if row.get("context")), None)
    if picture:
        theme = LIGHT if st.context.theme.type == "light" else DARK
        figure = picture_figure(picture, theme, view.zone)
        st.plotly_chart(figure, key=f"picture-{event_id}", config={"displayModeBar": False})
    st.html(alerts.event_details(rows, view.zone))


def _channel_tests(engine: Engine) -> None:
    with st.container(horizontal=True, gap="small"):
        for name in engine.notifier.names:
            st.button(f"Test {name}", key=f"channel-{name}", on_click=_test_channel, args=(name,))


def _test_channel(name: str) -> None:
    notice(f"{name}: {current().notifier.test(name)}")


def _dead_letters(engine: Engine) -> None:
    """Messages that were given up, to be sent again."""
    rows = engine.alert_file.outbox("dead", 20)
    if not rows:
        return
    with st.expander(f"{len(rows)} message{'' if len(rows) == 1 else 's'} given up", expanded=True):
        for row in rows:
            with st.container(horizontal=True, vertical_alignment="center"):
                words = f"{row['channel']}: {row['title']}"
                st.html(f"<span>{escape(words)} <small>{escape(row['detail'])}</small></span>")
                st.button("Send again", key=f"retry-{row['number']}", on_click=_retry, args=(row["number"],))


def _retry(number: int) -> None:
    try:
        current().alert_file.retry(number)
    except NotFound as exc:
        notice(str(exc))


if __name__ == "__main__":
    run(page)
