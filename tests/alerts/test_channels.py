"""Channels: what an attempt means, which addresses are allowed, and that no secret gets out."""

import logging
import socket
from pathlib import Path

import pytest

from alerts import addresses
from alerts.addresses import GUARDED, is_allowed
from alerts.channels import BODY_CHARS, CUT, Channel, asked_s, open_channels, pause_s, shortened
from config import read_channels
from tests.fakes.receiver import HANG, Receiver, Reply, receiver
from utils import logger
from utils.errors import SettingsError

SECRET = "s3cr3t-canary"


def to(opened: Receiver) -> Channel:
    return Channel("ops", opened.url, private=True)


def test_a_message_arrives_as_it_was_written():
    with receiver() as opened:
        sent = to(opened).send("z is wide", "at 2.5\nevent e1, key k1", "critical")
        (received,) = opened.ledger
    assert sent.ok and sent.detail == ""
    assert (received.json["title"], received.message, received.json["type"]) == (
        "z is wide",
        "at 2.5\nevent e1, key k1",
        "failure",
    )
    assert received.key == "k1"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 410, 413, 422])
def test_a_refusal_is_not_asked_again(status):
    """D11."""
    with receiver(status) as opened:
        sent = to(opened).send("t", "b")
    assert (sent.ok, sent.again, sent.detail) == (False, False, f"HTTP {status}")


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
def test_a_failure_is_asked_again(status):
    with receiver(status) as opened:
        sent = to(opened).send("t", "b")
    assert (sent.ok, sent.again, sent.detail) == (False, True, f"HTTP {status}")


@pytest.mark.parametrize(
    "text, seconds",
    [("5", 5.0), ("0.5", 0.5), ("-3", 0.0), (None, 0.0), ("soon", 0.0), ("nan", 0.0), ("1e9", 86_400.0)],
)
def test_a_retry_after_is_read(text, seconds):
    """D10."""
    assert asked_s(text) == seconds
    headers = {} if text is None else {"Retry-After": text}
    with receiver(Reply(429, headers)) as opened:
        assert to(opened).send("t", "b").after_s == seconds


def test_a_retry_after_may_be_a_date(monkeypatch):
    monkeypatch.setattr("alerts.channels.now_us", lambda: 1_445_412_475_000_000)
    assert asked_s("Wed, 21 Oct 2015 07:28:00 GMT") == 5.0
    assert asked_s("Wed, 21 Oct 2015 07:27:00 GMT") == 0.0


def test_a_receiver_that_hangs_is_given_up_in_time(monkeypatch):
    """D12."""
    monkeypatch.setattr(addresses, "TIMEOUT_S", 0.2)
    with receiver(HANG) as opened:
        sent = to(opened).send("t", "b")
        assert len(opened.ledger) == 1
    assert (sent.ok, sent.again) == (False, True)
    assert "Timeout" in sent.detail


def test_a_mail_server_that_never_speaks_is_given_up_in_time(monkeypatch):
    """D12."""
    monkeypatch.setattr(addresses, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        channel = Channel("mail", f"mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org", private=True)
        sent = channel.send("t", "b")
    assert (sent.ok, sent.again) == (False, True)


def test_nobody_at_home_is_asked_again(unused_port):
    sent = Channel("ops", f"json://127.0.0.1:{unused_port}/", private=True).send("t", "b")
    assert (sent.ok, sent.again, sent.detail) == (False, True, "ConnectionError")


def test_of_an_endless_answer_only_the_beginning_is_read(monkeypatch):
    monkeypatch.setattr(addresses, "MOST_BYTES", 10)
    endless = Reply(200, {"Content-Length": str(10**12)}, b"x" * 100_000)
    with receiver(endless) as opened:
        assert to(opened).send("t", "b").ok


def test_pauses_double_are_spread_and_never_shorter_than_asked():
    """D9."""
    assert [pause_s(n, chance=0.5) for n in range(1, 6)] == [1, 2, 4, 8, 16]
    assert pause_s(50, chance=0.5) == 300
    assert (pause_s(3, chance=0.0), pause_s(3, chance=1.0)) == (2.0, 6.0)
    assert pause_s(1, asked=30.0) == 30.0
    assert len({pause_s(3) for _ in range(20)}) > 1


# --- text -------------------------------------------------------------------------------------------

AWKWARD = [
    "BTC_USDT *z* `x` [a](http://b) ~s~ |",
    "<b>&amp;</b> <script>alert(1)</script>",
    "ü 币安 \U0001f680",
    "x" * 5_000,
]


@pytest.mark.parametrize("text", AWKWARD, ids=range(len(AWKWARD)))
def test_text_arrives_as_it_is_or_cut_with_a_note(text):
    """D14."""
    with receiver() as opened:
        assert to(opened).send(text, text).ok
        (received,) = opened.ledger
    assert received.message == (text if len(text) < BODY_CHARS else text[: BODY_CHARS - len(CUT)] + CUT)
    assert len(received.json["title"]) <= 250


SERVICES = {
    "tgram://123456789:abcdefg_hijklmnop/12315544/": 4_096,
    "slack://T1JJ3T3L2/A1BRTD4JD/TIiajkdnlazkcOXrIdevi7FQ/#c": 35_000,
    "discord://4174216298/JHMHI8qBe7bk2ZwO5U711o3dV_js": 2_000,
}


def payload(monkeypatch, url, text):
    """What a service would be sent."""
    sent = []

    class Answer:
        status_code, headers, content, text = 200, {}, b"ok", "ok"

    monkeypatch.setattr(type(GUARDED), "request", lambda self, method, url, **options: sent.append(options) or Answer)
    Channel("ops", url).send("z < 2 & more", text)
    assert len(sent) == 1
    return str(sent[0].get("data") or sent[0].get("json"))


@pytest.mark.parametrize("url", list(SERVICES)[:2])
def test_a_service_with_a_markup_of_its_own_gets_it_escaped(monkeypatch, url):
    """D14."""
    found = payload(monkeypatch, url, AWKWARD[1])
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found and "z &lt; 2 &amp; more" in found
    assert "<script>" not in found


@pytest.mark.parametrize("url, limit", SERVICES.items())
@pytest.mark.parametrize("sign", ["x", "<"])
def test_text_is_cut_to_what_a_service_takes(monkeypatch, url, limit, sign):
    """D14."""
    found = payload(monkeypatch, url, sign * 5_000)
    assert CUT in found
    assert max(found.count(sign), found.count("&lt;")) > 300
    assert len(found) < limit + 500


def test_control_characters_become_spaces_and_lines_stay():
    assert shortened("a\x00b\x1b[31m\nc\r", 50) == "a b [31m\nc "
    assert [len(shortened("x" * 50, limit)) for limit in (50, 49, 20, 3, 0)] == [50, 49, 20, 3, 0]


# --- addresses --------------------------------------------------------------------------------------

INSIDE = [
    "127.0.0.1", "127.0.0.2", "2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "0.0.0.0", "10.0.0.1",
    "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255",
    "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[64:ff9b::7f00:1]", "[2002:7f00:1::]", "[fe80::1]",
    "[fc00::1]", "[ff02::1]",
]  # fmt: skip


@pytest.mark.parametrize("host", INSIDE)
def test_an_address_that_is_not_public_gets_nothing(host):
    """S9."""
    with receiver() as canary:
        for scheme in ("json", "xml", "form"):
            try:
                channel = Channel("ops", f"{scheme}://{host}:{canary.port}/")
            except SettingsError:
                continue  # not even an address for apprise
            sent = channel.send("t", "b")
            assert not sent.ok
            assert sent.detail in (addresses.REFUSED, "ConnectionError", "the service refused")
        assert canary.ledger == []


def test_a_name_that_answers_differently_the_second_time_leads_nowhere(monkeypatch):
    """S9: what was judged is what is connected to."""
    with receiver() as canary:
        answers = ["93.184.216.34", "127.0.0.1"]

        def resolve(host, port, *_):
            address = answers.pop(0) if len(answers) > 1 else answers[0]
            return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, canary.port))]

        connected = []
        monkeypatch.setattr(socket, "getaddrinfo", resolve)
        monkeypatch.setattr(socket.socket, "connect", lambda self, address: connected.append(address) or _refuse())
        Channel("ops", "json://rebinding.example/").send("t", "b")
        assert [address[0] for address in connected] == ["93.184.216.34"]
        assert Channel("ops", "json://rebinding.example/").send("t", "b").detail == addresses.REFUSED
        assert canary.ledger == []


def _refuse():
    raise ConnectionRefusedError


def test_a_redirect_is_not_followed():
    """S9."""
    with receiver() as canary, receiver(Reply(302, {"Location": f"{canary.http}/inside"})) as opened:
        sent = to(opened).send("t", "b")
        assert (sent.ok, sent.again, sent.detail) == (False, False, "HTTP 302")
        assert canary.ledger == []


def test_a_mail_server_on_a_private_address_is_not_connected_to():
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        port = server.getsockname()[1]
        sent = Channel("mail", f"mailto://127.0.0.1:{port}?from=a@example.org&to=b@example.org").send("t", "b")
        assert (sent.again, sent.detail) == (False, addresses.REFUSED)
        with pytest.raises(BlockingIOError):
            server.accept()


def test_a_proxy_of_the_environment_is_not_asked(monkeypatch):
    with receiver() as proxy, receiver() as opened:
        monkeypatch.setenv("http_proxy", proxy.http)
        monkeypatch.setenv("HTTP_PROXY", proxy.http)
        assert to(opened).send("t", "b").ok
        assert (len(proxy.ledger), len(opened.ledger)) == (0, 1)


@pytest.mark.parametrize("address, allowed", [("8.8.8.8", True), ("2606:4700::1111", True), ("10.0.0.1", False)])
def test_public_addresses_are_allowed(address, allowed):
    assert is_allowed(address, private=False) is allowed
    assert is_allowed(address, private=True)


# --- secrets ----------------------------------------------------------------------------------------


def test_no_secret_reaches_log_error_or_status(monkeypatch, caplog, tmp_path):
    """S18."""
    monkeypatch.setattr(addresses, "TIMEOUT_S", 0.2)
    monkeypatch.setattr(logging.getLogger("pairscope"), "propagate", True)
    caplog.set_level(logging.DEBUG)
    with receiver(401, 500, HANG, 200) as opened:
        channel = to(opened)
        said = [channel.send("t", "b").detail for _ in range(4)]
        inside = Channel("inside", f"json://127.0.0.1:{opened.port}/{SECRET}", private=True)
        assert inside.send("t", "b").ok and SECRET in opened.ledger[-1].path
    urls = [f"json://u:{SECRET}@no-such-host.invalid/{SECRET}", f"tgram://123456789:{SECRET}/1/"]
    others = [Channel("other", url) for url in urls]
    said += [other.send("t", "b").detail for other in others[:1]]
    shown = [f"{one.target} {one.service} {one!r} {vars(one)['name']}" for one in (channel, *others)]
    assert SECRET not in "\n".join([*said, *shown, caplog.text, *(line.text for line in logger.TAIL.newest())])


@pytest.mark.parametrize("url", [f"nothing://{SECRET}", f"slack://{SECRET}", f"tgram://{SECRET}", f"://{SECRET}"])
def test_an_address_that_cannot_be_used_is_not_repeated(url):
    with pytest.raises(SettingsError) as caught:
        open_channels({"ops": url})
    assert SECRET not in str(caught.value) and "'ops'" in str(caught.value)


@pytest.mark.parametrize(
    "text", [f"ops={SECRET}", f"json://{SECRET}", f"o/s=json://{SECRET}", f"screen=json://{SECRET}"]
)
def test_channels_that_cannot_be_read_are_told_by_their_place(text):
    with pytest.raises(ValueError, match="entry 2 must be name=scheme") as caught:
        read_channels(f"ok=json://h {text}")
    assert SECRET not in str(caught.value)


def test_channels_are_pairs_of_names_and_addresses():
    assert read_channels(" a=json://h/x=1\n b-2=mailto://u:p@h ") == {"a": "json://h/x=1", "b-2": "mailto://u:p@h"}
    with pytest.raises(ValueError, match="'a' is given twice"):
        read_channels("a=json://h a=json://g")


def test_the_guard_stands_in_every_loaded_service():
    Channel("ops", "json://example.org")
    import apprise.plugins.custom_json as service

    assert service.requests is GUARDED
    assert Path(service.__file__).name == "custom_json.py"
