"""One formatter for every log line of the program, ours and the libraries': text for people, JSON for collectors."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from hub.settings import Settings

_QUIET = ("httpx", "connexion", "openapi_spec_validator", "a2wsgi", "alembic", "dramatiq", "uvicorn.access", "urllib3")


def configure_logging(settings: Settings, stream: TextIO | None = None) -> None:
    """Send all logs of this process to `stream` (standard error) in the chosen form. Called once by whoever starts a process."""
    target = stream or sys.stderr
    level = getattr(logging, settings.log_level.upper())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=False),
    ]
    tail = _as_json() if settings.log_format == "json" else _for_people(colors=target.isatty())
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
    )
    handler = logging.StreamHandler(target)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


# Both without the locals of a traceback's frames, which their defaults show: keys, bodies and plates are among them.


def _as_json() -> list[structlog.typing.Processor]:
    transformer = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    return [structlog.processors.ExceptionRenderer(transformer), structlog.processors.JSONRenderer(ensure_ascii=False)]


def _for_people(*, colors: bool) -> list[structlog.typing.Processor]:
    return [structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)]
