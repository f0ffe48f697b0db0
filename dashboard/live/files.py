"""What browsers run: files of this folder as texts, and the module of the panels with its address."""

from hashlib import blake2b
from pathlib import Path

HERE = Path(__file__).parent


def text(*names: str) -> str:
    """Files of this folder, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


PANEL_JS = text("follow.js", "panel.js")
PANEL_URL = f"/live/panel.js?v={blake2b(PANEL_JS.encode(), digest_size=6).hexdigest()}"
