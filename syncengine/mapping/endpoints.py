"""From a column path as maps write it to a column, or lookup, of a real schema."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syncengine.mapping.compiled import Hop, KeyPath, Lookup, LookupTarget
from syncengine.mapping.model import LookupDeclaration, Side
from syncengine.mapping.paths import ColumnPath, parse_path
from syncengine.mapping.problems import Problems
from syncengine.mapping.schema import (
    Column,
    ColumnType,
    CompanyRule,
    EnvironmentSchema,
    TableSchema,
    TypeFamily,
)

_KEYLESS = "no primary key or unique index tells its records apart"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One end of a column map: `column` holds the value itself or, with `lookup`, a
    reference to the row whose natural key is the value. Spelled as in the schema.
    `value_type` is the type of the mapped value: of the natural key when looked up;
    `nullable` is true when the value read here may be null."""

    column: Column
    value_type: ColumnType
    nullable: bool
    lookup: Lookup | None = None

    @property
    def path(self) -> str:
        """The path in the schema's spelling."""
        return self.lookup.path if self.lookup else self.column.name


class _NoKey(Exception):
    """Why a lookup path leads nowhere, and what to do about it."""

    def __init__(self, reason: str, cure: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


_REFRESH = "Refresh the tables, or correct the lookup in the map."
_DECLARE = "Create the foreign key in the database or declare the lookup in the map."


@dataclass(frozen=True)
class SideSchema:
    """One side of a map in one direction: its table and how to name things there.
    `company` is the rule of the table when it is company-specific."""

    side: Side
    environment: EnvironmentSchema
    table: TableSchema
    is_source: bool
    declarations: tuple[LookupDeclaration, ...] = ()
    company: CompanyRule | None = None

    @property
    def word(self) -> str:
        """How sentences call this side."""
        return "source" if self.is_source else "destination"

    def resolve(self, path: str, problems: Problems) -> Endpoint | None:
        """The endpoint of `path`; None after noting why there is none."""
        parsed = parse_path(path)
        name = parsed.column if parsed else path
        column = self.table.column(name)
        if column is None or parsed is None:
            problems.add(
                "DIPV1022" if self.is_source else "DIPV1025",
                f"The {self.word} column {name} is not in table {self.table.name}.",
                place=path,
                cure="Refresh the tables, or correct the column's name in the map.",
                subject=("column", self.side, name.casefold()),
            )
            return None
        if not parsed.steps and not parsed.choices:
            return Endpoint(column, column.type, column.nullable)
        try:
            return self._lookup(column, parsed)
        except _NoKey as problem:
            self._lookup_problem(
                problems,
                path,
                f"The {self.word} lookup {path} cannot be used: {problem.reason}.",
                problem.cure,
            )
            return None

    def company_endpoint(self, problems: Problems) -> Endpoint | None:
        """The endpoint of the row's company code on a company-specific table."""
        rule = self.company
        if rule is None:
            return None
        column = self.table.column(rule.column)
        if column is None:
            return None
        if not (rule.lookup_table and rule.lookup_column):
            return Endpoint(column, column.type, column.nullable)
        table = self.environment.table(rule.lookup_table)
        key = table.column(rule.lookup_column) if table else None
        reference = self._reference(column, table)
        if table is None and not self._targets(column.name):
            reason = f"its table {rule.lookup_table} is not in the environment"
        elif table is None or key is None:
            reason = f"{rule.lookup_table} has no column {rule.lookup_column}"
        elif reference is None:
            reason = f"no column of {table.name} is known that {column.name} refers to"
        else:
            lookup = Lookup.simple(column.name, table.name, reference, key.name)
            return Endpoint(column, key.type, column.nullable or key.nullable, lookup)
        self._lookup_problem(
            problems,
            rule.path,
            f"The company of {self.table.name} cannot be looked up: {reason}.",
            "Correct the company rule of the environment, or give the company table "
            "a primary key and the reference a foreign key.",
        )
        return None

    def referenced(self, path: str) -> list[str]:
        """The tables that the reference at the start of a path leads to."""
        parsed = parse_path(path)
        if parsed is None:
            return []
        entities = [self.environment.entity(word) for word, _ in parsed.choices]
        named = [table.name for table in entities if table is not None]
        if not parsed.steps:
            return named
        return [table for table, _ in self._targets(parsed.column)]

    # -- lookups --------------------------------------------------------------------

    def _lookup(self, column: Column, parsed: ColumnPath) -> Endpoint:
        if parsed.choices:
            found = [
                self._target(*self._chosen(column, word), steps, word)
                for word, steps in parsed.choices
            ]
        else:
            table, reference = self._target_of(column, parsed.steps)
            found = [self._target(table, reference, parsed.steps)]
        lookup = Lookup(column.name, tuple(target for target, _, _ in found))
        types = [type_ for _, type_, _ in found]
        nullable = column.nullable or any(may for _, _, may in found)
        return Endpoint(column, _common(types, column.name), nullable, lookup)

    def _target_of(self, column: Column, steps: Sequence[str]) -> tuple[str, str]:
        targets = self._targets(column.name)
        if not targets:
            raise _NoKey(
                f"{column.name} refers to no table in which {'.'.join(steps)} could "
                "be looked up",
                _DECLARE,
            )
        if len(targets) > 1:
            names = ", ".join(table for table, _ in targets)
            raise _NoKey(
                f"{column.name} may refer to {names}",
                "Say which column of which table identifies the row, like "
                f"{column.name}.{targets[0][0]}(number).{targets[1][0]}(number).",
            )
        return targets[0]

    def _chosen(self, column: Column, word: str) -> tuple[str, str]:
        """The table that a polymorphic path calls `word`: declared, else by name."""
        table = self.environment.entity(word)
        declared = {
            name.casefold(): reference for name, reference in self._targets(column.name)
        }
        if table is not None and table.name.casefold() in declared:
            return table.name, declared[table.name.casefold()]
        if table is None:
            raise _NoKey(f"there is no table for {word}", _REFRESH)
        if len(table.primary_key) != 1:
            raise _NoKey(
                f"{table.name} has no single key column that {column.name} could "
                "refer to",
                "Declare the lookup in the map.",
            )
        return table.name, table.primary_key[0]

    def _target(
        self, name: str, reference: str, steps: Sequence[str], word: str = ""
    ) -> tuple[LookupTarget, ColumnType, bool]:
        """The target with the type of its key and whether that may be null."""
        table = self._known(name)
        referenced = table.column(reference)
        if referenced is None:
            raise _NoKey(f"{table.name} has no column {reference}", _REFRESH)
        hops: list[Hop] = []
        nullable = False
        at = table
        for step in steps[:-1]:
            column = self._column(at, step)
            foreign = at.foreign_key(column.name)
            if foreign is None:
                raise _NoKey(
                    f"{column.name} of {at.name} refers to no table",
                    "Create the foreign key in the database.",
                )
            nullable = nullable or column.nullable
            at = self._known(foreign.table)
            leads_to = foreign.target_columns[foreign.columns.index(column.name)]
            hops.append(Hop(column.name, at.name, leads_to))
        key = self._column(at, steps[-1])
        company = self.environment.company_of(table) if self.company else None
        target = LookupTarget(
            table.name,
            referenced.name,
            (KeyPath(key.name, tuple(hops)),),
            company,
            word,
        )
        return target, key.type, nullable or key.nullable

    def _known(self, name: str) -> TableSchema:
        table = self.environment.table(name)
        if table is None:
            raise _NoKey(f"table {name} is not in the environment", _REFRESH)
        return table

    @staticmethod
    def _column(table: TableSchema, name: str) -> Column:
        column = table.column(name)
        if column is None:
            raise _NoKey(f"{table.name} has no column {name}", _REFRESH)
        return column

    def _targets(self, name: str) -> list[tuple[str, str]]:
        """Tables and columns that a column refers to: declared, else by foreign key."""
        declared = [
            (entry.table, entry.reference)
            for entry in self.declarations
            if entry.column.casefold() == name.casefold()
        ]
        if declared:
            return declared
        column = self.table.column(name)
        key = self.table.foreign_key(column.name) if column else None
        if column is None or key is None:
            return []
        return [(key.table, key.target_columns[key.columns.index(column.name)])]

    def _reference(self, column: Column, table: TableSchema | None) -> str | None:
        if table is None:
            return None
        for name, reference in self._targets(column.name):
            if name.casefold() == table.name.casefold():
                return reference
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


def _common(types: Sequence[ColumnType], column: str) -> ColumnType:
    """One type for the keys of all tables a lookup may lead to: the widest."""
    first = types[0]
    if all(type_ == first for type_ in types):
        return first
    if any(type_.family is not first.family for type_ in types):
        names = " and ".join(dict.fromkeys(type_.name for type_ in types))
        raise _NoKey(
            f"the keys of the tables {column} may refer to are of different types "
            f"({names})",
            "Choose key columns of the same type.",
        )
    if first.family is TypeFamily.TEXT:
        return max(types, key=lambda type_: type_.max_length or 1 << 30)
    return first


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
    if reason := table.unfit or ("" if table.keys else _KEYLESS):
        problems.add(
            "DIPV1019",
            f"{table.name} in environment {environment.name} cannot be kept in step: "
            f"{reason}.",
            place=table.name,
            cure="Map an ordinary table, which keeps a log of its changes and has a "
            "primary key or a unique index.",
            subject=("table", side),
        )
        return None
    declared = tuple(entry for entry in declarations if entry.side is side)
    company = environment.company_of(table)
    return SideSchema(side, environment, table, is_source, declared, company)
