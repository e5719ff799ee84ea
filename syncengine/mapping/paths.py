"""Column paths as maps write them.

organizationname                                      a column
msdyn_customergroupid.msdyn_groupid                   a key of the referenced row
msdyn_model.msdyn_manufacturer.msdyn_manufacturer_id  of a row that one refers to
customerid.Account(accountnumber).Contact(number)     of a row of either table
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_TARGET = re.compile(r"\.([^.()\s]+)\(([^()]+)\)")


@dataclass(frozen=True, slots=True)
class ColumnPath:
    """A path taken apart. `steps` lead from the referenced row on; `choices` are the
    (table word, steps) of a polymorphic lookup. A plain column has neither."""

    column: str
    steps: tuple[str, ...] = ()
    choices: tuple[tuple[str, tuple[str, ...]], ...] = ()


@lru_cache(maxsize=4096)
def parse_path(text: str) -> ColumnPath | None:
    """The parts of a path, or None when it is not written as one."""
    column, dot, rest = text.partition(".")
    if not dot:
        return ColumnPath(column)
    if "(" not in rest:
        steps = tuple(rest.split("."))
        return ColumnPath(column, steps) if column and all(steps) else None
    tail = f".{rest}"
    choices = []
    at = 0
    while at < len(tail):
        found = _TARGET.match(tail, at)
        if found is None:
            return None
        steps = tuple(found[2].split("."))
        if not all(steps):
            return None
        choices.append((found[1], steps))
        at = found.end()
    return ColumnPath(column, (), tuple(choices)) if column else None


def column_of(path: str) -> str:
    """The column of the map's own table that a path starts from."""
    return path.partition(".")[0]
