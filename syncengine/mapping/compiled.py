"""What a compiled leg is: the contract between the compiler and the engine.

Terms. A *source row* is a tuple of canonical text values (see `mapping.schema`) laid
out as some tuple of column paths says: plain columns of the source table, and, where
the reader joined them, lookup paths (`msdyn_company.cdm_companycode`). A *mapped row*
is a tuple with one value per `Slot` of the leg.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from syncengine.mapping.filters import Expression
from syncengine.mapping.model import Direction, TableMap
from syncengine.mapping.schema import ColumnType, CompanyRule, TableSchema

Row = tuple[str | None, ...]
Resolved = Sequence[Mapping[str, str | None]]
"""For each of the leg's `source_lookups`, in order: reference value -> key value."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """How a reference column and a natural key of the referenced table meet.

    `column` of the map's table holds `reference` of `table`; `key` is the referenced
    table's natural key column. `company` is the referenced table's company rule when
    that table is company-specific: the row's own company then belongs to the key.
    """

    column: str
    table: str
    reference: str
    key: str
    company: CompanyRule | None = None

    @property
    def path(self) -> str:
        """The column path as maps write it."""
        return f"{self.column}.{self.key}"


@dataclass(frozen=True, slots=True)
class Slot:
    """One column written on the target. `type` and `nullable` are the written
    column's; with a `lookup` the mapped value is the natural key (text form of the
    referenced key column) and the writer puts the reference into `column`.
    `source` is the plain source column that feeds it (None for constants)."""

    column: str
    type: ColumnType
    nullable: bool
    lookup: Lookup | None = None
    source: str | None = None


@dataclass(frozen=True)
class CompiledLeg:
    """One direction of a map, ready to run.

    `slots[i]` for i in `key` form the integration key on the target (with the company
    first where the map is company-specific; `company` is that slot's index).
    `source_paths` are the column paths a reader must deliver; `source_key` the paths
    of the integration key on the source, company first, in the order of `key`.
    `companies` maps linked company codes source -> target (empty when the map is not
    company-specific). `predicate_expression` is the source filter for connectors that
    can filter at the source; `constants` are slots that hold a default only, written
    on insert and never compared for changes of the source.
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
    companies: Mapping[str, str]
    predicate_expression: Expression | None
    constants: frozenset[int]
    bind: Callable[[tuple[str, ...]], BoundLeg] = field(repr=False, compare=False)
    """Bind to a row layout. Paths missing from the layout are taken through
    `source_lookups` from the plain reference column. Raises EngineError with code
    `schema_changed` naming a source column that the layout lacks. Cached."""

    def key_of(self, mapped: Row) -> Row:
        """The integration key of a mapped row."""
        return tuple([mapped[i] for i in self.key])

    @property
    def triggers(self) -> frozenset[str]:
        """Plain source columns whose change makes this leg write."""
        return frozenset(slot.source for slot in self.slots if slot.source)


@dataclass(frozen=True, slots=True)
class BoundLeg:
    """A compiled leg on one row layout. All functions are pure.

    `in_scope(row, resolved)`: company linked and filter true.
    `company_linked(row, resolved)`: the row's company is linked (or none is needed).
    `map(row, resolved)`: the mapped row. Raises RecordError naming the column:
    `value_not_in_map`, `required_value_missing`, `value_too_long`,
    `value_out_of_range`, `precision_loss`, `conversion_failed`,
    `source_lookup_not_found`.
    `key(row, resolved)`: the target key alone (cheap; same errors).
    `source_key(row, resolved)`: the key on the source, for people and for re-reading.
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
    references: tuple[int | None, ...]
