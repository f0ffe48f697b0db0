"""Known errors of the pinned packages, by pip-audit, where the package index tells them; standard library only.

Fails where a pinned version has a known error. Where nobody answers (no network, an index without that list) it says
so, and does not fail: what is installed is held by its hashes all the same.
"""

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "var" / "audit"
AUDITOR = "pip-audit==2.10.1"
LOCK = ROOT / "requirements-dev.lock"
ASKED = "https://pypi.org/pypi/{}/{}/json"  # where pip-audit reads, too
ANSWER_S, MOST_S = 3, 60
# Known errors that do not touch us, each with the reason: identifier -> why.
ACCEPTED: dict[str, str] = {}


def main() -> int:
    """The exit status."""
    try:
        first = LOCK.read_text("utf-8").split(maxsplit=1)[0]
        with urllib.request.urlopen(ASKED.format(*first.split("==")), timeout=ANSWER_S) as answer:
            answer.read(1)
        found = audit()
    except (OSError, subprocess.SubprocessError, ValueError) as exc:
        print(f"audit: not done: {exc}", flush=True)
        return 0
    audited = [row for row in found if "vulns" in row]
    wrong = [(row, error) for row in audited for error in row["vulns"] if error["id"] not in ACCEPTED]
    for row, error in wrong:
        print(f"audit: {row['name']} {row['version']}: {error['id']}, mended in {', '.join(error['fix_versions'])}")
    print(f"audit: {len(audited)} of {len(found)} packages looked up, {len(wrong)} known errors", flush=True)
    return 1 if wrong else 0


def audit() -> list[dict[str, object]]:
    """What pip-audit says of each pin."""
    python = FOLDER / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not python.exists():
        run(sys.executable, "-m", "venv", str(FOLDER))
    run(str(python), "-m", "pip", "install", "-q", AUDITOR)
    words = ("-m", "pip_audit", "--no-deps", "--disable-pip", "--require-hashes", "--progress-spinner", "off")
    told = run(str(python), *words, "-f", "json", "--timeout", "5", "-r", str(LOCK))
    return list(json.loads(told)["dependencies"])


def run(*command: str) -> str:
    """What a command says; pip-audit ends with 1 where it found something."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=MOST_S, check=False)
    if not done.stdout.startswith("{") and done.returncode:
        lines = done.stderr.strip().splitlines() or ["it said nothing"]
        raise ValueError(f"{command[2]}: {lines[-1][:200]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
