"""Both sides of a map in one comparable form (architecture section 9).

The *lead* leg maps rows of its source (the left side) into the form of its target
(the right side), where rows are read as the leg would have written them. Columns that
flow only the other way are compared in the left side's form. Constants are not
compared: they are written on insert only; nor are columns that the other leg computes
from those that the lead leg computes another column of: they say the same twice.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
from typing import cast

from syncengine.connectors.base import Connector, ReadRequest
from syncengine.errors import RecordError, SetupError
from syncengine.initial import source_companies
from syncengine.mapping.compiled import (
    BoundLeg,
    CompiledLeg,
    Lookup,
    Resolved,
    Row,
    Slot,
    shown_parts,
)
from syncengine.mapping.computed import rule_paths
from syncengine.mapping.digests import RowDigest
from syncengine.mapping.filters import Expression, bind_types, parse_filter
from syncengine.mapping.guards import Guard
from syncengine.mapping.model import Side
from syncengine.mapping.schema import ColumnType, CompanyRule, TypeFamily
from syncengine.mapping.types import equal, is_padded

Pick = Callable[[Row], Row]


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """A column whose two values, in the same form, are not equal."""

    column: str
    finops: str | None
    dataverse: str | None


@dataclass(frozen=True, slots=True)
class _Compared:
    """One compared column: its index in an image, and for columns that flow both
    ways where the other direction reads (right) and writes (left) it. `guard` is that
    of the leg that writes it; `backwards` when that is the other leg."""

    column: str
    type: ColumnType
    guard: Guard | None = None
    backwards: bool = False
    back_slot: int | None = None
    left_index: int | None = None


def pick(indices: Sequence[int]) -> Pick:
    """A function that takes these values out of a row."""
    if not indices:
        return lambda row: ()
    if len(indices) == 1:
        only = indices[0]
        return lambda row: (row[only],)
    return cast("Pick", itemgetter(*indices))


def key_form(slots: Sequence[Slot]) -> Pick | None:
    """A function that brings keys of these slots into one spelling, or None when
    their types have only one."""
    forms: dict[int, Callable[[str], str]] = {}
    for index, slot in enumerate(slots):
        if is_padded(slot.type):
            forms[index] = lambda text: text.rstrip(" ")
        elif slot.type.family is TypeFamily.DECIMAL and slot.type.scale is None:
            forms[index] = lambda text: f"{Decimal(text).normalize():f}"
    if not forms:
        return None

    def spell(key: Row) -> Row:
        return tuple(
            [
                forms[i](value) if i in forms and value is not None else value
                for i, value in enumerate(key)
            ]
        )

    return spell


class Counterparts:
    """How to read and compare the two sides of one map.

    At least one leg is needed; with both, the one to Dataverse leads.
    """

    def __init__(
        self,
        finops: Connector,
        dataverse: Connector,
        to_dataverse: CompiledLeg | None,
        to_finops: CompiledLeg | None,
    ) -> None:
        lead = to_dataverse or to_finops
        if lead is None:
            raise SetupError(
                "The map has no column that flows in either direction.",
                code="nothing_mapped",
            )
        self.lead: CompiledLeg = lead
        self.back = to_finops if to_dataverse is not None else None
        finops_leads = lead.direction.source is Side.FINOPS
        self.left_side = lead.direction.source
        self.left = finops if finops_leads else dataverse
        self.right = dataverse if finops_leads else finops
        self._right_filter = self._filter()
        self.resolved: Resolved = tuple({} for _ in lead.source_lookups)
        self._plan_columns()

    def _filter(self) -> Expression | None:
        """The filter of the right side's own rows."""
        lead = self.lead
        if self.back is not None:
            return self.back.predicate_expression
        side = lead.direction.target
        text = lead.table_map.filter(side)
        expression = parse_filter(side, text)
        return bind_types(expression, lead.target, text) if expression else None

    def _plan_columns(self) -> None:
        lead, back = self.lead, self.back
        shown = [
            i
            for i in range(len(lead.slots))
            if i not in lead.constants or i in lead.key
        ]
        back_only = self._back_only()
        back_slots = [back.slots[j] for j in back_only] if back else []

        self.left_columns = _union(lead.source_paths, _paths(back_slots))
        self.left_lookups = _lookups(lead.source_lookups, back_slots)
        slots = [lead.slots[i] for i in shown]
        need = back.source_paths if back and back_only else ()
        self.right_columns = _union(_paths(slots), need)
        self.right_lookups = _lookups(
            back.source_lookups if back else (),
            [*slots, *(lead.slots[i] for i in lead.key)],
        )
        self.detail_columns = _union(
            self.right_columns, back.source_paths if back else ()
        )

        self.bound: BoundLeg = lead.bind(self.left_columns)
        self._back_bound = back.bind(self.detail_columns) if back else None
        self._back_narrow = back.bind(self.right_columns) if back and need else None
        self._back_resolved: Resolved = tuple(
            {} for _ in (back.source_lookups if back else ())
        )
        self._spell = key_form([lead.slots[i] for i in lead.key])

        everything = shown == list(range(len(lead.slots)))
        self._shown: Pick | None = None if everything else pick(shown)
        self._left_back = pick(
            [self.left_columns.index(slot.path) for slot in back_slots]
        )
        self._back_pick = pick(back_only)
        self._right_shown = pick(
            [self.right_columns.index(slot.path) for slot in slots]
        )
        self.right_key_columns = tuple(lead.slots[i].path for i in lead.key)
        self._right_key = pick(
            [self.right_columns.index(path) for path in self.right_key_columns]
        )
        self._left_source_key = pick(
            [self.left_columns.index(path) for path in lead.source_key]
        )
        self._shown_slots = tuple(shown)
        self._back_slots = tuple(back_only)
        self._compared = [self._column(i) for i in shown] + [
            _Compared(slot.path, slot.type, slot.guard, backwards=True)
            for slot in back_slots
        ]

    def _back_only(self) -> list[int]:
        """Slots of the other leg whose columns the lead leg does not carry."""
        lead, back = self.lead, self.back
        if back is None:
            return []
        side = lead.direction.source
        covered = {
            path.casefold()
            for column in lead.table_map.columns
            if column.type.flows(lead.direction)
            and (path := column.on(side)) is not None
            and column.on(side.other) is not None
        }
        read = {
            path.casefold()
            for column in lead.table_map.columns
            for path in rule_paths(column, side)
        }
        covered |= {
            path.casefold()
            for column in lead.table_map.columns
            if column.computed
            and (path := column.on(side)) is not None
            and path.casefold() in read
        }
        return [
            j
            for j, slot in enumerate(back.slots)
            if j not in back.constants
            and j not in back.key
            and slot.path.casefold() not in covered
        ]

    def _column(self, index: int) -> _Compared:
        """The compared column of a lead slot, with its way back where it has one."""
        slot = self.lead.slots[index]
        path = slot.path
        back = self.back
        side = self.lead.direction.source
        if back is not None:
            for column in self.lead.table_map.columns:
                left, right = column.on(side), column.on(side.other)
                if left is None or right is None:
                    continue
                if right.casefold() != path.casefold() or not column.type.flows(
                    back.direction
                ):
                    continue
                for j, other in enumerate(back.slots):
                    if other.path.casefold() != left.casefold():
                        continue
                    for at, name in enumerate(self.left_columns):
                        if name.casefold() == left.casefold():
                            return _Compared(
                                path, slot.type, back_slot=j, left_index=at
                            )
        return _Compared(path, slot.type, slot.guard)

    # Reading

    def left_request(self, *, everything: bool = False) -> ReadRequest:
        """Rows of the left side; `everything` also takes those outside its filter."""
        lead = self.lead
        return ReadRequest(
            table=lead.source.name,
            columns=self.left_columns,
            lookups=self.left_lookups,
            key=lead.source_key,
            predicate=None if everything else lead.predicate_expression,
            company=lead.source_company,
            companies=source_companies(lead, None),
        )

    def right_request(
        self, columns: tuple[str, ...] | None = None, *, everything: bool = False
    ) -> ReadRequest:
        """Rows of the right side, as the lead leg would have written them."""
        return ReadRequest(
            table=self.lead.target.name,
            columns=columns or self.right_columns,
            lookups=self.right_lookups,
            key=self.right_key_columns,
            predicate=None if everything else self._right_filter,
            company=self._right_company(),
            companies=tuple(self.lead.companies.values()),
        )

    def _right_company(self) -> CompanyRule | None:
        if self.back is not None:
            return self.back.source_company
        return self.lead.target_company

    def digests(self, buckets: int) -> tuple[RowDigest, RowDigest] | None:
        """How the left and the right system hash the rows of their requests so that
        rows in step have equal hashes; None where a rule of the map has no such form.
        """
        lead, back = self.lead, self.back
        keys = [lead.digests[i] for i in lead.key]
        ahead = [lead.digests[i] for i in self._shown_slots]
        behind = [back.digests[j] for j in self._back_slots] if back else []
        pairs = [pair for pair in (*keys, *ahead, *behind) if pair is not None]
        if len(pairs) < len(keys) + len(ahead) + len(behind):
            return None
        key, there = pairs[: len(keys)], pairs[len(keys) : len(keys) + len(ahead)]
        returning = pairs[len(keys) + len(ahead) :]
        return (
            RowDigest(
                tuple(pair.source for pair in key),
                (*(p.source for p in there), *(p.target for p in returning)),
                buckets,
            ),
            RowDigest(
                tuple(pair.target for pair in key),
                (*(p.target for p in there), *(p.source for p in returning)),
                buckets,
            ),
        )

    def left_key_of_right(self, row: Row) -> Row | None:
        """The integration key, as the left side writes it, of the left row that a
        right row (laid out as `detail_columns`) belongs to; None where unknown."""
        back, bound = self.back, self._back_bound
        if back is None or bound is None:
            return None
        try:
            key = bound.key(row, self._back_resolved)
        except RecordError:
            return None
        paths = [back.slots[i].path for i in back.key]
        named = dict(zip(paths, key, strict=True))
        if any(path not in named for path in self.lead.source_key):
            return None
        return tuple([named[path] for path in self.lead.source_key])

    # Comparing

    def left_image(self) -> Callable[[Row], tuple[Row, Row]]:
        """A function giving (key, image) of a left row. Raises RecordError."""
        to_right, resolved = self.bound.map, self.resolved
        key_of, spell = pick(self.lead.key), self._spell
        shown, beside = self._shown, self._left_back
        plain = shown is None and not self._back_narrow

        def simple(row: Row) -> tuple[Row, Row]:
            mapped = to_right(row, resolved)
            return key_of(mapped), mapped

        def full(row: Row) -> tuple[Row, Row]:
            mapped = to_right(row, resolved)
            key = key_of(mapped)
            image = mapped if shown is None else shown(mapped)
            return (spell(key) if spell else key), image + beside(row)

        return simple if plain and spell is None else full

    def right_image(self) -> Callable[[Row], tuple[Row, Row]]:
        """A function giving (key, image) of a right row as `right_columns` lays it
        out (or a longer layout). Raises RecordError for columns flowing back."""
        key_of, shown, spell = self._right_key, self._right_shown, self._spell
        back, back_pick = self._back_narrow, self._back_pick
        resolved, width = self._back_resolved, len(self.right_columns)

        def simple(row: Row) -> tuple[Row, Row]:
            return key_of(row), shown(row)

        def full(row: Row) -> tuple[Row, Row]:
            key, image = key_of(row), shown(row)
            if back is not None:
                image += back_pick(back.map(row[:width], resolved))
            return (spell(key) if spell else key), image

        return simple if back is None and spell is None else full

    def left_key(self, row: Row) -> Row:
        """The common key of a left row. Raises RecordError."""
        key = self.bound.key(row, self.resolved)
        return self._spell(key) if self._spell else key

    def right_key(self, row: Row) -> Row:
        """The common key of a right row (or of its key columns alone)."""
        key = self._right_key(row)
        return self._spell(key) if self._spell else key

    def right_own_key(self, row: Row) -> Row:
        """The integration key of a right row as the right side itself writes it."""
        return self._right_key(row)

    def spelled(self, key: Row) -> Row:
        """A key of the right side's own spelling as the common key."""
        return self._spell(key) if self._spell else key

    def left_source_key(self, row: Row) -> Row:
        """The integration key of a left row as the left side itself writes it."""
        return self._left_source_key(row)

    def differences(self, left: Row, right: Row) -> tuple[ColumnDifference, ...]:
        """Columns that differ under the map between a left row and a right row in
        the layout `detail_columns`. A column that flows both ways is equal when
        either direction would write what is there; one that a guard leaves as it is
        does not differ. Raises RecordError."""
        _, ours = self.left_image()(left)
        _, theirs = self.right_image()(right)
        return tuple(
            self._difference(column.column, mine, yours)
            for column, mine, yours in zip(self._compared, ours, theirs, strict=True)
            if not equal(column.type, mine, yours)
            and not _kept(column, mine, yours)
            and not self._equal_backwards(column, left, right)
        )

    def _equal_backwards(self, column: _Compared, left: Row, right: Row) -> bool:
        if column.back_slot is None or column.left_index is None:
            return False
        back, bound = self.back, self._back_bound
        if back is None or bound is None:
            return False
        try:
            mapped = bound.map(right, self._back_resolved)
        except RecordError:
            return False
        slot = back.slots[column.back_slot]
        return equal(slot.type, mapped[column.back_slot], left[column.left_index])

    def _difference(
        self, column: str, left: str | None, right: str | None
    ) -> ColumnDifference:
        left, right = shown_parts(left), shown_parts(right)
        if self.left_side is Side.FINOPS:
            return ColumnDifference(column, left, right)
        return ColumnDifference(column, right, left)


def _kept(column: _Compared, mine: str | None, yours: str | None) -> bool:
    """True when the guard of the only leg that writes the column leaves it alone."""
    if column.guard is None:
        return False
    result, present = (yours, mine) if column.backwards else (mine, yours)
    return not column.guard.allows(result, present)


def _paths(slots: Sequence[Slot]) -> list[str]:
    return [slot.path for slot in slots]


def _union(*parts: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(path for part in parts for path in part))


def _lookups(known: Sequence[Lookup], slots: Sequence[Slot]) -> tuple[Lookup, ...]:
    by_path = {lookup.path: lookup for lookup in known}
    for slot in slots:
        if slot.lookup is not None:
            by_path.setdefault(slot.lookup.path, slot.lookup)
    return tuple(by_path.values())
