"""Where messages go: services by `apprise`, configured by environment alone, their secrets shown nowhere."""

import logging
import random
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import apprise
from apprise.conversion import convert_between
from apprise.exception import AppriseException
from apprise.utils.http import HTTPPolicy

from alerts import addresses
from utils import logger
from utils.clock import US_PER_S, now_us
from utils.errors import SettingsError

LOG = logger.get("channels")

TITLE_CHARS = 250
BODY_CHARS = 3_000
CUT = " ... (cut)"
ROOM = 50  # characters left for what a service puts around
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 300.0
LONGEST_ASKED_S = 86_400.0  # a Retry-After beyond is not believed
AGAIN = {408, 425, 429}  # of the 4xx; the others do not go away by asking again
TYPES = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
}


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of one attempt."""

    ok: bool
    again: bool = True  # whether another attempt makes sense
    after_s: float = 0.0  # the service asked to wait so long
    detail: str = ""  # in few words, without secrets


class Channel:
    """One configured service.

    Raises
    ------
    SettingsError
        The address is none that `apprise` knows; it is not repeated, as it holds secrets.
    """

    def __init__(self, name: str, url: str, private: bool = False) -> None:
        self.name = name
        self._private = private
        service = _service(url)
        if service is None:
            raise SettingsError(f"PAIRSCOPE_CHANNELS: the address of {name!r} is none that apprise can use")
        self._service = service
        self.service = str(service.service_name or url.partition(":")[0])
        loaded = [module for key, module in sys.modules.items() if key.startswith("apprise.plugins.")]
        addresses.guard(loaded)

    @property
    def target(self) -> str:
        """Where it sends, as far as that is no secret: the kind of service."""
        schema = str(self._service.url(privacy=True)).partition(":")[0]
        return f"{schema}://***"

    def send(self, title: str, body: str, severity: str = "info") -> Sent:
        """Send one message; text that is too long is cut, with a note."""
        addresses.MINE.private, addresses.MINE.answer = self._private, None
        if not self._may_connect():
            return Sent(False, again=False, detail=addresses.REFUSED)
        try:
            ok = self._service.notify(
                notify_type=TYPES.get(severity, apprise.NotifyType.INFO), **self._formatted(title, body)
            )
        except (AppriseException, OSError, ValueError, TypeError) as exc:
            LOG.warning("channel %s failed: %s", self.name, type(exc).__name__)
            return Sent(False, detail=type(exc).__name__)
        return Sent(True) if ok else _judged(addresses.MINE.answer)

    def _formatted(self, title: str, body: str) -> dict[str, Any]:
        """Title and body in the markup of the service, escaped, and no longer than it takes.

        As `apprise` itself does it, which would send from threads of its own: a slow channel would hold up others.
        """
        service, plain = self._service, apprise.NotifyFormat.TEXT
        markup = service.resolve_format(plain)
        title = shortened(title, min(TITLE_CHARS, service.title_maxlen or TITLE_CHARS))
        if service.title_maxlen <= 0:  # it becomes a part of the body
            title = convert_between(plain, markup, title)
        room = max((service.body_maxlen or BODY_CHARS) - len(title) - ROOM, ROOM)
        limit = min(BODY_CHARS, room)
        text = convert_between(plain, markup, shortened(body, limit))
        while len(text) > room and limit > ROOM:  # escaping makes it longer
            limit = limit * room // len(text)
            text = convert_between(plain, markup, shortened(body, limit))
        return {"title": title, "body": text, "body_format": markup, "body_passthrough": False}

    def _may_connect(self) -> bool:
        """Whether the host of a service that does not speak HTTP may be connected to; HTTP is guarded as it goes."""
        if self._private or getattr(sys.modules[type(self._service).__module__], "requests", None) is not None:
            return True
        host = getattr(self._service, "smtp_host", None) or getattr(self._service, "host", None)
        if not host:
            return True  # the desktop, or a service with a host of its own
        try:
            policy = HTTPPolicy(address_filter=lambda address: addresses.is_allowed(address, False))
            return bool(policy.resolve(host, None))
        except OSError:
            return False


def _service(url: str) -> apprise.NotifyBase | None:
    logging.getLogger("apprise").disabled = True  # it logs addresses ...
    logging.getLogger("urllib3").setLevel(logging.INFO)  # ... and so does this one at DEBUG
    asset = apprise.AppriseAsset(
        app_id="Pairscope", app_desc="Pairscope", http_redirects=False, async_mode=False, secure_logging=True
    )
    try:
        with warnings.catch_warnings():  # its services ask for modules that later versions of Python do not have
            warnings.simplefilter("ignore", DeprecationWarning)
            service = apprise.Apprise.instantiate(url, asset=asset, suppress_exceptions=True)
    except (AppriseException, TypeError, ValueError):
        return None
    if service is not None:
        service.socket_connect_timeout = min(service.socket_connect_timeout, addresses.TIMEOUT_S)
        service.socket_read_timeout = addresses.TIMEOUT_S
    return service


def _judged(answer: addresses.Answer | None) -> Sent:
    """What a refusal means: to be tried again or not."""
    if answer is None:
        return Sent(False, detail="the service refused")
    if answer.error == "forbidden":
        return Sent(False, again=False, detail=addresses.REFUSED)
    if answer.status is None:
        return Sent(False, detail=answer.error)
    again = answer.status >= 500 or answer.status in AGAIN
    return Sent(False, again, asked_s(answer.retry_after), f"HTTP {answer.status}")


def asked_s(retry_after: str | None) -> float:
    """Seconds that a Retry-After asks for: a number, or a date; 0 where it says nothing that can be read."""
    if not retry_after:
        return 0.0
    try:
        seconds = float(retry_after)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(retry_after).timestamp() - now_us() / US_PER_S
        except (ValueError, TypeError, OverflowError):
            return 0.0
    return min(max(seconds, 0.0), LONGEST_ASKED_S) if seconds == seconds else 0.0


def pause_s(attempts: int, asked: float = 0.0, chance: float | None = None) -> float:
    """Seconds before the next attempt: doubled with each one made, spread by half, and at least what was asked."""
    chance = random.random() if chance is None else chance
    spread = 0.5 + chance
    return max(min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE_S) * spread, asked)


def shortened(text: str, limit: int) -> str:
    """Text of at most so many characters, with a note where some are missing; control characters become spaces."""
    clean = "".join(char if char.isprintable() or char == "\n" else " " for char in text)
    if len(clean) <= limit:
        return clean
    return clean[: max(limit - len(CUT), 0)] + CUT[-limit:] if limit else ""


def open_channels(addresses_of: Mapping[str, str], private: bool = False) -> dict[str, Channel]:
    """The configured channels by name.

    Raises
    ------
    SettingsError
    """
    return {name: Channel(name, url, private) for name, url in addresses_of.items()}
