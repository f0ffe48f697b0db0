"""Logging set up once, at the start of the process: one line a record, UTC, control characters escaped."""

import logging
import os
import re
import sys
import time
from collections import deque
from collections.abc import Iterable
from contextlib import nullcontext
from io import TextIOWrapper
from itertools import count
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import NamedTuple

FORMAT = "%(asctime)s %(levelname)-7s %(threadName)s %(name)s: %(message)s"
FILE_BYTES = 5_000_000
FILES_KEPT = 5
TAIL_LINES = 1_000  # of each severity


MASK = "**********"
LEAST_HIDDEN = 8  # characters of a part of a secret; shorter ones are words that stand elsewhere too
_HIDDEN = re.compile(r"(?!)")  # what never reaches a line; nothing so far


def hide(secrets: Iterable[str]) -> None:
    """Keep these texts, and each part of an address among them, out of every line from now on, tracebacks included."""
    global _HIDDEN
    parts = {part for secret in secrets for part in (secret, *re.split(r"[/:@?&=#,]+", secret))}
    long = (part for part in parts if len(part) >= LEAST_HIDDEN and not re.fullmatch(r"localhost|\d+(\.\d+){3}", part))
    listed = sorted(map(re.escape, long), key=len, reverse=True)
    _HIDDEN = re.compile("|".join(listed) or r"(?!)")


class _Private(RotatingFileHandler):
    """A rotated file that its owner alone can read."""

    def _open(self) -> TextIOWrapper:
        os.close(os.open(self.baseFilename, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600))
        return super()._open()


class _OneLine(logging.Formatter):
    """Escapes line breaks and other control characters: text from outside cannot forge a record."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        text = _HIDDEN.sub(MASK, super().format(record))
        if record.exc_info:  # a traceback is ours and stays readable
            return text
        return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


class Line(NamedTuple):
    """One record of the log, as it is written."""

    number: int
    level: str
    text: str


class Tail(logging.Handler):
    """The newest records of each severity in memory, for the System page: many of one do not push out the others."""

    def __init__(self) -> None:
        super().__init__()
        self._numbers = count(1)
        self._kept: dict[int, deque[Line]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        kept = self._kept.setdefault(record.levelno, deque(maxlen=TAIL_LINES))
        kept.append(Line(next(self._numbers), record.levelname, self.format(record)))

    def newest(self, least: int = logging.NOTSET, limit: int = TAIL_LINES) -> list[Line]:
        """The newest records of at least this severity, newest first."""
        with self.lock or nullcontext():
            found = [line for level, kept in self._kept.items() if level >= least for line in kept]
        return sorted(found, reverse=True)[:limit]


TAIL = Tail()


def set_up(folder: Path | None = None, level: int | str = logging.INFO) -> None:
    """Log to stderr, to the tail kept in memory and, where `folder` is writable, to a rotated file."""
    root = logging.getLogger("pairscope")
    if root.handlers:
        return
    formatter = _OneLine(FORMAT, "%Y-%m-%dT%H:%M:%SZ")
    handlers: list[logging.Handler] = [logging.StreamHandler(sys.stderr), TAIL]
    if folder is not None:
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handlers.append(_Private(folder / "pairscope.log", maxBytes=FILE_BYTES, backupCount=FILES_KEPT))
        except OSError as exc:
            logging.getLogger("pairscope").warning("no log file in %s: %s", folder, exc)
    for handler in handlers:
        handler.setFormatter(formatter)
        root.addHandler(handler)
    root.setLevel(level)
    root.propagate = False


def get(name: str) -> logging.Logger:
    """The logger of one room: `get("feed")` logs as `pairscope.feed`."""
    return logging.getLogger(f"pairscope.{name}")
