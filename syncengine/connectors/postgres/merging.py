"""The statements that load a set of mapped rows into one table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from syncengine.connectors.postgres.arrays import cast_name
from syncengine.connectors.postgres.guarding import allows
from syncengine.mapping.compiled import CompiledLeg
from syncengine.mapping.schema import ColumnType, TypeFamily

_COMMA = sql.SQL(", ")
_AND = sql.SQL(" AND ")
_OR = sql.SQL(" OR ")

# What is there is compared first: rows that are equal are neither written nor locked,
# and an update needs no value for columns the map does not know.
_MERGE = """
WITH s AS MATERIALIZED (
    SELECT {values} FROM unnest({arrays}) AS u({names})
), w AS MATERIALIZED (
    SELECT s.*, t.{first} IS NOT NULL AS present
    FROM s LEFT JOIN {table} AS t ON {match}
    WHERE t.{first} IS NULL{differs}
), inserted AS (
    INSERT INTO {table} ({columns}) SELECT {names} FROM w WHERE NOT present
){update}
SELECT count(*) FILTER (WHERE NOT present), count(*) FILTER (WHERE present) FROM w
"""

_UPDATE = """, updated AS (
    UPDATE {table} AS t SET {sets} FROM w AS s WHERE s.present AND {match}
)"""


class LoadStatements:
    """SQL that takes one array per slot, in the order of the leg's slots."""

    def __init__(self, leg: CompiledLeg, table: sql.Composable) -> None:
        self._leg = leg
        self._table = table
        self._plain = [sql.Identifier(slot.column) for slot in leg.slots]
        self._columns = [_beside_parameters(slot.column) for slot in leg.slots]
        self._names = [sql.Identifier(f"c{i}") for i in range(len(leg.slots))]

    @property
    def target(self) -> sql.Composed:
        """The table with the columns of the slots, for COPY."""
        return sql.SQL("{} ({})").format(self._table, _COMMA.join(self._plain))

    def any_present(self) -> sql.Composed:
        """Whether any of some keys exists; arrays of the key's slots."""
        key = self._leg.key
        return sql.SQL(
            "SELECT EXISTS (SELECT FROM (SELECT {values} FROM unnest({arrays}) "
            "AS u({names})) AS s JOIN {table} AS t ON {match})"
        ).format(
            values=self._values(key),
            arrays=self._arrays(key),
            names=_COMMA.join(self._names[i] for i in key),
            table=self._table,
            match=self._match(),
        )

    def present(self) -> sql.Composed:
        """The ordinals of keys that exist; arrays of the key's slots."""
        key = self._leg.key
        return sql.SQL(
            "SELECT s.n FROM (SELECT u.n, {values} FROM unnest({arrays}) "
            "WITH ORDINALITY AS u({names}, n)) AS s JOIN {table} AS t ON {match}"
        ).format(
            values=self._values(key),
            arrays=self._arrays(key),
            names=_COMMA.join(self._names[i] for i in key),
            table=self._table,
            match=self._match(),
        )

    def merge(self, *, insert_only: bool) -> sql.Composed:
        """Insert what is missing and update what differs; gives both counts."""
        every = range(len(self._leg.slots))
        others = [i for i in every if i not in self._leg.key]
        differs: sql.Composable = sql.SQL("")
        update: sql.Composable = sql.SQL("")
        if others and not insert_only:
            differs = sql.SQL(" OR {}").format(
                _OR.join(self._differs(i) for i in others)
            )
            sets = _COMMA.join(
                sql.SQL("{} = {}").format(self._columns[i], self._new_value(i))
                for i in others
            )
            update = sql.SQL(_UPDATE).format(
                table=self._table, sets=sets, match=self._match()
            )
        return sql.SQL(_MERGE).format(
            values=self._values(every),
            arrays=self._arrays(every),
            names=_COMMA.join(self._names),
            first=self._columns[self._leg.key[0]],
            table=self._table,
            match=self._match(),
            differs=differs,
            columns=_COMMA.join(self._columns),
            update=update,
        )

    def _differs(self, index: int) -> sql.Composable:
        kind = self._leg.slots[index].type
        form = "t.{}::text IS DISTINCT FROM s.{}::text"
        if _comparable(kind):
            form = "t.{} IS DISTINCT FROM s.{}"
        differs = sql.SQL(form).format(self._columns[index], self._names[index])
        allowed = self._allowed(index)
        if allowed is None:
            return differs
        return sql.SQL("({} AND {})").format(differs, allowed)

    def _allowed(self, index: int) -> sql.Composable | None:
        """Whether the slot's guard allows what is new over what is there."""
        guard = self._leg.slots[index].guard
        if guard is None:
            return None
        new = sql.SQL("s.{}").format(self._names[index])
        there = sql.SQL("t.{}").format(self._columns[index])
        return allows(guard, new, there)

    def _new_value(self, index: int) -> sql.Composable:
        new = sql.SQL("s.{}").format(self._names[index])
        allowed = self._allowed(index)
        if allowed is None:
            return new
        return sql.SQL("CASE WHEN {} THEN {} ELSE t.{} END").format(
            allowed, new, self._columns[index]
        )

    def _match(self) -> sql.Composable:
        return _AND.join(
            sql.SQL("t.{} = s.{}").format(self._columns[i], self._names[i])
            for i in self._leg.key
        )

    def _values(self, slots: Iterable[int]) -> sql.Composable:
        return _COMMA.join(self._value(i) for i in slots)

    def _value(self, index: int) -> sql.Composable:
        name = self._names[index]
        kind = self._leg.slots[index].type
        if _as_text(kind):
            cast = sql.SQL(cast_name(kind))
            return sql.SQL("CAST(u.{} AS {}) AS {}").format(name, cast, name)
        return sql.SQL("u.{}").format(name)

    def _arrays(self, slots: Sequence[int]) -> sql.Composable:
        return _COMMA.join(
            sql.SQL("%s::{}[]").format(
                sql.SQL("text" if _as_text(kind) else cast_name(kind))
            )
            for kind in (self._leg.slots[i].type for i in slots)
        )


def _beside_parameters(name: str) -> sql.Identifier:
    """A per cent sign in a statement with parameters is written twice."""
    return sql.Identifier(name.replace("%", "%%"))


def _as_text(kind: ColumnType) -> bool:
    """Arrays of arrays would be unrolled; such types travel as text."""
    return kind.family is TypeFamily.OTHER


def _comparable(kind: ColumnType) -> bool:
    """False for types without equality, or whose equality overlooks differences."""
    if kind.family in (TypeFamily.OTHER, TypeFamily.JSON):
        return kind.name == "jsonb"
    return kind.name != "citext"
