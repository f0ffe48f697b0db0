"""Settings: what is accepted, and the one line that says why something is not."""

from pathlib import Path

import pytest

import config
from utils.errors import SettingsError


def test_defaults_are_those_of_the_documentation():
    settings = config.load()
    assert settings.source == "auto"
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.stream == "aggTrade"
    assert settings.quotes is False
    assert settings.database == config.ROOT / "var" / "pairscope.db"
    assert (settings.host, settings.port, settings.buffer, settings.speed) == ("127.0.0.1", 8501, 1_000_000, 1.0)


def test_the_environment_is_read_and_an_option_wins(monkeypatch):
    monkeypatch.setenv("PAIRSCOPE_SYMBOLS", " btcusdt, ethusdt ,BTCUSDT,")
    monkeypatch.setenv("PAIRSCOPE_PORT", "9000")
    monkeypatch.setenv("PAIRSCOPE_DATABASE", "")
    monkeypatch.setenv("PAIRSCOPE_QUOTES", "true")
    settings = config.load(port=9001)
    assert settings.symbols == ("BTCUSDT", "ETHUSDT")
    assert settings.port == 9001
    assert settings.quotes is True
    assert settings.database.name == "pairscope.db"


def test_recordings_are_a_list_of_files(tmp_path, monkeypatch):
    files = [tmp_path / "a.gz", tmp_path / "b.gz"]
    for file in files:
        file.write_text("")
    monkeypatch.setenv("PAIRSCOPE_REPLAY", f"{files[0]},{files[1]}")
    assert config.load(source="replay").replay == tuple(files)


# option, value, words of the one line
BAD = [
    ("source", "kraken", ["PAIRSCOPE_SOURCE", "binance-um", "'kraken'"]),
    ("stream", "depth", ["PAIRSCOPE_STREAM", "'depth'"]),
    ("quotes", "some", ["PAIRSCOPE_QUOTES", "boolean", "'some'"]),
    ("symbols", "", ["PAIRSCOPE_SYMBOLS", "1 to 1000", "0"]),
    ("symbols", "BTC/USDT", ["PAIRSCOPE_SYMBOLS", "letters, digits or underscores", "BTC/USDT"]),
    ("symbols", "X" * 33, ["PAIRSCOPE_SYMBOLS", "1 to 32"]),
    ("port", 65_536, ["PAIRSCOPE_PORT", "65535", "65536"]),
    ("port", "http", ["PAIRSCOPE_PORT", "integer", "'http'"]),
    ("speed", -1, ["PAIRSCOPE_SPEED", "greater than or equal to 0", "-1"]),
    ("speed", "nan", ["PAIRSCOPE_SPEED"]),
    ("buffer", 10, ["PAIRSCOPE_BUFFER", "1000", "10"]),
    ("ws_url", "http://example.org", ["PAIRSCOPE_WS_URL", "wss://", "http://example.org"]),
    ("rest_url", "ftp://example.org", ["PAIRSCOPE_REST_URL", "https://"]),
    ("dask", "10.0.0.5:8786", ["PAIRSCOPE_DASK", "tcp://", "10.0.0.5:8786"]),
    ("demo_rate", 0, ["PAIRSCOPE_DEMO_RATE", "greater than 0"]),
    ("retention_days", -1, ["PAIRSCOPE_RETENTION_DAYS", "greater than or equal to 0", "-1"]),
    ("retention_gb", "all", ["PAIRSCOPE_RETENTION_GB", "number", "'all'"]),
    ("source", "replay", ["PAIRSCOPE_REPLAY", "at least one recording"]),
    ("replay", "no/such/file.gz", ["PAIRSCOPE_REPLAY", "no/such/file.gz".replace("/", str(Path("/"))[-1])]),
    ("host", "0.0.0.0", ["PAIRSCOPE_HOST", "loopback", "PAIRSCOPE_API_TOKEN", "0.0.0.0"]),
    ("host", "example.org", ["PAIRSCOPE_HOST", "loopback"]),
    ("allowed_hosts", "https://tape.example", ["PAIRSCOPE_ALLOWED_HOSTS", "without scheme", "https://tape.example"]),
    ("allowed_hosts", "*", ["PAIRSCOPE_ALLOWED_HOSTS", "'*'"]),
    ("trusted_proxies", "nginx", ["PAIRSCOPE_TRUSTED_PROXIES", "10.0.0.0/24", "'nginx'"]),
    ("trusted_proxies", "0.0.0.0/0", ["PAIRSCOPE_TRUSTED_PROXIES", "everybody"]),
    ("login", "password", ["PAIRSCOPE_LOGIN", "'oidc'", "'password'"]),
    ("login", "oidc", ["PAIRSCOPE_LOGIN", "secrets.toml"]),
]


@pytest.mark.parametrize("option, value, words", BAD)
def test_a_bad_value_gets_one_line_that_names_variable_value_and_limit(option, value, words):
    with pytest.raises(SettingsError) as caught:
        config.load(**{option: value})
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_a_token_is_never_shown(monkeypatch):
    secret = "s3cret-token-of-mine"
    settings = config.load(api_token=secret, host="0.0.0.0", trusted_proxies="10.0.0.1")
    assert settings.secrets() == [secret]
    assert secret not in str(settings.shown()) and secret not in repr(settings)
    with pytest.raises(SettingsError) as caught:
        config.load(api_token="short-secret")
    assert "short-secret" not in str(caught.value)


EXPOSED = [
    ({}, False),
    ({"api_token": "a-token-long-enough"}, False),
    ({"trusted_proxies": "10.0.0.1"}, False),
    ({"api_token": "a-token-long-enough", "trusted_proxies": "10.0.0.1"}, True),
    ({"api_token": "a-token-long-enough", "login": "oidc"}, True),
    ({"login": "oidc"}, False),
]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "tape.example"])
@pytest.mark.parametrize("options, allowed", EXPOSED)
def test_other_machines_need_a_token_and_a_login(monkeypatch, host, options, allowed):
    monkeypatch.setattr(config, "login_lacks", lambda _: "")
    if allowed:
        assert config.load(host=host, **options).host == host
    else:
        with pytest.raises(SettingsError, match="PAIRSCOPE_TRUSTED_PROXIES"):
            config.load(host=host, **options)


LOGINS = [
    (None, "cannot be read"),
    ("auth = [", "cannot be read"),
    ("[other]\nx = 1", "redirect_uri and cookie_secret"),
    ('[auth]\nredirect_uri = "https://t.example/oauth2callback"\ncookie_secret = "s3cr3t-canary"', "at least 32"),
]


@pytest.mark.parametrize("text, words", LOGINS)
def test_a_login_that_is_not_set_up_is_refused_without_its_secrets(tmp_path, monkeypatch, text, words):
    file = tmp_path / "secrets.toml"
    if text is not None:
        file.write_text(text)
    monkeypatch.setattr(config, "LOGIN_FILE", file)
    with pytest.raises(SettingsError, match=words) as caught:
        config.load(login="oidc")
    assert "canary" not in str(caught.value)


def test_the_package_that_a_login_needs_is_named(tmp_path, monkeypatch):
    file = tmp_path / "secrets.toml"
    file.write_text(f'[auth]\nredirect_uri = "x"\ncookie_secret = "{"s" * 32}"\n')
    monkeypatch.setattr(config.importlib.util, "find_spec", lambda _: None)
    assert "pip install 'Authlib>=1.3.2'" in config.login_lacks(file)
    monkeypatch.setattr(config.importlib.util, "find_spec", lambda _: object())
    assert config.login_lacks(file) == ""


def test_an_own_exchange_address_replaces_the_known_one():
    settings = config.load(ws_url="ws://127.0.0.1:9000/", rest_url="http://127.0.0.1:9000/prefix/")
    assert settings.ws_base("binance-um") == "ws://127.0.0.1:9000"
    assert settings.rest_base("binance-spot") == "http://127.0.0.1:9000/prefix"
    assert config.load().ws_base("binance-um") == "wss://fstream.binance.com"


SECRET = "s3cr3t-canary"


@pytest.mark.parametrize(
    "name, value", [("CHANNELS", f"ops={SECRET}"), ("CHANNELS", f"a=json://{SECRET} a=json://{SECRET}"),
                    ("HEARTBEAT_URL", f"ftp://{SECRET}")]
)  # fmt: skip
def test_an_address_that_holds_a_secret_is_never_repeated(monkeypatch, name, value):
    monkeypatch.setenv(f"PAIRSCOPE_{name}", value)
    with pytest.raises(SettingsError, match=f"PAIRSCOPE_{name}: ") as caught:
        config.load()
    assert SECRET not in str(caught.value)


def test_channels_are_shown_by_name_alone(monkeypatch):
    monkeypatch.setenv("PAIRSCOPE_CHANNELS", f"ops=slack://{SECRET} mail=mailto://u:{SECRET}@h")
    monkeypatch.setenv("PAIRSCOPE_HEARTBEAT_URL", f"https://hc.example/{SECRET}")
    settings = config.load()
    assert settings.channels["ops"].get_secret_value() == f"slack://{SECRET}"
    assert settings.shown()["channels"] == "ops, mail"
    assert SECRET not in f"{settings!r} {settings.shown()}"


def test_every_setting_says_what_it_does():
    found = config.meanings()
    assert set(found) == set(config.Settings.model_fields)
    assert all(text.endswith(".") and len(text) > 20 for text in found.values())
    assert found["source"] == (
        "Where trades come from. auto = binance-um, or the demo market where the exchange cannot be reached."
    )
    assert found["demo_seed"] == found["demo_rate"]  # one comment stands above both
