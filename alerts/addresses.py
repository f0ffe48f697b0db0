"""Which addresses a message may be sent to: public ones, over HTTP with its address pinned and no redirects.

A name is resolved once, every answer is judged, and the connection goes to that very answer, so that a name that
answers differently the next time leads nowhere. Redirects and proxies of the environment are not followed.
"""

import threading
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import requests
from apprise.utils.http import HTTPPolicy, HTTPPolicySession, is_public_ip_address

TIMEOUT_S = 10.0
MOST_BYTES = 64 << 10  # of an answer that are read
REFUSED = "the address is not public: PAIRSCOPE_NOTIFY_PRIVATE=1 allows it"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the last request of a thread came to."""

    status: int | None = None
    retry_after: str | None = None
    error: str = ""  # the kind of error, never its text: addresses hold secrets


class _Mine(threading.local):
    """What this thread may do, and what came of it."""

    private = False  # whether addresses that are not public are allowed
    answer: Answer | None = None


MINE = _Mine()


def is_allowed(address: str, private: bool) -> bool:
    """Whether an IP address may be connected to."""
    return private or is_public_ip_address(address)


class GuardedRequests:
    """Stands in for the module `requests` where messages are sent: the same calls, guarded, and noted in MINE."""

    def __getattr__(self, name: str) -> Any:
        return getattr(requests, name)

    def request(self, method: str, url: str, **options: Any) -> requests.Response:
        """One request, without redirects; what came of it is in MINE.answer.

        Raises
        ------
        requests.RequestException
        """
        MINE.answer = Answer(error="refused")
        options |= {"allow_redirects": False, "timeout": TIMEOUT_S, "stream": True}
        refused: list[str] = []

        def judge(address: str) -> bool:
            if not is_allowed(address, MINE.private):
                refused.append(address)
                return False
            return True

        with HTTPPolicySession(HTTPPolicy(address_filter=judge, resolve_timeout=TIMEOUT_S / 2)) as session:
            try:
                response = session.request(method, url, **options)
                _read(response)
            except requests.RequestException as exc:
                MINE.answer = Answer(error="forbidden" if refused else type(exc).__name__)
                raise
        MINE.answer = Answer(response.status_code, response.headers.get("Retry-After"))
        return response

    def get(self, url: str, **options: Any) -> requests.Response:
        """A GET; see `request`."""
        return self.request("GET", url, **options)

    def post(self, url: str, data: Any = None, json: Any = None, **options: Any) -> requests.Response:
        """A POST; see `request`."""
        return self.request("POST", url, data=data, json=json, **options)

    def put(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        """A PUT; see `request`."""
        return self.request("PUT", url, data=data, **options)

    def patch(self, url: str, data: Any = None, **options: Any) -> requests.Response:
        """A PATCH; see `request`."""
        return self.request("PATCH", url, data=data, **options)

    def delete(self, url: str, **options: Any) -> requests.Response:
        """A DELETE; see `request`."""
        return self.request("DELETE", url, **options)

    def head(self, url: str, **options: Any) -> requests.Response:
        """A HEAD; see `request`."""
        return self.request("HEAD", url, **options)

    def Session(self) -> "GuardedRequests":  # noqa: N802 - as the module names it
        """A session that keeps nothing."""
        return self

    def __enter__(self) -> "GuardedRequests":
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def close(self) -> None:
        """Nothing is kept open."""


def _read(response: requests.Response) -> None:
    """Read the beginning of an answer; the rest of a long one is not worth waiting for."""
    response._content = next(response.iter_content(MOST_BYTES), b"")
    response.close()


def guard(modules: list[ModuleType]) -> None:
    """Have these modules send through the guard, for good; modules that never send by `requests` stay as they are."""
    for module in modules:
        if getattr(module, "requests", None) is not None:
            module.requests = GUARDED  # type: ignore[attr-defined]


GUARDED = GuardedRequests()
