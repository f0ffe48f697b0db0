"""The audit of the pinned packages: a known error fails, an index that does not tell of any does not."""

import importlib.util
import io
import subprocess
import urllib.error

import pytest

from tests.running import ROOT

SPEC = importlib.util.spec_from_file_location("audit", ROOT / ".ci" / "audit.py")
assert SPEC is not None and SPEC.loader is not None
AUDIT = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(AUDIT)

PLANTED = [
    {"name": "starlette", "version": "0.38.0", "vulns": [{"id": "CVE-2024-47874", "fix_versions": ["0.40.0"]}]},
    {"name": "numpy", "version": "2.4.6", "vulns": []},
    {"name": "ours", "skip_reason": "not found"},
]


@pytest.fixture
def index(monkeypatch):
    """An index that answers; what was asked."""
    asked = []
    monkeypatch.setattr(AUDIT.urllib.request, "urlopen", lambda url, timeout: asked.append(url) or io.BytesIO(b"{}"))
    return asked


def test_a_planted_error_fails_the_run(index, monkeypatch, capsys):
    monkeypatch.setattr(AUDIT, "audit", lambda: PLANTED)
    assert AUDIT.main() == 1
    told = capsys.readouterr().out
    assert "starlette 0.38.0: CVE-2024-47874, mended in 0.40.0" in told
    assert "2 of 3 packages looked up, 1 known errors" in told
    assert index[0].startswith("https://pypi.org/pypi/") and index[0].endswith("/json")


def test_an_error_that_was_judged_does_not(index, monkeypatch):
    monkeypatch.setattr(AUDIT, "audit", lambda: PLANTED)
    monkeypatch.setattr(AUDIT, "ACCEPTED", {"CVE-2024-47874": "no multipart form is read"})
    assert AUDIT.main() == 0


@pytest.mark.parametrize(
    "exc",
    [
        urllib.error.URLError("no route"),
        urllib.error.HTTPError("https://pypi.org", 404, "Not Found", None, io.BytesIO()),
        subprocess.TimeoutExpired("pip", 60),
        ValueError("no such index"),
    ],
)
def test_where_nobody_answers_it_says_so_and_goes_on(index, monkeypatch, capsys, exc):
    def fail(*_: object) -> None:
        raise exc

    monkeypatch.setattr(AUDIT, "audit", fail)
    assert AUDIT.main() == 0
    assert capsys.readouterr().out.startswith("audit: not done: ")


def test_continuous_integration_asks_for_it():
    steps = (ROOT / ".ci" / "run").read_text("utf-8")
    assert "\npython3 .ci/audit.py & waiting+=($!)\n" in steps
    assert '\nfor job in "${waiting[@]}"; do wait "$job"; done\n' in steps  # which ends it where the audit failed
