"""What of this machine Pairscope rests on: Python, packages, settings, memory, the port, and who may read what."""

import difflib
import errno
import json
import os
import platform
import socket
import stat
import struct
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import psutil
from dotenv import dotenv_values
from packaging.requirements import Requirement

import config
from operations.finding import Finding, fail, note, ok
from utils.errors import SettingsError

PREFIX = "PAIRSCOPE_"
TRADE_BYTES = 50  # of a trade in memory, at most
BASE_BYTES = 500 << 20  # of the process without trades
ANSWER_S = 2.0  # for what listens on the port to say what it is


def python() -> Iterator[Finding]:
    """The interpreter."""
    bits = struct.calcsize("P") * 8
    text = f"{platform.python_version()}, {bits} bit, {platform.system()} {platform.machine()}"
    if bits < 64:
        yield fail("python", text, "install a 64 bit Python: the numeric libraries are made for no other")
    else:
        yield ok("python", text)


def packages(requirements: Path = config.ROOT / "requirements.txt") -> Iterator[Finding]:
    """Whether everything that is pinned is installed as it is pinned."""
    pins = [Requirement(line) for line in _requirement_lines(requirements)]
    wanted = [pin for pin in pins if pin.marker is None or pin.marker.evaluate()]
    wrong = [text for pin in wanted if (text := _mismatch(pin))]
    if wrong:
        more = f" and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        yield fail("packages", f"{', '.join(wrong[:3])}{more}", "delete the folder .venv and start python run.py again")
    else:
        yield ok("packages", f"{len(wanted)} as they are pinned")


def _requirement_lines(path: Path) -> Iterator[str]:
    """The pins of a requirement file, without comments and hashes."""
    for line in path.read_text("utf-8").replace("\\\n", " ").splitlines():
        text = line.partition("#")[0].partition("--hash")[0].strip()
        if text and not text.startswith("-"):
            yield text


def _mismatch(pin: Requirement) -> str:
    try:
        have = version(pin.name)
    except PackageNotFoundError:
        return f"{pin.name} is missing"
    return "" if pin.specifier.contains(have, prereleases=True) else f"{pin.name} is {have}, not {pin.specifier}"


def settings(environ: Mapping[str, str], file: Path) -> tuple[config.Settings | None, list[Finding]]:
    """The settings, None where they cannot be used, and what is wrong with them."""
    found = [_unknown(name) for name in _given(environ, file) if not _is_known(name)]
    try:
        read = config.load()
    except SettingsError as exc:
        todo = "correct it; what depends on settings was not looked at"
        return None, [*found, fail("settings", str(exc), todo)]
    count = sum(_is_known(name) for name in _given(environ, file))
    return read, [*found, ok("settings", f"{count} given, all valid")]


def _given(environ: Mapping[str, str], file: Path) -> list[str]:
    """Names of ours in the environment and in `.env`."""
    listed = dotenv_values(file) if file.is_file() else {}
    return sorted({name.upper() for name in (*environ, *listed) if name.upper().startswith(PREFIX)})


def _is_known(name: str) -> bool:
    return name.removeprefix(PREFIX).lower() in config.Settings.model_fields


def _unknown(name: str) -> Finding:
    known = [f"{PREFIX}{field.upper()}" for field in config.Settings.model_fields]
    near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
    todo = f"did you mean {near[0]}?" if near else "remove it; README lists the settings"
    return note("settings", f"{name} is not a setting of this version: it does nothing", todo)


def memory(settings: config.Settings) -> Iterator[Finding]:
    """Whether the trades that may be held fit."""
    need = BASE_BYTES + len(settings.symbols) * settings.buffer * TRADE_BYTES
    free = psutil.virtual_memory().available
    text = f"{free / 1e9:.1f} GB free; {len(settings.symbols)} symbols may take up to {need / 1e9:.1f} GB"
    if need > free:
        yield note("memory", text, f"lower PAIRSCOPE_BUFFER, which is {settings.buffer:,} trades a symbol")
    else:
        yield ok("memory", text)


def port(settings: config.Settings) -> Iterator[Finding]:
    """Whether the port can be had, or who has it."""
    if settings.port == 0:
        yield ok("port", "any that is free")
        return
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            if os.name != "nt":  # connections of the last run that linger are no reason to refuse
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((settings.host, settings.port))
            probe.listen(1)
        yield ok("port", f"{settings.port} on {settings.host} is free")
    except OSError as exc:
        yield _unbound(settings, exc)


def _unbound(settings: config.Settings, exc: OSError) -> Finding:
    if exc.errno != errno.EADDRINUSE:
        why = f"{settings.host}:{settings.port} cannot be used: {exc.strerror or exc}"
        return fail("port", why, "choose another with --host and --port")
    health = _health(settings)
    if health == "ok":
        return ok("port", f"{settings.port}: Pairscope runs there, and is well")
    if health:
        return fail("port", f"{settings.port}: Pairscope runs there and says: {health}", "look at its System page")
    return fail("port", f"{settings.port} is taken by another program", "choose another with --port")


def _health(settings: config.Settings) -> str:
    """What a Pairscope on the port says of itself; empty where it is none."""
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(f"http://{host}:{settings.port}/healthz", timeout=ANSWER_S) as answer:
            body = json.loads(answer.read(1_000))
    except urllib.error.HTTPError as exc:
        with exc:
            body = _parsed(exc.read(1_000))
    except (OSError, ValueError):
        return ""
    status = body.get("status") if isinstance(body, dict) else None
    return "ok" if status == "ok" else str(body.get("reason", "")) if status == "failing" else ""


def _parsed(text: bytes) -> object:
    try:
        return json.loads(text)
    except ValueError:
        return None


def secrets(settings: config.Settings, file: Path) -> Iterator[Finding]:
    """Whether others on this machine can read what only we should."""
    open_ones = [path for path in (file, settings.database, settings.database.parent) if _others_read(path)]
    if open_ones:
        names = ", ".join(str(path) for path in open_ones)
        modes = " ".join(f"chmod go-rwx {path};" for path in open_ones).rstrip(";")
        yield note("permissions", f"other users of this machine can read {names}", modes)
    else:
        yield ok("permissions", "database, its folder and .env are for this user alone")


def _others_read(path: Path) -> bool:
    """Whether group or others may read a file, or enter a folder; Windows has no such bits."""
    if sys.platform == "win32" or not path.exists():
        return False
    mode = path.stat().st_mode
    bits = stat.S_IXGRP | stat.S_IXOTH if path.is_dir() else stat.S_IRGRP | stat.S_IROTH
    return bool(mode & bits)
