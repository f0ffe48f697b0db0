"""How often one client may ask: so many requests a minute, then 429 with the time to wait.

A script gone wild must not take the processor from the capture.
"""

import math

from limits import RateLimitItemPerMinute
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import FixedWindowRateLimiter
from starlette.types import ASGIApp, Receive, Scope, Send

from api.answers import error
from utils.clock import US_PER_S, now_us


class RateLimit:
    """Passes on what a client asks, up to `per_minute` requests in a minute that begins with its first.

    One counter a client. A window that slides would let no burst of two minutes' worth through, but its time to wait
    is a guess in this library, and a client that waits as told must not be refused again.
    """

    def __init__(self, app: ASGIApp, per_minute: int) -> None:
        self._app = app
        self._limit = RateLimitItemPerMinute(per_minute)
        self._limiter = FixedWindowRateLimiter(MemoryStorage())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or await self._limiter.hit(self._limit, client := _client(scope)):
            await self._app(scope, receive, send)
            return
        wait_s = await self._wait_s(client)
        message = f"at most {self._limit.amount} requests a minute; ask again in {wait_s} s"
        refused = error(429, "too_many_requests", message, limit=self._limit.amount, retry_after_s=wait_s)
        refused.headers["Retry-After"] = str(wait_s)
        await refused(scope, receive, send)

    async def _wait_s(self, client: str) -> int:
        """Whole seconds until there is room again."""
        reset_s = (await self._limiter.get_window_stats(self._limit, client)).reset_time
        return max(1, math.ceil(round(reset_s - now_us() / US_PER_S, 3)))  # floats of today resolve a microsecond


def _client(scope: Scope) -> str:
    """The address a request comes from."""
    return scope["client"][0] if scope.get("client") else "local"
