"""A guard as a condition in SQL; the meaning is that of `Guard.allows`."""

from __future__ import annotations

from psycopg import sql

from syncengine.connectors.postgres.arrays import cast_name
from syncengine.mapping.guards import Guard, Values, is_wordy
from syncengine.mapping.schema import ColumnType, TypeFamily

_COMMA = sql.SQL(", ")
_AND = sql.SQL(" AND ")
_OR = sql.SQL(" OR ")


def allows(guard: Guard, new: sql.Composable, there: sql.Composable) -> sql.Composable:
    """True when `new` may be written over `there`, in a statement with parameters."""
    type_ = guard.type
    conditions = []
    for rule in guard.rules:
        present = _is_one_of(there, rule.present, type_)
        form = "(NOT ({}) OR NOT ({}))" if rule.kept else "(NOT ({}) OR {})"
        result = _is_one_of(new, rule.results, type_)
        conditions.append(sql.SQL(form).format(result, present))
    return sql.SQL("({})").format(_AND.join(conditions))


def _is_one_of(
    value: sql.Composable, wanted: Values, type_: ColumnType
) -> sql.Composable:
    """Whether `value` is among `wanted`; never null."""
    texts = sorted(text for text in wanted if text is not None)
    choices: list[sql.Composable] = []
    literals: list[sql.Composable] = [_literal(text) for text in texts]
    if is_wordy(type_):
        value = sql.SQL('btrim(lower({}::text COLLATE "C"))').format(value)
        nothing = sql.SQL("coalesce({}, '') = ''").format(value)
    elif type_.family in (TypeFamily.OTHER, TypeFamily.JSON):
        nothing = sql.SQL("{} IS NULL").format(value)
        value = sql.SQL("{}::text").format(value)
    else:
        cast = sql.SQL(cast_name(type_))
        literals = [sql.SQL("CAST({} AS {})").format(each, cast) for each in literals]
        nothing = sql.SQL("{} IS NULL").format(value)
    if literals:
        among = sql.SQL("coalesce({} IN ({}), false)")
        choices.append(among.format(value, _COMMA.join(literals)))
    if None in wanted:
        choices.append(nothing)
    if not choices:
        return sql.SQL("false")
    return sql.SQL("({})").format(_OR.join(choices))


def _literal(text: str) -> sql.Literal:
    """A per cent sign in a statement with parameters is written twice."""
    return sql.Literal(text.replace("%", "%%"))
