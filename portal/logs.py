"""Logging: structured, one line an event, always to standard error."""

from __future__ import annotations

import sys
from typing import Any

import structlog


def logging_settings(level: str, *, debug: bool) -> dict[str, Any]:
    """Configure structlog and give the LOGGING setting that goes with it.

    A terminal gets readable lines, everything else JSON. Standard output is left to
    commands, whose `--json` must be one document and nothing else.
    """
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.PositionalArgumentsFormatter(),
    ]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    readable = debug or sys.stderr.isatty()
    final: list[Any] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if readable:
        final.append(structlog.dev.ConsoleRenderer())
    else:
        final += [
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "processors": final,
                "foreign_pre_chain": shared,
            }
        },
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "structured"}
        },
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "axes": {"level": "WARNING"},
            # One line for every tick, and for every task that is sent, says nothing.
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
            "celery.worker.strategy": {"level": "WARNING"},
        },
    }
