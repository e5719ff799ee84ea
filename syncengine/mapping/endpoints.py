"""From a column path as maps write it to a column, or lookup, of a real schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncengine.mapping.compiled import Lookup
from syncengine.mapping.model import LookupDeclaration, Side
from syncengine.mapping.problems import Problems
from syncengine.mapping.schema import (
    Column,
    ColumnType,
    CompanyRule,
    EnvironmentSchema,
    TableSchema,
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a column map: `column` holds the value itself or, with `lookup`, a
    reference to the row whose natural key is the value. Spelled as in the schema."""

    column: Column
    lookup: Lookup | None = None
    key_column: Column | None = None

    @property
    def path(self) -> str:
        """The path in the schema's spelling."""
        return self.lookup.path if self.lookup else self.column.name

    @property
    def value_type(self) -> ColumnType:
        """The type of the mapped value: of the natural key when looked up."""
        return self.key_column.type if self.key_column else self.column.type

    @property
    def nullable(self) -> bool:
        """True when the value read here may be null."""
        key = self.key_column
        return self.column.nullable or (key is not None and key.nullable)


@dataclass(frozen=True)
class SideSchema:
    """One side of a map in one direction: its table and how to name things there."""

    side: Side
    environment: EnvironmentSchema
    table: TableSchema
    is_source: bool
    declarations: tuple[LookupDeclaration, ...] = ()

    @property
    def word(self) -> str:
        """How sentences call this side."""
        return "source" if self.is_source else "destination"

    @property
    def company(self) -> CompanyRule | None:
        """The company rule when the table is company-specific."""
        company_specific = self.environment.is_company_specific(self.table)
        return self.environment.company if company_specific else None

    def resolve(self, path: str, problems: Problems) -> Endpoint | None:
        """The endpoint of `path`; None after noting why there is none."""
        name, _, key = path.partition(".")
        column = self.table.column(name)
        if column is None:
            problems.add(
                "DIPV1022" if self.is_source else "DIPV1025",
                f"The {self.word} column {name} is not in table {self.table.name}.",
                place=path,
                cure="Refresh the tables, or correct the column's name in the map.",
                subject=("column", self.side, name.casefold()),
            )
            return None
        if not key:
            return Endpoint(column)
        return self._resolve_lookup(column, path, key, problems)

    def company_endpoint(self, problems: Problems) -> Endpoint | None:
        """The endpoint of the row's company code on a company-specific table."""
        rule = self.company
        if rule is None:
            return None
        column = self.table.column(rule.column)
        if column is None or not (rule.lookup_table and rule.lookup_column):
            return Endpoint(column) if column else None
        table = self.environment.table(rule.lookup_table)
        key = table.column(rule.lookup_column) if table else None
        reference = self._reference(column, table)
        if table is None and self._target(column) is None:
            reason = f"its table {rule.lookup_table} is not in the environment"
        elif table is None or key is None:
            reason = f"{rule.lookup_table} has no column {rule.lookup_column}"
        elif reference is None:
            reason = f"no column of {table.name} is known that {column.name} refers to"
        else:
            lookup = Lookup(column.name, table.name, reference, key.name)
            return Endpoint(column, lookup, key)
        self._lookup_problem(
            problems,
            rule.path,
            f"The company of {self.table.name} cannot be looked up: {reason}.",
            "Correct the company rule of the environment, or give the company table "
            "a primary key and the reference a foreign key.",
        )
        return None

    def _resolve_lookup(
        self, column: Column, path: str, key: str, problems: Problems
    ) -> Endpoint | None:
        if "." in key:
            self._lookup_problem(
                problems,
                path,
                f"The path {path} leads over more than one lookup.",
                "Map a column of the directly referenced table.",
            )
            return None
        target = self._target(column)
        if target is None:
            self._lookup_problem(
                problems,
                path,
                f"The {self.word} column {column.name} refers to no table, so {key} "
                "cannot be looked up.",
                "Create the foreign key in the database or declare the lookup in the "
                "map.",
            )
            return None
        table_name, reference = target
        table = self.environment.table(table_name)
        key_column = table.column(key) if table else None
        if table is None or key_column is None or table.column(reference) is None:
            missing = (
                f"table {table_name} is not in the environment"
                if table is None
                else f"{table.name} has no column "
                f"{key if key_column is None else reference}"
            )
            self._lookup_problem(
                problems,
                path,
                f"The {self.word} lookup {path} has no key: {missing}.",
                "Refresh the tables, or correct the lookup in the map.",
            )
            return None
        both_in_company = self.company and self.environment.is_company_specific(table)
        known = table.column(reference)
        lookup = Lookup(
            column.name,
            table.name,
            known.name if known else reference,
            key_column.name,
            self.company if both_in_company else None,
        )
        return Endpoint(column, lookup, key_column)

    def _target(self, column: Column) -> tuple[str, str] | None:
        """Table and column that `column` refers to: declared, else by foreign key."""
        for declared in self.declarations:
            if declared.column.casefold() == column.name.casefold():
                return declared.table, declared.reference
        key = self.table.foreign_key(column.name)
        if key is None:
            return None
        return key.table, key.target_columns[key.columns.index(column.name)]

    def _reference(self, column: Column, table: TableSchema | None) -> str | None:
        target = self._target(column)
        if table is None:
            return None
        if target and target[0].casefold() == table.name.casefold():
            return target[1]
        return table.primary_key[0] if len(table.primary_key) == 1 else None

    def _lookup_problem(
        self, problems: Problems, path: str, message: str, cure: str
    ) -> None:
        problems.add(
            "DIPV1028" if self.is_source else "DIPV1027",
            message,
            place=path,
            cure=cure,
            subject=("lookup", self.side, path.casefold()),
        )


def side_schema(
    side: Side,
    environment: EnvironmentSchema,
    table_name: str,
    declarations: Sequence[LookupDeclaration],
    problems: Problems,
    *,
    is_source: bool,
) -> SideSchema | None:
    """The side of a map; None after noting that its table is unknown."""
    table = environment.table(table_name)
    if table is None:
        word = "source" if is_source else "destination"
        problems.add(
            "DIPV1018" if is_source else "DIPV1020",
            f"The {word} table {table_name} is not in environment {environment.name}.",
            place=table_name,
            cure="Refresh the tables of the environment, or correct the map's table.",
            subject=("table", side),
        )
        return None
    declared = tuple(entry for entry in declarations if entry.side is side)
    return SideSchema(side, environment, table, is_source, declared)
