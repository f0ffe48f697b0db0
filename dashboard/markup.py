"""Small pieces of HTML for what Streamlit has no element for: cards, plain tables, badges. Everything is escaped."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

from dashboard.explain import help_text


@dataclass(frozen=True, slots=True)
class Card:
    """One number with its label, what stands beside it, and its hover help."""

    label: str
    value: str
    detail: str = ""
    metric: str = ""  # key of its explanation
    tone: str = ""  # "", "attention", "up", "down" or "muted"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a table; the first cell is text, the others are numbers."""

    cells: Sequence[str]
    tone: str = ""
    metric: str = ""


def helped(metric: str) -> str:
    """Attributes of an element that explains itself on hover and on focus."""
    text = help_text(metric)
    return f' data-help="{escape(text)}" tabindex="0"' if text else ""


def cards(items: Iterable[Card]) -> str:
    """A grid of cards of one height."""
    return f'<div class="ps-cards"><div class="ps-grid">{"".join(map(_card, items))}</div></div>'


def _card(card: Card) -> str:
    return (
        f'<div class="ps-card"{helped(card.metric)}><div class="ps-label">{escape(card.label)}</div>'
        f'<div class="ps-line"><span class="ps-value ps-{card.tone or "plain"}">{escape(card.value)}</span>'
        f'<span class="ps-detail">{escape(card.detail)}</span></div></div>'
    )


def table(head: Sequence[str], rows: Iterable[Row]) -> str:
    """A table with the first column to the left and numbers to the right.

    Rows explain themselves by `title`: the box that lets a wide table scroll would cut off the help of the cards.
    """
    titles = "".join(f"<th>{escape(title)}</th>" for title in head)
    body = "".join(
        f'<tr class="ps-{row.tone or "plain"}" title="{escape(help_text(row.metric))}">'
        f"{''.join(f'<td>{escape(cell)}</td>' for cell in row.cells)}</tr>"
        for row in rows
    )
    inner = f'<table class="ps-table"><thead><tr>{titles}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="ps-scroll">{inner}</div>'


def gauge(parts: Iterable[tuple[str, float, float]]) -> str:
    """A bar of parts side by side, each filled up to its share of what it could be: (name, part, most)."""
    cells = "".join(
        f'<div style="flex:{most:g}" title="{escape(name)}"><i style="width:{_share(part, most):.0f}%"></i>'
        f"<span>{escape(name)}</span></div>"
        for name, part, most in parts
        if most > 0
    )
    return f'<div class="ps-gauge">{cells}</div>'


def _share(part: float, most: float) -> float:
    return 100 * part / most if math.isfinite(part) else 0.0


def section(title: str, body: str) -> str:
    """A titled box; `body` is markup."""
    return f'<section class="ps-box"><h4>{escape(title)}</h4>{body}</section>'


def headed(title: str, metric: str, about: str = "") -> str:
    """The head of a panel with a figure: a title that explains itself, and what stands beside it."""
    return f'<div class="ps-title"{helped(metric)}><h4>{escape(title)}</h4><span>{escape(about)}</span></div>'


def muted(text: str) -> str:
    """A paragraph in the background: a reason, a note."""
    return f'<p class="ps-muted">{escape(text)}</p>'


def empty(state: str, text: str, min_height: int = 96) -> str:
    """What stands in a panel that has nothing to show yet."""
    style = f"min-height:{min_height}px"
    return f'<div class="ps-empty ps-is-{escape(state)}" style="{style}" role="status">{escape(text)}</div>'


def failed(incident: str, min_height: int = 96) -> str:
    """What stands in a panel that a bug has stopped."""
    return empty("error", f"This panel failed. The log has the details under {incident}.", min_height)
