"""The live panels by name: text that all tabs share. What each depends on, how it is built, what stands in its place.

Panels of one page that ask for the same pace are built together and travel in one message. Their markup is sent in
pieces, so that a patch holds the numbers that changed and nothing else.
"""

import re
import uuid
from collections.abc import Hashable, Mapping
from typing import Any
from weakref import WeakKeyDictionary

from analytics.resampling import timeframe_us
from dashboard.live.boxes import PANELS
from dashboard.live.figures import explain, interval
from dashboard.live.hub import Key, Payload
from dashboard.markup import empty, failed
from dashboard.view import View
from engine import Engine, current
from utils import logger
from utils.errors import AnalysisError, InputError, NotFound, StorageError

LOG = logger.get("dashboard")
TOGETHER = "panels"  # what the hub knows the panels of a page by
PIECE = re.compile(r"(?:<[^>]*>)+|[^<]+")
MOST_INCIDENTS = 200  # that go on, of one engine


def key_of(query: Mapping[str, str]) -> Key:
    """The key of the panels that an address asks for: `names` with full stops between them.

    Raises
    ------
    NotFound
        No panel of that name.
    InputError
        A value that cannot be used.
    """
    names = sorted(set(query.get("names", "").split(".")))
    for name in names:
        if name not in PANELS:
            raise NotFound(f"there is no live panel {name[:40]!r}", "panel")
    view, notices = View.from_query(query, current().symbols)
    if notices:
        raise InputError(notices[0])
    fields = {field for name in names for field in PANELS[name].fields}
    every_s = max(interval(query.get("every", "1")), *(PANELS[name].least_s for name in names))
    return Key(TOGETHER, (("names", ".".join(names)), *view.part(fields).items()), "", every_s)


def build(key: Key) -> Payload:
    """The panels of a key as they are now."""
    params = dict(key.params)
    names, engine = params.pop("names").split("."), current()
    view, notices = View.from_query(params, engine.symbols)
    if notices:  # a symbol that is not followed any more
        return {"panels": {name: {"pieces": [empty("error", notices[0])]} for name in names}}
    width_us = timeframe_us(view.timeframe)
    bar, panels = engine.now_us() // width_us, {name: _entry(name, engine, view) for name in names}
    if engine.now_us() // width_us != bar:  # a bar closed meanwhile, of which only the later ones speak
        panels = {name: _entry(name, engine, view) for name in names}
    return {"panels": panels}


def _entry(name: str, engine: Engine, view: View) -> dict[str, Any]:
    entry: dict[str, Any] = {"pieces": pieces(markup(name, engine, view))}
    told = news(name, engine)
    return entry if told is None else entry | {"news": told}


def pieces(html: str) -> list[str]:
    """Markup cut into tags and the texts between them; put together again it is the same."""
    found = PIECE.findall(html)
    return found if "".join(found) == html else [html]


def news(name: str, engine: Engine) -> str | None:
    """What differs once the part of the page around a panel has to run again; None of most panels."""
    tell = PANELS[name].news
    try:
        return None if tell is None else tell(engine)
    # Whatever it was, the panel itself says it.
    except Exception:
        LOG.debug("no news of panel %s", name, exc_info=True)
        return ""


def markup(name: str, engine: Engine, view: View) -> str:
    """A panel as it is now; what it cannot show yet, or at all, is said in its place."""
    panel = PANELS[name]
    of = (name, *view.part(panel.fields).items())
    try:
        html = panel.build(engine, view)
    except (AnalysisError, InputError, StorageError) as exc:
        message = explain(exc, view.timeframe)
        html = empty(message["state"], message["text"], panel.min_height)
    # A bug in one panel must not take the others down: it is logged with its traceback and shown as such.
    except Exception as exc:
        incident, is_known = INCIDENTS.of(engine, of, repr(exc))
        if not is_known:
            LOG.exception("panel %s failed, incident %s", name, incident)
        return failed(incident, panel.min_height)
    INCIDENTS.over(engine, of)
    return html


class Incidents:
    """Numbers of failures that go on: a panel that fails at every build is logged once."""

    def __init__(self) -> None:
        self._known: WeakKeyDictionary[Engine, dict[Hashable, tuple[str, str]]] = WeakKeyDictionary()

    def of(self, engine: Engine, what: Hashable, how: str) -> tuple[str, bool]:
        """The number of a failure, and whether it had one already."""
        known = self._known.setdefault(engine, {})
        incident, before = known.get(what, ("", ""))
        if before == how:
            return incident, True
        if len(known) >= MOST_INCIDENTS:
            known.clear()
        known[what] = uuid.uuid4().hex[:6], how
        return known[what][0], False

    def over(self, engine: Engine, what: Hashable) -> None:
        """It works again."""
        self._known.get(engine, {}).pop(what, None)


INCIDENTS = Incidents()
