"""Pairscope as its users run it: a process of its own, spoken to over HTTP and stopped by a signal."""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tests.waiting import until

ROOT = Path(__file__).resolve().parents[1]
START_S = 60.0


class Running:
    """A running Pairscope."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process = process
        self.url = url

    def get(self, path: str) -> Any:
        """The JSON answer to a GET."""
        with urllib.request.urlopen(self.url + path, timeout=10) as answer:
            return json.load(answer)

    def status(self) -> dict[str, Any]:
        """The status document."""
        return self.get("/api/v1/")

    def stop(self, signal: int, within_s: float = 5.0) -> int:
        """Send a signal; the exit status.

        Raises
        ------
        subprocess.TimeoutExpired
            The process is still there after `within_s`.
        """
        self.process.send_signal(signal)
        return self.process.wait(within_s)


@contextmanager
def running(
    *arguments: str,
    log: Path | None = None,
    well: bool = True,
    program: Sequence[str] = ("app.py",),
    **options: object,
) -> Iterator[Running]:
    """Start `app.py` with PAIRSCOPE_ options on a free port; killed at the end if it still runs.

    `log` is a file to which what it says on stderr is added; without `well` an answer that something fails will do.
    `program` is what Python starts instead of `app.py`; it must say its address as that does.
    """
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PAIRSCOPE_")}
    environ |= {f"PAIRSCOPE_{name.upper()}": str(value) for name, value in {"port": 0, **options}.items()}
    with nullcontext() if log is None else log.open("a") as said:
        process = subprocess.Popen(
            [sys.executable, *program, *arguments],
            cwd=ROOT,
            env=environ,
            stdout=subprocess.PIPE,
            stderr=said,
            text=True,
        )
    assert process.stdout is not None
    try:
        line = next((line for line in process.stdout if "http://" in line), "")  # ends with the process, at the latest
        assert "http://" in line, f"did not start, exit status {process.wait(5)}: {line!r}"
        app = Running(process, next(word for word in line.split() if word.startswith("http://")))
        until(lambda: _answers(app, well), bool, START_S)
        yield app
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def _answers(app: Running, well: bool) -> bool:
    try:
        return app.get("/healthz") == {"status": "ok"}
    except urllib.error.HTTPError as exc:
        with exc:
            return not well
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False
