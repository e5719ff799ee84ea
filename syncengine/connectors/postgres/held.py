"""One record, locked in an open transaction, for settling a conflict."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

from psycopg import sql

from syncengine.connectors.base import (
    ConnectionSettings,
    Operation,
    Outcome,
    ReadRequest,
)
from syncengine.connectors.postgres.arrays import cast_name
from syncengine.connectors.postgres.batch import Group
from syncengine.connectors.postgres.catalog import read_schema
from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.connectors.postgres.selection import Selection
from syncengine.mapping.compiled import Row, split_parts
from syncengine.mapping.schema import ColumnType

_WRITTEN_AT = sql.SQL(
    "CASE WHEN current_setting('track_commit_timestamp') = 'on' "
    "THEN pg_xact_commit_timestamp(t.xmin) END"
)


class PostgresHeldRecord:
    """Promises of `syncengine.connectors.base.HeldRecord`."""

    def __init__(
        self,
        row: Row | None,
        committed_at: datetime | None,
        prepare: Callable[[Sequence[Operation]], list[Group]],
        apply: Callable[[Group], list[Outcome]],
    ) -> None:
        self._row = row
        self._committed_at = committed_at
        self._prepare = prepare
        self._apply = apply

    @property
    def row(self) -> Row | None:
        """The present row in the layout of the request, or None when absent."""
        return self._row

    @property
    def committed_at(self) -> datetime | None:
        """When the present row was last written."""
        return self._committed_at

    def write(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Write within the held transaction."""
        outcomes: list[Outcome] = []
        for group in self._prepare(operations):
            outcomes.extend(self._apply(group))
        return outcomes


def lock_record(
    connection: PostgresConnection,
    settings: ConnectionSettings,
    request: ReadRequest,
    key: Row,
) -> tuple[Row | None, datetime | None]:
    """Lock the record of `key` and read it, with the time of its last write."""
    names = [request.table]
    for lookup in request.lookups:
        names += lookup.all_tables
    if request.company is not None and request.company.lookup_table:
        names.append(request.company.lookup_table)
    tables = read_schema(connection, settings.schema, names)
    selection = Selection(request, settings.schema, tables)
    columns = sql.SQL(", ").join(
        [_WRITTEN_AT, *(selection.column(path) for path in request.columns)]
    )
    matches = [
        sql.SQL("{} = {}::{}").format(
            column, sql.Literal(value), sql.SQL(cast_name(type_))
        )
        for path, value in zip(request.key, key, strict=True)
        for (column, type_), value in _by_part(selection.parts(path), value)
    ]
    query = selection.query(columns, *matches, tail=sql.SQL("FOR UPDATE OF t"))
    found = connection.execute(query).fetchone()
    if found is None:
        return None, None
    moment = None
    if found[0] is not None:
        moment = datetime.fromisoformat(found[0]).astimezone(UTC)
    return tuple(found[1:]), moment


def _by_part(
    parts: list[tuple[sql.Composable, ColumnType]], value: str | None
) -> Iterator[tuple[tuple[sql.Composable, ColumnType], str | None]]:
    """Each part of a natural key with its value."""
    values: list[str | None] = [value]
    if len(parts) > 1:
        values = [None] * len(parts) if value is None else [*split_parts(value)]
    return zip(parts, values, strict=True)
