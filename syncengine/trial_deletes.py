"""Captured deletes under one version of a map: whether the record of the other side is
to go, and which one. The rules are those of the live stream."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from syncengine.connectors.base import (
    Operation,
    OperationKind,
    Outcome,
    OutcomeKind,
    Reader,
)
from syncengine.errors import EngineError, RecordError
from syncengine.mapping.compiled import BoundLeg, CompiledLeg, Resolved, Row
from syncengine.mapping.model import OnFilterExit
from syncengine.trial_records import CapturedChange, TriedRecord, Verdict


class Fate(Enum):
    """What a version makes of a captured change."""

    OUT = "out"
    DELETE = "delete"
    ERROR = "error"
    UNCLEAR = "unclear"


@dataclass(frozen=True, slots=True)
class Removal:
    """One captured change under one version: the key of the record to delete, and what
    the version wrote last, where that is known."""

    fate: Fate
    key: Row = ()
    base: Row | None = None
    error: RecordError | None = None


_OUT = Removal(Fate.OUT)
_UNCLEAR = Removal(Fate.UNCLEAR)


def removals(
    reader: Reader,
    leg: CompiledLeg,
    keyed: CompiledLeg,
    captured: Sequence[tuple[CapturedChange, Row | None]],
    columns: tuple[str, ...],
) -> list[Removal]:
    """What the version makes of each change. Beside each stands the source row as it is
    now, in `columns`; the keys of the changes are those of the leg `keyed`."""
    return [_removal(reader, leg, keyed, each, row, columns) for each, row in captured]


def _removal(
    reader: Reader,
    leg: CompiledLeg,
    keyed: CompiledLeg,
    change: CapturedChange,
    now: Row | None,
    columns: tuple[str, ...],
) -> Removal:
    whole = change.old if leg.source.full_identity else None
    if now is not None:
        nothing: Resolved = tuple({} for _ in leg.source_lookups)
        leaves = leg.table_map.on_filter_exit is OnFilterExit.LEAVE
        if leaves or whole is None or leg.bind(columns).in_scope(now, nothing):
            return _OUT
    elif not change.deleted:
        return _OUT
    try:
        if whole is not None and (bound := _bound(leg, tuple(whole))) is not None:
            return _of_row(reader, bound, tuple(whole.values()))
        return _OUT if now is not None else _of_key(leg, keyed, change)
    except RecordError as error:
        return Removal(Fate.ERROR, error=error)


def _bound(leg: CompiledLeg, columns: tuple[str, ...]) -> BoundLeg | None:
    """The leg on a kept row; None where that lacks a column the leg needs."""
    try:
        return leg.bind(columns)
    except EngineError:
        return None


def _of_row(reader: Reader, bound: BoundLeg, row: Row) -> Removal:
    resolved = _resolved(reader, bound, row)
    if not bound.in_scope(row, resolved):
        return _OUT
    try:
        base: Row | None = bound.map(row, resolved)
    except RecordError:
        base = None
    return Removal(Fate.DELETE, bound.key(row, resolved), base)


def _resolved(reader: Reader, bound: BoundLeg, row: Row) -> Resolved:
    found: list[Mapping[str, str | None]] = []
    lookups = bound.leg.source_lookups
    for lookup, place in zip(lookups, bound.references, strict=True):
        reference = None if place is None else row[place]
        found.append({} if reference is None else reader.resolve(lookup, [reference]))
    return found


def _of_key(leg: CompiledLeg, keyed: CompiledLeg, change: CapturedChange) -> Removal:
    """Of a row that is not kept the filter cannot be asked: as with tables that tell
    no more than the key, the company alone decides."""
    known: dict[str, str | None] = dict(
        zip(keyed.source_key, change.key, strict=False) if keyed.source_key else ()
    )
    if len(change.key) != len(keyed.source_key) or not {*leg.source_key} <= {*known}:
        return _UNCLEAR
    row = tuple(known.get(path) for path in leg.source_paths)
    bound = leg.bind(leg.source_paths)
    nothing: Resolved = tuple({} for _ in leg.source_lookups)
    if not bound.company_linked(row, nothing):
        return _OUT
    return Removal(Fate.DELETE, bound.key(row, nothing))


def operations(
    leg: CompiledLeg, removed: Sequence[Removal | None], first: int
) -> list[Operation]:
    """The deletes to try, numbered on from `first`."""
    return [
        Operation(
            leg,
            OperationKind.DELETE,
            each.key,
            None,
            history=() if each.base is None else (each.base,),
            force=each.base is None,
            reference=first + number,
        )
        for number, each in enumerate(removed)
        if each is not None and each.fate is Fate.DELETE
    ]


def judged(
    change: CapturedChange,
    new: Removal,
    old: Removal | None,
    outcome: Outcome | None,
    refused_before: bool,
    *,
    there: bool,
) -> TriedRecord | None:
    """The delete under both versions; None where nothing can be said, and where the
    source row is there (again) and neither version deletes its counterpart."""
    code = column = message = ""
    if new.fate is Fate.UNCLEAR:
        return None
    if new.fate is Fate.OUT:
        if old is not None and old.fate is Fate.DELETE:
            verdict = Verdict.DELETE_LEFT
        elif change.deleted and not there:
            verdict = Verdict.DELETE_OUT
        else:
            return None
    elif new.error is not None:
        before = old is not None and old.fate is Fate.ERROR
        verdict = Verdict.STILL_FAILS if before else Verdict.FAILS
        error = new.error
        code, column, message = error.code, error.column, error.message
    elif outcome is not None and outcome.kind is OutcomeKind.FAILED:
        blocked = Verdict.DELETE_BLOCKED
        verdict = Verdict.DELETE_STILL_BLOCKED if refused_before else blocked
        code, column, message = outcome.code, outcome.column, outcome.message
    elif outcome is not None and outcome.kind is OutcomeKind.ABSENT:
        verdict = Verdict.DELETE_ABSENT
    elif outcome is not None and outcome.conflicts:
        verdict = Verdict.DELETE_CONTESTED
    else:
        newly = old is not None and old.fate is Fate.OUT
        verdict = Verdict.DELETE_NEW if newly else Verdict.DELETED
    return TriedRecord(change.key, change.origin, verdict, code, column, message)
