"""From a read request to SQL: joined lookups, company scope, filter."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from syncengine.connectors.base import ReadRequest
from syncengine.errors import SetupError
from syncengine.mapping.compiled import PART_SEPARATOR, Hop, Lookup, LookupTarget
from syncengine.mapping.filters.sql import Identifier, Part, Raw, to_sql
from syncengine.mapping.schema import (
    Column,
    ColumnType,
    CompanyRule,
    TableSchema,
    TypeFamily,
)

_AND = sql.SQL(" AND ")


class Selection:
    """The FROM and WHERE of one request, and the SQL of its column paths.

    `tables` must hold the requested table and those its lookups refer to. Raises
    SetupError `table_missing` or `column_missing`.
    """

    def __init__(
        self, request: ReadRequest, schema: str, tables: Mapping[str, TableSchema]
    ) -> None:
        self._schema = schema
        self._tables = tables
        self.request = request
        self.table = self._table(request.table)
        self._lookups = {lookup.path: lookup for lookup in request.lookups}
        self._aliases: dict[str, str] = {}
        self._joins: list[sql.Composable] = []
        self._conditions = self._scope()

    def column(self, path: str) -> sql.Composable:
        """SQL of a column path; a lookup path is joined."""
        column = self.table.column(path)
        if column is not None:
            return sql.Identifier("t", column.name)
        lookup = self._lookups.get(path)
        if lookup is None:
            raise SetupError(
                f"Column {path} of {self.table.name} does not exist any more.",
                code="column_missing",
                details={"table": self.table.name, "column": path},
            )
        return self._joined(lookup)

    def parts(self, path: str) -> list[tuple[sql.Composable, ColumnType]]:
        """SQL and type of what a column path leads to: of each part of a composite
        natural key."""
        lookup = self._lookups.get(path)
        if lookup is None or self.table.column(path) is not None:
            column = self._column(self.table, path)
            return [(self.column(path), column.type)]
        self._joined(lookup)
        alias = self._aliases[path]
        return [
            (sql.Identifier(alias, f"v{number}"), self._key_type(lookup, number))
            for number in range(len(lookup.keys))
        ]

    def query(
        self,
        columns: sql.Composable,
        *conditions: sql.Composable,
        tail: sql.Composable | None = None,
    ) -> sql.Composed:
        """`SELECT columns FROM ... WHERE scope AND conditions tail`.

        Ask for all column paths before: they decide the joins.
        """
        where = [*self._conditions, *conditions]
        parts: list[sql.Composable] = [
            sql.SQL("SELECT {} FROM {}").format(columns, self.joined())
        ]
        if where:
            parts.append(sql.SQL("WHERE {}").format(_AND.join(where)))
        if tail is not None:
            parts.append(tail)
        return sql.SQL(" ").join(parts)

    def joined(self) -> sql.Composed:
        """The table as `t` and what the paths asked for so far join to it."""
        table = sql.SQL("{} AS t").format(sql.Identifier(self._schema, self.table.name))
        return sql.SQL(" ").join([table, *self._joins])

    def _scope(self) -> list[sql.Composable]:
        request = self.request
        conditions: list[sql.Composable] = []
        if request.company and request.companies:
            codes = sql.SQL(", ").join(sql.Literal(code) for code in request.companies)
            company = self._company(request.company)
            conditions.append(sql.SQL("{} IN ({})").format(company, codes))
        if request.predicate is not None:
            parts = to_sql(request.predicate).parts
            conditions.append(sql.Composed([self._part(part) for part in parts]))
        return conditions

    def _company(self, rule: CompanyRule) -> sql.Composable:
        if rule.lookup_table is None or rule.lookup_column is None:
            return self.column(rule.column)
        if rule.path not in self._lookups:
            self._lookups[rule.path] = Lookup.simple(
                column=rule.column,
                table=rule.lookup_table,
                reference=self.reference(rule.column, rule.lookup_table),
                key=rule.lookup_column,
            )
        return self.column(rule.path)

    def reference(self, column: str, table: str) -> str:
        """The column of `table` that this table's column refers to."""
        foreign_key = self.table.foreign_key(column)
        if foreign_key and foreign_key.table == self._table(table).name:
            return foreign_key.target_columns[foreign_key.columns.index(column)]
        primary = self._table(table).primary_key
        if len(primary) != 1:
            raise SetupError(
                f"Table {table} has no single key column that {column} could refer to.",
                code="company_rule_invalid",
                details={"table": table, "column": column},
            )
        return primary[0]

    def _joined(self, lookup: Lookup) -> sql.Composable:
        alias = self._aliases.get(lookup.path)
        if alias is None:
            alias = f"l{len(self._aliases)}"
            self._aliases[lookup.path] = alias
            self._joins.append(self._join(lookup, alias))
        parts = [
            sql.Identifier(alias, f"v{number}") for number in range(len(lookup.keys))
        ]
        if len(parts) == 1:
            return parts[0]
        texts: list[sql.Composable] = [sql.SQL("{}::text").format(parts[0])]
        for part in parts[1:]:
            joint = sql.Literal(PART_SEPARATOR)
            texts.append(sql.SQL("{} || {}::text").format(joint, part))
        return sql.SQL("({})").format(sql.SQL(" || ").join(texts))

    def _join(self, lookup: Lookup, alias: str) -> sql.Composable:
        """The natural key of the row a reference leads to, as columns v0, v1 ..."""
        single = len(lookup.targets) == 1
        rows = [self._row(lookup, target, cast=not single) for target in lookup.targets]
        row = sql.SQL(" UNION ALL ").join(rows)
        if not single or not self._finds_one(lookup.targets[0]):
            row = sql.SQL("{} LIMIT 1").format(row)
        return sql.SQL("LEFT JOIN LATERAL ({}) AS {} ON true").format(
            row, sql.Identifier(alias)
        )

    def _row(
        self, lookup: Lookup, target: LookupTarget, *, cast: bool
    ) -> sql.Composable:
        table = self._table(target.table)
        here = sql.Identifier("t", self._name(self.table, lookup.column))
        reference = self._name(table, target.reference)
        joins: list[sql.Composable] = []
        values: list[sql.Composable] = []
        for number, key in enumerate(target.keys):
            at, last = sql.Identifier("r"), table
            for step, hop in enumerate(key.hops):
                there = sql.Identifier(f"r{number}_{step}")
                joins.append(self._hop(there, at, last, hop))
                at, last = there, self._table(hop.table)
            value: sql.Composable = sql.SQL("{}.{}").format(
                at, sql.Identifier(self._name(last, key.column))
            )
            if cast:
                value = sql.SQL("{}::text").format(value)
            values.append(
                sql.SQL("{} AS {}").format(value, sql.Identifier(f"v{number}"))
            )
        return sql.SQL("SELECT {} FROM {} AS r {} WHERE {}").format(
            sql.SQL(", ").join(values),
            sql.Identifier(self._schema, table.name),
            sql.SQL(" ").join(joins),
            self._equal(
                sql.Identifier("r", reference),
                self._column(table, reference),
                here,
                self._column(self.table, lookup.column),
            ),
        )

    def _hop(
        self,
        there: sql.Identifier,
        at: sql.Identifier,
        last: TableSchema,
        hop: Hop,
    ) -> sql.Composable:
        table = self._table(hop.table)
        column, reference = (
            self._column(last, hop.column),
            self._column(table, hop.reference),
        )
        match = self._equal(
            sql.SQL("{}.{}").format(there, sql.Identifier(reference.name)),
            reference,
            sql.SQL("{}.{}").format(at, sql.Identifier(column.name)),
            column,
        )
        return sql.SQL("LEFT JOIN {} AS {} ON {}").format(
            sql.Identifier(self._schema, table.name), there, match
        )

    @staticmethod
    def _equal(
        left: sql.Composable, its: Column, right: sql.Composable, other: Column
    ) -> sql.Composable:
        form = (
            "{} = {}"
            if its.type.family is other.type.family
            else ("{}::text = {}::text")
        )
        return sql.SQL(form).format(left, right)

    def _finds_one(self, target: LookupTarget) -> bool:
        """True when the reference, and each hop after it, leads to one row at most."""
        places = [(target.table, target.reference)]
        places += [
            (hop.table, hop.reference) for key in target.keys for hop in key.hops
        ]
        return all(
            table.is_unique(frozenset([self._name(table, reference)]))
            for table, reference in (
                (self._table(name), reference) for name, reference in places
            )
        )

    def _key_type(self, lookup: Lookup, number: int) -> ColumnType:
        if len(lookup.targets) > 1:
            return ColumnType(TypeFamily.TEXT, "text")
        target = lookup.targets[0]
        key = target.keys[number]
        table = self._table(key.hops[-1].table if key.hops else target.table)
        return self._column(table, key.column).type

    def _part(self, part: Part) -> sql.Composable:
        if isinstance(part, Raw):
            return sql.SQL(part.sql)
        if isinstance(part, Identifier):
            return self.column(part.name)
        return sql.SQL("CAST({} AS {})").format(
            sql.Literal(part.text), sql.SQL(part.type)
        )

    def _name(self, table: TableSchema, name: str) -> str:
        return self._column(table, name).name

    def _column(self, table: TableSchema, name: str) -> Column:
        column = table.column(name)
        if column is None:
            raise SetupError(
                f"Column {name} of {table.name} does not exist any more.",
                code="column_missing",
                details={"table": table.name, "column": name},
            )
        return column

    def _table(self, name: str) -> TableSchema:
        found = self._tables.get(name)
        if found is None:
            found = next(
                (t for t in self._tables.values() if t.name.lower() == name.lower()),
                None,
            )
        if found is None:
            raise SetupError(
                f"Table {name} does not exist any more.",
                code="table_missing",
                details={"table": name},
            )
        return found
