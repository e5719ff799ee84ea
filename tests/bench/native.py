"""The reference for live sync: PostgreSQL's own logical replication."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg

from tests.bench.cluster import execute
from tests.waiting import wait_until


@dataclass(frozen=True)
class Subscription:
    """One direction of native replication of the table `customers`."""

    name: str
    source: str
    target: str

    def enable(self) -> None:
        """Let changes flow."""
        execute(self.target, f"ALTER SUBSCRIPTION {self.name} ENABLE")

    def disable(self) -> None:
        """Hold changes back; the slot keeps them."""
        execute(self.target, f"ALTER SUBSCRIPTION {self.name} DISABLE")
        wait_until(self._is_idle, 30, f"{self.name} disabled")

    def _is_idle(self) -> bool:
        with psycopg.connect(self.source, autocommit=True) as connection:
            row = connection.execute(
                "SELECT active FROM pg_replication_slots WHERE slot_name = %s",
                [self.name],
            ).fetchone()
        return row == (False,)


@contextmanager
def subscription(source: str, target: str, name: str) -> Iterator[Subscription]:
    """Replicate `customers` from source to target, with the server's defaults.

    The slot is created by hand: on one server `CREATE SUBSCRIPTION` would wait for
    its own transaction. `origin = none` lets two of them run both ways.
    """
    execute(source, f"CREATE PUBLICATION {name} FOR TABLE customers")
    execute(source, "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
    execute(
        target,
        f"CREATE SUBSCRIPTION {name} CONNECTION '{source}' PUBLICATION {name} WITH ("
        f"create_slot = false, slot_name = {name}, copy_data = false, origin = none)",
    )
    made = Subscription(name, source, target)
    try:
        yield made
    finally:
        made.disable()
        execute(target, f"ALTER SUBSCRIPTION {name} SET (slot_name = NONE)")
        execute(target, f"DROP SUBSCRIPTION {name}")
        execute(source, "SELECT pg_drop_replication_slot(%s)", [name])
