"""COPY in text format, decoded and encoded fast: the path of every bulk read and load.

libpq is driven directly: psycopg's own row reading costs three times as much.
"""

from __future__ import annotations

import select
from collections.abc import Iterator, Sequence

import psycopg
from psycopg import pq, sql
from psycopg.errors import error_from_result

from syncengine.connectors.postgres.connection import PostgresConnection
from syncengine.mapping.compiled import Row

ROWS_PER_LIST = 5000
ROWS_PER_WRITE = 1000
"""Small enough that the server works on one part while the next is encoded."""

_NULL = "\\N"
_ESCAPES = {
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
}
_CONTROLS = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def copy_out(
    connection: PostgresConnection, query: sql.Composable
) -> Iterator[list[Row]]:
    """Stream the rows of `query` in lists of some thousand.

    The connection is free again when the iterator ends, also when it is closed early.
    """
    statement = sql.SQL("COPY ({}) TO STDOUT").format(query)
    connection_pq = connection.pgconn
    result = connection_pq.exec_(statement.as_bytes(connection))
    if result.status != pq.ExecStatus.COPY_OUT:
        raise error_from_result(result)
    finished = False
    try:
        yield from _rows(connection_pq)
        finished = True
    finally:
        if not finished:
            _abandon(connection_pq)


def _rows(connection: pq.abc.PGconn) -> Iterator[list[Row]]:
    receive = connection.get_copy_data
    input_waiting = select.poll()
    input_waiting.register(connection.socket, select.POLLIN)
    rows: list[Row] = []
    append = rows.append
    while True:
        count, data = receive(1)
        if count > 0:
            line = str(data, "utf-8")[:-1]
            if "\\" in line:
                append(_unescaped(line))
            else:
                append(tuple(line.split("\t")))
            if len(rows) == ROWS_PER_LIST:
                yield rows
                rows = []
                append = rows.append
        elif count == 0:
            input_waiting.poll()
            connection.consume_input()
        else:
            break
    _finish(connection)
    if rows:
        yield rows


def _unescaped(line: str) -> Row:
    row: list[str | None] = [
        None if value == _NULL else value for value in line.split("\t")
    ]
    if line.count("\\") > row.count(None):
        row = [value and unescape(value) for value in row]
    return tuple(row)


def unescape(value: str) -> str:
    """A COPY field without its backslash escapes."""
    head, *parts = value.split("\\")
    found = [head]
    literal = False
    for part in parts:
        if literal:
            found.append(part)
            literal = False
        elif not part:
            found.append("\\")
            literal = True
        else:
            found.append(_ESCAPES.get(part[0], part[0]) + part[1:])
    return "".join(found)


def _finish(connection: pq.abc.PGconn) -> None:
    failure = None
    while (result := connection.get_result()) is not None:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            failure = result
    if failure is not None:
        raise error_from_result(failure)


def _abandon(connection: pq.abc.PGconn) -> None:
    """End a COPY nobody reads any more, so that the connection can be used."""
    if connection.status != pq.ConnStatus.OK:
        return
    if connection.transaction_status != pq.TransactionStatus.ACTIVE:
        return
    try:
        connection.get_cancel().cancel()
        while connection.get_copy_data(0)[0] >= 0:
            pass
        while connection.get_result() is not None:
            pass
    except psycopg.Error:
        connection.finish()


def copy_in(
    connection: PostgresConnection, table: sql.Composable, rows: Sequence[Row]
) -> None:
    """COPY rows into `table` (an identifier, with columns where needed)."""
    statement = sql.SQL("COPY {} FROM STDIN").format(table)
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for start in range(0, len(rows), ROWS_PER_WRITE):
            copy.write(encode(rows[start : start + ROWS_PER_WRITE]))


def encode(rows: Sequence[Row]) -> bytes:
    """Rows as COPY text."""
    if not rows:
        return b""
    lines: list[str] = []
    append = lines.append
    nulls = 0
    for row in rows:
        if None in row:
            nulls += row.count(None)
            append("\t".join([_NULL if value is None else value for value in row]))
        else:
            append("\t".join(row))  # type: ignore[arg-type]
    text = "\n".join(lines) + "\n"
    if (
        text.count("\\") != nulls
        or text.count("\t") != (len(rows[0]) - 1) * len(rows)
        or text.count("\n") != len(rows)
        or "\r" in text
    ):
        text = "".join(["\t".join([_field(v) for v in row]) + "\n" for row in rows])
    return text.encode()


def _field(value: str | None) -> str:
    return _NULL if value is None else value.translate(_CONTROLS)
