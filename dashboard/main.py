"""The Streamlit script: runs once for each change in a browser tab, from the top; what moves in between is pushed."""

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from dashboard.login import may_see
from dashboard.markup import empty
from dashboard.notebook import notebook
from dashboard.sidebar import chosen, sidebar
from dashboard.strip import status_strip
from dashboard.view import View
from dashboard.views import guide
from engine import Engine, current
from utils.errors import PairscopeError

PAGES = {  # files in pages/, in the order of the navigation
    "Overview": "overview.py",
    "Pair": "pair.py",
    "Microstructure": "microstructure.py",
    "Signals": "signals.py",
    "Scanner": "scanner.py",
    "Backtest": "backtest.py",
    "Alerts": "alerts.py",
    "Advanced": "advanced.py",
    "Data": "data.py",
    "System": "system.py",
}
ABOUT = "Pairscope: live pairs-trading analytics on Binance trades."
FRAMED = "framed"  # in the session: the frame around the page is drawn


def main() -> None:
    """Frame, sidebar and the chosen page."""
    st.set_page_config(page_title="Pairscope", layout="wide", initial_sidebar_state="auto", menu_items={"About": ABOUT})
    try:
        engine = current()
    except PairscopeError as exc:
        st.html(empty("error", f"The engine is not running: {exc}", 240))
        return
    if not may_see(engine):
        return
    view = chosen(engine)
    page = navigation()
    st.session_state["page"] = page.url_path
    status_strip(view)
    guide(engine)
    for text in st.session_state.pop("notices", []):
        st.warning(text)
    st.session_state[FRAMED] = True
    with sidebar(engine, view):
        page.run()


def navigation() -> st.Page:
    """The row of pages, and the page that was chosen."""
    folder = Path(__file__).parent / "pages"
    first, *others = PAGES.items()
    home = st.Page(folder / first[1], title=first[0], url_path="home", default=True)
    # The default page answers at / only; people try its name as well.
    named = st.Page(lambda: st.switch_page(home), title=first[0], url_path="overview", visibility="hidden")
    pages = [st.Page(folder / file, title=title) for title, file in others]
    chosen = st.navigation([home, *pages, named], position="top")
    go = st.session_state.pop("go", None)  # a saved view was asked for
    if go is not None:
        st.switch_page(next((page for page in (home, *pages) if page.url_path == go), home))
    return chosen


def run(page: Callable[[Engine, View], None]) -> None:
    """What each file in pages/ does as a script: draw its page inside the frame.

    Streamlit may run such a file alone, as in the days before st.navigation: then the frame comes first.
    """
    if not st.session_state.pop(FRAMED, False):
        main()
        return
    engine = current()
    view, _ = View.from_query(st.session_state["view"], engine.symbols)
    page(engine, view)
    notebook(engine, view, st.session_state["page"])


if __name__ == "__main__":
    main()
