"""Live changes for every ready-made map, and what must follow on the other side.

The sample's own generator says what the other side must hold, not the product.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import psycopg
from psycopg import sql

from portal.sample.ready_made.carrying import Row
from portal.sample.ready_made.keys import key_of, key_targets, own_columns, radixes
from portal.sample.ready_made.paths import references
from portal.sample.ready_made.populations import SHARED, Place, Population, Presence
from portal.sample.ready_made.records import ALWAYS, Records
from portal.sample.ready_made.tables import COMPANY, company_reference, row_id
from syncengine.catalog import CatalogEntry
from syncengine.mapping.model import ColumnMap, Direction, Side

KINDS = ("updates", "inserts", "deletes")
"""Names of the methods that make changes, in the order they can follow each other."""

Values = dict[str, str | None]
Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Change:
    """A statement on the source of `way`, and the target's row afterwards: `expected`
    columns of the one with `key`, or no row when there are none."""

    map_name: str
    way: Direction
    kind: str
    statement: sql.Composed
    parameters: Sequence[str | None]
    table: str
    key: Values
    expected: Values | None

    def do(self, source: Connection) -> None:
        """Change one row."""
        changed = source.execute(self.statement, self.parameters).rowcount
        assert changed == 1, f"{self.map_name}: {self.kind} changed {changed} rows"

    def problem(self, target: Connection) -> str:
        """What is wrong on the target; empty when the change has arrived whole."""
        wanted = self.expected or {}
        columns = [
            sql.SQL("{} IS NOT DISTINCT FROM %s").format(sql.Identifier(name))
            for name in wanted
        ]
        query = sql.SQL("SELECT {} FROM {} WHERE {}").format(
            sql.SQL(", ").join(columns or [sql.SQL("true")]),
            sql.Identifier(self.table),
            _conditions(self.key),
        )
        rows = target.execute(query, [*wanted.values(), *self.key.values()]).fetchall()
        if self.expected is None:
            return f"{len(rows)} rows are still there" if rows else ""
        if len(rows) != 1:
            return f"{len(rows)} rows have the key {list(self.key.values())}"
        wrong = [name for name, same in zip(wanted, rows[0], strict=False) if not same]
        return f"{', '.join(wrong)} did not arrive" if wrong else ""


class Changes:
    """Changes of all maps on one side: first updates, then inserts, then deletes."""

    def __init__(self, records: Records, way: Direction) -> None:
        self._records = records
        self.way = way

    def may_update(self, entry: CatalogEntry) -> bool:
        """Whether the map carries a column this way that may change by itself."""
        return bool(self._free_columns(entry))

    def updates(self, entry: CatalogEntry) -> Iterator[Change]:
        """Give a record that is on both sides the values of another one: of all
        columns that may change and flow this way. Each direction has its own record."""
        population = self._records.populations.of(entry)
        both = list(self._on_both(population))
        own, others = both[:2], both[:1:-1]
        if len(own) < 2 and len(entry.directions) > 1:
            return
        mine = own[self.way.source is not Side.FINOPS and len(own) > 1]
        source, target = self._rows(entry)
        free = self._free_columns(entry)
        for other in (*others, self._next(population, Presence.BOTH)):
            changed = {
                column: value
                for column, make in source.items()
                if column in free and (value := make(other)) != make(mine)
            }
            if changed:
                break
        else:
            return
        key = self._key(entry, self.way.source, mine)
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = %s").format(sql.Identifier(column)) for column in changed
        )
        statement = sql.SQL("UPDATE {} SET {} WHERE {}").format(
            sql.Identifier(self._table(entry, self.way.source)),
            assignments,
            _conditions(key),
        )
        arrived = {
            column: target[column](other)
            for line in entry.columns
            if (column := _first(line, self.way.target)) is not None
            and _first(line, self.way.source) in changed
            and line.type.flows(self.way)
        }
        yield self._change(
            entry,
            "update",
            statement,
            [*changed.values(), *key.values()],
            mine,
            arrived,
        )

    def inserts(self, entry: CatalogEntry) -> Iterator[Change]:
        """A record nobody has yet, where the key allows one more."""
        place = self._new_place(entry)
        if place is None:
            return
        source, target = self._rows(entry)
        values = {column: make(place) for column, make in source.items()}
        statement = sql.SQL("INSERT INTO {} ({}) VALUES ({})").format(
            sql.Identifier(self._table(entry, self.way.source)),
            sql.SQL(", ").join(map(sql.Identifier, values)),
            sql.SQL(", ").join([sql.Placeholder()] * len(values)),
        )
        arrived = {
            column: target[column](place)
            for line in entry.columns
            if (column := _first(line, self.way.target)) is not None
            and line.type.flows(self.way)
        }
        yield self._change(
            entry, "insert", statement, list(values.values()), place, arrived
        )

    def deletes(self, entry: CatalogEntry) -> Iterator[Change]:
        """The inserted record is deleted again."""
        place = self._new_place(entry)
        if place is None:
            return
        key = self._key(entry, self.way.source, place)
        statement = sql.SQL("DELETE FROM {} WHERE {}").format(
            sql.Identifier(self._table(entry, self.way.source)), _conditions(key)
        )
        yield self._change(entry, "delete", statement, [*key.values()], place, None)

    def _change(
        self,
        entry: CatalogEntry,
        kind: str,
        statement: sql.Composed,
        parameters: Sequence[str | None],
        place: Place,
        arrived: Values | None,
    ) -> Change:
        return Change(
            entry.name,
            self.way,
            kind,
            statement,
            parameters,
            self._table(entry, self.way.target),
            self._key(entry, self.way.target, place),
            arrived,
        )

    def _on_both(self, population: Population) -> Iterator[Place]:
        company = 0 if population.company_specific else SHARED
        for number in range(population.size(company)):
            if population.presence((company, number)) is Presence.BOTH:
                yield company, number

    def _next(self, population: Population, wanted: Presence) -> Place:
        """The first number beyond those in use of a record that is there."""
        company = 0 if population.company_specific else SHARED
        number = population.size(company)
        while population.presence((company, number)) is not wanted:
            number += 1
        return company, number

    def _new_place(self, entry: CatalogEntry) -> Place | None:
        """A number beyond those in use, of a record that may refer to what the other
        side knows already."""
        population = self._records.populations.of(entry)
        wanted = Presence.BOTH if self.way.source is Side.FINOPS else Presence.DATAVERSE
        # Maps that carry the same records each get one of their own.
        company, number = self._next(population, wanted)
        number += population.maps.index(entry) * len(population.pattern)
        if not key_of(entry).own:
            counts = [
                parent.count(
                    company if parent.company_specific else SHARED, (Presence.BOTH,)
                )
                for parent in (
                    self._records.populations.of(target.entry)
                    for target in key_targets(entry)
                )
            ]
            if number >= prod(radixes(entry, counts)):
                return None
        return company, number

    def _rows(self, entry: CatalogEntry) -> tuple[Row, Row]:
        """What the source's row of a record holds, and the target's."""
        finops = self._records.finops(self._records.populations.of(entry))
        dataverse = self._records.dataverse(entry)
        if self.way.source is Side.FINOPS:
            return finops, dataverse
        own = row_id(entry.dataverse_table)
        return dataverse, finops | {own: dataverse[own]}

    def _table(self, entry: CatalogEntry, side: Side) -> str:
        finops = side is Side.FINOPS
        return entry.finops_table if finops else entry.dataverse_table

    def _key(self, entry: CatalogEntry, side: Side, place: Place) -> Values:
        finops, dataverse = self._records.finops, self._records.dataverse
        if side is Side.FINOPS:
            row = finops(self._records.populations.of(entry))
            company = COMPANY
        else:
            row = dataverse(entry)
            company = company_reference(entry.dataverse_table)
        names = [company] if entry.company_specific else []
        names += [pair.on(side).partition(".")[0].lower() for pair in entry.key]
        return {name: row[name](place) for name in dict.fromkeys(names)}

    def _free_columns(self, entry: CatalogEntry) -> set[str]:
        """Columns of the source that may change by themselves: no part of the key, of
        a filter, or of a reference that shares columns with others."""
        filters = f"{entry.finops_filter} {entry.dataverse_filter}".lower()
        population = self._records.populations.of(entry)
        bound = {pair.finops for each in population.maps for pair in each.key}
        bound |= {column for name, column in ALWAYS if name == entry.name}
        for reference in references(entry):
            parts = {part.finops for part in reference.parts}
            if parts - own_columns(entry, reference) or parts & bound:
                bound |= parts
        free = set()
        for line in entry.columns:
            column = _first(line, self.way.source)
            if (
                column is not None
                and column != row_id(entry.dataverse_table)
                and line.finops is not None
                and line.dataverse is not None
                and line.finops not in bound
                and line.type.flows(self.way)
                and line.finops.lower() not in filters
                and (_first(line, Side.DATAVERSE) or "") not in filters
            ):
                free.add(column)
        return free


def _first(line: ColumnMap, side: Side) -> str | None:
    """The column of a line's end, without what a reference leads to."""
    path = line.on(side)
    return path.partition(".")[0].lower() if path else None


def _conditions(key: Values) -> sql.Composed:
    return sql.SQL(" AND ").join(
        sql.SQL("{} = %s").format(sql.Identifier(name)) for name in key
    )
