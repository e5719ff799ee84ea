"""The contract of atomic writes: one side's part of a unit, prepared, then decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from syncengine.mapping.compiled import Row
from syncengine.mapping.model import HealthFinding

if TYPE_CHECKING:
    from syncengine.connectors.base import Operation, Outcome, Reader, Relation


class WriteKind(StrEnum):
    """What a unit does with a record."""

    INSERT = "insert"
    UPDATE = "update"
    DELETE = "delete"


@dataclass(frozen=True)
class RowWrite:
    """A row written as it is: columns of the table and canonical text. `key` finds the
    row to update or delete; `values` is what is written. `reference` is the caller's
    own number."""

    kind: WriteKind
    table: str
    key: Mapping[str, str | None] = field(default_factory=dict)
    values: Mapping[str, str | None] = field(default_factory=dict)
    reference: int = 0


@dataclass(frozen=True, slots=True)
class WrittenRow:
    """A row before and after its write, whole, in the layout of `relation`."""

    reference: int
    relation: Relation
    old: Row | None
    new: Row | None


@dataclass(frozen=True, slots=True)
class PreparedBranch:
    """A branch that waits for its decision, under the name it was prepared with."""

    name: str
    prepared_at: datetime


class Branch(Protocol):
    """One side's part of a unit: an open transaction under our mark, used by one
    thread. Leaving its block without `prepare` undoes it.

    Each call raises WriteRefused where the data is refused, TransientError where the
    same may be tried again, OutageError where the side is out of reach.
    """

    @property
    def reader(self) -> Reader:
        """Reads what the transaction sees, its own writes included."""

    def write(self, rows: Sequence[RowWrite]) -> list[WrittenRow]:
        """Write rows in the order given. A row to update that is not there is refused
        with code `record_missing`; one to delete is left out of the answer."""

    def apply(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Write mapped records; FAILED outcomes and conflicts are the caller's to
        judge."""

    def prepare(self, name: str) -> None:
        """Keep all of it, locks included, over any crash until it is decided."""


class TwoPhase(Protocol):
    """Atomic writes of one link on one side. Opens its connection when first needed."""

    def findings(self) -> Sequence[HealthFinding]:
        """What keeps units from being prepared here; empty means ready."""

    def begin(self, seconds: float) -> AbstractContextManager[Branch]:
        """Open a branch; no statement of it may take longer than `seconds`."""

    def commit(self, name: str) -> bool:
        """Make a prepared branch last; False when there is none of this name."""

    def rollback(self, name: str) -> bool:
        """Undo a prepared branch; False when there is none of this name."""

    def pending(self) -> Sequence[PreparedBranch]:
        """Branches of the link that wait for their decision, oldest first."""

    def close(self) -> None:
        """Give the connection back."""
