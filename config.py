"""Settings: every option with its unit, default, environment name and effect, read once at start.

Each option of the class is the environment variable PAIRSCOPE_<NAME>; a `.env` file beside this one is read
too, and the environment wins. The constants above the class are the ones people expect to edit.
"""

import importlib.util
import inspect
import ipaddress
import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from utils.errors import SettingsError

ROOT = Path(__file__).resolve().parent

# --- what a user may want to edit -------------------------------------------------------------

DEFAULT_SYMBOLS = ("BTCUSDT", "ETHUSDT")
TIMEFRAMES = ("1s", "5s", "15s", "1m", "5m", "15m", "1h")  # offered in the sidebar; any other may be typed
DEFAULT_TIMEFRAME = "1s"
ROLLING_WINDOWS = (30, 60, 120, 300)  # bars, offered in the sidebar; any other may be typed
DEFAULT_WINDOW = 60  # bars
ENTRY_Z = 2.0  # |z| at which a spread counts as stretched
EXIT_Z = 0.5  # |z| at which it counts as back
STOP_Z = 4.0  # |z| at which a trade on its return is given up
MIN_BARS_ANALYTICS = 30  # closed bars before spread statistics other than z are shown
MIN_BARS_COINTEGRATION = 100  # closed bars before a cointegration test is run
TEST_BARS = 500  # newest closed bars on which tests and half-life are computed
SESSION_BARS = 288  # bars watched after each calibration of a pair
FEE_BPS = 5.0  # of one fill, hundredths of a percent of its notional: what the exchange's futures ask of a taker
NOTIONAL = 10_000.0  # of the y leg, quote currency: the size whose round trip is priced
CHART_BARS = 600  # newest bars drawn
ANALYSIS: dict[str, Any] = {  # what every analysis of a pair is told beside window, method and thresholds
    "test_bars": TEST_BARS,
    "session_bars": SESSION_BARS,
    "min_bars": MIN_BARS_ANALYTICS,
    "min_bars_coint": MIN_BARS_COINTEGRATION,
}
REFRESH_S = 1.0  # seconds between refreshes of a page

# --- the rest follows from the exchange and from measurements -----------------------------------

MAX_SYMBOLS = 1_000
LOGIN_FILE = ROOT / ".streamlit" / "secrets.toml"
HOST_NAME = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
CHANNEL_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,31}")
SECRET = ("api_token", "channels", "heartbeat_url")  # their values are never repeated
WS_HOSTS = {"binance-um": "wss://fstream.binance.com", "binance-spot": "wss://stream.binance.com:9443"}
REST_HOSTS = {"binance-um": "https://fapi.binance.com", "binance-spot": "https://api.binance.com"}

Source = Literal["auto", "binance-um", "binance-spot", "demo", "replay"]


def clean_symbol(text: str) -> str:
    """A symbol in upper case.

    Raises
    ------
    ValueError
        Not 1 to 32 letters, digits or underscores (letters of any script: the exchange lists such symbols).
    """
    symbol = text.strip().upper()
    if not 1 <= len(symbol) <= 32 or not all(char.isalnum() or char == "_" for char in symbol):
        raise ValueError(f"symbol must be 1 to 32 letters, digits or underscores, was {text[:40]!r}")
    return symbol


def _check_url(value: str, schemes: tuple[str, ...]) -> str:
    parts = urlsplit(value)
    if parts.scheme not in schemes or not parts.hostname:
        raise ValueError(f"must be a URL beginning with {' or '.join(s + '://' for s in schemes)}")
    return value.rstrip("/")


def read_channels(text: str) -> dict[str, str]:
    """Names and addresses of channels from `name=url` pairs, by spaces or line ends.

    Raises
    ------
    ValueError
        Without any address, as they hold secrets.
    """
    channels: dict[str, str] = {}
    for place, part in enumerate(text.split(), 1):
        name, _, url = part.partition("=")
        if not CHANNEL_NAME.fullmatch(name) or name == "screen" or "://" not in url:
            raise ValueError(f"entry {place} must be name=scheme://..., the name of up to 32 letters and digits")
        if name in channels:
            raise ValueError(f"the name {name!r} is given twice")
        channels[name] = url
    return channels


def login_lacks(file: Path) -> str:
    """What the login of the pages lacks, as a sentence; empty where nothing is missing.

    `file` is where Streamlit looks for secrets; what is in it is never repeated.
    """
    try:
        found = tomllib.loads(file.read_text("utf-8")).get("auth", {})
    except (OSError, ValueError) as exc:
        return f"oidc needs {file}, which cannot be read: {type(exc).__name__}"
    missing = [name for name in ("redirect_uri", "cookie_secret") if not found.get(name)]
    if missing:
        return f"oidc needs {' and '.join(missing)} under [auth] in .streamlit/secrets.toml"
    if len(str(found["cookie_secret"])) < 32:
        return "oidc needs a cookie_secret of at least 32 characters: it signs who is signed in"
    if importlib.util.find_spec("authlib") is None:
        return "oidc needs a further package: .venv/bin/pip install 'Authlib>=1.3.2'"
    return ""


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """Everything a run can be told. Frozen; build it with `load()`."""

    model_config = SettingsConfigDict(
        env_prefix="PAIRSCOPE_",
        env_file=ROOT / ".env",
        extra="ignore",
        frozen=True,
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    # Where trades come from. auto = binance-um, or the demo market where the exchange cannot be reached.
    source: Source = "auto"
    # Instruments to follow, comma separated in the environment.
    symbols: Annotated[tuple[str, ...], NoDecode] = DEFAULT_SYMBOLS
    # Aggregate trades (ids without holes, so completeness can be proved) or raw trades.
    stream: Literal["aggTrade", "trade"] = "aggTrade"
    # Whether best bid and ask are asked of the exchange too, over a second connection: hundreds a second for a busy
    # symbol, kept in memory only. The demo market, and recordings that hold them, show them anyway.
    quotes: bool = False
    # Scheme, host, port and path prefix of the exchange; empty = Binance's own for the source.
    ws_url: str = ""
    rest_url: str = ""
    # SQLite file that mirrors the tape; its folder is made.
    database: Path = ROOT / "var" / "pairscope.db"
    # Days that stored trades are kept, by their own time (a recording's too); 0 = for ever. Bars are kept.
    retention_days: float = Field(0.0, ge=0, le=36_500)
    # Size of the database, in 10^9 bytes, from which on the oldest stored trades are deleted; 0 = no limit.
    retention_gb: float = Field(0.0, ge=0, le=1_000_000)
    # Recordings to replay, comma separated; needs source = replay.
    replay: Annotated[tuple[Path, ...], NoDecode] = ()
    # Replay speed: 1 = as recorded, 20 = twenty times faster, 0 = as fast as possible.
    speed: float = Field(1.0, ge=0, le=1_000_000)
    # Whether to record what the market sends, from the start on; it can be begun and ended at run time too.
    record: bool = False
    # Size of all recordings together, in 10^9 bytes, from which on the oldest are deleted; 0 = no limit. They lie in
    # the folder `recordings` beside the database.
    record_gb: float = Field(5.0, ge=0, le=1_000_000)
    # Bind address and port of the one server. Any host but loopback needs api_token, and login or trusted_proxies.
    host: str = "127.0.0.1"
    port: int = Field(8501, ge=0, le=65_535)
    # Names under which browsers reach the server, comma separated, beside localhost and addresses: others are refused.
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    # Who may see the pages: oidc = who signs in with Streamlit's login, set up in `.streamlit/secrets.toml`.
    login: Literal["none", "oidc"] = "none"
    # Addresses or networks of a proxy that knows its users, comma separated: then nobody else is answered but this
    # machine itself.
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = ()
    # When set, every API call but health needs `Authorization: Bearer <token>`.
    api_token: SecretStr | None = None
    # Calls of the API that one address may make a minute, more are answered with 429; 0 = no limit. Pages make none.
    api_rate: int = Field(6_000, ge=0, le=10_000_000)
    # Most trades of one gap that are fetched from the exchange again, the newest; 0 = repair nothing.
    backfill: int = Field(1_000_000, ge=0, le=100_000_000)
    # Trades kept in memory per symbol (40 to 50 bytes each).
    buffer: int = Field(1_000_000, ge=1_000, le=100_000_000)
    # Demo market: trades per second over all symbols, and the seed of its random numbers.
    demo_rate: float = Field(20.0, gt=0, le=100_000)
    demo_seed: int = Field(7, ge=0)
    # Seconds that source = auto waits for the first trade before it opens the demo market.
    live_deadline_s: float = Field(8.0, gt=0, le=600)
    # Seconds between attempts to go live while the demo market is shown.
    live_retry_s: float = Field(60.0, ge=5, le=86_400)
    # Scheduler of a Dask cluster that scans of the universe are handed to, tcp://host:port; empty = this machine.
    dask: str = ""
    # Where alerts are sent: name=url pairs, by spaces, the addresses as `apprise` reads them (slack://, tgram://,
    # discord://, mailto://, jsons:// for a webhook, and a hundred more). They hold secrets: they come from here alone.
    channels: Annotated[dict[str, SecretStr], NoDecode] = {}
    # Whether alerts may be sent to addresses that are not public, such as a webhook on this machine.
    notify_private: bool = False
    # Whether alerts of the demo market and of recordings are sent too.
    notify_simulated: bool = False
    # An address that is asked every so many seconds while rules are judged: what watches it tells when that ends.
    heartbeat_url: SecretStr | None = None
    heartbeat_s: float = Field(60.0, ge=1, le=86_400)
    # Least severity that is logged.
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("symbols", mode="before")
    @classmethod
    def _symbols(cls, value: object) -> object:
        if isinstance(value, str):
            value = [part for part in value.split(",") if part.strip()]
        if isinstance(value, list | tuple):
            symbols = tuple(dict.fromkeys(clean_symbol(str(part)) for part in value))
            if not 1 <= len(symbols) <= MAX_SYMBOLS:
                raise ValueError(f"needs 1 to {MAX_SYMBOLS} symbols, got {len(symbols)}")
            return symbols
        return value

    @field_validator("replay", mode="before")
    @classmethod
    def _replay(cls, value: object) -> object:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        return tuple(value) if isinstance(value, list) else value

    @field_validator("channels", mode="before")
    @classmethod
    def _channels(cls, value: object) -> object:
        return read_channels(value) if isinstance(value, str) else value

    @field_validator("heartbeat_url")
    @classmethod
    def _heartbeat_url(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        _check_url(value.get_secret_value(), ("http", "https"))
        return value

    @field_validator("allowed_hosts", "trusted_proxies", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_hosts")
    @classmethod
    def _hosts(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not HOST_NAME.fullmatch(name):
                raise ValueError(f"must be names without scheme, port or *, was {name[:80]!r}")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in value:
            try:
                network = ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError(f"must be addresses or networks such as 10.0.0.0/24, was {proxy[:80]!r}") from None
            if network.prefixlen == 0:
                raise ValueError(f"must not be everybody, was {proxy!r}")
        return value

    @field_validator("login")
    @classmethod
    def _login(cls, value: str) -> str:
        if value == "oidc" and (missing := login_lacks(LOGIN_FILE)):
            raise ValueError(missing)
        return value

    @field_validator("ws_url")
    @classmethod
    def _ws_url(cls, value: str) -> str:
        return _check_url(value, ("ws", "wss")) if value else value

    @field_validator("rest_url")
    @classmethod
    def _rest_url(cls, value: str) -> str:
        return _check_url(value, ("http", "https")) if value else value

    @field_validator("dask")
    @classmethod
    def _dask(cls, value: str) -> str:
        return _check_url(value, ("tcp", "tls")) if value else value

    @field_validator("api_token")
    @classmethod
    def _api_token(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value():
            return None
        if len(value.get_secret_value()) < 16:
            raise ValueError("must have at least 16 characters")
        return value

    @model_validator(mode="after")
    def _together(self) -> "Settings":
        if self.source == "replay" and not self.replay:
            raise ValueError("PAIRSCOPE_REPLAY must name at least one recording when PAIRSCOPE_SOURCE is replay")
        for path in self.replay:
            if not path.is_file():
                raise ValueError(f"PAIRSCOPE_REPLAY names {str(path)!r}, which is not a file")
        if not _is_loopback(self.host) and (
            self.api_token is None or not (self.trusted_proxies or self.login == "oidc")
        ):
            raise ValueError(
                f"PAIRSCOPE_HOST {self.host!r} is not a loopback address: set PAIRSCOPE_API_TOKEN for the API, and for "
                "the pages PAIRSCOPE_LOGIN=oidc or PAIRSCOPE_TRUSTED_PROXIES; or use 127.0.0.1"
            )
        return self

    def ws_base(self, source: str) -> str:
        """Websocket address of a live source, without route."""
        return self.ws_url or WS_HOSTS[source]

    def rest_base(self, source: str) -> str:
        """REST address of a live source, without path."""
        return self.rest_url or REST_HOSTS[source]

    def secrets(self) -> list[str]:
        """Every secret text, to be kept out of the log."""
        single = [value.get_secret_value() for value in (self.api_token, self.heartbeat_url) if value is not None]
        return [*single, *(value.get_secret_value() for value in self.channels.values())]

    def shown(self) -> dict[str, str]:
        """Settings as text for people; secrets masked."""
        listed = (tuple, dict)  # of channels only the names
        return {name: ", ".join(map(str, v)) if isinstance(v, listed) else str(v) for name, v in self if v is not None}


def meanings() -> dict[str, str]:
    """What each setting does: the comment above its field, one text for those who read the code and the screen."""
    found: dict[str, str] = {}
    comment, goes_on = "", False
    for line in inspect.getsource(Settings).splitlines():
        words = line.strip()
        if words.startswith("# "):
            comment = f"{comment} {words[2:]}" if goes_on else words[2:]
        elif (name := words.partition(":")[0]) in Settings.model_fields:
            found.setdefault(name, comment)
        goes_on = words.startswith("# ")
    return found


def load(**options: object) -> Settings:
    """Settings from options, environment and `.env`, in this order of force.

    Raises
    ------
    SettingsError
        One line that names variable, value and limit.
    """
    try:
        return Settings(**options)  # type: ignore[arg-type]
    except ValidationError as exc:
        raise SettingsError("; ".join(_explain(error, options) for error in exc.errors())) from None


def _explain(error: object, options: dict[str, object]) -> str:
    """One line for one error of pydantic: variable, limit, value."""
    location, message = error["loc"], str(error["msg"]).removeprefix("Value error, ")  # type: ignore[index]
    if not location:
        return message
    name = str(location[0])
    variable = f"PAIRSCOPE_{name.upper()}"
    value = options.get(name, os.environ.get(variable, "in .env"))
    shown = "" if name in SECRET or "was" in message else f", was {str(value)[:80]!r}"
    return f"{variable}: {message[0].lower()}{message[1:]}{shown}"
