"""What a unit is, what becomes of it, and who remembers the decision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from syncengine.connectors.branch import WriteKind
from syncengine.errors import EngineError
from syncengine.mapping.model import Side

MOST_RECORDS = 1_000
SECONDS = 120.0
"""So long a unit may take until it is decided."""


class UnitState(StrEnum):
    """`preparing`: nothing is decided, nobody sees anything. `committing`: decided; it
    will be there on both sides whatever happens. `committed`: it is. `aborted`: it
    never was."""

    PREPARING = "preparing"
    COMMITTING = "committing"
    COMMITTED = "committed"
    ABORTED = "aborted"


@dataclass(frozen=True)
class UnitRecord:
    """One record of one side: columns of its table, canonical text.

    `key` finds the record to update or delete. With `carry` the running maps of the
    table write the other side; without, the caller gives both sides as they are to be.
    """

    side: Side
    kind: WriteKind
    table: str
    key: Mapping[str, str | None] = field(default_factory=dict)
    values: Mapping[str, str | None] = field(default_factory=dict)
    carry: bool = False


@dataclass(frozen=True)
class AtomicUnit:
    """Records that belong together. `name` is unique for each attempt: both sides keep
    their part under it until it is decided."""

    name: str
    records: Sequence[UnitRecord]
    seconds: float = SECONDS


@dataclass(frozen=True)
class UnitResult:
    """What a unit did. In state `committing` a side was lost after the decision; the
    unit is finished by `resolve` when it answers again. `written` counts records by
    side and outcome, those the maps wrote included."""

    state: UnitState
    written: Mapping[Side, Mapping[str, int]]


class UnitRefused(EngineError):
    """The unit was written on neither side. `record` is the number of the culprit in
    the unit (from 0), where there is one. `retryable`: the same may be tried again."""

    code = "unit_refused"

    def __init__(
        self,
        message: str,
        *,
        code: str,
        record: int | None = None,
        column: str = "",
        remote: str = "",
        retryable: bool = False,
    ) -> None:
        super().__init__(
            message,
            code=code,
            remote=remote,
            details={"record": record, "column": column},
        )
        self.record = record
        self.column = column
        self.retryable = retryable


class DecisionLog(Protocol):
    """Remembers what was decided; each call is durable when it returns."""

    def decide(self, name: str) -> bool:
        """From `preparing` to `committing`; False when it was aborted meanwhile."""

    def finish(self, name: str) -> None:
        """From `committing` to `committed`: it is there on both sides."""

    def abort(self, name: str) -> bool:
        """From `preparing` to `aborted`; False when it was decided meanwhile."""

    def state(self, name: str) -> UnitState | None:
        """Where the unit stands; None for one that was never begun."""

    def undecided(self) -> Sequence[str]:
        """Units in `committing`."""
