"""A virtual environment in step with the requirement files: made on first use, changed only when they changed.

The environment is in step while the stamp in it holds the digest of every requirement file asked for. A mark lies
in the folder while pip changes it: who finds the mark starts from an empty folder, so a half-made environment is
never used. One lock of the operating system lets the second of two first starts wait for the first.
"""

import contextlib
import hashlib
import importlib.util
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TextIO

from utils.errors import PairscopeError

STAMP = "pairscope-installed.json"
COMPILED = "pairscope-compiled"
MARK = "pairscope-unfinished"
LOCKED = ".lock"  # ends the name of a requirement file's twin, in which every pin has the hashes of its files
QUIET_LINE_S = 5.0  # between progress lines where the output is a file, not a terminal


class SetupError(PairscopeError):
    """The environment cannot be made or filled; the message is one sentence for the user."""


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment and the requirement files it has to hold."""

    root: Path  # folder of the requirement files
    name: str  # folder of the environment, inside root
    needs: tuple[str, ...]

    @property
    def folder(self) -> Path:
        """Where the environment is."""
        return self.root / self.name

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.folder / "Scripts" / "python.exe" if os.name == "nt" else self.folder / "bin" / "python"

    @property
    def log(self) -> Path:
        """Everything pip said in the last set-up."""
        return self.root / "var" / "setup.log"


# --- is it in step? -------------------------------------------------------------------------------


def closure(name: str, root: Path) -> list[str]:
    """The requirement file and those it includes with -r, included ones first."""
    text = (root / name).read_text("utf-8")
    included = [inner for found in re.findall(r"^-r\s+(\S+)", text, re.MULTILINE) for inner in closure(found, root)]
    return [*dict.fromkeys(included), name]


def digest(name: str, root: Path) -> str:
    """Fingerprint of a requirement file, of those it includes, and of its locked twin."""
    made = hashlib.sha256()
    for part in [*closure(name, root), installed_from(name, root)]:
        made.update((root / part).read_bytes() + b"\0")
    return made.hexdigest()


def installed_from(name: str, root: Path) -> str:
    """The file that pip is given for a requirement file: its locked twin, which has the included pins too."""
    locked = Path(name).stem + LOCKED
    return locked if (root / locked).is_file() else name


def all_files(environment: Environment) -> list[str]:
    """Every requirement file of an environment, included ones too."""
    return [*dict.fromkeys(part for name in environment.needs for part in closure(name, environment.root))]


def pins(environment: Environment) -> int:
    """How many packages the requirement files name."""
    texts = ((environment.root / name).read_text("utf-8") for name in all_files(environment))
    return sum(len(re.findall(r"^[A-Za-z0-9]", text, re.MULTILINE)) for text in texts)


def is_usable(environment: Environment) -> bool:
    """Whether it is whole and of the running Python; one that was made by hand counts too."""
    config = environment.folder / "pyvenv.cfg"
    if (environment.folder / MARK).exists() or not environment.python.exists() or not config.is_file():
        return False
    found = re.search(r"^version(?:_info)?\s*=\s*(\d+)\.(\d+)", config.read_text("utf-8"), re.MULTILINE)
    return found is not None and (int(found[1]), int(found[2])) == sys.version_info[:2]


def read_stamp(environment: Environment) -> dict[str, str]:
    """Digest of every requirement file that was installed; empty where that is not known."""
    try:
        stamp = json.loads((environment.folder / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(environment: Environment) -> None:
    """Record what is installed now; other records stay only while their files still read the same."""
    root = environment.root
    others = {name: was for name, was in read_stamp(environment).items() if (root / name).is_file()}
    kept = {name: was for name, was in others.items() if digest(name, root) == was}
    done = {name: digest(name, root) for name in all_files(environment)}
    fresh = environment.folder / f"{STAMP}.new"
    fresh.write_text(json.dumps(kept | done, indent=1), "utf-8")
    fresh.replace(environment.folder / STAMP)


def in_step(environment: Environment) -> bool:
    """Whether it holds what the requirement files ask for."""
    stamp = read_stamp(environment)
    asked = {name: digest(name, environment.root) for name in environment.needs}
    return is_usable(environment) and all(stamp.get(name) == now for name, now in asked.items())


# --- one at a time --------------------------------------------------------------------------------

if sys.platform == "win32":
    import msvcrt

    def try_lock(file: TextIO) -> bool:
        """Take the lock of an open file without waiting."""
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def try_lock(file: TextIO) -> bool:
        """Take the lock of an open file without waiting."""
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def only_one(path: Path, out: TextIO, pause_s: float = 0.2) -> Iterator[TextIO]:
    """Hold the set-up lock; a second start waits for the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        if not try_lock(file):
            out.write("Another start is setting up Pairscope; waiting for it.\n")
            out.flush()
            while not try_lock(file):
                time.sleep(pause_s)
        yield file


# --- what pip says --------------------------------------------------------------------------------


def pip_step(line: str) -> tuple[str, str] | None:
    """What a line of pip says about one package: ("resolving" or "downloading", name)."""
    if found := re.match(r"\s*(?:Downloading|Using cached) (\S+?)-\d\S*\.(?:whl|tar\.gz|zip)(?: |$)", line):
        return "downloading", found[1].rsplit("/", 1)[-1]
    if found := re.match(r"(?:Collecting|Requirement already satisfied:) ([A-Za-z0-9._-]+)", line):
        return "resolving", found[1]
    if found := re.match(r"Processing .*?([A-Za-z0-9_.]+)-\d[^/\\]*$", line):  # an index that is a folder
        return "resolving", found[1]
    return None


def why_pip_failed(lines: Sequence[str]) -> str:
    """The most telling line of pip's output."""
    if any("DO NOT MATCH THE HASHES" in line for line in lines):
        package = next((found[1] for line in lines if (found := re.match(r"\s+(\S+==\S+) from ", line))), "a package")
        return f"{package} is not the file that was locked: the index or something on the way has changed it"
    broken = [line for line in lines if "connection broken by" in line]
    errors = [line.removeprefix("ERROR:").strip() for line in lines if line.startswith("ERROR:")]
    if broken and (not errors or "No matching distribution" in errors[-1]):
        cause = re.search(r"connection broken by [\"']?(\w+)", broken[-1])
        return f"the package index cannot be reached ({cause[1] if cause else 'no connection'})"
    told = errors or [line.strip() for line in lines if line.strip()] or ["pip said nothing"]
    return told[-1].rstrip(". ")[:300]


@dataclass(slots=True)
class Progress:
    """How far pip is: one line rewritten in place on a terminal, a line now and then elsewhere."""

    title: str
    total: int  # packages
    out: TextIO
    clock: Callable[[], float] = time.monotonic
    installing: bool = False  # pip has begun to change the environment
    _seen: dict[str, set[str]] = field(default_factory=lambda: {"resolving": set(), "downloading": set()})
    _shown: str = ""
    _shown_s: float = float("-inf")

    def read(self, line: str) -> None:
        """Take one line of pip's output."""
        if line.startswith("Installing collected packages"):
            self.installing = True
            self.count("installing", 0)
        elif "connection broken by" in line:
            self.show("the package index does not answer, trying again")
        elif step := pip_step(line):
            verb, name = step
            self._seen[verb].add(name.lower())
            self.count(verb, len(self._seen[verb]), name)

    def count(self, verb: str, done: int, name: str = "") -> None:
        """Say how many packages are done; markers make some of them unneeded, so the total is an upper bound."""
        self.show(f"{verb} {min(done, self.total)} of {self.total} {name}".rstrip())

    def show(self, text: str) -> None:
        """Say where the set-up is."""
        line = f"{self.title}: {text}"
        if self.out.isatty():
            line = line[: shutil.get_terminal_size().columns - 1]
            self.out.write("\r" + line.ljust(len(self._shown)))
            self._shown = line
        elif self.clock() - self._shown_s >= QUIET_LINE_S:
            self.out.write(line + "\n")
            self._shown_s = self.clock()
        self.out.flush()

    def close(self) -> None:
        """Leave the line."""
        if self._shown:
            self.out.write("\n")
            self.out.flush()


# --- set-up ---------------------------------------------------------------------------------------


def prepare(environment: Environment, out: TextIO) -> bool:
    """Bring the environment in step with the requirement files; whether there was anything to do.

    Raises
    ------
    SetupError
        It cannot be made or filled.
    """
    try:
        if in_step(environment):
            return False
        with only_one(environment.root / "var" / "setup.lock", out) as lock:
            if not in_step(environment):  # else the start we waited for has done it
                _set_up(environment, lock, out)
    except OSError as exc:
        raise SetupError(f"cannot set up {environment.folder}: {exc.strerror or exc} ({exc.filename})") from exc
    return True


def _set_up(environment: Environment, lock: TextIO, out: TextIO) -> None:
    fresh = not is_usable(environment)
    first = fresh or not read_stamp(environment).keys() >= set(environment.needs)
    title = f"Setting up ({'first use' if first else 'requirements changed'})"
    progress = Progress(title, pins(environment), out)
    with environment.log.open("w", encoding="utf-8") as log:
        try:
            if fresh:
                progress.show(f"making {environment.name}")
                _make(environment, log, lock)
            _install(environment, log, lock, progress)
        finally:
            progress.close()


def _make(environment: Environment, log: TextIO, lock: TextIO) -> None:
    """Replace the folder with an empty environment, marked as unfinished."""
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        package = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise SetupError(f"this Python cannot make environments: install the package {package} and start again")
    folder = environment.folder
    discard(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()
    (folder / ".gitignore").write_text("*\n", "utf-8")
    # The interpreter behind a running environment: ours may be the one that is being replaced.
    base = getattr(sys, "_base_executable", None) or sys.executable
    code, lines = run_logged([base, "-m", "venv", str(folder)], environment.root, log, lock)
    if code:
        raise SetupError(f"{folder.name} cannot be made: {why_pip_failed(lines)}; the whole log is {environment.log}")


def compile_once(environment: Environment, folder: str, module: str, out: TextIO) -> None:
    """Run a module that compiles what the sources in a folder need, once for each version of them.

    A failure is told and changes nothing: whatever is not compiled here is when it is first called.
    """
    try:
        with only_one(environment.root / "var" / "setup.lock", out) as lock:
            _compile_once(environment, folder, module, lock, out)
    except OSError as exc:
        out.write(f"Not compiled in advance: {exc.strerror or exc} ({exc.filename})\n")


def _compile_once(environment: Environment, folder: str, module: str, lock: TextIO, out: TextIO) -> None:
    made = hashlib.sha256((environment.folder / STAMP).read_bytes())
    for source in sorted((environment.root / folder).rglob("*.py")):
        made.update(source.read_bytes() + b"\0")
    stamp = environment.folder / COMPILED
    if stamp.is_file() and stamp.read_text("utf-8") == made.hexdigest():
        return
    out.write("Compiling the numeric kernels: once a version, about a minute\n")
    out.flush()
    with (environment.root / "var" / "compile.log").open("w", encoding="utf-8") as log:
        code, lines = run_logged([str(environment.python), "-m", module], environment.root, log, lock)
    if code:
        out.write(f"Not compiled in advance: {lines[-1] if lines else 'no reason was told'}\n")
    else:
        stamp.write_text(made.hexdigest(), "utf-8")


def discard(folder: Path) -> None:
    """Remove a folder; it is renamed first, so that what is left of it is never taken for whole."""
    if not os.path.lexists(folder):
        return
    grave = folder.with_name(f"{folder.name}.old")
    shutil.rmtree(grave, ignore_errors=True)
    folder.rename(grave)
    shutil.rmtree(grave, ignore_errors=True)


def _install(environment: Environment, log: TextIO, lock: TextIO, progress: Progress) -> None:
    """Install the requirement files with plain pip, so that the user's own index and proxy settings hold.

    From a locked file pip takes nothing whose hash is not in it, wherever it comes from.
    """

    def heard(line: str | None) -> None:
        if line is not None:
            progress.read(line)
        elif progress.installing:
            progress.count("installing", installed_packages(environment.folder))

    mark = environment.folder / MARK
    mark.touch()
    files = [part for name in environment.needs for part in ("-r", installed_from(name, environment.root))]
    if all(file.endswith(LOCKED) for file in files[1::2]):
        files = ["--require-hashes", *files]
    quiet = ("--no-input", "--disable-pip-version-check", "--progress-bar", "off")
    command = [str(environment.python), "-m", "pip", "install", *quiet, *files]
    code, lines = run_logged(command, environment.root, log, lock, heard)
    if code:
        if not progress.installing:  # nothing was touched: what is there stays usable
            mark.unlink()
        raise SetupError(f"installing failed: {why_pip_failed(lines)}; the whole log is {environment.log}")
    write_stamp(environment)
    mark.unlink()


def installed_packages(folder: Path) -> int:
    """How many packages are in an environment."""
    return sum(1 for _ in folder.glob("[Ll]ib/**/site-packages/*.dist-info"))


def run_logged(
    command: Sequence[str], cwd: Path, log: TextIO, lock: TextIO, heard: Callable[[str | None], None] = lambda _: None
) -> tuple[int, list[str]]:
    """Run a command with its output in the log: exit code and lines; `heard(None)` is called while it is silent."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    env |= {"PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1", "PIP_USER": "0"}  # a global "user = true" cannot work in here
    process = subprocess.Popen(
        command,
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        errors="replace",
        # pip shares the lock: should this process be killed, the next start waits until pip is gone as well.
        pass_fds=() if os.name == "nt" else (lock.fileno(),),
    )
    try:
        lines = _follow(process, log, heard)
    except BaseException:  # also Ctrl-C and SIGTERM: pip must not go on alone
        process.terminate()
        raise
    finally:
        code = process.wait()
    return code, lines


def _follow(process: subprocess.Popen[str], log: TextIO, heard: Callable[[str | None], None]) -> list[str]:
    lines: list[str] = []
    inbox: queue.Queue[str | None] = queue.Queue()
    threading.Thread(target=_pump, args=(process.stdout, inbox), name="pip-output", daemon=True).start()
    while True:
        try:
            line = inbox.get(timeout=0.5)
        except queue.Empty:
            heard(None)
            continue
        if line is None:
            return lines
        lines.append(line)
        log.write(line + "\n")
        log.flush()
        heard(line)


def _pump(stream: TextIO, inbox: queue.Queue[str | None]) -> None:
    with stream:
        for line in stream:
            inbox.put(line.rstrip("\r\n"))
    inbox.put(None)
