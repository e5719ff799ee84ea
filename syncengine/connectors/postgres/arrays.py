"""Array literals: the cheapest way to hand a column of values to PostgreSQL."""

from __future__ import annotations

import re
from collections.abc import Sequence

from syncengine.mapping.schema import ColumnType, TypeFamily


def array_literal(values: Sequence[str | None]) -> str:
    """PostgreSQL's text form of a one-dimensional array of these values."""
    if None not in values:
        joined = '","'.join(values)  # type: ignore[arg-type]
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return f'{{"{joined}"}}' if values else "{}"
    return "{" + ",".join(["NULL" if v is None else _quoted(v) for v in values]) + "}"


def _quoted(value: str) -> str:
    if '"' in value or "\\" in value:
        value = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{value}"'


_LIMITS = re.compile(r"\s*\([^)]*\)")


def cast_name(column_type: ColumnType) -> str:
    """A type name to cast parameters to that never cuts or rounds.

    An explicit cast to `varchar(20)` or `numeric(10,2)` would; without the limit the
    assignment to the column checks them.
    """
    if column_type.family is TypeFamily.TEXT:
        name = column_type.name.casefold()
        if name.startswith("character varying") or name == "text":
            return "text"
        if name.startswith("character"):
            return "bpchar"
    return _LIMITS.sub("", column_type.name)
