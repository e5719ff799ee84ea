"""What a connector knows about tables: columns, types, keys, foreign keys (pure data).

Values travel through the engine as text in one canonical form per type family, or
None for null (`syncengine.mapping.types` converts). The forms are PostgreSQL's own
output with DateStyle ISO, TimeZone UTC and bytea_output hex: booleans `t` / `f`,
decimals as plain digits, timestamps `2026-03-01 10:00:00[.ffffff][+00]`, dates
`2026-03-01`, GUIDs in lower case, binary `\\x..`. Reading and writing therefore costs
no conversion where both sides agree, and nothing passes through a float.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property


class TypeFamily(StrEnum):
    """Families of column types that conversions are defined on."""

    TEXT = "text"
    INTEGER = "integer"
    DECIMAL = "decimal"
    FLOAT = "float"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMP = "timestamp"
    TIMESTAMPTZ = "timestamptz"
    TIME = "time"
    UUID = "uuid"
    BINARY = "binary"
    JSON = "json"
    ENUM = "enum"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class ColumnType:
    """A column's type: its family, the system's own name, and its limits.

    `name` is the full name in the system's own words (`character varying(20)`), and
    for SQL systems usable in a cast. `max_length` counts characters; `precision` and
    `scale` are decimal digits; `bits` is 16, 32 or 64 for integers and 32 or 64 for
    floats; `labels` are the allowed values of an enumeration.
    """

    family: TypeFamily
    name: str
    max_length: int | None = None
    precision: int | None = None
    scale: int | None = None
    bits: int | None = None
    labels: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Column:
    """One column. `has_default` is true when the system fills it by itself;
    `writable` is false where the system alone gives the values, `computed` is true
    where it computes them from other columns of the row."""

    name: str
    type: ColumnType
    nullable: bool = True
    has_default: bool = False
    writable: bool = True
    computed: bool = False

    @property
    def required(self) -> bool:
        """True when an insert must give a value."""
        return not self.nullable and not self.has_default


@dataclass(frozen=True, slots=True)
class UniqueKey:
    """A primary key or unique index usable to find one row (never partial)."""

    name: str
    columns: tuple[str, ...]
    primary: bool = False


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A reference from `columns` to `target_columns` of `table`."""

    name: str
    columns: tuple[str, ...]
    table: str
    target_columns: tuple[str, ...]


@dataclass(frozen=True)
class TableSchema:
    """One table as its system describes it; names are the system's own spelling."""

    name: str
    columns: tuple[Column, ...]
    keys: tuple[UniqueKey, ...] = ()
    foreign_keys: tuple[ForeignKey, ...] = ()
    full_identity: bool = True
    """True when changes carry the whole row before the change."""
    unfit: str = ""
    """Why its changes can never be read, as the rest of a sentence (`it is a view`);
    empty for a table that can be mapped."""
    triggers: tuple[str, ...] = field(default=(), compare=False)
    """What the system itself does at each write of a row, by name."""

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        names = {column.name.casefold(): column for column in self.columns}
        return names | {column.name: column for column in self.columns}

    def column(self, name: str) -> Column | None:
        """The column of that name (exact, else case-insensitive), or None."""
        return self._by_name.get(name) or self._by_name.get(name.casefold())

    @property
    def primary_key(self) -> tuple[str, ...]:
        """Columns of the primary key, or () when there is none."""
        return next((key.columns for key in self.keys if key.primary), ())

    def foreign_key(self, column: str) -> ForeignKey | None:
        """The foreign key that `column` is part of (the shortest one), or None."""
        found = [key for key in self.foreign_keys if column in key.columns]
        return min(found, key=lambda key: len(key.columns), default=None)

    def is_unique(self, columns: frozenset[str]) -> bool:
        """True when some key guarantees at most one row for these columns."""
        return any(columns >= set(key.columns) for key in self.keys)


@dataclass(frozen=True, slots=True)
class CompanyRule:
    """Where an environment keeps the company of a row.

    `column` holds the code itself, or, with `lookup_table` and `lookup_column`, a
    reference to a row of `lookup_table` whose `lookup_column` holds the code.
    `also` are other names of that column, which some tables have instead.
    """

    column: str
    lookup_table: str | None = None
    lookup_column: str | None = None
    also: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        """Path of the company code: `dataareaid` or `msdyn_company.code`."""
        if self.lookup_column:
            return f"{self.column}.{self.lookup_column}"
        return self.column


@dataclass(frozen=True)
class EnvironmentSchema:
    """All tables of one environment that maps may use, with its company rule."""

    name: str
    tables: Mapping[str, TableSchema]
    company: CompanyRule | None = None
    _folded: dict[str, TableSchema] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )

    def __post_init__(self) -> None:
        self._folded.update(
            {name.casefold(): table for name, table in self.tables.items()}
        )

    def table(self, name: str) -> TableSchema | None:
        """The table of that name (exact, else case-insensitive), or None."""
        return self.tables.get(name) or self._folded.get(name.casefold())

    def entity(self, word: str) -> TableSchema | None:
        """The table of an entity named in the singular: `Account` is `accounts`."""
        for name in entity_tables(word):
            found = self.table(name)
            if found is not None:
                return found
        return None

    def company_of(self, table: TableSchema) -> CompanyRule | None:
        """The company rule as it holds for this table (with the table's own column),
        or None when the table is shared by all companies."""
        rule = self.company
        if rule is None:
            return None
        for name in (rule.column, *rule.also):
            column = table.column(name)
            if column is not None:
                return replace(rule, column=column.name, also=())
        return None

    def is_company_specific(self, table: TableSchema) -> bool:
        """True when rows of the table belong to one company each."""
        return self.company_of(table) is not None

    @property
    def company_list(self) -> tuple[str, str] | None:
        """Table and column that list the companies: those of the rule, else where the
        company column of some table leads to by a foreign key. None when unknown."""
        rule = self.company
        if rule is None:
            return None
        if rule.lookup_table and rule.lookup_column:
            table = self.table(rule.lookup_table)
            column = table.column(rule.lookup_column) if table else None
            return (table.name, column.name) if table and column else None
        for table in self.tables.values():
            own = self.company_of(table)
            for key in table.foreign_keys:
                if own and key.columns == (own.column,) and self.table(key.table):
                    return key.table, key.target_columns[0]
        return None


def entity_tables(word: str) -> tuple[str, ...]:
    """Names the table of an entity may have: `Account` as it is and in the plural."""
    name = word.casefold()
    plurals = (f"{name}s", f"{name}es", f"{name[:-1]}ies")
    return (name, *plurals)
