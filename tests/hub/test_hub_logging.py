"""What a log line must not show."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog
from pydantic import SecretStr

from hub.logging_setup import configure_logging
from hub.settings import Settings

KEY = "1234567890abcdef"


@contextmanager
def _logging_of_the_program(form: str) -> Iterator[io.StringIO]:
    before, level, handlers = structlog.get_config(), logging.root.level, logging.root.handlers[:]
    stream = io.StringIO()
    configure_logging(Settings(log_format=form, secret_key=SecretStr("0" * 64)), stream)
    try:
        yield stream
    finally:
        structlog.configure(**before)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


def _fail(data_secret: str) -> None:
    raise ZeroDivisionError(len(data_secret))


@pytest.mark.parametrize("form", ["json", "text"])
def test_a_traceback_shows_no_values(form: str) -> None:
    with _logging_of_the_program(form) as stream:
        for log in (structlog.get_logger(), logging.getLogger("library")):
            try:
                _fail("".join(KEY))
            except ZeroDivisionError:
                log.exception("failed")
    told = stream.getvalue()
    assert told.count("ZeroDivisionError") >= 2
    assert "_fail" in told
    assert KEY not in told
