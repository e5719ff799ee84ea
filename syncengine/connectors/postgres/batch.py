"""Writes one leg's records inside an open transaction: resolve, lock, merge, write.

Two round trips a group: lookups and present rows are read together, then all writes
are sent together. Everything is set-based; no statement per record.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from syncengine.connectors.base import (
    ColumnConflict,
    Operation,
    OperationKind,
    Outcome,
    OutcomeKind,
)
from syncengine.connectors.merge import changed_since, merge
from syncengine.connectors.postgres.arrays import array_literal
from syncengine.connectors.postgres.lookups import (
    AMBIGUOUS,
    Wanted,
    collect,
    key_arrays,
    lookup_failure,
)
from syncengine.connectors.postgres.pipeline import Pipeline, Sent
from syncengine.connectors.postgres.statements import LegStatements
from syncengine.connectors.postgres.translation import (
    CompanyCache,
    References,
    Translation,
)
from syncengine.mapping.compiled import CompiledLeg, Lookup, Row
from syncengine.mapping.natural_keys import own_key


@dataclass(frozen=True, slots=True)
class _Asked:
    """The lookup of a slot that was sent, and the (key, company) pairs asked for."""

    slot: int
    sent: Sent
    wanted: list[Wanted]


@dataclass
class Group:
    """Operations of one leg and one kind, applied together."""

    leg: CompiledLeg
    kind: OperationKind
    operations: list[Operation] = field(default_factory=list)


class GroupWriter:
    """Applies groups through a pipeline whose connection is inside a transaction."""

    def __init__(
        self,
        pipeline: Pipeline,
        statements: dict[int, LegStatements],
        companies: CompanyCache,
    ) -> None:
        self._pipeline = pipeline
        self._statements = statements
        self._companies = companies
        self._translations: dict[int, Translation] = {}

    def apply(self, group: Group) -> list[Outcome]:
        """Apply one group; FAILED outcomes name records whose lookups found nothing."""
        if group.kind is OperationKind.DELETE:
            return self._delete(group)
        return self._upsert(group)

    def _send(self, query: bytes, arrays: Iterable[Sequence[str | None]]) -> Sent:
        return self._pipeline.send(query, [array_literal(values) for values in arrays])

    # -- references -----------------------------------------------------------------

    def _translation(self, leg: CompiledLeg) -> Translation:
        found = self._translations.get(id(leg))
        if found is None:
            statements = self._statements[id(leg)]
            found = Translation(leg, statements, self._companies)
            self._translations[id(leg)] = found
        return found

    def _learn_companies(self, leg: CompiledLeg, rows: Iterable[Row]) -> None:
        translation = self._translation(leg)
        lookup, known = translation.company_lookup, translation.companies
        if lookup is None or known is None:
            return
        codes = sorted(translation.unknown_companies(rows))
        if not codes:
            return
        found = self._send(self._statements[id(leg)].resolve(lookup), [codes])
        for ordinal, reference in found.fetchall():
            known[codes[int(ordinal) - 1]] = reference

    def _resolve(self, leg: CompiledLeg, rows: Sequence[Row]) -> list[_Asked]:
        """Ask for the references of all natural keys in `rows`; answers come later."""
        asked: list[_Asked] = []
        statements = self._statements[id(leg)]
        translation = self._translation(leg)
        company = translation.company
        for index, lookup, scoped in translation.lookups:
            wanted = {
                (key, company(row) if scoped else None)
                for row in rows
                if (key := row[index]) is not None
            }
            if not wanted:
                continue
            ordered: list[Wanted] = list(wanted)
            arrays = key_arrays(lookup, leg, ordered)
            sent = self._send(statements.resolve(lookup), arrays)
            asked.append(_Asked(index, sent, ordered))
        return asked

    @staticmethod
    def _answers(asked: Sequence[_Asked]) -> References:
        return {one.slot: collect(one.sent.fetchall(), one.wanted) for one in asked}

    # -- upserts --------------------------------------------------------------------

    def _upsert(self, group: Group) -> list[Outcome]:
        leg = group.leg
        operations = group.operations
        rows: list[Row] = []
        for operation in operations:
            rows.append(operation.row or operation.key)
            rows.extend(operation.history)
        self._learn_companies(leg, rows)
        asked = self._resolve(leg, rows)
        statements = self._statements[id(leg)]
        translation = self._translation(leg)
        keyed = statements.keyed_by_lookup
        found = self._answers(asked) if keyed else {}
        keys = translation.keys([operation.key for operation in operations], found)
        fetch = self._send(statements.fetch, keys)
        if not keyed:
            found = self._answers(asked)
        translate = translation.row
        incoming = [translate(op.row or (), found) for op in operations]
        present = {int(line[0]) - 1: line[1:] for line in fetch.fetchall()}
        return self._write(leg, operations, incoming, present, found)

    def _write(
        self,
        leg: CompiledLeg,
        operations: Sequence[Operation],
        incoming: Sequence[tuple[Row, list[int]]],
        present: dict[int, Row],
        found: References,
    ) -> list[Outcome]:
        inside = _keys_inside(leg, operations)
        translate = self._translation(leg).row
        inserts: list[Row] = []
        updates: dict[tuple[int, ...], list[Row]] = defaultdict(list)
        later: list[tuple[Operation, Row, tuple[int, ...]]] = []
        outcomes: list[Outcome] = []
        for number, operation in enumerate(operations):
            row, missing = incoming[number]
            waiting, lost = self._split_missing(leg, operation, missing, inside)
            if lost:
                outcomes.append(
                    lookup_failure(
                        leg,
                        operation.row or (),
                        lost[0],
                        many=row[lost[0]] == AMBIGUOUS,
                        reference=operation.reference,
                    )
                )
                continue
            now = present.get(number)
            if now is None:
                conflict = _vanished(operation)
                if conflict is not None:
                    outcomes.append(conflict)
                    continue
                if waiting:
                    later.append((operation, row, tuple(waiting)))
                    row = _without(row, waiting)
                inserts.append(row)
                outcomes.append(Outcome(operation.reference, OutcomeKind.INSERTED))
                continue
            if waiting:
                later.append((operation, row, tuple(waiting)))
                row = tuple(
                    now[i] if i in waiting else value for i, value in enumerate(row)
                )
            history = [translate(image, found)[0] for image in operation.history]
            changed, conflicts = merge(operation, row, history, now)
            if changed:
                updates[tuple(changed)].append(row)
            outcomes.append(
                Outcome(
                    operation.reference,
                    OutcomeKind.UPDATED
                    if changed or waiting
                    else OutcomeKind.UNCHANGED,
                    tuple(conflicts),
                )
            )
        self._flush(leg, inserts, updates)
        if later:
            outcomes = self._write_later(leg, later, outcomes)
        return outcomes

    def _split_missing(
        self,
        leg: CompiledLeg,
        operation: Operation,
        missing: list[int],
        inside: dict[int, set[Wanted]],
    ) -> tuple[list[int], list[int]]:
        """Slots whose record is in this very batch (written after it), and the rest."""
        if not missing:
            return [], []
        row = operation.row or ()
        waiting: list[int] = []
        lost: list[int] = []
        for index in missing:
            if leg.slots[index].nullable and _asked_for(leg, row, index) in inside.get(
                index, ()
            ):
                waiting.append(index)
            else:
                lost.append(index)
        return waiting, lost

    def _flush(
        self,
        leg: CompiledLeg,
        inserts: list[Row],
        updates: dict[tuple[int, ...], list[Row]],
    ) -> None:
        statements = self._statements[id(leg)]
        if inserts:
            self._send(statements.insert, zip(*inserts, strict=True))
        for changed, rows in updates.items():
            columns = [[row[i] for row in rows] for i in (*leg.key, *changed)]
            self._send(statements.update(changed), columns)

    def _write_later(
        self,
        leg: CompiledLeg,
        later: list[tuple[Operation, Row, tuple[int, ...]]],
        outcomes: list[Outcome],
    ) -> list[Outcome]:
        """Fill references to records of this batch, now that they exist."""
        rows = [operation.row or () for operation, _, _ in later]
        found = self._answers(self._resolve(leg, rows))
        translate = self._translation(leg).row
        updates: dict[tuple[int, ...], list[Row]] = defaultdict(list)
        lost: dict[int, Outcome] = {}
        for operation, row, waiting in later:
            full, missing = translate(operation.row or (), found)
            values = list(row)
            for index in waiting:
                values[index] = full[index]
                if index in missing:
                    lost[operation.reference] = lookup_failure(
                        leg, operation.row or (), index, reference=operation.reference
                    )
            if operation.reference not in lost:
                updates[waiting].append(tuple(values))
        self._flush(leg, [], updates)
        return [lost.get(outcome.reference, outcome) for outcome in outcomes]

    # -- deletes --------------------------------------------------------------------

    def _delete(self, group: Group) -> list[Outcome]:
        leg = group.leg
        operations = group.operations
        translation = self._translation(leg)
        translate = translation.row
        rows = [translation.key_row(operation.key) for operation in operations]
        # Any of them may be what the target holds: an update and the delete after it
        # can be one operation.
        images = [image for operation in operations for image in operation.history]
        self._learn_companies(leg, rows)
        found = self._answers(self._resolve(leg, [*rows, *images]))
        written = [translate(row, found)[0] for row in rows]
        keys = translation.keys([operation.key for operation in operations], found)
        fetch = self._send(self._statements[id(leg)].fetch_for_delete, keys)
        present = {int(line[0]) - 1: line[1:] for line in fetch.fetchall()}
        doomed: list[Row] = []
        outcomes: list[Outcome] = []
        for number, operation in enumerate(operations):
            now = present.get(number)
            if now is None:
                outcomes.append(Outcome(operation.reference, OutcomeKind.ABSENT))
                continue
            if operation.history and not operation.force:
                history = [translate(image, found)[0] for image in operation.history]
                if changed_since(leg.slots, history, now):
                    conflict = ColumnConflict(
                        None, _show(history[-1]), None, _show(now)
                    )
                    outcomes.append(
                        Outcome(operation.reference, OutcomeKind.UNCHANGED, (conflict,))
                    )
                    continue
            doomed.append(written[number])
            outcomes.append(Outcome(operation.reference, OutcomeKind.DELETED))
        if doomed:
            statements = self._statements[id(leg)]
            self._send(statements.delete, [[row[i] for row in doomed] for i in leg.key])
        return outcomes


def _keys_inside(
    leg: CompiledLeg, operations: Sequence[Operation]
) -> dict[int, set[Wanted]]:
    """For each slot that may refer to records of this very batch, their natural keys
    with the company's code."""
    inside: dict[int, set[Wanted]] = {}
    for index, slot in enumerate(leg.slots):
        lookup = slot.lookup
        if lookup is None or index in leg.key or leg.target.name not in lookup.tables:
            continue
        key = own_key(leg, lookup)
        if key is not None:
            inside[index] = {
                (key(row), _code(leg, lookup, row))
                for operation in operations
                if (row := operation.row) is not None
            }
    return inside


def _asked_for(leg: CompiledLeg, row: Row, index: int) -> Wanted:
    """What the lookup of a slot looks for, with the company's code."""
    lookup = leg.slots[index].lookup
    return row[index], None if lookup is None else _code(leg, lookup, row)


def _code(leg: CompiledLeg, lookup: Lookup, row: Row) -> str | None:
    if leg.company is None or not lookup.scoped:
        return None
    return row[leg.company]


def _without(row: Row, slots: Sequence[int]) -> Row:
    return tuple(None if i in slots else value for i, value in enumerate(row))


def _show(row: Row) -> str:
    return ", ".join("null" if value is None else value for value in row)


def _vanished(operation: Operation) -> Outcome | None:
    """An update of a record the other side has deleted is contested."""
    if operation.update and not operation.force:
        conflict = ColumnConflict(None, None, None, None)
        return Outcome(operation.reference, OutcomeKind.UNCHANGED, (conflict,))
    return None
