"""Logical decoding with pgoutput, read through libpq's replication protocol.

Message formats: PostgreSQL documentation, "Logical Replication Message Formats",
protocol version 1 (understood by servers 14 to 18).
"""

from __future__ import annotations

import select
import time
from datetime import UTC, datetime, timedelta
from struct import Struct

from psycopg import pq

from syncengine.connectors.base import (
    Change,
    ChangeKind,
    ConnectionSettings,
    Relation,
    Transaction,
)
from syncengine.connectors.postgres.connection import connect_replication
from syncengine.connectors.postgres.generated import GeneratedColumns
from syncengine.connectors.postgres.names import (
    MARK_PREFIX,
    publication_name,
    slot_name,
)
from syncengine.connectors.postgres.position import format_position, parse_position
from syncengine.errors import OutageError, SetupError
from syncengine.mapping.compiled import Row

FEEDBACK_SECONDS = 0.25
MESSAGES_AT_ONCE = 20_000
"""Our own writes, which are skipped, can go on for minutes during an initial copy: come
back now and then, so that the server hears from us and a stop is heard."""

KEEPALIVE_SECONDS = 10.0

_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_INT16 = Struct(">h").unpack_from
_INT32 = Struct(">i").unpack_from
_UINT32 = Struct(">I").unpack_from
_BEGIN = Struct(">QqI").unpack_from
_COMMIT = Struct(">BQQq").unpack_from
_WAL_DATA = Struct(">QQq").unpack_from
_KEEPALIVE = Struct(">QqB").unpack_from
_STATUS = Struct(">cQQQqB").pack

_DATA = ord("w")
_ALIVE = ord("k")
_HEADER = 25


class PostgresStream:
    """Committed transactions of one environment, without those of our own writers.

    Promises of `syncengine.connectors.base.ChangeStream`. The whole transaction is
    kept in memory until its commit arrives.
    """

    def __init__(
        self, settings: ConnectionSettings, link: str, position: str | None
    ) -> None:
        self._settings = settings
        self._link = link.encode()
        self._decoder = _Decoder(settings.schema, self._link)
        self._generated = GeneratedColumns(settings)
        self._seen = parse_position(position) if position else 0
        self._confirmed = self._seen
        self._sent_at = time.monotonic()
        self._connection = connect_replication(settings)
        self._start(link)

    def _start(self, link: str) -> None:
        name = slot_name(link, self._settings.side)
        command = (
            f"START_REPLICATION SLOT {name} LOGICAL "
            f"{self._seen >> 32:X}/{self._seen & 0xFFFFFFFF:X} "
            f"(proto_version '1', publication_names "
            f"'{publication_name(link, self._settings.side)}', messages 'true')"
        )
        result = self._connection.exec_(command.encode())
        if result.status != pq.ExecStatus.COPY_BOTH:
            remote = result.error_message.decode(errors="replace").strip()
            self._connection.finish()
            raise self._refused(name, remote)
        self._connection.nonblocking = 1

    def _refused(self, name: str, remote: str) -> OutageError | SetupError:
        place = self._settings.name
        if "does not exist" in remote:
            return SetupError(
                f"Change capture is not installed on {place}: replication slot "
                f"{name} or its publication does not exist. Run the map again or "
                "repair the installation from the environment page.",
                code="capture_missing",
                remote=remote,
            )
        return OutageError(
            f"The change stream of {place} could not be started yet.",
            code="stream_refused",
            remote=remote,
        )

    @property
    def seen_position(self) -> str:
        """Everything up to here has been received or was not for us."""
        return format_position(self._seen)

    def receive(
        self, max_changes: int, max_bytes: int, timeout_seconds: float
    ) -> list[Transaction]:
        """Whole transactions until a limit is reached or no more is waiting."""
        deadline = time.monotonic() + timeout_seconds
        ready: list[Transaction] = []
        changes = size = 0
        get = self._connection.get_copy_data
        decode = self._decoder.message
        for _ in range(MESSAGES_AT_ONCE):
            if changes >= max_changes or size >= max_bytes:
                break
            count, data = get(1)
            if count > 0:
                kind = data[0]
                if kind == _DATA:
                    transaction = decode(bytes(data))
                    if transaction is not None:
                        self._seen = max(self._seen, self._decoder.end)
                        if transaction.changes:
                            ready.append(transaction)
                            changes += len(transaction.changes)
                            size += transaction.size
                elif kind == _ALIVE:
                    self._alive(data)
            elif count == 0:
                self.keepalive()
                if not self._wait(deadline, bool(ready)):
                    break
            else:
                self._lost()
        if self._decoder.announced:
            self._generated.learn(self._decoder.announced)
            self._decoder.announced = []
        self._generated.complete(ready)
        return ready

    def _alive(self, data: memoryview) -> None:
        end, _, reply = _KEEPALIVE(data, 1)
        if not self._decoder.open:
            self._seen = max(self._seen, end)
        if reply:
            self._send_status()

    def _wait(self, deadline: float, have: bool) -> bool:
        """Wait for input; False when time is up (or, with `have`, none is waiting)."""
        # Out of time is no reason not to take what is there: with a timeout of zero
        # the socket would never be read.
        remaining = 0.0 if have else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select(
            [self._connection.socket], [], [], min(remaining, KEEPALIVE_SECONDS)
        )
        if readable:
            try:
                self._connection.consume_input()
            except Exception as error:
                raise self._outage(str(error)) from error
            return True
        return not have and time.monotonic() < deadline

    def _lost(self) -> None:
        result = self._connection.get_result()
        remote = result.error_message.decode(errors="replace") if result else ""
        raise self._outage(remote)

    def _outage(self, remote: str) -> OutageError:
        return OutageError(
            f"The change stream of {self._settings.name} was interrupted.",
            code="stream_lost",
            remote=remote.strip(),
        )

    def confirm(self, position: str) -> None:
        """Everything up to `position` is safe; told to the server a little later."""
        self._confirmed = max(self._confirmed, parse_position(position))
        if time.monotonic() - self._sent_at >= FEEDBACK_SECONDS:
            self._send_status()

    def keepalive(self, *, ask: bool = False) -> None:
        """Send feedback when it is due, or at once with `ask`."""
        if ask or time.monotonic() - self._sent_at >= FEEDBACK_SECONDS:
            self._send_status(ask=ask)

    def _send_status(self, *, ask: bool = False) -> None:
        now = int((datetime.now(UTC) - _EPOCH) / timedelta(microseconds=1))
        seen = max(self._seen, self._confirmed)
        message = _STATUS(b"r", seen, self._confirmed, self._confirmed, now, ask)
        try:
            self._connection.put_copy_data(message)
            self._connection.flush()
        except Exception as error:
            raise self._outage(str(error)) from error
        self._sent_at = time.monotonic()

    def close(self) -> None:
        """End the stream, telling the server what is safe."""
        self._generated.close()
        try:
            self._send_status()
        except OutageError:
            pass
        finally:
            self._connection.finish()


class _Decoder:
    """Turns pgoutput messages into transactions; skips those opened by our mark."""

    def __init__(self, schema: str, link: bytes) -> None:
        self._schema = schema
        self._mark = MARK_PREFIX.encode() + b"\0"
        self._link = link
        self._relations: dict[int, Relation | None] = {}
        self.announced: list[Relation] = []
        self._changes: list[Change] = []
        self._size = 0
        self._skip = False
        self._transaction_id = ""
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
        _, _, transaction_id = _BEGIN(data, _HEADER + 1)
        self._transaction_id = str(transaction_id)
        self._changes = []
        self._size = 0
        self._skip = False
        self.open = True

    def _commit(self, data: bytes) -> Transaction:
        _, _, end, micros = _COMMIT(data, _HEADER + 1)
        self.open = False
        self.end = end
        changes = [] if self._skip else self._changes
        self._changes = []
        self._skip = False
        return Transaction(
            position=format_position(end),
            transaction_id=self._transaction_id,
            committed_at=_EPOCH + timedelta(microseconds=micros),
            changes=changes,
            size=self._size,
        )

    def _message(self, data: bytes) -> None:
        start = _HEADER + 10
        if not self._changes and data.startswith(self._mark, start):
            content = start + len(self._mark) + 4
            self._skip = data[content:] == self._link

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
