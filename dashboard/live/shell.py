"""What a browser loads before a page is there: its styles, its first chart, then Streamlit's scripts.

Four fifths of the time to a whole page are the browser's work on some hundred scripts of Streamlit, which the first
chart does not need: they wait until it is drawn, see first.py. Half of them the browser would learn of only when a page
names a widget; the shell names them all, so that they come while it is busy with the others. And they are kept in
memory: reading one from the disk costs the server longer than sending it.
"""

import gzip
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path

import streamlit
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard import theme
from dashboard.live import first
from dashboard.live.files import text
from dashboard.live.library import LIBRARY_URL, packed_library

STATIC = Path(streamlit.__file__).parent / "static"
SCRIPTS = STATIC / "static" / "js"
# What every page of ours shows, as Streamlit names the scripts of it.
SHOWN = (
    "BidiComponent",
    "Button",
    "ButtonGroup",
    "Checkbox",
    "DownloadButton",
    "Html",
    "Multiselect",
    "NumberInput",
    "Selectbox",
    "TextInput",
)
IMPORTED = re.compile(r'(?:import|from)\s*"\./([\w.-]+\.js)"')
MODULES = re.compile(r'<script type="module"[^>]*></script>|<link rel="modulepreload"[^>]*>')
LIBRARY = f'<script async src=".{LIBRARY_URL}" onerror="this.remove()"></script>'  # see `library` in chart.js
STYLE = f"<style>{theme.css()}\n{text('../style.css', 'chart.css', 'frame.css')}</style>"
MOST_BYTES = 16 << 20  # of scripts and styles kept, which are 6 MB for all of our pages
PARTIAL = ("range", "if-none-match", "if-modified-since", "if-range")  # asks for something else than the whole file
Kept = tuple[Message, ...]


@cache
def scripts() -> tuple[str, ...]:
    """Names of the scripts that all pages need and that the shell of Streamlit does not name."""
    known = (STATIC / "index.html").read_text(encoding="utf-8")
    found: dict[str, None] = {}
    waiting = [path.name for name in SHOWN for path in SCRIPTS.glob(f"{name}.*.js")]
    while waiting:
        name = waiting.pop(0)
        if name not in found:
            found[name] = None
            waiting += IMPORTED.findall((SCRIPTS / name).read_text(encoding="utf-8"))
    return tuple(name for name in found if name not in known)


def links() -> str:
    """The lines of the shell's head that name them."""
    return "".join(f'<link rel="modulepreload" crossorigin href="./static/js/{name}">' for name in scripts())


def prepare() -> None:
    """Work out what the first page would have to wait for otherwise."""
    scripts()
    packed_library()


def linked(page: str, begin: str) -> str:
    """A page of Streamlit with our styles, and our lines in its head; its scripts wait for a chart that they begin.

    The styles stand at the end of the body, and so have the last word, as they had in an element of the page.
    """
    if not MODULES.search(page):  # one of ours, such as the documentation of the API
        return page
    page = page.replace("</head>", f"{links()}</head>", 1).replace("</body>", f"{STYLE}</body>", 1)
    if not begin:
        return page.replace("</head>", f"{LIBRARY}</head>", 1)
    rest = "".join(MODULES.findall(page))
    return MODULES.sub("", page).replace("<head>", f'<head>{LIBRARY}{begin}<template id="ps-rest">{rest}</template>', 1)


class Shell:
    """An ASGI application around Streamlit's; `begin` gives the lines that begin the first chart of a page."""

    def __init__(self, app: ASGIApp, begin: Callable[[HTTPConnection], str] = first.head) -> None:
        self._app, self._begin = app, begin
        self._kept: dict[tuple[str, bool], Kept] = {}
        self._bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "GET":
            await self._app(scope, receive, send)
        elif scope["path"].startswith("/static/"):
            await self._file(scope, receive, send)
        else:
            await self._app(scope, receive, _Linking(send, lambda: self._begin(HTTPConnection(scope))))

    async def _file(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A whole file from memory, where it was asked for before."""
        headers = Headers(scope=scope)
        key = scope["path"], "gzip" in headers.get("accept-encoding", "")
        if any(name in headers for name in PARTIAL):
            await self._app(scope, receive, send)
            return
        if key not in self._kept:
            said: list[Message] = []

            async def note(message: Message) -> None:
                said.append(message)

            await self._app(scope, receive, note)
            self._keep(key, tuple(said))
            for message in said:
                await send(message)
            return
        for message in self._kept[key]:
            await send(message)

    def _keep(self, key: tuple[str, bool], said: Kept) -> None:
        size = sum(len(message.get("body", b"")) for message in said)
        if said and said[0].get("status") == 200 and self._bytes + size <= MOST_BYTES and key not in self._kept:
            self._kept[key] = said
            self._bytes += size


class _Linking:
    """Sends an answer on; of a page, with lines of ours at the beginning and the end of its head."""

    def __init__(self, send: Send, begin: Callable[[], str]) -> None:
        self._send, self._begin = send, begin
        self._start: Message | None = None
        self._body = b""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start" and _is_page(message):
            self._start = message
        elif self._start is None or message["type"] != "http.response.body":
            await self._send(message)
        else:
            self._body += message.get("body", b"")
            if not message.get("more_body", False):
                await self._linked(self._start)

    async def _linked(self, start: Message) -> None:
        headers = MutableHeaders(raw=list(start["headers"]))
        packed = "content-encoding" in headers
        page = gzip.decompress(self._body) if packed else self._body
        page = linked(page.decode(), self._begin()).encode()
        body = gzip.compress(page, mtime=0) if packed else page
        headers["content-length"] = str(len(body))
        for name in ("etag", "last-modified"):  # of the file, which this is not
            if name in headers:
                del headers[name]
        await self._send({**start, "headers": headers.raw})
        await self._send({"type": "http.response.body", "body": body})


def _is_page(start: Message) -> bool:
    """Whether an answer is the whole of a page, as it stands or packed as browsers ask for."""
    headers = Headers(raw=start["headers"])
    return (
        start["status"] == 200
        and headers.get("content-type", "").startswith("text/html")
        and headers.get("content-encoding", "gzip") == "gzip"
    )
