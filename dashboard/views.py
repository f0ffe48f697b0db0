"""Saved views: an address under a name, kept with the database; and the guide of the first visit."""

from html import escape

import streamlit as st

from engine import Engine

VIEW = "view "  # notes of the engine that hold a saved view begin with this
GUIDE = "guide dismissed"
MOST_VIEWS, MOST_LETTERS = 50, 40

GUIDE_STEPS = (
    ("Choose", "symbols, the pair and the bar width on the left. Everything you choose is in the address: copy it."),
    ("Read", "the Pair page from the top: z-score, what this says, then the tests it rests on. Hover for formulas."),
    (
        "Doubt",
        "the strip above: where trades come from, how old the last ones are, and whether any is missing.",
    ),
    ("Ask", "to be told: Add rule on the left fires when the spread is stretched, also while no browser is open."),
    ("Press", "? for keyboard shortcuts, ◐ for light or dark."),
)


def saved(engine: Engine) -> dict[str, str]:
    """Addresses by name, in the order of the names."""
    return {key.removeprefix(VIEW): value for key, value in sorted(engine.notes(VIEW).items())}


def refusal(engine: Engine, name: str) -> str:
    """Why a view cannot be saved under a name; empty where it can."""
    if not name.strip():
        return "a saved view needs a name"
    if len(name.strip()) > MOST_LETTERS:
        return f"a name has at most {MOST_LETTERS} letters, this has {len(name.strip())}"
    if len(saved(engine)) >= MOST_VIEWS and name.strip() not in saved(engine):
        return f"at most {MOST_VIEWS} views can be saved: delete one"
    return ""


def guide(engine: Engine) -> None:
    """A short guide, until it is dismissed."""
    if GUIDE in engine.notes(GUIDE):
        return
    steps = "".join(f"<li><b>{escape(word)}</b> {escape(text)}</li>" for word, text in GUIDE_STEPS)
    with st.container(border=True, key="guide"):
        st.html(f'<div class="ps-guide"><b>Five things to know</b><ol>{steps}</ol></div>')
        st.button("Got it", key="guide-done", on_click=engine.put_note, args=(GUIDE, "1"), width="content")
