"""The doctor: what it says where all is well, and where one thing is not."""

import http.server
import json
import os
import socket
import sqlite3
import threading
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

import config
from data import sqlite
from data.lock import CaptureLock
from operations import doctor, exchange, machine, storage
from operations.finding import Finding
from tests.fakes.exchange import FakeExchange
from tests.fakes.script import Reset
from utils import clock


def settings(tmp_path, **options):
    folder = tmp_path / "kept"
    folder.mkdir(mode=0o700, exist_ok=True)
    options = {"database": folder / "tape.db", "port": 0, "live_deadline_s": 2.0, "source": "binance-um"} | options
    return config.load(**options)


def asked(tmp_path, market: FakeExchange, **options) -> list[Finding]:
    """What is found of the exchange."""
    at = {"ws_url": market.ws_url, "rest_url": market.rest_url}
    return list(exchange.exchange(settings(tmp_path, **at | options)))


def named(found, name: str) -> Finding:
    (one,) = [finding for finding in found if finding.name == name]
    return one


# --- the exchange -----------------------------------------------------------------------------------


def test_an_exchange_that_works_is_ok_in_every_line(tmp_path):
    with FakeExchange(rate=200) as market:
        found = asked(tmp_path, market)
    names = ["network", "clock", "symbols", "stream", "history"]  # websocket and REST are one address here
    assert [(finding.name, finding.mark) for finding in found] == [(name, "ok") for name in names]
    assert "aggTrade on /market of all 2 symbols" in named(found, "stream").text
    assert "came a second time" in named(found, "history").text


def test_quotes_are_listened_to_where_they_are_wanted(tmp_path):
    with FakeExchange(rate=50) as market:
        printing = threading.Event()

        def print_quotes() -> None:
            while not printing.wait(0.05):
                for symbol in market.tape.symbols:
                    market.print_quote(symbol, 100.0, 1.0, 100.1, 2.0)

        thread = threading.Thread(target=print_quotes)
        thread.start()
        found = asked(tmp_path, market, quotes=True)
        printing.set()
        thread.join()
    assert [finding.text.partition(" of")[0] for finding in found if finding.name == "stream"] == [
        "aggTrade on /market",
        "bookTicker on /public",
    ]


def test_an_acknowledgement_is_not_data(tmp_path):
    with FakeExchange() as market:  # nothing is traded, everything is acknowledged
        stream = named(asked(tmp_path, market, live_deadline_s=0.3), "stream")
    assert stream.mark == "FAIL"
    assert "connected and acknowledged, but silent" in stream.text


def test_a_server_that_says_nothing_at_all_is_told_apart(tmp_path):
    found = exchange.judge("/market", exchange.Heard(opened=True), settings(tmp_path), "aggTrade")
    assert found.mark == "FAIL" and "not even an acknowledgement" in found.text


def test_one_silent_symbol_is_named_and_the_others_count(tmp_path):
    with FakeExchange(rate=200) as market:
        market.mute("ETHUSDT")
        stream = named(asked(tmp_path, market, live_deadline_s=0.5), "stream")
    assert stream.mark == "note"
    assert "ETHUSDT stayed silent for 0.5 s" in stream.text and "BTCUSDT" not in stream.text


def test_a_connection_that_is_cut_says_how(tmp_path):
    with FakeExchange([Reset()]) as market:
        stream = named(asked(tmp_path, market), "stream")
    assert stream.mark == "FAIL" and "connected, then: " in stream.text


def test_a_symbol_that_does_not_trade_is_named(tmp_path):
    with FakeExchange(rate=100) as market:
        found = asked(tmp_path, market, symbols="BTCUSDT,NOSUCH", live_deadline_s=0.4)
    assert named(found, "symbols").mark == "FAIL"
    assert "not traded there: NOSUCH" in named(found, "symbols").text


@pytest.mark.parametrize("status, words", [(451, "location"), (403, "refuses"), (429, "fewer"), (418, "banned")])
def test_a_refusal_says_which_and_ends_the_questions(tmp_path, status, words):
    with FakeExchange(rate=100) as market:
        market.refuse_rest(status)
        market.refuse(status, times=None)
        found = asked(tmp_path, market)
        assert len(market.rest_calls) == 1
    assert words in named(found, "clock").text and named(found, "clock").mark == "FAIL"
    assert words in named(found, "stream").text and named(found, "stream").mark == "FAIL"
    assert not [finding for finding in found if finding.name in ("symbols", "history")]


@pytest.mark.parametrize("off_s, mark", [(0.0, "ok"), (2.0, "note"), (-2.0, "note"), (100.0, "FAIL")])
def test_the_offset_of_the_clock_is_measured(tmp_path, monkeypatch, off_s, mark):
    with FakeExchange(rate=100) as market:
        monkeypatch.setattr(exchange, "now_us", lambda: clock.now_us() + round(off_s * 1e6))
        found = named(asked(tmp_path, market), "clock")
    assert found.mark == mark
    assert abs(abs(off_s) - float(found.text.split()[0])) < 0.1
    assert off_s == 0 or ("ahead" if off_s > 0 else "behind") in found.text


def test_raw_futures_trades_cannot_be_asked_for_again(tmp_path):
    with FakeExchange(rate=100) as market:
        found = asked(tmp_path, market, stream="trade")
    assert named(found, "history").mark == "note"
    assert "on /public of all" in named(found, "stream").text


def test_without_network_it_says_so_and_asks_nothing_more(tmp_path, unused_port):
    nowhere = f"127.0.0.1:{unused_port}"
    found = list(exchange.exchange(settings(tmp_path, ws_url=f"ws://{nowhere}", rest_url=f"http://{nowhere}")))
    assert [finding.mark for finding in found] == ["FAIL", "note"]
    assert "cannot be reached" in found[0].text and "no network" in found[1].text


@pytest.mark.parametrize("source", ["demo", "replay"])
def test_a_simulation_needs_no_exchange(source, tmp_path):
    recording = tmp_path / "a.gz"
    recording.touch()
    (found,) = exchange.exchange(settings(tmp_path, source=source, replay=str(recording)))
    assert found.mark == "ok"


def test_a_proxy_is_named_without_its_password(monkeypatch):
    monkeypatch.setenv("https_proxy", "http://ann:s3cret@proxy.example:3128")
    monkeypatch.setenv("no_proxy", "")
    (found,) = exchange._network("https://fapi.binance.com")
    assert "proxy.example:3128" in found.text and "s3cret" not in found.line()


# --- the machine ------------------------------------------------------------------------------------


def test_a_free_port_is_ok(unused_port, tmp_path):
    (found,) = machine.port(settings(tmp_path, port=unused_port))
    assert found.mark == "ok"


def test_a_port_of_another_program_is_taken(tmp_path, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setattr(machine, "ANSWER_S", 0.2)
        (found,) = machine.port(settings(tmp_path, port=other.getsockname()[1]))
    assert found.mark == "FAIL" and "another program" in found.text and "--port" in found.todo


@contextmanager
def health(status: int, body: str):
    """A server that says this of itself; its port."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(
    "status, body, mark, words",
    [
        (200, '{"status": "ok"}', "ok", "Pairscope runs there"),
        (503, '{"status": "failing", "reason": "the mirror thread is dead"}', "FAIL", "mirror thread is dead"),
        (200, "<html>", "FAIL", "another program"),
        (404, "[]", "FAIL", "another program"),
    ],
)
def test_who_has_the_port_is_asked(tmp_path, status, body, mark, words):
    with health(status, body) as port:
        (found,) = machine.port(settings(tmp_path, port=port))
    assert (found.mark, words in found.text) == (mark, True)


def test_an_address_of_another_machine_cannot_be_bound(tmp_path):
    away = config.Settings.model_construct(host="192.0.2.1", port=8501)
    (found,) = machine.port(away)
    assert found.mark == "FAIL" and "192.0.2.1:8501" in found.text


def test_settings_of_other_versions_are_named_with_what_may_be_meant(tmp_path):
    file = tmp_path / ".env"
    file.write_text("PAIRSCOPE_SYMBOL=BTCUSDT\nPAIRSCOPE_PORT=0\n")
    read, found = machine.settings({"PAIRSCOPE_FROBNICATE_X": "1", "HOME": "/"}, file)
    assert read is not None and read.port == 0
    assert [(finding.mark, finding.todo) for finding in found] == [
        ("note", "remove it; README lists the settings"),
        ("note", "did you mean PAIRSCOPE_SYMBOLS?"),
        ("ok", ""),
    ]


def test_a_setting_that_cannot_be_used_fails_without_its_secrets(tmp_path, monkeypatch):
    monkeypatch.setenv("PAIRSCOPE_PORT", "99999")
    monkeypatch.setenv("PAIRSCOPE_API_TOKEN", "canary")
    read, found = machine.settings(os.environ, tmp_path / ".env")
    assert found[-1].mark == "FAIL" and "PAIRSCOPE_PORT" in found[-1].text and "99999" in found[-1].text
    assert read is None
    assert not [finding for finding in found if "canary" in finding.line()]


def test_packages_are_compared_with_the_pins(tmp_path):
    (found,) = machine.packages()
    assert found.mark == "ok"
    file = tmp_path / "requirements.txt"
    file.write_text(
        "numpy==0.1 \\\n    --hash=sha256:ab\nno-such-package-at-all==1 # x\npywin32==1 ; sys_platform == 'x'\n"
    )
    (found,) = machine.packages(file)
    assert found.mark == "FAIL"
    assert (
        "numpy is " in found.text and "no-such-package-at-all is missing" in found.text and "pywin32" not in found.text
    )


def test_more_trades_than_memory_holds_are_noted(tmp_path):
    (found,) = machine.memory(settings(tmp_path, buffer=100_000_000, symbols=",".join(f"S{n}" for n in range(500))))
    assert found.mark == "note" and "PAIRSCOPE_BUFFER" in found.todo


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_files_that_others_can_read_are_named(tmp_path):
    used = settings(tmp_path)
    sqlite.open_writer(used.database).close()
    file = tmp_path / ".env"
    file.touch(0o600)
    assert [finding.mark for finding in machine.secrets(used, file)] == ["ok"]
    used.database.chmod(0o644)
    file.chmod(0o640)
    (found,) = machine.secrets(used, file)
    assert found.mark == "note" and str(used.database) in found.text and f"chmod go-rwx {file}" in found.todo


# --- storage ----------------------------------------------------------------------------------------


def test_the_version_of_sqlite_is_judged_by_the_known_error(monkeypatch):
    for version, mark in (((3, 40, 1), "note"), ((3, 51, 3), "ok"), ((3, 20, 0), "FAIL")):
        monkeypatch.setattr(sqlite3, "sqlite_version_info", version)
        (found,) = storage.sqlite_version()
        assert found.mark == mark


def state(used) -> Finding:
    (found,) = storage.database(used)
    return found


def test_a_database_is_told_with_schema_and_owner(tmp_path):
    used = settings(tmp_path)
    assert "will be made" in state(used).text and not used.database.exists()
    sqlite.open_writer(used.database).close()
    assert f"schema {sqlite.SCHEMA_VERSION}" in state(used).text and state(used).text.endswith("free")
    lock = CaptureLock(used.database)
    lock.acquire()
    assert f"in use by another Pairscope (process {os.getpid()})" in state(used).text
    lock.release()


def make_database(path: Path, version: int) -> None:
    sqlite.open_writer(path).close()
    with closing(sqlite3.connect(path)) as file:
        file.execute(f"pragma user_version = {version}")


@pytest.mark.parametrize(
    "make, mark, words",
    [
        (lambda path: make_database(path, 99), "FAIL", "has schema 99"),
        (lambda path: make_database(path, 1), "note", "copies it and brings it to"),
        (lambda path: path.write_text("a letter"), "FAIL", "not a database"),
        (lambda path: path.mkdir(), "FAIL", "tape.db"),
    ],
)
def test_a_database_that_is_not_as_it_should_be_is_left_as_it_is(tmp_path, make, mark, words):
    used = settings(tmp_path)
    make(used.database)
    before = used.database.read_bytes() if used.database.is_file() else b""
    assert (state(used).mark, words in state(used).text) == (mark, True)
    assert before == (used.database.read_bytes() if used.database.is_file() else b"")


def test_a_folder_is_timed_and_left_as_it_was(tmp_path):
    used = settings(tmp_path, database=tmp_path / "not" / "yet" / "tape.db")
    (found,) = storage.folder(used)
    assert found.mark in ("ok", "note") and "MB/s" in found.text
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs a folder that nobody can write, root included")
def test_a_folder_that_cannot_be_written_fails(tmp_path):
    used = settings(tmp_path, database="/proc/self/tape.db")
    (found,) = storage.folder(used)
    assert found.mark == "FAIL" and "/proc/self cannot be written" in found.text
    (found,) = storage.log(Path("/proc/self/log"))
    assert found.mark == "note"


def test_a_disk_that_fills_up_is_told_before_it_is_full(tmp_path, monkeypatch):
    for free, mark in ((1e8, "FAIL"), (1e9, "note"), (1e11, "ok")):
        monkeypatch.setattr(storage.shutil, "disk_usage", lambda _, free=free: type("Usage", (), {"free": int(free)}))
        (found,) = storage.disk(settings(tmp_path))
        assert found.mark == mark


# --- the report -------------------------------------------------------------------------------------


def test_the_report_is_lines_or_json_and_an_exit_status(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PAIRSCOPE_SOURCE", "demo")
    monkeypatch.setenv("PAIRSCOPE_PORT", "0")
    monkeypatch.setenv("PAIRSCOPE_DATABASE", str(tmp_path / "tape.db"))
    monkeypatch.setenv("PAIRSCOPE_API_TOKEN", "canary-canary-canary")
    assert doctor.main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert all(line.split()[0] in ("ok", "note") for line in lines[:-1])
    assert lines[-1].startswith(f"{len(lines) - 1} looked at: ")
    monkeypatch.setenv("PAIRSCOPE_PORT", "-1")
    assert doctor.main(["--json"]) == 1
    said = capsys.readouterr().out
    report = json.loads(said)
    assert report["well"] is False
    assert [row["name"] for row in report["findings"] if row["mark"] == "FAIL"] == ["settings"]
    assert set(report["findings"][0]) == {"name", "mark", "text", "todo"}
    assert "canary" not in said + "\n".join(lines)


def test_every_line_that_is_not_well_says_what_to_do(tmp_path, unused_port):
    nowhere = f"127.0.0.1:{unused_port}"
    found = list(exchange.exchange(settings(tmp_path, ws_url=f"ws://{nowhere}", rest_url=f"http://{nowhere}")))
    assert all("->" in finding.line() for finding in found if finding.mark == "FAIL")
