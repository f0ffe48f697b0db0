"""Every promise under every fault: `python run.py chaos [SCENARIO ...] [--short] [--hours H]`.

Pairscope runs in a process of its own against the fake exchange. The table is printed, and written with the machine
it was made on to var/chaos.json; the exit status is 1 if anything does not hold.
"""

import argparse
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from tests.chaos import complete, kills, limits, silence, storage, sustained
from tests.table import Row, Size, failed, table
from utils.clock import iso_from_us, now_us

RESULTS = Path(__file__).resolve().parents[2] / "var" / "chaos.json"
SCENARIOS: dict[str, Callable[[Size], Iterator[Row]]] = {
    "complete": complete.complete,
    "refused": complete.refused,
    "kills": kills.kills,
    "silence": silence.silence,
    "limits": limits.limits,
    "sustained": sustained.sustained,
    "storage": storage.storage,
    "files": storage.files,
}


def run(name: str, size: Size) -> list[Row]:
    """The rows of one scenario; one that breaks off has a row that says why."""
    rows: list[Row] = []
    try:
        rows.extend(SCENARIOS[name](size))
    except Exception as exc:  # noqa: BLE001 - whatever it was, the other scenarios still run
        rows.append(failed(name, exc))
    return rows


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the scenarios named, print the table, write the JSON; 1 if anything does not hold."""
    parser = argparse.ArgumentParser(prog="run.py chaos", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"{', '.join(SCENARIOS)}; all where none is given")
    parser.add_argument("--short", action="store_true", help="the form of every test run: two minutes, not 45")
    parser.add_argument("--hours", type=float, default=0.0, help="length of the sustained load, in place of 25 minutes")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(SCENARIOS))
    if unknown:
        parser.error(f"no scenario named {', '.join(unknown)}; there are {', '.join(SCENARIOS)}")
    size, rows = Size(options.short, options.hours), []
    for name in options.names or SCENARIOS:
        began_s = time.monotonic()
        rows += run(name, size)
        say(f"{name}: {time.monotonic() - began_s:.0f} s", sys.stderr)
    held = sum(row.holds for row in rows)
    say(f"{table(rows)}\n\n{held} of {len(rows)} hold", sys.stdout)
    write(RESULTS, rows, size)
    return 0 if held == len(rows) else 1


def write(path: Path, rows: Sequence[Row], size: Size) -> None:
    """The rows and the machine they were found on, as JSON."""
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    head = {"at": iso_from_us(now_us()), "machine": machine | {"sqlite": sqlite3.sqlite_version}, **asdict(size)}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(head | {"rows": [asdict(row) for row in rows]}, indent=1) + "\n", encoding="utf-8")


def say(text: str, stream: TextIO) -> None:
    """One or more lines, at once."""
    stream.write(text + "\n")
    stream.flush()


if __name__ == "__main__":
    sys.exit(main())
