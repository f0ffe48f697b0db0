"""No text file of the repository carries the traces of a bad merge or of a wrong encoding."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = {".py", ".md", ".toml", ".txt", ".js", ".css", ".html", ".json", ".yml", ".yaml", ".sh", ""}
SHOWN = {".ci", ".streamlit"}  # hidden folders that belong to the repository
NOT_OURS = {"var", "__pycache__"}

# Escaped, or this file would find itself: UTF-8 that was read as Latin-1 or cp1252, and the replacement character.
BROKEN = re.compile("[\u00c2\u00c3][\u0080-\u00bf]|\u00e2\u20ac|\ufffd")
CONFLICT = re.compile(r"(<{7}|>{7}|\|{7})( |$)")


def text_files() -> Iterator[Path]:
    for folder, inner, names in os.walk(ROOT):
        inner[:] = sorted(name for name in inner if name in SHOWN or not (name[0] == "." or name in NOT_OURS))
        yield from (Path(folder, name) for name in sorted(names) if Path(name).suffix in TEXT and name != ".git")


def blemishes(raw: bytes) -> list[str]:
    """What is wrong with the bytes of a text file, as "line: what"."""
    try:
        lines = raw.decode("utf-8").splitlines()
    except UnicodeDecodeError as exc:
        line = raw[: exc.start].count(b"\n") + 1
        return [f"{line}: not UTF-8"]
    conflicts = [f"{number}: conflict mark" for number, line in enumerate(lines, 1) if CONFLICT.match(line)]
    return conflicts + [f"{number}: broken character" for number, line in enumerate(lines, 1) if BROKEN.search(line)]


def test_text_files_are_clean():
    found = [f"{path.relative_to(ROOT)}:{blemish}" for path in text_files() for blemish in blemishes(path.read_bytes())]
    assert not found, "\n" + "\n".join(found)


def test_the_walk_sees_the_files():
    names = {path.relative_to(ROOT).as_posix() for path in text_files()}
    assert {"run.py", ".ci/run", "requirements.txt", "pyproject.toml", "tests/test_text.py"} <= names


@pytest.mark.parametrize(
    "raw, found",
    [
        (b"a\n<<<<<<< ours\n", ["2: conflict mark"]),
        (b"title\n=======\n", []),
        ("caf\u00c3\u00a9".encode(), ["1: broken character"]),
        ("caf\u00e9 \u2500\u2500 \u5e01\u5b89".encode(), []),
        (b"a\nb\xff\n", ["2: not UTF-8"]),
    ],
)
def test_a_planted_blemish_is_caught(raw, found):
    assert blemishes(raw) == found


def test_every_test_that_the_methodology_names_exists():
    named = set(re.findall(r"::(test_\w+)", (ROOT / "docs" / "methodology.md").read_text("utf-8")))
    written = {
        name
        for path in (ROOT / "tests").rglob("*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
    }
    assert len(named) > 100 and not named - written
