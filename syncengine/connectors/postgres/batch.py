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
from syncengine.connectors.merge import UNRESOLVED, differs, merge
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
from syncengine.mapping.compiled import CompiledLeg, Lookup, Row
from syncengine.mapping.natural_keys import own_key

References = dict[int, dict[Wanted, str]]
"""What was found, by slot: reference of a natural key and the row's company."""


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


class CompanyCache:
    """References of companies by code; forgotten when the target refuses a batch."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], str] = {}


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

    def apply(self, group: Group) -> list[Outcome]:
        """Apply one group; FAILED outcomes name records whose lookups found nothing."""
        if group.kind is OperationKind.DELETE:
            return self._delete(group)
        return self._upsert(group)

    def _send(self, query: bytes, arrays: Iterable[Sequence[str | None]]) -> Sent:
        return self._pipeline.send(query, [array_literal(values) for values in arrays])

    # -- references -----------------------------------------------------------------

    def _company(self, leg: CompiledLeg, row: Row) -> str | None:
        """The company of a mapped row as its company column holds it."""
        if leg.company is None:
            return None
        code = row[leg.company]
        lookup = leg.slots[leg.company].lookup
        if lookup is None or code is None:
            return code
        return self._companies.known.get((lookup.tables[0], code))

    def _learn_companies(self, leg: CompiledLeg, rows: Iterable[Row]) -> None:
        if leg.company is None:
            return
        lookup = leg.slots[leg.company].lookup
        if lookup is None:
            return
        index = leg.company
        table = lookup.tables[0]
        known = self._companies.known
        wanted = {
            code
            for row in rows
            if (code := row[index]) is not None and (table, code) not in known
        }
        if not wanted:
            return
        codes = sorted(wanted)
        found = self._send(self._statements[id(leg)].resolve(lookup), [codes])
        for ordinal, reference in found.fetchall():
            known[table, codes[int(ordinal) - 1]] = reference

    def _resolve(self, leg: CompiledLeg, rows: Sequence[Row]) -> list[_Asked]:
        """Ask for the references of all natural keys in `rows`; answers come later."""
        asked: list[_Asked] = []
        statements = self._statements[id(leg)]
        for index, lookup in statements.lookups:
            scoped = lookup.scoped and leg.company is not None
            wanted = {
                (key, self._company(leg, row) if scoped else None)
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

    def _written(
        self, leg: CompiledLeg, row: Row, found: References
    ) -> tuple[Row, list[int]]:
        """The row as the target holds it, and the slots whose lookup found nothing."""
        lookups = self._statements[id(leg)].lookups
        index = leg.company
        if not lookups and (index is None or leg.slots[index].lookup is None):
            return row, []
        values = list(row)
        missing: list[int] = []
        company = None
        if index is not None:
            company = self._company(leg, row)
            if company is None and row[index] is not None:
                missing.append(index)
                company = UNRESOLVED
            values[index] = company
        for index, lookup in lookups:
            value = row[index]
            if value is None:
                continue
            scope = company if lookup.scoped else None
            reference = found.get(index, _NOTHING).get((value, scope), UNRESOLVED)
            if reference in (UNRESOLVED, AMBIGUOUS):
                missing.append(index)
            values[index] = reference
        return tuple(values), missing

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
        keyed = self._statements[id(leg)].keyed_by_lookup
        found = self._answers(asked) if keyed else {}
        fetch = self._fetch(
            leg,
            [self._written(leg, _key_row(leg, op), found)[0] for op in operations],
            delete=False,
        )
        if not keyed:
            found = self._answers(asked)
        incoming = [self._written(leg, op.row or (), found) for op in operations]
        present = {int(line[0]) - 1: line[1:] for line in fetch.fetchall()}
        return self._write(leg, operations, incoming, present, found)

    def _fetch(self, leg: CompiledLeg, rows: Sequence[Row], *, delete: bool) -> Sent:
        statements = self._statements[id(leg)]
        query = statements.fetch_for_delete if delete else statements.fetch
        keys = [
            [None if row[i] == UNRESOLVED else row[i] for row in rows] for i in leg.key
        ]
        return self._send(query, keys)

    def _write(
        self,
        leg: CompiledLeg,
        operations: Sequence[Operation],
        incoming: Sequence[tuple[Row, list[int]]],
        present: dict[int, Row],
        found: References,
    ) -> list[Outcome]:
        inside = _keys_inside(leg, operations)
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
            history = [
                self._written(leg, image, found)[0] for image in operation.history
            ]
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
        updates: dict[tuple[int, ...], list[Row]] = defaultdict(list)
        lost: dict[int, Outcome] = {}
        for operation, row, waiting in later:
            full, missing = self._written(leg, operation.row or (), found)
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
        rows = [_key_row(leg, operation) for operation in operations]
        images = [
            operation.history[-1] for operation in operations if operation.history
        ]
        self._learn_companies(leg, rows)
        found = self._answers(self._resolve(leg, [*rows, *images]))
        written = [self._written(leg, row, found)[0] for row in rows]
        fetch = self._fetch(leg, written, delete=True)
        present = {int(line[0]) - 1: line[1:] for line in fetch.fetchall()}
        doomed: list[Row] = []
        outcomes: list[Outcome] = []
        for number, operation in enumerate(operations):
            now = present.get(number)
            if now is None:
                outcomes.append(Outcome(operation.reference, OutcomeKind.ABSENT))
                continue
            if operation.history and not operation.force:
                image = self._written(leg, operation.history[-1], found)[0]
                if not any(
                    not differs(leg.slots, self._written(leg, past, found)[0], now)
                    for past in operation.history
                ):
                    conflict = ColumnConflict(None, _show(image), None, _show(now))
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


_NOTHING: dict[Wanted, str] = {}


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


def _key_row(leg: CompiledLeg, operation: Operation) -> Row:
    """A row that has only the key's slots filled."""
    values: list[str | None] = [None] * len(leg.slots)
    for index, value in zip(leg.key, operation.key, strict=True):
        values[index] = value
    return tuple(values)


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
