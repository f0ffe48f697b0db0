"""What keeps one failing panel from taking the page down, and fragments that rest while the view is paused.

Panels that are text alone are live panels (`live/panels.py`), which cost the server nothing for another tab.
"""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import streamlit as st

from dashboard.live.figures import explain
from dashboard.markup import empty, failed
from dashboard.view import View
from utils import logger
from utils.errors import AnalysisError, InputError, StorageError

LOG = logger.get("dashboard")


@contextmanager
def panel(name: str, view: View, min_height: int = 96) -> Iterator[None]:
    """Everything inside is one panel: what it cannot show yet, or at all, is said in its place."""
    try:
        yield
    except (AnalysisError, InputError, StorageError) as exc:
        message = explain(exc, view.timeframe)
        st.html(empty(message["state"], message["text"], min_height))
    # A bug in one panel must not take the page down: it is logged with its traceback and shown as such.
    except Exception:
        incident = uuid.uuid4().hex[:6]
        LOG.exception("panel %s failed, incident %s", name, incident)
        st.html(failed(incident, min_height))


def refreshed(name: str, function: Callable[..., None], view: View, *args: Any, min_height: int = 96) -> None:
    """A panel that runs now and once an interval without the rest of the page; once only while the view is paused."""

    def body() -> None:
        # Inside the fragment: later runs of it do not pass through the code around it.
        with panel(name, view, min_height):
            function(*args)

    body.__qualname__ = f"{function.__module__}.{function.__qualname__}"  # tells fragments of one page apart
    st.fragment(body, run_every=None if view.paused else view.refresh_s)()
