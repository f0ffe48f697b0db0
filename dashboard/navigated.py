"""Tells Streamlit, before the first browser tab opens, that pages come from st.navigation alone."""

from streamlit.runtime.pages_manager import PagesManager


def navigated_only() -> None:
    """Once a process, before the first run.

    Until st.navigation was called for the first time, Streamlit takes a folder named pages/ for pages of the old kind
    and names widgets after their page. The first run of a process would name them in that way and the second run in the
    other: at the first click every choice would fall back to the least value of its widget.
    """
    PagesManager.uses_pages_directory = False
