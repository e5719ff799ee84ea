"""Failures the engine raises: each has a stable code and a sentence for a person."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class EngineError(Exception):
    """Base of all failures of the engine.

    `code` is stable and may be matched by scripts; `message` is one sentence an
    administrator can act on; `details` holds names and values (never secrets);
    `remote` keeps the other system's own words.
    """

    code = "engine_error"
    retryable = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        details: Mapping[str, Any] | None = None,
        remote: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code
        self.details: dict[str, Any] = dict(details or {})
        self.remote = remote

    def __str__(self) -> str:
        return self.message


class RecordError(EngineError):
    """One record cannot be carried over; names the column where one is to blame.

    Raised while mapping; the live stream and the initial sync turn it into a
    `RecordFailure` (`syncengine.ports`) and go on with the other records.
    """

    code = "record_error"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        column: str = "",
        value: str | None = None,
        details: Mapping[str, Any] | None = None,
        remote: str = "",
    ) -> None:
        super().__init__(message, code=code, details=details, remote=remote)
        self.column = column
        self.value = value


class OutageError(EngineError):
    """The other system cannot be used now: down, refusing, full, out of rights.

    Never a fault of a record: the stream keeps its position and tries again.
    """

    code = "outage"
    retryable = True


class TransientError(EngineError):
    """A deadlock or serialization failure: the same batch may simply run again."""

    code = "transient"
    retryable = True


class SetupError(EngineError):
    """A prerequisite (privilege, setting, object) is missing; the message names it."""

    code = "setup"
