"""What a trial takes and gives: captured changes, verdicts, and the records tried."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from syncengine.mapping.compiled import Row


class Verdict(StrEnum):
    """What the draft changes for one record, the worst first. Those of deletes say
    what becomes of a record of the target whose source is gone."""

    REFUSED = "refused"
    FAILS = "fails"
    DELETE_BLOCKED = "delete_blocked"
    DELETE_NEW = "delete_new"
    STILL_REFUSED = "still_refused"
    STILL_FAILS = "still_fails"
    DELETE_STILL_BLOCKED = "delete_still_blocked"
    LEFT_OUT = "left_out"
    TAKEN_IN = "taken_in"
    DELETE_LEFT = "delete_left"
    DELETE_CONTESTED = "delete_contested"
    MENDED = "mended"
    DIFFERS = "differs"
    CONSTANT = "constant"
    DELETED = "deleted"
    DELETE_ABSENT = "delete_absent"
    SAME = "same"
    DELETE_OUT = "delete_out"
    OUT_OF_SCOPE = "out_of_scope"


class Cause(StrEnum):
    """What of a line makes its column come out differently."""

    DECISION = "decision"
    EXPRESSION = "expression"
    SOURCE = "source"
    VALUES = "values"
    DEFAULT = "default"
    NEW = "new"
    GONE = "gone"
    OTHER = "other"
    CONSTANT = "constant"


@dataclass(frozen=True, slots=True)
class ChangedColumn:
    """A column of the target that would get another value; `before` is None where the
    present version writes none. `written` and `was_written` tell nulls from columns
    that a version does not write."""

    column: str
    before: str | None
    after: str | None
    was_written: bool = True
    written: bool = True
    causes: tuple[Cause, ...] = ()


@dataclass(frozen=True, slots=True)
class TriedRecord:
    """One source record under both versions. With a failure `code`, `column` and
    `message` say why."""

    key: Row
    origin: str
    verdict: Verdict
    code: str = ""
    column: str = ""
    message: str = ""
    changes: tuple[ChangedColumn, ...] = ()


@dataclass(frozen=True, slots=True)
class CapturedChange:
    """A captured change after which a record of the target may have to go: its source
    key by the present version, where it waits or waited, and the source row before it
    by plain column, where that is kept. `deleted` is false for an update, which may
    have taken the row out of the filter."""

    key: Row
    origin: str
    old: Mapping[str, str | None] | None = None
    deleted: bool = True


@dataclass(frozen=True)
class LegTrial:
    """One direction. `records` are in the order they were read, `deletes` in the order
    they were made; `missing` counts the asked-for keys that the source has no more,
    `unclear` the deletes of which too little is kept to say what the draft does."""

    records: tuple[TriedRecord, ...] = ()
    deletes: tuple[TriedRecord, ...] = ()
    missing: int = 0
    unclear: int = 0
    origins: Mapping[str, int] = field(default_factory=dict)

    def of(self, *verdicts: Verdict) -> list[TriedRecord]:
        """The records with one of these verdicts."""
        return [
            record
            for record in (*self.records, *self.deletes)
            if record.verdict in verdicts
        ]
