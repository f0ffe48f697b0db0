"""Log lines: one a record, whatever the text holds."""

import logging
import os

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
    assert logger.TAIL.newest()[0].level == "WARNING"


def test_secrets_are_hidden_in_every_line_whole_and_in_part(fresh_logging, tmp_path, monkeypatch):
    monkeypatch.setattr(logger, "_HIDDEN", logger._HIDDEN)
    logger.set_up(tmp_path)
    logger.hide(["a-token-long-enough", "tgram://110201543:AAHdqTcvCH1vGWJxfSeo/chat", "json://127.0.0.1/x"])
    log = logger.get("feed")
    log.warning("header %s", "Bearer a-token-long-enough")
    try:
        raise ValueError("POST https://api.telegram.org/bot110201543:AAHdqTcvCH1vGWJxfSeo/send from 127.0.0.1")
    except ValueError:
        log.exception("it failed")
    text = (tmp_path / "pairscope.log").read_text()
    assert "header Bearer ****" in text and "bot**********:**********/send" in text
    assert not [part for part in ("a-token-long", "AAHdqTcv", "110201543") if part in text]
    assert "127.0.0.1" in text


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_the_log_is_for_this_user_alone_also_after_it_was_rotated(fresh_logging, tmp_path, monkeypatch):
    monkeypatch.setattr(logger, "FILE_BYTES", 2_000)
    logger.set_up(tmp_path / "log")
    for number in range(200):
        logger.get("feed").info("line %d", number)
    files = sorted((tmp_path / "log").iterdir())
    assert [path.name for path in files] == ["pairscope.log", *(f"pairscope.log.{n + 1}" for n in range(5))]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o600}
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o700


def test_a_folder_that_cannot_be_written_is_named_and_logging_goes_on(fresh_logging, tmp_path):
    (tmp_path / "file").write_text("")
    logger.set_up(tmp_path / "file" / "log")
    logger.get("feed").info("still here")
    assert "still here" in logger.TAIL.newest()[0].text


def test_the_tail_is_read_newest_first_from_a_severity_on(fresh_logging):
    logger.set_up()
    log = logger.get("feed")
    log.warning("the first warning")
    for number in range(3):
        log.info("line %d", number)
    log.error("the last error")
    newest = [line.text.rpartition(": ")[2] for line in logger.TAIL.newest(limit=5)]
    assert newest == ["the last error", "line 2", "line 1", "line 0", "the first warning"]
    assert [line.level for line in logger.TAIL.newest(logging.WARNING, 2)] == ["ERROR", "WARNING"]


def test_a_flood_of_one_severity_leaves_the_others_in_the_tail(fresh_logging):
    logger.set_up()
    log = logger.get("feed")
    log.error("what matters")
    for number in range(logger.TAIL_LINES + 10):
        log.info("chatter %d", number)
    assert len([line for line in logger.TAIL.newest(limit=10**6) if line.level == "INFO"]) == logger.TAIL_LINES
    assert any("what matters" in line.text for line in logger.TAIL.newest(logging.ERROR))
