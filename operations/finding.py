"""One line of the doctor's report."""

from dataclasses import dataclass
from typing import Literal

Mark = Literal["ok", "note", "FAIL"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found, and what to do about it."""

    name: str
    mark: Mark  # "note" costs comfort or safety; "FAIL" something that was asked for does not work
    text: str
    todo: str = ""  # empty where there is nothing to do

    def line(self) -> str:
        """The finding as one line of text."""
        return f"{self.mark:<5} {self.name:<11} {self.text}" + (f" -> {self.todo}" if self.todo else "")


def ok(name: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(name, "ok", text)


def note(name: str, text: str, todo: str = "") -> Finding:
    """It works, but."""
    return Finding(name, "note", text, todo)


def fail(name: str, text: str, todo: str) -> Finding:
    """It does not work."""
    return Finding(name, "FAIL", text, todo)
