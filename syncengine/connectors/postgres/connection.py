"""Connections that speak canonical text (`syncengine.mapping.schema`)."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Any, TypeAlias

import psycopg
from psycopg import pq
from psycopg.adapt import AdaptersMap
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow
from psycopg.types.string import TextLoader

from syncengine.connectors.base import ConnectionSettings
from syncengine.connectors.postgres.errors import connection_refused, translate_error
from syncengine.errors import EngineError, SetupError

__all__ = [
    "PostgresConnection",
    "connect",
    "connect_replication",
    "conninfo",
    "translate_error",
]

PostgresConnection: TypeAlias = "psycopg.Connection[TupleRow]"

CONNECT_TIMEOUT_SECONDS = 10

_SESSION = {
    "TimeZone": "UTC",
    "DateStyle": "ISO",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "jit": "off",
}
"""A limit on statements would end long copies; the rest fixes the form of values."""

_KEEPALIVES = {
    "keepalives": "1",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "4",
    "tcp_user_timeout": "30000",
}

_DURABLE = (
    "SELECT set_config('synchronous_commit', 'local', false) "
    "WHERE current_setting('synchronous_commit') = 'off'"
)
_LOCAL = "SELECT set_config('synchronous_commit', 'local', false)"


def connect(
    settings: ConnectionSettings,
    *,
    autocommit: bool = False,
    application_name: str = "dualwrite",
) -> PostgresConnection:
    """Open a connection on which every result value is text as the server writes it.

    Text parameters go in untyped, so the server gives them the type of their place.
    Commits are durable even where the account's default says otherwise: positions
    are confirmed to the source after them. With `local_commits` they wait for the
    server's own disk alone. Raises SetupError (`wrong_password`,
    `database_missing`, `access_refused`, `dsn_invalid`) or OutageError.
    """
    text = conninfo(settings, application_name=application_name)
    try:
        connection = psycopg.connect(text, autocommit=True, context=_Context())
    except psycopg.Error as error:
        raise connection_refused(str(error), settings.name) from error
    try:
        connection.execute(_LOCAL if settings.local_commits else _DURABLE)
        connection.autocommit = autocommit
    except psycopg.Error as error:
        with suppress(psycopg.Error):
            connection.close()
        meaning = translate_error(error, settings.name)
        if isinstance(meaning, EngineError):
            raise meaning from error
        raise
    return connection


def connect_replication(
    settings: ConnectionSettings, *, application_name: str
) -> pq.abc.PGconn:
    """Open a bare connection that speaks the replication protocol on our database.

    Raises like `connect`.
    """
    text = conninfo(settings, application_name=application_name, replication="database")
    connection = pq.PGconn.connect(text.encode())
    if connection.status != pq.ConnStatus.OK:
        remote = connection.get_error_message()
        connection.finish()
        raise connection_refused(remote, settings.name)
    return connection


def conninfo(settings: ConnectionSettings, **extra: str) -> str:
    """The connection string with our session settings. Secret, like the DSN."""
    try:
        given = conninfo_to_dict(settings.dsn)
    except psycopg.Error:
        message = f"The connection text of {settings.name} cannot be read."
        raise SetupError(message, code="dsn_invalid") from None
    session = " ".join(f"-c {name}={value}" for name, value in _SESSION.items())
    options = f"{given.pop('options', None) or ''} {session}".strip()
    values: dict[str, Any] = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        **_KEEPALIVES,
        **given,
        "client_encoding": "UTF8",
        "options": options,
        **extra,
    }
    return make_conninfo(**values)


class _Context:
    """What psycopg takes its adapters from."""

    connection = None

    @property
    def adapters(self) -> AdaptersMap:
        return _text_adapters()


@lru_cache(maxsize=1)
def _text_adapters() -> AdaptersMap:
    adapters = AdaptersMap(psycopg.adapters)
    for known in psycopg.adapters.types:
        for oid in (known.oid, known.array_oid):
            if oid:
                adapters.register_loader(oid, TextLoader)
    return adapters
