"""pgoutput messages become transactions; large ones go to a temporary file.

Message formats: PostgreSQL documentation, "Logical Replication Message Formats",
protocol version 1 (understood by servers 14 to 18).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from struct import Struct

from syncengine.connectors.base import Change, ChangeKind, Relation, Transaction
from syncengine.connectors.postgres.names import (
    MARK_PREFIX,
    OWN_SEPARATOR,
    SIGN_PREFIX,
)
from syncengine.connectors.postgres.position import format_position
from syncengine.connectors.spooling import SpooledChanges
from syncengine.mapping.compiled import Row

SPOOL_CHANGES = 10_000
SPOOL_BYTES = 8 * 1024 * 1024
"""Beyond one of these a transaction no longer stays in memory."""

PORTION_CHANGES = 1_000
PORTION_BYTES = 2 * 1024 * 1024
"""Where portions of a large transaction end. A part of one may be in the journal or on
the target when a new version starts: other numbers would cut it differently."""

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
HEADER = 25
"""Bytes before the message itself."""

_HEADER = HEADER
_SIGN = SIGN_PREFIX.encode() + b"\0"
_INT16 = Struct(">h").unpack_from
_INT32 = Struct(">i").unpack_from
_UINT32 = Struct(">I").unpack_from
_BEGIN = Struct(">QqI").unpack_from
_COMMIT = Struct(">BQQq").unpack_from

Complete = Callable[[Sequence[Change]], None]
"""Gives changes what the log leaves out, before they are put away."""


class Decoder:
    """Turns pgoutput messages into transactions; skips those opened by our mark."""

    def __init__(
        self, schema: str, link: bytes, complete: Complete, *, own: bool = False
    ) -> None:
        self._schema = schema
        self._complete = complete
        self._mark = MARK_PREFIX.encode() + b"\0"
        self._link = link
        self._gives_own = own
        self._relations: dict[int, Relation | None] = {}
        self.announced: list[Relation] = []
        self._start("", "")
        self.open = False
        self.end = 0

    def message(self, data: bytes) -> Transaction | None:
        """Take one WAL data message; a transaction when it commits."""
        kind = data[_HEADER]
        if self._skip and kind != 67:
            if kind == 82:
                self._relation(data)
            return None
        if kind == 73:
            self._insert(data)
        elif kind == 85:
            self._update(data)
        elif kind == 68:
            self._delete(data)
        elif kind == 66:
            self._begin(data)
        elif kind == 67:
            return self._commit(data)
        elif kind == 77:
            self._message(data)
        elif kind == 82:
            self._relation(data)
        elif kind == 84:
            self._truncate(data)
        return None

    def _begin(self, data: bytes) -> None:
        commit, _, transaction_id = _BEGIN(data, _HEADER + 1)
        self._start(str(transaction_id), format_position(commit))
        self.open = True

    def _start(self, transaction_id: str, before: str) -> None:
        self._transaction_id = transaction_id
        self._before = before
        self._sign = ""
        self._changes: list[Change] = []
        self._size = 0
        self._skip = False
        self._own: str | None = None
        self._spool: SpooledChanges | None = None
        self._cuts = [0]
        self._cut_size = 0

    def _commit(self, data: bytes) -> Transaction:
        _, _, end, micros = _COMMIT(data, _HEADER + 1)
        self.open = False
        self.end = end
        changes: Sequence[Change] = [] if self._skip else self._changes
        if self._spool is not None:
            self._put_away()
            changes = self._spool
        transaction = Transaction(
            position=format_position(end),
            transaction_id=self._transaction_id,
            committed_at=EPOCH + timedelta(microseconds=micros),
            changes=changes,
            size=self._size,
            large=self._spool is not None,
            before=self._before,
            sign=self._sign,
            own=self._own is not None,
            origin=self._own or "",
        )
        self._start("", "")
        return transaction

    def _message(self, data: bytes) -> None:
        start = _HEADER + 10
        if not self._size and data.startswith(self._mark, start):
            content = data[start + len(self._mark) + 4 :]
            link, separator, origin = content.partition(OWN_SEPARATOR)
            if link != self._link:
                return
            if separator and self._gives_own:
                self._own = origin.decode()
            else:
                self._skip = True
        elif data.startswith(_SIGN, start):
            self._sign = data[start + len(_SIGN) + 4 :].decode(errors="replace")

    def _relation(self, data: bytes) -> None:
        (oid,) = _UINT32(data, _HEADER + 1)
        namespace, position = _string(data, _HEADER + 5)
        table, position = _string(data, position)
        identity = data[position]
        (count,) = _INT16(data, position + 1)
        position += 3
        names: list[str] = []
        for _ in range(count):
            name, position = _string(data, position + 1)
            names.append(name)
            position += 8
        self._relations[oid] = None
        if namespace == self._schema:
            relation = Relation(table, tuple(names), identity == ord("f"))
            self._relations[oid] = relation
            self.announced.append(relation)

    def _insert(self, data: bytes) -> None:
        relation = self._relations[_UINT32(data, _HEADER + 1)[0]]
        if relation is None:
            return
        new, _, _ = _tuple(data, _HEADER + 6, None)
        self._add(Change(relation, ChangeKind.INSERT, new, None), data)

    def _update(self, data: bytes) -> None:
        relation = self._relations[_UINT32(data, _HEADER + 1)[0]]
        if relation is None:
            return
        position = _HEADER + 5
        old: Row | None = None
        if data[position] != 78:
            old, position, _ = _tuple(data, position + 1, None)
        full = old if relation.full_identity else None
        new, _, missing = _tuple(data, position + 1, full)
        self._add(Change(relation, ChangeKind.UPDATE, new, old, missing), data)

    def _delete(self, data: bytes) -> None:
        relation = self._relations[_UINT32(data, _HEADER + 1)[0]]
        if relation is None:
            return
        old, _, _ = _tuple(data, _HEADER + 6, None)
        self._add(Change(relation, ChangeKind.DELETE, None, old), data)

    def _truncate(self, data: bytes) -> None:
        (count,) = _INT32(data, _HEADER + 1)
        for index in range(count):
            relation = self._relations.get(_UINT32(data, _HEADER + 6 + 4 * index)[0])
            if relation is not None:
                self._add(Change(relation, ChangeKind.TRUNCATE, None, None), data)

    def _add(self, change: Change, data: bytes) -> None:
        self._changes.append(change)
        self._size += len(data)
        if self._own is not None and len(self._changes) >= SPOOL_CHANGES:
            self._changes = []
            self._skip = True
            return
        if (
            len(self._changes) - self._cuts[-1] >= PORTION_CHANGES
            or self._size - self._cut_size >= PORTION_BYTES
        ):
            self._cut()

    def _cut(self) -> None:
        """A portion ends here; what has become too large goes to the file."""
        self._cuts.append(len(self._changes))
        self._cut_size = self._size
        if (
            self._spool is not None
            or len(self._changes) >= SPOOL_CHANGES
            or self._size >= SPOOL_BYTES
        ):
            self._put_away()

    def _put_away(self) -> None:
        if self._spool is None:
            self._spool = SpooledChanges()
        if len(self._changes) > self._cuts[-1]:
            self._cuts.append(len(self._changes))
        self._complete(self._changes)
        for start, end in pairwise(self._cuts):
            self._spool.add(self._changes[start:end])
        self._changes = []
        self._cuts = [0]


def _string(data: bytes, start: int) -> tuple[str, int]:
    end = data.index(b"\0", start)
    return data[start:end].decode(), end + 1


def _tuple(data: bytes, start: int, old: Row | None) -> tuple[Row, int, bool]:
    """Decode a row; a large value the server did not resend is taken from `old`."""
    (count,) = _INT16(data, start)
    position = start + 2
    values: list[str | None] = []
    append = values.append
    missing = False
    for index in range(count):
        kind = data[position]
        if kind == 116:
            begin = position + 5
            position = begin + _INT32(data, position + 1)[0]
            append(data[begin:position].decode())
        else:
            if kind == 117:
                if old is None:
                    missing = True
                    append(None)
                else:
                    append(old[index])
            else:
                append(None)
            position += 1
    return tuple(values), position, missing
