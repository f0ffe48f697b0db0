"""The first chart of a page, begun by the shell, while Streamlit's own start, which it does not need, goes on.

The head of the shell names the figure that the page is about to show. The chart is drawn about where it will stand, and
follows; the component of the page takes it over as it is (`begin` and `take` in chart.js), so that nothing is read or
drawn twice.
"""

import json
from collections.abc import Callable, Mapping

from starlette.requests import HTTPConnection

from dashboard.charts import overview, pair, signals, tape
from dashboard.live.figures import followed
from dashboard.live.files import LIVE_URL, text
from dashboard.login import may_read
from dashboard.theme import DARK, FONT, LIGHT
from dashboard.view import View
from engine import current
from utils.errors import PairscopeError

LONGEST_MS = 4_000  # that a page waits for its first chart
# By the path of the page: its first live chart, the height of that, and the share that it has of the width.
FIRST: Mapping[str, tuple[str, Callable[[View], int], float]] = {
    "/": ("candles", lambda view: overview.candles_height(view.indicators), 1.0),
    "/pair": ("pair", lambda view: pair.HEIGHT, 0.714),
    "/microstructure": ("tape", lambda view: tape.HEIGHT, 0.714),
    "/signals": ("signals", lambda view: signals.HEIGHT, 0.63),
}
# Streamlit's variables, which the shell does not have yet.
VARIABLES = "".join(
    f"--st-{name}:light-dark({light},{dark});"
    for name, light, dark in (
        ("background-color", LIGHT.ground, DARK.ground),
        ("text-color", LIGHT.text, DARK.text),
        ("orange-color", LIGHT.attention, DARK.attention),
        ("red-color", LIGHT.down, DARK.down),
    )
)
STYLE = f":root.ps-begun{{{VARIABLES}--st-font:{FONT}}}{text('first.css')}"
BEGIN = f"""
const late = new Promise((resolve) => {{ setTimeout(resolve, %d); }});
const begun = import("{LIVE_URL}").then(({{ begin }}) => begin(%s)).catch(() => {{}});
Promise.race([begun, late]).then(() => document.head.append(document.getElementById("ps-rest").content));
"""


def head(page: HTTPConnection) -> str:
    """The lines of a head that begin the first chart of a page; none where it has none, or nobody may see it.

    What is in the template `ps-rest` comes to life when the chart is drawn, and after `LONGEST_MS` without it.
    """
    try:
        engine = current()
    except PairscopeError:
        return ""
    path = page.scope["path"]
    if path not in FIRST or not may_read(engine, page.cookies):
        return ""
    name, height, share = FIRST[path]
    view, _ = View.from_query(page.query_params, engine.symbols)
    data = json.dumps(followed(name, view, height(view))).replace("<", "\\u003c")
    style = f"{STYLE}.ps-first{{--ps-share:{share}}}"
    return f"<style>{style}</style><script type=module>{BEGIN % (LONGEST_MS, data)}</script>"
