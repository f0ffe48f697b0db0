"""What browsers run: files of this folder as texts, and the addresses of what they load by themselves."""

from hashlib import blake2b
from pathlib import Path

HERE = Path(__file__).parent


def text(*names: str) -> str:
    """Files of this folder, one after the other."""
    return "\n".join((HERE / name).read_text(encoding="utf-8") for name in names)


def digest(content: str) -> str:
    """What stands in an address, so that another content has another one."""
    return blake2b(content.encode(), digest_size=6).hexdigest()


LIVE_JS = text("follow.js", "quick.js", "chart.js", "panel.js", "frame.js")
LIVE_URL = f"/live/live.js?v={digest(LIVE_JS)}"
