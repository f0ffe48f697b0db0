"""What stands before every route, pages and streams included: who may ask, under which name, from which page.

    peer    behind a proxy that knows its users, only that proxy is answered (and this machine itself)
    host    the name in the address must be ours: a page of another name that resolves to us reads nothing (rebinding)
    origin  what changes something, and every websocket, must come from a page of ours or from no page
    size    a body beyond what any call needs is not read

Tokens are asked for in `api.app`, people in `dashboard.login`.
"""

import ipaddress
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from utils import logger

LOG = logger.get("guard")
SAFE = ("GET", "HEAD", "OPTIONS")  # these change nothing
MOST_BYTES = 16 << 20  # of the body of a call of the API
UPLOADS = "/_stcore/upload_file"  # where Streamlit takes files; it holds one in memory
MOST_UPLOAD = 100 << 20  # bytes; .streamlit/config.toml holds a body of untold length to the same
HEADERS = {  # of every answer; pages show frames of their own, nobody else's pages show ours
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "SAMEORIGIN",
    "Content-Security-Policy": "frame-ancestors 'self'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
}
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is not answered."""

    status: int
    code: str
    message: str


class Guard:
    """An ASGI application around another one.

    Parameters
    ----------
    hosts : names under which the server may be reached, beside `localhost` and addresses
    proxies : addresses or networks that are answered, beside this machine; none = all
    """

    def __init__(self, app: ASGIApp, hosts: Iterable[str] = (), proxies: Iterable[str] = ()) -> None:
        self._app = app
        self._hosts = frozenset({"localhost", *(host.lower().rstrip(".") for host in hosts)})
        self._proxies = tuple(ipaddress.ip_network(proxy) for proxy in proxies)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        refusal = self.judge(scope)
        if refusal is not None:
            LOG.warning("refused %s: %s", scope.get("path", "")[:80], refusal.message)
            await _refuse(refusal, scope, receive, send)
            return

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, answer)

    def judge(self, scope: Scope) -> Refusal | None:
        """Why this request is not answered; None if it is."""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not _is_from(scope, self._proxies):
            return Refusal(403, "not_the_proxy", "only the proxy of this server may ask it")
        if len(headers.getlist("host")) != 1 or not is_ours(host, self._hosts):
            text = f"{host[:80]!r} is not a name of this server: PAIRSCOPE_ALLOWED_HOSTS lists further ones"
            return Refusal(421, "unknown_host", text)
        if not self._is_own_page(scope, headers, host):
            return Refusal(403, "foreign_page", "a page of another server asks for this")
        return _too_large(scope, headers)

    def _is_own_page(self, scope: Scope, headers: Headers, host: str) -> bool:
        """Whether a request that may change something comes from a page of ours, or from no browser."""
        if scope["type"] == "http" and scope["method"] in SAFE:
            return True  # other pages can send these, and read nothing of the answer
        origin = headers.get("origin")
        if origin is None:
            return headers.get("sec-fetch-site", "none") in ("none", "same-origin")
        parts = urlsplit(origin)
        return parts.netloc.lower() == host.lower() or (parts.hostname or "") in self._hosts - {"localhost"}


def is_ours(host: str, names: Collection[str]) -> bool:
    """Whether a `Host` header names this server. An address does always: no name was resolved, so none can lie."""
    try:
        parts = urlsplit(f"//{host}")
        name, _ = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return False
    if parts.netloc != host or "@" in host or not name:
        return False
    return name in names or _is_address(name)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_from(scope: Scope, proxies: tuple[Network, ...]) -> bool:
    """Whether the other end of the connection is one that is answered."""
    client = scope.get("client")
    if not proxies or client is None:  # a socket of the file system has no other end with an address
        return True
    try:
        address = ipaddress.ip_address(client[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    address = mapped or address
    return address.is_loopback or any(address in network for network in proxies)


def _too_large(scope: Scope, headers: Headers) -> Refusal | None:
    """Bodies of the API are small, one without a length is not read; files for a page may be larger."""
    if scope["type"] != "http" or not scope["path"].startswith(("/api", UPLOADS)):
        return None
    length = headers.get("content-length", "0")
    if scope["path"].startswith(UPLOADS):
        if length.isascii() and length.isdigit() and int(length) > MOST_UPLOAD:
            text = f"an upload may have {MOST_UPLOAD} bytes, has {int(length)}: import larger files by their path"
            return Refusal(413, "too_large", text)
        return None
    if "chunked" in headers.get("transfer-encoding", "") or not (length.isascii() and length.isdigit()):
        return Refusal(411, "length_required", "the length of the body must be told")
    if int(length) > MOST_BYTES:
        return Refusal(413, "too_large", f"the body may have {MOST_BYTES} bytes, has {int(length)}")
    return None


async def _refuse(refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "websocket":  # not accepted: the browser sees a failed handshake
        await receive()
        await send({"type": "websocket.close", "code": 1008, "reason": refusal.message[:120]})
        return
    body = {"error": {"code": refusal.code, "message": refusal.message, "details": {}}}
    await JSONResponse(body, refusal.status, headers=HEADERS)(scope, receive, send)
