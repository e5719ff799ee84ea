"""What a compiled leg is: the contract between the compiler and the engine.

Terms. A *source row* is a tuple of canonical text values (see `mapping.schema`) laid
out as some tuple of column paths says: plain columns of the source table, and, where
the reader joined them, lookup paths (`msdyn_company.cdm_companycode`). A *mapped row*
is a tuple with one value per `Slot` of the leg.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from syncengine.mapping.digests import HashedPair
from syncengine.mapping.filters import Expression
from syncengine.mapping.guards import Guard, Values
from syncengine.mapping.model import Direction, TableMap
from syncengine.mapping.schema import ColumnType, CompanyRule, TableSchema

Row = tuple[str | None, ...]
Resolved = Sequence[Mapping[str, str | None]]
"""For each of the leg's `source_lookups`, in order: reference value -> key value."""


PART_SEPARATOR = "\x1f"
"""Stands between the parts of a composite natural key carried as one value."""


@dataclass(frozen=True, slots=True)
class Hop:
    """A step from a reference `column` to the row of `table` whose `reference`
    column holds the same value."""

    column: str
    table: str
    reference: str


@dataclass(frozen=True, slots=True)
class KeyPath:
    """A natural key column of the row a lookup leads to or, over `hops`, of a row
    that one refers to in turn."""

    column: str
    hops: tuple[Hop, ...] = ()

    @property
    def path(self) -> str:
        """As maps write it behind the lookup: `msdyn_hierarchy.msdyn_name`."""
        return ".".join([*(hop.column for hop in self.hops), self.column])


@dataclass(frozen=True, slots=True)
class LookupTarget:
    """A table a lookup may lead to, and the `keys` that find one of its rows.

    `reference` is what the reference column holds. `company` is the table's company
    rule when it is company-specific: the row's own company then belongs to the key.
    `word` names the table in the path of a polymorphic lookup (`Account`).
    """

    table: str
    reference: str
    keys: tuple[KeyPath, ...]
    company: CompanyRule | None = None
    word: str = ""


@dataclass(frozen=True, slots=True)
class Lookup:
    """How a reference column and natural keys of the referenced table meet.

    With several `targets` (each with one key) the reference may lead to any of the
    tables: the row is looked for in all of them. With several keys the natural key
    is composite: its value is its parts joined by `PART_SEPARATOR`.
    """

    column: str
    targets: tuple[LookupTarget, ...]

    @staticmethod
    def simple(
        column: str,
        table: str,
        reference: str,
        key: str,
        company: CompanyRule | None = None,
    ) -> Lookup:
        """A lookup of one table by one column of it."""
        target = LookupTarget(table, reference, (KeyPath(key),), company)
        return Lookup(column, (target,))

    @property
    def keys(self) -> tuple[KeyPath, ...]:
        """The parts of the natural key (of the first target)."""
        return self.targets[0].keys

    @property
    def paths(self) -> tuple[str, ...]:
        """One column path for each part of the natural key, as maps write it."""
        if len(self.targets) > 1:
            words = "".join(f".{t.word}({t.keys[0].path})" for t in self.targets)
            return (f"{self.column}{words}",)
        return tuple(f"{self.column}.{key.path}" for key in self.keys)

    @property
    def path(self) -> str:
        """The column path as maps write it; of a composite one, `ref.(a, b.c)`."""
        if len(self.keys) == 1:
            return self.paths[0]
        return f"{self.column}.({', '.join(key.path for key in self.keys)})"

    @property
    def tables(self) -> tuple[str, ...]:
        """The tables the reference may lead to."""
        return tuple(target.table for target in self.targets)

    @property
    def all_tables(self) -> frozenset[str]:
        """Every table on the way to the natural key."""
        return frozenset(self.tables) | {
            hop.table
            for target in self.targets
            for key in target.keys
            for hop in key.hops
        }

    @property
    def scoped(self) -> bool:
        """True when the row's company belongs to the key in some of the tables."""
        return any(target.company is not None for target in self.targets)


def split_parts(value: str) -> list[str]:
    """The parts of a composite natural key."""
    return value.split(PART_SEPARATOR)


def shown_parts(value: str | None) -> str | None:
    """A value as people read it: the parts of a composite key joined by ` / `."""
    return value.replace(PART_SEPARATOR, " / ") if value else value


@dataclass(frozen=True, slots=True)
class Slot:
    """One column written on the target. `type` and `nullable` are the written
    column's; with a `lookup` the mapped value is the natural key (text form of the
    referenced key columns) and the writer puts the reference into `column`.
    `sources` are the plain source columns that feed it (none for constants). A value
    that the `guard` does not allow over the present one leaves the column as it is."""

    column: str
    type: ColumnType
    nullable: bool
    lookup: Lookup | None = None
    sources: tuple[str, ...] = ()
    guard: Guard | None = None
    blanks: Values = frozenset()

    @property
    def path(self) -> str:
        """The column path that reads what the slot writes."""
        return self.lookup.path if self.lookup else self.column


def named_values(
    slots: Sequence[Slot], row: Sequence[str | None]
) -> dict[str, str | None]:
    """A mapped row by column path; each part of a composite key under its own."""
    named: dict[str, str | None] = {}
    for slot, value in zip(slots, row, strict=True):
        paths = slot.lookup.paths if slot.lookup else (slot.column,)
        if len(paths) == 1:
            named[paths[0]] = value
            continue
        parts = [None] * len(paths) if value is None else split_parts(value)
        named.update(zip(paths, parts, strict=True))
    return named


def salvaged_values(
    bound: BoundLeg, row: Row, resolved: Resolved
) -> dict[str, str | None]:
    """What can be made of a row that cannot be mapped, by column path."""
    found = bound.salvage(row, resolved)
    slots = [bound.leg.slots[index] for index in found]
    return named_values(slots, list(found.values()))


@dataclass(frozen=True)
class CompiledLeg:
    """One direction of a map, ready to run.

    `slots[i]` for i in `key` form the integration key on the target (with the company
    first where the map is company-specific; `company` is that slot's index).
    `source_paths` are the column paths a reader must deliver; `source_key` the paths
    of the integration key on the source, company first, in the order of `key` (all
    parts of a composite lookup, each path once).
    `companies` maps linked company codes source -> target (empty when the map is not
    company-specific). `predicate_expression` is the source filter for connectors that
    can filter at the source; `constants` are slots that hold a default only, written
    on insert and never compared for changes of the source. `target_company` is the
    target table's company rule where the map is company-specific.
    """

    table_map: TableMap
    direction: Direction
    source: TableSchema
    target: TableSchema
    slots: tuple[Slot, ...]
    key: tuple[int, ...]
    company: int | None
    source_paths: tuple[str, ...]
    source_key: tuple[str, ...]
    source_lookups: tuple[Lookup, ...]
    source_company: CompanyRule | None
    target_company: CompanyRule | None
    companies: Mapping[str, str]
    predicate_expression: Expression | None
    constants: frozenset[int]
    bind: Callable[[tuple[str, ...]], BoundLeg] = field(repr=False, compare=False)
    """Bind to a row layout. Paths missing from the layout are taken through
    `source_lookups` from the plain reference column. Raises EngineError with code
    `schema_changed` naming a source column that the layout lacks. Cached."""

    digests: tuple[HashedPair | None, ...] = field(
        default=(), repr=False, compare=False
    )
    """For each slot how both systems hash its value, or None where one cannot."""

    def key_of(self, mapped: Row) -> Row:
        """The integration key of a mapped row."""
        return tuple([mapped[i] for i in self.key])

    @cached_property
    def guarded(self) -> bool:
        """True when a guard stands over some of the slots."""
        return any(slot.guard is not None for slot in self.slots)

    @property
    def triggers(self) -> frozenset[str]:
        """Plain source columns whose change makes this leg write."""
        return frozenset(name for slot in self.slots for name in slot.sources)


@dataclass(frozen=True, slots=True)
class BoundLeg:
    """A compiled leg on one row layout. All functions are pure.

    `in_scope(row, resolved)`: company linked and filter true.
    `company_linked(row, resolved)`: the row's company is linked (or none is needed).
    `map(row, resolved)`: the mapped row. Raises RecordError naming the column:
    `value_not_in_map`, `no_rule_matches`, `required_value_missing`, `value_too_long`,
    `value_out_of_range`, `precision_loss`, `conversion_failed`,
    `source_lookup_not_found`.
    `key(row, resolved)`: the target key alone (cheap; same errors).
    `source_key(row, resolved)`: the key on the source, for people and for re-reading;
    a reference that is not resolved stands for its part (`dangling`).
    `salvage(row, resolved)`: of a row that `map` refuses the values that can be made,
    by slot; for people to see what is wrong and what is not.
    `references`: per source lookup, the index in the row of its reference column, or
    None when the layout already has the path (nothing to resolve).
    """

    leg: CompiledLeg
    columns: tuple[str, ...]
    in_scope: Callable[[Row, Resolved], bool]
    company_linked: Callable[[Row, Resolved], bool]
    map: Callable[[Row, Resolved], Row]
    key: Callable[[Row, Resolved], Row]
    source_key: Callable[[Row, Resolved], Row]
    salvage: Callable[[Row, Resolved], Mapping[int, str | None]]
    references: tuple[int | None, ...]
