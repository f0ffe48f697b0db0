"""One command for users: makes the environment on first use, installs what is pinned, starts Pairscope.

Standard library only, and readable by Python 3.8, so that a too old Python gets a sentence and not a traceback.

    options -> is the port free? -> utils.environment: in step with the requirement files? -> hand over to the app
"""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ROOT = Path(__file__).resolve().parent
MINIMUM = (3, 11)  # of Python

HELP = """\
Live pairs-trading analytics on Binance trades.

commands (before any option):
  (none)                  the dashboard, with its HTTP API, on one port
  capture                 the same engine and HTTP API, without pages
  import FILE...          trades and bars from files into the database; --dry-run only looks, --help tells more
  doctor [--json]         is everything here that it needs? network, clock, disk, port, settings
  backup FILE             all that is kept, in one file, while it goes on capturing; --help tells more
  restore FILE            puts a backup back
  test [pytest options]   all tests
  check                   lint, format and types
  bench [NAME]            measured ratios, as a table and in var/bench.json
  chaos [NAME] [--short]  every promise under every fault, as a table and in var/chaos.json
  calibrate [NAME] [--short]  error rates of every test and interval, in var/calibrate.json

The first start makes the folder .venv and installs requirements.txt into it; later starts only look.
Every option of the dashboard and of capture is also an environment variable, PAIRSCOPE_<NAME>."""

EPILOG = """\
examples:
  python run.py
  python run.py --source demo --port 9000
  python run.py capture --symbols BTCUSDT,ETHUSDT,SOLUSDT --database tape.db
  python run.py --replay btcusdt.gz ethusdt.gz --speed 20
  python run.py import BTCUSDT-aggTrades-2026-11.zip --dry-run
  python run.py test -k pair"""


class Failure(Exception):
    """What went wrong and what to do, as one sentence for the user."""


class Command(NamedTuple):
    """What a command needs and starts."""

    folder: str  # of the environment
    needs: tuple[str, ...]  # requirement files in it
    call: tuple[str, ...]  # what its Python is called with
    serves: bool = False  # takes the options, listens on the port
    computes: bool = False  # pages: their kernels are compiled once, before anybody waits for them
    looks: bool = False  # takes the options and --json, and only looks
    located: bool = False  # is told with --from where the command was given


COMMANDS = {
    "dashboard": Command(".venv", ("requirements.txt",), ("app.py",), serves=True, computes=True),
    "capture": Command(".venv", ("requirements.txt",), ("app.py", "--capture"), serves=True, computes=True),
    "import": Command(".venv", ("requirements.txt",), ("-m", "data.importers"), located=True),
    "doctor": Command(".venv", ("requirements.txt",), ("-m", "operations.doctor"), looks=True),
    "backup": Command(".venv", ("requirements.txt",), ("-m", "operations.backup"), located=True),
    "restore": Command(".venv", ("requirements.txt",), ("-m", "operations.restore"), located=True),
    "test": Command(
        ".venv",
        ("requirements-dev.txt",),
        ("-m", "pytest", "-n", "3", "--dist", "loadfile", "--no-loadscope-reorder"),
        computes=True,
    ),
    "check": Command(".venv", ("requirements-dev.txt",), ()),
    "chaos": Command(".venv", ("requirements-dev.txt",), ("-m", "tests.chaos")),
    "calibrate": Command(".venv", ("requirements-dev.txt",), ("-m", "tests.calibrate")),
    # The peers are heavy and pin what they like: they never share an environment with the product.
    "bench": Command(".venv-bench", ("requirements.txt", "requirements-bench.txt"), ("-m", "bench")),
}
CHECKS = (("ruff", "check", "."), ("ruff", "format", "--check", "."), ("mypy",))


# --- options --------------------------------------------------------------------------------------


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are one sentence."""

    def error(self, message: str) -> None:  # type: ignore[override]
        self.exit(2, f"Pairscope: {message}; see python run.py --help\n")


def port_number(text: str) -> str:
    """The text of a port, 0 to 65535; 0 takes a free one."""
    if not (text.isascii() and text.isdigit() and int(text) <= 65_535):
        raise argparse.ArgumentTypeError(f"must be a whole number from 0 to 65535, was {text!r}")
    return text


def parser() -> Parser:
    """The options of the dashboard and of capture."""
    made = Parser(
        prog="python run.py",
        usage=f"python run.py [{' | '.join(list(COMMANDS)[1:])}] [options]",
        description=HELP,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = made.add_argument
    add("--source", help="auto (default), binance-um, binance-spot, demo or replay")
    add("--symbols", nargs="+", metavar="SYMBOL", help="instruments to follow (default BTCUSDT ETHUSDT)")
    add("--port", type=port_number, help="port of the one server (default 8501; 0 takes a free one)")
    add("--host", help="address to listen on (default 127.0.0.1)")
    add("--database", metavar="FILE", help="SQLite file of the tape (default var/pairscope.db)")
    add("--replay", nargs="+", metavar="FILE", help="recordings to replay; implies --source replay")
    add("--speed", help="replay speed: 1 as recorded (default), 20 twenty times faster, 0 as fast as possible")
    return made


def split_command(arguments: Sequence[str]) -> tuple[str, list[str]]:
    """Name of the command and what follows it; no command means the dashboard."""
    if not arguments or arguments[0].startswith("-"):
        return "dashboard", list(arguments)
    if arguments[0] not in COMMANDS:
        raise Failure(f"there is no command {arguments[0]!r}; see python run.py --help")
    return arguments[0], list(arguments[1:])


def absolute(path: str, start: Path) -> str:
    """The path as seen from the folder `start`."""
    return os.path.normpath(start / Path(path).expanduser())


def options_as_environment(arguments: Sequence[str], start: Path) -> dict[str, str]:
    """PAIRSCOPE_* variables that stand for the options; relative paths count from `start`."""
    given = {name: value for name, value in vars(parser().parse_args(arguments)).items() if value is not None}
    if "symbols" in given:
        given["symbols"] = ",".join(given["symbols"])
    if "database" in given:
        given["database"] = absolute(given["database"], start)
    if "replay" in given:
        given["replay"] = ",".join(absolute(path, start) for path in given["replay"])
        given.setdefault("source", "replay")
    return {f"PAIRSCOPE_{name.upper()}": value for name, value in given.items()}


def child_environment(environ: Mapping[str, str], options: Mapping[str, str], start: Path) -> dict[str, str]:
    """Environment of the app: the caller's, its paths made absolute (the app runs in its own folder), the options."""
    env = {name: value for name, value in environ.items() if name != "PYTHONHOME"}  # it would hide the installed
    if env.get("PAIRSCOPE_DATABASE"):
        env["PAIRSCOPE_DATABASE"] = absolute(env["PAIRSCOPE_DATABASE"], start)
    recordings = env.get("PAIRSCOPE_REPLAY", "").split(",")
    if any(recordings):
        env["PAIRSCOPE_REPLAY"] = ",".join(absolute(path.strip(), start) for path in recordings if path.strip())
    # Threads of linear algebra cost more than they save on arrays of this size, and wait in loops for each other.
    return {"OPENBLAS_NUM_THREADS": "1", **env, **options}


# --- the port -------------------------------------------------------------------------------------


def setting(name: str, default: str, env: Mapping[str, str], file: Path) -> str:
    """One setting as the app will see it: environment, then the `.env` file, then the default."""
    if env.get(name):
        return env[name]
    lines = file.read_text("utf-8", errors="replace").splitlines() if file.is_file() else []
    for line in reversed(lines):
        found = re.match(rf"\s*(?:export\s+)?{name}\s*=\s*[\"']?([^\"'#\s]+)", line)
        if found:
            return found.group(1)
    return default


def check_port(host: str, port: int) -> None:
    """Refuse a port that cannot be had, before anything is started."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        address = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)[0][4]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if os.name != "nt":  # connections of the last run that linger are no reason to refuse
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen(1)
    except socket.gaierror as exc:
        raise Failure(f"host {host!r} is not known here ({exc.strerror}); choose another with --host") from None
    except OSError as exc:
        raise Failure(why_unbound(host, port, exc)) from None


def why_unbound(host: str, port: int, exc: OSError) -> str:
    """What a failed bind means for the user."""
    if exc.errno == errno.EADDRNOTAVAIL:
        return f"host {host!r} is not an address of this machine; choose another with --host"
    if exc.errno == errno.EADDRINUSE:
        who = "another program, perhaps a Pairscope that already runs, listens there"
        return f"port {port} is taken: {who}; choose another with --port"
    return f"port {port} cannot be used: {exc.strerror}; choose another with --port"


def check_port_of(env: Mapping[str, str]) -> None:
    """Refuse a taken port; values that make no sense are left to the app, which explains them."""
    host = setting("PAIRSCOPE_HOST", "127.0.0.1", env, ROOT / ".env")
    port = setting("PAIRSCOPE_PORT", "8501", env, ROOT / ".env")
    if port.isascii() and port.isdigit() and 0 < int(port) <= 65_535:
        check_port(host, int(port))


# --- start ----------------------------------------------------------------------------------------


def check_python(version: Sequence[int]) -> None:
    """Refuse a Python older than MINIMUM."""
    if tuple(version[:2]) < MINIMUM:
        need, have = ".".join(map(str, MINIMUM)), ".".join(map(str, version[:3]))
        raise Failure(f"needs Python {need} or newer, and this is {have}; start it with a newer one")


def prepare(command: Command) -> Path:
    """The interpreter of the command's environment, which is set up where it is not in step."""
    # Only here, where the Python is known to be new enough to read it.
    from utils.environment import Environment, SetupError, compile_once
    from utils.environment import prepare as set_up

    environment = Environment(ROOT, command.folder, command.needs)
    try:
        if set_up(environment, sys.stderr):
            print("Pairscope: starting", file=sys.stderr, flush=True)
        if command.computes:
            compile_once(environment, "analytics", "analytics.warm", sys.stderr)
    except SetupError as exc:
        raise Failure(str(exc)) from exc
    return environment.python


def check(python: Path) -> int:
    """Run every check, also after one failed; 1 if any did."""
    failed = [" ".join(words) for words in CHECKS if subprocess.call([str(python), "-m", *words], cwd=ROOT)]
    print(f"check: failed: {', '.join(failed)}" if failed else "check: clean", flush=True)
    return 1 if failed else 0


def hand_over(python: Path, call: Sequence[str], env: Mapping[str, str]) -> int:
    """Become the called program, so that signals reach it and nothing stands between; its exit code."""
    os.chdir(ROOT)
    sys.stdout.flush()
    sys.stderr.flush()
    command = [str(python), *call]
    if os.name != "nt":
        os.execve(command[0], command, dict(env))
    child = subprocess.Popen(command, env=dict(env))
    for name in ("SIGINT", "SIGBREAK"):  # the console sends both to the child as well, and the child decides
        signal.signal(getattr(signal, name), signal.SIG_IGN)
    return child.wait()


def run(arguments: Sequence[str], environ: Mapping[str, str], start: Path) -> int:
    """Carry out one command line, given from the folder `start`; the exit code."""
    name, rest = split_command(arguments)
    command = COMMANDS[name]
    if command.serves:
        env = child_environment(environ, options_as_environment(rest, start), start)
        rest = []
        check_port_of(env)
    elif command.looks:
        options = [word for word in rest if word != "--json"]
        env = child_environment(environ, options_as_environment(options, start), start)
        rest = ["--json"] if "--json" in rest else []
    else:
        env = child_environment(environ, {}, start)
        rest = ["--from", str(start), *rest] if command.located else rest
    python = prepare(command)
    if name == "check":
        return check(python)
    return hand_over(python, [*command.call, *rest], env)


def main() -> int:
    """The command line of this process; errors are one sentence."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that a set-up stops pip too; the app sets its own
    try:
        check_python(sys.version_info[:3])
        return run(sys.argv[1:], os.environ, Path.cwd())
    except Failure as exc:
        print(f"Pairscope: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nPairscope: stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
