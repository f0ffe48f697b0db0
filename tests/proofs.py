"""A proof run: scenarios by name, their rows as a table on screen and as JSON on disk, and an exit status."""

import argparse
import json
import os
import platform
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from tests.table import Row, Size, failed, table
from utils.clock import iso_from_us, now_us

FOLDER = Path(__file__).resolve().parents[1] / "var"

Scenario = Callable[[Size], Iterator[Row]]


@dataclass(frozen=True)
class Proof:
    """A named set of scenarios."""

    name: str  # of the command, and of the JSON file
    description: str
    scenarios: Mapping[str, Scenario]
    folder: Path = FOLDER

    def run(self, scenario: str, size: Size) -> list[Row]:
        """The rows of one scenario; one that breaks off has a row that says why."""
        rows: list[Row] = []
        try:
            rows.extend(self.scenarios[scenario](size))
        except Exception as exc:  # noqa: BLE001 - whatever it was, the other scenarios still run
            rows.append(failed(scenario, exc))
        return rows

    def parser(self) -> argparse.ArgumentParser:
        """The options that every proof has."""
        parser = argparse.ArgumentParser(prog=f"run.py {self.name}", description=self.description)
        known = ", ".join(self.scenarios)
        parser.add_argument("names", nargs="*", metavar="SCENARIO", help=f"{known}; all where none is given")
        parser.add_argument("--short", action="store_true", help="the form of every test run: minutes, not an hour")
        return parser

    def main(self, parser: argparse.ArgumentParser, arguments: Sequence[str] | None = None) -> int:
        """Run the scenarios named, print the table, write the JSON; 1 if anything does not hold."""
        options = parser.parse_args(arguments)
        unknown = sorted(set(options.names) - set(self.scenarios))
        if unknown:
            parser.error(f"no scenario named {', '.join(unknown)}; there are {', '.join(self.scenarios)}")
        size, rows = Size(options.short, getattr(options, "hours", 0.0)), []
        for name in options.names or self.scenarios:
            began_s = time.monotonic()
            rows += self.run(name, size)
            say(f"{name}: {time.monotonic() - began_s:.0f} s", sys.stderr)
        held = sum(row.holds for row in rows)
        say(f"{table(rows)}\n\n{held} of {len(rows)} hold", sys.stdout)
        write(self.folder / f"{self.name}.json", rows, size)
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
