"""From a read request to SQL: joined lookups, company scope, filter."""

from __future__ import annotations

from collections.abc import Mapping

from psycopg import sql

from syncengine.connectors.base import ReadRequest
from syncengine.errors import SetupError
from syncengine.mapping.compiled import Lookup
from syncengine.mapping.filters.sql import Identifier, Part, Raw, to_sql
from syncengine.mapping.schema import ColumnType, CompanyRule, TableSchema

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

    def type(self, path: str) -> ColumnType:
        """The type of the column a path leads to."""
        table, name = self.table, path
        if table.column(path) is None and path in self._lookups:
            lookup = self._lookups[path]
            table, name = self._table(lookup.table), lookup.key
        column = table.column(name)
        if column is None:
            self.column(path)
            raise SetupError(
                f"Column {name} of {table.name} does not exist any more.",
                code="column_missing",
                details={"table": table.name, "column": name},
            )
        return column.type

    def query(
        self,
        columns: sql.Composable,
        *conditions: sql.Composable,
        tail: sql.Composable | None = None,
    ) -> sql.Composed:
        """`SELECT columns FROM ... WHERE scope AND conditions tail`.

        Ask for all column paths before: they decide the joins.
        """
        source = sql.SQL("SELECT {} FROM {} AS t").format(
            columns, sql.Identifier(self._schema, self.table.name)
        )
        where = [*self._conditions, *conditions]
        parts: list[sql.Composable] = [source, *self._joins]
        if where:
            parts.append(sql.SQL("WHERE {}").format(_AND.join(where)))
        if tail is not None:
            parts.append(tail)
        return sql.SQL(" ").join(parts)

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
            self._lookups[rule.path] = Lookup(
                column=rule.column,
                table=rule.lookup_table,
                reference=self._reference(rule.column, rule.lookup_table),
                key=rule.lookup_column,
            )
        return self.column(rule.path)

    def _reference(self, column: str, table: str) -> str:
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
        return sql.Identifier(alias, self._name(self._table(lookup.table), lookup.key))

    def _join(self, lookup: Lookup, alias: str) -> sql.Composable:
        table = self._table(lookup.table)
        here = sql.Identifier("t", self._name(self.table, lookup.column))
        reference = self._name(table, lookup.reference)
        there: sql.Composable = sql.Identifier("r", reference)
        match = sql.SQL("{} = {}").format(there, here)
        if self._family(self.table, lookup.column) != self._family(table, reference):
            match = sql.SQL("{}::text = {}::text").format(there, here)
        name = sql.Identifier(self._schema, table.name)
        key = sql.Identifier("r", self._name(table, lookup.key))
        row = sql.SQL("SELECT {} FROM {} AS r WHERE {}").format(key, name, match)
        if not table.is_unique(frozenset([reference])):
            row = sql.SQL("{} LIMIT 1").format(row)
        return sql.SQL("LEFT JOIN LATERAL ({}) AS {} ON true").format(
            row, sql.Identifier(alias)
        )

    def _part(self, part: Part) -> sql.Composable:
        if isinstance(part, Raw):
            return sql.SQL(part.sql)
        if isinstance(part, Identifier):
            return self.column(part.name)
        return sql.SQL("CAST({} AS {})").format(
            sql.Literal(part.text), sql.SQL(part.type)
        )

    def _family(self, table: TableSchema, name: str) -> object:
        column = table.column(name)
        return column.type.family if column else None

    def _name(self, table: TableSchema, name: str) -> str:
        column = table.column(name)
        if column is None:
            raise SetupError(
                f"Column {name} of {table.name} does not exist any more.",
                code="column_missing",
                details={"table": table.name, "column": name},
            )
        return column.name

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
