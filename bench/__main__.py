"""`python run.py bench [NAME]`: ours against its peers, as a table and as JSON in var/bench.json."""

import argparse
import json
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path

from bench.frame import Row, Skipped, table, told
from utils.clock import iso_from_us, now_us

BENCHES = (
    "bars-refresh",
    "bars-build",
    "memory",
    "window",
    "mirror",
    "import",
    "decode",
    "rolling-refresh",
    "rolling-history",
    "hayashi-yoshida",
    "engle-granger",
    "scan",
    "scan-400",
    "kalman",
    "analyse-pair",
    "indicators",
    "microstructure",
    "quotes",
    "backtest",
    "alerts",
    "api",
    "dashboard",
    "replay",
)
RESULTS = Path(__file__).resolve().parents[1] / "var" / "bench.json"


def run(name: str, scale: float = 1.0) -> Iterator[Row]:
    """The rows of one bench, as they come; `scale` below 1 makes every size smaller, for a trial."""
    module = "imports" if name == "import" else name.replace("-", "_")  # a word of Python's own
    yield from import_module(f"bench.{module}").run(scale)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benches named, print the table, write the JSON; 0 even where a target is missed: the table says so."""
    parser = argparse.ArgumentParser(prog="run.py bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(BENCHES)}; all where none is given")
    parser.add_argument("--scale", type=float, default=1.0, help="1 = the sizes of the targets, less = a trial")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.names) - set(BENCHES))
    if unknown:
        parser.error(f"no bench named {', '.join(unknown)}; there are {', '.join(BENCHES)}")
    rows: list[Row] = []
    for name in options.names or BENCHES:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            for row in run(name, options.scale):
                print(told(row), file=sys.stderr, flush=True)
                rows.append(row)
        except Skipped as exc:
            print(f"{name} skipped: {exc}", file=sys.stderr, flush=True)
    print(table(rows))
    print(f"\n{sum(row.holds for row in rows)} of {len(rows)} targets hold")
    write(RESULTS, rows, options.scale)
    return 0


def write(path: Path, rows: Sequence[Row], scale: float) -> None:
    """The rows and the machine they were measured on, as JSON."""
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"at": iso_from_us(now_us()), "machine": machine, "scale": scale, "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
