"""The process as a whole: it answers, it stops on a signal, and nothing that it acknowledged is lost."""

import os
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import closing

import pytest

from tests.fakes.exchange import FakeExchange
from tests.running import ROOT, running
from tests.waiting import until


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_mid_stream_loses_nothing_and_ends_within_five_seconds(tmp_path, number):
    with FakeExchange(rate=1_000) as exchange:
        options = {"source": "binance-um", "ws_url": exchange.ws_url, "database": tmp_path / "tape.db"}
        with running("--capture", **options) as app:
            rows = until(app.status, lambda status: sum(r["stored"] for r in status["symbols"].values()) > 500)
            with urllib.request.urlopen(app.url + "/api/v1/ticks/BTCUSDT?limit=5") as answer:
                assert answer.status == 200
            assert app.stop(number) == 0
    assert not (tmp_path / "tape.db-wal").exists()
    with closing(sqlite3.connect(tmp_path / "tape.db")) as file:
        for symbol, row in rows["symbols"].items():
            stored = [i for (i,) in file.execute("select trade_id from trades where symbol = ? order by 1", (symbol,))]
            assert len(stored) >= row["stored"]
            assert stored == list(range(stored[0], stored[-1] + 1))


def test_pages_rest_and_docs_answer_on_one_port(tmp_path):
    with running(source="demo", database=tmp_path / "tape.db") as app:
        with urllib.request.urlopen(app.url) as answer:
            page = answer.read().decode()
        assert "<title>" in page
        with urllib.request.urlopen(f"{app.url}/api/docs") as answer:
            assert "swagger" in answer.read().decode().lower()
        assert app.status()["mode"] == "DEMO"
        with urllib.request.urlopen(f"{app.url}/live/plotly.js") as answer:
            assert "javascript" in answer.headers["Content-Type"]
        assert app.stop(signal.SIGTERM) == 0


def test_capture_has_no_pages(tmp_path):
    with running("--capture", source="demo", database=tmp_path / "tape.db") as app:
        with pytest.raises(urllib.error.HTTPError) as caught:
            urllib.request.urlopen(app.url)
        assert caught.value.code == 404
        caught.value.close()


def test_a_second_capture_into_the_same_file_is_refused_with_the_owner(tmp_path):
    options = {"source": "demo", "database": tmp_path / "tape.db"}
    with running("--capture", **options) as app:
        second = _start(**options)
        assert second.returncode != 0
        assert second.stderr.count("\n") == 1
        assert f"process {app.process.pid}" in second.stderr


def test_a_wrong_setting_ends_the_start_with_one_line(tmp_path):
    refused = _start(source="kraken")
    assert refused.returncode != 0
    assert refused.stderr.count("\n") == 1
    assert "PAIRSCOPE_SOURCE" in refused.stderr and "kraken" in refused.stderr


def _start(**options: object) -> subprocess.CompletedProcess[str]:
    """Run app.py until it ends by itself."""
    environ = os.environ | {f"PAIRSCOPE_{name.upper()}": str(value) for name, value in {"port": 0, **options}.items()}
    return subprocess.run(
        [sys.executable, "app.py", "--capture"], cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60
    )
