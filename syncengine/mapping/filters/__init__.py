"""Row filters: two dialects in, one tree, three backends out with one meaning.

    expression = parse_filter(Side.FINOPS, '(PartyType == "Organization")')
    expression = bind_types(expression, table, text)
    compile_predicate(expression, columns, table)  # rows of canonical text
    to_sql(expression)  # parts for a SQL connector
    to_odata(expression)  # `$filter`

What an expression means, nulls included, stands in `filters.expression`.
"""

from __future__ import annotations

from syncengine.mapping.filters.binding import bind_types
from syncengine.mapping.filters.errors import (
    FilterColumnError,
    FilterError,
    FilterSyntaxError,
)
from syncengine.mapping.filters.expression import (
    Expression,
    columns,
    empty_text_tests,
    no_date_tests,
)
from syncengine.mapping.filters.finops import parse_finops, to_finops
from syncengine.mapping.filters.odata import parse_odata, to_odata
from syncengine.mapping.filters.overlap import exclude_each_other, is_null
from syncengine.mapping.filters.predicate import compile_predicate
from syncengine.mapping.filters.sql import SqlText, to_sql
from syncengine.mapping.model import Side


def parse_filter(side: Side, text: str) -> Expression | None:
    """Read a filter in the dialect of its side; None for a blank one."""
    if not text.strip():
        return None
    return parse_finops(text) if side is Side.FINOPS else parse_odata(text)


__all__ = [
    "Expression",
    "FilterColumnError",
    "FilterError",
    "FilterSyntaxError",
    "SqlText",
    "bind_types",
    "columns",
    "compile_predicate",
    "empty_text_tests",
    "exclude_each_other",
    "is_null",
    "no_date_tests",
    "parse_filter",
    "parse_finops",
    "parse_odata",
    "to_finops",
    "to_odata",
    "to_sql",
]
