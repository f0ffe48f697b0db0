"""Security of the process as a whole, as somebody outside would try it; the parts are tested beside their code.

`docs/security.md` lists the threats with the test of each; that every test it names exists is held here.
"""

import ast
import http.client
import re
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from html.parser import HTMLParser
from pathlib import Path

import psutil
import pytest
import requests
import websocket
from starlette.testclient import TestClient
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

import config
from api import routes as api_routes
from api.app import build_api
from dashboard import markup
from tests.fakes.receiver import receiver
from tests.running import ROOT, running
from tests.waiting import until

TOKEN = "canary-token-3c7e1f"
BEARER = {"Authorization": f"Bearer {TOKEN}"}
CANARIES = ("canary-token", "canary-hook", "canary-beat")
PRODUCT = ("config.py", "app.py", "alerts", "analytics", "api", "dashboard", "data", "engine", "operations", "utils")
ROUTES = ("/", "/healthz", "/metrics", "/api/v1/", "/api/docs", "/api/openapi.json", "/live/plotly.js")
ROUTES += ("/live/figure/candles", "/_stcore/health", "/_stcore/host-config", "/no/such/page")
STREAMS = ("/_stcore/stream", "/live/stream/candles?every=1")


@pytest.fixture(scope="module")
def app(tmp_path_factory):
    """Pairscope with its pages, a token, and canaries for secrets; its folder is `app.folder`."""
    folder = tmp_path_factory.mktemp("security")
    with receiver(404) as hook:
        options = {
            "source": "demo",
            "database": folder / "kept" / "tape.db",
            "api_token": TOKEN,
            "channels": f"ops={hook.url}/canary-hook",
            "notify_private": True,
            "notify_simulated": True,
            "heartbeat_url": "http://127.0.0.1:9/canary-beat",
            "log_level": "DEBUG",
        }
        with running(log=folder / "said.txt", **options) as app:
            app.folder = folder
            yield app


def rules(app) -> list[object]:
    return requests.get(f"{app.url}/api/v1/alerts", headers=BEARER, timeout=10).json()


def test_it_listens_on_this_machine_alone(app):
    listening = {c.laddr for c in psutil.Process(app.process.pid).net_connections("inet") if c.status == "LISTEN"}
    port = int(app.url.rpartition(":")[2])
    assert listening == {("127.0.0.1", port)}


@pytest.mark.parametrize("path", ROUTES)
def test_no_route_answers_under_another_name(app, path):
    answer = requests.get(app.url + path, headers={"Host": "evil.example"} | BEARER, timeout=10)
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "unknown_host"


def handshake(app, path: str, **options) -> str:
    """Whether a websocket opens, or the status of the refusal."""
    try:
        websocket.create_connection("ws" + app.url[4:] + path, timeout=10, **options).close()
    except websocket.WebSocketBadStatusException as exc:
        return str(exc.status_code)
    return "open"


@pytest.mark.parametrize("path", STREAMS)
def test_websockets_of_other_pages_and_names_are_refused(app, path):
    assert handshake(app, path, origin=app.url) == handshake(app, path, suppress_origin=True) == "open"
    assert handshake(app, path, origin="http://evil.example") == "403"
    assert handshake(app, path, origin="null") == "403"
    assert handshake(app, path, host="evil.example") == "403"


RULE = '{"metric": "zscore", "condition": ">", "threshold": 2}'


def test_a_form_of_another_page_changes_nothing(app):
    """Neither by its kind of body, which needs no preflight, nor by where it comes from."""
    url = f"{app.url}/api/v1/alerts"
    for kind in ("application/x-www-form-urlencoded", "multipart/form-data", "text/plain"):
        answer = requests.post(url, RULE, headers=BEARER | {"Content-Type": kind}, timeout=10)
        assert answer.status_code == 422
    foreign = BEARER | {"Content-Type": "application/json", "Origin": "http://evil.example"}
    assert requests.post(url, RULE, headers=foreign, timeout=10).status_code == 403
    assert requests.post(url, RULE, headers={"Content-Type": "application/json"}, timeout=10).status_code == 401
    assert rules(app) == []


def test_a_get_changes_nothing(app):
    described = requests.get(f"{app.url}/api/openapi.json", timeout=10).json()["paths"]
    before = rules(app)
    for path in described:
        requests.get(app.url + "/api" + re.sub(r"{\w+}", "x", path), headers=BEARER, timeout=10, stream=True).close()
    assert rules(app) == before and app.get("/healthz") == {"status": "ok"}


def test_no_other_page_may_read_an_answer(app):
    foreign = {"Origin": "http://evil.example", "Access-Control-Request-Method": "PUT"}
    for path in (*ROUTES, "/_stcore/upload_file/a/b", "/api/v1/alerts"):
        for ask in (requests.get, requests.options):
            allowed = ask(app.url + path, headers=foreign, timeout=10).headers.get("Access-Control-Allow-Origin")
            assert allowed not in ("*", "null", "http://evil.example")


def test_an_upload_needs_the_token_of_its_page(app):
    answer = requests.put(f"{app.url}/_stcore/upload_file/a/b", files={"file": ("a.csv", b"x")}, timeout=10)
    assert answer.status_code == 403 and "XSRF" in answer.text


@contextmanager
def session_of(app) -> Iterator[tuple[str, requests.Session]]:
    """Somebody who has a page open: where an upload of theirs goes, and their cookies with the token of the page."""
    asking = requests.Session()
    asking.get(f"{app.url}/_stcore/health", timeout=10)
    line = websocket.create_connection("ws" + app.url[4:] + "/_stcore/stream", timeout=20)
    try:
        line.send_binary(BackMsg(rerun_script=ClientState()).SerializeToString())
        while not (said := ForwardMsg.FromString(line.recv())).HasField("new_session"):
            pass
        asking.headers["X-Xsrftoken"] = asking.cookies["_streamlit_xsrf"]
        yield f"/_stcore/upload_file/{said.new_session.initialize.session_id}/f", asking
    finally:
        line.close()


def resident_mb(process: psutil.Process, begin: bool = False) -> float:
    """The most that was resident of another process since `begin`."""
    if begin:
        Path(f"/proc/{process.pid}/clear_refs").write_text("5")
    return int(re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())[1]) / 1_024


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the peak of a process is told by Linux")
def test_an_upload_of_300_mb_is_refused_whether_it_tells_its_length_or_not(app):
    process = psutil.Process(app.process.pid)
    with session_of(app) as (path, asking):
        taken = asking.put(app.url + path, files={"file": ("a.csv", b"x" * 1_000)}, timeout=20)
        assert taken.status_code == 204  # the way there is open
        before = resident_mb(process, begin=True)
        told = asking.prepare_request(requests.Request("PUT", app.url + path, data=b""))
        told.headers["Content-Length"] = str(300 << 20)
        refused = asking.send(told, timeout=20)
        assert refused.status_code == 413 and "104857600 bytes" in refused.text
        assert _sent_in_chunks(app, path, asking, 300) == 413
    assert resident_mb(process) - before <= 150
    assert app.get("/healthz") == {"status": "ok"}


def _sent_in_chunks(app, path: str, asking: requests.Session, mb: int) -> int:
    """The status of an upload of so many megabytes that does not tell its length."""
    line = http.client.HTTPConnection(app.url.removeprefix("http://"), timeout=20)
    line.putrequest("PUT", path)
    cookies = "; ".join(f"{name}={value}" for name, value in asking.cookies.items())
    for name, value in (
        ("Transfer-Encoding", "chunked"),
        ("Content-Type", "multipart/form-data; boundary=b"),
        ("X-Xsrftoken", asking.headers["X-Xsrftoken"]),
        ("Cookie", cookies),
    ):
        line.putheader(name, value)
    line.endheaders()
    piece = bytes(1 << 20)
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="a.csv"\r\n\r\n'
    with suppress(ConnectionError):  # it does not listen to the end
        for data in (head, *(piece for _ in range(mb))):
            line.send(b"%x\r\n%b\r\n" % (len(data), data))
    status = line.getresponse().status
    line.close()
    return status


PAYLOADS = [
    "' or 1=1 --",
    '"; drop table trade; --',
    "BTCUSDT'; delete from note; --",
    "../../etc/passwd",
    "%2e%2e%2f",
    "\u202eBTCUSDT",
    "{{7*7}}",
    "${jndi:ldap://x}",
    "x" * 5_000,
]


def test_odd_parameters_change_nothing(app):
    def schema() -> list[object]:
        with closing(sqlite3.connect(f"file:{app.folder / 'kept' / 'tape.db'}?mode=ro", uri=True)) as file:
            return file.execute("select sql from sqlite_master order by name").fetchall()

    before = schema()
    for payload in PAYLOADS:
        text = requests.utils.quote(payload, safe="")
        calls = [f"ticks/{text}", f"bars/BTCUSDT/{text}", f"pair/{text}/{text}/1s", f"alerts/history?rule_id={text}"]
        calls += [f"export/ticks.csv?symbol={text}", f"ticks/BTCUSDT?limit={text}", f"recordings/{text}"]
        for call in calls:
            answer = requests.get(f"{app.url}/api/v1/{call}", headers=BEARER, timeout=10)
            assert answer.status_code in (400, 404, 405, 422) or answer.text == "[]", (call, answer.text[:200])
            assert str(ROOT) not in answer.text and "Traceback" not in answer.text
    assert schema() == before


def test_no_secret_leaves_the_process(app):
    """A channel that fails, a heartbeat that fails, a wrong token: none is told anywhere."""
    made = requests.post(f"{app.url}/api/v1/alerts", RULE.replace("2", "-99"), headers=BEARER | JSON, timeout=10).json()
    requests.post(f"{app.url}/api/v1/alerts/{made['id']}/test", headers=BEARER, timeout=30)
    requests.get(f"{app.url}/api/v1/", headers={"Authorization": f"Bearer {TOKEN}x"}, timeout=10)
    requests.get(f"{app.url}/api/v1/?token={TOKEN}", timeout=10)
    paths = ("/api/v1/", "/api/v1/alerts", "/api/v1/alerts/channels", "/api/v1/alerts/outbox", "/api/v1/alerts/history")
    paths += ("/metrics", "/healthz", "/api/v1/export/alerts.csv", "/api/openapi.json", "/")
    told = {path: requests.get(app.url + path, headers=BEARER, timeout=10).text for path in paths}
    said = app.folder / "said.txt"
    told["log"] = until(said.read_text, lambda text: "channel ops" in text or "refused" in text)
    told["arguments"] = " ".join(psutil.Process(app.process.pid).cmdline())
    for path in (app.folder / "kept").iterdir():
        told[path.name] = path.read_bytes().decode("latin-1")
    assert [(place, canary) for place, text in told.items() for canary in CANARIES if canary in text] == []


JSON = {"Content-Type": "application/json"}


# --- without a process ------------------------------------------------------------------------------


def test_an_error_of_our_own_tells_nothing_of_the_inside(monkeypatch):
    def broken() -> None:
        raise RuntimeError("inside /home/ann/secret")

    monkeypatch.setattr(api_routes, "current", broken)
    answer = TestClient(build_api(), raise_server_exceptions=False).get("/v1/")
    assert answer.status_code == 503
    assert answer.json()["error"]["code"] == "internal" and "ann" not in answer.text


def test_tokens_are_compared_in_constant_time():
    tree = ast.parse((ROOT / "api" / "app.py").read_text("utf-8"))
    (guard,) = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == "require_token"]
    calls = [ast.unparse(node.func) for node in ast.walk(guard) if isinstance(node, ast.Call)]
    assert "hmac.compare_digest" in calls
    compared = [node for node in ast.walk(guard) if isinstance(node, ast.Compare)]
    assert compared == []


def sources() -> list[Path]:
    return [
        path for name in PRODUCT for path in ([ROOT / name] if name.endswith(".py") else (ROOT / name).rglob("*.py"))
    ]


BANNED = {"eval", "exec", "compile", "pickle", "cPickle", "joblib", "dill", "shelve", "marshal", "yaml", "os.system"}
BANNED |= {"unsafe_allow_html", "allow_pickle", "shell", "verify", "subprocess.getoutput"}
ALLOWED = {"re.compile"}


def banned(source: str) -> list[str]:
    """Names in a source that would run what data says, show it as HTML, or trust anybody."""
    found = []
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Call(func=func, keywords=keywords):
                found += [ast.unparse(func), *(keyword.arg or "" for keyword in keywords)]
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                found += [name.name for name in names] + [getattr(node, "module", None) or ""]
    return [name for name in found if name in BANNED and name not in ALLOWED]


def test_no_code_is_run_from_data_and_no_html_is_trusted():
    assert len(sources()) > 100
    assert [(path.name, names) for path in sources() if (names := banned(path.read_text("utf-8")))] == []


@pytest.mark.parametrize(
    "source", ["eval(x)", "import pickle", "from yaml import load", "f(x, unsafe_allow_html=True)", "g(shell=True)"]
)
def test_a_planted_one_is_found(source):
    assert banned(source)


SCRIPTS = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onfocus='alert(1)", "<svg/onload=x>"]


class Tags(HTMLParser):
    """Tags and attributes of a piece of HTML."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: set[str] = set()
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        self.found |= {tag, *(f"@{name}" for name, _ in attrs)}


@pytest.mark.parametrize("text", SCRIPTS)
def test_text_stays_text_in_every_piece_of_html(text):
    card = markup.Card(label=text, value=text, detail=text)
    pieces = [markup.cards([card]), markup.table([text], [markup.Row([text, text])]), markup.gauge([(text, 1.0, 2.0)])]
    pieces += [markup.section(text, ""), markup.headed(text, "zscore", text), markup.muted(text)]
    pieces += [markup.empty("error", text)]
    found = set().union(*(Tags(piece).found for piece in pieces))
    assert not found & {"script", "img", "svg"} and not [name for name in found if name.startswith("@on")]


def test_the_settings_have_no_place_for_a_key_of_the_exchange():
    names = config.Settings.model_fields
    assert [name for name in names if re.search("key|secret|passw", name)] == []


def test_streamlit_is_not_told_to_drop_its_defences():
    text = (ROOT / ".streamlit" / "config.toml").read_text("utf-8")
    assert 'address = "127.0.0.1"' in text
    assert not re.search(r"enableXsrfProtection|enableCORS|allowedHosts|corsAllowedOrigins", text)
    assert ".streamlit/secrets.toml" in (ROOT / ".gitignore").read_text("utf-8").split()


def test_every_test_that_the_threat_table_names_exists():
    text = (ROOT / "docs" / "security.md").read_text("utf-8")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", text)
    assert len(named) > 40
    missing = [name for file, name in named if f"def {name}(" not in (ROOT / file).read_text("utf-8")]
    assert not missing
    rows = [line for line in text.splitlines() if re.match(r"\| S\d+ ", line)]
    assert [int(re.findall(r"\d+", row)[0]) for row in rows] == list(range(1, 33))
    assert [row[:20] for row in rows if "::test_" not in row and "not built" not in row] == []
    files = [line for line in text.splitlines() if re.match(r"\| F\d+ ", line)]
    assert [int(re.findall(r"\d+", row)[0]) for row in files] == list(range(1, 18))
    assert [row[:20] for row in files if "::test_" not in row] == []
