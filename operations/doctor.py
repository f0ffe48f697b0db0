"""`python run.py doctor`: is everything here that Pairscope needs? One line each, with what to do.

Nothing is changed: files that are written to time the disk are deleted again. Exit status 1 where anything fails.
"""

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import config
from operations import exchange, machine, storage
from operations.finding import Finding


def findings(environ: Mapping[str, str], env_file: Path) -> Iterator[Finding]:
    """Everything that is looked at, in the order of the report; the slow ones last."""
    yield from machine.python()
    yield from machine.packages()
    yield from storage.sqlite_version()
    yield from storage.log(config.ROOT / "var" / "log")
    settings, found = machine.settings(environ, env_file)
    yield from found
    if settings is None:
        return
    yield from machine.memory(settings)
    yield from machine.port(settings)
    yield from machine.secrets(settings, env_file)
    yield from storage.database(settings)
    yield from storage.folder(settings)
    yield from storage.disk(settings)
    yield from exchange.exchange(settings)


def as_json(found: Sequence[Finding]) -> str:
    """The report for programs."""
    failed = sum(finding.mark == "FAIL" for finding in found)
    return json.dumps({"well": not failed, "findings": [asdict(finding) for finding in found]}, indent=1)


def closing_line(found: Sequence[Finding]) -> str:
    """How many of what."""
    counts = Counter(finding.mark for finding in found)
    return f"{len(found)} looked at: {counts['ok']} ok, {counts['note']} to note, {counts['FAIL']} failed"


def main(arguments: Sequence[str] | None = None) -> int:
    """Report to stdout; the exit status."""
    parser = argparse.ArgumentParser(prog="python run.py doctor", description="Is everything here that it needs?")
    parser.add_argument("--json", action="store_true", help="the report as JSON")
    as_data = parser.parse_args(arguments).json
    found = []
    for finding in findings(os.environ, Path(str(config.Settings.model_config["env_file"]))):
        found.append(finding)
        if not as_data:
            sys.stdout.write(finding.line() + "\n")
            sys.stdout.flush()
    sys.stdout.write((as_json(found) if as_data else closing_line(found)) + "\n")
    return 1 if any(finding.mark == "FAIL" for finding in found) else 0


if __name__ == "__main__":
    sys.exit(main())
