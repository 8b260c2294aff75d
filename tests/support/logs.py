"""What logs look like while tests run."""

from __future__ import annotations

import structlog


def plain_logs() -> None:
    """As before any command configured them, in short lines: structlog's default prints pages for an expected traceback."""
    structlog.reset_defaults()
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(
        processors=[structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, renderer]
    )
