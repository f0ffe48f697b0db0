"""Alert rules, what they did and how they are sent, as markup and tables."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import pandas as pd

from alerts.rules import Rule
from dashboard import formats, rules
from dashboard.markup import Row, muted, section, table
from engine import Engine
from utils.clock import US_PER_S, date_hhmmss

NO_CHANNELS = (
    "None. PAIRSCOPE_CHANNELS names them, such as ops=slack://… or hook=jsons://…; alerts show on the pages anyway."
)
STATES = {
    "firing": "fired",
    "repeat": "still fires",
    "resolved": "ended",
    "nodata": "no data",
    "unsilenced": "silence over",
    "missed": "would have fired",
}


def rules_frame(engine: Engine, zone: str) -> pd.DataFrame:
    """One row a rule, in the order they were made; the index is the rule's id."""
    rows = {rule.rule_id: _row(engine, rule, zone) for rule in engine.alerts.rules()}
    names = ("state", "rule", "watches", "since", "severity", "held", "rests", "sent to", "version")
    return pd.DataFrame.from_dict(rows, orient="index", columns=list(names))


def _row(engine: Engine, rule: Rule, zone: str) -> tuple[object, ...]:
    state = engine.alerts.state(rule.rule_id)
    since = date_hhmmss(state.since_us, zone) if state.since_us else ""
    sent = ", ".join(rule.channels) or "all channels"
    return (
        rules.state(engine, rule),
        rules.title(rule),
        rules.scope(rule),
        since,
        rule.severity,
        f"{rule.for_s:g} s",
        f"{rule.cooldown_s:g} s",
        sent,
        rule.version,
    )


def summary(engine: Engine) -> str:
    """How many rules there are and how they stand, in one line."""
    known = engine.alerts.rules()
    firing = sum(engine.alerts.state(rule.rule_id).shown == "FIRING" for rule in known)
    figures = engine.alerts.figures()
    count = f"{len(known)} rule{'' if len(known) == 1 else 's'}"
    took = f"{1e3 * figures['round_s']:.1f} ms a round"
    return f"{count}, {firing} firing · judged once a second, browser or not · {took}"


def history_frame(rows: Sequence[Mapping[str, Any]], zone: str) -> pd.DataFrame:
    """Changes of state, newest first."""
    return pd.DataFrame(
        [
            {
                "when": date_hhmmss(row["at_us"], zone),
                "what": _word(row) + (", silenced" if row.get("silenced") else ""),
                "rule": row["name"],
                "value": row["value"],
                "severity": row["severity"],
                "market": row["venue"],
                "came of it": outcome_text(row.get("outcome")),
                "event_id": row["event_id"],
            }
            for row in rows
        ]
    )


def outcome_text(outcome: Mapping[str, Any] | None) -> str:
    """What came of a firing, in words; empty while it is not known."""
    if not outcome:
        return ""
    lives = outcome.get("half_lives")
    took = f"{outcome['bars']} bars" + (f", {lives:.1f} half-lives" if formats.exists(lives) else "")
    against = f"; at worst {outcome['worst_z']:.1f} farther out" if outcome["worst_z"] > 0 else ""
    return f"came back in {took}{against}" if outcome["reverted"] else f"not back after {took}{against}"


def event_details(rows: Sequence[Mapping[str, Any]], zone: str) -> str:
    """One alert: its changes, and what was true when it fired."""
    changes = [Row((date_hhmmss(row["at_us"], zone), _word(row), _value(row))) for row in rows]
    context: Mapping[str, Any] = next((row["context"] for row in rows if row.get("context")), {})
    then = section("Then", f'<div class="ps-wordy">{table(("", ""), _context_rows(context))}</div>') if context else ""
    outcome = next((row["outcome"] for row in rows if row.get("outcome")), None)
    came = muted(outcome_text(outcome) or "What came of it is not known yet.")
    return section(str(rows[0]["name"]), table(("when", "", "value"), changes) + came) + then


def _word(row: Mapping[str, Any]) -> str:
    return STATES.get(row["state"], str(row["state"]))


def _value(row: Mapping[str, Any]) -> str:
    return formats.significant(row["value"], 4)


def _context_rows(context: Mapping[str, Any]) -> list[Row]:
    """Numbers and words of the context; lists, such as the picture of the spread, are drawn elsewhere."""
    flat: dict[str, Any] = {}
    for name, value in context.items():
        if isinstance(value, Mapping):
            flat |= {inner: part for inner, part in value.items() if not isinstance(part, list | Mapping)}
        elif not isinstance(value, list):
            flat[name] = value
    return [Row((name.replace("_", " "), _text(value))) for name, value in flat.items() if value is not None]


def _text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return formats.significant(float(value), 5)


def rehearsal(found: Mapping[str, Any], zone: str) -> str:
    """What a rule would have done."""
    if not found["bars"]:
        return section("Would it have fired?", muted("There are no bars of the past yet."))
    per_day = found["firings_per_day"]
    often = f", {per_day:.1f} a day" if formats.exists(per_day) else ""
    span = formats.duration((found["last_us"] - found["first_us"]) / US_PER_S)
    lead = f"{found['firings']} time{'' if found['firings'] == 1 else 's'} over {found['bars']:,} bars ({span}){often}."
    notes = []
    if found["known"]:
        notes.append(f"{found['reverted']} of {found['known']} came back.")
    if found["blind_bars"]:
        notes.append(f"{found['blind_bars']:,} bars had no data for it.")
    rows = [
        Row((date_hhmmss(one["at_us"], zone), _word(one), _value(one), outcome_text(one["outcome"])))
        for one in found["log"][-12:][::-1]
    ]
    log = table(("when", "", "value", "came of it"), rows) if rows else ""
    return section("Would it have fired?", f"<p>{escape(lead)} {escape(' '.join(notes))}</p>{log}{_sweep(found)}")


def _sweep(found: Mapping[str, Any]) -> str:
    """How the count moves with the threshold."""
    tried = found["by_threshold"]
    if not tried:
        return ""
    most = max(one["firings"] for one in tried) or 1
    rows = "".join(
        f"<tr><td>{formats.significant(one['threshold'], 3)}</td><td>{one['firings']}</td>"
        f'<td class="ps-bar"><i style="width:{100 * one["firings"] / most:.0f}%"></i></td></tr>'
        for one in tried
    )
    head = "<thead><tr><th>threshold</th><th>firings</th><th></th></tr></thead>"
    return f'<div class="ps-scroll"><table class="ps-table">{head}<tbody>{rows}</tbody></table></div>'


def channels(engine: Engine) -> str:
    """How each channel stands."""
    known = engine.notifier.status()
    if not known:
        return section("Channels", muted(NO_CHANNELS))
    rows = []
    for one in known:
        last = one.last_error if one.state != "ok" else ""
        tone = "" if one.state == "ok" else "attention"
        counts = (f"{count:,}" for count in (one.sent, one.waiting, one.dead))
        rows.append(Row((one.name, one.service, one.state, *counts, last), tone))
    return section("Channels", table(("name", "service", "", "sent", "waiting", "given up", ""), rows))


def statistics(engine: Engine) -> str:
    """What became of each rule's firings."""
    rows = [
        Row(
            (
                row["name"],
                row["severity"],
                f"{row['firings']:,}",
                formats.duration(row["mean_s"]) if row["mean_s"] is not None else formats.NONE,
                f"{row['reverted'] or 0} of {row['outcomes']}",
                formats.number(row["mean_half_lives"], 1),
                formats.number(row["worst_z"], 1),
            )
        )
        for row in engine.alert_file.statistics()
    ]
    head = ("rule", "severity", "fired", "lasted", "came back", "in half-lives", "worst z against")
    return section("What became of them", table(head, rows) if rows else muted("No rule has fired yet."))
