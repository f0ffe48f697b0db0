"""What the exchange answers from here: name, clock, symbols, history, and the streams, where an answer is data.

Whatever a websocket is asked for is acknowledged, by a wrong route and for a wrong name too. So each stream that
Pairscope would follow is opened as Pairscope opens it, and listened to until every symbol has been heard.
"""

import socket
import urllib.request
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import websocket

import config
from data.feeds.binance import MARKETS, QUOTES, Decoded, Market, decode, stream_name, stream_url
from data.feeds.book_ticker import decode_quotes
from data.feeds.connection import Connection, ending_of
from data.feeds.rest import Rest
from operations.finding import Finding, fail, note, ok
from utils.clock import US_PER_S, monotonic_s, now_us
from utils.errors import FeedBlocked, FeedError, FeedPaused

OFFSET_NOTE_S, OFFSET_FAIL_S = 1.0, 30.0  # of our clock against the exchange's; beyond, TLS and 48 h of history suffer
CLOCK_LOOKS = 3  # the quickest of them is the best
LIST = '{"method":"LIST_SUBSCRIPTIONS","id":1}'  # anything that is acknowledged
DEMO = "until then python run.py shows the demo market"
PORTS = {"wss": 443, "https": 443, "ws": 80, "http": 80}


@dataclass(slots=True)
class Heard:
    """What one connection said."""

    opened: bool = False
    acks: int = 0
    first_s: dict[str, float] = field(default_factory=dict)  # symbol -> seconds until its first row
    last_id: dict[str, int] = field(default_factory=dict)  # of trades
    complaint: str = ""
    ended: str = ""  # why it ended, if it did
    blocked: bool = False


def exchange(settings: config.Settings) -> Iterator[Finding]:
    """Everything the exchange is needed for; nothing is asked where the source is a simulation or a recording."""
    if settings.source in ("demo", "replay"):
        yield ok("exchange", f"not needed: the source is {settings.source}")
        return
    market = MARKETS["binance-um" if settings.source == "auto" else settings.source]
    ws_url, rest_url = settings.ws_base(market.venue), settings.rest_base(market.venue)
    network = list(_network(ws_url, rest_url))
    yield from network
    if all(finding.mark == "FAIL" for finding in network):
        yield note("exchange", f"clock, symbols, history and streams were not tried: no network; {DEMO}")
        return
    stream = settings.stream if settings.stream in market.pages else next(iter(market.pages))
    with closing(_Asked(Rest(market, rest_url, stream))) as asked:
        yield from asked.about("clock", _clock)
        yield from asked.about("symbols", lambda rest: _symbols(rest, settings.symbols))
        heard = yield from _streams(market, ws_url, settings)
        if settings.stream not in market.pages:
            yield note("history", f"missing trades of {settings.stream} cannot be asked for again", "use aggTrade")
        elif heard.last_id:
            yield from asked.about("history", lambda rest: _history(rest, *next(iter(heard.last_id.items()))))


# --- network ----------------------------------------------------------------------------------------


def _network(*urls: str) -> Iterator[Finding]:
    """Whether the hosts can be reached at all."""
    proxies = urllib.request.getproxies()
    for host, port in dict.fromkeys(_endpoint(url) for url in urls):
        via = next((proxies[kind] for kind in ("https", "http") if kind in proxies), "")
        if via and not urllib.request.proxy_bypass(host):
            yield ok("network", f"{host} is reached over the proxy {_bare(via)}")
        else:
            yield _reach(host, port)


def _endpoint(url: str) -> tuple[str, int]:
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


def _bare(url: str) -> str:
    """Host and port of a proxy, without user and password."""
    return urlsplit(url).netloc.rpartition("@")[2] or "that is configured"


def _reach(host: str, port: int) -> Finding:
    began_s = monotonic_s()
    try:
        with socket.create_connection((host, port), timeout=5):
            return ok("network", f"{host}:{port} answers in {(monotonic_s() - began_s) * 1e3:.0f} ms")
    except socket.gaierror:
        return fail("network", f"the name {host} cannot be resolved: no network, or no DNS", "connect this machine")
    except OSError as exc:
        todo = "allow it in the firewall, or set a proxy in HTTPS_PROXY"
        return fail("network", f"{host}:{port} cannot be reached: {exc.strerror or exc}", todo)


# --- REST -------------------------------------------------------------------------------------------


class _Asked:
    """REST, of which nothing more is asked once it has refused."""

    def __init__(self, rest: Rest) -> None:
        self._rest, self._refused = rest, False

    def about(self, name: str, check: Callable[[Rest], Iterator[Finding]]) -> Iterator[Finding]:
        """What a check finds, or why there is no answer."""
        if self._refused:
            return
        try:
            yield from check(self._rest)
        except (FeedBlocked, FeedPaused) as exc:
            self._refused = True
            todo = "run Pairscope where the exchange may be used" if isinstance(exc, FeedBlocked) else "wait as long"
            yield fail(name, str(exc), f"{todo}; {DEMO}")
        except FeedError as exc:
            yield fail(name, str(exc), "try again later, and look at the proxy or firewall")

    def close(self) -> None:
        """Hang up."""
        self._rest.hang_up()


def _clock(rest: Rest) -> Iterator[Finding]:
    """How far this clock is off, and how well that is known: half the time of a round trip."""
    looks = []
    for _ in range(CLOCK_LOOKS):
        began_us, began_s = now_us(), monotonic_s()
        theirs_us = rest.clock_us()
        trip_s = monotonic_s() - began_s
        looks.append((trip_s, (began_us - theirs_us) / US_PER_S + trip_s / 2))
    trip_s, offset_s = min(looks)
    text = f"{abs(offset_s):.3f} s {'ahead of' if offset_s > 0 else 'behind'} the exchange (+- {trip_s / 2:.3f} s)"
    if abs(offset_s) > OFFSET_FAIL_S:
        yield fail("clock", text, "set the clock, and let NTP keep it")
    elif abs(offset_s) > OFFSET_NOTE_S:
        yield note("clock", f"{text}: ages and lags are wrong by as much", "let NTP keep the clock")
    else:
        yield ok("clock", text)


def _symbols(rest: Rest, wanted: tuple[str, ...]) -> Iterator[Finding]:
    """Whether the exchange trades what is followed: a wrong name would be acknowledged, and stay silent."""
    trading = rest.listing().trading
    missing = [symbol for symbol in wanted if symbol not in trading]
    if missing:
        yield fail("symbols", f"not traded there: {', '.join(missing[:5])}", "correct PAIRSCOPE_SYMBOLS")
    else:
        yield ok("symbols", f"all {len(wanted)} trade there, of {len(trading)}")


def _history(rest: Rest, symbol: str, last_id: int) -> Iterator[Finding]:
    """Whether a trade that was just heard can be asked for again, as missing ones are."""
    found = rest.trades(symbol, last_id, 1)
    if len(found) and int(found.trade_id[0]) == last_id:
        yield ok("history", f"missing trades can be fetched: {symbol} {last_id} came a second time")
    else:
        yield fail(
            "history", f"{symbol} {last_id} was heard, but cannot be fetched", "gaps will stay; see its REST URL"
        )


# --- streams ----------------------------------------------------------------------------------------


def _streams(market: Market, base: str, settings: config.Settings) -> Generator[Finding, None, Heard]:
    """Whether data comes on every stream that would be followed; returns what that of trades said."""
    found = {}
    for stream in (settings.stream, QUOTES) if settings.quotes else (settings.stream,):
        url = stream_url(base, market, [stream_name(symbol, stream) for symbol in settings.symbols])
        found[stream] = listen(url, settings.symbols, stream, settings.live_deadline_s)
        yield judge(market.route(stream) or "/", found[stream], settings, stream)
    return found[settings.stream]


def listen(url: str, symbols: tuple[str, ...], stream: str, wait_s: float) -> Heard:
    """Open one address and listen until every symbol has been heard, at most `wait_s`."""
    heard, link = Heard(), Connection()
    try:
        link.dial(url, wait_s)
        heard.opened, began_s = True, monotonic_s()
        link.request([LIST])
        while len(heard.first_s) < len(symbols) and (now_s := monotonic_s()) - began_s < wait_s:
            link.pump(now_s)
            _take(_read(link.receive(), stream), symbols, heard, monotonic_s() - began_s)
    except (FeedError, OSError, websocket.WebSocketException) as exc:
        ending = ending_of(exc, url)
        heard.ended, heard.blocked = ending.detail, ending.blocked
    finally:
        link.close()
    return heard


def _read(messages: list[bytes], stream: str) -> Decoded:
    return decode_quotes(messages, now_us()) if stream == QUOTES else decode(messages, stream)


def _take(batch: Decoded, symbols: tuple[str, ...], heard: Heard, at_s: float) -> None:
    heard.acks += batch.acks
    heard.complaint = next(iter(batch.errors), heard.complaint)
    for rows in (*batch.trades, *batch.quotes):
        if rows.symbol in symbols:
            heard.first_s.setdefault(rows.symbol, at_s)
    for trades in batch.trades:
        heard.last_id[trades.symbol] = int(trades.trade_id[-1])


def judge(route: str, heard: Heard, settings: config.Settings, stream: str) -> Finding:
    """What it means that a connection said this."""
    name, stream = "stream", f"{stream} on {route}"
    wait_s, silent = settings.live_deadline_s, [s for s in settings.symbols if s not in heard.first_s]
    if not heard.opened:
        todo = "run Pairscope where the exchange may be used" if heard.blocked else "look at the proxy or firewall"
        return fail(name, heard.ended, f"{todo}; {DEMO}")
    if not silent:
        return ok(name, f"{stream} of all {len(settings.symbols)} symbols within {max(heard.first_s.values()):.1f} s")
    if heard.first_s:
        text = f"{stream} comes, but {', '.join(silent[:5])} stayed silent for {wait_s:g} s"
        return note(name, text, "they may trade seldom: see whether `symbols` above is ok")
    return fail(name, _why_silent(heard, stream, wait_s), "unset PAIRSCOPE_WS_URL, and look at the symbols above")


def _why_silent(heard: Heard, stream: str, wait_s: float) -> str:
    if heard.ended:
        return f"connected, then: {heard.ended}"
    if heard.complaint:
        return f"connected, but the exchange says: {heard.complaint}"
    if heard.acks:
        return f"connected and acknowledged, but silent: no {stream} within {wait_s:g} s; an answer is not data"
    return f"connected, but nothing came within {wait_s:g} s, not even an acknowledgement: is it the exchange?"
