"""What a failure of the server means: outage, set-up, transient or bad data."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.errors import Diagnostic

from syncengine.connectors.base import Outcome, OutcomeKind, WriteRefused
from syncengine.errors import EngineError, OutageError, SetupError, TransientError

_TRANSIENT = {
    "40001": "Two transactions met on the same rows; the batch can simply run again.",
    "40P01": "A deadlock was broken; the batch can simply run again.",
    "55P03": "A lock was not granted in time; the batch can simply run again.",
    "57014": "The statement was cancelled or took too long; it can run again.",
}

_CANCELLED = "cancelled"

_RAISED = "exec_stmt_raise"
_POLICY = "ExecWithCheckOptions"
"""The server's functions behind a trigger's own RAISE and a refusing policy."""

_OUTAGES = {
    "53100": ("disk_full", "The disk of {place} is full."),
    "53200": ("out_of_memory", "The server of {place} is out of memory."),
    "53300": ("too_many_connections", "{place} accepts no more connections."),
    "25006": ("read_only", "{place} is read only at the moment."),
    "42501": ("permission_denied", "The account of {place} lacks a right: {words}"),
    "57P01": ("unreachable", "The server of {place} is shutting down."),
    "57P02": ("unreachable", "The server of {place} has crashed and is restarting."),
    "57P03": ("unreachable", "The server of {place} is starting up or recovering."),
    "57P04": ("unreachable", "The database of {place} was dropped."),
    "57P05": ("unreachable", "{place} closed an idle connection."),
    "55000": ("not_ready", "{place} does not take writes as it is set up: {words}"),
    "55006": ("not_ready", "{place} has the table in use: {words}"),
}

SESSION_LOST = "session_lost"
"""The session no longer holds what was prepared on it: it must be made anew."""

_SESSION_LOST = (SESSION_LOST, "The session on {place} is out of step: {words}")

_OUTAGE_CLASSES = {
    "25": _SESSION_LOST,
    "26": _SESSION_LOST,
    "34": _SESSION_LOST,
    "3B": _SESSION_LOST,
    "08": ("unreachable", "The connection to {place} was lost."),
    "53": ("out_of_resources", "The server of {place} is out of resources."),
    "58": ("server_failure", "The server of {place} had a system error."),
    "XX": ("server_failure", "The server of {place} had an internal error."),
}

_REFUSED = {
    "23502": ("required_value_missing", "{column} of {table} needs a value."),
    "23505": ("duplicate_value", "{table} already has a row with this value of {key}."),
    "23514": ("check_violated", "{table} refuses the row: rule {constraint} fails."),
    "23P01": ("exclusion_violated", "{table} refuses the row: rule {constraint}."),
    "22001": ("value_too_long", "A value is too long for {column} of {table}."),
    "22003": (
        "value_out_of_range",
        "A number is too big for {column} of {table}.",
    ),
    "22P02": ("conversion_failed", "A value does not fit the type of its column."),
    "22007": ("conversion_failed", "A value is not a valid date or time."),
    "22008": ("value_out_of_range", "A date or time is out of range."),
    "22021": ("conversion_failed", "A text holds characters the database lacks."),
    "22P05": ("conversion_failed", "A text holds characters the database lacks."),
    "42P01": ("table_missing", "The table does not exist any more: {words}"),
    "42703": ("column_missing", "The column does not exist any more: {words}"),
    "P0001": ("refused_by_trigger", "A trigger refuses the row: {words}"),
    "428C9": ("column_not_writable", "{column} is filled by the database itself."),
}

_START_UP = (
    (
        re.compile(
            r"password authentication failed|no password supplied|"
            r"authentication failed|role \".*\" does not exist|not permitted to log in"
        ),
        SetupError,
        "wrong_password",
        "{place} refuses the user name or password.",
    ),
    (
        re.compile(r"no pg_hba\.conf entry"),
        SetupError,
        "access_refused",
        "The server of {place} does not admit this host and user (pg_hba.conf).",
    ),
    (
        re.compile(r"database \".*\" does not exist"),
        SetupError,
        "database_missing",
        "The database of {place} does not exist.",
    ),
    (
        re.compile(r"permission denied for database"),
        SetupError,
        "access_refused",
        "The account of {place} may not connect to its database.",
    ),
    (
        re.compile(r"too many (clients|connections)|remaining connection slots"),
        OutageError,
        "too_many_connections",
        "{place} accepts no more connections.",
    ),
    (
        re.compile(r"number of requested standby connections exceeds"),
        OutageError,
        "too_many_connections",
        "{place} accepts no more replication connections (max_wal_senders).",
    ),
)

_COLUMN_IN_CONTEXT = re.compile(r"COPY \S+, line \d+, column (?P<column>[^:]+):")
_KEY_IN_DETAIL = re.compile(r"\((?P<columns>.+?)\)=\(")
_NAME_OF_SECRET = re.compile(r"(password\s*=\s*)\S+|(://[^:/@\s]+:)[^@\s]+@")


def translate_error(error: psycopg.Error, place: str = "") -> EngineError | Outcome:
    """What `error` means; `place` names the environment in the message.

    An Outcome (kind FAILED, reference 0) stands for a fault of the data or of the
    table; everything else is an outage, a set-up problem or worth another try.
    """
    state = error.sqlstate or ""
    where = place or "the database"
    words = _words(error)
    remote = _remote(error)
    if _is_verdict(state, error):
        return _refusal(state, error, words, remote)
    if state in _TRANSIENT or state[:2] == "40":
        code = _CANCELLED if state == "57014" else None
        sentence = _TRANSIENT.get(state, _TRANSIENT["40001"])
        return TransientError(sentence, code=code, remote=remote)
    if state in ("28P01", "28000"):
        return connection_refused(remote, place)
    if state == "3D000":
        return connection_refused(remote, place)
    known = _OUTAGES.get(state) or _OUTAGE_CLASSES.get(state[:2])
    if known:
        code, sentence = known
        message = _sentence(sentence.format(place=where, words=words))
        return OutageError(message, code=code, remote=remote)
    if not state and isinstance(error, psycopg.OperationalError):
        return connection_refused(remote, place)
    return _refusal(state, error, words, remote)


def connection_refused(remote: str, place: str = "") -> EngineError:
    """Why a connection could not be opened or was lost, from the words about it."""
    where = place or "the database"
    remote = without_secrets(remote)
    for pattern, kind, code, sentence in _START_UP:
        if pattern.search(remote):
            message = _sentence(sentence.format(place=where))
            return kind(message, code=code, remote=remote)
    message = _sentence(f"{where} cannot be reached.")
    return OutageError(message, code="unreachable", remote=remote)


@contextmanager
def translated(place: str = "") -> Iterator[None]:
    """Raise failures of the server as EngineError, or WriteRefused for bad data."""
    try:
        yield
    except psycopg.Error as error:
        meaning = translate_error(error, place)
        if isinstance(meaning, Outcome):
            raise WriteRefused(meaning) from error
        raise meaning from error


@contextmanager
def translated_setup(place: str = "") -> Iterator[None]:
    """Like `translated`, for work without records: the rest is a SetupError."""
    try:
        with translated(place):
            yield
    except WriteRefused as refused:
        outcome = refused.outcome
        raise SetupError(
            outcome.message, code=outcome.code, remote=outcome.remote
        ) from refused


def without_secrets(text: str) -> str:
    """The text with anything that looks like a password taken out."""
    return _NAME_OF_SECRET.sub(lambda found: (found[1] or found[2]) + "***", text)


def _is_verdict(state: str, error: psycopg.Error) -> bool:
    """True when a rule of the table judged this very row, whatever code it gave: a
    trigger's own RAISE, or a row security policy. No outage, however it is numbered.
    """
    if error.diag.source_function in (_RAISED, _POLICY):
        return True
    return state[:2] == "55" and "PL/pgSQL" in (error.diag.context or "")


def _refusal(state: str, error: psycopg.Error, words: str, remote: str) -> Outcome:
    diag = error.diag
    column = diag.column_name or _copied_column(diag)
    references: tuple[str, ...] = ()
    if state == "23503":
        code, message, references = _broken_reference(diag)
    elif diag.source_function == _POLICY:
        code, message = "refused_by_policy", f"A policy refuses the row: {words}"
    elif diag.source_function == _RAISED and state in _TRANSIENT:
        code, message = "transient", f"A trigger asks for another try: {words}"
    elif diag.source_function == _RAISED and state[:2] != "23":
        code, message = "refused_by_trigger", f"A trigger refuses the row: {words}"
    else:
        code, sentence = _REFUSED.get(state, ("refused", "The row is refused: {words}"))
        message = sentence.format(
            table=diag.table_name or "the table",
            column=column or "a column",
            constraint=diag.constraint_name or "of the table",
            key=_key_columns(diag) or diag.constraint_name or "a unique key",
            words=words,
        )
    return Outcome(
        reference=0,
        kind=OutcomeKind.FAILED,
        code=code,
        column=column or _single(_key_columns(diag)),
        message=_sentence(message),
        remote=remote,
        references=references,
    )


def _broken_reference(diag: Diagnostic) -> tuple[str, str, tuple[str, ...]]:
    table = diag.table_name or "another table"
    if "still referenced" in (diag.message_detail or ""):
        return (
            "still_referenced",
            f"Rows of {table} still refer to this row (rule {diag.constraint_name}).",
            (),
        )
    columns = _key_columns(diag) or "a reference"
    return (
        "reference_missing",
        f"{columns} of {table} refers to a row that does not exist "
        f"(rule {diag.constraint_name}).",
        tuple(name.strip(' "') for name in _key_columns(diag).split(",")),
    )


def _key_columns(diag: Diagnostic) -> str:
    found = _KEY_IN_DETAIL.search(diag.message_detail or "")
    return found["columns"] if found else ""


def _single(columns: str) -> str:
    return "" if "," in columns else columns


def _copied_column(diag: Diagnostic) -> str:
    found = _COLUMN_IN_CONTEXT.search(diag.context or "")
    return found["column"] if found else ""


def _words(error: psycopg.Error) -> str:
    return (error.diag.message_primary or str(error)).strip().rstrip(".") + "."


def _remote(error: psycopg.Error) -> str:
    diag = error.diag
    if diag.message_primary is None:
        return without_secrets(str(error).strip())
    parts = [diag.message_primary, diag.message_detail, diag.message_hint]
    text = " ".join(part for part in parts if part)
    return without_secrets(f"{error.sqlstate}: {text}" if error.sqlstate else text)


def _sentence(text: str) -> str:
    return "T" + text[1:] if text.startswith("the ") else text
