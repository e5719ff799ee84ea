"""Logical decoding with pgoutput, read through libpq's replication protocol."""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from struct import Struct

from psycopg import pq

from syncengine.connectors.base import Change, ConnectionSettings, Transaction
from syncengine.connectors.postgres.connection import connect_replication
from syncengine.connectors.postgres.decoding import EPOCH, Decoder
from syncengine.connectors.postgres.generated import GeneratedColumns
from syncengine.connectors.postgres.names import publication_name, slot_name
from syncengine.connectors.postgres.position import format_position, parse_position
from syncengine.errors import OutageError, SetupError

FEEDBACK_SECONDS = 0.25
MESSAGES_AT_ONCE = 20_000
"""Our own writes, which are skipped, can go on for minutes during an initial copy: come
back now and then, so that the server hears from us and a stop is heard."""

KEEPALIVE_SECONDS = 10.0

_KEEPALIVE = Struct(">QqB").unpack_from
_STATUS = Struct(">cQQQqB").pack

_DATA = ord("w")
_ALIVE = ord("k")


class PostgresStream:
    """Committed transactions of one environment, without those of our own writers.

    Promises of `syncengine.connectors.base.ChangeStream`. A transaction is kept until
    its commit arrives: in memory, and beyond `SPOOL_CHANGES` or `SPOOL_BYTES` in a
    temporary file. The server knows the session by the name of its slot, so that
    `synchronous_standby_names` can name it.
    """

    def __init__(
        self,
        settings: ConnectionSettings,
        link: str,
        position: str | None,
        *,
        prompt: bool = False,
        own: bool = False,
    ) -> None:
        self._settings = settings
        self._link = link.encode()
        self._decoder = Decoder(settings.schema, self._link, self._complete, own=own)
        self._generated = GeneratedColumns(settings)
        self._seen = parse_position(position) if position else 0
        self._confirmed = self._seen
        self._told = self._confirmed
        self._prompt = prompt
        self._sent_at = time.monotonic()
        self._connection = connect_replication(
            settings, application_name=slot_name(link, settings.side)
        )
        self._start(link)
        self._woken = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

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
        begun = self._seen
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
                        if transaction.changes or transaction.sign:
                            ready.append(transaction)
                            changes += len(transaction.changes)
                            size += transaction.size
                elif kind == _ALIVE:
                    self._alive(data)
            elif count == 0:
                self.keepalive()
                if self._prompt and self._seen > begun:
                    break
                if not self._wait(deadline, bool(ready)):
                    break
            else:
                self._lost()
        self._complete(
            change for one in ready if not one.large for change in one.changes
        )
        return ready

    def _complete(self, changes: Iterable[Change]) -> None:
        if self._decoder.announced:
            self._generated.learn(self._decoder.announced)
            self._decoder.announced = []
        self._generated.complete(changes)

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
        socket = self._connection.socket
        readable, _, _ = select.select(
            [socket, self._woken], [], [], min(remaining, KEEPALIVE_SECONDS)
        )
        if self._woken in readable:
            os.eventfd_read(self._woken)
            return False
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
        news = self._prompt and self._confirmed > self._told
        if news or time.monotonic() - self._sent_at >= FEEDBACK_SECONDS:
            self._send_status()

    def wake(self) -> None:
        """Have a waiting `receive` return now; safe from another thread."""
        os.eventfd_write(self._woken, 1)

    def keepalive(self, *, ask: bool = False) -> None:
        """Send feedback when it is due, or at once with `ask`."""
        if ask or time.monotonic() - self._sent_at >= FEEDBACK_SECONDS:
            self._send_status(ask=ask)

    def _send_status(self, *, ask: bool = False) -> None:
        now = int((datetime.now(UTC) - EPOCH) / timedelta(microseconds=1))
        seen = max(self._seen, self._confirmed)
        message = _STATUS(b"r", seen, self._confirmed, self._confirmed, now, ask)
        try:
            self._connection.put_copy_data(message)
            self._connection.flush()
        except Exception as error:
            raise self._outage(str(error)) from error
        self._sent_at = time.monotonic()
        self._told = self._confirmed

    def close(self) -> None:
        """End the stream, telling the server what is safe."""
        self._generated.close()
        try:
            self._send_status()
        except OutageError:
            pass
        finally:
            self._connection.finish()
            os.close(self._woken)
