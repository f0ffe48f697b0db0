"""Log lines: one a record, whatever the text holds."""

import logging

import pytest

from utils import logger


@pytest.fixture
def fresh_logging():
    root = logging.getLogger("pairscope")
    before, root.handlers = root.handlers, []
    yield root
    for handler in root.handlers:
        if handler is not logger.TAIL:
            handler.close()
    root.handlers = before
    root.propagate = True


def test_text_from_outside_cannot_forge_a_record(fresh_logging, tmp_path):
    logger.set_up(tmp_path)
    logger.get("feed").warning("symbol %s", "X\n2026-01-01 CRITICAL fake\x1b[31m")
    lines = (tmp_path / "pairscope.log").read_text().splitlines()
    assert len(lines) == 1
    assert "X\\n2026-01-01 CRITICAL fake\\x1b[31m" in lines[0]
    assert logger.TAIL.lines[-1][0] == "WARNING"


def test_a_folder_that_cannot_be_written_is_named_and_logging_goes_on(fresh_logging, tmp_path):
    (tmp_path / "file").write_text("")
    logger.set_up(tmp_path / "file" / "log")
    logger.get("feed").info("still here")
    assert "still here" in logger.TAIL.lines[-1][1]
