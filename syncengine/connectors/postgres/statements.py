"""The set-based statements of one leg's target table, composed once per leg."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import LiteralString

from psycopg import sql

from syncengine.connectors.postgres.arrays import cast_name
from syncengine.mapping.compiled import CompiledLeg, KeyPath, Lookup, LookupTarget


class LegStatements:
    """SQL for fetching, locking, inserting, updating and deleting target records.

    All take arrays, one element per record, and come as bytes: rendering an identifier
    anew for each batch costs more than a small batch itself. `casts` gives cast names
    of columns of other tables by (table, column).
    """

    def __init__(
        self,
        leg: CompiledLeg,
        schema: str,
        casts: dict[tuple[str, str], str],
    ) -> None:
        self._leg = leg
        self._schema = schema
        self._casts = casts
        self.table = sql.Identifier(schema, leg.target.name)
        self.columns = [sql.Identifier(slot.column) for slot in leg.slots]
        self.types = [cast_name(slot.type) for slot in leg.slots]
        self.lookups = [
            (index, slot.lookup)
            for index, slot in enumerate(leg.slots)
            if slot.lookup is not None and index != leg.company
        ]
        """Slots filled through a lookup; the company's has a cache of its own."""
        self.keyed_by_lookup = any(index in leg.key for index, _ in self.lookups)
        self._updates: dict[tuple[int, ...], bytes] = {}
        self._resolves: dict[Lookup, bytes] = {}

    def _arrays(self, indexes: Sequence[int]) -> sql.Composed:
        return _listed(
            sql.SQL("${}::{}[]").format(
                sql.SQL(str(number)), sql.SQL(self._element(self.types[i]))
            )
            for number, i in enumerate(indexes, start=1)
        )

    @staticmethod
    def _element(type_name: str) -> str:
        """`unnest` would flatten arrays of arrays: those travel as text."""
        return "text" if type_name.endswith("[]") else type_name

    def _value(self, name: str, index: int) -> sql.Composable:
        """A value of the unnested arrays in the type of its column."""
        value = sql.SQL("k.{}").format(sql.Identifier(name))
        if not self.types[index].endswith("[]"):
            return value
        return sql.SQL("{}::{}").format(value, sql.SQL(self.types[index]))

    def _names(self, indexes: Sequence[int]) -> sql.Composed:
        return _listed(sql.Identifier(f"k{i}") for i in indexes)

    def _match(self) -> sql.Composed:
        return sql.SQL(" AND ").join(
            sql.SQL("t.{} = k.{}").format(self.columns[i], sql.Identifier(f"k{i}"))
            for i in self._leg.key
        )

    @cached_property
    def fetch(self) -> bytes:
        """Lock and read present records; rows start with the record's ordinal."""
        return self._locked("FOR NO KEY UPDATE OF t")

    @cached_property
    def fetch_for_delete(self) -> bytes:
        """As `fetch`, with the lock a delete needs."""
        return self._locked("FOR UPDATE OF t")

    def _locked(self, lock: str) -> bytes:
        key = self._leg.key
        return _render(
            "SELECT k.n, {columns} FROM unnest({arrays}) WITH ORDINALITY "
            "AS k({names}, n) JOIN {table} t ON {match} {lock}",
            columns=_listed(sql.SQL("t.{}").format(name) for name in self.columns),
            arrays=self._arrays(key),
            names=self._names(key),
            table=self.table,
            match=self._match(),
            lock=sql.SQL(lock),
        )

    @cached_property
    def insert(self) -> bytes:
        """Insert whole mapped records."""
        every = range(len(self.columns))
        return _render(
            "INSERT INTO {table} ({columns}) "
            "SELECT {values} FROM unnest({arrays}) AS k({names})",
            table=self.table,
            columns=_listed(self.columns),
            values=_listed(self._value(f"k{i}", i) for i in every),
            arrays=self._arrays(every),
            names=self._names(every),
        )

    def update(self, changed: tuple[int, ...]) -> bytes:
        """Write some columns; arrays are the key, then the changed columns."""
        found = self._updates.get(changed)
        if found is None:
            found = self._update(changed)
            self._updates[changed] = found
        return found

    def _update(self, changed: tuple[int, ...]) -> bytes:
        key = self._leg.key
        return _render(
            "UPDATE {table} t SET {sets} FROM unnest({arrays}) AS k({names}) "
            "WHERE {match}",
            table=self.table,
            sets=_listed(
                sql.SQL("{} = {}").format(self.columns[i], self._value(f"c{i}", i))
                for i in changed
            ),
            arrays=self._arrays([*key, *changed]),
            names=_listed(
                [self._names(key), *(sql.Identifier(f"c{i}") for i in changed)]
            ),
            match=self._match(),
        )

    @cached_property
    def delete(self) -> bytes:
        """Delete records by key."""
        key = self._leg.key
        return _render(
            "DELETE FROM {table} t USING unnest({arrays}) AS k({names}) WHERE {match}",
            table=self.table,
            arrays=self._arrays(key),
            names=self._names(key),
            match=self._match(),
        )

    def resolve(self, lookup: Lookup) -> bytes:
        """References of natural keys: an array for each part of the key and (if
        scoped) one of companies."""
        found = self._resolves.get(lookup)
        if found is None:
            found = self._resolve(lookup)
            self._resolves[lookup] = found
        return found

    def _resolve(self, lookup: Lookup) -> bytes:
        selects = [self._references(lookup, target) for target in lookup.targets]
        return sql.SQL(" UNION ALL ").join(selects).as_bytes(None)

    def _references(self, lookup: Lookup, target: LookupTarget) -> sql.Composed:
        """The rows of one table that some of the given keys name."""
        several = len(lookup.targets) > 1
        casts = [sql.SQL(self._casts[place_of(target, key)]) for key in target.keys]
        types = [sql.SQL("text") if several else cast for cast in casts]
        joins: list[sql.Composable] = []
        matches: list[sql.Composable] = []
        for number, (key, cast) in enumerate(zip(target.keys, casts, strict=True)):
            at = sql.Identifier("l")
            for step, hop in enumerate(key.hops):
                there = sql.Identifier(f"h{number}_{step}")
                joins.append(
                    sql.SQL("JOIN {} {} ON {}.{} = {}.{}").format(
                        sql.Identifier(self._schema, hop.table),
                        there,
                        there,
                        sql.Identifier(hop.reference),
                        at,
                        sql.Identifier(hop.column),
                    )
                )
                at = there
            given: sql.Composable = sql.SQL("k.{}").format(sql.Identifier(f"v{number}"))
            if several:
                given = sql.SQL("{}::{}").format(given, cast)
            matches.append(
                sql.SQL("{}.{} = {}").format(at, sql.Identifier(key.column), given)
            )
        names: list[sql.Composable] = [
            sql.Identifier(f"v{number}") for number in range(len(casts))
        ]
        if lookup.scoped and self._leg.company is not None:
            types.append(sql.SQL(self.types[self._leg.company]))
            names.append(sql.Identifier("c"))
            if target.company is not None:
                column = sql.Identifier(target.company.column)
                matches.append(sql.SQL("l.{} = k.c").format(column))
        return sql.SQL(
            "SELECT k.n, l.{reference}{text} FROM unnest({arrays}) WITH ORDINALITY "
            "AS k({names}, n) CROSS JOIN {table} l {joins} WHERE {matches}"
        ).format(
            reference=sql.Identifier(target.reference),
            text=sql.SQL("::text" if several else ""),
            arrays=_listed(
                sql.SQL("${}::{}[]").format(sql.SQL(str(number)), type_)
                for number, type_ in enumerate(types, start=1)
            ),
            names=_listed(names),
            table=sql.Identifier(self._schema, target.table),
            joins=sql.SQL(" ").join(joins),
            matches=sql.SQL(" AND ").join(matches),
        )


def places(lookup: Lookup) -> list[tuple[str, str]]:
    """Tables and columns that hold the parts of the lookup's natural keys."""
    return [place_of(target, key) for target in lookup.targets for key in target.keys]


def place_of(target: LookupTarget, key: KeyPath) -> tuple[str, str]:
    """The table and column that hold one part of a natural key."""
    return (key.hops[-1].table if key.hops else target.table, key.column)


def _listed(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _render(template: LiteralString, **parts: sql.Composable) -> bytes:
    return sql.SQL(template).format(**parts).as_bytes(None)


COLUMN_TYPES = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL)
FROM pg_attribute a
JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN unnest(%s::text[], %s::text[]) AS w(tab, col)
  ON w.tab = c.relname AND w.col = a.attname
WHERE n.nspname = %s AND NOT a.attisdropped
"""
