"""The stamp, the lock and the words of the set-up, with a stand-in for pip: nothing is installed."""

import hashlib
import importlib.util
import io
import json
import os
import re
import subprocess
import sys
import threading
import zipfile
from pathlib import Path

import pytest

from utils import environment
from utils.environment import (
    COMPILED,
    MARK,
    STAMP,
    Environment,
    Progress,
    SetupError,
    compile_once,
    pip_step,
    prepare,
    why_pip_failed,
)

ROOT = Path(__file__).resolve().parents[2]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Pip:
    """Stands in for `run_logged`: makes an environment of empty files, or fails as told."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.code = 0
        self.lines: list[str] = ["Collecting alpha==1", "Installing collected packages: alpha"]
        self.killed = False

    def __call__(self, command, cwd, log, lock, heard=lambda _: None):
        if command[1:] == ["-m", "kernels.warm"]:
            self.calls.append("compile")
            return self.code, self.lines
        if command[1:3] == ["-m", "venv"]:
            self.calls.append("venv")
            fill(Path(command[3]))
            return 0, []
        self.calls.append(" ".join(command[command.index("-r") :]))
        for line in self.lines:
            heard(line)
        if self.killed:
            raise KeyboardInterrupt
        return self.code, self.lines


def fill(folder: Path) -> None:
    """An environment as `python -m venv` leaves it, as far as it is looked at."""
    python = Environment(folder.parent, folder.name, ()).python
    python.parent.mkdir(parents=True, exist_ok=True)
    python.touch()
    (folder / "pyvenv.cfg").write_text(f"home = x\nversion = {sys.version_info[0]}.{sys.version_info[1]}.99\n")


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> Pip:
    stand_in = Pip()
    monkeypatch.setattr(environment, "run_logged", stand_in)
    return stand_in


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pair scope"
    folder.mkdir()
    (folder / "requirements.txt").write_text("# needs\nalpha==1\nbeta==2 ; sys_platform != 'darwin'\n")
    (folder / "requirements-dev.txt").write_text("-r requirements.txt\ngamma==3\n")
    return folder


@pytest.fixture
def product(root: Path) -> Environment:
    return Environment(root, ".venv", ("requirements.txt",))


@pytest.fixture
def tests(root: Path) -> Environment:
    return Environment(root, ".venv", ("requirements-dev.txt",))


def test_first_use_makes_and_fills_the_environment_once(product, pip):
    assert prepare(product, io.StringIO())
    assert not prepare(product, io.StringIO())
    assert pip.calls == ["venv", "-r requirements.txt"]
    assert not (product.folder / MARK).exists()


def test_a_locked_twin_is_installed_with_hashes_and_its_changes_count(product, tests, pip, root, monkeypatch):
    (root / "requirements.lock").write_text("alpha==1 --hash=sha256:00\n")
    commands = []
    monkeypatch.setattr(
        environment, "run_logged", lambda command, *rest: commands.append(command) or pip(command, *rest)
    )
    prepare(product, io.StringIO())
    assert commands[-1][-3:] == ["--require-hashes", "-r", "requirements.lock"]
    (root / "requirements.lock").write_text("alpha==1 --hash=sha256:11\n")
    assert prepare(product, io.StringIO())
    prepare(tests, io.StringIO())
    assert commands[-1][-2:] == ["-r", "requirements-dev.txt"] and "--require-hashes" not in commands[-1]


def test_a_file_with_another_hash_is_not_installed(root, tmp_path):
    """With pip itself: a wheel of a folder, and a lock that was made for another one."""
    wheel = tmp_path / "alpha-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        made.writestr("alpha.py", "")
        for name, text in (("METADATA", "Name: alpha\nVersion: 1"), ("WHEEL", "Wheel-Version: 1.0")):
            made.writestr(f"alpha-1.dist-info/{name}", f"Metadata-Version: 2.1\n{text}\n")
        made.writestr("alpha-1.dist-info/RECORD", "")
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-index", "--find-links", str(tmp_path)]
    command += ["--no-deps", "--require-hashes", "-r", str(root / "requirements.lock")]
    for digest, code in ((hashlib.sha256(wheel.read_bytes()).hexdigest(), 0), ("0" * 64, 1)):
        (root / "requirements.lock").write_text(f"alpha==1 --hash=sha256:{digest}\n")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
    told = why_pip_failed((done.stdout + done.stderr).splitlines())
    assert told.startswith("alpha==1") and "is not the file that was locked" in told


PIN = re.compile(r"^([A-Za-z0-9._-]+==[^\s;\\]+(?: ; [^\\]+?)?)\s*(?:\\|#|$)", re.MULTILINE)


@pytest.mark.parametrize("name", ["requirements", "requirements-dev", "requirements-bench"])
def test_the_locked_files_have_the_pins_of_the_others_and_hashes_of_each(name):
    whole = "\n".join((ROOT / part).read_text("utf-8") for part in environment.closure(f"{name}.txt", ROOT))
    locked = (ROOT / f"{name}.lock").read_text("utf-8")
    assert len(PIN.findall(whole)) > 50
    assert {pin.strip() for pin in PIN.findall(locked)} == {pin.strip() for pin in PIN.findall(whole)}, "run .ci/lock"
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=\S)", locked) if block.strip())


def test_changed_requirements_are_installed_into_the_same_environment(product, pip, root):
    prepare(product, io.StringIO())
    (root / "requirements.txt").write_text("alpha==2\n")
    out = io.StringIO()
    assert prepare(product, out)
    assert pip.calls[2:] == ["-r requirements.txt"]
    assert "requirements changed" in out.getvalue()


def test_touched_but_equal_requirements_are_not_installed_again(product, pip, root):
    prepare(product, io.StringIO())
    os.utime(root / "requirements.txt", (1, 1))
    assert not prepare(product, io.StringIO())


def test_tests_add_to_the_environment_and_leave_nothing_to_do_for_the_product(product, tests, pip):
    prepare(product, io.StringIO())
    assert prepare(tests, io.StringIO())
    assert not prepare(product, io.StringIO())
    assert pip.calls == ["venv", "-r requirements.txt", "-r requirements-dev.txt"]


def test_an_included_file_that_changed_counts(tests, pip, root):
    prepare(tests, io.StringIO())
    (root / "requirements.txt").write_text("alpha==2\n")
    assert prepare(tests, io.StringIO())


def test_requirements_that_went_away_and_came_back_are_installed_again(product, tests, pip, root):
    before = (root / "requirements.txt").read_text()
    prepare(tests, io.StringIO())
    (root / "requirements.txt").write_text("alpha==2\n")
    prepare(product, io.StringIO())  # only the product: what the tests need was recorded for alpha==1
    (root / "requirements.txt").write_text(before)
    assert prepare(tests, io.StringIO())


def test_another_python_makes_a_new_environment(product, pip):
    prepare(product, io.StringIO())
    (product.folder / "pyvenv.cfg").write_text("version = 3.8.18\n")
    (product.folder / "left over").touch()
    assert prepare(product, io.StringIO())
    assert pip.calls.count("venv") == 2
    assert not (product.folder / "left over").exists()


def test_an_interpreter_that_is_gone_makes_a_new_environment(product, pip):
    prepare(product, io.StringIO())
    product.python.unlink()
    assert prepare(product, io.StringIO())
    assert pip.calls.count("venv") == 2


def test_an_environment_made_by_hand_is_kept_and_filled(product, pip):
    fill(product.folder)
    assert prepare(product, io.StringIO())
    assert pip.calls == ["-r requirements.txt"]


def test_an_interrupted_install_starts_from_an_empty_folder(product, pip):
    pip.killed = True
    with pytest.raises(KeyboardInterrupt):
        prepare(product, io.StringIO())
    assert (product.folder / MARK).exists()
    pip.killed = False
    assert prepare(product, io.StringIO())
    assert pip.calls.count("venv") == 2
    assert not (product.folder / MARK).exists()


def test_a_failed_install_says_why_and_is_tried_again(product, pip):
    pip.code, pip.lines = 1, ["Collecting alpha==1", "ERROR: No matching distribution found for alpha==1"]
    with pytest.raises(SetupError, match=r"No matching distribution found for alpha==1; the whole log is .*setup\.log"):
        prepare(product, io.StringIO())
    pip.code = 0
    assert prepare(product, io.StringIO())
    assert pip.calls.count("venv") == 1  # pip had changed nothing


def test_an_install_that_fails_half_way_starts_from_an_empty_folder(product, pip):
    pip.code = 1
    with pytest.raises(SetupError):
        prepare(product, io.StringIO())
    pip.code = 0
    assert prepare(product, io.StringIO())
    assert pip.calls.count("venv") == 2


def test_a_python_without_venv_names_the_package(product, pip, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SetupError, match=rf"python3\.{sys.version_info[1]}-venv"):
        prepare(product, io.StringIO())


def test_a_missing_requirement_file_is_one_sentence(root, pip):
    with pytest.raises(SetupError, match=r"requirements-none\.txt"):
        prepare(Environment(root, ".venv", ("requirements-none.txt",)), io.StringIO())


def test_an_unreadable_stamp_means_unknown(product, pip):
    prepare(product, io.StringIO())
    for text in ("", "[]", "{"):
        (product.folder / STAMP).write_text(text)
        assert prepare(product, io.StringIO())
    assert json.loads((product.folder / STAMP).read_text())


def test_the_second_of_two_first_starts_waits_and_finds_the_work_done(product, pip):
    inside, go_on = threading.Event(), threading.Event()
    slow = pip.__call__

    def hold(command, *rest, **named):
        inside.set()
        assert go_on.wait(20)
        return slow(command, *rest, **named)

    class Out(io.StringIO):
        def write(self, text: str) -> int:
            if "waiting" in text:
                go_on.set()
            return super().write(text)

    environment.run_logged = hold  # the fixture puts the real one back
    first = threading.Thread(target=prepare, args=(product, io.StringIO()), name="first-start")
    first.start()
    assert inside.wait(20)
    out = Out()
    assert prepare(product, out)
    first.join(20)
    assert out.getvalue() == "Another start is setting up Pairscope; waiting for it.\n"
    assert pip.calls == ["venv", "-r requirements.txt"]


def compiled(product: Environment) -> str:
    out = io.StringIO()
    compile_once(product, "kernels", "kernels.warm", out)
    return out.getvalue()


def test_kernels_are_compiled_once_a_version(product, pip, root):
    (root / "kernels").mkdir()
    (root / "kernels" / "sums.py").write_text("one")
    prepare(product, io.StringIO())
    assert "once a version" in compiled(product)
    assert compiled(product) == ""
    (root / "kernels" / "sums.py").write_text("two")
    compiled(product)
    assert pip.calls[2:] == ["compile", "compile"]


def test_kernels_that_do_not_compile_are_told_and_tried_again(product, pip, root):
    prepare(product, io.StringIO())
    pip.code, pip.lines = 1, ["Traceback", "OSError: no room"]
    assert "Not compiled in advance: OSError: no room" in compiled(product)
    pip.code = 0
    compiled(product)
    assert pip.calls[2:] == ["compile", "compile"]
    assert (product.folder / COMPILED).is_file()


def test_an_environment_without_a_stamp_is_not_worth_a_failure(product, pip):
    fill(product.folder)
    assert "Not compiled in advance" in compiled(product)


def test_pip_output_reaches_log_and_listener(tmp_path):
    heard: list[str | None] = []
    script = "import sys; print('one'); print('two', file=sys.stderr); sys.exit(3)"
    with (tmp_path / "log").open("w") as log, (tmp_path / "lock").open("a") as lock:
        code, lines = environment.run_logged([sys.executable, "-c", script], tmp_path, log, lock, heard.append)
    assert (code, sorted(lines)) == (3, ["one", "two"])
    assert [line for line in heard if line is not None] == lines
    assert (tmp_path / "log").read_text().split("\n") == [*lines, ""]


def test_an_interrupt_ends_pip_too(tmp_path, monkeypatch):
    made: list[subprocess.Popen[str]] = []
    real = subprocess.Popen

    def remember(*args, **named):
        made.append(real(*args, **named))
        return made[-1]

    def interrupt(line: str | None) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "Popen", remember)
    endless = "import time\nprint('on')\nwhile True: time.sleep(1)"
    with (tmp_path / "log").open("w") as log, (tmp_path / "lock").open("a") as lock, pytest.raises(KeyboardInterrupt):
        environment.run_logged([sys.executable, "-c", endless], tmp_path, log, lock, interrupt)
    assert made[0].returncode not in (None, 0)


PIP_LINES = [
    ("Collecting streamlit==1.67.0 (from -r requirements.txt (line 4))", ("resolving", "streamlit")),
    ("Requirement already satisfied: numpy==2.4.6 in ./x (from y)", ("resolving", "numpy")),
    ("Processing /srv/index/files/scipy-1.17.1-cp311-cp311-linux.whl (from a)", ("resolving", "scipy")),
    ("  Downloading pyarrow-26.0.1-cp311-cp311-manylinux_2_28_x86_64.whl (47.1 MB)", ("downloading", "pyarrow")),
    ("Downloading python_dateutil-4.0.0-py2.py3-none-any.whl (229 kB)", ("downloading", "python_dateutil")),
    ("  Using cached watchdog-7.1.0-py3-none-any.whl (79 kB)", ("downloading", "watchdog")),
    ("  Downloading pyarrow-26.0.1-cp311-cp311-manylinux_2_28_x86_64.whl.metadata (3.1 kB)", None),
    ("Installing collected packages: a, b", None),
    ("", None),
]


@pytest.mark.parametrize("line, step", PIP_LINES)
def test_lines_of_pip_are_understood(line, step):
    assert pip_step(line) == step


REASONS = [
    (
        ["Collecting a", "ERROR: Could not install: [Errno 28] No space left on device", ""],
        "Could not install: [Errno 28] No",
    ),
    (["Traceback ...", "OSError: broken", ""], "OSError: broken"),
    ([], "pip said nothing"),
    (
        [
            "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError('<x>: refused')': /s/",
            "ERROR: No matching distribution found for streamlit==1.67.0",
        ],
        "the package index cannot be reached (NewConnectionError)",
    ),
]


@pytest.mark.parametrize("lines, reason", REASONS)
def test_the_reason_of_a_failure_is_the_telling_line(lines, reason):
    assert why_pip_failed(lines).startswith(reason)


def test_progress_is_one_rewritten_line_on_a_terminal():
    out = Terminal()
    progress = Progress("Setting up", 2, out)
    progress.read("Collecting streamlit==1.67.0")
    progress.read("Collecting numpy==2.4.6")
    progress.close()
    first, second = out.getvalue().removeprefix("\r").rstrip("\n").split("\r")
    assert first == "Setting up: resolving 1 of 2 streamlit"
    assert second == "Setting up: resolving 2 of 2 numpy".ljust(len(first))


def test_progress_is_an_occasional_line_in_a_file():
    now = [0.0]
    out = io.StringIO()
    progress = Progress("Setting up", 3, out, clock=lambda: now[0])
    for now[0], name in [(0.0, "a"), (1.0, "b"), (6.0, "c")]:
        progress.read(f"Collecting {name}==1")
    progress.close()
    assert out.getvalue() == "Setting up: resolving 1 of 3 a\nSetting up: resolving 3 of 3 c\n"


def test_progress_says_when_the_index_does_not_answer():
    out = io.StringIO()
    Progress("Setting up", 3, out).read("WARNING: Retrying (Retry(total=4)) after connection broken by 'X()': /a/")
    assert "does not answer" in out.getvalue()


def test_pins_count_the_packages_of_included_files(tests, product):
    assert (environment.pins(product), environment.pins(tests)) == (2, 3)
